# SPDX-License-Identifier: Apache-2.0
"""What a change that is asked for consists of: to check it, to keep its
blocks from others while it is under way, and to do it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from valence.simulator.pods import Later
from valence.simulator.redfish import attach, composition, power, render
from valence.simulator.redfish.behaviour import Behaviour
from valence.simulator.redfish.effects import Effects
from valence.simulator.redfish.manifest import Manifests
from valence.simulator.redfish.messages import RedfishError
from valence.simulator.redfish.model import (
    COMPOSE,
    RESET,
    Action,
    Block,
    Pod,
    System,
)
from valence.simulator.resources import Resource
from valence.simulator.wire import Answer


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Operation:
    """A change that may happen; ``call`` is its kind, of pod.CALLS.

    ``run`` raises RedfishError and OSError, and then nothing happened.
    """

    call: str
    name: str
    run: Callable[[], Answer]
    hold: Callable[[], None] = _nothing
    let_go: Callable[[], None] = _nothing


def state(resource: Resource) -> Answer:
    """The answer to a change: the resource as it is now."""
    return Answer(200, render.document(resource), {"ETag": resource.etag})


class Operations:
    """Makes operations out of requests; every check raises RedfishError."""

    def __init__(self, pod: Pod, effects: Effects, behaviour: Behaviour,
                 manifests: Manifests, later: Later) -> None:
        self._pod = pod
        self._effects = effects
        self._behaviour = behaviour
        self._manifests = manifests
        self._later = later

    def change(self, method: str, resource: Resource,
               body: dict[str, Any]) -> Operation:
        """A POST, PATCH or PUT of ``body``."""
        if isinstance(resource, Action):
            if resource.name == RESET:
                return self._reset(resource.system, body)
            return self._attach(resource.system, attach.by_action(
                self._pod, resource.system, resource.name, body,
                self._behaviour.require_etag), Answer(204))
        if isinstance(resource, Block):
            return self._reserve(resource, body)
        if isinstance(resource, System):
            if method == "PUT":
                return self._attach(resource, attach.by_put(self._pod, body))
            if "Links" in body and "patch" in self._behaviour.attach and (
                    resource.composed or resource.expandable):
                return self._attach(resource, attach.by_patch(
                    self._pod, resource, body["Links"]))
            return self._boot(resource, body)
        if resource.uri == COMPOSE:
            return Operation("manifest", "Compose by manifest", lambda:
                             Answer(200, self._manifests.compose(body)))
        return self._compose(body)

    def delete(self, resource: Resource) -> Operation:
        """A DELETE of a composed system."""
        assert isinstance(resource, System)
        system = resource
        if system.deleting:
            raise RedfishError(409, "ResourceInUse")

        def decompose() -> Answer:
            self._present(system)
            composition.decompose(system, self._effects)
            return Answer(204)

        return Operation(
            "decompose", f"Decompose {system.name}", decompose,
            lambda: setattr(system, "deleting", True),
            lambda: setattr(system, "deleting", False))

    def _present(self, resource: Resource) -> None:
        if self._pod.resources.get(resource.uri) is not resource:
            raise RedfishError(404, "ResourceMissingAtURI", resource.uri)

    def _compose(self, body: dict[str, Any]) -> Operation:
        wanted = composition.check(self._pod, body, self._behaviour.styles)

        def compose() -> Answer:
            for block in wanted.blocks:
                composition.check_free(block, "", "#/Links/ResourceBlocks")
            system = composition.compose(self._pod, wanted, self._effects)
            return Answer(201, render.document(system),
                          {"Location": system.uri, "ETag": system.etag})

        return Operation(
            "compose", f"Compose {wanted.name}", compose,
            lambda: composition.hold(self._pod, wanted.blocks),
            lambda: composition.let_go(self._pod, wanted.blocks))

    def _attach(self, system: System, blocks: list[Block],
                answer: Answer | None = None) -> Operation:
        if system.deleting:
            raise RedfishError(409, "ResourceInUse")
        new = attach.added(system, blocks)
        before = list(system.blocks)

        def update() -> Answer:
            self._present(system)
            if system.blocks != before:
                raise RedfishError(409, "ResourceInUse")
            attach.added(system, blocks)
            attach.update(system, blocks, self._effects)
            return answer or state(system)

        return Operation(
            "attach", f"Update {system.name}", update,
            lambda: composition.hold(self._pod, new),
            lambda: composition.let_go(self._pod, new))

    def _reset(self, system: System, body: dict[str, Any]) -> Operation:
        power.check_reset(body)

        def reset() -> Answer:
            self._present(system)
            power.reset(self._pod, system, body, self._effects,
                        self._behaviour.power_delay, self._later)
            return Answer(204)

        return Operation("reset", f"Reset {system.name}", reset)

    def _boot(self, system: System, body: dict[str, Any]) -> Operation:
        settings = power.check_boot(body)

        def set_boot() -> Answer:
            self._present(system)
            power.set_boot(system, settings, self._effects)
            return state(system)

        return Operation("boot", f"Set boot of {system.name}", set_boot)

    def _reserve(self, block: Block, body: dict[str, Any]) -> Operation:
        composition.check_reserve(body)

        def reserve() -> Answer:
            composition.reserve(block, body, self._effects)
            return state(block)

        return Operation("reserve", f"Update {block.name}", reserve)
