# SPDX-License-Identifier: Apache-2.0
"""What is one system right now, and how is its power and boot changed?

DSP0268, ComputerSystem: the ``#ComputerSystem.Reset`` action, the ``Boot``
object. DSP0266, "Actions" for ActionInfo and "ETags" for If-Match.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from valence.common import deadline
from valence.drivers import base
from valence.drivers.http import Answer
from valence.drivers.redfish import blocks, values
from valence.drivers.redfish import service as redfish
from valence.drivers.redfish.crawl import GONE, Crawl
from valence.drivers.redfish.discover import block_links, is_composed, summary
from valence.drivers.redfish.service import Service

Body = dict[str, Any]

#: DSP0268, ResetType of the Resource schema: what the driver promises.
RESET_TYPES = ('On', 'ForceOff', 'GracefulShutdown', 'GracefulRestart',
               'ForceRestart', 'Nmi', 'ForceOn', 'PushPowerButton',
               'PowerCycle')
#: DSP0268, BootSource of the ComputerSystem schema; see common.power.
BOOT_TARGETS = ('None', 'Pxe', 'Floppy', 'Cd', 'Usb', 'Hdd', 'BiosSetup',
                'Utilities', 'Diags', 'UefiShell', 'SDCard', 'UefiHttp',
                'RemoteDrive')
_RESET = 'ComputerSystem.Reset'

#: How often, and how long between (seconds), a changed setting is looked
#: for before the service is taken to have ignored it.
_LOOKS = 4
_LOOK_PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class Seen:
    """A resource as read: ``allow`` is None where nothing was said."""

    body: Body
    etag: str | None = None
    allow: frozenset[str] | None = None

    def may(self, method: str) -> bool:
        """Whether ``method`` is worth a try."""
        return self.allow is None or method in self.allow


def look(service: Service, path: str) -> Seen:
    """The system, or whatever is at ``path``.

    :raises NotFound: if it does not exist.
    """
    answer = service.client.get(service.origin.path(path))
    return Seen(dict(answer.body), redfish.etag(answer),
                redfish.allowed(answer))


def read(service: Service, path: str) -> tuple[Body, str | None]:
    """The system and its ETag.

    :raises NotFound: if it does not exist.
    """
    seen = look(service, path)
    return seen.body, seen.etag


def observe(service: Service, handle: base.Handle
            ) -> base.NodeHardware | None:
    """The system as it is; None where it is not."""
    try:
        seen = look(service, handle.resource_path)
    except base.NotFound:
        return None
    paths = devices(service, handle.resource_path, seen.body)
    if handle.extra.get('tag') and vacant(service, handle.resource_path,
                                          seen, paths):
        return None
    return hardware(service, handle, seen.body, paths)


def hardware(service: Service, handle: base.Handle, body: Body,
             paths: tuple[str, ...]) -> base.NodeHardware:
    """A system and the blocks ``paths`` that it is made of.

    It is whole once none of them is being composed any more.
    """
    composing: list[str] = []

    def each(path: str, block: Body) -> None:
        if blocks.is_composing(block):
            composing.append(path)

    each_block(service, paths, each)
    boot = values.obj(body.get('Boot'))
    cores, model, memory = summary(body)
    return base.NodeHardware(
        handle=handle, name=values.text(body.get('Name')) or '',
        power_state=values.text(body.get('PowerState'), 64),
        health=values.health(body),
        device_paths=paths,
        processor_cores=cores or None, processor_model=model,
        memory_mib=memory or None,
        boot_target=values.text(boot.get('BootSourceOverrideTarget'), 64),
        boot_enabled=values.text(boot.get('BootSourceOverrideEnabled'), 64),
        allowed_resets=reset_types(service, body),
        allowed_boot_targets=boot_targets(body),
        unfinished='Composing' if composing else None,
        details=values.compact(
            uuid=values.text(body.get('UUID'), 64),
            composed=is_composed(body), status=values.state(body)))


def each_block(service: Service, paths: Collection[str],
               each: Callable[[str, Body], None]) -> None:
    """Read blocks side by side; one that is gone is left out.

    :raises DriverError: if one cannot be read.
    """
    if not paths:
        return
    crawl = Crawl(service)
    for path in paths:
        crawl.want({'@odata.id': path}, each, absent=GONE)
    crawl.run()
    if crawl.errors:
        raise crawl.errors[0]


def devices(service: Service, path: str, body: Body) -> tuple[str, ...]:
    """The blocks of a system, asked of the blocks if it does not say."""
    links = block_links(body)
    if links:
        return tuple(sorted({service.origin.path(values.reference(link))
                             for link in links}))
    if values.text(body.get('SystemType')) != 'Composed':
        return ()
    found: set[str] = set()

    def each(block: str, its: Body) -> None:
        if links_to(its, path):
            found.add(block)

    crawl = Crawl(service)
    for link in redfish.block_collections(service.composition()):
        crawl.collection(link, each, missing=GONE)
    crawl.run()
    if crawl.errors:
        raise crawl.errors[0]
    return tuple(sorted(found))


def links_to(block: Body, path: str) -> bool:
    """Whether a resource block says that it is part of the system."""
    return any(
        str(values.reference(link)).rstrip('/') == path.rstrip('/')
        for link in values.objects(values.obj(
            block.get('Links')).get('ComputerSystems')))


def is_block_of(block: Body, path: str) -> bool:
    """Whether a resource block is the server at ``path`` itself.

    DSP2050, "Expandable resources": a whole server is listed as a block of
    the type ComputerSystem, and among its own blocks.
    """
    return any(
        str(values.reference(link)).rstrip('/') == path.rstrip('/')
        for link in values.objects(block.get('ComputerSystems')))


def vacant(service: Service, path: str, seen: Seen,
           paths: tuple[str, ...]) -> bool:
    """Whether an expandable system has given all its blocks back.

    What cannot be deleted is still there after its release.
    """
    if seen.may('DELETE'):
        return False
    return all(is_block_of(service.read(one), path) for one in paths)


def reset_types(service: Service, body: Body) -> tuple[str, ...]:
    """What the service allows; empty where it has no reset or no list."""
    action = values.obj(values.obj(body.get('Actions')).get(f'#{_RESET}'))
    return service.parameter(action, 'ResetType')[1]


def boot_targets(body: Body) -> tuple[str, ...]:
    """What the service allows; empty where it has no override or no list.

    Lists are optional (DSP0266, "Allowable values").
    """
    return values.texts(values.obj(body.get('Boot')).get(
        'BootSourceOverrideTarget@Redfish.AllowableValues'))


def may_reset(service: Service, body: Body) -> tuple[str, ...]:
    """What is worth a try: all that is known where nothing is listed."""
    if not service.offers(body, _RESET):
        return ()
    return reset_types(service, body) or RESET_TYPES


def may_boot(body: Body) -> tuple[str, ...]:
    """The same, for what a system boots from."""
    if not isinstance(body.get('Boot'), dict):
        return ()
    return boot_targets(body) or BOOT_TARGETS


def check_tag(handle: base.Handle, body: Body) -> None:
    """See that a system may be changed.

    :raises Refused: if it is somebody else's by now.
    """
    tag = handle.extra.get('tag')
    if tag and body.get('Name') != tag:
        raise base.Refused(
            f'{handle.resource_path} is not named {tag} (any more): it may '
            'be the system of somebody else and is not changed')


def reset(service: Service, handle: base.Handle, reset_type: str) -> Answer:
    """Send one reset.

    :raises Unsupported: if the system has no such action.
    :raises Refused: if it does not allow ``reset_type``, or is not ours.
    """
    path = handle.resource_path
    body, _ = read(service, path)
    check_tag(handle, body)
    action = service.action(body, _RESET)
    if action is None:
        raise base.Unsupported(f'{path} has no reset action')
    allowed = may_reset(service, body)
    if reset_type not in allowed:
        raise base.Refused(f'{path} allows no reset {reset_type!r}; it '
                           f'allows {", ".join(allowed)}')
    return service.client.send(
        'POST', action[0], {'ResetType': reset_type})


def set_boot(service: Service, handle: base.Handle, target: str,
             enabled: str) -> Answer:
    """Set the boot override; it is not read back yet.

    :raises Unsupported: if the system has no boot override.
    :raises Refused: if it does not allow ``target``, or is not ours.
    """
    path = handle.resource_path
    wanted = {'BootSourceOverrideEnabled': enabled}
    if enabled != 'Disabled':
        wanted['BootSourceOverrideTarget'] = target
    for last in (False, True):
        body, etag = read(service, path)
        check_tag(handle, body)
        if not isinstance(body.get('Boot'), dict):
            raise base.Unsupported(f'{path} has no boot override')
        allowed = may_boot(body)
        if enabled != 'Disabled' and target not in allowed:
            raise base.Refused(f'{path} allows no boot from {target!r}; it '
                               f'allows {", ".join(allowed)}')
        # 412: somebody changed it since, so nothing was done: look again.
        answer = service.client.send(
            'PATCH', path, {'Boot': wanted},
            headers={'If-Match': etag} if etag else {},
            accept=() if last else (412, 428))
        if answer.status < 300:
            break
    return answer


def check_boot(service: Service, path: str, target: str,
               enabled: str) -> None:
    """See that the override is what it was set to.

    One emulator answers 204 and does nothing; others take a moment.

    :raises Refused: if it is not.
    """
    for look in range(_LOOKS):
        body, _ = read(service, path)
        boot = values.obj(body.get('Boot'))
        is_enabled = values.text(boot.get('BootSourceOverrideEnabled'))
        is_target = values.text(boot.get('BootSourceOverrideTarget'))
        if _boot_equals(is_target, is_enabled, target, enabled):
            return
        if look + 1 == _LOOKS or deadline.remaining(60.0) < 2 * _LOOK_PAUSE:
            break
        time.sleep(_LOOK_PAUSE)
    raise base.Refused(
        f'{path} accepted boot from {target} {enabled} but shows '
        f'{is_target} {is_enabled}; it ignores what it does not support')


def _boot_equals(is_target: str | None, is_enabled: str | None,
                 target: str, enabled: str) -> bool:
    if enabled == 'Disabled':
        return is_enabled in (None, 'Disabled') or is_target == 'None'
    return is_enabled == enabled and is_target == target


def find(service: Service, tag: str) -> str | None:
    """The path of the system that is named ``tag``, the first of several.

    :raises DriverError: if it was not found where not all could be read:
        then it may be there all the same.
    """
    found: list[str] = []
    crawl = Crawl(service)

    def each(path: str, body: Mapping[str, Any]) -> None:
        if body.get('Name') == tag:
            found.append(path)

    crawl.collection({'@odata.id': service.systems()}, each, missing=GONE)
    crawl.run()
    for path in sorted(found):
        try:
            seen = look(service, path)
        except base.NotFound:
            continue                    # gone since it was listed
        if seen.may('DELETE') or not vacant(
                service, path, seen, devices(service, path, seen.body)):
            return path
    if crawl.errors:
        raise crawl.errors[0]
    return None
