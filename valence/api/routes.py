# SPDX-License-Identifier: Apache-2.0
"""What is the whole API? This table."""

from collections.abc import Callable

from valence.api.controllers import (
    conductors,
    drift,
    drivers,
    events,
    flavors,
    inventory,
    nodes,
    operations,
    pod_managers,
    quotas,
    usage,
    versions,
)
from valence.api.request import Answer
from valence.api.routing import Route
from valence.api.schemas import common
from valence.api.schemas import conductors as conductor_schemas
from valence.api.schemas import drift as drift_schemas
from valence.api.schemas import drivers as driver_schemas
from valence.api.schemas import events as event_schemas
from valence.api.schemas import flavors as flavor_schemas
from valence.api.schemas import inventory as inventory_schemas
from valence.api.schemas import nodes as node_schemas
from valence.api.schemas import operations as operation_schemas
from valence.api.schemas import pod_managers as pod_manager_schemas
from valence.api.schemas import quotas as quota_schemas
from valence.api.schemas import versions as version_schemas
from valence.api.versions import Version
from valence.policies.base import PREFIX

_C, _D, _E = conductor_schemas, driver_schemas, event_schemas
_DR = drift_schemas
_F, _I, _N = flavor_schemas, inventory_schemas, node_schemas
_O, _P, _Q = operation_schemas, pod_manager_schemas, quota_schemas
_V = version_schemas


def _row(method: str, path: str, handler: Callable[..., Answer],
         policy: str | None, *, query: common.Schema = common.NO_QUERY,
         body: common.Schema | None = None,
         answer: common.Schema | None = None, status: int = 200,
         **existence: Version) -> Route:
    return Route(method, path, handler, policy and f'{PREFIX}:{policy}',
                 query, body, answer, status, **existence)


