# SPDX-License-Identifier: Apache-2.0
"""Which free devices of one pod make up the node that is asked for?

Pure functions over the free devices: no database, no clock. The least that
satisfies the request is taken, so that large devices stay free for large
requests; equally good ones are taken at random, so that requests at the same
time seldom want the same one.
"""

import dataclasses
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from valence.common.devices import SATISFIED_BY, DeviceType

# The kinds that a zone's limits are given for, see base.Zone.
_LIMIT_KINDS = {
    DeviceType.COMPUTE: 'compute',
    DeviceType.PROCESSOR: 'processor', DeviceType.GPU: 'processor',
    DeviceType.FPGA: 'processor', DeviceType.ACCELERATOR: 'processor',
    DeviceType.MEMORY: 'memory',
    DeviceType.NVME: 'storage', DeviceType.SSD: 'storage',
    DeviceType.HDD: 'storage', DeviceType.STORAGE: 'storage',
    DeviceType.NIC: 'nic',
}


@dataclasses.dataclass(frozen=True, slots=True)
class FreeDevice:
    """A pooled device that nobody owns. Units as in the API.

    A ``server`` is there already, and is a node by what is added to it.
    """

    resource_path: str
    type: DeviceType
    processor_cores: int = 0
    memory_mib: int = 0
    capacity_gib: int = 0
    memory_type: str = ''
    model: str = ''
    zone_paths: tuple[str, ...] = ()
    server: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """The devices to join, all of one zone (None where there are none)."""

    device_paths: tuple[str, ...]
    zone_path: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """Normalised requirements: what the devices have to add up to."""

    cores: int = 0
    memory_mib: int = 0
    processor_model: str = ''
    memory_type: str = ''
    pci: tuple[DeviceType, ...] = ()

    @classmethod
    def parse(cls, properties: Mapping[str, Any]) -> 'Wanted':
        processor = properties.get('processor') or {}
        memory = properties.get('memory') or {}
        pci = properties.get('pci_device') or {}
        return cls(
            cores=processor.get('total_cores') or 0,
            memory_mib=memory.get('capacity_mib') or 0,
            processor_model=(processor.get('model') or '').lower(),
            memory_type=(memory.get('type') or '').lower(),
            pci=tuple(sorted((DeviceType(kind) for kind in
                              pci.get('type') or ()),
                             # The least choosy last.
                             key=lambda kind: (len(SATISFIED_BY[kind]),
                                               kind))))

    @property
    def types(self) -> frozenset[DeviceType]:
        """All device types that may be part of the node."""
        found = {DeviceType.COMPUTE}
        if self.memory_mib:
            found.add(DeviceType.MEMORY)
        for kind in self.pci:
            found |= SATISFIED_BY[kind]
        return frozenset(found)


def plan(wanted: Wanted, devices: Iterable[FreeDevice],
         limits: Mapping[str, Mapping[str, Any]]) -> Plan | None:
    """The devices for one node, or None where no zone can give them.

    :param limits: by zone, {kind: [least, most]} per system
    """
    zones: dict[str | None, list[FreeDevice]] = defaultdict(list)
    for device in devices:
        for zone in device.zone_paths or (None,):
            zones[zone].append(device)
    # The emptiest zone that will do: full ones stay for large requests.
    order = sorted(zones, key=lambda zone: (len(zones[zone]), zone or ''))
    for zone in order:
        chosen = _choose(wanted, zones[zone])
        if chosen and _within(chosen, limits.get(zone or '', {})):
            return Plan(tuple(sorted(d.resource_path for d in chosen)), zone)
    return None


def _choose(wanted: Wanted,
            devices: Sequence[FreeDevice]) -> list[FreeDevice] | None:
    by_type: dict[DeviceType, list[FreeDevice]] = defaultdict(list)
    for device in random.sample(devices, len(devices)):
        by_type[device.type].append(device)
    chosen = _choose_compute(wanted, by_type)
    if chosen is None:
        return None
    taken = {device.resource_path for device in chosen}
    for kind in wanted.pci:
        fits = [device for match in SATISFIED_BY[kind]
                for device in by_type[match]
                if device.resource_path not in taken]
        if not fits:
            return None
        best = min(fits, key=lambda d: (d.type != kind, d.capacity_gib))
        chosen.append(best)
        taken.add(best.resource_path)
    return chosen


def _choose_compute(wanted: Wanted,
                    by_type: Mapping[DeviceType, list[FreeDevice]]
                    ) -> list[FreeDevice] | None:
    sleds = [d for d in by_type[DeviceType.COMPUTE]
             if d.processor_cores >= wanted.cores
             and wanted.processor_model in d.model.lower()
             and wanted.memory_type in d.memory_type.lower()
             # A server is no node without another device.
             and not (d.server and not wanted.pci
                      and d.memory_mib >= wanted.memory_mib)]
    whole = [d for d in sleds if d.memory_mib >= wanted.memory_mib]
    if whole:
        return [min(whole, key=lambda d: (d.memory_mib, d.processor_cores))]
    if not sleds:
        return None
    # No sled has the memory: the largest one, and pooled memory beside it.
    chosen = [max(sleds, key=lambda d: d.memory_mib)]
    lacking = wanted.memory_mib - chosen[0].memory_mib
    for device in sorted(by_type[DeviceType.MEMORY],
                         key=lambda d: -d.memory_mib):
        if lacking <= 0:
            break
        if wanted.memory_type in device.memory_type.lower():
            chosen.append(device)
            lacking -= device.memory_mib
    return chosen if lacking <= 0 else None


def _within(chosen: Iterable[FreeDevice],
            limits: Mapping[str, Any]) -> bool:
    count = Counter(_LIMIT_KINDS.get(d.type, 'other') for d in chosen)
    return all(low <= count[kind] and (high is None or count[kind] <= high)
               for kind, (low, high) in limits.items())
