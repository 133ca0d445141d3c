# SPDX-License-Identifier: Apache-2.0
"""How does a user's wish enter the database?

Each function here is one transaction's worth: it checks what can be checked
without touching hardware, writes the operation down, makes it the one that
may change its target (by compare-and-swap) and takes the claims it can
already name. What conflicts surfaces here, at once, as a 4xx. After the
transaction has committed the caller rings a conductor; should that call be
lost, a conductor finds the operation by itself.

All raise :class:`valence.common.errors.ValenceError` of the kinds named.
"""

import dataclasses
import datetime
import uuid as uuid_module
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from valence.common import errors, states
from valence.common.devices import DeviceType
from valence.db import models, nodes, operations, quotas
from valence.db.engine import uncertain
from valence.db.types import utcnow
from valence.scheduler import candidates

_PODS: Any = models.PodManager.__table__
_DEVICES: Any = models.Device.__table__

#: Within how many seconds an operation must be over, by kind.
TIMEOUTS: Mapping[str, float] = {
    'sync': 1800, 'compose': 1800, 'release': 1800, 'power': 300,
    'boot': 300, 'attach': 600, 'detach': 600, 'verify': 300,
    'reconcile': 1800,
}


#: The kinds that leave nothing behind when they are undone.
CANCELLABLE = ('compose', 'attach')


@dataclasses.dataclass(frozen=True, slots=True)
class Requester:
    """Who asks, for the record.

    ``limits`` are the quotas of projects that have none of their own.
    """

    project_id: str | None
    user_id: str | None
    request_id: str | None
    limits: quotas.Limits = dataclasses.field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        """Of the operation that comes of it."""
        return {'project_id': self.project_id, 'user_id': self.user_id,
                'request_id': self.request_id}


#: Valence itself, for what it does by the clock.
SYSTEM = Requester(None, 'valence', None)


def repeated(conn: sa.Connection, requester: Requester) -> str | None:
    """The operation that this very request has made already, if any.

    It may have: the answer to a COMMIT can be lost.
    """
    if requester.request_id is None or not uncertain(conn):
        return None
    columns = operations.OPERATIONS.c
    found: str | None = conn.scalar(
        sa.select(columns.uuid)
        .where(columns.request_id == requester.request_id))
    return found


def sync(conn: sa.Connection, requester: Requester,
         pod_manager_uuid: str) -> str:
    """Read a pod's inventory anew; joins a sync that is already under way.

    :returns: the operation's uuid
    :raises NotFound:
    """
    uuid = str(uuid_module.uuid4())
    taken = conn.execute(
        sa.update(_PODS)
        .where(_PODS.c.uuid == pod_manager_uuid,
               _PODS.c.operation_uuid.is_(None))
        .values(operation_uuid=uuid)).rowcount
    if not taken:
        row = conn.execute(
            sa.select(_PODS.c.operation_uuid)
            .where(_PODS.c.uuid == pod_manager_uuid)).one_or_none()
        if row is None:
            raise errors.NotFound(f'no pod manager {pod_manager_uuid}')
        if row.operation_uuid is None:
            # It ended between the two statements.
            raise db_exc.RetryRequest(errors.Conflict(
                'a sync is ending just now; ask again', code='sync_ending'))
        return str(row.operation_uuid)
    return write_down(conn, requester, 'sync', uuid=uuid,
                      pod_manager_uuid=pod_manager_uuid)


def compose(conn: sa.Connection, requester: Requester, *, name: str,
            requirements: Mapping[str, Any], description: str | None = None,
            flavor: Any | None = None,
            pod_manager_uuid: str | None = None) -> tuple[str, str]:
    """Compose a node out of free devices.

    :param requirements: normalised properties, as in a flavor
    :param flavor: the flavor's row they come from, if any
    :returns: the node's and the operation's uuid
    :raises Conflict: name_taken, or no_valid_resources with the reason
    :raises QuotaExceeded:
    """
    node_uuid, uuid = str(uuid_module.uuid4()), str(uuid_module.uuid4())
    limited = quotas.lock(conn, requester.project_id, requester.limits)
    if conn.scalar(sa.select(nodes.NODES.c.id).where(
            nodes.NODES.c.project_id == requester.project_id,
            nodes.NODES.c.name == name)):
        raise _name_taken(name)
    place = candidates.place(conn, requirements, pod_manager_uuid)
    try:
        node_id = nodes.insert(
            conn, uuid=node_uuid, name=name, description=description,
            project_id=requester.project_id, user_id=requester.user_id,
            pod_manager_id=place.pod_manager_id,
            flavor_uuid=flavor.uuid if flavor else None,
            flavor_name=flavor.name if flavor else None,
            requirements=requirements, operation_uuid=uuid,
            state_deadline=utcnow(TIMEOUTS['compose']))
    except db_exc.DBDuplicateEntry as error:
        raise db_exc.RetryRequest(_name_taken(name)) from error
    except db_exc.DBReferenceError as error:
        raise db_exc.RetryRequest(errors.NoValidResources(
            'the pod manager was removed just now')) from error
    begin_compose(conn, requester, place, node_id, node_uuid, uuid)
    quotas.check(conn, requester.project_id, limited, uuid)
    return node_uuid, uuid


