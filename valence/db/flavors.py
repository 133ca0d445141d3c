# SPDX-License-Identifier: Apache-2.0
"""How are flavors kept?"""

import uuid as uuid_module
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from valence.common import errors
from valence.db import models
from valence.db.engine import uncertain
from valence.db.types import utcnow

FLAVORS: Any = models.Flavor.__table__


def get(conn: sa.Connection, uuid: str, *, lock: bool = False
        ) -> sa.RowMapping | None:
    """The row; with ``lock``, for the caller alone until it commits."""
    query = sa.select(FLAVORS).where(FLAVORS.c.uuid == uuid)
    if lock:
        query = query.with_for_update()
    return conn.execute(query).mappings().one_or_none()


def create(conn: sa.Connection, values: Mapping[str, Any]) -> str:
    """Keep a new flavor, under ``values['uuid']`` where there is one.

    :raises Conflict: name_taken
    """
    uuid = values.get('uuid') or str(uuid_module.uuid4())
    if uncertain(conn) and get(conn, uuid):
        return str(uuid)
    _check_unique(conn, values, uuid)
    try:
        conn.execute(sa.insert(FLAVORS).values(
            **{**values, 'uuid': uuid, 'created_at': utcnow()}))
    except db_exc.DBDuplicateEntry as error:
        raise _lost(values) from error
    return str(uuid)


def update(conn: sa.Connection, uuid: str,
           values: Mapping[str, Any]) -> None:
    """Nodes composed by the flavor keep what they were composed for.

    :raises Conflict: name_taken
    :raises NotFound:
    """
    _check_unique(conn, values, uuid)
    try:
        changed = conn.execute(
            sa.update(FLAVORS).where(FLAVORS.c.uuid == uuid)
            .values(**values, generation=FLAVORS.c.generation + 1,
                    updated_at=utcnow())).rowcount
    except db_exc.DBDuplicateEntry as error:
        raise _lost(values) from error
    if not changed:
        raise errors.NotFound(f'no flavor {uuid}')


def delete(conn: sa.Connection, uuid: str) -> None:
    """:raises NotFound:"""
    if not conn.execute(sa.delete(FLAVORS).where(
            FLAVORS.c.uuid == uuid)).rowcount:
        raise errors.NotFound(f'no flavor {uuid}')


def _check_unique(conn: sa.Connection, values: Mapping[str, Any],
                  uuid: str) -> None:
    if 'name' in values and conn.scalar(
            sa.select(FLAVORS.c.id)
            .where(FLAVORS.c.name == values['name'],
                   FLAVORS.c.uuid != uuid)):
        raise _taken(values)


def _taken(values: Mapping[str, Any]) -> errors.Conflict:
    return errors.Conflict(
        f'another flavor has the name {values.get("name")!r}',
        code='name_taken', field='name')


def _lost(values: Mapping[str, Any]) -> db_exc.RetryRequest:
    # Another request won between the check and the write; the retry sees it.
    return db_exc.RetryRequest(_taken(values))
