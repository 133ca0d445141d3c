# SPDX-License-Identifier: Apache-2.0
"""Where does something stand? Chassis, and what they stand in.

RSD's chassis are pod, racks, drawers and sleds. The pod is all of it, so it
is nobody's place: what stands in a rack is in that rack. Some rack contains
itself, which ends the walk.
"""

import re
from collections.abc import Mapping
from typing import Any

from valence.drivers import base
from valence.drivers.http_links import Origin
from valence.drivers.redfish import values
from valence.drivers.rsd.service import oem

Body = dict[str, Any]


class Places:
    """The chassis that were read, by path."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.bodies: dict[str, Body] = {}

    def find(self, link: Any) -> str | None:
        """The path of a linked chassis, if it was read."""
        try:
            path = self._origin.path(values.reference(link))
        except base.BadAnswer:
            return None
        for one in (path, path.rstrip('/'), path + '/'):
            if one in self.bodies:
                return one
        return None

    def first(self, links: Any) -> str | None:
        found = sorted(filter(None, map(self.find, values.objects(links))))
        return found[0] if found else None

    def outermost(self, path: str | None) -> str | None:
        """The outermost chassis around ``path`` that is no pod."""
        if path is None:
            return None
        walked: list[str] = []
        above: str | None = path
        while above is not None and above not in walked:
            walked.append(above)
            above = self.first(values.obj(
                self.bodies[above].get('Links')).get('ContainedBy'))
        places = [one for one in walked if not self._is_pod(one)]
        return places[-1] if places else None

    def of(self, body: Mapping[str, Any]) -> str | None:
        """The rack that ``body`` says that it stands in."""
        return self.outermost(self.first(
            values.obj(body.get('Links')).get('Chassis')))

    def racks(self) -> list[base.Rack]:
        return [self._rack(path, body)
                for path, body in sorted(self.bodies.items())]

    def _is_pod(self, path: str) -> bool:
        return self.bodies[path].get('ChassisType') == 'Pod'

    def _rack(self, path: str, body: Body) -> base.Rack:
        outermost = self.outermost(path)
        return base.Rack(
            resource_path=path, name=name(path, body),
            chassis_type=values.text(body.get('ChassisType'), 64) or 'Other',
            rack_path=None if outermost == path else outermost,
            location=_location(body), details=details(body))


def _location(body: Body) -> dict[str, Any]:
    """Redfish's Placement, or what is known of it.

    RSD has {'Id', 'ParentId'}, one simulator {'Rack', 'ULocation: 25 U'}.
    """
    place = values.obj(values.obj(body.get('Location')).get('Placement'))
    told = values.obj(oem(body).get('Location'))
    units = re.match(r'([0-9]{1,4})\s*U\b',
                     values.text(told.get('ULocation')) or '')
    offset = values.integer(place.get('RackOffset'))
    if offset is None and units:
        offset = int(units[1])
    return values.compact(
        row=values.text(place.get('Row')),
        rack=(values.text(place.get('Rack')) or values.text(told.get('Rack'))
              or values.text(told.get('ParentId'))),
        offset=offset,
        offset_units=(values.text(place.get('RackOffsetUnits'), 64)
                      or ('EIA_310' if units else None)))


def name(path: str, body: Mapping[str, Any]) -> str:
    return (values.text(body.get('Name')) or values.text(body.get('Id'))
            or path.rstrip('/').rpartition('/')[2])


def details(body: Body) -> dict[str, Any]:
    """What the operator knows hardware by."""
    return values.compact(
        description=values.text(body.get('Description')),
        manufacturer=values.text(body.get('Manufacturer')),
        model=values.text(body.get('Model')),
        serial_number=values.text(body.get('SerialNumber')),
        part_number=values.text(body.get('PartNumber')),
        asset_tag=values.text(body.get('AssetTag')),
        status=values.state(body))