def begin_compose(conn: sa.Connection, requester: Requester,
                  place: candidates.Placement, node_id: int,
                  node_uuid: str, uuid: str) -> None:
    """Claim what a node is to be made of, and write its compose down."""
    try:
        nodes.claim(conn, place.pod_manager_id, node_id, uuid,
                    place.plan.device_paths)
    except nodes.ClaimTaken as error:
        # Somebody was faster: the whole transaction plans again.
        raise db_exc.RetryRequest(errors.NoValidResources(
            f'resource {error} was taken by another request; the pools are '
            'contended, ask again', headers={'Retry-After': '1'})) from error
    write_down(conn, requester, 'compose', uuid=uuid, node_uuid=node_uuid,
               pod_manager_uuid=place.pod_manager_uuid,
               params={'device_paths': place.plan.device_paths,
                       'zone_path': place.plan.zone_path})


def release(conn: sa.Connection, requester: Requester,
            node_uuid: str) -> str:
    """Take a node apart and forget it.

    A node that is still composing is stopped and undone by its own
    operation, which is then the answer.

    :raises Conflict: node_busy
    """
    uuid = str(uuid_module.uuid4())
    node = get_node(conn, node_uuid)
    if node['state'] == 'composing' and conn.execute(
            sa.update(operations.OPERATIONS)
            .where(operations.OPERATIONS.c.uuid == node['operation_uuid'],
                   operations.OPERATIONS.c.state.in_(operations.ACTIVE))
            .values(desired='deleted', not_before=None)).rowcount:
        return str(node['operation_uuid'])
    if node['state'] == 'releasing' and node['operation_uuid']:
        return str(node['operation_uuid'])
    hold(conn, node, uuid, 'release', state_reason=None)
    return write_down(conn, requester, 'release', uuid=uuid,
                      node_uuid=node_uuid,
                      pod_manager_uuid=pod_of(conn, node).uuid,
                      not_before=operations.quiet_at(conn, node_uuid))


def cancel(conn: sa.Connection, requester: Requester,
           operation_uuid: str) -> str:
    """Stop an operation at its next step, and undo what it did.

    :raises Conflict: operation_ended, or not_cancellable
    """
    columns = operations.OPERATIONS.c
    row = conn.execute(
        sa.select(columns.kind, columns.state)
        .where(columns.uuid == operation_uuid)).one()
    if row.kind not in CANCELLABLE:
        raise errors.Conflict(
            f'a {row.kind} cannot be cancelled; wait for it to end',
            code='not_cancellable')
    if conn.execute(
            sa.update(operations.OPERATIONS)
            .where(columns.uuid == operation_uuid, columns.undoing.is_(False),
                   columns.state.in_(operations.ACTIVE))
            .values(desired=sa.case((columns.desired == 'done', 'cancelled'),
                                    else_=columns.desired),
                    not_before=None)).rowcount == 0:
        raise errors.Conflict('the operation is over, or being undone',
                              code='operation_ended')
    return operation_uuid


def power(conn: sa.Connection, requester: Requester, node_uuid: str,
          reset_type: str) -> str:
    """Reset a node. ``reset_type`` is a Redfish ResetType (DSP0268).

    :raises BadRequest: unsupported, naming what the pod manager can do
    :raises Conflict: node_busy, node_not_active
    """
    node = get_node(conn, node_uuid)
    pod = _require(conn, node, 'reset_types', reset_type, 'Reset.Type')
    uuid = str(uuid_module.uuid4())
    hold(conn, node, uuid, 'power')
    return write_down(conn, requester, 'power', uuid=uuid,
                      node_uuid=node_uuid, pod_manager_uuid=pod.uuid,
                      params={'reset_type': reset_type})


