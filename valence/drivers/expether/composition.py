# SPDX-License-Identifier: Apache-2.0
"""How is a node made of an EESV and EEIOs, and how much of one is there?

Nothing on this hardware can carry a tag, and a node takes several calls to
make. What tells a node from its surroundings is a handle that is written
down before the first of them (:func:`prepare`). Its ``extra`` holds

``devices``   the paths of the EEIOs that were chosen
``group_id``  the group of the node; None until it is made
``notes``     what is left for the host to do

and says by being there that the EESV had no group and the EEIOs were free.
Every function here compares what it sees with that and does only what is
lacking, so each may be called again after a call whose end nobody knows.
What is in another group by now is somebody else's, and left alone. A handle
that says nothing names what others made: the group that its EESV is in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from valence.drivers import base
from valence.drivers.expether.records import Record
from valence.drivers.expether.service import Service

REBOOT = ('the group id of the server was changed: its host may need a '
          'reboot before it sees its devices')
RESCAN = ('devices were attached: the host has to rescan its PCI bus to see '
          'them')


@dataclass(frozen=True, slots=True)
class Rest:
    """What there is of a node: its EESV, if it still has it, and EEIOs."""

    eesv: Record | None
    eeios: tuple[Record, ...] = ()

    def __bool__(self) -> bool:
        return self.eesv is not None or bool(self.eeios)

    @property
    def group_id(self) -> str:
        return self.inside[0].group_id

    @property
    def inside(self) -> tuple[Record, ...]:
        """The EESV is last, as it is to be taken out of the group last."""
        return (*self.eeios, *((self.eesv,) if self.eesv else ()))


def prepare(service: Service, paths: Iterable[str]) -> base.Handle:
    """See that a node can be made of ``paths``; changes nothing.

    :raises Refused: it cannot, with the reason.
    """
    chosen = [service.device(path) for path in sorted(set(paths))]
    eesv = _only_eesv(chosen)
    eeios = [one for one in chosen if not one.is_eesv]
    for one in chosen:
        if not one.free:
            raise _held(one)
    _check_usable(chosen)
    _check_room(eesv, len(eeios))
    return base.Handle(eesv.path, {
        'group_id': None, 'devices': [one.path for one in eeios],
        'notes': []})


def compose(service: Service, handle: base.Handle) -> base.Handle:
    """Make what was prepared, or what is lacking of it.

    :returns: the handle of the whole node.
    :raises Refused: somebody else has some of it now, or the manager says
        no. What was done by then is still there.
    """
    devices = _devices(handle)
    eesv = service.device(handle.resource_path)
    eeios = [service.device(path) for path in devices]
    for one in eeios:
        if not (one.free or (eesv.grouped
                             and one.group_id == eesv.group_id)):
            raise _held(one)
    lacking = [one for one in eeios if one.free]
    if lacking or eesv.free:
        _check_usable([eesv, *lacking])
    _check_room(eesv, len(eeios))
    if not eesv.free:
        _check_alone(service, eesv, devices)
    group_id = eesv.group_id
    if eesv.free:
        group_id = service.set_group(eesv, None)
    for one in lacking:
        service.set_group(one, group_id)
    notes = [REBOOT, RESCAN] if eeios else [REBOOT]
    return base.Handle(eesv.path, {**handle.extra, 'group_id': group_id,
                                   'notes': notes})


def rest(service: Service, handle: base.Handle) -> Rest:
    """What there is of a node, whole, half made or half taken apart.

    Where it was made, its group is it: what joined the group joined the
    node. Where that is not sure, only what was chosen for it counts, and
    the EESV if no stranger is in a group with it.
    """
    group_id = handle.extra.get('group_id')
    if group_id is not None:
        return _whole(service, handle, group_id)
    try:
        eesv = service.device(handle.resource_path)
    except base.NotFound:
        return Rest(None)
    if not eesv.grouped:
        return Rest(None)
    if _says_nothing(handle):
        return _whole(service, handle, eesv.group_id)
    others = _others(service, eesv)
    ours = _chosen(handle, others)
    return Rest(eesv if len(ours) == len(others) else None, ours)


def _whole(service: Service, handle: base.Handle, group_id: str) -> Rest:
    members = service.members(group_id)
    eesvs = [one for one in members if one.is_eesv]
    eeios = tuple(one for one in members if not one.is_eesv)
    eesv = next((one for one in eesvs
                 if one.path == handle.resource_path), None)
    if eesv is not None:
        return Rest(eesv, eeios if len(eesvs) == 1 else _chosen(
            handle, members))
    try:
        now = service.device(handle.resource_path).group_id
    except base.NotFound:
        now = ''
    if now == group_id:
        raise base.Busy(f'the ExpEther Manager does not agree with itself '
                        f'about who is in group {group_id}')
    return Rest(None, () if eesvs else _chosen(handle, eeios))


def known(handle: base.Handle, there: Rest) -> base.Handle:
    """The handle of a node that was made, with what it has by now."""
    if there.eesv is None or handle.extra.get('group_id', '') is None:
        return handle
    return base.Handle(handle.resource_path, {
        'notes': [], **handle.extra, 'group_id': there.group_id,
        'devices': sorted(one.path for one in there.eeios)})


def release(service: Service, handle: base.Handle) -> None:
    """Set free what there is of a node: the EEIOs, then the EESV.

    :raises Refused: nothing says that it was a node, nor is it one.
    """
    there = rest(service, handle)
    if not there and _says_nothing(handle):
        raise base.Refused(f'{handle.resource_path} is in no group; it is '
                           'no composed system')
    for one in there.inside:
        service.clear_group(one)


def attach(service: Service, handle: base.Handle, path: str) -> base.Handle:
    """Put one more EEIO into the group of a node.

    :raises Refused: it is somebody else's, or one too many.
    """
    eesv = _in_place(service, handle)
    eeio = service.device(path)
    if eeio.is_eesv:
        raise base.Refused(f'{eeio.id} is an EESV; only EEIOs are attached')
    if eeio.group_id != eesv.group_id:
        if not eeio.free:
            raise _held(eeio)
        _check_usable([eesv, eeio])
        there = [one for one in _others(service, eesv) if not one.is_eesv]
        _check_room(eesv, len(there) + 1)
        service.set_group(eeio, eesv.group_id)
    return base.Handle(handle.resource_path, {
        **handle.extra, 'devices': sorted({*_devices(handle), path}),
        'notes': [RESCAN]})


def detach(service: Service, handle: base.Handle, path: str) -> base.Handle:
    """Take one EEIO out of the group of a node, if it is in there."""
    eesv = _in_place(service, handle)
    eeio = service.device(path)
    if eeio.is_eesv:
        raise base.Refused(f'{eeio.id} is an EESV; only EEIOs are detached')
    if eeio.group_id == eesv.group_id:
        service.clear_group(eeio)
    return base.Handle(handle.resource_path, {
        **handle.extra, 'devices': sorted({*_devices(handle)} - {path}),
        'notes': []})


def _in_place(service: Service, handle: base.Handle) -> Record:
    """The EESV of a node, in the node's group."""
    eesv = service.device(handle.resource_path)
    group_id = handle.extra.get('group_id') or eesv.group_id
    if not eesv.grouped or eesv.group_id != group_id:
        raise base.Refused(
            f'EESV {eesv.id} is not in group {group_id} (any more), but in '
            f'group {eesv.group_id or "unknown"}')
    return eesv


