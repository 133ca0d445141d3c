# SPDX-License-Identifier: Apache-2.0
"""What does a simulated RSD pod consist of, and how do its versions differ?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from valence.simulator.resources import Collection, Resource, Resources

ROOT = "/redfish/v1"
NODES = f"{ROOT}/Nodes"
SYSTEMS = f"{ROOT}/Systems"
CHASSIS = f"{ROOT}/Chassis"
MANAGERS = f"{ROOT}/Managers"
SESSION_SERVICE = f"{ROOT}/SessionService"
SESSIONS = f"{SESSION_SERVICE}/Sessions"
MANAGER = f"{MANAGERS}/PODM"

RESET_TYPES = ("On", "ForceOff", "GracefulShutdown", "GracefulRestart",
               "ForceRestart", "Nmi", "ForceOn", "PushPowerButton")
BOOT_ENABLED = ("Disabled", "Once", "Continuous")
BOOT_TARGETS = ("None", "Pxe", "Hdd", "RemoteDrive")
BOOT_MODES = ("Legacy", "UEFI")


@dataclass(frozen=True)
class Profile:
    """One version of the API.

    ``resource_actions``: AttachResource with an ActionInfo rather than
    AttachEndpoint with inline values; ``action_info_text``: the ActionInfo
    is named by a string rather than a link; ``oem_nodes``: the root has the
    nodes under Oem; ``storage_links``: a node's drives are one list.
    ``allocate`` is the name of the action: both spellings are in the field.
    """

    version: str
    number: tuple[int, int]
    allocate: str = "ComposedNodeCollection.Allocate"
    resource_actions: bool = True
    action_info_text: bool = False
    oem_nodes: bool = False
    storage_links: bool = False
    force_delete: bool = False
    services: str = "StorageServices"
    volumes: str = "Volumes"
    boot_status: int = 204


PROFILES = {
    "2.1": Profile("2.1.0", (2, 1), resource_actions=False,
                   services="Services", volumes="RemoteTargets"),
    "2.3": Profile("2.3.0", (2, 3),
                   allocate="ComposedNodesCollection.Allocate"),
    "2.5": Profile("2.5.0", (2, 5), action_info_text=True, oem_nodes=True,
                   storage_links=True, force_delete=True, boot_status=200),
}


@dataclass(slots=True, eq=False)
class Place(Resource):
    """A pod, rack, drawer, sled or enclosure of pooled drives.

    ``offset`` is in EIA-310 units from the bottom, where that makes sense.
    """

    id: str
    name: str
    kind: str
    row: str
    rack: str
    offset: int | None
    parent: Place | None
    children: list[Place] = field(default_factory=list)
    systems: list[Sled] = field(default_factory=list)
    drives: list[Drive] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Processor(Resource):
    """A CPU or GPU."""

    id: str
    chassis: Place
    kind: str
    model: str
    cores: int
    threads: int
    mhz: int


@dataclass(slots=True, eq=False)
class MemoryModule(Resource):
    id: str
    chassis: Place
    slot: int
    capacity_mib: int
    device_type: str
    mhz: int


@dataclass(slots=True, eq=False)
class Interface(Resource):
    id: str
    chassis: Place
    mac: str
    speed_mbps: int


@dataclass(slots=True, eq=False)
class Drive(Resource):
    """A drive, in a sled or pooled; ``rpm`` is None for an SSD."""

    id: str
    chassis: Place
    capacity_gib: int
    interface: str
    rpm: int | None
    manufacturer: str
    model: str
    serial: str
    pooled: bool = False
    older: bool = False         # described as before 2.3
    node: Node | None = None


@dataclass(slots=True, eq=False)
class Volume(Resource):
    """Remote storage: a volume, or before 2.3 an iSCSI target."""

    id: str
    capacity_gib: int
    older: bool
    node: Node | None = None


Extra = Drive | Volume


@dataclass(slots=True, eq=False)
class Sled(Resource):
    """A computer system; ``missing`` while its rack does not see it."""

    id: str
    name: str
    uuid: str
    chassis: Place
    rack: Place
    processors: list[Processor]
    memory: list[MemoryModule]
    drives: list[Drive]
    interfaces: list[Interface]
    power: str = "Off"
    boot_enabled: str = "Disabled"
    boot_target: str = "None"
    boot_mode: str = "UEFI"
    missing: bool = False
    node: Node | None = None

    @property
    def cores(self) -> int:
        return sum(one.cores for one in self.processors
                   if one.kind == "CPU")

    @property
    def memory_mib(self) -> int:
        return sum(one.capacity_mib for one in self.memory)

    def parts(self) -> Iterator[Resource]:
        yield from self.processors
        yield from self.memory
        yield from self.drives
        yield from self.interfaces


@dataclass(slots=True, eq=False)
class SledStorage(Resource):
    """Through which a system sees its own drives."""

    drives: list[Drive]


@dataclass(slots=True, eq=False)
class Node(Resource):
    """A composed node: a sled and what of the pools is attached to it."""

    id: str
    name: str
    description: str
    state: str
    sled: Sled
    extras: list[Extra]
    pod: Pod

    @property
    def resources(self) -> list[str]:
        """The URIs that nobody else can have meanwhile."""
        return [self.sled.uri, *(one.uri for one in self.extras)]


@dataclass(slots=True, eq=False)
class NodeAction(Resource):
    """The target of an action of a node; ``kind`` is its name."""

    node: Node
    kind: str


@dataclass(slots=True, eq=False)
class NodeActionInfo(Resource):
    """What AttachResource or DetachResource takes."""

    node: Node
    kind: str


@dataclass(slots=True, eq=False)
class AllocateAction(Resource):
    """The target of the collection's Allocate."""


