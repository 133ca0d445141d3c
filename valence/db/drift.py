# SPDX-License-Identifier: Apache-2.0
"""How are differences between hardware and records kept?

One row each. A difference counts once two complete scans in a row have shown
it unchanged; one that the next complete scan does not show is forgotten.
"""

import uuid as uuid_module
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from valence.db import models
from valence.db.types import utcnow

DRIFT: Any = models.Drift.__table__
_NODES: Any = models.Node.__table__
_CLAIMS: Any = models.Claim.__table__
_OPERATIONS: Any = models.Operation.__table__

#: In the order of a row's life.
SEEN, CONFIRMED, SUSPENDED = 'seen', 'confirmed', 'suspended'


def nodes_of(conn: sa.Connection, pod_manager_id: int, before: Any
             ) -> list[dict[str, Any]]:
    """The nodes of a pod with what they claim.

    ``quiet`` are those that no operation holds and that have not changed
    since ``before``, a time of the database.
    """
    claims: dict[int, set[str]] = {}
    for row in conn.execute(
            sa.select(_CLAIMS.c.node_id, _CLAIMS.c.resource_path)
            .where(_CLAIMS.c.pod_manager_id == pod_manager_id)):
        claims.setdefault(row.node_id, set()).add(row.resource_path)
    columns = _NODES.c
    changed = sa.func.coalesce(columns.updated_at, columns.created_at)
    rows = conn.execute(
        sa.select(columns.id, columns.uuid, columns.state,
                  columns.resource_path, columns.handle, columns.generation,
                  sa.and_(columns.operation_uuid.is_(None),
                          changed < before).label('quiet'))
        .where(columns.pod_manager_id == pod_manager_id)).mappings()
    return [{'device_paths': frozenset(claims.get(row['id'], ())),
             **{name: value for name, value in row.items() if name != 'id'}}
            for row in rows]


def moving(conn: sa.Connection, pod_manager_uuid: str,
           nodes: Iterable[Mapping[str, Any]], since: Any) -> set[str]:
    """The devices that somebody joins or frees, or did ``since`` then.

    A scan that began then may have seen them at any moment of it.

    :param nodes: of :func:`nodes_of`, read before with the same time
    """
    paths: set[str] = set()
    for node in nodes:
        if not node['quiet']:
            paths |= node['device_paths']
    columns = _OPERATIONS.c
    # What was undone leaves no trace on its node.
    for params in conn.scalars(
            sa.select(columns.params)
            .where(columns.pod_manager_uuid == pod_manager_uuid,
                   columns.finished_at >= since,
                   columns.kind.in_(('compose', 'attach')))):
        paths.update(params.get('device_paths') or ())
        paths.update(filter(None, [params.get('device_path')]))
    return paths


def note(conn: sa.Connection, pod_manager_id: int,
         findings: Iterable[Any], scan: int, doubted: bool
         ) -> list[tuple[str, Any]]:
    """Make the table say what a complete scan found.

    :param doubted: the scan as a whole is, so nothing is confirmed by it
    :returns: uuid and finding of those that something can be done about now
    """
    known = {
        (row.kind, row.resource_path, row.node_uuid): row
        for row in conn.execute(sa.select(DRIFT).where(
            DRIFT.c.pod_manager_id == pod_manager_id))}
    due = []
    for finding in findings:
        old = known.pop((finding.kind, finding.resource_path,
                         finding.node_uuid), None)
        again = (old is not None and old.details == finding.details
                 and old.state != SUSPENDED and not doubted)
        state = SUSPENDED if doubted else CONFIRMED if again else SEEN
        if old is None:
            conn.execute(sa.insert(DRIFT).values(
                uuid=str(uuid_module.uuid4()), pod_manager_id=pod_manager_id,
                kind=finding.kind, resource_path=finding.resource_path,
                node_uuid=finding.node_uuid, details=finding.details,
                state=state, first_scan=scan, last_scan=scan,
                created_at=utcnow()))
            continue
        first = {} if again else {
            'first_scan': scan, 'details': finding.details, 'action': None,
            'operation_uuid': None}
        conn.execute(
            sa.update(DRIFT).where(DRIFT.c.id == old.id)
            .values(state=state, last_scan=scan, updated_at=utcnow(),
                    **first))
        if again and finding.act and old.action is None:
            due.append((old.uuid, finding))
    for row in known.values():
        conn.execute(sa.delete(DRIFT).where(DRIFT.c.id == row.id))
    return due


def mark(conn: sa.Connection, uuids: Iterable[str],
         **values: Any) -> None:
    """Say what is done about differences, or was."""
    conn.execute(sa.update(DRIFT).where(DRIFT.c.uuid.in_(list(uuids)))
                 .values(updated_at=utcnow(), **values))


def suspended(conn: sa.Connection, uuids: Iterable[str]) -> set[str]:
    """Which of these a newer scan has put in doubt."""
    return set(conn.scalars(
        sa.select(DRIFT.c.uuid).where(DRIFT.c.uuid.in_(list(uuids)),
                                      DRIFT.c.state == SUSPENDED)))


def known_nodes(conn: sa.Connection, uuids: Iterable[str],
                not_of: int) -> set[str]:
    """Which of these nodes there are, at other pod managers."""
    return set(conn.scalars(
        sa.select(_NODES.c.uuid)
        .where(_NODES.c.uuid.in_(list(uuids)),
               _NODES.c.pod_manager_id != not_of)))


def owners(conn: sa.Connection, pod_manager_id: int,
           paths: Iterable[str]) -> Mapping[str, int]:
    """The ids of the nodes that claim some of ``paths``."""
    return {row.resource_path: row.node_id for row in conn.execute(
        sa.select(_CLAIMS.c.resource_path, _CLAIMS.c.node_id)
        .where(_CLAIMS.c.pod_manager_id == pod_manager_id,
               _CLAIMS.c.resource_path.in_(list(paths))))}
