# SPDX-License-Identifier: Apache-2.0
"""How does an operator get out of what went wrong?

As in :mod:`valence.requests`, each function is one transaction's worth and
touches no hardware.
"""

import uuid as uuid_module
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from valence import requests
from valence.common import errors, states
from valence.db import models, nodes, operations, quotas
from valence.db.engine import uncertain
from valence.requests import Requester
from valence.scheduler import candidates

_PODS: Any = models.PodManager.__table__
_DEVICES: Any = models.Device.__table__


def retry(conn: sa.Connection, requester: Requester,
          operation_uuid: str) -> str:
    """Do again what failed; one that waits goes on now.

    :returns: the uuid of the operation that does it: a new one, unless this
        one is still active
    :raises Conflict: operation_ended, not_retryable, node_gone, and what
        the same request raises
    """
    columns = operations.OPERATIONS.c
    row = conn.execute(
        sa.select(operations.OPERATIONS)
        .where(columns.uuid == operation_uuid)).mappings().one()
    if row['state'] in operations.ACTIVE:
        conn.execute(
            sa.update(operations.OPERATIONS)
            .where(columns.uuid == operation_uuid,
                   columns.state.in_(operations.ACTIVE),
                   columns.lease_expires_at.is_(None))
            .values(not_before=operations.quiet_at(
                conn, row['node_uuid'])))
        return operation_uuid
    if row['state'] == 'succeeded':
        raise errors.Conflict('the operation has succeeded; there is nothing '
                              'to do again', code='operation_ended')
    if row['kind'] == 'sync':
        return requests.sync(conn, requester, row['pod_manager_uuid'])
    if row['kind'] not in _AGAIN:
        raise errors.Conflict(f'a {row["kind"]} cannot be done again by '
                              'itself', code='not_retryable')
    node = nodes.get(conn, row['node_uuid'])
    if node is None:
        raise errors.Conflict(
            f'node {row["node_uuid"]} does not exist any more',
            code='node_gone')
    return str(_AGAIN[row['kind']](conn, requester, node, row['params']))


