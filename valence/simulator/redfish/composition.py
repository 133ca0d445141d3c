# SPDX-License-Identifier: Apache-2.0
"""When blocks may become a system, and when a system may change.

Specific composition of DSP2050. Checking and holding are one synchronous
step, so two requests for one block cannot both pass.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from valence.simulator.redfish import constrained, generate
from valence.simulator.redfish.effects import Effects
from valence.simulator.redfish.messages import RedfishError
from valence.simulator.redfish.model import (
    SYSTEMS,
    Block,
    Pod,
    System,
)

# The @Redfish.ResourceBlockLimits of the capabilities object, by
# ResourceBlockType: fewest and most blocks of one system.
LIMITS = {"Compute": (1, 1), "Processor": (0, 8), "Storage": (0, 16),
          "Network": (0, 8)}
_NAME_LENGTH = 255
_WHERE = "#/Links/ResourceBlocks"


@dataclass(frozen=True)
class Composition:
    """A composition that may happen."""

    name: str
    description: str
    blocks: list[Block]


def check(pod: Pod, body: dict[str, Any],
          styles: Iterable[str] = ("specific",), reservation: str = "",
          taken: Iterable[Block] = ()) -> Composition:
    """What ``body`` asks for; raises RedfishError and changes nothing.

    ``styles`` are those on offer, of specific and constrained. A block
    reserved by a manifest is available to its own ``reservation`` only;
    ``taken`` are those that will be gone by then.
    """
    asks_constrained = ("constrained" in styles
                        and ("Links" not in body or "specific" not in styles))
    known = (constrained.PROPERTIES if asks_constrained
             else ("Name", "Description", "Links"))
    for name in body:
        if name not in known:
            raise RedfishError(400, "PropertyUnknown", name,
                               related=f"#/{name}")
    for name in ("Name",) if asks_constrained else ("Name", "Links"):
        if name not in body:
            raise RedfishError(400, "PropertyMissing", name,
                               related=f"#/{name}")
    for name in ("Name", "Description"):
        value = body.get(name, "")
        if not isinstance(value, str):
            raise RedfishError(400, "PropertyValueTypeError", str(value),
                               name, related=f"#/{name}")
        if len(value) > _NAME_LENGTH:
            raise RedfishError(400, "PropertyValueIncorrect", name, value,
                               related=f"#/{name}")
    if not body["Name"]:
        raise RedfishError(400, "PropertyValueIncorrect", "Name", "",
                           related="#/Name")
    gone = {block.uri for block in taken}
    if asks_constrained:
        blocks = constrained.choose(
            [block for block in pod.blocks()
             if _free(block, reservation) and block.uri not in gone],
            body, LIMITS)
    else:
        blocks = _blocks(pod, body["Links"])
        check_together(blocks)
        for number, block in enumerate(blocks):
            check_free(block, reservation, f"{_WHERE}/{number}",
                       block.uri in gone)
    return Composition(body["Name"], body.get("Description", ""), blocks)


def check_together(blocks: list[Block], fixed: System | None = None) -> None:
    """Whether ``blocks`` can be one system, or added to ``fixed``."""
    for kind, (fewest, most) in LIMITS.items():
        count = sum(block.type == kind for block in blocks)
        if fixed and kind == "Compute":
            fewest, most = 0, 0
        if not fewest <= count <= most:
            raise RedfishError(
                400, "PropertyValueIncorrect", "ResourceBlocks",
                f"{count} of type {kind}, allowed {fewest} to {most}",
                related=_WHERE)
    zones = {block.zone.uri for block in blocks}
    if fixed and fixed.zone:
        zones.add(fixed.zone.uri)
    if len(zones) > 1:
        raise RedfishError(400, "IncompatibleZone", related=_WHERE)


def check_free(block: Block, reservation: str, where: str,
               gone: bool = False) -> None:
    """Whether ``block`` can take part in one more composition."""
    # Reserved is a hint to other clients, not a lock (DSP2050).
    if gone or not block.available:
        raise RedfishError(409, "ResourceBlockInUse", block.id,
                           related=where)
    if block.reservation not in ("", reservation):
        raise RedfishError(409, "SpecifiedResourceAlreadyReserved", block.id,
                           related=where)


def _free(block: Block, reservation: str) -> bool:
    return block.available and block.reservation in ("", reservation)


def _blocks(pod: Pod, links: Any) -> list[Block]:
    """The blocks that Links lists, each once and each existing."""
    if not isinstance(links, dict):
        raise RedfishError(400, "PropertyValueTypeError", str(links),
                           "Links", related="#/Links")
    for name in links:
        if name != "ResourceBlocks":
            raise RedfishError(400, "PropertyUnknown", name,
                               related=f"#/Links/{name}")
    if "ResourceBlocks" not in links:
        raise RedfishError(400, "PropertyMissing", "ResourceBlocks",
                           related=_WHERE)
    entries = links["ResourceBlocks"]
    if not isinstance(entries, list):
        raise RedfishError(400, "PropertyValueTypeError", str(entries),
                           "ResourceBlocks", related=_WHERE)
    return distinct([find(pod, entry, f"{_WHERE}/{number}")
                     for number, entry in enumerate(entries)])


def distinct(blocks: list[Block]) -> list[Block]:
    """``blocks``, where no one is in it twice; raises RedfishError."""
    seen: set[str] = set()
    for number, block in enumerate(blocks):
        if block.uri in seen:
            raise RedfishError(400, "PropertyValueIncorrect",
                               "ResourceBlocks", block.uri,
                               related=f"{_WHERE}/{number}")
        seen.add(block.uri)
    return blocks


def find(pod: Pod, entry: Any, where: str) -> Block:
    """The block that a reference object names; raises RedfishError."""
    uri = entry.get("@odata.id") if isinstance(entry, dict) else None
    if not isinstance(uri, str) or len(entry) != 1:
        raise RedfishError(400, "PropertyValueTypeError", str(entry),
                           "ResourceBlocks", related=where)
    block = pod.resources.get(uri.rstrip("/"))
    if not isinstance(block, Block) or block.hidden:
        raise RedfishError(400, "ResourceBlockNotFound", uri, related=where)
    return block


def hold(pod: Pod, blocks: list[Block]) -> None:
    """Keep the blocks from others until they are let go."""
    for block in blocks:
        block.held += 1
    pod.touch(*blocks)


def let_go(pod: Pod, blocks: list[Block]) -> None:
    """Undo hold()."""
    for block in blocks:
        block.held -= 1
    pod.touch(*blocks)


def compose(pod: Pod, composition: Composition, effects: Effects,
            **details: Any) -> System:
    """Make the system; what check() found must still hold."""
    number = pod.composed + 1
    while f"{SYSTEMS}/composed-{number}" in pod.systems.members:
        number += 1
    system_id = f"composed-{number}"
    uri = f"{SYSTEMS}/{system_id}"
    effects.do(
        "compose", {"description": composition.description,
                    "number": number},
        system=uri, name=composition.name,
        uuid=generate.identity(pod.seed, system_id),
        blocks=[b.uri for b in composition.blocks], **details)
    system = pod.resources[uri]
    assert isinstance(system, System)
    return system


def decompose(system: System, effects: Effects, **details: Any) -> None:
    """Take the system apart; its blocks keep their Reserved."""
    effects.do("decompose", system=system.uri, name=system.name,
               uuid=system.uuid, blocks=[b.uri for b in system.blocks],
               **details)


def check_reserve(body: dict[str, Any]) -> bool:
    """PATCH of a block: CompositionStatus.Reserved is all that can be set.

    Raises RedfishError.
    """
    for name in body:
        if name != "CompositionStatus":
            raise RedfishError(400, "PropertyNotWritable", name,
                               related=f"#/{name}")
    status = body.get("CompositionStatus")
    if not isinstance(status, dict):
        raise RedfishError(400, "PropertyMissing", "CompositionStatus",
                           related="#/CompositionStatus")
    for name in status:
        if name != "Reserved":
            raise RedfishError(400, "PropertyNotWritable", name,
                               related=f"#/CompositionStatus/{name}")
    value = status.get("Reserved")
    if not isinstance(value, bool):
        raise RedfishError(400, "PropertyValueTypeError", str(value),
                           "Reserved",
                           related="#/CompositionStatus/Reserved")
    return value


def reserve(block: Block, body: dict[str, Any], effects: Effects) -> None:
    """Do what check_reserve() found to be right; raises OSError."""
    effects.do("reserve" if check_reserve(body) else "unreserve",
               blocks=[block.uri],
               system=block.systems[0].uri if block.systems else None)
