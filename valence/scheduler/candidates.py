# SPDX-License-Identifier: Apache-2.0
"""Where could a node be composed, and why perhaps nowhere?"""

import dataclasses
import random
from collections.abc import Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from valence.common import errors
from valence.common.devices import SATISFIED_BY, DeviceType
from valence.db import models
from valence.scheduler import planner

_PODS: Any = models.PodManager.__table__
_DEVICES: Any = models.Device.__table__
_CLAIMS: Any = models.Claim.__table__
_ZONES: Any = models.Zone.__table__


@dataclasses.dataclass(frozen=True, slots=True)
class Placement:
    """A pod manager and, unless its backend chooses itself, the devices."""

    pod_manager_id: int
    pod_manager_uuid: str
    plan: planner.Plan


def place(conn: sa.Connection, requirements: Mapping[str, Any],
          pod_manager_uuid: str | None = None) -> Placement:
    """Find a place for a node among all pods that can compose now.

    :param requirements: a flavor's properties, normalised
    :raises NoValidResources: saying what is short, pod by pod
    """
    wanted = planner.Wanted.parse(requirements)
    pods = _composable(conn, pod_manager_uuid)
    random.shuffle(pods)
    reasons = []
    for pod in pods:
        if pod.capabilities.get('allocation') == 'backend':
            return Placement(pod.id, pod.uuid, planner.Plan((), None))
        devices = _free(conn, pod.id, wanted)
        found = planner.plan(wanted, devices, _limits(conn, pod.id))
        if found:
            return Placement(pod.id, pod.uuid, found)
        reasons.append(f'{pod.name}: {_shortage(wanted, devices)}')
    raise errors.NoValidResources(
        'no pod manager can give this node now ('
        + '; '.join(sorted(reasons)[:5]) + ')')


def _composable(conn: sa.Connection, uuid: str | None) -> list[Any]:
    query = sa.select(_PODS.c.id, _PODS.c.uuid, _PODS.c.name, _PODS.c.status,
                      _PODS.c.driver, _PODS.c.capabilities,
                      _PODS.c.draining)
    if uuid:
        query = query.where(_PODS.c.uuid == uuid)
    pods = conn.execute(query).all()
    usable = [pod for pod in pods if pod.status == 'online'
              and not pod.draining and (pod.capabilities or {}).get('compose')]
    if usable:
        return usable
    if (uuid and pods and pods[0].status == 'online'
            and not pods[0].draining):
        raise errors.BadRequest(
            f'pod manager {pods[0].name} (driver {pods[0].driver}) cannot '
            'compose nodes', code='unsupported', field='pod_manager')
    if not pods:
        raise errors.NoValidResources(
            'no pod manager is registered', code='no_pod_manager')
    raise errors.NoValidResources(
        'no pod manager is online and able to compose ('
        + ', '.join(sorted(
            f'{pod.name} is {"draining" if pod.draining else pod.status}'
            for pod in pods)[:5]) + ')')


def _free(conn: sa.Connection, pod_manager_id: int,
          wanted: planner.Wanted) -> list[planner.FreeDevice]:
    columns = _DEVICES.c
    rows = conn.execute(
        sa.select(columns.resource_path, columns.type,
                  columns.processor_cores, columns.memory_mib,
                  columns.capacity_gib, columns.memory_type, columns.model,
                  sa.type_coerce(columns.zone_paths, sa.Text))
        .where(columns.pod_manager_id == pod_manager_id,
               columns.pooled, columns.state == 'free',
               columns.type.in_(sorted(wanted.types)),
               columns.missing_since.is_(None),
               ~sa.exists().where(
                   _CLAIMS.c.pod_manager_id == pod_manager_id,
                   _CLAIMS.c.resource_path == columns.resource_path)))
    # Thousands of devices share a few zones.
    zones: dict[str, tuple[str, ...]] = {}
    devices = []
    for path, kind, cores, memory, capacity, memory_type, model, zone in rows:
        if zone not in zones:
            zones[zone] = tuple(orjson.loads(zone))
        devices.append(planner.FreeDevice(
            path, DeviceType(kind), cores or 0, memory or 0, capacity or 0,
            memory_type or '', model or '', zones[zone]))
    return devices


def _limits(conn: sa.Connection, pod_manager_id: int) -> dict[str, Any]:
    return {row.resource_path: row.limits for row in conn.execute(
        sa.select(_ZONES.c.resource_path, _ZONES.c.limits)
        .where(_ZONES.c.pod_manager_id == pod_manager_id))}


def _shortage(wanted: planner.Wanted,
              devices: list[planner.FreeDevice]) -> str:
    """One clause that says what is missing."""
    sleds = [d for d in devices if d.type == DeviceType.COMPUTE]
    if not sleds:
        return 'no free compute device'
    if not any(d.processor_cores >= wanted.cores
               and wanted.processor_model in d.model.lower()
               for d in sleds):
        return (f'none of {len(sleds)} free compute devices has '
                f'{wanted.cores} cores'
                + (f' of model {wanted.processor_model}'
                   if wanted.processor_model else ''))
    for kind in wanted.pci:
        have = sum(d.type in SATISFIED_BY[kind] for d in devices)
        need = wanted.pci.count(kind)
        if have < need:
            return f'{need} {kind} wanted, {have} free'
    if wanted.memory_mib > max(d.memory_mib for d in sleds):
        return f'no free compute device with {wanted.memory_mib} MiB'
    return 'enough devices are free, but not in one zone'
