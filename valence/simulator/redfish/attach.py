# SPDX-License-Identifier: Apache-2.0
"""How blocks are added to a system and removed from it.

DSP2050, "Update a composed resource": the actions AddResourceBlock and
RemoveResourceBlock, PATCH, and PUT of Links.ResourceBlocks.
"""

from typing import Any

from valence.simulator.redfish import composition
from valence.simulator.redfish.effects import Effects
from valence.simulator.redfish.messages import RedfishError
from valence.simulator.redfish.model import ADD_BLOCK, Block, Pod, System

_ETAGS = ("ResourceBlockETag", "ComputerSystemETag")
_WHERE = "#/Links/ResourceBlocks"


def by_action(pod: Pod, system: System, action: str, body: dict[str, Any],
              require_etag: bool) -> list[Block]:
    """The blocks of ``system`` after ``action``; raises RedfishError."""
    for name in body:
        if name not in ("ResourceBlock", *_ETAGS):
            raise RedfishError(400, "ActionParameterNotSupported", name,
                               action, related=f"#/{name}")
    if "ResourceBlock" not in body:
        raise RedfishError(400, "ActionParameterMissing", action,
                           "ResourceBlock")
    block = composition.find(pod, body["ResourceBlock"], "#/ResourceBlock")
    for name, resource in zip(_ETAGS, (block, system), strict=True):
        given = body.get(name)
        if given is None and require_etag:
            raise RedfishError(428, "PreconditionRequired")
        if given is not None and given != resource.etag:
            # DSP0268: 428 where the ETags of the body do not match.
            raise RedfishError(428, "PreconditionFailed",
                               related=f"#/{name}")
    if action == ADD_BLOCK:
        return composition.distinct([*system.blocks, block])
    if block not in system.blocks:
        raise RedfishError(400, "PropertyValueIncorrect", "ResourceBlock",
                           block.uri, related="#/ResourceBlock")
    return [one for one in system.blocks if one is not block]


def by_patch(pod: Pod, system: System, links: Any) -> list[Block]:
    """The blocks after a PATCH of Links (DSP0266 section 7.7.3: an empty
    object keeps, null removes, a shorter array truncates).
    """
    blocks: list[Block] = []
    for number, entry in enumerate(_array(links)):
        if entry == {}:
            if number >= len(system.blocks):
                raise RedfishError(400, "PropertyValueIncorrect",
                                   "ResourceBlocks", "{}",
                                   related=f"{_WHERE}/{number}")
            blocks.append(system.blocks[number])
        elif entry is not None:
            blocks.append(composition.find(pod, entry,
                                           f"{_WHERE}/{number}"))
    return composition.distinct(blocks)


def by_put(pod: Pod, body: dict[str, Any]) -> list[Block]:
    """The blocks after a PUT; what else it holds is read-only, and so
    left as it is (DSP0266 section 7.8).
    """
    if "Links" not in body:
        raise RedfishError(400, "PropertyMissing", "Links",
                           related="#/Links")
    return composition.distinct([
        composition.find(pod, entry, f"{_WHERE}/{number}")
        for number, entry in enumerate(_array(body["Links"]))])


def _array(links: Any) -> list[Any]:
    entries = links.get("ResourceBlocks") if isinstance(links, dict) else None
    if not isinstance(entries, list):
        raise RedfishError(400, "PropertyValueTypeError", str(links),
                           "ResourceBlocks", related=_WHERE)
    return entries


def added(system: System, blocks: list[Block]) -> list[Block]:
    """What of ``blocks`` is new to ``system``; raises RedfishError where
    it cannot become a system of these.
    """
    for block in system.blocks:
        if block.server is system and block not in blocks:
            raise RedfishError(400, "PropertyValueIncorrect",
                               "ResourceBlocks", block.uri, related=_WHERE)
    new = [block for block in blocks if block not in system.blocks]
    for block in new:
        composition.check_free(block, "", _WHERE)
    composition.check_together(blocks,
                               None if system.composed else system)
    return new


def update(system: System, blocks: list[Block], effects: Effects,
           **details: Any) -> None:
    """Make ``system`` consist of ``blocks``."""
    for effect, changed in (
            ("detach", [b for b in system.blocks if b not in blocks]),
            ("attach", [b for b in blocks if b not in system.blocks])):
        if changed:
            effects.do(effect, system=system.uri, name=system.name,
                       blocks=[b.uri for b in changed], **details)
