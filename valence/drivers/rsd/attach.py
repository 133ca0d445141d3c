# SPDX-License-Identifier: Apache-2.0
"""How does a node get one more resource, or one less?

2.1 and 2.2 have AttachEndpoint and DetachEndpoint, with the resources that
they take inline; to detach, the resource is a bare URI. From 2.3 on they
are AttachResource and DetachResource, with an ActionInfo, and the resource
is a link. The name of the action that a node offers tells which.
"""

from typing import Any

from valence.drivers import base
from valence.drivers.redfish import values
from valence.drivers.rsd import nodes
from valence.drivers.rsd.service import Pod, action, parameter

Body = dict[str, Any]

#: Looks in a row, a second apart, before a change is taken for lost.
LOOKS = 10
_DELAY = 1.0

_ACTIONS = {
    'attach': ('ComposedNode.AttachResource', 'ComposedNode.AttachEndpoint'),
    'detach': ('ComposedNode.DetachResource', 'ComposedNode.DetachEndpoint'),
}


def change(service: Pod, named: base.Handle, device_path: str, kind: str
           ) -> base.Pending | base.Done:
    """``kind``: 'attach' or 'detach'. What is so already is done.

    :raises Refused: if the node does not take this resource.
    """
    path = service.origin.path(device_path)
    body = nodes.ours(service, named)
    if _is_so(service, body, path, kind):
        return base.Done()
    called = action(body, *_ACTIONS[kind])
    if called is None:
        raise base.Unsupported(f'{named.resource_path} offers no action to '
                               f'{kind} resources')
    allowed, _ = parameter(service, called, 'Resource')
    if allowed is not None:
        known = {str(values.reference(one) or one).rstrip('/')
                 for one in allowed}
        if not any(one.endswith(path.rstrip('/')) for one in known):
            raise base.Refused(
                f'{named.resource_path} cannot {kind} {path} now; it can '
                f'{kind} ' + (', '.join(sorted(known)[:8]) or 'nothing'))
    service.client.send('POST', service.origin.path(called['target']),
                        _request(service, called, path, kind))
    return follow(service, base.Pending({
        'kind': kind, 'path': named.resource_path,
        'tag': named.extra.get('tag'), 'device': path, 'looks': 0}, _DELAY))


def follow(service: Pod, pending: base.Pending) -> base.Pending | base.Done:
    """Whether the node shows the change by now.

    :raises Ambiguous: if it still does not.
    """
    monitor = dict(pending.monitor)
    kind, path = str(monitor['kind']), str(monitor['device'])
    looks = int(monitor.get('looks') or 0) + 1
    try:
        body = nodes.ours(service, base.Handle(
            str(monitor['path']), {'tag': monitor.get('tag')}))
        if _is_so(service, body, path, kind):
            return base.Done()
    except (base.Unreachable, base.Busy):
        if looks > LOOKS:
            raise
    if looks > LOOKS:
        raise base.Ambiguous(
            f'the backend accepted to {kind} {path}, but {monitor["path"]} '
            'does not show it')
    return base.Pending({**monitor, 'looks': looks}, _DELAY)


def _is_so(service: Pod, body: Body, path: str, kind: str) -> bool:
    has = path.rstrip('/') in {
        one.rstrip('/') for one in nodes.linked(service.origin, body)}
    return has == (kind == 'attach')


def _request(service: Pod, called: Body, path: str, kind: str) -> Body:
    if called['name'] == 'ComposedNode.DetachEndpoint':
        return {'Resource': path}
    body: Body = {'Resource': {'@odata.id': path}}
    if kind == 'attach' and called['name'].endswith('Resource'):
        protocols, required = parameter(service, called, 'Protocol')
        known = values.texts(protocols)
        # A drive has one protocol; a remote volume may have several.
        if known and (required or (len(known) == 1
                                   and '/Volumes/' in path)):
            body['Protocol'] = known[0]
    return body
