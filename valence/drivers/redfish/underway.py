# SPDX-License-Identifier: Apache-2.0
"""Does the backend still work on a system that nobody waits for?

The answer to a request may be lost when it has become a task: then there is
no system yet, and one a moment later. So before a system is said not to
exist the tasks that run are looked at (DSP0268, TaskService).
"""

import email.utils
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from valence.drivers import base
from valence.drivers.redfish import values
from valence.drivers.redfish.crawl import NOT_THERE, Crawl
from valence.drivers.redfish.service import Service

Body = dict[str, Any]

#: DSP0268, TaskState: what a task may still come out of with an effect.
_AT_WORK = ('New', 'Starting', 'Running', 'Suspended', 'Pending', 'Service',
            'Stopping', 'Cancelling')
#: A task that says nothing of its request is not thought to compose for
#: longer than this (seconds, by the backend's own clock).
_LONGEST = 1800.0


def check(service: Service, *names: str) -> bool:
    """See that no task is at work on any of ``names``.

    They are the tag of a system that it may make, or paths of blocks that
    it may add.

    :return: whether there are tasks at all: one that has ended since the
        systems were listed may have made it.
    :raises Busy: if there is such a task.
    :raises DriverError: if the tasks cannot be read, though there are any.
    """
    link = values.obj(service.root().get('Tasks'))
    if not link:
        return False
    try:
        answer = service.client.get(service.origin.path(
            values.reference(link)))
    except base.Refused as error:
        if error.status in NOT_THERE:
            return False
        raise
    now = _seconds(answer.headers.get('Date'))
    seen = False

    def each(path: str, body: Body) -> None:
        nonlocal seen
        seen = True
        if values.text(body.get('TaskState')) in _AT_WORK and _may_make(
                body, names, now):
            raise base.Busy(f'the backend still works on {path}, which may '
                            f'be about {", ".join(names)}', 1.0)

    crawl = Crawl(service)
    if isinstance(answer.body.get('Tasks'), dict):
        crawl.collection(answer.body['Tasks'], each, absent=NOT_THERE,
                         missing=NOT_THERE)
    crawl.run()
    if crawl.errors:
        raise crawl.errors[0]
    return seen


def _may_make(task: Mapping[str, Any], names: Iterable[str],
              now: float | None) -> bool:
    payload = values.obj(task.get('Payload'))
    told = ' '.join(str(one)[:65536] for one in (
        task.get('Name'), task.get('Description'), payload.get('JsonBody')))
    if any(name in told for name in names):
        return True
    if payload.get('JsonBody') is not None or base.TAG.search(told):
        return False                    # of another request
    if values.text(payload.get('HttpOperation')) not in (None, 'POST'):
        return False
    begun = _moment(task.get('StartTime'))
    return now is None or begun is None or now - begun < _LONGEST


def _seconds(date: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date or '').timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _moment(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
