# SPDX-License-Identifier: Apache-2.0
"""How a composed node lives: allocated, assembled, changed, deleted.

``ComposedNodeState``: Allocating, Allocated, Assembling, Assembled; Failed
when the PODM restarts in between. Resources are taken with the request, and
every effect is in the ledger before it happens.
"""

import contextlib
from collections.abc import Iterable
from typing import Any

from valence.simulator.ledger import Ledger
from valence.simulator.pods import Later
from valence.simulator.redfish.messages import RedfishError
from valence.simulator.rsd import allocate
from valence.simulator.rsd.model import (
    BOOT_ENABLED,
    BOOT_MODES,
    BOOT_TARGETS,
    NODES,
    RESET_TYPES,
    Drive,
    Extra,
    Node,
    Pod,
    Sled,
    Volume,
)

Body = dict[str, Any]
#: Seconds after which a sled that is missing may be back.
RETRY_AFTER = 30

_ORIGIN = {"origin": "admin"}
_MOVING = ("Allocating", "Assembling")
_ENDED = ("Assembled", "Failed")
_BOOT = {"BootSourceOverrideEnabled": ("boot_enabled", BOOT_ENABLED),
         "BootSourceOverrideTarget": ("boot_target", BOOT_TARGETS),
         "BootSourceOverrideMode": ("boot_mode", BOOT_MODES)}


