# SPDX-License-Identifier: Apache-2.0
"""How is a node made onto a server that is there already?

DSP2050, "Expandable resources": such a server takes blocks, and is a block of
the type ComputerSystem itself, which it never gives away. Its name is its
owner's and carries no tag. What tells a node is a handle that is written
down before anything is sent (:func:`prepare`). Its ``extra`` holds

``own``      the block that the server itself is
``devices``  the paths of the blocks that are added for the node

and says by being there that the server had no block but its own. So what of
``devices`` is on the server is the node's, the node is gone when nothing of
it is there any more, and a block that is not among them is somebody else's
and left alone. What is there is never asked for again.
"""

import functools
import time
from collections.abc import Iterable, Mapping
from typing import Any

from valence.common import deadline
from valence.common.devices import DeviceState
from valence.drivers import base
from valence.drivers.redfish import blocks, change, systems, underway, values
from valence.drivers.redfish.crawl import Crawl
from valence.drivers.redfish.discover import block_links, is_expandable
from valence.drivers.redfish.service import Service
from valence.drivers.redfish.systems import Seen

Body = dict[str, Any]

#: A call waits no longer than this for what others do, and keeps that much
#: for what comes after (seconds).
_LONGEST, _SPARE = 12.0, 2.0
_USABLE = (DeviceState.FREE, DeviceState.RESERVED)


def made(handle: base.Handle) -> bool:
    """Whether the handle is of a node that is made in this way."""
    return 'own' in handle.extra


def prepare(service: Service, spec: base.Spec) -> base.Handle | None:
    """See that a server can take ``spec``'s other blocks.

    None where no block of it is an expandable server; changes nothing.

    :raises Refused: it cannot, with the reason.
    """
    found, servers = _read(service, spec.device_paths)
    if not servers:
        return None
    if len(servers) > 1:
        raise base.Refused('a node is made onto one server, not '
                           f'{len(servers)}')
    (own, (path, server)), = servers.items()
    devices = sorted(set(found) - {own})
    if not devices:
        raise base.Refused(
            f'{path} carries no tag, so a node of this server alone could '
            'not be told from a server that nobody uses; ask for a device '
            'to be added to it')
    handle = base.Handle(path, {'own': own, 'devices': devices})
    others = _on(handle, _links(service, server)) - {own}
    if others:
        raise _used(path, others)
    states = {own: blocks.server_state(found[own], server, False),
              **{one: blocks.block_state(found[one]) for one in devices}}
    for one, state in states.items():
        if state not in _USABLE:
            raise base.Refused(f'{one} is {state}; it is not taken', 409)
    return handle


def _read(service: Service, paths: Iterable[str]
          ) -> tuple[dict[str, Body], dict[str, tuple[str, Body]]]:
    """The blocks, and path and body of those that are a server."""
    found: dict[str, Body] = {}
    servers: dict[str, tuple[str, Body]] = {}
    crawl = Crawl(service)

    def on_block(path: str, body: Body) -> None:
        found[path] = body
        for link in values.objects(body.get('ComputerSystems')):
            crawl.want(link, functools.partial(on_system, path))

    def on_system(block: str, path: str, body: Body) -> None:
        if is_expandable(body):
            servers[block] = path, body

    for path in sorted(set(paths)):
        crawl.want({'@odata.id': path}, on_block)
    crawl.run()
    if crawl.errors:
        raise crawl.errors[0]
    return found, servers


def compose(service: Service, handle: base.Handle
            ) -> base.Pending | base.Done:
    """Add what the server lacks, one block after the other.

    :raises Refused: somebody else uses the server, or one of the blocks.
    """
    there = _on(handle, _links(service, _look(service, handle).body))
    strange = there - set(_all(handle))
    if strange:
        raise _used(handle.resource_path, strange)
    lacking = [one for one in _devices(handle) if one not in there]
    _settle(service, lacking)
    return _go_on(service, handle, 'attach', lacking)


def release(service: Service, handle: base.Handle
            ) -> base.Pending | base.Done:
    """Remove the node's blocks that are there, one after the other.

    What is just being added is one of them.
    """
    _settle(service, _devices(handle))
    try:
        there = _on(handle, _links(service, _look(service, handle).body))
    except base.NotFound:
        return base.Done()
    return _go_on(service, handle, 'detach', [
        one for one in _devices(handle) if one in there])


def _go_on(service: Service, handle: base.Handle, kind: str,
           left: list[str]) -> base.Pending | base.Done:
    """Change one block after the other; each is asked for once."""
    for number, device in enumerate(left, 1):
        told = change.start(service, handle, device, kind)
        if isinstance(told, base.Pending):
            return _marked(told, handle, left=left[number:])
    return base.Done(handle if kind == 'attach' else None)


def _marked(pending: base.Pending, handle: base.Handle,
            **more: Any) -> base.Pending:
    return base.Pending({**pending.monitor, 'extra': dict(handle.extra),
                         **more}, pending.delay)


