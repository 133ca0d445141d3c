# SPDX-License-Identifier: Apache-2.0
"""How do nodes and their claims change?

A node is changed by the one operation that its ``operation_uuid`` names; the
functions that an operation calls are guarded by that name. Its states are
those of :mod:`valence.common.states`.
"""

import uuid as uuid_module
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from valence.common import states
from valence.db import models
from valence.db.types import utcnow

NODES: Any = models.Node.__table__
CLAIMS: Any = models.Claim.__table__


class ClaimTaken(Exception):
    """Another node owns one of the resources."""


_INSERT = sa.insert(NODES).values(
    created_at=utcnow(), state_since=utcnow())
_CLAIM = sa.insert(CLAIMS).values(created_at=utcnow())


def insert(conn: sa.Connection, kind: str = 'compose',
           event: str = states.ACCEPTED, **values: Any) -> int:
    """Insert a node in the state that ``kind`` begins it with.

    :returns: its id
    """
    deadline = values.pop('state_deadline', None)
    statement = _INSERT if deadline is None else _INSERT.values(
        state_deadline=deadline)
    result = conn.execute(statement, {
        'state': states.after(kind, event, states.NONE), **values})
    return int(result.inserted_primary_key[0])  # type: ignore[index]


def claim(conn: sa.Connection, pod_manager_id: int, node_id: int,
          operation_uuid: str, paths: Iterable[str]) -> None:
    """Own all of ``paths`` or none.

    Sorted, so that two transactions cannot wait for each other in a circle.

    :raises ClaimTaken: after which the transaction has to be given up
    """
    try:
        for path in sorted(set(paths)):
            conn.execute(_CLAIM, {
                'uuid': _claim_uuid(pod_manager_id, path),
                'pod_manager_id': pod_manager_id, 'resource_path': path,
                'node_id': node_id, 'operation_uuid': operation_uuid})
    except db_exc.DBDuplicateEntry as error:
        raise ClaimTaken(path) from error


def claimed(conn: sa.Connection, node_id: int) -> list[str]:
    """The resources that a node owns, sorted."""
    return list(conn.scalars(
        sa.select(CLAIMS.c.resource_path)
        .where(CLAIMS.c.node_id == node_id)
        .order_by(CLAIMS.c.resource_path)))


def unclaim(conn: sa.Connection, node_id: int,
            paths: Iterable[str] | None = None) -> list[str]:
    """Free ``paths``, or all that a node owns.

    Only after it was read back that they are not part of it any more.
    """
    freed = claimed(conn, node_id) if paths is None else list(paths)
    conn.execute(sa.delete(CLAIMS).where(
        CLAIMS.c.node_id == node_id, CLAIMS.c.resource_path.in_(freed)))
    return freed


def get(conn: sa.Connection, uuid: str) -> Mapping[str, Any] | None:
    row = conn.execute(sa.select(NODES).where(NODES.c.uuid == uuid)
                       ).mappings().one_or_none()
    return None if row is None else dict(row)


def take(conn: sa.Connection, uuid: str, operation_uuid: str, kind: str,
         **values: Any) -> bool:
    """Make ``operation_uuid`` the one operation that may change the node."""
    return _move(conn, uuid, NODES.c.operation_uuid.is_(None), kind,
                 states.ACCEPTED, operation_uuid=operation_uuid, **values)


def change(conn: sa.Connection, uuid: str, holder: str,
           **values: Any) -> None:
    """Write what the operation ``holder`` found out about its node.

    It lets go of the node where ``values`` has ``operation_uuid=None``.
    """
    if 'state' in values:
        raise ValueError('the state of a node is changed by end() alone')
    if values.get('operation_uuid', holder) is None:
        values['state_deadline'] = None
    _write(conn, uuid, NODES.c.operation_uuid == holder, values)


def end(conn: sa.Connection, uuid: str, holder: str, kind: str, event: str,
        **values: Any) -> bool:
    """The operation ``holder`` lets go of its node, in its next state."""
    return _move(conn, uuid, NODES.c.operation_uuid == holder, kind, event,
                 operation_uuid=None, state_deadline=None, **values)


def move(conn: sa.Connection, uuid: str, generation: int, kind: str,
         event: str, **values: Any) -> bool:
    """Change a node that no operation holds, and that is as it was."""
    return _move(conn, uuid, sa.and_(
        NODES.c.operation_uuid.is_(None),
        NODES.c.generation == generation), kind, event, **values)


def delete(conn: sa.Connection, uuid: str, holder: str, kind: str,
           event: str) -> None:
    conn.execute(sa.delete(NODES).where(
        NODES.c.uuid == uuid, NODES.c.operation_uuid == holder,
        NODES.c.state.in_(states.before(kind, event, states.NONE))))


def _move(conn: sa.Connection, uuid: str, condition: Any, kind: str,
          event: str, **values: Any) -> bool:
    state = states.after(kind, event)
    sources = states.before(kind, event, state)
    if sources != (state,):
        values = {'state': state, 'state_since': utcnow(), **values}
    return _write(conn, uuid, sa.and_(
        condition, NODES.c.state.in_(sources)), values)


def _write(conn: sa.Connection, uuid: str, condition: Any,
           values: Mapping[str, Any]) -> bool:
    return conn.execute(
        sa.update(NODES).where(NODES.c.uuid == uuid, condition)
        .values(generation=NODES.c.generation + 1, updated_at=utcnow(),
                **values)).rowcount == 1


def _claim_uuid(pod_manager_id: int, path: str) -> str:
    # Not shown to anybody; derived, so that equal claims are equal rows.
    return str(uuid_module.uuid5(uuid_module.NAMESPACE_URL,
                                 f'{pod_manager_id} {path}'))
