# SPDX-License-Identifier: Apache-2.0
"""How is one page of a list read?

By key: a page starts after the values by which its marker is sorted, so its
cost does not grow with the pages before it, and rows that are inserted
meanwhile neither repeat nor hide others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from valence.common import errors

#: Rows from which on it pays to pack them.
_MANY = 100


def page(conn: sa.Connection, query: sa.Select[Any], table: Any, *,
         limit: int, **order: Any) -> tuple[Sequence[Sequence[Any]], bool]:
    """Rows of ``query``, sorted, and: is there more?

    :param order: as of :func:`_sorted`
    :raises BadRequest: there is no such marker
    """
    # One more than asked for tells whether another page follows.
    rows = conn.execute(_sorted(conn, query, table, **order)
                        .limit(limit + 1)).all()
    return rows[:limit], len(rows) > limit


def no_marker() -> errors.BadRequest:
    """The error of a marker that there is not."""
    return errors.BadRequest(
        'the marker is not, or no longer, in the list; start from the first '
        'page', field='marker', code='marker_not_found')


def text(conn: sa.Connection, query: sa.Select[Any], table: Any,
         parameters: Mapping[str, Any], *, limit: int, **order: Any
         ) -> tuple[bytes, bool]:
    """The same of SQLite, as one text with a comma between two rows.

    :param query: has one column, of texts without tabs
    :param parameters: what it is to be given
    """
    query = _sorted(conn, query, table, **order).limit(limit + 1)
    if limit < _MANY:
        rows = conn.scalars(query, parameters).all()
        return ','.join(rows[:limit]).encode(), len(rows) > limit
    # For each row its driver lets go of the interpreter's lock and takes it
    # again, for which four long lists at a time need longer than for all
    # else. As one row SQLite puts them together without that lock.
    column, = query.subquery().c
    count, packed = conn.execute(sa.select(sa.func.count(), sa.cast(
        sa.func.group_concat(column, '\t'), sa.LargeBinary)),
        parameters).one()
    if count > limit:
        packed = packed[:packed.rindex(b'\t')]
    return (packed or b'').replace(b'\t', b','), count > limit


def _sorted(conn: sa.Connection, query: sa.Select[Any], table: Any, *,
            marker: str | None = None, key: Any = None,
            descending: bool = False, visible: Sequence[Any] = ()
            ) -> sa.Select[Any]:
    """``query`` from the marker on.

    :param marker: uuid of the last row of the page before
    :param key: the column to sort by, which is never null; what is equal in
        it, or all without it, is in the order of ``table.id``
    :param visible: conditions without which the caller must not even learn
        whether the marker exists
    """
    columns = [table.c.id] if key is None else [key, table.c.id]
    if marker is not None:
        after = conn.execute(sa.select(*columns).where(
            table.c.uuid == marker, *visible)).one_or_none()
        if after is None:
            raise no_marker()
        query = query.where(_after(conn, columns, after, descending))
    if descending:
        columns = [column.desc() for column in columns]
    return query.where(*visible).order_by(*columns)


def _after(conn: sa.Connection, columns: Sequence[Any],
           values: Sequence[Any], descending: bool) -> Any:
    def beyond(column: Any, value: Any) -> Any:
        return column < value if descending else column > value

    if len(columns) == 1:
        return beyond(columns[0], values[0])
    if conn.dialect.name in ('mysql', 'mariadb'):
        # It reads an index by this, and not by a comparison of rows; with
        # the others it is the other way round.
        return sa.or_(
            beyond(columns[0], values[0]),
            sa.and_(columns[0] == values[0], beyond(columns[1], values[1])))
    return beyond(sa.tuple_(*columns), sa.tuple_(
        *(sa.literal(value, column.type)
          for column, value in zip(columns, values, strict=True))))
