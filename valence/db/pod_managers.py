# SPDX-License-Identifier: Apache-2.0
"""How are pod managers registered, changed and forgotten?"""

import uuid as uuid_module
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from valence.common import errors
from valence.db import models
from valence.db.engine import uncertain
from valence.db.types import utcnow

POD_MANAGERS: Any = models.PodManager.__table__
_CLAIMS: Any = models.Claim.__table__
_NODES: Any = models.Node.__table__
_OPERATIONS: Any = models.Operation.__table__


def create(conn: sa.Connection, values: Mapping[str, Any]) -> str:
    """Register a pod manager; the first sync is due at once.

    :raises Conflict: name_taken, url_taken
    """
    uuid = values.get('uuid') or str(uuid_module.uuid4())
    if uncertain(conn) and conn.scalar(
            sa.select(POD_MANAGERS.c.id).where(POD_MANAGERS.c.uuid == uuid)):
        return str(uuid)
    _check_unique(conn, values, uuid)
    try:
        conn.execute(sa.insert(POD_MANAGERS).values(
            **{**values, 'uuid': uuid, 'created_at': utcnow(),
               'next_sync_at': utcnow()}))
    except db_exc.DBDuplicateEntry as error:
        # Another request won between the check and here.
        raise db_exc.RetryRequest(errors.Conflict(
            'a pod manager of that name or url was registered just now',
            code='name_taken', field='name')) from error
    return str(uuid)


def update(conn: sa.Connection, uuid: str,
           values: Mapping[str, Any]) -> None:
    """Change what the operator gave; the next sync is due at once.

    A sync under way is of what there was before: it finds another
    ``generation`` and writes nothing. To drain changes nothing that it read.

    :raises Conflict: name_taken, url_taken
    :raises NotFound:
    """
    _check_unique(conn, values, uuid)
    try:
        changed = conn.execute(
            sa.update(POD_MANAGERS).where(POD_MANAGERS.c.uuid == uuid)
            .values(**values,
                    generation=POD_MANAGERS.c.generation + (
                        0 if set(values) == {'draining'} else 1),
                    next_sync_at=utcnow(), failures=0, retry_at=None,
                    updated_at=utcnow())).rowcount
    except db_exc.DBDuplicateEntry as error:
        raise db_exc.RetryRequest(errors.Conflict(
            'a pod manager of that name or url was registered just now',
            code='name_taken', field='name')) from error
    if not changed:
        raise errors.NotFound(f'no pod manager {uuid}')


def delete(conn: sa.Connection, uuid: str, force: bool = False
           ) -> list[dict[str, Any]]:
    """Forget a pod manager and its inventory; its hardware is left alone.

    :param force: forget its nodes as well, and end its operations; for a
        pod manager that does not come back
    :returns: the operations that this ended
    :raises Conflict: it still has nodes, or operations under way
    :raises NotFound:
    """
    row = conn.execute(
        sa.select(POD_MANAGERS.c.id).where(POD_MANAGERS.c.uuid == uuid)
        .with_for_update()).one_or_none()
    if row is None:
        raise errors.NotFound(f'no pod manager {uuid}')
    ended = _forget_nodes(conn, row.id, uuid) if force else []
    nodes = conn.scalar(sa.select(sa.func.count()).select_from(_NODES)
                        .where(_NODES.c.pod_manager_id == row.id))
    if nodes:
        raise errors.Conflict(
            f'the pod manager still has {nodes} node(s); delete them first, '
            'or forget them all with force=true',
            code='pod_manager_in_use')
    operation = conn.scalar(
        sa.select(_OPERATIONS.c.uuid)
        .where(_OPERATIONS.c.pod_manager_uuid == uuid,
               _OPERATIONS.c.state.in_(('pending', 'running'))).limit(1))
    if operation:
        raise errors.Conflict(
            f'operation {operation} is at work on the pod manager; wait for '
            'it to end', code='pod_manager_in_use')
    for table in (models.Rack, models.System, models.Device, models.Zone,
                  models.Drift):
        conn.execute(sa.delete(table).where(
            table.pod_manager_id == row.id))
    conn.execute(sa.delete(POD_MANAGERS).where(POD_MANAGERS.c.id == row.id))
    return ended


