# SPDX-License-Identifier: Apache-2.0
"""Which requests with an Idempotency-Key were made, and what came of them?

A key is taken by the first statement of the transaction that does what is
asked for, and is there if and only if that was committed. Who comes with the
same key at the same time waits for it at the unique constraint.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from valence.db import models
from valence.db.types import utcnow

KEYS: Any = models.IdempotencyKey.__table__
_OPERATIONS: Any = models.Operation.__table__


class Taken(Exception):
    """The key stands for a request that was committed."""


def take(conn: sa.Connection, uuid: str, project_id: str | None, key: str,
         digest: str) -> None:
    """Write a key down, as the first statement of its transaction.

    To be the first also because it reads nothing: what a transaction on
    MariaDB sees is as old as the first plain SELECT in it, which then comes
    after the locks.

    :param uuid: of the row, by which who has written it knows it again
    :param digest: of the request, up to 64 characters
    :raises Taken:
    """
    try:
        conn.execute(_TAKE, {
            'uuid': uuid, 'project_id': project_id or '', 'key': key,
            'digest': digest})
    except db_exc.DBDuplicateEntry as error:
        raise Taken(key) from error


_TAKE = sa.insert(KEYS).values(created_at=utcnow())


def keep(conn: sa.Connection, uuid: str, made: Sequence[str]) -> None:
    """Say what came of it: uuids of operations, or of one resource."""
    conn.execute(_KEEP, {'of': uuid, 'these': list(made),
                         'last': made[-1] if made else None})


_KEEP = sa.update(KEYS).where(KEYS.c.uuid == sa.bindparam('of')).values(
    made=sa.bindparam('these'), last_uuid=sa.bindparam('last'))


def find(conn: sa.Connection, project_id: str | None, key: str
         ) -> sa.Row[Any] | None:
    """Its ``uuid``, ``digest`` and ``made``."""
    return conn.execute(_FIND, {
        'project': project_id or '', 'name': key}).one_or_none()


_FIND = sa.select(KEYS.c.uuid, KEYS.c.digest, KEYS.c.made).where(
    KEYS.c.project_id == sa.bindparam('project'),
    KEYS.c.key == sa.bindparam('name'))


def purge(conn: sa.Connection, age: float, limit: int = 1000) -> int:
    """Forget keys older than ``age`` s whose operation is forgotten."""
    ids = list(conn.scalars(
        sa.select(KEYS.c.id)
        .where(KEYS.c.created_at < utcnow(-age),
               ~sa.exists().where(_OPERATIONS.c.uuid == KEYS.c.last_uuid))
        .order_by(KEYS.c.id).limit(limit)))
    if ids:
        conn.execute(sa.delete(KEYS).where(KEYS.c.id.in_(ids)))
    return len(ids)
