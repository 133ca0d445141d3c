# SPDX-License-Identifier: Apache-2.0
"""Which hardware a seed stands for.

Every kind of hardware draws from its own stream of random numbers, so that
more drives do not change the processors.
"""

import random
import uuid
from dataclasses import dataclass

from valence.simulator.redfish.model import (
    BLOCKS,
    CHASSIS,
    SYSTEMS,
    ZONES,
    Block,
    Chassis,
    Drive,
    Interface,
    MemoryModule,
    Parts,
    Pod,
    Processor,
    System,
    Zone,
)
from valence.simulator.resources import Collection, Resource

_GIB = 1024
_NAMESPACE = uuid.UUID("0f3c1b52-5a0e-4d6f-9c27-6f0a7c1b8e11")
_RACKS_PER_ROW = 10
_ENCLOSURES_PER_RACK = 20
_ENCLOSURE_UNITS = 2
_SLOTS = 8

# manufacturer, model, cores, threads, MHz, memory type, memory MHz
_CPUS = (
    ("Contoso", "C6 6416", 16, 32, 3100, "DDR4", 3200),
    ("Contoso", "C6 6432", 32, 64, 2800, "DDR4", 3200),
    ("Contoso", "C7 7548", 48, 96, 2600, "DDR5", 4800),
    ("Fabrikam", "F9 9564", 64, 128, 2400, "DDR5", 5600),
    ("Fabrikam", "F9 9596", 96, 192, 2200, "DDR5", 6400),
)
_DIMM_GIB = (16, 32, 64)
# manufacturer, model, capacity in bytes
_DRIVES = (
    ("Contoso", "CN-960", 960_197_124_096),
    ("Contoso", "CN-1920", 1_920_383_410_176),
    ("Fabrikam", "FN-3840", 3_840_755_982_336),
    ("Fabrikam", "FN-7680", 7_681_501_126_656),
)
# manufacturer, model, cores, MHz, memory in MiB
_GPUS = (
    ("Contoso", "CG-24", 7424, 1700, 24 * _GIB),
    ("Contoso", "CG-48", 18176, 1600, 48 * _GIB),
    ("Fabrikam", "FG-80", 14592, 1750, 80 * _GIB),
)
_NIC_MBPS = (10_000, 25_000, 100_000)


@dataclass(frozen=True)
class Shape:
    """How much of what; see the command line."""

    seed: int
    racks: int
    compute: int
    nvme: int
    gpu: int
    nic: int
    systems: int
    zones: int
    sharing: int = 1
    expandable: bool = False


def identity(seed: int, *path: object) -> str:
    """The UUID of whatever ``path`` names in the pod of ``seed``."""
    return str(uuid.uuid5(_NAMESPACE,
                          "/".join(map(str, (seed, *path)))))


def generate(shape: Shape) -> Pod:
    """The inventory of ``shape``, with everything unused."""
    return _Generator(shape).pod


