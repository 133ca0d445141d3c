# SPDX-License-Identifier: Apache-2.0
"""What does an ExpEther Manager have, in Valence's words?

Each EESV is a system, and a pooled device of type compute beside it, as the
server's side is chosen and claimed like everything else. Each EEIO is a
pooled device. There are no racks, and any EEIO can join any EESV.
"""

from collections import defaultdict
from typing import Any

from valence.common.devices import DeviceState, DeviceType
from valence.drivers import base
from valence.drivers.expether import pci
from valence.drivers.expether.records import Record, compact
from valence.drivers.expether.service import Service

_POWER = {'on': 'On', 'off': 'Off'}


def discover(service: Service) -> base.Inventory:
    """Everything, from one answer where that is not too large."""
    found, problems = _read(service)
    service.client.rest()
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in found:
        if record.grouped:
            groups[record.group_id].append(record)
    systems, devices = [], []
    for record in sorted(found, key=lambda one: one.path):
        group = groups.get(record.group_id, [])
        if record.is_eesv:
            systems.append(_system(record, group))
            devices.append(_compute(record))
        else:
            devices.append(_eeio(record, group))
    return base.Inventory(systems=tuple(systems), devices=tuple(devices),
                          complete=not problems, problems=tuple(problems))


def _read(service: Service) -> tuple[list[Record], list[base.Problem]]:
    try:
        return service.devices()
    except base.BadAnswer as error:
        failure = error
    # Perhaps it was too large: the halves may not be.
    found: list[Record] = []
    problems: list[base.Problem] = []
    failed = 0
    for status in ('eesv', 'eeio'):
        query = f'?status={status}'
        try:
            some, unclear = service.devices(query)
        except (base.BadAnswer, base.Refused) as error:
            failed += 1
            problems.append(base.Problem(
                f'{service.root}/devices/detail{query}', str(error)))
        else:
            known = {one.path for one in found}
            found += [one for one in some if one.path not in known]
            problems += unclear
    if failed == 2:
        raise failure
    return found, problems


def health(record: Record) -> str:
    return 'OK' if record.up else 'Critical'


def power_state(eesv: Record) -> str | None:
    return _POWER.get(eesv.text('power_status') or '')


def details(record: Record) -> dict[str, Any]:
    """What else the manager says, for the operator."""
    return compact(
        group_id=record.group_id, status=record.kind.lower(),
        type=record.text('type', 16), mac_address=record.text('mac_address'),
        serial_number=record.text('serial_number'),
        board=record.text('model'),
        host_model=record.text('host_model'),
        host_serial_number=record.text('host_serial_number'),
        ee_version=record.text('ee_version', 64),
        max_eeio_count=record.max_eeio_count,
        admin_status=record.text('admin_status', 32),
        monitoring_status=record.text('monitoring_status', 32))


def _system(eesv: Record, group: list[Record]) -> base.System:
    inside = [one.path for one in group if not one.is_eesv]
    return base.System(
        resource_path=eesv.path, name=eesv.id, composed=eesv.grouped,
        power_state=power_state(eesv), health=health(eesv),
        device_paths=tuple(sorted([eesv.path, *inside])),
        details=details(eesv))


def _compute(eesv: Record) -> base.Device:
    return base.Device(
        resource_path=eesv.path, name=eesv.id, type=DeviceType.COMPUTE,
        state=_state(eesv), health=health(eesv),
        system_path=eesv.path,
        model=eesv.text('host_model') or eesv.text('model'),
        details=details(eesv))


def _eeio(eeio: Record, group: list[Record]) -> base.Device:
    servers = [one.path for one in group if one.is_eesv]
    class_code = pci.number(eeio.body.get('pcie_class_code'))
    function = _function(eeio, class_code)
    return base.Device(
        resource_path=eeio.path, name=eeio.id, type=pci.kind(class_code),
        state=_state(eeio), health=health(eeio),
        system_path=servers[0] if len(servers) == 1 else None,
        model=function.pop('model', None) or eeio.text('model'),
        details={**details(eeio), **compact(pci=function)})


def _function(eeio: Record, class_code: int | None) -> dict[str, Any]:
    """The PCI function behind the EEIO; empty for 10g and 1g boards."""
    vendor = pci.number(eeio.body.get('pcie_vendor_id'))
    device = pci.number(eeio.body.get('pcie_device_id'))
    found = compact(class_code=_hex(class_code, 6), vendor_id=_hex(vendor),
                    device_id=_hex(device))
    if vendor is None or device is None:
        return found
    vendor_name, device_name = pci.names(vendor, device)
    return {**found, **compact(
        vendor=vendor_name, device=device_name,
        model=' '.join((vendor_name or f'{vendor:04x}',
                        device_name or f'{device:04x}')))}


def _state(record: Record) -> DeviceState:
    """A group id that this code does not know is not called free."""
    if not record.up:
        return (DeviceState.FAILED if record.grouped
                else DeviceState.UNAVAILABLE)
    if record.free:
        return (DeviceState.FREE if record.enabled
                else DeviceState.UNAVAILABLE)
    return DeviceState.USED if record.grouped else DeviceState.UNAVAILABLE


def _hex(value: int | None, digits: int = 4) -> str | None:
    return None if value is None else f'0x{value:0{digits}x}'
