# SPDX-License-Identifier: Apache-2.0
"""How far is what the backend does in the background?

DSP0266, "Asynchronous operations": any request may be answered 202 with a
task monitor as Location and a Task as body. The monitor answers 202 while it
runs, then what the request itself would have answered, and then is gone;
the Task (DSP0268) stays a little longer. What is neither is looked for on
the hardware.

A monitor, as kept in ``base.Pending``: ``kind`` ('compose', 'release',
'attach', 'detach', 'set_power', 'set_boot'), ``monitor`` and ``task``
(paths, maybe None), ``path`` (the system), ``tag``, ``looks`` and what the
kind needs.
"""

import time
from collections.abc import Mapping
from typing import Any

from valence.common import deadline
from valence.drivers import base, http_body
from valence.drivers.http import Answer
from valence.drivers.http_links import printable
from valence.drivers.redfish import values
from valence.drivers.redfish.service import Service

_ENDED_BADLY = ('Exception', 'Killed', 'Cancelled', 'Interrupted')
_MONITOR_GONE = (404, 405, 410)
_LONGEST = 12.0
#: Seconds that are kept for what comes after a wait.
_SPARE = 2.0


def start(service: Service, answer: Answer, kind: str,
          **more: Any) -> base.Pending:
    """The Pending of a 202.

    A link that must not be followed is not, but the request was accepted:
    then there is only the hardware to look at.
    """
    task = dict(answer.body)
    paths = []
    for link in (answer.headers.get('Location') or task.get('TaskMonitor'),
                 task.get('@odata.id')):
        try:
            paths.append(service.origin.path(link, query=True))
        except base.BadAnswer:
            paths.append('')
    monitor = {'kind': kind, 'monitor': paths[0] or None,
               'task': paths[1] or None, **more}
    return base.Pending(monitor, _delay(answer))


def poll(service: Service, pending: base.Pending
         ) -> base.Pending | Answer | None:
    """What the request came to: Pending, its final Answer, or None.

    None: the backend does not know (any more); look at the hardware.

    :raises Refused: if it failed.
    """
    monitor = pending.monitor
    gone = False
    if monitor.get('monitor'):
        answer = service.client.get(str(monitor['monitor']), lenient=True,
                                    accept=_MONITOR_GONE)
        if answer.status == 202:
            _fail_if_failed(service, dict(answer.body))
            return base.Pending(monitor, _delay(answer))
        if answer.status not in _MONITOR_GONE:
            if _is_task(answer.body):   # Location was of the Task itself
                return _task(service, answer, pending)
            return answer
        gone = True
    if monitor.get('task'):
        answer = service.client.get(str(monitor['task']), lenient=True,
                                    accept=_MONITOR_GONE)
        if _is_task(answer.body):
            told = _task(service, answer, pending)
            if not (gone and isinstance(told, base.Pending)):
                return told
    return None


def settle(service: Service, answer: Answer, what: str) -> Answer | None:
    """The final answer of one request among several of a call.

    None where the backend has forgotten it.

    :raises Busy: if it does not end within the call; to be asked again.
    """
    if answer.status != 202:
        return answer
    told: base.Pending | Answer | None = start(service, answer, 'part')
    while isinstance(told, base.Pending):
        if not (told.monitor.get('monitor') or told.monitor.get('task')):
            return None
        if deadline.remaining(_LONGEST) < told.delay + _SPARE:
            raise base.Busy(f'the backend still works on {what}', told.delay)
        time.sleep(told.delay)
        told = poll(service, told)
    return told


def cancel(service: Service, pending: base.Pending) -> bool:
    """Ask the backend to stop; :func:`poll` then tells how it ended.

    DSP0266, "Asynchronous operations": DELETE of the task monitor. One that
    cannot be cancelled, or has ended, is no error.

    :return: whether the backend took it.
    """
    for name in ('monitor', 'task'):
        path = pending.monitor.get(name)
        if not path:
            continue
        try:
            service.client.send('DELETE', str(path), harmless=True)
            return True
        except base.Refused:
            continue
    return False


def created(service: Service, answer: Answer) -> str | None:
    """The path of what a request made, where its answer tells.

    Location; the body's own id; ``Links.CreatedResources`` of a Task.
    """
    body = dict(answer.body)
    links: list[Any] = [answer.headers.get('Location')]
    if _is_task(body):
        links = [values.reference(link) for link in values.objects(
            values.obj(body.get('Links')).get('CreatedResources'))]
    else:
        links.append(body.get('@odata.id'))
    for link in links:
        try:
            return service.origin.path(link)
        except base.BadAnswer:
            continue
    return None


def _task(service: Service, answer: Answer, pending: base.Pending
          ) -> base.Pending | Answer:
    task = dict(answer.body)
    _fail_if_failed(service, task)
    if values.text(task.get('TaskState')) == 'Completed':
        return answer
    return base.Pending(pending.monitor, _delay(answer))


def _fail_if_failed(service: Service, task: Mapping[str, Any]) -> None:
    state = values.text(task.get('TaskState'), 64)
    wrong = state == 'Completed' and values.text(
        task.get('TaskStatus')) == 'Critical'
    if state not in _ENDED_BADLY and not wrong:
        return
    texts, ids = http_body.messages(task.get('Messages'))
    hide = service.client.hide
    said = printable(hide(' '.join(texts or ids)), http_body.MAX_WORDS)
    raise base.Refused(
        f'the task of the backend ended as {state}'
        + (f': {said}' if said else ''), 400,
        tuple(printable(hide(one), 120) for one in ids))


def _is_task(body: Mapping[str, Any]) -> bool:
    kind = body.get('@odata.type')
    return 'TaskState' in body and (
        not isinstance(kind, str) or kind.startswith('#Task.'))


def _delay(answer: Answer) -> float:
    advice = answer.retry_after
    return 1.0 if advice is None else max(advice, 0.1)
