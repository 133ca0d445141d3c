# SPDX-License-Identifier: Apache-2.0
"""What can happen to the hardware, and how it is done again at a restart.

An effect is a name and the details of its line in the ledger. It is
recorded first and then applied; a restart applies what was recorded.
"""

from collections.abc import Callable, Mapping
from typing import Any

from valence.simulator.ledger import Ledger
from valence.simulator.redfish.model import BLOCKS, Block, Parts, Pod, System
from valence.simulator.resources import Collection, Resource

# After a restart no ETag may mean what it did not mean before, even though
# changes that are no effects, such as a block being held, left no trace.
_GAP = 1 << 20

Listener = Callable[[str, Resource], None]


class Effects:
    """Everything that changes the hardware of one pod."""

    def __init__(self, pod: Pod, ledger: Ledger) -> None:
        self._pod = pod
        self._ledger = ledger
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with ResourceCreated, ResourceUpdated or
        ResourceRemoved and the resource, after each effect.
        """
        self._listeners.append(listener)

    def do(self, effect: str, private: Mapping[str, Any] | None = None,
           /, **details: Any) -> None:
        """Record an effect and apply it; raises OSError, and then nothing
        happened. ``private`` is not for the ledger.
        """
        self._ledger.record(effect, dict(private or {}), **details)
        self._apply(effect, {**details, **(private or {})})

    def requested(self, **details: Any) -> None:
        """Record a reset that is accepted and not yet applied."""
        self._ledger.record("reset", phase="requested", **details)

    def note_count(self, composed: int) -> None:
        """Continue the ids of composed systems after ``composed``."""
        self._ledger.note("count", composed=composed)
        self._pod.composed = composed

    def replay(self) -> None:
        """Apply what the ledger remembers from before a restart."""
        for entry in self._ledger.history:
            if entry["effect"] == "count":
                self._pod.composed = entry["composed"]
            else:
                self._apply(entry["effect"],
                            {**entry, **entry.get("private", {})})
        if self._ledger.history:
            self._pod.generation += _GAP

    def _apply(self, effect: str, details: dict[str, Any]) -> None:
        apply = _APPLY.get(effect)
        if apply is None:
            return
        for kind, resource in apply(self._pod, details):
            for listener in self._listeners:
                listener(kind, resource)


Changes = list[tuple[str, Resource]]


def _blocks(pod: Pod, details: dict[str, Any]) -> list[Block]:
    found = [pod.resources.get(uri) for uri in details["blocks"]]
    return [block for block in found if isinstance(block, Block)]


def _system(pod: Pod, details: dict[str, Any]) -> System:
    system = pod.resources[details["system"]]
    assert isinstance(system, System)
    return system


def _updated(*resources: Resource) -> Changes:
    return [("ResourceUpdated", resource) for resource in resources]


def _compose(pod: Pod, details: dict[str, Any]) -> Changes:
    blocks = _blocks(pod, details)
    uri = details["system"]
    system = System(
        uri, uri.rpartition("/")[2], details["name"],
        details.get("description", ""), details["uuid"], "Composed",
        Parts.union(block.parts for block in blocks), _places(blocks),
        list(blocks))
    pod.composed = details.get("number", pod.composed + 1)
    for block in blocks:
        block.systems.append(system)
    pod.touch(pod.systems, *blocks, *system.chassis)
    pod.add_system(system)
    return [("ResourceCreated", system), *_updated(*blocks)]


def _decompose(pod: Pod, details: dict[str, Any]) -> Changes:
    system = _system(pod, details)
    for block in system.blocks:
        block.systems.remove(system)
    pod.remove_system(system)
    pod.touch(pod.systems, *system.blocks, *system.chassis)
    return [("ResourceRemoved", system), *_updated(*system.blocks)]


def _attach(pod: Pod, details: dict[str, Any]) -> Changes:
    system, blocks = _system(pod, details), _blocks(pod, details)
    system.blocks += blocks
    for block in blocks:
        block.systems.append(system)
    return _rebuild(pod, system, blocks)


def _detach(pod: Pod, details: dict[str, Any]) -> Changes:
    system, blocks = _system(pod, details), _blocks(pod, details)
    for block in blocks:
        system.blocks.remove(block)
        block.systems.remove(system)
    return _rebuild(pod, system, blocks)


def _rebuild(pod: Pod, system: System, changed: list[Block]) -> Changes:
    before = system.chassis
    system.parts = Parts.union(
        [system.own, *(block.parts for block in system.blocks)])
    system.chassis = _places(system.blocks) if system.composed else before
    pod.touch(system, *changed, *(b.chassis for b in changed))
    pod.show_parts(system)
    return _updated(system, *changed)


def _places(blocks: list[Block]) -> list[Any]:
    return list({b.chassis.uri: b.chassis for b in blocks}.values())


def _reserve(pod: Pod, details: dict[str, Any]) -> Changes:
    return _set_reserved(pod, details, True)


def _unreserve(pod: Pod, details: dict[str, Any]) -> Changes:
    return _set_reserved(pod, details, False)


def _set_reserved(pod: Pod, details: dict[str, Any],
                  value: bool) -> Changes:
    blocks = _blocks(pod, details)
    for block in blocks:
        block.reserved = value
    pod.touch(*blocks)
    return _updated(*blocks)


def _reset(pod: Pod, details: dict[str, Any]) -> Changes:
    if details["phase"] != "applied":
        return []
    system = _system(pod, details)
    system.power = details["power_state"]
    if details.get("boot_over"):
        # "Once" ends with the boot it was for.
        system.boot_enabled, system.boot_target = "Disabled", "None"
    pod.touch(system)
    return _updated(system)


def _boot(pod: Pod, details: dict[str, Any]) -> Changes:
    system = _system(pod, details)
    for name in ("boot_enabled", "boot_target", "boot_mode"):
        if name in details:
            setattr(system, name, details[name])
    pod.touch(system)
    return _updated(system)


def _health(pod: Pod, details: dict[str, Any]) -> Changes:
    blocks = _blocks(pod, details)
    for block in blocks:
        block.down = details["state"]
    pod.touch(*blocks)
    return _updated(*blocks)


def _vanish(pod: Pod, details: dict[str, Any]) -> Changes:
    blocks = _blocks(pod, details)
    collection = pod.resources[BLOCKS]
    assert isinstance(collection, Collection)
    for block in blocks:
        block.hidden = True
        collection.members.pop(block.uri, None)
        block.zone.blocks.remove(block)
        block.chassis.blocks.remove(block)
        pod.touch(block.zone, block.chassis)
    pod.touch(collection)
    return [("ResourceRemoved", block) for block in blocks]


def _return(pod: Pod, details: dict[str, Any]) -> Changes:
    blocks = _blocks(pod, details)
    collection = pod.resources[BLOCKS]
    assert isinstance(collection, Collection)
    for block in blocks:
        block.hidden = False
        collection.members[block.uri] = block
        block.zone.blocks.append(block)
        block.chassis.blocks.append(block)
        pod.touch(block, block.zone, block.chassis)
    pod.touch(collection)
    return [("ResourceCreated", block) for block in blocks]


_APPLY: dict[str, Callable[[Pod, dict[str, Any]], Changes]] = {
    "compose": _compose, "decompose": _decompose, "attach": _attach,
    "detach": _detach, "reserve": _reserve, "unreserve": _unreserve,
    "reset": _reset, "boot": _boot, "health": _health, "vanish": _vanish,
    "return": _return,
}
