# SPDX-License-Identifier: Apache-2.0
"""How does a system get one more resource block, or one less?

DSP2050, "Update a composed resource", in the order that is tried: the
actions AddResourceBlock and RemoveResourceBlock (ETags in the body, 428
where they are stale), PATCH of Links.ResourceBlocks (null removes), PUT.
A service offers an action by listing it, the others by Allow and by the
UpdatableAfterCreate of its capabilities. Each look comes before a request:
what is so already is not asked for.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from valence.common.devices import DeviceState
from valence.drivers import base
from valence.drivers.http import Answer
from valence.drivers.redfish import blocks, styles, systems, tasks, values
from valence.drivers.redfish.discover import block_links, is_expandable
from valence.drivers.redfish.service import Service
from valence.drivers.redfish.systems import Seen

Body = dict[str, Any]

#: Looks in a row, and seconds between, before a change that was accepted
#: and does not show is taken for lost.
LOOKS = 10
_DELAY = 0.5

_ACTIONS = {'attach': 'ComputerSystem.AddResourceBlock',
            'detach': 'ComputerSystem.RemoveResourceBlock'}
_STALE = (412, 428)
#: What says "not in this way", and that nothing was done.
_NO_SUCH_WAY = (405, 501)
_NOT_WRITABLE = ('PropertyNotWritable', 'PropertyNotUpdatable',
                 'PropertyUnknown')


def promised(service: Service, seen: list[Seen], updatable: bool | None
             ) -> bool:
    """Whether a service shows any way, on the systems that it has now.

    An action shows on the systems only: where none is composed yet nobody
    can tell.
    """
    if any(service.offers(one.body, name) for one in seen
           for name in _ACTIONS.values()):
        return True
    return bool(updatable) and (not seen or any(
        one.may('PATCH') or one.may('PUT') for one in seen))


def adds(service: Service, one: Seen, updatable: bool | None) -> bool:
    """Whether an expandable server shows a way to add blocks to it.

    That it is one is its word that there is: Allow is enough.
    """
    if service.offers(one.body, _ACTIONS['attach']):
        return True
    if one.allow is None:
        return bool(updatable)
    return updatable is not False and bool({'PATCH', 'PUT'} & one.allow)


def expandable(body: Mapping[str, Any]) -> bool:
    """Whether blocks of a whole server may change, as far as is known."""
    return is_expandable(dict(body)) or bool(block_links(dict(body)))


def start(service: Service, handle: base.Handle, device_path: str,
          kind: str) -> base.Pending | base.Done:
    """Send one change and look whether it took effect.

    :param kind: 'attach' or 'detach'.
    :raises Unsupported: if the system offers no way.
    """
    device = service.origin.path(device_path)
    tag = handle.extra.get('tag')
    answer = send(service, handle, device, kind)
    if answer is None:
        return base.Done()
    if answer.status == 202:
        return tasks.start(service, answer, kind, tag=tag, device=device,
                           path=handle.resource_path)
    return follow(service, base.Pending({
        'kind': kind, 'monitor': None, 'task': None, 'tag': tag,
        'device': device, 'path': handle.resource_path}, _DELAY))


def follow(service: Service, pending: base.Pending
           ) -> base.Pending | base.Done:
    """Whether the system shows the change by now.

    A success that changes nothing has been seen, and one that shows late.

    :raises Ambiguous: if it still does not show.
    """
    monitor = dict(pending.monitor)
    kind, device = str(monitor['kind']), str(monitor['device'])
    path = str(monitor['path'])
    try:
        seen = systems.look(service, path)
    except base.NotFound:
        if kind == 'detach':
            return base.Done()
        raise
    if _is_so(service, path, seen.body, device, kind):
        return base.Done()
    looks = int(monitor.get('looks') or 0) + 1
    if looks > LOOKS:
        raise base.Ambiguous(
            f'the backend accepted the {kind} of {device}, but {path} does '
            'not show it')
    return base.Pending({**monitor, 'monitor': None, 'task': None,
                         'looks': looks}, _DELAY)


def send(service: Service, handle: base.Handle, device: str, kind: str
         ) -> Answer | None:
    """One change; None where it is so already.

    :raises Refused: if the system is somebody else's, or the block is.
    """
    path = service.origin.path(handle.resource_path)
    for last in (False, True):
        seen = systems.look(service, path)
        systems.check_tag(handle, seen.body)
        if _is_so(service, path, seen.body, device, kind):
            return None
        block = systems.look(service, device)
        if kind == 'attach':
            _check_free(block.body, device, path)
        answer = _ask(service, path, seen, device, block, kind, last)
        if answer.status not in _STALE:
            break
    return answer


def _ask(service: Service, path: str, seen: Seen, device: str, block: Seen,
         kind: str, last: bool) -> Answer:
    """Send it in the first of the ways that the service takes.

    The answer may be 412 or 428, except for the ``last`` try.
    """
    refusal: base.Refused | None = None
    for method, target, body, headers in _ways(service, path, seen, device,
                                               block, kind):
        try:
            answer = service.client.send(
                method, target, body, headers=headers,
                accept=(*_NO_SUCH_WAY, *(() if last else _STALE)))
        except base.Refused as error:
            if not _not_in_this_way(error):
                raise
            refusal = error
            continue
        if answer.status not in _NO_SUCH_WAY:
            return answer
        refusal = refusal or base.Refused(
            f'{service.origin.host} answered {answer.status} to {method} '
            f'{target}', answer.status)
    raise base.Unsupported(
        f'{path} offers no way to {kind} blocks'
        + (f': {refusal}' if refusal else '')) from refusal


def _ways(service: Service, path: str, seen: Seen, device: str, block: Seen,
          kind: str) -> Iterator[tuple[str, str, Body, dict[str, str]]]:
    """(method, path, body, headers) of each way that is offered."""
    action = service.action(seen.body, _ACTIONS[kind])
    if action is not None:
        body: Body = {'ResourceBlock': {'@odata.id': device}}
        for name, etag in (('ResourceBlockETag', block.etag),
                           ('ComputerSystemETag', seen.etag)):
            if etag and service.parameter(action[1], name)[0]:
                body[name] = etag
        yield 'POST', action[0], body, {}
    updatable = _updatable(service, block.body)
    if updatable is False:
        return
    headers = {'If-Match': seen.etag} if seen.etag else {}
    links = block_links(seen.body)
    # PATCH gives every element as it is: a service that does not know that
    # {} keeps one must not lose the other blocks.
    patched: list[Body | None]
    if kind == 'attach':
        links = [*links, {'@odata.id': device}]
        patched = [*links]
    else:
        patched = [None if _same(values.reference(one), device) else one
                   for one in links]
        links = [one for one in patched if one is not None]
    listed = seen.allow or frozenset()
    if 'PATCH' in listed or (updatable and seen.allow is None):
        yield 'PATCH', path, {'Links': {'ResourceBlocks': patched}}, headers
    if 'PUT' in listed:
        yield 'PUT', path, _whole(seen.body, {'ResourceBlocks': links}
                                  ), headers


def _whole(body: Body, links: Body) -> Body:
    """What a PUT holds: all that was read (DSP0266, "PUT")."""
    return {**{name: value for name, value in body.items()
               if name not in ('@odata.etag', 'Actions')},
            'Links': {**values.obj(body.get('Links')), **links}}


def _updatable(service: Service, block: Body) -> bool | None:
    zones = values.objects(values.obj(block.get('Links')).get('Zones'))
    zone = values.reference(zones[0]) if zones else None
    return styles.updatable(styles.offer(
        service, service.composition() or {}, zone).told)


def _check_free(block: Body, device: str, path: str) -> None:
    """A block of another system is not asked for, even if it is shared.

    A claim in Valence is exclusive (see :mod:`.blocks`).
    """
    if blocks.is_composing(block):
        raise base.Busy(f'{device} is being composed', 2.0)
    if (blocks.block_state(block) == DeviceState.USED
            and not systems.links_to(block, path)):
        raise base.Refused(f'{device} is part of another system', 409)


def _is_so(service: Service, path: str, body: Mapping[str, Any],
           device: str, kind: str) -> bool:
    has = any(_same(one, device) for one in systems.devices(
        service, path, dict(body)))
    return has == (kind == 'attach')


def _same(one: Any, other: str) -> bool:
    return isinstance(one, str) and one.rstrip('/') == other.rstrip('/')


def _not_in_this_way(error: base.Refused) -> bool:
    return any(name.rpartition('.')[2] in _NOT_WRITABLE
               for name in error.message_ids)
