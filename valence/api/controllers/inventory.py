# SPDX-License-Identifier: Apache-2.0
"""What hardware is there, as of the last sync?

Racks, systems, devices and zones are read alike: one page or one resource,
with the pod manager they are behind and, where something can be claimed, the
node that claims it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from valence import requests
from valence.api import finding
from valence.api.controllers import operations
from valence.api.request import Answer, Request
from valence.api.views import View
from valence.db import models

_PODS = finding.POD_MANAGERS
_CLAIMS: Any = models.Claim.__table__
_NODES: Any = models.Node.__table__


class Resource:
    """One kind of hardware.

    :param model: its table
    :param fields: its own fields, beside those that all have
    :param node: how the node that owns a row is joined, if at all
    :param filters: parameters that ask for equality, beside the common ones
    """

    def __init__(self, model: Any, fields: tuple[str, ...], *,
                 node: Callable[[Any, Any], Any] | None = None,
                 filters: tuple[str, ...] = ()) -> None:
        self.table = table = model.__table__
        c = table.c
        self.owned = node is not None
        source = finding.with_pod_manager(table)
        if node is not None:
            source = node(source, c)
        view = View(str(table.name), {
            'uuid': c.uuid,
            'name': c.name,
            'pod_manager': _PODS.c.uuid,
            'resource_path': c.resource_path,
            **{name: c[name] for name in fields},
            **({'node': _NODES.c.uuid} if self.owned else {}),
            'missing': c.missing_since.is_not(None),
            'details': c.details,
            'created_at': c.created_at,
            'updated_at': c.updated_at,
            **({'available': _available(c)} if 'pooled' in fields else {}),
        })
        self.summary = view.without('details')
        self.list = sa.select().select_from(source)
        self.view = view
        self.finder = finding.Finder(
            str(table.name)[:-1], sa.select(*view.columns).select_from(source),
            table)
        self.filters = {name: c[name] for name in
                        ('name', 'resource_path', *filters)}


def _by_claim(source: Any, c: Any) -> Any:
    return source.outerjoin(_CLAIMS, sa.and_(
        _CLAIMS.c.pod_manager_id == c.pod_manager_id,
        _CLAIMS.c.resource_path == c.resource_path)).outerjoin(
            _NODES, _NODES.c.id == _CLAIMS.c.node_id)


def _by_path(source: Any, c: Any) -> Any:
    return source.outerjoin(_NODES, sa.and_(
        _NODES.c.pod_manager_id == c.pod_manager_id,
        _NODES.c.resource_path == c.resource_path))


def _available(c: Any) -> Any:
    return sa.and_(c.pooled, c.state == 'free', _CLAIMS.c.id.is_(None),
                   c.missing_since.is_(None))


_RACKS = Resource(
    models.Rack, ('chassis_type', 'rack_path', 'location'),
    filters=('chassis_type', 'rack_path'))
_SYSTEMS = Resource(
    models.System,
    ('system_type', 'composed', 'system_uuid', 'power_state', 'health',
     'rack_path', 'processor_cores', 'processor_model', 'memory_mib',
     'device_paths'),
    node=_by_path,
    filters=('system_type', 'composed', 'power_state', 'health',
             'rack_path'))
_DEVICES = Resource(
    models.Device,
    ('type', 'pooled', 'state', 'health', 'rack_path', 'system_path',
     'processor_cores', 'memory_mib', 'memory_type', 'capacity_gib',
     'speed_mbps', 'model', 'zone_paths'),
    node=_by_claim,
    filters=('type', 'pooled', 'state', 'health', 'rack_path',
             'system_path', 'model'))
_ZONES = Resource(models.Zone, ('device_paths', 'limits'))


def list_racks(request: Request) -> Answer:
    """List chassis: racks and what stands in them."""
    return _index(request, _RACKS)


def show_rack(request: Request, rack: str) -> Answer:
    """Show a chassis."""
    return _show(request, _RACKS, rack)


def list_systems(request: Request) -> Answer:
    """List systems, whole and composed ones."""
    return _index(request, _SYSTEMS)


def show_system(request: Request, system: str) -> Answer:
    """Show a system."""
    return _show(request, _SYSTEMS, system)


def list_devices(request: Request) -> Answer:
    """List devices, pooled and fixed ones."""
    return _index(request, _DEVICES)


def show_device(request: Request, device: str) -> Answer:
    """Show a device and the node that owns it."""
    return _show(request, _DEVICES, device)


def sync_devices(request: Request) -> Answer:
    """Read the inventory of one pod manager again, or of all of them.

    Where a sync is under way already, that one is in the answer.
    """
    body = request.body
    ident = body.get('pod_manager') or body.get('podm_id')

    def ask(conn: sa.Connection, requester: requests.Requester) -> list[str]:
        if ident:
            uuids = [finding.named_pod_manager(request, conn, ident).uuid]
        else:
            uuids = list(conn.scalars(
                sa.select(_PODS.c.uuid).order_by(_PODS.c.id)))
        return [requests.sync(conn, requester, uuid) for uuid in uuids]

    return operations.accept_all(request, ask)


def list_zones(request: Request) -> Answer:
    """List zones: which devices can be joined with each other."""
    return _index(request, _ZONES)


def show_zone(request: Request, zone: str) -> Answer:
    """Show a zone."""
    return _show(request, _ZONES, zone)


def _show(request: Request, resource: Resource, uuid: str) -> Answer:
    return finding.show(request, resource.view, resource.finder, uuid)


def _index(request: Request, resource: Resource) -> Answer:
    with request.database.read() as conn:
        return finding.page(
            request, conn, resource.summary,
            resource.list.where(
                *_conditions(resource, request.query),
                *finding.of_pod_manager(
                    request, conn, resource.table.c.pod_manager_id)),
            resource.table)


def _conditions(resource: Resource, query: Mapping[str, Any]
                ) -> list[Any]:
    c = resource.table.c
    conditions = finding.conditions(query, resource.filters)
    if 'missing' in query:
        conditions.append(_null(c.missing_since, not query['missing']))
    if 'node' in query:
        conditions.append(_NODES.c.uuid == query['node'].lower())
    if 'claimed' in query:
        conditions.append(_null(_CLAIMS.c.id, not query['claimed']))
    if 'available' in query:
        free = _available(c)
        conditions.append(free if query['available'] else sa.not_(free))
    return conditions


def _null(column: Any, wanted: bool) -> Any:
    return column.is_(None) if wanted else column.is_not(None)
