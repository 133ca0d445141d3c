# SPDX-License-Identifier: Apache-2.0
"""How does the result of a scan get into the database?

In bulk, and only what changed: each row keeps a digest of what the scan saw
of it, so an unchanged pod costs one read per table and no write.

Absence is believed late. A row that a complete scan does not see is marked;
it goes when the next complete scan does not see it either and nobody claims
it. When more than a fifth of a kind vanished at once nothing goes: then the
backend is more likely to be wrong than the hardware gone.

A scan takes a while. What a read-back has shown since it began is newer than
what the scan says, and stays.
"""

import dataclasses
import datetime
import hashlib
import uuid as uuid_module
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from valence.db import models
from valence.db.types import dump_json, utcnow

TABLES: dict[str, Any] = {
    'racks': models.Rack.__table__,
    'systems': models.System.__table__,
    'devices': models.Device.__table__,
    'zones': models.Zone.__table__,
}
_CLAIMS: Any = models.Claim.__table__

_BIGGEST = 2 ** 53
_BIGGEST_INTEGER = 2 ** 31 - 1
_CHUNK = 500
#: From so many devices on all are judged, too, and not the pools alone.
_LARGE = 10


@dataclasses.dataclass
class Counts:
    """What a scan did to one table."""

    seen: int = 0
    added: int = 0
    changed: int = 0
    missing: int = 0
    removed: int = 0
    kept: int = 0      # missing long enough, but not believed
    doubted: bool = False   # too much vanished at once


def write(conn: sa.Connection, table: str, pod_manager_id: int,
          pod_manager_uuid: str, rows: Iterable[Mapping[str, Any]],
          complete: bool, scan: int, *,
          began: datetime.datetime | None = None,
          moving: Collection[str] = (), trusted: bool = False) -> Counts:
    """Make ``table`` say what the scan saw.

    :param rows: column values as the driver gave them, ``resource_path``
        among them; texts too long are cut, numbers out of range dropped.
    :param scan: the number of this scan among the pod's complete ones.
    :param began: a time of the database. The state of a device that was
        written since is newer than the scan's, and stays.
    :param moving: paths of devices whose state the scan cannot know, because
        an operation joins or frees them meanwhile.
    :param trusted: all absence is believed, however much it is.
    """
    target = TABLES[table]
    known = {
        row.resource_path: row for row in conn.execute(
            sa.select(target.c.id, target.c.resource_path, target.c.digest,
                      target.c.missing_since, *_state(target))
            .where(target.c.pod_manager_id == pod_manager_id))}
    stay = set(moving) | _newer(conn, target, pod_manager_id, began)
    counts = Counts()
    namespace = uuid_module.UUID(pod_manager_uuid)
    added, changed, returned, seen = [], [], [], set()
    room = {column.name: _room(column.type) for column in target.c}
    for raw in rows:
        path = raw['resource_path']
        if path in seen:
            continue
        seen.add(path)
        row = {name: _fit(room[name], value)
               for name, value in raw.items()}
        old = known.get(path)
        if path in stay and old is not None:
            row['state'] = old.state
        row['digest'] = _digest(row)
        if old is None:
            row['uuid'] = str(uuid_module.uuid5(namespace, path))
            row['pod_manager_id'] = pod_manager_id
            added.append(row)
        elif old.digest != row['digest']:
            row.update(row_id=old.id, old_digest=old.digest)
            if _state(target):
                row['old_state'] = old.state
            changed.append(row)
        elif old.missing_since is not None:
            returned.append(old.id)
    counts.seen, counts.added = len(seen), len(added)
    counts.changed = len(changed) + len(returned)
    if added:
        conn.execute(sa.insert(target).values(created_at=utcnow()), added)
    if changed:
        columns = [name for name in changed[0] if name in target.c]
        conn.execute(
            sa.update(target)
            # What was read above may have been written since.
            .where(target.c.id == sa.bindparam('row_id'),
                   target.c.digest == sa.bindparam('old_digest'),
                   *(state == sa.bindparam('old_state')
                     for state in _state(target)))
            .values(missing_since=None, updated_at=utcnow(),
                    **{name: sa.bindparam(name) for name in columns}),
            changed)
    for chunk in _chunks(returned):
        conn.execute(sa.update(target).where(target.c.id.in_(chunk))
                     .values(missing_since=None, updated_at=utcnow()))
    if complete:
        absent = [row for path, row in known.items() if path not in seen]
        counts.doubted = bool(absent) and not trusted and _doubted(
            conn, target, pod_manager_id, absent,
            {row.id for row in known.values()})
        _forget(conn, target, pod_manager_id, absent, scan, counts)
    return counts