def _compose(conn: sa.Connection, requester: Requester,
             node: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """Compose a node of which nothing is left but its row."""
    uuid = str(uuid_module.uuid4())
    limited = quotas.lock(conn, node['project_id'], requester.limits)
    requests.hold(conn, node, uuid, 'compose', state_reason=None,
                  handle=None, resource_path=None)
    if nodes.claimed(conn, node['id']) or _is_left(conn, node['uuid']):
        raise errors.Conflict(
            f'node {node["name"]} may have devices that were not given '
            'back; delete it, and compose another', code='not_retryable')
    place = candidates.place(conn, node['requirements'],
                             requests.pod_of(conn, node).uuid)
    requests.begin_compose(conn, requester, place, node['id'], node['uuid'],
                           uuid)
    quotas.check(conn, node['project_id'], limited, uuid)
    return uuid


def _is_left(conn: sa.Connection, node_uuid: str) -> bool:
    """Whether something was begun for a node and never seen to be undone.

    Where the backend chooses, no claim tells.
    """
    columns = operations.OPERATIONS.c
    journals = [operations.steps(conn, one) for one in conn.scalars(
        sa.select(columns.id).where(columns.node_uuid == node_uuid,
                                    columns.kind == 'compose'))]
    return any('compose' in journal and journal.get(
        'undo:verify', {}).get('state') != 'done' for journal in journals)


def _device(conn: sa.Connection, node: Mapping[str, Any],
            params: Mapping[str, Any]) -> str:
    uuid = conn.scalar(
        sa.select(_DEVICES.c.uuid)
        .where(_DEVICES.c.pod_manager_id == node['pod_manager_id'],
               _DEVICES.c.resource_path == params['device_path']))
    if uuid is None:
        raise errors.Conflict(
            f'device {params["device_path"]} does not exist any more',
            code='not_retryable')
    return str(uuid)


_AGAIN: dict[str, Any] = {
    'compose': _compose,
    'release': lambda conn, by, node, params: requests.release(
        conn, by, node['uuid']),
    'power': lambda conn, by, node, params: requests.power(
        conn, by, node['uuid'], params['reset_type']),
    'boot': lambda conn, by, node, params: requests.boot(
        conn, by, node['uuid'], params['target'], params['enabled']),
    'attach': lambda conn, by, node, params: requests.attach(
        conn, by, node['uuid'], _device(conn, node, params)),
    'detach': lambda conn, by, node, params: requests.detach(
        conn, by, node['uuid'], _device(conn, node, params)),
    'verify': lambda conn, by, node, params: verify(conn, by, node['uuid']),
}


def abandon(conn: sa.Connection, requester: Requester,
            operation_uuid: str) -> str:
    """End an operation at once, without a look at the hardware.

    Its owner can write nothing more. Its node is in error and keeps what it
    claims, for nobody knows what there is of it.

    :raises Conflict: operation_ended
    """
    columns = operations.OPERATIONS.c
    row = conn.execute(
        sa.select(columns.id, columns.kind, columns.node_uuid,
                  columns.error_code)
        .where(columns.uuid == operation_uuid)).one()
    if uncertain(conn) and row.error_code == 'abandoned':
        return operation_uuid       # by this very request, it seems
    journal = operations.steps(conn, row.id)
    message = (f'{requester.user_id} abandoned operation {operation_uuid} '
               f'({row.kind}): {_last(journal)}')
    if not operations.abandon(conn, operation_uuid, message):
        raise errors.Conflict('the operation is over',
                              code='operation_ended')
    if row.node_uuid:
        # Without it what was prepared could never be taken apart.
        handle = operations.recorded_handle({
            name: entry['outcome'] or {} for name, entry in journal.items()})
        nodes.end(conn, row.node_uuid, operation_uuid, states.ANY,
                  states.ABANDONED, state_reason=message,
                  **({'handle': handle} if handle else {}))
    conn.execute(
        sa.update(_PODS).where(_PODS.c.operation_uuid == operation_uuid)
        .values(operation_uuid=None))
    return operation_uuid


def _last(journal: Mapping[str, Mapping[str, Any]]) -> str:
    """How far an operation came, for the operator to judge."""
    if not journal:
        return 'it had not begun'
    name, entry = list(journal.items())[-1]
    return {
        'intent': f'step {name} was begun, and nobody knows whether it took '
                  'effect',
        'pending': f'the pod manager was at work on step {name}',
        'done': f'step {name} was done',
    }.get(entry['state'], f'step {name} had failed')


def quarantine(conn: sa.Connection, requester: Requester,
               node_uuid: str) -> str:
    """Put a node in error, so that nothing is done to it but its release.

    :raises Conflict: node_busy, node_not_active
    """
    node = requests.get_node(conn, node_uuid)
    if not nodes.move(conn, node_uuid, node['generation'], 'quarantine',
                      states.ACCEPTED, state_reason='put in error by '
                      f'{requester.user_id}'):
        raise requests.in_the_way(conn, node_uuid, 'quarantine')
    return requests.write_down(
        conn, requester, 'quarantine', at_once=True, node_uuid=node_uuid,
        pod_manager_uuid=requests.pod_of(conn, node).uuid)


def verify(conn: sa.Connection, requester: Requester,
           node_uuid: str) -> str:
    """Look whether a node in error is whole, and make it active if so.

    :raises Conflict: node_busy, node_not_active, no_hardware
    """
    node, uuid = requests.get_node(conn, node_uuid), str(uuid_module.uuid4())
    requests.hold(conn, node, uuid, 'verify')
    claimed = nodes.claimed(conn, node['id'])
    if not claimed:
        raise errors.Conflict(
            f'node {node["name"]} owns no device, so it cannot be active; '
            'delete it, or retry its compose', code='no_hardware')
    return requests.write_down(
        conn, requester, 'verify', uuid=uuid, node_uuid=node_uuid,
        pod_manager_uuid=requests.pod_of(conn, node).uuid,
        params={'device_paths': claimed},
        not_before=operations.quiet_at(conn, node_uuid))