class Pod(Resources):
    """The resources of a pod."""

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self.profile = profile
        self.counted = 0
        self.systems = Collection(SYSTEMS, "ComputerSystemCollection",
                                  "Systems", {})
        self.add(self.systems)
        self.sleds: list[Sled] = []
        self.pooled: list[Drive] = []
        self.volumes: list[Volume] = []
        allocate = f"{NODES}/Actions/Allocate"
        self.nodes = Collection(
            NODES, "ComposedNodeCollection", "Composed Node Collection", {},
            {"Actions": {f"#{profile.allocate}": {"target": allocate}}})
        self.add(self.nodes)
        self.add(AllocateAction(allocate))

    def actions(self) -> tuple[str, ...]:
        """The names of a node's actions."""
        last = "Resource" if self.profile.resource_actions else "Endpoint"
        return ("Reset", "Assemble", f"Attach{last}", f"Detach{last}",
                *(("ForceDelete",) if self.profile.force_delete else ()))

    def add_node(self, node: Node) -> None:
        """Make ``node`` visible and its resources its own."""
        for kind in self.actions():
            self.add(NodeAction(f"{node.uri}/Actions/ComposedNode.{kind}",
                                node, kind))
            if kind.endswith("Resource"):
                self.add(NodeActionInfo(
                    f"{node.uri}/Actions/{kind}ActionInfo", node, kind))
        node.sled.node = node
        for extra in node.extras:
            extra.node = node
        self.add(node)
        self.nodes.members[node.uri] = node
        self.touch(node, node.sled, *node.extras, self.nodes)

    def remove_node(self, node: Node) -> None:
        """Undo add_node."""
        del self.nodes.members[node.uri]
        del self.resources[node.uri]
        for kind in self.actions():
            actions = f"{node.uri}/Actions"
            self.resources.pop(f"{actions}/ComposedNode.{kind}")
            self.resources.pop(f"{actions}/{kind}ActionInfo", None)
        node.sled.node = None
        for extra in node.extras:
            extra.node = None
        self.touch(node.sled, *node.extras, self.nodes)

    def attachable(self, node: Node) -> list[Extra]:
        """Free pooled drives of the node's rack, and free volumes."""
        rack = node.sled.rack
        free: list[Extra] = [
            one for one in self.pooled
            if one.node is None and one.chassis.parent is rack]
        if self.profile.resource_actions:
            free += [one for one in self.volumes if one.node is None]
        return free
