# SPDX-License-Identifier: Apache-2.0
"""Where could a node be composed, and why perhaps nowhere?"""

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
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

_MOST_REASONS = 5


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
    :raises NoValidResources: saying what is short, pod by pod; the pods'
        names are only in what is for those who may know them
    """
    wanted = planner.Wanted.parse(requirements)
    pods = _composable(conn, pod_manager_uuid)
    random.shuffle(pods)
    reasons = []
    for pod in pods:
        if pod.capabilities.get('allocation') == 'backend':
            return Placement(pod.id, pod.uuid, planner.Plan((), None))
        devices = _free(conn, pod, wanted)
        found = planner.plan(wanted, devices, _limits(conn, pod.id))
        if found:
            return Placement(pod.id, pod.uuid, found)
        reasons.append((pod.name, _shortage(wanted, devices)))
    raise _refusal('no pod manager can give this node now', reasons)


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
        problem = f'(driver {pods[0].driver}) cannot compose nodes'
        raise errors.BadRequest(
            f'the pod manager {problem}', code='unsupported',
            field='pod_manager',
            named=f'pod manager {pods[0].name} {problem}')
    if not pods:
        raise errors.NoValidResources(
            'no pod manager is registered', code='no_pod_manager')
    raise _refusal('no pod manager is online and able to compose', [
        (pod.name, _why_not(pod)) for pod in pods])


def _why_not(pod: Any) -> str:
    """Why a pod composes nothing now."""
    if pod.draining or pod.status != 'online':
        return 'draining' if pod.draining else str(pod.status)
    return (f'online, but what its driver {pod.driver} found there cannot '
            'compose nodes')


def _refusal(problem: str, reasons: Iterable[tuple[str, str]]
             ) -> errors.NoValidResources:
    """:param reasons: of each pod manager its name, and why not there"""
    found = sorted(reasons)
    named = '; '.join(f'{name}: {reason}' for name, reason in
                      found[:_MOST_REASONS])
    counted = '; '.join(
        f'{count} pod managers: {reason}' if count > 1 else reason
        for reason, count in Counter(
            reason for _, reason in found).most_common(_MOST_REASONS))
    return errors.NoValidResources(
        f'{problem} ({counted})', named=f'{problem} ({named})')


def _free(conn: sa.Connection, pod: Any,
          wanted: planner.Wanted) -> list[planner.FreeDevice]:
    """What a node can be planned of.

    Where nodes are only made onto servers no other compute device is any
    good. Elsewhere a device that says which server it is in may be a sled.
    """
    expands = pod.capabilities.get('expand')
    only = expands and not pod.capabilities.get('tags')
    columns = _DEVICES.c
    rows = conn.execute(
        sa.select(columns.resource_path, columns.type,
                  columns.processor_cores, columns.memory_mib,
                  columns.capacity_gib, columns.memory_type, columns.model,
                  sa.type_coerce(columns.zone_paths, sa.Text),
                  columns.system_path.is_not(None))
        .where(columns.pod_manager_id == pod.id,
               columns.pooled, columns.state == 'free',
               columns.type.in_(sorted(wanted.types)),
               columns.missing_since.is_(None),
               ~sa.exists().where(
                   _CLAIMS.c.pod_manager_id == pod.id,
                   _CLAIMS.c.resource_path == columns.resource_path)))
    # Thousands of devices share a few zones.
    zones: dict[str, tuple[str, ...]] = {}
    devices = []
    for (path, kind, cores, memory, capacity, memory_type, model, zone,
         in_server) in rows:
        server = bool(expands and in_server and kind == DeviceType.COMPUTE)
        if only and kind == DeviceType.COMPUTE and not server:
            continue
        if zone not in zones:
            zones[zone] = tuple(orjson.loads(zone))
        devices.append(planner.FreeDevice(
            path, DeviceType(kind), cores or 0, memory or 0, capacity or 0,
            memory_type or '', model or '', zones[zone], server))
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
    traits = _traits(wanted)
    fitting = [d for d in sleds if all(has(d) for has in traits.values())]
    if not fitting:
        # Each alone may be there, and no device with all of them.
        lacking = [words for words, has in traits.items()
                   if not any(map(has, sleds))] or list(traits)
        return (f'none of {len(sleds)} free compute device(s) has '
                + ' and '.join(lacking))
    for kind in wanted.pci:
        have = sum(d.type in SATISFIED_BY[kind] for d in devices)
        need = wanted.pci.count(kind)
        if have < need:
            return f'{need} {kind} wanted, {have} free'
    if not wanted.pci and all(d.server for d in fitting):
        return ('its compute devices are servers that are there already; '
                'each is a node only with another device, so ask for one')
    memory = max(d.memory_mib for d in fitting) + sum(
        d.memory_mib for d in devices if d.type == DeviceType.MEMORY
        and wanted.memory_type in d.memory_type.lower())
    if wanted.memory_mib > memory:
        return f'{wanted.memory_mib} MiB wanted, at most {memory} MiB free'
    return 'enough devices are free, but not in one zone'


def _traits(wanted: planner.Wanted
            ) -> dict[str, Callable[[planner.FreeDevice], bool]]:
    """What a compute device has to have, in words, and whether it does."""
    traits: dict[str, Callable[[planner.FreeDevice], bool]] = {}
    if wanted.cores:
        traits[f'{wanted.cores} cores'] = (
            lambda d: d.processor_cores >= wanted.cores)
    if wanted.processor_model:
        traits[f'model {wanted.processor_model}'] = (
            lambda d: wanted.processor_model in d.model.lower())
    if wanted.memory_type:
        traits[f'memory of type {wanted.memory_type}'] = (
            lambda d: wanted.memory_type in d.memory_type.lower())
    return traits
