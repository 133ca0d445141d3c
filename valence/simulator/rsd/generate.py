# SPDX-License-Identifier: Apache-2.0
"""Which RSD hardware a seed stands for.

As in the Redfish pod: every kind of hardware draws from its own stream of
random numbers, so that more drives do not change the processors.
"""

import random
import uuid
from dataclasses import dataclass

from valence.simulator.resources import Collection, Document, Resource
from valence.simulator.rsd.model import (
    CHASSIS,
    ROOT,
    SYSTEMS,
    Drive,
    Interface,
    MemoryModule,
    Place,
    Pod,
    Processor,
    Profile,
    Sled,
    SledStorage,
    Volume,
)

_NAMESPACE = uuid.UUID("6d0e7a86-6c7b-4a2e-8d64-3f0f6f5b7a21")

_SLEDS_PER_DRAWER = 4
_DRAWER_UNITS = 2
_DRIVES_PER_ENCLOSURE = 24
_VOLUMES_PER_SERVICE = 64
_RACKS_PER_ROW = 10

# model, cores, threads, MHz
_CPUS = (("Contoso C6 6416", 16, 32, 3100), ("Contoso C6 6432", 32, 64, 2800),
         ("Fabrikam F9 9564", 64, 128, 2400))
_GPUS = (("Contoso CG-24", 7424, 1700), ("Fabrikam FG-80", 14592, 1750))
_DIMM_GIB = (8, 16, 32)
_NVME_GIB = (894, 1788, 3577)
_VOLUME_GIB = (80, 160, 320)
# interface, rpm, GiB
_LOCAL = (("SATA", None, 447), ("SATA", 7200, 1863), ("SAS", 10000, 1117),
          ("NVMe", None, 894))


@dataclass(frozen=True)
class Shape:
    """How much of what.

    ``nvme`` are pooled drives, ``volumes`` remote ones; one sled in ``gpus``
    has a GPU, none if that is 0.
    """

    seed: int = 1
    racks: int = 2
    sleds: int = 8
    nvme: int = 8
    volumes: int = 4
    gpus: int = 4


