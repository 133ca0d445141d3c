# SPDX-License-Identifier: Apache-2.0
"""How does an allocated node become an assembled one?

``ComposedNodeState``: Allocating, Allocated, Assembling, Assembled; Failed
at any time, and after a restart of the PODM in the middle. Each turn of
:func:`follow` looks at that state first and does at most one thing, so that
whoever takes over goes on from what the hardware says. Assemble is sent
only

* to a node that is Allocated (the backend refuses it in any other state),
* after the monitor with the chosen resources was kept,
* once: where the answer to it is lost, the state tells.

A monitor, as kept in ``base.Pending``: ``kind`` ('compose'), ``tag``,
``path`` and ``resources`` (None until they are known), ``sent`` (whether
Assemble was), ``lost`` (whether its answer was), ``looks``.
"""

import contextlib
from typing import Any

from valence.drivers import base
from valence.drivers.http import Answer
from valence.drivers.redfish import tasks
from valence.drivers.rsd import nodes
from valence.drivers.rsd.service import Pod, action

Body = dict[str, Any]

#: Looks in a row, a second apart, at a node that should have changed.
LOOKS = 10
_DELAY = 1.0
_SOON = 0.1


def allocated(service: Pod, tag: str, answer: Answer) -> base.Pending:
    """What the answer to Allocate leads to.

    Nothing that goes wrong in here is raised: the node is there by now.
    """
    path = tasks.created(service, answer)
    resources = None
    if path is not None:
        with contextlib.suppress(base.DriverError):
            resources = _resources(service, nodes.read(service, path))
    return _pending(tag, path, resources, _SOON)


def resume(named: base.Handle) -> base.Pending:
    """Go on with a node that was found by its tag."""
    return _pending(str(named.extra.get('tag', '')), named.resource_path,
                    None, _SOON)


def follow(service: Pod, pending: base.Pending) -> base.Pending | base.Done:
    """The next turn.

    :raises Refused: if the node is Failed or gone.
    """
    monitor = dict(pending.monitor)
    tag = str(monitor['tag'])
    if not monitor.get('path'):
        monitor['path'] = nodes.find(service, tag)
        if monitor['path'] is None:
            return _look(monitor, base.Ambiguous(
                f'the backend accepted the allocation of {tag}, but has no '
                'node of that name'))
    path = str(monitor['path'])
    try:
        body = nodes.read(service, path)
    except base.NotFound as error:
        raise base.NotFound(f'the node {path} vanished before it was '
                            f'assembled: {error}', error.status) from error
    if not nodes.carries(body, tag):
        raise base.Refused(f'{path} is not the node {tag}; the backend has '
                           'given its place to another')
    match nodes.state(body):
        case nodes.WHOLE:
            return base.Done(nodes.handle(path, tag))
        case 'Failed':
            raise base.Refused(_failure(path, monitor))
        case 'Allocated':
            return _allocated(service, monitor, path, body)
        case state if state in nodes.MOVING:
            return base.Pending({**monitor, 'looks': 0}, _DELAY)
        case state:
            return _look(monitor, base.BadAnswer(
                f'{path} is in state {state!r}, which the RSD API does not '
                'have'))


def _allocated(service: Pod, monitor: Body, path: str, body: Body
               ) -> base.Pending:
    if monitor.get('resources') is None:
        return base.Pending({**monitor, 'resources': _resources(
            service, body)}, _SOON)
    if monitor.get('sent'):
        return _look(monitor, base.Ambiguous(
            f'the answer to the assembly of {path} was lost, and it stays '
            'Allocated') if monitor.get('lost') else base.Refused(
                f'the backend accepted the assembly of {path}, but leaves it '
                'Allocated'))
    called = action(body, 'ComposedNode.Assemble')
    if called is None:
        raise base.Refused(f'{path} is Allocated, but offers no assembly')
    lost = False
    try:
        service.client.send('POST', service.origin.path(called['target']),
                            {})
    except base.Ambiguous:
        lost = True             # the state tells, a little later
    except base.Refused as error:
        # 409: it is not Allocated any more, so somebody was faster.
        if error.status != 409 or nodes.state(
                nodes.read(service, path)) == 'Allocated':
            raise
    return base.Pending({**monitor, 'sent': True, 'lost': lost, 'looks': 0},
                        _DELAY)


def _resources(service: Pod, body: Body) -> list[str] | None:
    """What the backend chose, once it has."""
    if nodes.state(body) == 'Allocating':
        return None
    return list(nodes.linked(service.origin, body))


def _failure(path: str, monitor: Body) -> str:
    what = 'assembled' if monitor.get('sent') else 'allocated'
    return (f'the backend says that {path} Failed before it was {what} '
            '(its log tells why; a restart of the PODM in between fails '
            'nodes too)')


def _look(monitor: Body, error: base.DriverError) -> base.Pending:
    """Look again later; ``error`` if that was done often enough."""
    looks = int(monitor.get('looks') or 0) + 1
    if looks > LOOKS:
        raise error
    return base.Pending({**monitor, 'looks': looks}, _DELAY)


def _pending(tag: str, path: str | None, resources: list[str] | None,
             delay: float) -> base.Pending:
    return base.Pending({
        'kind': 'compose', 'tag': tag, 'path': path, 'resources': resources,
        'sent': False, 'lost': False, 'looks': 0}, delay)
