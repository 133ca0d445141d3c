# SPDX-License-Identifier: Apache-2.0
"""What a simulated Redfish pod consists of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from valence.simulator.resources import Collection, Resource, Resources

ROOT = "/redfish/v1"
BLOCKS = f"{ROOT}/CompositionService/ResourceBlocks"
ZONES = f"{ROOT}/CompositionService/ResourceZones"
SYSTEMS = f"{ROOT}/Systems"
CAPABILITIES = f"{SYSTEMS}/Capabilities"
CONSTRAINED_CAPABILITIES = f"{SYSTEMS}/ConstrainedCapabilities"
CHASSIS = f"{ROOT}/Chassis"
MANAGERS = f"{ROOT}/Managers"
MANAGER = f"{MANAGERS}/pod"
SESSION_SERVICE = f"{ROOT}/SessionService"
SESSIONS = f"{SESSION_SERVICE}/Sessions"
TASK_SERVICE = f"{ROOT}/TaskService"
TASKS = f"{TASK_SERVICE}/Tasks"
RESERVATIONS = f"{ROOT}/CompositionService/CompositionReservations"
FREE_POOL = f"{ROOT}/CompositionService/FreePool"
ACTIVE_POOL = f"{ROOT}/CompositionService/ActivePool"
COMPOSE = f"{ROOT}/CompositionService/Actions/CompositionService.Compose"
MONITORS = f"{TASK_SERVICE}/TaskMonitors"

RESET = "ComputerSystem.Reset"
ADD_BLOCK = "ComputerSystem.AddResourceBlock"
REMOVE_BLOCK = "ComputerSystem.RemoveResourceBlock"
RESET_TYPES = ("On", "ForceOff", "GracefulShutdown", "GracefulRestart",
               "ForceRestart", "PushPowerButton")
BOOT_ENABLED = ("Disabled", "Once", "Continuous")
BOOT_TARGETS = ("None", "Pxe", "Hdd", "Usb", "Cd", "BiosSetup", "UefiHttp")
BOOT_MODES = ("UEFI", "Legacy")


@dataclass(slots=True, eq=False)
class Pool(Resource):
    """The blocks that are in use, or those that are not."""

    name: str
    pod: Pod
    free: bool

    @property
    def etag(self) -> str:
        return f'"{self.pod.generation:x}"'

    def blocks(self) -> list[Block]:
        return [b for b in self.pod.blocks() if bool(b.systems) != self.free]


@dataclass(slots=True, eq=False)
class Chassis(Resource):
    """A rack, an enclosure or a rack server; ``offset`` is in EIA-310 units
    from the bottom, None for the rack itself.
    """

    id: str
    name: str
    kind: str
    row: str
    rack: str
    offset: int | None
    parent: Chassis | None
    children: list[Chassis] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    fixed_systems: list[System] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Processor(Resource):
    """A CPU or GPU; ``memory_mib`` is a GPU's own memory."""

    id: str
    chassis: Chassis
    kind: str
    manufacturer: str
    model: str
    cores: int
    threads: int
    mhz: int
    memory_mib: int = 0


@dataclass(slots=True, eq=False)
class MemoryModule(Resource):
    id: str
    chassis: Chassis
    slot: int
    capacity_mib: int
    device_type: str
    mhz: int


@dataclass(slots=True, eq=False)
class Drive(Resource):
    id: str
    chassis: Chassis
    capacity_bytes: int
    manufacturer: str
    model: str
    serial: str


@dataclass(slots=True, eq=False)
class Interface(Resource):
    id: str
    chassis: Chassis
    mac: str
    speed_mbps: int


@dataclass(slots=True, eq=False)
class Parts:
    """The components of a block or a system."""

    processors: list[Processor] = field(default_factory=list)
    memory: list[MemoryModule] = field(default_factory=list)
    drives: list[Drive] = field(default_factory=list)
    interfaces: list[Interface] = field(default_factory=list)

    def __iter__(self) -> Iterator[Resource]:
        yield from self.processors
        yield from self.memory
        yield from self.drives
        yield from self.interfaces

    @classmethod
    def union(cls, several: Iterable[Parts]) -> Parts:
        whole = cls()
        for parts in several:
            whole.processors += parts.processors
            whole.memory += parts.memory
            whole.drives += parts.drives
            whole.interfaces += parts.interfaces
        return whole


