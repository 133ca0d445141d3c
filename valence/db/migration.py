# SPDX-License-Identifier: Apache-2.0
"""Is the schema in the database the one this Valence needs?"""

import os
from typing import Any

import sqlalchemy as sa
from alembic import autogenerate, command, config, script
from alembic.runtime import migration

from valence.db import models
from valence.db.engine import Database


def _config() -> config.Config:
    result = config.Config()
    result.set_main_option(
        'script_location', os.path.join(os.path.dirname(__file__),
                                        'migrations'))
    return result


def head() -> str:
    """The revision that this Valence needs."""
    found = script.ScriptDirectory.from_config(_config()).get_current_head()
    assert found
    return found


def version(database: Database) -> str | None:
    """The revision that the database has; None where it is empty."""
    with database.read() as conn:
        return migration.MigrationContext.configure(
            conn).get_current_revision()


def upgrade(database: Database, revision: str = 'head') -> None:
    """Bring the schema to ``revision``; does nothing where it is there."""
    settings = _config()
    with database.write() as conn:
        settings.attributes['connection'] = conn
        command.upgrade(settings, revision)


def differences(database: Database) -> list[Any]:
    """What alembic would change to make the schema equal the models."""
    with database.read() as conn:
        context = migration.MigrationContext.configure(
            conn, opts={'compare_type': _compare_type})
        return list(autogenerate.compare_metadata(
            context, models.Base.metadata))


def _compare_type(context: Any, inspected: Any, column: Any,
                  inspected_type: Any, column_type: Any) -> bool | None:
    # The databases have no type of their own for these, or call it
    # differently; the rest is alembic's to compare.
    if isinstance(column_type, sa.Boolean):
        return False
    return None


class SchemaError(Exception):
    """The schema does not fit; the message says what to run."""


def check(database: Database) -> None:
    """:raises SchemaError: the database is not at :func:`head`"""
    found, needed = version(database), head()
    if found != needed:
        raise SchemaError(
            f'the database is at schema version {found or "none"}, and this '
            f'Valence needs {needed}: run "valence-manage db upgrade"')
