# SPDX-License-Identifier: Apache-2.0
"""Which keys do the stored credentials need, and how do they get another?

Each row of a pod manager has the fingerprint of the key that encrypted its
credentials, so what a key file lacks is known without trying it.
"""

import dataclasses
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from valence.common.vault import Vault, VaultError
from valence.db import models
from valence.db.engine import Database

_C: Any = models.PodManager.__table__.c

#: Rows that are encrypted anew in one transaction.
_BATCH = 100
#: Pod managers that a message names.
_NAMED = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Rotation:
    """What became of the stored credentials, in pod managers.

    ``changed`` were encrypted anew, ``current`` had the first key already;
    ``lost`` names those that no key in the file fits.
    """

    changed: int
    current: int
    lost: tuple[str, ...]


def rotate(database: Database, vault: Vault) -> Rotation:
    """Encrypt all credentials with the first key of ``vault``.

    In small transactions, by compare-and-swap: what a service writes
    meanwhile is not overwritten, and is looked at again.
    """
    with database.read() as conn:
        current = _count(conn, vault.fingerprint)
    changed, missed, lost = 0, 1, {}
    while missed:
        missed, after = 0, 0
        while rows := _outdated(database, vault.fingerprint, after):
            after = rows[-1].id
            swaps = []
            for row in rows:
                try:
                    swaps.append((row.id, row.credentials,
                                  *vault.encrypt_anew(row.credentials)))
                except VaultError:
                    lost[row.id] = row.name
            done = database.run(_swap, swaps)
            changed += done
            missed += len(swaps) - done
    return Rotation(changed, current, tuple(lost.values()))


def require_keys(database: Database, vault: Vault) -> None:
    """Be sure that ``vault`` can read what is stored.

    :raises VaultError: with how many pod managers are lost, and the cure
    """
    with database.read() as conn:
        lost = _lost(conn, vault.fingerprints)
    if lost:
        keys = ', '.join(sorted({row.credentials_key for row in lost}))
        names = ', '.join(row.name for row in lost[:_NAMED])
        more = ', ...' if len(lost) > _NAMED else ''
        raise VaultError(
            f'the key file lacks the key(s) that encrypted the credentials '
            f'of {len(lost)} pod manager(s) ({names}{more}): put the key(s) '
            f'with the fingerprint(s) {keys} back into [secrets] key_file; '
            'if they are gone for good, run "valence-manage secrets '
            'forget-lost" and give these credentials again')


def used_keys(database: Database) -> dict[str, int]:
    """How many pod managers' credentials each key encrypts."""
    with database.read() as conn:
        return {row.credentials_key: row.number for row in conn.execute(
            sa.select(_C.credentials_key, sa.func.count().label('number'))
            .where(_C.credentials.is_not(None))
            .group_by(_C.credentials_key))}


def forget_lost(conn: sa.Connection, known: Collection[str]) -> list[str]:
    """Remove the credentials that none of the ``known`` keys encrypted.

    :returns: the names of their pod managers
    """
    lost = _lost(conn, known)
    for row in lost:
        conn.execute(
            sa.update(models.PodManager)
            .where(_C.id == row.id, _C.credentials_key == row.credentials_key)
            .values(credentials=None, credentials_key=None,
                    generation=_C.generation + 1))
    return [row.name for row in lost]


def _lost(conn: sa.Connection, known: Collection[str]) -> list[Any]:
    return list(conn.execute(
        sa.select(_C.id, _C.name, _C.credentials_key)
        .where(_C.credentials.is_not(None),
               _C.credentials_key.not_in(list(known)))
        .order_by(_C.id)))


def _count(conn: sa.Connection, key: str) -> int:
    return conn.scalar(
        sa.select(sa.func.count()).select_from(models.PodManager)
        .where(_C.credentials.is_not(None),
               _C.credentials_key == key)) or 0


def _outdated(database: Database, key: str, after: int) -> list[Any]:
    with database.read() as conn:
        return list(conn.execute(
            sa.select(_C.id, _C.name, _C.credentials)
            .where(_C.credentials.is_not(None), _C.credentials_key != key,
                   _C.id > after)
            .order_by(_C.id).limit(_BATCH)))


def _swap(conn: sa.Connection,
          swaps: list[tuple[int, str, str, str]]) -> int:
    return sum(conn.execute(
        sa.update(models.PodManager)
        .where(_C.id == row_id, _C.credentials == before)
        # Nothing that a user can see has changed.
        .values(credentials=token, credentials_key=key,
                updated_at=_C.updated_at)).rowcount
        for row_id, before, token, key in swaps)