@dataclass(slots=True, eq=False)
class Zone(Resource):
    id: str
    blocks: list[Block] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Block(Resource):
    """A resource block: the unit of composition.

    ``held`` counts the compositions under way and ``reservation`` is that
    of a manifest; a ``hidden`` block is not on the service. ``server`` is
    the expandable one that the block is as a whole: it is among that
    server's blocks for ever, and has no parts of its own.
    """

    id: str
    name: str
    type: str
    zone: Zone
    chassis: Chassis
    parts: Parts
    max_compositions: int = 1
    reserved: bool = False
    systems: list[System] = field(default_factory=list)
    held: int = 0
    down: str = ""
    reservation: str = ""
    hidden: bool = False
    server: System | None = None

    @property
    def state(self) -> str:
        """The CompositionState; ``down`` is Failed or Unavailable."""
        if self.down:
            return self.down
        if self.held:
            return "Composing"
        if not self.systems:
            return "Unused"
        if len(self.systems) < self.max_compositions:
            return "ComposedAndAvailable"
        return "Composed"

    @property
    def available(self) -> bool:
        return (not self.down and not self.hidden
                and len(self.systems) + self.held < self.max_compositions)


@dataclass(slots=True, eq=False)
class System(Resource):
    """A computer system: composed of ``blocks``, or fixed.

    A fixed one is of its ``own`` parts and, where it is expandable, in a
    ``zone`` whose blocks can be added. An ``attachable`` one has actions
    for that.
    """

    id: str
    name: str
    description: str
    uuid: str
    kind: str
    parts: Parts
    chassis: list[Chassis]
    blocks: list[Block] = field(default_factory=list)
    power: str = "Off"
    boot_enabled: str = "Disabled"
    boot_target: str = "None"
    boot_mode: str = "UEFI"
    deleting: bool = False
    own: Parts = field(default_factory=Parts)
    zone: Zone | None = None
    attachable: bool = False

    @property
    def expandable(self) -> bool:
        return self.zone is not None

    @property
    def composed(self) -> bool:
        return self.kind == "Composed"


@dataclass(slots=True, eq=False)
class Storage(Resource):
    """The storage subsystem through which a system sees its drives."""

    id: str
    drives: list[Drive]


@dataclass(slots=True, eq=False)
class Action(Resource):
    """The target of an action, ``name``, of a system."""

    name: str
    system: System


class Pod(Resources):
    """The resources of a pod."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.composed = 0
        self.actions: tuple[str, ...] = (RESET,)
        self.systems = Collection(
            SYSTEMS, "ComputerSystemCollection", "Systems", {})
        self.add(self.systems)

    def hide(self, *collections: str) -> None:
        """Take collections, and all beneath them, off the service."""
        prefixes = tuple(f"{uri}/" for uri in collections)
        self.resources = {
            uri: resource for uri, resource in self.resources.items()
            if uri not in collections and not uri.startswith(prefixes)}

    def add_system(self, system: System) -> None:
        """Make ``system`` and its sub-resources visible."""
        self.show_parts(system)
        system.attachable = ADD_BLOCK in self.actions and (
            system.composed or system.expandable)
        for name in self.actions if system.attachable else (RESET,):
            self.add(Action(f"{system.uri}/Actions/{name}", name, system))
        self.add(system)
        self.systems.members[system.uri] = system

    def show_parts(self, system: System) -> None:
        """Bring the sub-resources of ``system`` up to its parts."""
        uri, parts = system.uri, system.parts
        storage: dict[str, Resource] = {}
        self.resources.pop(f"{uri}/Storage/NVMe", None)
        if parts.drives:
            nvme = Storage(f"{uri}/Storage/NVMe", "NVMe", parts.drives)
            storage[nvme.uri] = nvme
            self.add(nvme)
        for segment, schema, members in (
                ("Processors", "ProcessorCollection",
                 {p.uri: p for p in parts.processors}),
                ("Memory", "MemoryCollection",
                 {m.uri: m for m in parts.memory}),
                ("EthernetInterfaces", "EthernetInterfaceCollection",
                 {i.uri: i for i in parts.interfaces}),
                ("Storage", "StorageCollection", storage)):
            self.add(Collection(f"{uri}/{segment}", schema, segment,
                                dict(members)))

    def remove_system(self, system: System) -> None:
        """Undo add_system; the components stay where they were."""
        uri = system.uri
        del self.systems.members[uri]
        for suffix in ("", "/Processors", "/Memory", "/EthernetInterfaces",
                       "/Storage", "/Storage/NVMe",
                       *(f"/Actions/{name}" for name in self.actions)):
            self.resources.pop(uri + suffix, None)

    def blocks(self) -> list[Block]:
        """Every resource block on the service."""
        found = self.resources.get(BLOCKS)
        if not isinstance(found, Collection):
            return []
        return [b for b in found.members.values() if isinstance(b, Block)]
