# SPDX-License-Identifier: Apache-2.0
"""How much may a project have, and how much does it have?

Limits are rows, usage is counted where it is needed: from the nodes, from the
claims, and from what nodes ask for whose backend has not chosen yet. So there
is no second account that could differ from the first.

Two requests of a project that count at the same time could both find room for
one. So :func:`lock` comes before anything is taken, :func:`check` after it.
The lock is the project's row for ``nodes``, which is there from the first
request that needs it, without a limit if nobody has set one.
"""

import uuid as uuid_module
from collections import Counter
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from valence.common import errors, states
from valence.common.devices import DeviceType
from valence.common.quotas import DEVICES, NODES, RESOURCES, UNLIMITED
from valence.db import models
from valence.db.types import utcnow

_QUOTAS: Any = models.Quota.__table__
_NODES: Any = models.Node.__table__
_CLAIMS: Any = models.Claim.__table__
_DEVICES: Any = models.Device.__table__

Limits = Mapping[str, int]


def limits(conn: sa.Connection, project_id: str | None,
           defaults: Limits) -> dict[str, int]:
    """The limit of each resource: the project's own, or the default."""
    rows = conn.execute(
        sa.select(_QUOTAS.c.resource, _QUOTAS.c.limit)
        .where(_QUOTAS.c.project_id == project_id,
               _QUOTAS.c.limit.is_not(None)))
    own = {row.resource: row.limit for row in rows}
    return {name: own.get(name, defaults.get(name, UNLIMITED))
            for name in RESOURCES}


def lock(conn: sa.Connection, project_id: str | None,
         defaults: Limits) -> Limits:
    """Let no other request of the project take anything until this one did.

    :returns: what is limited, for :func:`check`; where that is nothing,
        nothing is locked either
    """
    limited = {name: limit for name, limit
               in limits(conn, project_id, defaults).items()
               if limit != UNLIMITED}
    if limited and project_id is not None:
        lock_project(conn, project_id)
    return limited


def check(conn: sa.Connection, project_id: str | None, limited: Limits,
          operation_uuid: str) -> None:
    """See that what an operation has just taken is within the limits.

    :param limited: from :func:`lock`
    :raises QuotaExceeded:
    """
    if not limited or project_id is None:
        return
    taken = _usage(conn, project_id, operation_uuid)
    used = _usage(conn, project_id, latest=True)
    for name, limit in limited.items():
        if taken[name] and used[name] > limit:
            raise errors.QuotaExceeded(
                f'the project may have {limit} {name}; it has '
                f'{used[name] - taken[name]}, and {taken[name]} more '
                f'{"is" if taken[name] == 1 else "are"} requested')


def usage(conn: sa.Connection, project_id: str) -> dict[str, int]:
    """How much of each resource a project has."""
    used = _usage(conn, project_id)
    return {name: used[name] for name in RESOURCES}


def put(conn: sa.Connection, project_id: str, new: Limits) -> None:
    """Give a project these limits, and the default of all others."""
    lock_project(conn, project_id)
    conn.execute(sa.update(_QUOTAS).where(
        _QUOTAS.c.project_id == project_id, _QUOTAS.c.resource == NODES)
        .values(limit=new.get(NODES)))
    conn.execute(sa.delete(_QUOTAS).where(
        _QUOTAS.c.project_id == project_id, _QUOTAS.c.resource != NODES))
    for name, limit in new.items():
        if name != NODES:
            _insert(conn, project_id, name, limit)


def lock_project(conn: sa.Connection, project_id: str) -> None:
    """Let no other transaction go on that counts for the project."""
    # Written and not only locked: the nodes of a Galera cluster learn of
    # each other's writes alone.
    if conn.execute(
            sa.update(_QUOTAS)
            .where(_QUOTAS.c.project_id == project_id,
                   _QUOTAS.c.resource == NODES)
            .values(generation=_QUOTAS.c.generation + 1,
                    updated_at=utcnow())).rowcount:
        return
    try:
        _insert(conn, project_id, NODES, None)
    except db_exc.DBDuplicateEntry as error:
        raise db_exc.RetryRequest(errors.Conflict(
            'another first request of the project is being worked on; ask '
            'again', code='request_in_progress',
            headers={'Retry-After': '1'})) from error


def _insert(conn: sa.Connection, project_id: str, resource: str,
            limit: int | None) -> None:
    conn.execute(sa.insert(_QUOTAS).values(
        uuid=str(uuid_module.uuid4()), created_at=utcnow(),
        project_id=project_id, resource=resource, limit=limit))


def _usage(conn: sa.Connection, project_id: str,
           operation_uuid: str | None = None, *,
           latest: bool = False) -> Counter[str]:
    """What a project has, or what of that an operation is just taking.

    :param latest: see what others have committed up to now, and not up to
        when MariaDB's transaction began; elsewhere that is so anyway
    """
    mine: Any = _NODES.c.project_id == project_id
    composing: Any = _NODES.c.state == states.COMPOSING
    nodes = sa.select(sa.func.count()).select_from(_NODES)
    claims = (
        sa.select(_DEVICES.c.type, sa.func.count())
        .select_from(_CLAIMS.join(_NODES, _NODES.c.id == _CLAIMS.c.node_id)
                     .join(_DEVICES, sa.and_(
                         _DEVICES.c.pod_manager_id
                         == _CLAIMS.c.pod_manager_id,
                         _DEVICES.c.resource_path
                         == _CLAIMS.c.resource_path)))
        .group_by(_DEVICES.c.type))
    # Their backends choose the devices, and have not yet. A join, for in a
    # subquery MariaDB would see older claims than nodes.
    wishes = (
        sa.select(_NODES.c.requirements)
        .select_from(_NODES.outerjoin(
            _CLAIMS, _CLAIMS.c.node_id == _NODES.c.id))
        .where(composing, _CLAIMS.c.id.is_(None)))
    if operation_uuid is not None:
        mine &= _NODES.c.operation_uuid == operation_uuid
        nodes = nodes.where(composing)
        claims = claims.where(_CLAIMS.c.operation_uuid == operation_uuid)

    def ask(query: sa.Select[Any]) -> Any:
        query = query.where(mine)
        if latest:
            query = query.suffix_with('LOCK IN SHARE MODE', dialect='mysql')
        return conn.execute(query)

    used = Counter({NODES: ask(nodes).scalar_one()})
    for kind, count in ask(claims):
        used[kind] += count
    for requirements in ask(wishes).scalars():
        used[DeviceType.COMPUTE] += 1
        used.update((requirements.get('pci_device') or {}).get('type', ()))
    used[DEVICES] = used.total() - used[NODES]
    return used