def follow(service: Service, pending: base.Pending
           ) -> base.Pending | base.Done:
    """Whether a change shows by now; then the next of a node's is sent."""
    told = change.follow(service, pending)
    monitor = pending.monitor
    if isinstance(told, base.Pending) or 'extra' not in monitor:
        return told
    handle = base.Handle(str(monitor['path']), monitor['extra'])
    kind = str(monitor['kind'])
    if 'left' in monitor:
        return _go_on(service, handle, kind, list(monitor['left']))
    return base.Done(_changed(handle, str(monitor['device']), kind))


def joined(service: Service, handle: base.Handle, device_path: str
           ) -> base.Handle:
    """The handle of the node with one more block."""
    return _changed(handle, service.origin.path(device_path), 'attach')


def attach(service: Service, handle: base.Handle, device_path: str
           ) -> base.Pending | base.Done:
    """Add one more block; the handle of what the node has then."""
    return _change(service, handle, service.origin.path(device_path),
                   'attach')


def detach(service: Service, handle: base.Handle, device_path: str
           ) -> base.Pending | base.Done:
    """Remove one of several blocks; the handle of what is left.

    :raises Refused: it is the last one, or the server.
    """
    return _change(service, handle, service.origin.path(device_path),
                   'detach')


def _change(service: Service, handle: base.Handle, device: str, kind: str
            ) -> base.Pending | base.Done:
    there = check_there(service, handle)
    if device == handle.extra['own']:
        raise base.Refused(f'{device} is the server itself, which neither '
                           'comes nor goes')
    if kind == 'detach' and there == {device}:
        raise base.Refused(
            f'{device} is the last block of the node on '
            f'{handle.resource_path}, which carries no tag: without it '
            'nobody could tell that there is a node; release it instead',
            409)
    _settle(service, [device])
    told = change.start(service, handle, device, kind)
    if isinstance(told, base.Pending):
        return _marked(told, handle)
    return base.Done(_changed(handle, device, kind))


def _changed(handle: base.Handle, device: str, kind: str) -> base.Handle:
    devices = {*_devices(handle)} - {device}
    if kind == 'attach':
        devices.add(device)
    return base.Handle(handle.resource_path, {
        **handle.extra, 'devices': sorted(devices)})


def check_there(service: Service, handle: base.Handle) -> set[str]:
    """Which of its blocks a node has, before something is done to it.

    :raises Refused: none: the server may be somebody else's by now.
    """
    there = _mine(handle, _on(handle, _links(
        service, _look(service, handle).body)))
    if not there:
        raise base.Refused(
            f'{handle.resource_path} has no block of this node (any more): '
            'it may be the server of somebody else and is not changed')
    return there


def observe(service: Service, handle: base.Handle
            ) -> base.NodeHardware | None:
    """What there is of the node; None where nothing is, nor will be.

    :raises Busy: if something may still become of it.
    """
    for settled in (False, True):
        try:
            seen = _look(service, handle)
        except base.NotFound:
            return None
        there = _on(handle, _links(service, seen.body))
        if _mine(handle, there):
            paths = tuple(sorted(there | {str(handle.extra['own'])}))
            return systems.hardware(service, handle, seen.body, paths)
        # What has ended since the look is there by now.
        if settled or not _check_settled(service, _devices(handle)):
            break
    return None


def _settle(service: Service, paths: list[str]) -> None:
    """Wait for what somebody who is gone has begun with the blocks.

    :raises Busy: if it does not end within the call.
    """
    while paths:
        try:
            _check_settled(service, paths)
        except base.Busy as error:
            delay = error.retry_after
            if deadline.remaining(_LONGEST) < delay + _SPARE:
                raise
            time.sleep(delay)
        else:
            return


def _check_settled(service: Service, paths: list[str]) -> bool:
    """See that no block is just being added or removed.

    :return: whether one may have been since the last look.
    :raises Busy: if one may be.
    """
    busy: list[str] = []

    def each(path: str, body: Body) -> None:
        if blocks.is_composing(body):
            busy.append(path)

    systems.each_block(service, paths, each)
    if busy:
        raise base.Busy(f'{min(busy)} is being composed', 1.0)
    return underway.check(service, *paths)


def _look(service: Service, handle: base.Handle) -> Seen:
    return systems.look(service, handle.resource_path)


def _links(service: Service, body: Body) -> list[str]:
    return [service.origin.path(values.reference(link))
            for link in block_links(body)]


def _on(handle: base.Handle, paths: Iterable[str]) -> set[str]:
    """The paths of a server's blocks, as the node has them.

    Some services end the same path with a slash here and not there.
    """
    names = {one.rstrip('/'): one for one in _all(handle)}
    return {names.get(path.rstrip('/'), path) for path in paths}


def _mine(handle: base.Handle, there: set[str]) -> set[str]:
    return there & {*_devices(handle)}


def _all(handle: base.Handle) -> list[str]:
    return [str(handle.extra['own']), *_devices(handle)]


def _devices(handle: base.Handle) -> list[str]:
    extra: Mapping[str, Any] = handle.extra
    return list(extra['devices'])


def _used(path: str, others: Iterable[str]) -> base.Refused:
    return base.Refused(f'{path} has {", ".join(sorted(others)[:5])}: '
                        'somebody else uses it', 409)