def _forget_nodes(conn: sa.Connection, row_id: int, uuid: str
                  ) -> list[dict[str, Any]]:
    ended = _end_operations(conn, uuid)
    conn.execute(sa.delete(_CLAIMS).where(
        _CLAIMS.c.pod_manager_id == row_id))
    conn.execute(sa.delete(_NODES).where(_NODES.c.pod_manager_id == row_id))
    # Who held a node until just now has written another one down.
    return ended + _end_operations(conn, uuid)


def _end_operations(conn: sa.Connection, uuid: str) -> list[dict[str, Any]]:
    active = [dict(row) for row in conn.execute(
        sa.select(_OPERATIONS)
        .where(_OPERATIONS.c.pod_manager_uuid == uuid,
               _OPERATIONS.c.state.in_(('pending', 'running')))
        .with_for_update()).mappings()]
    conn.execute(
        sa.update(_OPERATIONS)
        .where(_OPERATIONS.c.id.in_([row['id'] for row in active]))
        # The epoch is what its owner, if any, would write by.
        .values(state='failed', epoch=_OPERATIONS.c.epoch + 1,
                error_code='pod_manager_gone', finished_at=utcnow(),
                error='the pod manager was removed by force'))
    return active


def sync_soon(conn: sa.Connection, uuid: str, interval: float) -> None:
    """Bring the next sync forward, for something has changed.

    It is due at once, or in ``interval`` s where the last one was less than
    that ago. A sync under way may have read too early what has changed: then
    another one follows it.
    """
    columns = POD_MANAGERS.c
    at_rest = columns.operation_uuid.is_(None)
    soon = sa.case(
        (at_rest & sa.or_(columns.last_sync_at.is_(None),
                          columns.last_sync_at < utcnow(-interval)),
         utcnow()),
        else_=utcnow(interval))
    conn.execute(
        sa.update(POD_MANAGERS)
        .where(columns.uuid == uuid, sa.or_(
            columns.next_sync_at > soon,
            ~at_rest & (columns.next_sync_at <= utcnow())))
        .values(next_sync_at=soon))


def end_sync(conn: sa.Connection, before: Mapping[str, Any],
             operation_uuid: str, interval: float, **values: Any) -> bool:
    """Write what a sync found out; the next is due in ``interval`` s.

    Or when somebody said meanwhile that it is.

    :param before: the pod manager's row when the sync began
    :returns: False where the pod manager was changed since; then nothing is
        written but that the next sync is due at once
    """
    columns = POD_MANAGERS.c
    mine = sa.update(POD_MANAGERS).where(
        columns.uuid == before['uuid'],
        columns.operation_uuid == operation_uuid)
    as_it_was = columns.next_sync_at.is_not_distinct_from(
        before['next_sync_at'])
    if conn.execute(
            mine.where(columns.generation == before['generation'])
            .values(operation_uuid=None, next_sync_at=sa.case(
                (as_it_was, utcnow(interval)), else_=columns.next_sync_at),
                **values)).rowcount:
        return True
    conn.execute(mine.values(operation_uuid=None, next_sync_at=utcnow()))
    return False


def note_silence(conn: sa.Connection, uuid: str, tolerated: int,
                 pause: float, longest: float) -> None:
    """A call got no answer. After ``tolerated`` in a row the breaker opens.

    For ``pause`` seconds, twice as long each further time, up to
    ``longest``.
    """
    failures = conn.scalar(
        sa.select(POD_MANAGERS.c.failures)
        .where(POD_MANAGERS.c.uuid == uuid).with_for_update())
    if failures is None:
        return
    opened = failures + 1 - tolerated
    seconds = min(pause * 2 ** min(opened, 30), longest)
    conn.execute(
        sa.update(POD_MANAGERS).where(POD_MANAGERS.c.uuid == uuid)
        .values(failures=failures + 1,
                retry_at=utcnow(seconds) if opened >= 0 else None))


def note_answer(conn: sa.Connection, uuid: str) -> None:
    """A call got an answer: the breaker closes."""
    conn.execute(
        sa.update(POD_MANAGERS).where(POD_MANAGERS.c.uuid == uuid)
        .values(failures=0, retry_at=None))


def _check_unique(conn: sa.Connection, values: Mapping[str, Any],
                  uuid: str) -> None:
    for field in ('name', 'url'):
        if field in values and conn.scalar(
                sa.select(POD_MANAGERS.c.id)
                .where(POD_MANAGERS.c[field] == values[field],
                       POD_MANAGERS.c.uuid != uuid)):
            raise errors.Conflict(
                f'another pod manager has the {field} {values[field]!r}',
                code=f'{field}_taken', field=field)