class _Generator:
    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._macs = 0
        self.pod = Pod(shape.seed)
        self._racks = [self._rack(n) for n in range(shape.racks)]
        self._units = [1] * shape.racks
        zones = [Zone(f"{ZONES}/{n}", str(n))
                 for n in range(1, shape.zones + 1)]
        self._blocks(zones)
        self._fixed_systems(zones)
        blocks: dict[str, Resource] = {
            b.uri: b for zone in zones for b in zone.blocks}
        chassis: dict[str, Resource] = {}
        for rack in self._racks:
            chassis[rack.uri] = rack
            chassis.update((child.uri, child) for child in rack.children)
        for uri, schema, name, members in (
                (BLOCKS, "ResourceBlockCollection", "Resource Blocks",
                 blocks),
                (ZONES, "ZoneCollection", "Resource Zones",
                 {zone.uri: zone for zone in zones}),
                (CHASSIS, "ChassisCollection", "Chassis", chassis)):
            self.pod.add(Collection(uri, schema, name, dict(members)))
            for member in members.values():
                self.pod.add(member)

    def _random(self, kind: str) -> random.Random:
        return random.Random(f"{self._shape.seed}/{kind}")

    def _rack(self, number: int) -> Chassis:
        name = f"rack-{number + 1}"
        return Chassis(f"{CHASSIS}/{name}", name, f"Rack {number + 1}",
                       "Rack", f"row-{number // _RACKS_PER_ROW + 1}", name,
                       None, None)

    def _mount(self, number: int, kind: str, title: str,
               units: int) -> Chassis:
        """A new chassis in the lowest free units of rack ``number``."""
        rack = self._racks[number]
        offset = self._units[number]
        self._units[number] += units
        name = f"{rack.id}-u{offset}"
        chassis = Chassis(f"{CHASSIS}/{name}", name,
                          f"{title} at unit {offset} of {rack.name}", kind,
                          rack.row, rack.rack, offset, rack)
        rack.children.append(chassis)
        return chassis

    def _blocks(self, zones: list[Zone]) -> None:
        """Spread the blocks over zones, and each zone over its racks."""
        shape = self._shape
        racks = shape.racks
        plan: list[list[tuple[str, int, Zone]]] = [[] for _ in range(racks)]
        homes = [[r for r in range(racks) if r % len(zones) == z]
                 or [z % racks] for z in range(len(zones))]
        for kind, count in (("compute", shape.compute), ("nvme", shape.nvme),
                            ("gpu", shape.gpu), ("nic", shape.nic)):
            for n in range(count):
                turn, z = divmod(n, len(zones))
                home = homes[z]
                plan[home[turn % len(home)]].append(
                    (kind, n + 1, zones[z]))
        makers = {"compute": (self._compute, self._random("compute")),
                  "nvme": (self._nvme, self._random("nvme")),
                  "gpu": (self._gpu, self._random("gpu")),
                  "nic": (self._nic, self._random("nic"))}
        for number, wanted in enumerate(plan):
            slots = max(_SLOTS, -(-len(wanted) // _ENCLOSURES_PER_RACK))
            chassis = None
            for place, (kind, n, zone) in enumerate(wanted):
                if chassis is None or place % slots == 0:
                    chassis = self._mount(number, "Enclosure", "Enclosure",
                                          _ENCLOSURE_UNITS)
                maker, rng = makers[kind]
                block = maker(rng, n, zone, chassis)
                zone.blocks.append(block)
                chassis.blocks.append(block)
                self._publish(block.parts)

    def _publish(self, parts: Parts) -> None:
        for part in parts:
            self.pod.add(part)

    def _compute(self, rng: random.Random, n: int, zone: Zone,
                 chassis: Chassis) -> Block:
        block_id = f"compute-{n}"
        uri = f"{BLOCKS}/{block_id}"
        parts = self._board(rng, uri, block_id, chassis)
        return Block(uri, block_id, f"Compute block {n}", "Compute", zone,
                     chassis, parts)

    def _board(self, rng: random.Random, uri: str, owner: str,
               chassis: Chassis) -> Parts:
        maker, model, cores, threads, mhz, memory, speed = rng.choice(_CPUS)
        capacity = rng.choice(_DIMM_GIB) * _GIB
        dimms = rng.choice((4, 8))
        return Parts(
            processors=[
                Processor(f"{uri}/Processors/{owner}-cpu-{i}",
                          f"{owner}-cpu-{i}", chassis, "CPU", maker, model,
                          cores, threads, mhz)
                for i in range(1, rng.choice((1, 2)) + 1)],
            memory=[
                MemoryModule(f"{uri}/Memory/{owner}-dimm-{i}",
                             f"{owner}-dimm-{i}", chassis, i, capacity,
                             memory, speed)
                for i in range(1, dimms + 1)])

    def _drive(self, rng: random.Random, uri: str, drive_id: str,
               chassis: Chassis) -> Drive:
        maker, model, capacity = rng.choice(_DRIVES)
        return Drive(f"{uri}/Drives/{drive_id}", drive_id, chassis, capacity,
                     maker, model, f"S{rng.getrandbits(48):012X}")

    def _interfaces(self, uri: str, owner: str, chassis: Chassis,
                    speed: int, ports: int) -> list[Interface]:
        return [Interface(f"{uri}/EthernetInterfaces/{owner}-port-{i}",
                          f"{owner}-port-{i}", chassis, self._mac(), speed)
                for i in range(1, ports + 1)]

    def _mac(self) -> str:
        """A locally administered address, unique within the pod."""
        self._macs += 1
        raw = (2, self._shape.seed >> 8 & 0xff, self._shape.seed & 0xff,
               self._macs >> 16 & 0xff, self._macs >> 8 & 0xff,
               self._macs & 0xff)
        return ":".join(f"{byte:02X}" for byte in raw)

    def _nvme(self, rng: random.Random, n: int, zone: Zone,
              chassis: Chassis) -> Block:
        block_id = f"nvme-{n}"
        uri = f"{BLOCKS}/{block_id}"
        drive = self._drive(rng, uri, f"{block_id}-drive", chassis)
        return Block(uri, block_id, f"NVMe block {n}", "Storage", zone,
                     chassis, Parts(drives=[drive]), self._shape.sharing)

    def _gpu(self, rng: random.Random, n: int, zone: Zone,
             chassis: Chassis) -> Block:
        block_id = f"gpu-{n}"
        uri = f"{BLOCKS}/{block_id}"
        maker, model, cores, mhz, memory = rng.choice(_GPUS)
        gpu = Processor(f"{uri}/Processors/{block_id}-gpu",
                        f"{block_id}-gpu", chassis, "GPU", maker, model,
                        cores, cores, mhz, memory)
        return Block(uri, block_id, f"GPU block {n}", "Processor", zone,
                     chassis, Parts(processors=[gpu]))

    def _nic(self, rng: random.Random, n: int, zone: Zone,
             chassis: Chassis) -> Block:
        block_id = f"nic-{n}"
        uri = f"{BLOCKS}/{block_id}"
        ports = self._interfaces(uri, block_id, chassis,
                                 rng.choice(_NIC_MBPS), 2)
        return Block(uri, block_id, f"Network block {n}", "Network", zone,
                     chassis, Parts(interfaces=ports))

    def _fixed_systems(self, zones: list[Zone]) -> None:
        rng = self._random("system")
        for n in range(1, self._shape.systems + 1):
            chassis = self._mount((n - 1) % self._shape.racks, "RackMount",
                                  "Server", 1)
            system_id = f"server-{n}"
            uri = f"{SYSTEMS}/{system_id}"
            parts = self._board(rng, uri, system_id, chassis)
            parts.drives = [
                self._drive(rng, chassis.uri, f"{system_id}-drive-{i}",
                            chassis)
                for i in range(1, rng.choice((1, 2, 4)) + 1)]
            parts.interfaces = self._interfaces(
                uri, system_id, chassis, rng.choice(_NIC_MBPS), 2)
            self._publish(parts)
            system = System(uri, system_id, f"Server {n}", "A whole server",
                            identity(self._shape.seed, system_id),
                            "Physical", parts, [chassis], own=parts)
            if self._shape.expandable:
                system.zone = zones[(n - 1) % len(zones)]
                self._list(system, chassis)
            chassis.fixed_systems.append(system)
            self.pod.add_system(system)

    def _list(self, system: System, chassis: Chassis) -> None:
        """The server is a resource block, too, and one of its own."""
        zone = system.zone
        assert zone is not None
        block = Block(f"{BLOCKS}/{system.id}", system.id,
                      f"Block of server {system.id}", "ComputerSystem", zone,
                      chassis, Parts(), systems=[system], server=system)
        system.blocks.append(block)
        zone.blocks.append(block)
        chassis.blocks.append(block)
