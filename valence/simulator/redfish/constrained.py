# SPDX-License-Identifier: Apache-2.0
"""Which blocks a constrained composition is given.

DSP2050, "Constrained composition": the client says how many of which
components it wants, the service picks the blocks, all out of one zone. A
number asked for is the least, anything else has to be equal. Drives are
asked for as Drives, as they are listed in a block, or as a computer system
has them: SimpleStorage with one Device, Storage with one Drive.
"""

from collections.abc import Callable
from typing import Any

from valence.simulator.redfish import render
from valence.simulator.redfish.messages import RedfishError
from valence.simulator.redfish.model import Block
from valence.simulator.resources import Resource

_COUNT = "@Redfish.RequestedCount"
_MORE = "@Redfish.AllowOverprovisioning"
_ZONE = "@Redfish.ZoneAffinity"
_LISTS = ("Processors", "Memory", "Drives", "SimpleStorage", "Storage",
          "EthernetInterfaces")
# Where the components are one level deeper.
_INNER = {"SimpleStorage": "Devices", "Storage": "Drives"}
PROPERTIES = ("Name", "Description", _ZONE, *_LISTS)

_PARTS: dict[str, Callable[[Block], list[Any]]] = {
    "Processors": lambda block: block.parts.processors,
    "Memory": lambda block: block.parts.memory,
    "Drives": lambda block: block.parts.drives,
    "SimpleStorage": lambda block: block.parts.drives,
    "Storage": lambda block: block.parts.drives,
    "EthernetInterfaces": lambda block: block.parts.interfaces,
}


class _Want:
    """So many components of one list that look like this."""

    def __init__(self, segment: str, entry: Any, where: str) -> None:
        if not isinstance(entry, dict):
            raise RedfishError(400, "PropertyValueTypeError", str(entry),
                               segment, related=where)
        count, more = entry.get(_COUNT, 1), entry.get(_MORE, False)
        if not isinstance(count, int) or isinstance(count, bool) or not (
                1 <= count <= 10000):
            raise RedfishError(400, "PropertyValueIncorrect", _COUNT,
                               str(count), related=where)
        if not isinstance(more, bool):
            raise RedfishError(400, "PropertyValueTypeError", str(more),
                               _MORE, related=where)
        self.segment, self.count, self.more = segment, count, more
        self._like = {name: value for name, value in entry.items()
                      if name not in (_COUNT, _MORE)}
        if segment in _INNER:
            inner = self._like.pop(_INNER[segment], [{}])
            if (self._like or not isinstance(inner, list)
                    or len(inner) != 1 or not isinstance(inner[0], dict)):
                raise RedfishError(400, "PropertyValueTypeError", str(entry),
                                   segment, related=where)
            self._like = inner[0]

    def matches(self, block: Block) -> int:
        """How many components of ``block`` are wanted."""
        return sum(self._fits(part) for part in _PARTS[self.segment](block))

    def _fits(self, part: Resource) -> bool:
        body = render.document(part)
        for name, value in self._like.items():
            has = body.get(name)
            if isinstance(value, int) and isinstance(has, int):
                if has < value:
                    return False
            elif has != value:
                return False
        return True


def choose(free: list[Block], body: dict[str, Any],
           limits: dict[str, tuple[int, int]]) -> list[Block]:
    """Blocks of ``free`` that ``body`` asks for; raises RedfishError."""
    wants = []
    for segment in _LISTS:
        listed = body.get(segment, {"Members": []})
        members = (listed.get("Members") if isinstance(listed, dict)
                   else None)
        if not isinstance(members, list):
            raise RedfishError(400, "PropertyValueTypeError", str(listed),
                               segment, related=f"#/{segment}")
        wants += [_Want(segment, entry, f"#/{segment}/Members/{number}")
                  for number, entry in enumerate(members)]
    affinity = body.get(_ZONE)
    zones = {block.zone.uri: block.zone for block in free}
    missing = "Compute"
    for zone in zones.values():
        if affinity is not None and zone.id != affinity:
            continue
        chosen, missing = _from([b for b in free if b.zone is zone], wants,
                                limits)
        if chosen:
            return chosen
    raise RedfishError(409, "NoResourceMatch", missing)


def _from(free: list[Block], wants: list[_Want],
          limits: dict[str, tuple[int, int]]) -> tuple[list[Block], str]:
    """The blocks, or none and what there was not enough of."""
    missing = "Compute"
    for board in (block for block in free if block.type == "Compute"):
        chosen, short = [board], ""
        for want in wants:
            got = sum(want.matches(block) for block in chosen)
            for block in free:
                if got >= want.count:
                    break
                if block.type == "Compute" or block in chosen:
                    continue
                found = want.matches(block)
                if found and (want.more or got + found <= want.count):
                    chosen.append(block)
                    got += found
            if got < want.count or (got > want.count and not want.more):
                short = want.segment
                break
        if not short and _within(chosen, limits):
            return chosen, ""
        missing = short or missing
    return [], missing


def _within(blocks: list[Block],
            limits: dict[str, tuple[int, int]]) -> bool:
    return all(
        fewest <= sum(block.type == kind for block in blocks) <= most
        for kind, (fewest, most) in limits.items())
