# SPDX-License-Identifier: Apache-2.0
"""How does a node go?

By DELETE; by ForceDelete (API 2.5) where that is refused. A node that the
backend works on is let be until that has ended.

A monitor, as kept in ``base.Pending``: ``kind`` ('release'), ``path``,
``tag``, ``looks``.
"""

from valence.drivers import base
from valence.drivers.rsd import nodes
from valence.drivers.rsd.service import Pod, action

#: Looks in a row, a second apart, at a node that the backend works on.
LOOKS = 600
_DELAY = 1.0


def start(service: Pod, named: base.Handle) -> base.Pending | base.Done:
    """Delete the node, or wait until that is possible.

    :raises Refused: if it is not ours, or the backend says no.
    """
    return follow(service, base.Pending({
        'kind': 'release', 'path': named.resource_path,
        'tag': named.extra.get('tag'), 'looks': 0}))


def follow(service: Pod, pending: base.Pending) -> base.Pending | base.Done:
    """The same, later.

    :raises Busy: if the backend works on the node without end.
    """
    monitor = pending.monitor
    path = service.origin.path(monitor['path'])
    named = base.Handle(path, {'tag': monitor.get('tag')})
    try:
        body = nodes.ours(service, named)
        if nodes.state(body) not in nodes.MOVING:
            _delete(service, path)
            return base.Done()
    except base.NotFound:
        return base.Done()
    looks = int(monitor.get('looks') or 0) + 1
    if looks > LOOKS:
        raise base.Busy(f'{path} has been {nodes.state(body)} for too long '
                        'to be released', 30.0)
    return base.Pending({**monitor, 'looks': looks}, _DELAY)


def _delete(service: Pod, path: str) -> None:
    try:
        service.client.send('DELETE', path)
    except base.NotFound:
        raise
    except base.Refused as error:
        if error.status == 403:
            raise               # that is not to be got round
        force = action(nodes.read(service, path), 'ComposedNode.ForceDelete')
        if force is None:
            raise
        service.client.send('POST', service.origin.path(force['target']), {})
