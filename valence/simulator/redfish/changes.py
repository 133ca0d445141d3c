# SPDX-License-Identifier: Apache-2.0
"""What can be done to a Redfish pod behind its clients' back.

The changes of the admin endpoint. ``blocks`` is a list of Ids or URIs,
``system`` an Id or a URI; what has an effect on the hardware is in the
ledger, with ``"origin": "admin"``.

==================  ========================================================
compose             ``name``, ``blocks``
decompose           ``system``
power               ``system``, ``reset_type``
reserve, unreserve  ``blocks``
fail, disable       ``blocks`` are Failed, or Unavailable
repair              ``blocks`` are well again
vanish              ``blocks`` are taken out; their systems keep them
return              ``blocks`` are back
reuse-ids           systems composed from now on get the lowest free id, and
                    so the URI and UUID of one that is gone
expire-sessions     nobody is logged in any more
expire-reservations nothing is reserved by a manifest any more
vanish-monitors     the monitors of tasks that are over are gone
==================  ========================================================
"""

from collections.abc import Callable
from typing import Any

from valence.simulator.pods import CannotChange
from valence.simulator.redfish import composition, power, render
from valence.simulator.redfish.effects import Effects
from valence.simulator.redfish.messages import RedfishError
from valence.simulator.redfish.model import (
    BLOCKS,
    RESET_TYPES,
    SYSTEMS,
    Block,
    Pod,
    System,
)

_ORIGIN = {"origin": "admin"}
_Arguments = dict[str, Any]


def change(pod: Pod, effects: Effects, what: str,
           arguments: _Arguments) -> _Arguments:
    """Do it; raises CannotChange and OSError."""
    if what not in _CHANGES:
        raise CannotChange(f"there is no change {what!r}; there are "
                           f"{', '.join(_CHANGES)}.")
    try:
        return _CHANGES[what](pod, effects, arguments)
    except RedfishError as error:
        raise CannotChange(error.message["Message"]) from error


def _compose(pod: Pod, effects: Effects,
             arguments: _Arguments) -> _Arguments:
    wanted = composition.check(pod, {
        "Name": arguments.get("name", "somebody else's"),
        "Links": {"ResourceBlocks": render.refs(_blocks(pod, arguments))}})
    system = composition.compose(pod, wanted, effects, **_ORIGIN)
    return {"system": system.uri}


def _decompose(pod: Pod, effects: Effects,
               arguments: _Arguments) -> _Arguments:
    system = _system(pod, arguments)
    if not system.composed:
        raise CannotChange(f"{system.id} is not composed.")
    composition.decompose(system, effects, **_ORIGIN)
    return {}


def _power(pod: Pod, effects: Effects, arguments: _Arguments) -> _Arguments:
    system, kind = _system(pod, arguments), arguments.get("reset_type")
    if kind not in RESET_TYPES:
        raise CannotChange(f"reset_type is one of {', '.join(RESET_TYPES)}.")
    power.apply(pod, system, str(kind), effects, **_ORIGIN)
    return {"power_state": system.power}


def _to_blocks(effect: str, **details: Any
               ) -> Callable[[Pod, Effects, _Arguments], _Arguments]:
    def do(pod: Pod, effects: Effects, arguments: _Arguments) -> _Arguments:
        blocks = _blocks(pod, arguments, hidden=effect == "return")
        effects.do(effect, blocks=[block.uri for block in blocks],
                   **details, **_ORIGIN)
        return {"blocks": [block.uri for block in blocks]}

    return do


def _reuse(pod: Pod, effects: Effects, arguments: _Arguments) -> _Arguments:
    effects.note_count(0)
    return {}


_CHANGES: dict[str, Callable[[Pod, Effects, _Arguments], _Arguments]] = {
    "compose": _compose, "decompose": _decompose, "power": _power,
    "reserve": _to_blocks("reserve"), "unreserve": _to_blocks("unreserve"),
    "fail": _to_blocks("health", state="Failed"),
    "disable": _to_blocks("health", state="Unavailable"),
    "repair": _to_blocks("health", state=""),
    "vanish": _to_blocks("vanish"), "return": _to_blocks("return"),
    "reuse-ids": _reuse,
}


def _blocks(pod: Pod, arguments: _Arguments,
            hidden: bool = False) -> list[Block]:
    names = arguments.get("blocks")
    if not isinstance(names, list) or not names:
        raise CannotChange("blocks is a list of blocks.")
    found = []
    for name in names:
        block = pod.resources.get(
            str(name) if str(name).startswith("/") else f"{BLOCKS}/{name}")
        if not isinstance(block, Block) or block.hidden != hidden or (
                block in found):
            raise CannotChange(f"there is no such block {name!r}.")
        found.append(block)
    return found


def _system(pod: Pod, arguments: _Arguments) -> System:
    name = str(arguments.get("system"))
    system = pod.resources.get(
        name if name.startswith("/") else f"{SYSTEMS}/{name}")
    if not isinstance(system, System):
        raise CannotChange(f"there is no system {name!r}.")
    return system
