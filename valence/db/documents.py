# SPDX-License-Identifier: Apache-2.0
"""How does the database itself write JSON?

As the API would, with times in UTC that end with ``Z``. All of them write
what an answer makes of several columns. SQLite writes the whole resources of
a list: it is as fast as Python is at that, and needs no lock of the
interpreter for it. The others are not: their lists would take 1.2 (MariaDB)
to 2.5 (PostgreSQL) times as long (measured).
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from valence.db.types import JSONText


class _Written(FunctionElement[Any]):
    """JSON as text, written as the subclass says for each dialect."""

    type = JSONText()


class document(_Written):  # noqa: N801 - reads as an SQL function
    """The JSON object of some columns.

    :param fields: name -> column; of MariaDB and PostgreSQL only numbers,
        texts and times
    """

    inherit_cache = True
    sqlite = mariadb = 'json_object({})'
    postgresql = 'json_build_object({})'

    def __init__(self, fields: Mapping[str, Any]) -> None:
        clauses: list[Any] = []
        for name, column in fields.items():
            clauses += sa.literal_column(f"'{name}'"), _value(column)
        super().__init__(*clauses)


class array(_Written):  # noqa: N801
    """The JSON array of some columns."""

    inherit_cache = True
    sqlite = mariadb = 'json_array({})'
    postgresql = 'json_build_array({})'

    def __init__(self, *columns: Any) -> None:
        super().__init__(*map(_value, columns))


class keys(_Written):  # noqa: N801
    """The JSON array of the keys of a stored object, in their order."""

    inherit_cache = True
    sqlite = '(SELECT json_group_array(key) FROM json_each({}))'
    mariadb = 'json_keys({})'
    postgresql = ("(SELECT coalesce(json_agg(key), '[]') "
                  'FROM json_object_keys(({})::json) AS key)')


class _json(_Written):  # noqa: N801
    """What a text says, and not the text."""

    inherit_cache = True
    sqlite = 'json({})'


class _boolean(_Written):  # noqa: N801
    """True or false of a number that is never null."""

    inherit_cache = True
    sqlite = "iif({}, json('true'), json('false'))"


class _time(_Written):  # noqa: N801
    # No fraction where there is none, as orjson has it.
    inherit_cache = True
    sqlite = "replace(replace({}, ' ', 'T'), '.000000', '') || 'Z'"
    mariadb = ("concat(replace(replace(cast({} AS char), ' ', 'T'), "
               "'.000000', ''), 'Z')")
    postgresql = ("replace(to_char({}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "
                  "'.000000', '')")


#: In a prepared column, what the statement is given as ``base``.
BASE: Any = sa.literal_column('\0', sa.Text)


class prepared(FunctionElement[str]):  # noqa: N801
    """A column with one :data:`BASE`, as SQL that is put together once.

    For each statement SQLAlchemy looks at all of its parts: for those of a
    document it needs longer than the database for twenty rows.
    """

    type = sa.Text()
    inherit_cache = True

    def __init__(self, column: Any, dialect: sa.Dialect) -> None:
        before, after = str(column.compile(
            dialect=dialect, compile_kwargs={'literal_binds': True}
        )).split('\0')
        super().__init__(
            sa.literal_column(before), sa.bindparam('base', type_=sa.Text),
            sa.literal_column(after))


@compiles(prepared)
def _compile_prepared(element: prepared, compiler: Any, **kw: Any) -> str:
    return ''.join(compiler.process(part, **kw) for part in element.clauses)


def _value(column: Any) -> Any:
    if isinstance(column, _Written):
        return column
    if isinstance(column.type, JSONText):
        return _json(column)
    if isinstance(column.type, sa.Boolean):
        return _boolean(column)
    if isinstance(column.type, sa.DateTime):
        return _time(column)
    return column


@compiles(_Written)
def _compile(element: _Written, compiler: Any, *, within: bool = False,
             **kw: Any) -> str:
    dialect = compiler.dialect
    text = getattr(element, {'mysql': 'mariadb'}.get(
        dialect.name, dialect.name))
    text = text.format(compiler.process(element.clauses, within=True, **kw))
    if dialect.name == 'postgresql' and not within:
        # What is of its type json the driver would parse.
        text += '::text'
    return str(text)