def identity(seed: int, *path: object) -> str:
    """The UUID of whatever ``path`` names in the pod of ``seed``."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(map(str, (seed, *path)))))


def generate(shape: Shape, profile: Profile) -> Pod:
    """The inventory of ``shape``, with everything free."""
    return _Generator(shape, profile).pod


class _Generator:
    def __init__(self, shape: Shape, profile: Profile) -> None:
        self._shape = shape
        self.pod = Pod(profile)
        self._macs = 0
        self._older = profile.number < (2, 3)
        self._top = self._place("Pod1", "Pod 1", "Pod", "", "", None, None)
        self._racks = [self._rack(n) for n in range(shape.racks)]
        self._units = [1] * shape.racks
        self._sleds()
        self._pooled()
        self._volumes()
        self._publish("Chassis", "ChassisCollection", self._places)

    def _random(self, kind: str) -> random.Random:
        return random.Random(f"rsd/{self._shape.seed}/{kind}")

    @property
    def _places(self) -> list[Resource]:
        return [one for one in self.pod.resources.values()
                if isinstance(one, Place)]

    def _publish(self, name: str, schema: str,
                 members: list[Resource]) -> None:
        self.pod.add(Collection(f"{ROOT}/{name}", schema, name,
                                {one.uri: one for one in members}))

    def _place(self, ident: str, name: str, kind: str, row: str, rack: str,
               offset: int | None, parent: Place | None) -> Place:
        place = Place(f"{CHASSIS}/{ident}", ident, name, kind, row, rack,
                      offset, parent)
        if parent:
            parent.children.append(place)
        self.pod.add(place)
        return place

    def _rack(self, n: int) -> Place:
        name = f"Rack{n + 1}"
        return self._place(name, f"Rack {n + 1}", "Rack",
                           f"row-{n // _RACKS_PER_ROW + 1}", name, None,
                           self._top)

    def _mount(self, n: int, kind: str, units: int) -> Place:
        rack, offset = self._racks[n], self._units[n]
        self._units[n] += units
        return self._place(f"{rack.id}-U{offset}", f"{kind} at unit {offset}",
                           kind, rack.row, rack.rack, offset, rack)

    def _sleds(self) -> None:
        rng = self._random("sled")
        drawers: dict[int, Place] = {}
        for n in range(self._shape.sleds):
            turn, rack = divmod(n, self._shape.racks)
            if turn % _SLEDS_PER_DRAWER == 0:
                drawers[rack] = self._mount(rack, "Drawer", _DRAWER_UNITS)
            drawer = drawers[rack]
            chassis = self._place(f"Sled{n + 1}", f"Sled {n + 1}", "Sled",
                                  drawer.row, drawer.rack, drawer.offset,
                                  drawer)
            sled = self._sled(rng, n + 1, chassis, self._racks[rack])
            for place in (chassis, drawer, self._racks[rack], self._top):
                place.systems.append(sled)

    def _sled(self, rng: random.Random, n: int, chassis: Place,
              rack: Place) -> Sled:
        uri = f"{SYSTEMS}/System{n}"
        model, cores, threads, mhz = rng.choice(_CPUS)
        processors = [
            Processor(f"{uri}/Processors/CPU{i}", f"CPU{i}", chassis, "CPU",
                      model, cores, threads, mhz)
            for i in range(1, rng.choice((1, 2)) + 1)]
        gpu, gpu_cores, gpu_mhz = rng.choice(_GPUS)
        if self._shape.gpus and n % self._shape.gpus == 0 and (
                not self._older):
            processors.append(Processor(
                f"{uri}/Processors/GPU1", "GPU1", chassis, "GPU",
                gpu, gpu_cores, gpu_cores, gpu_mhz))
        capacity = rng.choice(_DIMM_GIB) * 1024
        sled = Sled(
            uri, f"System{n}", f"Sled {n}",
            identity(self._shape.seed, "system", n), chassis, rack, processors,
            [MemoryModule(f"{uri}/Memory/Dimm{i}", f"Dimm{i}", chassis, i,
                          capacity, "DDR4", 2666)
             for i in range(1, rng.choice((4, 8)) + 1)],
            [self._drive(rng, chassis, i, *rng.choice(_LOCAL))
             for i in range(1, rng.choice((1, 2)) + 1)],
            [Interface(f"{uri}/EthernetInterfaces/LAN{i}", f"LAN{i}", chassis,
                       self._mac(), 10000) for i in (1, 2)])
        chassis.drives += sled.drives
        for part in sled.parts():
            self.pod.add(part)
        storage = SledStorage(f"{uri}/Storage/1", sled.drives)
        self.pod.add(storage)
        for segment, schema, members in (
                ("Processors", "ProcessorCollection", sled.processors),
                ("Memory", "MemoryCollection", sled.memory),
                ("EthernetInterfaces", "EthernetInterfaceCollection",
                 sled.interfaces),
                ("Storage", "StorageCollection", [storage])):
            listed: dict[str, Resource] = {one.uri: one for one in members}
            self.pod.add(Collection(f"{uri}/{segment}", schema, segment,
                                    listed))
        self.pod.add(sled)
        self.pod.systems.members[uri] = sled
        self.pod.sleds.append(sled)
        return sled

    def _drive(self, rng: random.Random, chassis: Place, n: int,
               interface: str, rpm: int | None, gib: int) -> Drive:
        return Drive(f"{chassis.uri}/Drives/{n}", str(n), chassis, gib,
                     interface, rpm, "Contoso",
                     f"C{'H' if rpm else 'S'}-{gib}",
                     f"S{rng.getrandbits(48):012X}", older=self._older)

    def _mac(self) -> str:
        """A locally administered address, unique within the pod."""
        self._macs += 1
        raw = (6, self._shape.seed >> 8 & 0xff, self._shape.seed & 0xff,
               self._macs >> 16 & 0xff, self._macs >> 8 & 0xff,
               self._macs & 0xff)
        return ":".join(f"{byte:02X}" for byte in raw)

    def _pooled(self) -> None:
        rng = self._random("nvme")
        enclosures: dict[int, Place] = {}
        for n in range(self._shape.nvme):
            turn, rack = divmod(n, self._shape.racks)
            if turn % _DRIVES_PER_ENCLOSURE == 0:
                enclosures[rack] = self._mount(rack, "Enclosure", 1)
            enclosure = enclosures[rack]
            drive = self._drive(rng, enclosure, len(enclosure.drives) + 1,
                                "NVMe", None, rng.choice(_NVME_GIB))
            drive.pooled = True
            enclosure.drives.append(drive)
            self.pod.pooled.append(drive)
            self.pod.add(drive)

    def _volumes(self) -> None:
        rng = self._random("volume")
        profile = self.pod.profile
        services: dict[str, list[Volume]] = {}
        for n in range(self._shape.volumes):
            service = (f"{ROOT}/{profile.services}/"
                       f"RSS{n // _VOLUMES_PER_SERVICE + 1}")
            volume = Volume(f"{service}/{profile.volumes}/{n + 1}",
                            str(n + 1), rng.choice(_VOLUME_GIB), self._older)
            services.setdefault(service, []).append(volume)
            self.pod.volumes.append(volume)
            self.pod.add(volume)
        members: dict[str, Resource] = {}
        for service, volumes in services.items():
            self.pod.add(Collection(
                f"{service}/{profile.volumes}", "VolumeCollection",
                profile.volumes, {one.uri: one for one in volumes}))
            members[service] = found = Document(service, {
                "@odata.id": service,
                "@odata.type": "#StorageService.v1_0_0.StorageService",
                "Id": service.rpartition("/")[2],
                "Name": "Remote storage",
                "Status": {"State": "Enabled", "Health": "OK"},
                profile.volumes: {
                    "@odata.id": f"{service}/{profile.volumes}"}})
            self.pod.add(found)
        self.pod.add(Collection(f"{ROOT}/{profile.services}",
                                "StorageServiceCollection",
                                "Storage Services", members))