def boot(conn: sa.Connection, requester: Requester, node_uuid: str,
         target: str, enabled: str) -> str:
    """Say what a node boots from (DSP0268, ``Boot``), and for how long.

    :raises BadRequest: unsupported, naming what the pod manager can do
    :raises Conflict: node_busy, node_not_active
    """
    node = get_node(conn, node_uuid)
    pod = (_require(conn, node, 'boot_targets', None, 'Boot.Enabled')
           if enabled == 'Disabled' else
           _require(conn, node, 'boot_targets', target, 'Boot.Target'))
    uuid = str(uuid_module.uuid4())
    hold(conn, node, uuid, 'boot')
    return write_down(conn, requester, 'boot', uuid=uuid,
                      node_uuid=node_uuid, pod_manager_uuid=pod.uuid,
                      params={'target': target, 'enabled': enabled})


def attach(conn: sa.Connection, requester: Requester, node_uuid: str,
           device_uuid: str) -> str:
    """Join a free device to a living node.

    :raises BadRequest: unsupported, unknown_device, other_pod_manager
    :raises Conflict: node_busy, node_not_active, device_in_use
    :raises QuotaExceeded:
    """
    node = get_node(conn, node_uuid)
    pod = _require_able(conn, node, 'attach')
    device = _device(conn, node, device_uuid)
    uuid = str(uuid_module.uuid4())
    limited = quotas.lock(conn, node['project_id'], requester.limits)
    hold(conn, node, uuid, 'attach')
    if device.state != 'free' or device.missing_since is not None:
        raise errors.Conflict(
            f'device {device.name} is {device.state}, not free',
            code='device_in_use')
    _check_zone(conn, node, device)
    try:
        nodes.claim(conn, node['pod_manager_id'], node['id'], uuid,
                    [device.resource_path])
    except nodes.ClaimTaken as error:
        raise errors.Conflict(
            f'device {device.name} belongs to a node already',
            code='device_in_use') from error
    quotas.check(conn, node['project_id'], limited, uuid)
    return write_down(conn, requester, 'attach', uuid=uuid,
                      node_uuid=node_uuid, pod_manager_uuid=pod.uuid,
                      params={'device_path': device.resource_path})


def detach(conn: sa.Connection, requester: Requester, node_uuid: str,
           device_uuid: str) -> str:
    """Take a device out of a living node.

    :raises BadRequest: unsupported, unknown_device, other_pod_manager
    :raises Conflict: node_busy, node_not_active, device_not_attached
    """
    node = get_node(conn, node_uuid)
    pod = _require_able(conn, node, 'attach')
    device = _device(conn, node, device_uuid)
    if device.resource_path not in nodes.claimed(conn, node['id']):
        raise errors.Conflict(
            f'device {device.name} is not part of node {node["name"]}',
            code='device_not_attached')
    if device.type == DeviceType.COMPUTE:
        raise errors.BadRequest(
            'a node cannot be without its compute device; delete the node '
            'instead', code='unsupported', field='detach.resource_id')
    uuid = str(uuid_module.uuid4())
    hold(conn, node, uuid, 'detach')
    return write_down(conn, requester, 'detach', uuid=uuid,
                      node_uuid=node_uuid, pod_manager_uuid=pod.uuid,
                      params={'device_path': device.resource_path})


def _device(conn: sa.Connection, node: Mapping[str, Any],
            uuid: str) -> Any:
    device = conn.execute(
        sa.select(_DEVICES).where(_DEVICES.c.uuid == uuid)).one_or_none()
    if device is None or not device.pooled:
        raise errors.BadRequest(f'there is no pooled device {uuid}',
                                code='unknown_device')
    if device.pod_manager_id != node['pod_manager_id']:
        raise errors.BadRequest(
            f'device {device.name} and node {node["name"]} have different '
            'pod managers', code='other_pod_manager')
    return device


def _check_zone(conn: sa.Connection, node: Mapping[str, Any],
                device: Any) -> None:
    """Only devices of one zone can be joined."""
    if not device.zone_paths:
        return
    for zones in conn.scalars(
            sa.select(_DEVICES.c.zone_paths)
            .where(_DEVICES.c.pod_manager_id == node['pod_manager_id'],
                   _DEVICES.c.resource_path.in_(
                       nodes.claimed(conn, node['id'])))):
        if zones and not set(zones) & set(device.zone_paths):
            raise errors.Conflict(
                f'device {device.name} is in another zone than node '
                f'{node["name"]}', code='other_zone')


def _require_able(conn: sa.Connection, node: Mapping[str, Any],
                  capability: str) -> Any:
    pod = pod_of(conn, node)
    if not (pod.capabilities or {}).get(capability):
        problem = (f'(driver {pod.driver}) cannot {capability} devices of a '
                   'living node')
        raise errors.BadRequest(
            f"the node's pod manager {problem}", code='unsupported',
            named=f'pod manager {pod.name} {problem}')
    return pod


