# SPDX-License-Identifier: Apache-2.0
"""What is in a pod?

:func:`discover` reads chassis, systems, resource blocks and zones at once
(see :mod:`.crawl`) and puts them together at the end, when all that could be
read is there. The result is in the order of the resources' paths, so equal
hardware gives an equal inventory.
"""

import functools
import re
from collections.abc import Iterable
from typing import Any

from valence.common.devices import DeviceState, DeviceType
from valence.drivers import base
from valence.drivers.http_links import Origin
from valence.drivers.redfish import blocks, components, values
from valence.drivers.redfish.crawl import NOT_THERE, Crawl
from valence.drivers.redfish.service import Service, block_collections

Body = dict[str, Any]

#: What else is shown to the operator, and its name in the inventory.
_DETAILS = tuple(
    (re.sub('(?<=[a-z])(?=[A-Z])', '_', name).lower(), name) for name in (
        'Description', 'Manufacturer', 'Model', 'SKU', 'SerialNumber',
        'PartNumber', 'AssetTag', 'HostName', 'BiosVersion'))


class _Item:
    """A resource as read, and the components found in it so far."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.inside: list[components.Component] = []

    def parts(self) -> list[components.Component]:
        unique = {one['resource_path']: one for one in self.inside}
        return [unique[path] for path in sorted(unique)]


def is_composed(body: Body) -> bool:
    """Whether a system is one that taking apart makes sense for.

    DSP2050: a composed system says ``SystemType: Composed``. One emulator
    says no type at all, then its blocks tell. A *physical* system that lists
    blocks is an expandable one, or a block itself: it is whole, and must
    never be deleted.
    """
    kind = values.text(body.get('SystemType'))
    return kind == 'Composed' or (kind is None and bool(block_links(body)))


def is_expandable(body: Body) -> bool:
    """Whether a whole server takes blocks (DSP2050, expandable)."""
    cases = values.texts(values.obj(body.get('Composition')).get('UseCases'))
    return not is_composed(body) and 'ExpandableSystem' in cases


def block_links(body: Body) -> list[Body]:
    """The links of a system to the resource blocks it is made of."""
    return values.objects(values.obj(body.get('Links')).get(
        'ResourceBlocks'))


def discover(service: Service) -> base.Inventory:
    """Read the whole pod.

    :raises DriverError: only where nothing below the root could be read.
    """
    return read_pod(service, Scan(service))


def read_pod(service: Service, scan: Any) -> base.Inventory:
    """Run ``scan``, which has ``crawl``, ``start`` and ``inventory``.

    :raises DriverError: only where nothing below the root could be read.
    """
    scan.start(service.root(again=True))
    scan.crawl.run()
    service.client.rest()
    if not scan.crawl.read and scan.crawl.errors:
        raise scan.crawl.errors[0]
    found: base.Inventory = scan.inventory()
    return found


class Scan:
    """One reading of one pod."""

    def __init__(self, service: Service) -> None:
        self.crawl = Crawl(service)
        self._origin: Origin = service.origin
        self._chassis: dict[str, _Item] = {}
        self._systems: dict[str, _Item] = {}
        self._blocks: dict[str, _Item] = {}
        self._zones: dict[str, _Item] = {}
        #: Of each chassis its path by :func:`_key`, and what is around it.
        self._chassis_paths: dict[str, str] = {}
        self._racks: dict[str, str] = {}
        #: The zones that each capabilities object is for, by its name; and
        #: what it says.
        self._offers: dict[str, list[list[str]]] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self._limits: dict[str, dict[str, Any]] = {}
        self._limits_of_all: dict[str, Any] = {}
        #: By block, the expandable server that it is; and the other way.
        self._servers: dict[str, str] = {}
        self._own: dict[str, str] = {}
        #: The components of all blocks.
        self._in_blocks: set[str] = set()

    def start(self, root: Body) -> None:
        """Want everything that the root leads to.

        :raises BadAnswer: if it leads nowhere: an empty pod has empty
            collections, so this is another kind of service, or a sick one.
        """
        if not any(isinstance(root.get(name), dict) for name in (
                'Chassis', 'Systems', 'CompositionService')):
            raise base.BadAnswer(
                'the service root of the backend lists neither Systems nor '
                'Chassis; see that the URL is that of a Redfish service')
        for name, handler, first in (
                ('Chassis', self._on_chassis, None),
                ('Systems', self._on_system, self._on_capabilities)):
            if root.get(name) is not None:
                self.crawl.collection(root[name], handler, first=first)
        if root.get('CompositionService') is not None:
            self.crawl.want(root['CompositionService'], self._on_composition,
                            absent=NOT_THERE)

    def _on_composition(self, _: str, body: Body) -> None:
        for link in block_collections(body):
            self.crawl.collection(link, self._on_block, absent=NOT_THERE,
                                  levels=2)
        if body.get('ResourceZones') is not None:
            self.crawl.collection(body['ResourceZones'], self._on_zone,
                                  absent=NOT_THERE)

    def _on_chassis(self, path: str, body: Body) -> None:
        self._chassis[path] = _Item(body)

    def _on_system(self, path: str, body: Body) -> None:
        if path not in self._systems:
            item = self._systems[path] = _Item(body)
            if not is_composed(body):
                components.gather(self.crawl, body, item.inside.append)

    def _on_block(self, path: str, body: Body) -> None:
        item = self._blocks[path] = _Item(body)
        components.gather(self.crawl, body, item.inside.append)
        for link in values.objects(body.get('ComputerSystems')):
            self.crawl.want(link, self._on_system, absent=NOT_THERE)

    def _on_zone(self, path: str, body: Body) -> None:
        self._zones[path] = _Item(body)
        self._on_capabilities(body, path)

    def _on_capabilities(self, body: Body, zone: str | None = None) -> None:
        """``@Redfish.CollectionCapabilities`` (DSP2050).

        On the target collection in newer services, with the zones it is for
        as RelatedItem; on the zone in older ones.
        """
        for one in capabilities(body):
            zones = [zone] if zone else self._paths(
                values.obj(one.get('Links')).get('RelatedItem'))

            link = one['CapabilitiesObject']
            name = str(values.reference(link))
            known = name in self._offers
            self._offers.setdefault(name, []).append(zones)
            if not known:               # several zones may name the same
                self.crawl.want(link, functools.partial(self._on_offer, name),
                                absent=NOT_THERE)

    def _on_offer(self, name: str, _: str, body: Body) -> None:
        self._told[name] = blocks.limits(body)

    def _settle_limits(self) -> None:
        for name, told in sorted(self._told.items()):
            for zones in self._offers[name]:
                if not zones:
                    self._limits_of_all.update(told)
                for path in zones:
                    self._limits.setdefault(_key(path), {}).update(told)

    def _settle_servers(self) -> None:
        for path, item in self._blocks.items():
            self._in_blocks.update(
                part['resource_path'] for part in item.inside)
            for system in self._paths(item.body.get('ComputerSystems')):
                if system in self._systems and is_expandable(
                        self._systems[system].body):
                    self._servers[path] = system
                    self._own[system] = path

    def inventory(self) -> base.Inventory:
        """What was read, put together."""
        self._chassis_paths = {_key(path): path
                               for path in sorted(self._chassis)}
        self._settle_limits()
        zones = self._zones_of_blocks()
        self._settle_servers()
        used = {
            _key(path) for item in self._systems.values()
            if is_composed(item.body) or is_expandable(item.body)
            for path in self._paths(block_links(item.body))}
        pooled = {path: self._pooled(path, item, zones, used)
                  for path, item in self._blocks.items()}
        systems = [self._system(path, item, pooled)
                   for path, item in self._systems.items()]
        fixed = self._fixed_devices(pooled)
        return base.Inventory(
            racks=_sorted(self._rack(path, item.body)
                          for path, item in self._chassis.items()),
            systems=_sorted(systems),
            devices=_sorted([*pooled.values(), *fixed]),
            zones=_sorted(self._zone(path, item, zones)
                          for path, item in self._zones.items()),
            complete=not self.crawl.problems,
            problems=tuple(sorted(set(self.crawl.problems), key=lambda one: (
                one.resource_path, one.reason))))

    def _paths(self, links: Any) -> list[str]:
        """The paths of an array of links; bad ones are a problem."""
        found = []
        for link in values.objects(links):
            try:
                found.append(self._origin.path(values.reference(link)))
            except base.BadAnswer as error:
                self.crawl.problem('', str(error))
        return found

    def _rack(self, path: str, body: Body) -> base.Rack:
        place = values.obj(values.obj(body.get('Location')).get('Placement'))
        outermost = self._outermost(path)
        return base.Rack(
            resource_path=path, name=_name(path, body),
            chassis_type=values.text(body.get('ChassisType'), 64) or 'Other',
            rack_path=None if outermost == path else outermost,
            location=values.compact(
                row=values.text(place.get('Row')),
                rack=values.text(place.get('Rack')),
                offset=values.integer(place.get('RackOffset')),
                offset_units=values.text(place.get('RackOffsetUnits'), 64)),
            details=_details(body))

    def _outermost(self, path: str) -> str:
        """The chassis around the chassis around ... ``path``.

        One simulator's rack contains itself: going round ends the walk.
        """
        walked = [path]
        while True:
            item = self._chassis.get(walked[-1])
            above = self._chassis_of(values.obj(
                item.body.get('Links')).get('ContainedBy')) if item else None
            if above is None:
                return walked[-1]
            if above in walked:
                return min(walked[walked.index(above):])
            walked.append(above)

    def _chassis_of(self, links: Any) -> str | None:
        """The first of ``links`` that is a chassis that was read."""
        for key in sorted(map(_key, self._paths(links))):
            if key in self._chassis_paths:
                return self._chassis_paths[key]
        return None

    def _rack_of(self, body: Body) -> str | None:
        chassis = self._chassis_of(values.obj(
            body.get('Links')).get('Chassis'))
        if chassis is None:
            return None
        if chassis not in self._racks:
            self._racks[chassis] = self._outermost(chassis)
        return self._racks[chassis]

    def _zones_of_blocks(self) -> dict[str, set[str]]:
        """Zone paths by block, from the links of both sides."""
        by_key = {_key(path): path for path in self._zones}
        found: dict[str, set[str]] = {path: set() for path in self._blocks}
        keys = {_key(path): path for path in self._blocks}
        for path, item in self._blocks.items():
            links = values.obj(item.body.get('Links'))
            for zone in self._paths(links.get('Zones')):
                if _key(zone) in by_key:
                    found[path].add(by_key[_key(zone)])
        for zone, item in self._zones.items():
            for path in self._paths(block_links(item.body)):
                if _key(path) in keys:
                    found[keys[_key(path)]].add(zone)
        return found

    def _pooled(self, path: str, item: _Item, zones: dict[str, set[str]],
                used: set[str]) -> base.Device:
        server = self._servers.get(path)
        inside = item.parts()
        for system in self._paths(item.body.get('ComputerSystems')):
            if system in self._systems:
                inside.extend(part for part in self._systems[system].parts()
                              # What was added to a server is not its own.
                              if not server or part['resource_path']
                              not in self._in_blocks)
        kind = blocks.block_type(item.body, inside)
        sums, model = blocks.totals(inside), blocks.model(kind, inside)
        if server:
            cores, processor, memory = summary(self._systems[server].body)
            sums['processor_cores'] = sums['processor_cores'] or cores
            sums['memory_mib'] = sums['memory_mib'] or memory
            model = model or processor
            state = blocks.server_state(
                item.body, self._systems[server].body,
                self._is_in_use(path, server))
        else:
            state = blocks.block_state(item.body)
            if _key(path) in used and state in (DeviceState.FREE,
                                                DeviceState.RESERVED):
                state = DeviceState.USED    # a system says that it has it
        return base.Device(
            resource_path=path, name=_name(path, item.body), type=kind,
            state=state, health=values.health(item.body),
            rack_path=self._rack_of(item.body), system_path=server,
            model=model,
            zone_paths=tuple(sorted(zones[path])),
            details={**_details(item.body), **blocks.sharing(item.body),
                     'components': inside}, **sums)

    def _is_in_use(self, path: str, server: str) -> bool:
        """Whether a server has more blocks than the one that it is."""
        return any(_key(one) != _key(path) for one in self._paths(
            block_links(self._systems[server].body)))

    def _system(self, path: str, item: _Item,
                pooled: dict[str, base.Device]) -> base.System:
        body = item.body
        names = {_key(one): one for one in pooled}
        paths = sorted({names.get(_key(one), one)
                        for one in self._paths(block_links(body))}
                       | ({self._own[path]} if path in self._own else set()))
        devices = [pooled[one] for one in paths if one in pooled]
        composed = is_composed(body)
        inside = [part for device in devices
                  for part in device.details['components']
                  ] if composed else item.parts()
        sums = blocks.totals(inside)
        cores, model, memory = summary(body)
        racks = {device.rack_path for device in devices}
        return base.System(
            resource_path=path, name=_name(path, body),
            system_type=values.text(body.get('SystemType'), 64) or (
                'Composed' if composed else 'Physical'),
            composed=composed,
            system_uuid=values.text(body.get('UUID'), 64),
            power_state=values.text(body.get('PowerState'), 64),
            health=values.health(body),
            rack_path=self._rack_of(body) or (
                racks.pop() if len(racks) == 1 else None),
            processor_cores=cores or sums['processor_cores'],
            processor_model=model or blocks.model(
                DeviceType.PROCESSOR, [
                    one for one in inside
                    if one['type'] == DeviceType.PROCESSOR]),
            memory_mib=memory or sums['memory_mib'],
            tag=values.tag(body.get('Name')) if composed else None,
            device_paths=tuple(paths), details=_details(body))

    def _fixed_devices(self, pooled: dict[str, base.Device]
                       ) -> list[base.Device]:
        """The parts of whole systems that are not in a block as well."""
        found = {}
        for path, item in self._systems.items():
            rack = self._rack_of(item.body)
            for part in item.parts():
                name = part['resource_path']
                if name in self._in_blocks or name in pooled:
                    continue
                found[name] = base.Device(
                    resource_path=name, name=part['name'],
                    type=DeviceType(part['type']), pooled=False,
                    state=DeviceState.USED, health=part.get('health'),
                    rack_path=rack, system_path=path,
                    model=part.get('model'), details=values.compact(
                        manufacturer=part.get('manufacturer'),
                        mac=part.get('mac'),
                        speed_mhz=part.get('speed_mhz')),
                    **blocks.totals([part]))
        return list(found.values())

    def _zone(self, path: str, item: _Item,
              zones: dict[str, set[str]]) -> base.Zone:
        return base.Zone(
            resource_path=path, name=_name(path, item.body),
            device_paths=tuple(sorted(
                block for block, of in zones.items() if path in of)),
            limits=self._limits.get(_key(path), self._limits_of_all),
            details=_details(item.body))


def capabilities(body: Body, use_case: str = 'ComputerSystemComposition'
                 ) -> list[Body]:
    """The capabilities of ``use_case`` with an object to read."""
    told = values.obj(body.get('@Redfish.CollectionCapabilities'))
    return [one for one in values.objects(told.get('Capabilities'))
            if values.text(one.get('UseCase')) == use_case
            and isinstance(one.get('CapabilitiesObject'), dict)]


def summary(body: Body) -> tuple[int | None, str | None, int | None]:
    """(cores, processor model, memory in MiB) of a system's summaries."""
    processors = values.obj(body.get('ProcessorSummary'))
    memory = values.number(values.obj(
        body.get('MemorySummary')).get('TotalSystemMemoryGiB'))
    return (values.integer(processors.get('CoreCount')),
            values.text(processors.get('Model')),
            None if memory is None else values.integer(memory * 1024))


def _details(body: Body) -> dict[str, Any]:
    return values.compact(
        **{key: values.text(body[name]) for key, name in _DETAILS
           if name in body},
        status=values.state(body))


def _name(path: str, body: Body) -> str:
    return (values.text(body.get('Name')) or values.text(body.get('Id'))
            or path.rstrip('/').rpartition('/')[2])


def _key(path: str) -> str:
    """Some services end the same path with a slash here and not there."""
    return path.rstrip('/')


def _sorted(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(items, key=lambda one: one.resource_path))
