# SPDX-License-Identifier: Apache-2.0
"""Which conductor processes are there, and which of them live?"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from valence.db import models
from valence.db.types import utcnow

CONDUCTORS: Any = models.Conductor.__table__


def register(conn: sa.Connection, *, uuid: str, host: str, pid: int,
             version: str, drivers: Mapping[str, Any]) -> None:
    conn.execute(sa.insert(CONDUCTORS).values(
        uuid=uuid, host=host, pid=pid, version=version, drivers=drivers,
        created_at=utcnow(), heartbeat_at=utcnow()))


def beat(conn: sa.Connection, uuid: str) -> None:
    """Say that the conductor lives, by the database's clock."""
    conn.execute(sa.update(CONDUCTORS).where(CONDUCTORS.c.uuid == uuid)
                 .values(heartbeat_at=utcnow(), stopped_at=None))


def stop(conn: sa.Connection, uuid: str) -> None:
    """Say that the conductor ended by its own will."""
    conn.execute(sa.update(CONDUCTORS).where(CONDUCTORS.c.uuid == uuid)
                 .values(stopped_at=utcnow()))


def forget(conn: sa.Connection, age: float) -> None:
    """Remove the records of conductors silent for ``age`` seconds."""
    conn.execute(sa.delete(CONDUCTORS).where(
        CONDUCTORS.c.heartbeat_at < utcnow(-age)))