def write_down(conn: sa.Connection, requester: Requester, kind: str, *,
               at_once: bool = False, **values: Any) -> str:
    """Insert an operation, in the name of who asks for it.

    :param at_once: it is done with this transaction already
    """
    values |= requester.columns()
    if at_once:
        return operations.record(conn, kind=kind, **values)
    return operations.insert(
        conn, kind=kind, timeout=TIMEOUTS[kind], **values)


def get_node(conn: sa.Connection, uuid: str) -> Mapping[str, Any]:
    """:raises NotFound:"""
    node = nodes.get(conn, uuid)
    if node is None:
        raise errors.NotFound(f'no node {uuid}')
    return node


def hold(conn: sa.Connection, node: Mapping[str, Any], uuid: str,
         kind: str, **values: Any) -> None:
    """Make an operation the one that may change the node.

    :raises Conflict: node_busy, node_not_active
    """
    if not nodes.take(conn, node['uuid'], uuid, kind,
                      state_deadline=utcnow(TIMEOUTS[kind]), **values):
        raise in_the_way(conn, node['uuid'], kind)


def in_the_way(conn: sa.Connection, node_uuid: str,
               kind: str) -> errors.Conflict:
    """What keeps an operation of ``kind`` from the node."""
    node = get_node(conn, node_uuid)
    if not node['operation_uuid']:
        return errors.Conflict(
            f'node {node["name"]} is {node["state"]}; a {kind} needs '
            + ' or '.join(state for state
                          in states.before(kind, states.ACCEPTED)
                          if state != states.NONE),
            code='node_not_active')
    columns = operations.OPERATIONS.c
    holder = conn.execute(
        sa.select(columns.uuid, columns.kind, columns.created_at,
                  columns.deadline_at)
        .where(columns.uuid == node['operation_uuid'])).one_or_none()
    if holder is None:
        # It ended, and let go of the node, between the two statements.
        return errors.NodeBusy(
            f'node {node["name"]} was held until just now; ask again',
            headers={'Retry-After': '1'})
    ends = (f'; it ends by {_at(holder.deadline_at)} at the latest'
            if holder.deadline_at else '')
    return errors.NodeBusy(
        f'node {node["name"]} is held by operation {holder.uuid} '
        f'({holder.kind}) since {_at(holder.created_at)}{ends}',
        headers={'Retry-After': '2'})


def _at(time: datetime.datetime) -> str:
    return f'{time:%Y-%m-%dT%H:%M:%SZ}'


def pod_of(conn: sa.Connection, node: Mapping[str, Any]) -> Any:
    """Uuid, name, driver and capabilities of a node's pod manager."""
    return conn.execute(
        sa.select(_PODS.c.uuid, _PODS.c.name, _PODS.c.driver,
                  _PODS.c.capabilities)
        .where(_PODS.c.id == node['pod_manager_id'])).one()


def _require(conn: sa.Connection, node: Mapping[str, Any], capability: str,
             value: str | None, field: str) -> Any:
    """See that a pod manager can do ``value``; None is any there is."""
    pod = pod_of(conn, node)
    able = (pod.capabilities or {}).get(capability) or ()
    if value not in able if value else not able:
        problem = (f'(driver {pod.driver}) does not support '
                   f'{value or capability.replace("_", " ")}; it supports '
                   + (', '.join(able) or 'none'))
        raise errors.BadRequest(
            f"the node's pod manager {problem}", code='unsupported',
            field=field, named=f'pod manager {pod.name} {problem}')
    return pod


def describe(conn: sa.Connection, node: Any, name: str,
             description: str | None) -> None:
    """Give a node another name and description.

    :param node: its row, locked
    :raises Conflict: name_taken
    """
    columns = nodes.NODES.c
    if name != node.name and conn.scalar(sa.select(columns.id).where(
            columns.project_id == node.project_id, columns.name == name)):
        raise _name_taken(name)
    try:
        conn.execute(sa.update(nodes.NODES).where(columns.id == node.id)
                     .values(name=name, description=description,
                             generation=columns.generation + 1,
                             updated_at=utcnow()))
    except db_exc.DBDuplicateEntry as error:
        raise db_exc.RetryRequest(_name_taken(name)) from error


def _name_taken(name: str) -> errors.Conflict:
    return errors.Conflict(f'another node of the project is named {name!r}',
                           code='name_taken', field='name')