def _doubted(conn: sa.Connection, target: Any, pod_manager_id: int,
             absent: Collection[Any], before: Collection[int]) -> bool:
    """Whether more rows are absent than can be believed at once.

    Composed systems come and go, and so may the parts of systems: of
    devices as a whole only a fifth of many makes a wonder.

    :param before: the ids of all that were there
    """
    lasting = {one for one in conn.scalars(
        sa.select(target.c.id)
        .where(target.c.pod_manager_id == pod_manager_id,
               *([target.c.pooled] if 'pooled' in target.c else []),
               *([sa.not_(target.c.composed)]
                 if 'composed' in target.c else [])))
        if one in before}
    if vanished(sum(row.id in lasting for row in absent), len(lasting)):
        return True
    return ('pooled' in target.c and len(before) >= _LARGE
            and vanished(len(absent), len(before)))


def _forget(conn: sa.Connection, target: Any, pod_manager_id: int,
            absent: list[Any], scan: int, counts: Counts) -> None:
    counts.missing = len(absent)
    marks = [row.id for row in absent if row.missing_since is None]
    for chunk in _chunks(marks):
        conn.execute(sa.update(target).where(target.c.id.in_(chunk))
                     .values(missing_since=scan, updated_at=utcnow()))
    old = [row for row in absent
           if row.missing_since is not None and row.missing_since < scan]
    if not old:
        return
    claimed = set(conn.scalars(
        sa.select(_CLAIMS.c.resource_path)
        .where(_CLAIMS.c.pod_manager_id == pod_manager_id)))
    gone = [row.id for row in old if row.resource_path not in claimed]
    counts.kept = len(old) - len(gone)
    if counts.doubted:
        counts.kept = len(old)
        return
    for chunk in _chunks(gone):
        conn.execute(sa.delete(target).where(target.c.id.in_(chunk)))
    counts.removed = len(gone)


def vanished(absent: int, before: int) -> bool:
    """Whether more is absent than can be believed at once.

    One alone can be: in a small pod it is more than a fifth already.
    """
    return absent >= 2 and absent * 5 > before


def set_device_states(conn: sa.Connection, pod_manager_id: int,
                      paths: Iterable[str], state: str) -> None:
    """Write what a read-back has just shown, ahead of the next scan."""
    devices = TABLES['devices']
    for chunk in _chunks(sorted(paths)):
        conn.execute(
            sa.update(devices)
            .where(devices.c.pod_manager_id == pod_manager_id,
                   devices.c.resource_path.in_(chunk))
            # The next scan has to look at these rows again.
            .values(state=state, digest='', updated_at=utcnow()))


def _state(target: Any) -> tuple[Any, ...]:
    """The column, of the table that has it."""
    return (target.c.state,) if 'state' in target.c else ()


def _newer(conn: sa.Connection, target: Any, pod_manager_id: int,
           began: datetime.datetime | None) -> set[str]:
    """What was written since the scan ``began``."""
    if began is None:
        return set()
    return set(conn.scalars(
        sa.select(target.c.resource_path)
        .where(target.c.pod_manager_id == pod_manager_id,
               target.c.updated_at > began)))


def _chunks(items: list[Any]) -> Iterable[list[Any]]:
    return (items[i:i + _CHUNK] for i in range(0, len(items), _CHUNK))


def _room(column_type: Any) -> int | None:
    """Characters that a text may have, or the largest number."""
    if isinstance(column_type, sa.BigInteger):
        return _BIGGEST
    if isinstance(column_type, sa.Integer):
        return _BIGGEST_INTEGER
    return getattr(column_type, 'length', None)


def _fit(room: int | None, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        # NUL cannot be stored by PostgreSQL.
        return str(value).replace('\x00', '')[:room]
    if isinstance(value, int):
        return value if 0 <= value <= (room or _BIGGEST) else None
    return value


def _digest(row: Mapping[str, Any]) -> str:
    return hashlib.blake2b(dump_json(row).encode(), digest_size=16
                           ).hexdigest()
