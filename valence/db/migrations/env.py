# SPDX-License-Identifier: Apache-2.0
"""How alembic gets at the database: on a connection that it is given."""

from alembic import context

from valence.db import models

connection = context.config.attributes['connection']
context.configure(
    connection=connection, target_metadata=models.Base.metadata,
    # SQLite cannot alter a table; alembic then copies it.
    render_as_batch=connection.dialect.name == 'sqlite',
    compare_type=True)
with context.begin_transaction():
    context.run_migrations()
