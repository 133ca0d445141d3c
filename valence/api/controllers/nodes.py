# SPDX-License-Identifier: Apache-2.0
"""What can be done with composed nodes?"""

from typing import Any

import sqlalchemy as sa

from valence import remedies, requests
from valence.api import (
    finding,
    patches,
    preconditions,
    scope,
    validation,
)
from valence.api.controllers import flavors, operations
from valence.api.request import Answer, Request
from valence.api.schemas import nodes as schemas
from valence.api.schemas.properties import normalise
from valence.api.views import View
from valence.db import models
from valence.db.looking import Reader

_TABLE: Any = models.Node.__table__
_PODS = finding.POD_MANAGERS
_CLAIMS: Any = models.Claim.__table__
_DEVICES: Any = models.Device.__table__
_C = _TABLE.c

_ALL_PROJECTS = 'composable-hardware:nodes:all_projects'
_RESET_STATE = 'composable-hardware:nodes:reset_state'

VIEW = View('nodes', {
    'uuid': _C.uuid,
    'name': _C.name,
    'description': _C.description,
    'project_id': _C.project_id,
    'user_id': _C.user_id,
    'pod_manager': _PODS.c.uuid,
    'flavor': _C.flavor_uuid,
    'flavor_name': _C.flavor_name,
    'requirements': _C.requirements,
    'state': _C.state,
    'state_reason': _C.state_reason,
    'state_since': _C.state_since,
    'state_deadline': _C.state_deadline,
    'operation': _C.operation_uuid,
    'managed_by': _C.managed_by,
    'resource_path': _C.resource_path,
    'power_state': _C.power_state,
    'boot_target': _C.boot_target,
    'boot_enabled': _C.boot_enabled,
    'processor_cores': _C.processor_cores,
    'processor_model': _C.processor_model,
    'memory_mib': _C.memory_mib,
    'details': _C.details,
    'created_at': _C.created_at,
    'updated_at': _C.updated_at,
})
_SUMMARY = VIEW.without('details')

_SOURCE = finding.with_pod_manager(_TABLE)
_ONE = scope.Finder(
    'node', sa.select(_C.id, *VIEW.columns).select_from(_SOURCE), _TABLE,
    _ALL_PROJECTS, by_name=True)
_ROW = scope.Finder(
    'node', sa.select(_C.id, _C.uuid, _C.project_id, _C.name, _C.description),
    _TABLE, _ALL_PROJECTS, by_name=True)
_check_whole = validation.compile_body(schemas.WHOLE)
_LIST = sa.select().select_from(_SOURCE)
_FILTERS = {'name': _C.name, 'state': _C.state,
            'power_state': _C.power_state, 'managed_by': _C.managed_by}

_DEVICE_NAMES = ('resource_path', 'uuid', 'name', 'type')
_DEVICES_OF = (
    sa.select(_CLAIMS.c.resource_path, _DEVICES.c.uuid, _DEVICES.c.name,
              _DEVICES.c.type)
    .select_from(_CLAIMS.outerjoin(_DEVICES, sa.and_(
        _DEVICES.c.pod_manager_id == _CLAIMS.c.pod_manager_id,
        _DEVICES.c.resource_path == _CLAIMS.c.resource_path)))
    .where(_CLAIMS.c.node_id == sa.bindparam('id'))
    .order_by(_CLAIMS.c.resource_path))


def index(request: Request) -> Answer:
    """List nodes."""
    query = request.query
    conditions = finding.conditions(query, _FILTERS)
    if 'flavor' in query:
        uuid = finding.as_uuid(query['flavor'])
        conditions.append(_C.flavor_uuid == uuid if uuid
                          else _C.flavor_name == query['flavor'])
    with request.database.read() as conn:
        conditions += finding.of_pod_manager(
            request, conn, _C.pod_manager_id)
        return finding.page(
            request, conn, _SUMMARY, _LIST.where(*conditions), _TABLE,
            scope.visible(request, _TABLE, _ALL_PROJECTS))


def show(request: Request, node: str) -> Answer:
    """Show a node and the devices it owns."""
    return Answer(request.database.look(
        lambda conn: _read(request, conn, node)))


def create(request: Request) -> Answer:
    """Compose a node, by a flavor or by properties."""
    body = request.body
    scope.project(request)

    def ask(conn: sa.Connection, requester: requests.Requester) -> str:
        pod_manager = None
        if 'pod_manager' in body:
            pod_manager = finding.named_pod_manager(
                request, conn, body['pod_manager']).uuid
        flavor = None
        if 'flavor' in body:
            flavor = flavors.named(conn, body['flavor'])
            requirements = flavor.properties
        else:
            requirements = normalise(body['properties'])
        _, operation_uuid = requests.compose(
            conn, requester, name=body['name'],
            description=body.get('description'), requirements=requirements,
            flavor=flavor, pod_manager_uuid=pod_manager)
        return operation_uuid

    # A quick conductor may have released it already.
    return operations.accept(
        request, ask, node=lambda conn, operation: finding.if_there(
            _read, request, conn, operation['node']))


def update(request: Request, node: str) -> Answer:
    """Change a node's name and description by a merge or JSON Patch."""
    def change(conn: sa.Connection) -> str:
        row = _ROW.find(conn, request, node, lock=True)
        preconditions.check(request, lambda: _read(request, conn, row.uuid))
        before = {'name': row.name, 'description': row.description}
        after = patches.apply(request, before, tuple(before), lambda: _read(
            request, conn, row.uuid))
        _check_whole(after)
        requests.describe(conn, row, after['name'], after.get('description'))
        return str(row.uuid)

    uuid = request.database.run(change)
    return show(request, uuid)


def delete(request: Request, node: str) -> Answer:
    """Release a node: take it apart and give its devices back."""
    return _ask(request, node, requests.release)


def action(request: Request, node: str) -> Answer:
    """Reset a node, say what it boots from, attach or detach a device.

    Or, for an administrator, say what state it is in: ``error`` is taken as
    it is said, ``active`` only once the hardware was looked at.
    """
    body = request.body
    if 'reset-state' in body:
        request.services.policy.check(_RESET_STATE, request.context)
        if body['reset-state']['state'] == 'active':
            return _ask(request, node, remedies.verify)
        return _ask(request, node, remedies.quarantine, ends='succeeded')
    for name, function in (('attach', requests.attach),
                           ('detach', requests.detach)):
        if name in body:
            return _ask(request, node, function, body[name]['resource_id'])
    if 'Reset' in body:
        return _ask(request, node, requests.power, body['Reset']['Type'])
    boot = body['Boot']
    return _ask(request, node, requests.boot, boot.get('Target', 'None'),
                boot['Enabled'])


def _ask(request: Request, ident: str, function: Any, *args: Any,
         ends: str | None = None) -> Answer:
    def ask(conn: sa.Connection, requester: requests.Requester) -> str:
        row = _ROW.find(conn, request, ident, lock=True)
        preconditions.check(request, lambda: _read(request, conn, row.uuid))
        return str(function(conn, requester, row.uuid, *args))

    return operations.accept(
        request, ask, ends=ends,
        node=lambda conn, operation: finding.if_there(
            _read, request, conn, operation['node']))


def _read(request: Request, conn: Reader, ident: str
          ) -> dict[str, Any]:
    row = _ONE.find(conn, request, ident)
    row_id, *fields = row
    body = VIEW.one(fields, request.url)
    body['devices'] = [
        dict(zip(_DEVICE_NAMES, device, strict=True))
        for device in conn.execute(_DEVICES_OF, {'id': row_id})]
    return body