ROUTES = (
    _row('GET', '/', versions.index, None, answer=_V.VERSIONS),
    _row('GET', '/v1', versions.show, None, answer=_V.SHOW),
    _row('GET', '/v1/openapi.json', versions.openapi, None,
         answer=_V.OPENAPI),

    _row('GET', '/v1/pod_managers', pod_managers.index,
         'pod_managers:get', query=_P.LIST, answer=_P.PAGE),
    _row('POST', '/v1/pod_managers', pod_managers.create,
         'pod_managers:create', body=_P.CREATE,
         answer=_P.POD_MANAGER, status=201),
    _row('GET', '/v1/pod_managers/{pod_manager}', pod_managers.show,
         'pod_managers:get', answer=_P.POD_MANAGER),
    _row('PATCH', '/v1/pod_managers/{pod_manager}', pod_managers.update,
         'pod_managers:update', body=_P.UPDATE, answer=_P.POD_MANAGER),
    _row('DELETE', '/v1/pod_managers/{pod_manager}', pod_managers.delete,
         'pod_managers:delete', query=_P.DELETE, status=204),
    _row('POST', '/v1/pod_managers/{pod_manager}/sync', pod_managers.sync,
         'pod_managers:sync', answer=_O.ACCEPTED, status=202),
    _row('POST', '/v1/pod_managers/{pod_manager}/drain', pod_managers.drain,
         'pod_managers:drain', answer=_P.POD_MANAGER),

    _row('GET', '/v1/drift', drift.index,
         'drift:get', query=_DR.LIST, answer=_DR.PAGE),
    _row('GET', '/v1/drift/{drift}', drift.show,
         'drift:get', answer=_DR.DRIFT),

    _row('POST', '/v1/events', events.receive, None,
         query=_E.RECEIVE_QUERY, body=_E.RECEIVE, status=204),

    _row('GET', '/v1/racks', inventory.list_racks,
         'racks:get', query=_I.RACKS, answer=_I.RACK_PAGE),
    _row('GET', '/v1/racks/{rack}', inventory.show_rack,
         'racks:get', answer=_I.RACK),
    _row('GET', '/v1/systems', inventory.list_systems,
         'systems:get', query=_I.SYSTEMS, answer=_I.SYSTEM_PAGE),
    _row('GET', '/v1/systems/{system}', inventory.show_system,
         'systems:get', answer=_I.SYSTEM),
    _row('GET', '/v1/devices', inventory.list_devices,
         'devices:get', query=_I.DEVICES, answer=_I.DEVICE_PAGE),
    _row('POST', '/v1/devices/sync', inventory.sync_devices,
         'pod_managers:sync', body=_I.SYNC, answer=_O.SEVERAL, status=202),
    _row('GET', '/v1/devices/{device}', inventory.show_device,
         'devices:get', answer=_I.DEVICE),
    _row('GET', '/v1/zones', inventory.list_zones,
         'zones:get', query=_I.ZONES, answer=_I.ZONE_PAGE),
    _row('GET', '/v1/zones/{zone}', inventory.show_zone,
         'zones:get', answer=_I.ZONE),

    _row('GET', '/v1/usage', usage.index,
         'usage:get', query=_I.USAGE, answer=_I.USAGE_ANSWER),

    _row('GET', '/v1/flavors', flavors.index,
         'flavors:get', query=_F.LIST, answer=_F.PAGE),
    _row('POST', '/v1/flavors', flavors.create,
         'flavors:create', body=_F.CREATE, answer=_F.FLAVOR, status=201),
    _row('GET', '/v1/flavors/{flavor}', flavors.show,
         'flavors:get', answer=_F.FLAVOR),
    _row('PATCH', '/v1/flavors/{flavor}', flavors.update,
         'flavors:update', body=_F.UPDATE, answer=_F.FLAVOR),
    _row('DELETE', '/v1/flavors/{flavor}', flavors.delete,
         'flavors:delete', status=204),

    _row('GET', '/v1/nodes', nodes.index,
         'nodes:get', query=_N.LIST, answer=_N.PAGE),
    _row('POST', '/v1/nodes', nodes.create,
         'nodes:create', body=_N.CREATE, answer=_N.ACCEPTED, status=202),
    _row('GET', '/v1/nodes/{node}', nodes.show,
         'nodes:get', answer=_N.NODE),
    _row('PATCH', '/v1/nodes/{node}', nodes.update,
         'nodes:update', body=_N.UPDATE, answer=_N.NODE),
    _row('DELETE', '/v1/nodes/{node}', nodes.delete,
         'nodes:delete', answer=_N.ACCEPTED, status=202),
    _row('POST', '/v1/nodes/{node}/action', nodes.action,
         'nodes:action', body=_N.ACTION, answer=_N.ACCEPTED, status=202),

    _row('GET', '/v1/operations', operations.index,
         'operations:get', query=_O.LIST, answer=_O.PAGE),
    _row('GET', '/v1/operations/{operation}', operations.show,
         'operations:get', answer=_O.OPERATION),
    _row('DELETE', '/v1/operations/{operation}', operations.delete,
         'operations:delete', answer=_O.ACCEPTED, status=202),
    _row('POST', '/v1/operations/{operation}/retry', operations.retry,
         'operations:retry', answer=_O.ACCEPTED, status=202),
    _row('POST', '/v1/operations/{operation}/abandon', operations.abandon,
         'operations:abandon', answer=_O.ACCEPTED, status=202),

    _row('GET', '/v1/quotas', quotas.index, 'quotas:get', answer=_Q.QUOTA),
    _row('GET', '/v1/quotas/{project_id}', quotas.show,
         'quotas:get', answer=_Q.QUOTA),
    _row('PUT', '/v1/quotas/{project_id}', quotas.update,
         'quotas:update', body=_Q.UPDATE, answer=_Q.QUOTA),
    _row('DELETE', '/v1/quotas/{project_id}', quotas.delete,
         'quotas:delete', status=204),

    _row('GET', '/v1/drivers', drivers.index,
         'drivers:get', query=_D.LIST, answer=_D.PAGE),
    _row('GET', '/v1/drivers/{driver}', drivers.show,
         'drivers:get', answer=_D.DRIVER),
    _row('GET', '/v1/conductors', conductors.index,
         'conductors:get', query=_C.LIST, answer=_C.PAGE),
    _row('GET', '/v1/conductors/{conductor}', conductors.show,
         'conductors:get', answer=_C.CONDUCTOR),
)