class Nodes:
    """All that changes nodes.

    Methods raise RedfishError or OSError, and then nothing happened.
    """

    def __init__(self, pod: Pod, ledger: Ledger, later: Later,
                 allocate_delay: float, assemble_delay: float,
                 power_delay: float) -> None:
        """Delays are in seconds, on the clock of ``later``."""
        self._pod = pod
        self._ledger = ledger
        self._later = later
        self._allocate_delay = allocate_delay
        self._assemble_delay = assemble_delay
        self._power_delay = power_delay

    def allocate(self, body: Body) -> Node:
        """Take resources for a new node."""
        node = self._take(body)
        self._after(self._allocate_delay, node, "Allocated")
        return node

    def appear(self, body: Body) -> Node:
        """Somebody else has a node, which is whole at once."""
        node = self._take(body, **_ORIGIN)
        self._become(node, "Assembled")
        return node

    def disappear(self, node: Node) -> None:
        """Somebody else deletes a node, whatever its state."""
        self._remove(node, force=True, **_ORIGIN)

    def _take(self, body: Body, **details: Any) -> Node:
        pod = self._pod
        sled, extras = allocate.choose(pod, body)
        number = str(pod.counted + 1)
        node = Node(f"{NODES}/{number}", number,
                    body.get("Name") or f"ComposedNode{number}",
                    body.get("Description") or "", "Allocating", sled,
                    extras, pod)
        self._record("allocate", node, description=node.description,
                     resources=node.resources, **details)
        pod.counted += 1
        pod.add_node(node)
        return node

    def act(self, node: Node, kind: str, body: Body) -> None:
        """Carry out the action ``kind``."""
        if kind == "Assemble":
            self._assemble(node)
        elif kind == "ForceDelete":
            self._remove(node, force=True)
        elif kind == "Reset":
            self._reset(node, body)
        else:
            self._attach_or_detach(node, kind, body)

    def delete(self, node: Node) -> None:
        """DELETE: needs the sled, which is shut down."""
        if node.state in _MOVING or node.sled.missing:
            raise RedfishError(409, "ResourceInUse")
        self._remove(node, force=False)

    def set_boot(self, node: Node, body: Body) -> None:
        """PATCH of the boot override."""
        boot = body.get("Boot")
        if set(body) != {"Boot"} or not isinstance(boot, dict) or not boot:
            name = min(set(body) - {"Boot"}, default="Boot")
            raise RedfishError(400, "PropertyNotWritable", name,
                               related=f"#/{name}")
        self._need(node, _ENDED)
        changes: dict[str, str] = {}
        for name, value in boot.items():
            where = f"#/Boot/{name}"
            if name not in _BOOT:
                raise RedfishError(400, "PropertyNotWritable", name,
                                   related=where)
            attribute, allowed = _BOOT[name]
            if not isinstance(value, str) or value not in allowed:
                raise RedfishError(400, "PropertyValueNotInList", str(value),
                                   name, related=where)
            changes[attribute] = value
        self._record("boot", node, **changes)
        for attribute, value in changes.items():
            setattr(node.sled, attribute, value)
        self._pod.touch(node, node.sled)

    def restart(self) -> None:
        """The PODM restarts: what was in the middle is Failed."""
        for node in list(self._all()):
            if node.state in _MOVING:
                self._become(node, "Failed")

    def fail(self, node: Node) -> None:
        """Something went wrong with ``node``."""
        self._become(node, "Failed")

    def miss(self, sled: Sled, missing: bool) -> None:
        """A sled goes missing, or is back."""
        self._ledger.record("missing", system=sled.uri, missing=missing)
        sled.missing = missing
        self._pod.touch(sled, *([sled.node] if sled.node else ()))

    def replay(self, history: Iterable[Body]) -> None:
        """Let what is in the ledger have happened; then the PODM restarts."""
        for entry in history:
            found = self._pod.resources.get(str(entry.get("node")))
            node = found if isinstance(found, Node) else None
            if entry["effect"] == "allocate":
                self._replay_allocate(entry)
            elif entry["effect"] == "missing":
                sled = self._pod.resources[entry["system"]]
                assert isinstance(sled, Sled)
                sled.missing = entry["missing"]
            elif node is not None:
                self._replay(node, entry)
        self.restart()

    def _replay_allocate(self, entry: Body) -> None:
        pod = self._pod
        sled, *extras = (pod.resources[uri] for uri in entry["resources"])
        assert isinstance(sled, Sled)
        number = entry["node"].rpartition("/")[2]
        pod.counted = int(number)
        pod.add_node(Node(
            entry["node"], number, entry["name"], entry["description"],
            "Allocating", sled,
            [one for one in extras if isinstance(one, Drive | Volume)], pod))

    def _replay(self, node: Node, entry: Body) -> None:
        sled = node.sled
        match entry["effect"]:
            case "state":
                node.state = entry["state"]
            case "assemble":
                node.state = "Assembling"
            case "boot":
                for attribute, _ in _BOOT.values():
                    if attribute in entry:
                        setattr(sled, attribute, entry[attribute])
            case "reset" if entry["phase"] == "applied":
                self._powered(sled, entry["power_state"], entry["booted"])
            case "attach":
                extra = self._pod.resources[entry["resource"]]
                assert isinstance(extra, Drive | Volume)
                node.extras.append(extra)
                extra.node = node
            case "detach":
                for one in list(node.extras):
                    if one.uri == entry["resource"]:
                        node.extras.remove(one)
                        one.node = None
            case "delete":
                self._removed(node)
        self._pod.touch(node, sled)

    def _all(self) -> list[Node]:
        return [one for one in self._pod.nodes.members.values()
                if isinstance(one, Node)]

    def _record(self, effect: str, node: Node, **details: Any) -> None:
        self._ledger.record(effect, node=node.uri, name=node.name,
                            system=node.sled.uri, **details)

    def _become(self, node: Node, state: str) -> None:
        self._record("state", node, state=state)
        node.state = state
        self._pod.touch(node)

    def _after(self, delay: float, node: Node, state: str) -> None:
        """Reach ``state`` later, unless something came between."""
        before = node.state

        def reach() -> None:
            if (self._pod.resources.get(node.uri) is node
                    and node.state == before):
                # Unrecorded it must not happen: then it never ends.
                with contextlib.suppress(OSError):
                    self._become(node, state)

        if delay:
            self._later(delay, reach)
        else:
            reach()

    def _need(self, node: Node, states: tuple[str, ...]) -> None:
        if node.sled.missing:
            raise RedfishError(503, "GeneralError", headers={
                "Retry-After": str(RETRY_AFTER)})
        if node.state not in states:
            raise RedfishError(409, "ResourceInUse")

    def _assemble(self, node: Node) -> None:
        self._need(node, ("Allocated",))
        self._record("assemble", node)
        node.state = "Assembling"
        self._pod.touch(node)
        self._after(self._assemble_delay, node, "Assembled")

    def _remove(self, node: Node, force: bool, **details: Any) -> None:
        self._record("delete", node, force=force, resources=node.resources,
                     **details)
        self._removed(node)

    def _removed(self, node: Node) -> None:
        node.sled.power = "Off"
        node.sled.boot_enabled, node.sled.boot_target = "Disabled", "None"
        self._pod.remove_node(node)

    def _reset(self, node: Node, body: Body) -> None:
        action = "ComposedNode.Reset"
        kind = body.get("ResetType")
        if kind is None:
            raise RedfishError(400, "ActionParameterMissing", action,
                               "ResetType")
        if not isinstance(kind, str) or kind not in RESET_TYPES:
            raise RedfishError(400, "ActionParameterValueNotInList",
                               str(kind), "ResetType", action,
                               related="#/ResetType")
        self._need(node, _ENDED)
        self._record("reset", node, phase="requested", reset_type=kind)

        def apply() -> None:
            if self._pod.resources.get(node.uri) is not node:
                return
            sled = node.sled
            was_on = sled.power == "On"
            if kind == "PushPowerButton":
                on = not was_on
            else:
                on = kind not in ("ForceOff", "GracefulShutdown")
            boots = on and (not was_on or kind.endswith("Restart"))
            power = "On" if on else "Off"
            self._record(
                "reset", node, phase="applied", reset_type=kind,
                power_state=power, booted=boots, boot_target=sled.boot_target
                if boots and sled.boot_enabled != "Disabled" else None)
            self._powered(sled, power, boots)
            self._pod.touch(node, sled)

        if self._power_delay:
            self._later(self._power_delay, apply)
        else:
            apply()

    @staticmethod
    def _powered(sled: Sled, power: str, booted: bool) -> None:
        sled.power = power
        if booted and sled.boot_enabled == "Once":
            # "Once" ends with the boot it was for.
            sled.boot_enabled, sled.boot_target = "Disabled", "None"

    def _attach_or_detach(self, node: Node, kind: str, body: Body) -> None:
        attaches = kind.startswith("Attach")
        known = {"Resource"}
        if kind == "AttachResource":
            known.add("Protocol")
        elif kind == "AttachEndpoint":
            known.add("CapacityGiB")
        for name in sorted(set(body) - known):
            raise RedfishError(400, "ActionParameterNotSupported", name,
                               f"ComposedNode.{kind}", related=f"#/{name}")
        uri = self._resource(kind, body)
        self._need(node, _ENDED)
        found = self._extra(node, uri, attaches)
        self._record("attach" if attaches else "detach", node, resource=uri)
        if attaches:
            node.extras.append(found)
            found.node = node
        else:
            node.extras.remove(found)
            found.node = None
        self._pod.touch(node, found)

    def _resource(self, kind: str, body: Body) -> str:
        """The URI, in the dialect of the action.

        To detach an endpoint it is bare, everywhere else in a link.
        """
        action = f"ComposedNode.{kind}"
        given = body.get("Resource")
        if given is None:
            raise RedfishError(400, "ActionParameterMissing", action,
                               "Resource")
        if kind != "DetachEndpoint":
            given = given.get("@odata.id") if isinstance(
                given, dict) else None
        if not isinstance(given, str):
            raise RedfishError(400, "ActionParameterValueTypeError",
                               str(body["Resource"]), "Resource", action,
                               related="#/Resource")
        return given

    def _extra(self, node: Node, uri: str, attaches: bool) -> Extra:
        allowed = self._pod.attachable(node) if attaches else node.extras
        for one in allowed:
            if one.uri == uri:
                return one
        if uri in self._pod.resources:
            raise RedfishError(409, "ResourceInUse")
        raise RedfishError(400, "ResourceMissingAtURI", uri)
