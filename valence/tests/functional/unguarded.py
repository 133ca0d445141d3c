# SPDX-License-Identifier: Apache-2.0
"""What is left of Valence when one of its guards is taken out?

Each function here takes one out of the process that calls it. The tests of
:mod:`valence.tests.functional.test_guards` show that the oracle notices; a
guard that nobody would miss is not a guard.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from valence.conductor import operations as kinds
from valence.conductor.operations import compose, hardware
from valence.db import operations
from valence.db.types import utcnow
from valence.drivers.base import NodeHardware


def without_epochs() -> None:
    """An owner's writes land although somebody else has the operation."""
    def guard(conn: sa.Connection, lease: operations.Lease,
              *conditions: Any, **values: Any) -> None:
        values.setdefault('lease_expires_at', utcnow(lease.seconds))
        columns = operations.OPERATIONS.c
        if conn.execute(
                sa.update(operations.OPERATIONS)
                .where(columns.uuid == lease.operation_uuid,
                       columns.state == 'running', *conditions)
                .values(**values)).rowcount != 1:
            raise operations.LeaseLost(lease.operation_uuid)

    operations.guard = guard


def without_intents() -> None:
    """Nothing is written down before a call, only what came of it."""
    def write_intent(*args: Any, **kwargs: Any) -> None:
        pass

    operations.write_intent = write_intent


def without_read_back() -> None:
    """What a backend says that it composed is believed."""
    def believe(task: Any) -> dict[str, Any]:
        handle = hardware.locate(task)
        assert handle
        task.found['hardware'] = NodeHardware(
            handle=handle, name=handle.resource_path, power_state='Off',
            health=None, device_paths=tuple(task.params['device_paths']))
        return {}

    kinds.KINDS['compose'] = dataclasses.replace(
        compose.KIND, steps=tuple(
            dataclasses.replace(step, run=believe)
            if step.name == 'verify' else step
            for step in compose.KIND.steps))


#: What a process leaves out, by name.
GUARDS: dict[str, Callable[[], None]] = {
    'epoch check': without_epochs,
    'intent before call': without_intents,
    'read-back': without_read_back,
}


def without_unique_claims(url: str) -> None:
    """A resource may be claimed twice in the PostgreSQL database ``url``."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for name in list(connection.scalars(sa.text(
                "SELECT conname FROM pg_constraint WHERE contype = 'u' "
                "AND conrelid = 'claims'::regclass"))):
            connection.execute(sa.text(
                f'ALTER TABLE claims DROP CONSTRAINT "{name}"'))
        for name in list(connection.scalars(sa.text(
                'SELECT indexrelid::regclass::text FROM pg_index '
                "WHERE indrelid = 'claims'::regclass AND indisunique "
                'AND NOT indisprimary'))):
            connection.execute(sa.text(f'DROP INDEX {name}'))