def _only_eesv(chosen: list[Record]) -> Record:
    eesvs = [one for one in chosen if one.is_eesv]
    if len(eesvs) != 1:
        raise base.Refused(f'a node needs exactly one EESV (a device of type '
                           f'compute), not {len(eesvs)}')
    return eesvs[0]


def _check_usable(some: Iterable[Record]) -> None:
    for one in some:
        if not one.usable:
            raise base.Refused(
                f'{one.kind} {one.id} is '
                f'{"disabled" if one.up else "down"}; nothing is changed')


def _check_room(eesv: Record, count: int) -> None:
    most = eesv.max_eeio_count
    if most is not None and count > most:
        raise base.Refused(f'EESV {eesv.id} takes at most {most} EEIOs, not '
                           f'{count}')


def _check_alone(service: Service, eesv: Record,
                 allowed: Iterable[str]) -> None:
    if not eesv.grouped:
        raise base.Refused(f'EESV {eesv.id} has the group id '
                           f'{eesv.group_id or "unknown"}, which is none that '
                           'a node can have')
    foreign = [one.id for one in _others(service, eesv)
               if one.path not in set(allowed)]
    if foreign:
        raise base.Refused(
            f'EESV {eesv.id} is in group {eesv.group_id} with what was not '
            f'asked for ({", ".join(foreign[:5])}): somebody else uses it')


def _held(one: Record) -> base.Refused:
    return base.Refused(f'{one.kind} {one.id} is held by group '
                        f'{one.group_id or "unknown"}; it is not taken away')


def _others(service: Service, eesv: Record) -> list[Record]:
    return [one for one in service.members(eesv.group_id)
            if one.path != eesv.path]


def _chosen(handle: base.Handle, some: Iterable[Record]
            ) -> tuple[Record, ...]:
    mine = set(_devices(handle))
    return tuple(one for one in some if one.path in mine)


def _says_nothing(handle: base.Handle) -> bool:
    return 'devices' not in handle.extra


def _devices(handle: base.Handle) -> list[str]:
    extra: Mapping[str, Any] = handle.extra
    return list(extra.get('devices', ()))
