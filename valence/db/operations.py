# SPDX-License-Identifier: Apache-2.0
"""How is an operation written down, owned and finished?

The rules that keep two conductors apart are all in this module. An owner is
known by the *epoch* that :func:`acquire` gave it, and every later write is
``WHERE uuid = ... AND epoch = ...``: once a successor has acquired the row,
nothing of the old owner lands any more. Functions that write return whether
they did, or raise :class:`LeaseLost`.
"""

import dataclasses
import functools
import uuid as uuid_module
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from valence.db import models
from valence.db.engine import uncertain
from valence.db.types import utcnow

OPERATIONS: Any = models.Operation.__table__
STEPS: Any = models.OperationStep.__table__

#: States in which an operation still has work to do.
ACTIVE = ('pending', 'running')

#: So many seconds an undo may go on after the deadline of its operation.
#: What is not undone by then is left as it is.
UNDO_GRACE = 900.0


class LeaseLost(Exception):
    """Somebody else owns the operation now; do nothing more."""


@dataclasses.dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one operation."""

    operation_uuid: str
    operation_id: int
    epoch: int
    seconds: float


def insert(conn: sa.Connection, *, kind: str, uuid: str | None = None,
           timeout: float, **values: Any) -> str:
    """Write a new operation down; ``timeout`` s from now it must be over."""
    uuid = uuid or str(uuid_module.uuid4())
    conn.execute(_insert(timeout), {'uuid': uuid, 'kind': kind, **values})
    return uuid


# Statements of every operation are put together once: that costs more than
# half of what the database needs to carry them out (measured).

@functools.cache
def _insert(timeout: float) -> sa.Insert:
    return sa.insert(OPERATIONS).values(
        state='pending', created_at=utcnow(), deadline_at=utcnow(timeout))


def record(conn: sa.Connection, **values: Any) -> str:
    """Write down what was done at once, for the history."""
    uuid = str(uuid_module.uuid4())
    now = utcnow()
    conn.execute(sa.insert(OPERATIONS).values(
        uuid=uuid, state='succeeded', progress=100, created_at=now,
        started_at=now, finished_at=now, **values))
    return uuid


def abandon(conn: sa.Connection, uuid: str, message: str) -> bool:
    """End an active operation, whoever owns it; he can write no more.

    Its lease stays as it is: a call to hardware that the owner has begun
    ends within it, see :func:`quiet_at`.
    """
    return conn.execute(
        sa.update(OPERATIONS)
        .where(OPERATIONS.c.uuid == uuid, OPERATIONS.c.state.in_(ACTIVE))
        .values(state='failed', epoch=OPERATIONS.c.epoch + 1, error=message,
                error_code='abandoned', not_before=None,
                finished_at=utcnow())).rowcount == 1


def quiet_at(conn: sa.Connection, node_uuid: str) -> Any:
    """Until when calls of abandoned operations on a node may still run."""
    return conn.scalar(
        sa.select(sa.func.max(OPERATIONS.c.lease_expires_at))
        .where(OPERATIONS.c.node_uuid == node_uuid,
               OPERATIONS.c.error_code == 'abandoned'))


def acquire(conn: sa.Connection, uuid: str, owner: str, seconds: float
            ) -> tuple[Lease, Mapping[str, Any]] | None:
    """Become the owner of a due operation, or None where it is not to be had.

    :param owner: a process; one of its threads at a time asks for a ``uuid``
    :returns: the lease, and the operation's row as of now. ``overdue``: its
        deadline has passed; ``late``: the time for its undo is over, too.
    """
    names = {'of': uuid, 'by': owner}
    if conn.execute(_acquire(seconds), names).rowcount != 1 and not (
            # It may be had already, and only the COMMIT's answer was lost.
            uncertain(conn)
            and conn.execute(_acquire_again(seconds), names).rowcount):
        return None
    row = conn.execute(_ROW, {'of': uuid}).mappings().one()
    return Lease(uuid, row['id'], row['epoch'], seconds), dict(row)


_ROW = sa.select(
    OPERATIONS, (OPERATIONS.c.deadline_at <= utcnow()).label('overdue'),
    (OPERATIONS.c.deadline_at <= utcnow(-UNDO_GRACE)).label('late')
).where(OPERATIONS.c.uuid == sa.bindparam('of'))


@functools.cache
def _acquire(seconds: float) -> sa.Update:
    return _acquisition(seconds, *_due(utcnow()))


@functools.cache
def _acquire_again(seconds: float) -> sa.Update:
    return _acquisition(seconds, OPERATIONS.c.state == 'running',
                        OPERATIONS.c.owner == sa.bindparam('by'))


def _acquisition(seconds: float, *conditions: Any) -> sa.Update:
    now = utcnow()
    return (
        sa.update(OPERATIONS)
        .where(OPERATIONS.c.uuid == sa.bindparam('of'), *conditions)
        .values(owner=sa.bindparam('by'), epoch=OPERATIONS.c.epoch + 1,
                state='running', attempts=OPERATIONS.c.attempts + 1,
                not_before=None, acquired_at=now,
                lease_expires_at=utcnow(seconds),
                started_at=sa.func.coalesce(OPERATIONS.c.started_at, now)))


def _due(now: Any) -> tuple[Any, ...]:
    return (OPERATIONS.c.state.in_(ACTIVE),
            sa.or_(OPERATIONS.c.not_before.is_(None),
                   OPERATIONS.c.not_before <= now),
            sa.or_(OPERATIONS.c.lease_expires_at.is_(None),
                   OPERATIONS.c.lease_expires_at < now))


def due(conn: sa.Connection, limit: int) -> list[str]:
    """Operations that anybody may acquire now, oldest first."""
    return list(conn.scalars(
        sa.select(OPERATIONS.c.uuid).where(*_due(utcnow()))
        .order_by(OPERATIONS.c.id).limit(limit)))


def guard(conn: sa.Connection, lease: Lease, *conditions: Any,
          **values: Any) -> None:
    """Renew the lease, and write ``values``, if the epoch is still ours.

    To be the first statement of every transaction in which an owner writes
    anything: it also locks the row until that transaction ends.
    """
    # The lease is renewed unless the caller gives it back in ``values``.
    values.setdefault('lease_expires_at', utcnow(lease.seconds))
    if conn.execute(
            sa.update(OPERATIONS)
            .where(OPERATIONS.c.uuid == lease.operation_uuid,
                   OPERATIONS.c.epoch == lease.epoch,
                   OPERATIONS.c.state == 'running', *conditions)
            .values(**values)).rowcount != 1:
        raise LeaseLost(lease.operation_uuid)


def renew(conn: sa.Connection, lease: Lease, **values: Any) -> str:
    """Keep the lease and learn what is desired of the operation now.

    One that was given back a moment ago is not taken again.
    """
    guard(conn, lease, OPERATIONS.c.owner.is_not(None), **values)
    return str(conn.scalar(
        sa.select(OPERATIONS.c.desired)
        .where(OPERATIONS.c.uuid == lease.operation_uuid)))


def park(conn: sa.Connection, lease: Lease, delay: float,
         **values: Any) -> None:
    """Give the lease back; anybody may go on after ``delay`` seconds."""
    guard(conn, lease, owner=None, lease_expires_at=None,
          not_before=utcnow(delay) if delay > 0 else None, **values)


def finish(conn: sa.Connection, lease: Lease, state: str,
           **values: Any) -> None:
    """End the operation. ``state`` is succeeded, failed or cancelled."""
    guard(conn, lease, state=state, finished_at=utcnow(),
          lease_expires_at=None, not_before=None, **values)


def has_ended(conn: sa.Connection, lease: Lease, state: str) -> bool:
    """Whether its owner has ended it in this way, and nobody told him so.

    To be asked before :func:`guard`, which knows only what is not over.
    """
    return uncertain(conn) and conn.scalar(
        sa.select(sa.func.count())
        .where(OPERATIONS.c.uuid == lease.operation_uuid,
               OPERATIONS.c.epoch == lease.epoch,
               OPERATIONS.c.state == state)) == 1


def steps(conn: sa.Connection, operation_id: int
          ) -> dict[str, Mapping[str, Any]]:
    """The journal of an operation, by step name, in order."""
    return {row['name']: dict(row) for row in conn.execute(
        sa.select(STEPS).where(STEPS.c.operation_id == operation_id)
        .order_by(STEPS.c.ordinal)).mappings()}


def recorded_handle(outcomes: Mapping[str, Any]) -> Any:
    """What the steps say of the node that they make; None is nothing."""
    for step in ('compose', 'prepare'):
        recorded = outcomes.get(step, {}).get('handle')
        if recorded:
            return recorded
    return None


def write_intent(conn: sa.Connection, lease: Lease, name: str, ordinal: int,
                 intent: Any, again: bool) -> None:
    """Say what is about to be done. ``again``: the step has an entry."""
    values = dict(state='intent', epoch=lease.epoch, intent=intent,
                  outcome=None, error=None, finished_at=None)
    # It may also have one of which only the COMMIT's answer was lost.
    if not ((again or uncertain(conn)) and conn.execute(
            sa.update(STEPS)
            .where(STEPS.c.operation_id == lease.operation_id,
                   STEPS.c.name == name)
            .values(attempts=STEPS.c.attempts + 1, **values)).rowcount):
        conn.execute(_FIRST_INTENT, {
            'uuid': str(uuid_module.uuid4()),
            'operation_id': lease.operation_id, 'name': name,
            'ordinal': ordinal, **values})


_FIRST_INTENT = sa.insert(STEPS).values(
    attempts=1, created_at=utcnow(), started_at=utcnow())


def write_outcome(conn: sa.Connection, lease: Lease, name: str, state: str,
                  outcome: Any = None, error: str | None = None,
                  **values: Any) -> None:
    """Say what came of it: pending, done or failed."""
    conn.execute(
        sa.update(STEPS)
        .where(STEPS.c.operation_id == lease.operation_id,
               STEPS.c.name == name)
        .values(state=state, epoch=lease.epoch, outcome=outcome, error=error,
                finished_at=None if state == 'pending' else utcnow(),
                **values))


def purge(conn: sa.Connection, age: float, limit: int = 1000) -> int:
    """Forget finished operations older than ``age`` seconds."""
    ids = list(conn.scalars(
        sa.select(OPERATIONS.c.id)
        .where(OPERATIONS.c.finished_at < utcnow(-age))
        .order_by(OPERATIONS.c.id).limit(limit)))
    if ids:
        conn.execute(sa.delete(STEPS).where(STEPS.c.operation_id.in_(ids)))
        conn.execute(sa.delete(OPERATIONS).where(OPERATIONS.c.id.in_(ids)))
    return len(ids)
