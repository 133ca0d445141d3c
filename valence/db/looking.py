# SPDX-License-Identifier: Apache-2.0
"""How is a resource read out of SQLite at little cost?

For connection, transaction, cache and result of a statement SQLAlchemy needs
four times as long as SQLite for its answer (measured). So a statement that is
always the same is put together once, and executed by the driver itself.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa


class Reader(Protocol):
    """What rows are looked at by: SQLAlchemy's connection, or less."""

    def execute(self, statement: Any, parameters: Any = None, /) -> Any:
        """To go through the rows of, or for ``one_or_none()``."""


class Connection:
    """A :class:`Reader` on the driver's connection.

    Its statements have to be few, for they are kept, and their parameters
    numbers and texts. A row is a sequence of what SQLAlchemy would give,
    without names. Errors are the driver's.
    """

    def __init__(self, connection: Any, dialect: sa.Dialect) -> None:
        self._execute = connection.execute
        self._dialect = dialect
        # All that is read is of one moment.
        self._execute('BEGIN')

    def execute(self, statement: Any, parameters: Any = None, /
                ) -> '_Rows':
        text, names, defaults, converters = _prepared(
            statement, self._dialect)
        values = {**defaults, **(parameters or {})}
        rows = _Rows()
        for row in self._execute(text, [values[name] for name in names]):
            row = list(row)
            for place, convert in converters:
                row[place] = convert(row[place])
            rows.append(row)
        return rows


class _Rows(list[Sequence[Any]]):
    def one_or_none(self) -> Sequence[Any] | None:
        row, = self or (None,)
        return row


class _Prepared(NamedTuple):
    text: str
    #: The parameters in the order of their question marks.
    names: Sequence[str]
    defaults: Mapping[str, Any]
    converters: Sequence[tuple[int, Callable[[Any], Any]]]


@functools.lru_cache(maxsize=256)
def _prepared(statement: sa.Select[Any], dialect: sa.Dialect) -> _Prepared:
    compiled: Any = statement.compile(dialect=dialect)
    converters = (
        column.type.dialect_impl(dialect).result_processor(dialect, None)
        for column in statement.selected_columns)
    return _Prepared(str(compiled), compiled.positiontup, compiled.params, [
        (place, convert) for place, convert in enumerate(converters)
        if convert is not None])
