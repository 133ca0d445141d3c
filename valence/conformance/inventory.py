# SPDX-License-Identifier: Apache-2.0
"""Is an inventory one that Valence can store and schedule on?

All functions return what is wrong, as sentences.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from valence.conformance import values
from valence.db import inventory as stored
from valence.db import models
from valence.drivers import base

#: The kinds of ``Zone.limits``.
LIMIT_KINDS = frozenset(('compute', 'processor', 'memory', 'storage', 'nic',
                         'other'))

_BIGGEST = 2 ** 53
_BIGGEST_INTEGER = 2 ** 31 - 1


def flaws(found: base.Inventory) -> list[str]:
    """All that is wrong with the result of a scan."""
    wrong = values.type_flaws(found)
    for table in stored.TABLES:
        for record in getattr(found, table):
            wrong += values.flaws(record) or unstorable(
                record, stored.TABLES[table])
        wrong += _twice(table, getattr(found, table))
    for problem in found.problems:
        wrong += values.flaws(problem)
    for zone in found.zones:
        wrong += _limit_flaws(zone)
    if not found.complete and not found.problems:
        wrong.append('complete is false, but no problem says why')
    return wrong


def unstorable(record: Any, table: Any) -> list[str]:
    """What of a record the columns of ``table`` have no room for."""
    wrong = []
    what = f'{type(record).__name__} {record.resource_path!r:.80}'
    if not record.resource_path:
        wrong.append(f'{what} has an empty resource_path')
    for column in table.columns:
        value = getattr(record, column.name, None)
        wrong += [f'{what}: {column.name} {flaw}'
                  for flaw in misfit(value, column.type)]
    tag = getattr(record, 'tag', None)
    if tag is not None and base.TAG.fullmatch(tag) is None:
        wrong.append(f'{what}: tag is {tag!r:.80}, which no compose was given')
    for name in ('device_paths', 'zone_paths'):
        for path in getattr(record, name, ()):
            wrong += [f'{what}: {path!r:.80} in {name} {flaw}'
                      for flaw in misfit(path, sa.String(512))]
    return wrong


def hardware_flaws(hardware: base.NodeHardware) -> list[str]:
    """What is wrong with what was read back of a node."""
    table: Any = models.Node.__table__
    wrong = values.flaws(hardware)
    for name in ('power_state', 'boot_target', 'boot_enabled',
                 'processor_cores', 'processor_model', 'memory_mib'):
        wrong += [f'NodeHardware.{name} {flaw}' for flaw in misfit(
            getattr(hardware, name), table.c[name].type)]
    wrong += [f'NodeHardware.handle.resource_path {flaw}' for flaw in misfit(
        hardware.handle.resource_path, table.c.resource_path.type)]
    if len(set(hardware.device_paths)) != len(hardware.device_paths):
        wrong.append('NodeHardware.device_paths names a device twice')
    return wrong


def misfit(value: Any, column: Any) -> list[str]:
    """Why a column of that type cannot hold ``value``."""
    if isinstance(value, str) and isinstance(column, sa.String):
        room = column.length
        if room is not None and len(value) > room:
            return [f'has {len(value)} characters; there is room for {room}']
        if any(ord(char) < 32 or ord(char) == 127 for char in value):
            return ['has control characters']
    if isinstance(value, int) and not isinstance(value, bool):
        most = _BIGGEST if isinstance(
            column, sa.BigInteger) else _BIGGEST_INTEGER
        if not 0 <= value <= most:
            return [f'is {value}, not within 0 and {most}']
    return []


def dangling(found: base.Inventory) -> list[str]:
    """Which paths of a complete inventory lead to nothing in it."""
    known = {table: {record.resource_path
                     for record in getattr(found, table)}
             for table in stored.TABLES}

    def lost(record: Any, field: str, table: str) -> list[str]:
        named = getattr(record, field)
        paths: Iterable[str] = (
            named if isinstance(named, tuple) else filter(None, (named,)))
        return [f'{field} of {record.resource_path} names {path}, which is '
                f'not among the {table}'
                for path in paths if path not in known[table]]

    wrong = []
    for record in (*found.racks, *found.systems, *found.devices):
        wrong += lost(record, 'rack_path', 'racks')
    for device in found.devices:
        wrong += lost(device, 'system_path', 'systems')
        wrong += lost(device, 'zone_paths', 'zones')
    for system in (*found.systems, *found.zones):
        wrong += lost(system, 'device_paths', 'devices')
    zones = {zone.resource_path: set(zone.device_paths)
             for zone in found.zones}
    for device in found.devices:
        wrong += [f'{device.resource_path} says that it is of {path}, which '
                  'does not list it' for path in device.zone_paths
                  if device.resource_path not in zones.get(path, ())]
    listed = {device.resource_path: set(device.zone_paths)
              for device in found.devices}
    for zone in found.zones:
        wrong += [f'{zone.resource_path} lists {path}, which does not say '
                  'that it is of it' for path in zone.device_paths
                  if zone.resource_path not in listed.get(path, ())]
    return wrong


def counts(found: base.Inventory) -> Mapping[str, int]:
    """How many there are of each table, and of each type of pooled device."""
    return {**{table: len(getattr(found, table)) for table in stored.TABLES},
            **Counter(str(device.type.value) for device in found.devices
                      if device.pooled)}


def _twice(table: str, records: Iterable[Any]) -> list[str]:
    return [f'{path} is {count} times among the {table}'
            for path, count in Counter(
                record.resource_path for record in records).items()
            if count > 1]


def _limit_flaws(zone: base.Zone) -> list[str]:
    wrong = []
    for kind, bounds in zone.limits.items():
        low, high = (bounds if isinstance(bounds, list)
                     and len(bounds) == 2 else (None, None))
        good = isinstance(low, int) and low >= 0 and (
            high is None or isinstance(high, int) and high >= low)
        if kind not in LIMIT_KINDS or not good:
            wrong.append(
                f'limits of {zone.resource_path} have {kind!r}: {bounds!r}; '
                f'that is none of {", ".join(sorted(LIMIT_KINDS))} with '
                '[least, most or None]')
    return wrong
