# SPDX-License-Identifier: Apache-2.0
"""In what does a pod differ from what Valence knows of it?

Pure functions over one complete scan and the nodes with their claims. A node
that an operation holds, or that changed since the scan began, says nothing,
and nor does a system that has one of its devices.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from valence.common import states
from valence.drivers.base import TAG, System

#: The system of a node has other devices than the node claims.
MISMATCH: Final = 'mismatch'
#: A node owns devices, but its system is not there.
GONE: Final = 'gone'
#: A system that carries the tag of a node that does not exist.
ORPHAN: Final = 'orphan'
#: A composed system of somebody else.
FOREIGN: Final = 'foreign'

_PREFIX = 'valence-'


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """A node as Valence knows it, with the devices that it claims."""

    uuid: str
    state: str
    resource_path: str | None
    handle: Any
    generation: int
    quiet: bool
    device_paths: frozenset[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One difference. ``act`` holds what is needed to do something about
    it; empty where it is only reported.
    """

    kind: str
    resource_path: str
    node_uuid: str | None
    details: Mapping[str, Any]
    act: Mapping[str, Any]


def tag_of(node_uuid: str) -> str:
    """What a node's composition carries on its backend."""
    return f'{_PREFIX}{node_uuid}'


def node_of(tag: str | None) -> str | None:
    """The uuid of the node whose tag it is."""
    return tag.removeprefix(_PREFIX) if tag and TAG.fullmatch(tag) else None


def compare(systems: Iterable[System], nodes: Collection[Known],
            elsewhere: Collection[str] = ()) -> list[Finding]:
    """All differences.

    :param elsewhere: uuids of nodes of other pod managers
    """
    by_uuid = {node.uuid: node for node in nodes}
    by_path = {node.resource_path: node for node in nodes}
    owners = {path: node for node in nodes for path in node.device_paths}
    own: dict[str, list[System]] = defaultdict(list)
    users: dict[str, set[str]] = defaultdict(set)
    findings = []
    for system in {one.resource_path: one for one in systems}.values():
        uuid = node_of(system.tag)
        node = (by_path.get(system.resource_path) if uuid is None
                else by_uuid.get(uuid))
        holders = {owners[path].uuid: owners[path]
                   for path in system.device_paths if path in owners}
        for holder in holders:
            users[holder].add(system.resource_path)
        if node is not None:
            own[node.uuid].append(system)
            continue
        if system.composed and all(one.quiet for one in holders.values()):
            findings.append(_stranger(system, uuid, sorted(holders),
                                      elsewhere))
    for node in nodes:
        if node.quiet:
            places = {system.resource_path for system in own[node.uuid]}
            findings += _of_node(node, own[node.uuid],
                                 sorted(users[node.uuid] - places))
    return findings


def at_stake(findings: Iterable[Finding], nodes: Iterable[Known]
             ) -> tuple[int, int]:
    """How many nodes would be freed, and of how many.

    Only active nodes are: one in error keeps what it claims.
    """
    return (sum(one.kind == GONE and bool(one.act) for one in findings),
            sum(one.state == states.ACTIVE and bool(one.device_paths)
                for one in nodes))


def _stranger(system: System, uuid: str | None, claimed_by: list[str],
              elsewhere: Collection[str]) -> Finding:
    found = sorted(system.device_paths)
    details = {'name': system.name, 'found': found, 'claimed_by': claimed_by}
    if uuid is None or uuid in elsewhere:
        return Finding(FOREIGN, system.resource_path, uuid, details, {})
    free = bool(found) and not claimed_by
    return Finding(ORPHAN, system.resource_path, uuid, details,
                   {'found': found} if free else {})


def _of_node(node: Known, systems: list[System],
             users: list[str]) -> list[Finding]:
    places = sorted(system.resource_path for system in systems)
    found = {path for system in systems for path in system.device_paths}
    lacking = sorted(node.device_paths - found)
    foreign = sorted(found - node.device_paths)
    moved = places and node.resource_path and places != [node.resource_path]
    if not (lacking or foreign or moved):
        return []
    details: dict[str, Any] = {
        'expected': sorted(node.device_paths), 'found': sorted(found),
        'lacking': lacking, 'not_asked_for': foreign, 'systems': places}
    if users:
        details['used_by'] = users
    act = {} if node.state != states.ACTIVE else {
        'handle': node.handle, 'generation': node.generation,
        'expected': sorted(node.device_paths)}
    path = node.resource_path or (places[0] if places else '')
    return [Finding(MISMATCH if places or users else GONE, path, node.uuid,
                    details, act)]
