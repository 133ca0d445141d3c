# SPDX-License-Identifier: Apache-2.0
"""What is in an RSD pod?

Composed nodes are the composed systems of the inventory, computer systems
(sleds) the whole ones. What the PODM can put into a node are the pooled
devices: each sled as one device, the drives that stand in a chassis of
drives, and the volumes and targets of storage services. Processors, memory,
drives and NICs of a sled are its fixed parts, free or used as the sled is.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from valence.common.devices import DeviceState, DeviceType
from valence.drivers import base
from valence.drivers.http_links import Origin
from valence.drivers.redfish import blocks, components, values
from valence.drivers.redfish.crawl import NOT_THERE, Crawl
from valence.drivers.redfish.discover import read_pod, summary
from valence.drivers.rsd import nodes
from valence.drivers.rsd.chassis import Places, details, name
from valence.drivers.rsd.service import Pod

Body = dict[str, Any]
Component = components.Component

_OUT_OF_ORDER = ('Absent', 'Disabled', 'UnavailableOffline', 'InTest',
                 'Updating')
_STORAGE = ('StorageServices', 'Services')
_VOLUMES = ('Volumes', 'RemoteTargets', 'Targets')
_MEDIA = {'SSD': DeviceType.SSD, 'HDD': DeviceType.HDD}


def discover(service: Pod) -> base.Inventory:
    """Read the whole pod.

    :raises DriverError: only where nothing below the root could be read.
    """
    return read_pod(service, Scan(service))


class Scan:
    """One reading of one pod."""

    def __init__(self, service: Pod) -> None:
        self.crawl = Crawl(service)
        self._service = service
        self._origin: Origin = service.origin
        self._places = Places(service.origin)
        self._systems: dict[str, Body] = {}
        self._by_key: dict[str, str] = {}
        self._parts: dict[str, dict[str, Component]] = {}
        self._nodes: dict[str, Body] = {}
        #: Drives and volumes outside of systems, and the chassis they are
        #: listed by.
        self._loose: dict[str, tuple[Body, Component, str | None]] = {}
        #: What each node is made of, and the reverse.
        self._linked: dict[str, tuple[str, ...]] = {}
        self._used: set[str] = set()

    def start(self, root: Body) -> None:
        """Want everything that the root leads to.

        :raises BadAnswer: if it is not the root of a PODM.
        """
        nodes_path = self._service.nodes()
        self.crawl.collection({'@odata.id': nodes_path}, self._on_node)
        for key, handler in (('Chassis', self._on_chassis),
                             ('Systems', self._on_system)):
            if root.get(key) is not None:
                self.crawl.collection(root[key], handler)
        for key in _STORAGE:
            if isinstance(root.get(key), dict):
                self.crawl.collection(root[key], self._on_storage,
                                      absent=NOT_THERE)

    def _on_node(self, path: str, body: Body) -> None:
        self._nodes[path] = body

    def _on_chassis(self, path: str, body: Body) -> None:
        self._places.bodies[path] = body
        take = self._taker(path, drive)
        for link in values.objects(values.obj(
                body.get('Links')).get('Drives')):
            self.crawl.want(link, take, absent=NOT_THERE)
        if isinstance(body.get('Drives'), dict):
            self.crawl.collection(body['Drives'], take, absent=NOT_THERE)

    def _on_system(self, path: str, body: Body) -> None:
        self._systems[path] = body
        self._by_key[path.rstrip('/')] = path
        parts = self._parts[path] = {}

        def take(part: Component) -> None:
            parts[part['resource_path']] = part

        # DimmConfig is what Memory was called before 2.1; {} links nowhere.
        components.gather(self.crawl, {
            key: value for key, value in {
                **body, 'Memory': body.get('Memory') or body.get(
                    'DimmConfig')}.items() if value != {}}, take)

    def _on_storage(self, _: str, body: Body) -> None:
        for key in _VOLUMES:
            if isinstance(body.get(key), dict):
                self.crawl.collection(
                    body[key], self._taker(None, volume), absent=NOT_THERE)

    def _taker(self, place: str | None,
               make: Callable[[str, Body], Component]
               ) -> Callable[[str, Body], None]:
        def take(path: str, body: Body) -> None:
            if not values.absent(body):
                self._loose[path] = (body, make(path, body), place)
        return take

    def inventory(self) -> base.Inventory:
        """What was read, put together."""
        for path, body in self._nodes.items():
            self._linked[path] = self._links_of(path, body)
            self._used.update(self._linked[path])
        self._settle_drives()
        pooled = [self._sled(path, body)
                  for path, body in self._systems.items()]
        pooled += [self._pooled(path, *found)
                   for path, found in self._loose.items()]
        fixed = [self._fixed(part, system, body)
                 for system, body in self._systems.items()
                 for part in self._parts[system].values()]
        systems = [self._system(path, body)
                   for path, body in self._systems.items()]
        systems += [self._node(path, body)
                    for path, body in self._nodes.items()]
        return base.Inventory(
            racks=tuple(self._places.racks()), systems=_sorted(systems),
            devices=_sorted([*pooled, *fixed]),
            complete=not self.crawl.problems,
            problems=tuple(sorted(set(self.crawl.problems), key=lambda one: (
                one.resource_path, one.reason))))

    def _links_of(self, path: str, body: Body) -> tuple[str, ...]:
        try:
            return nodes.linked(self._origin, body)
        except base.BadAnswer as error:
            self.crawl.problem(path, str(error))
            return ()

    def _settle_drives(self) -> None:
        """Whose is a drive that both a chassis and a system may list?

        A sled's chassis has a system in it, and its drives are that
        system's; a chassis without any is a pool of drives.
        """
        owned: dict[str, list[str]] = defaultdict(list)
        for system, parts in self._parts.items():
            for path in parts:
                owned[path].append(system)
        for path, (_, part, place) in list(self._loose.items()):
            owners = owned[path]
            home = self._systems_in(place)
            if place is not None and not home:
                for system in owners:
                    del self._parts[system][path]
            elif owners:
                del self._loose[path]
            elif len(home) == 1:
                self._parts[home[0]][path] = part
                del self._loose[path]

    def _systems_in(self, place: str | None) -> list[str]:
        if place is None:
            return []
        links = values.obj(self._places.bodies[place].get('Links'))
        return sorted({path for link in values.objects(
            links.get('ComputerSystems')) if (path := self._known(link))})

    def _known(self, link: Any) -> str | None:
        """The path of a linked system, if it was read."""
        return self._by_key.get(str(values.reference(link)).rstrip('/'))

    def _state(self, path: str, body: Body) -> DeviceState:
        if path in self._used:
            return DeviceState.USED
        if values.state(body) in _OUT_OF_ORDER:
            return DeviceState.UNAVAILABLE
        if values.health(body) == 'Critical':
            return DeviceState.FAILED
        return DeviceState.FREE

    def _inside(self, system: str) -> list[Component]:
        parts = self._parts[system]
        return [parts[path] for path in sorted(parts)]

    def _sled(self, path: str, body: Body) -> base.Device:
        inside = self._inside(path)
        cores, model, memory = summary(body)
        sums = blocks.totals(inside)
        return base.Device(
            resource_path=path, name=name(path, body),
            type=DeviceType.COMPUTE, state=self._state(path, body),
            health=values.health(body), rack_path=self._places.of(body),
            model=model or blocks.model(DeviceType.COMPUTE, inside),
            details={**details(body), 'components': inside},
            **{**sums, 'processor_cores': sums['processor_cores'] or cores,
               'memory_mib': sums['memory_mib'] or memory})

    def _pooled(self, path: str, body: Body, part: Component,
                place: str | None) -> base.Device:
        return base.Device(
            resource_path=path, name=part['name'],
            type=DeviceType(part['type']), state=self._state(path, body),
            health=part.get('health'), model=part.get('model'),
            rack_path=(self._places.outermost(place)
                       or self._places.of(body)),
            details={**details(body), 'components': [part]},
            **blocks.totals([part]))

    def _fixed(self, part: Component, system: str,
               body: Body) -> base.Device:
        path = part['resource_path']
        state = self._state(system, body)
        return base.Device(
            resource_path=path, name=part['name'],
            type=DeviceType(part['type']), pooled=False,
            state=DeviceState.USED if path in self._used else state,
            health=part.get('health'), system_path=system,
            rack_path=self._places.of(body), model=part.get('model'),
            details=values.compact(
                manufacturer=part.get('manufacturer'), mac=part.get('mac'),
                speed_mhz=part.get('speed_mhz')), **blocks.totals([part]))

    def _system(self, path: str, body: Body) -> base.System:
        sums = blocks.totals(self._inside(path))
        cores, model, memory = summary(body)
        return base.System(
            resource_path=path, name=name(path, body),
            system_type=values.text(body.get('SystemType'), 64)
            or 'Physical',
            system_uuid=values.text(body.get('UUID'), 64),
            power_state=values.text(body.get('PowerState'), 64),
            health=values.health(body), rack_path=self._places.of(body),
            processor_cores=cores or sums['processor_cores'],
            processor_model=model or blocks.model(
                DeviceType.PROCESSOR, self._inside(path)),
            memory_mib=memory or sums['memory_mib'],
            details=details(body))

    def _node(self, path: str, body: Body) -> base.System:
        links = values.obj(body.get('Links'))
        under = self._known(links.get('ComputerSystem'))
        system = self._system(under, self._systems[under]) if under else None
        memory = values.number(values.obj(body.get('Memory')).get(
            'TotalSystemMemoryGiB'))
        return base.System(
            resource_path=path, name=name(path, body),
            system_type='Composed', composed=True,
            system_uuid=values.text(body.get('UUID'), 64),
            power_state=values.text(body.get('PowerState'), 64),
            health=values.health(body),
            rack_path=system.rack_path if system else None,
            processor_cores=system.processor_cores if system else None,
            processor_model=values.text(values.obj(
                body.get('Processors')).get('Model'))
            or (system.processor_model if system else None),
            memory_mib=(values.integer(memory * 1024) if memory is not None
                        else system.memory_mib if system else None),
            tag=nodes.tag(body), device_paths=self._linked[path],
            details={**details(body),
                     'composed_node_state': nodes.state(body)})


def drive(path: str, body: Body) -> Component:
    """A drive; before 2.3 it has a ``Type`` and may count in GiB."""
    part = components.drive(path, body)
    if part['type'] == DeviceType.STORAGE:
        if values.text(body.get('Interface')) in ('NVMe', 'PCIe'):
            kind = DeviceType.NVME
        else:
            kind = _MEDIA.get(values.text(body.get('Type')) or '',
                              DeviceType.STORAGE)
        part['type'] = kind.value
    gib = values.number(body.get('CapacityGiB'))
    if 'capacity_gib' not in part and gib is not None:
        part['capacity_gib'] = values.integer(gib)
    return part


def volume(path: str, body: Body) -> Component:
    """A volume or target: storage, whatever it is made of."""
    return {**drive(path, body), 'type': DeviceType.STORAGE.value}


def _sorted(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(items, key=lambda one: one.resource_path))
