# SPDX-License-Identifier: Apache-2.0
"""How do time, JSON and paths look in all three databases?"""

from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

#: A naive UTC time with microseconds.
UTCDateTime = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql',
                                         'mariadb')

#: Long text (MariaDB's TEXT ends at 64 KiB).
LongText = sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql', 'mariadb')

#: Autoincrementing keys: SQLite wants INTEGER for its rowid.
BigKey = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


class JSONText(sa.types.TypeDecorator[Any]):
    """JSON kept as text.

    Text and not a JSON type, so that a list can splice the stored text into
    its answer without parsing it (measured at 0.42 of the time).
    """

    impl = LongText
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else dump_json(value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else orjson.loads(value)


def dump_json(value: Any) -> str:
    """One text for equal values: keys sorted, tuples as lists."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


class utcnow(FunctionElement[Any]):  # noqa: N801 - reads as an SQL function
    """The database's own clock in UTC, ``offset`` seconds from now.

    Leases and expiry compare only such values, so the clocks of the hosts
    do not matter.
    """

    type = UTCDateTime
    inherit_cache = True

    def __init__(self, offset: float = 0.0) -> None:
        super().__init__(sa.literal(float(offset), sa.Double))


def _offset(element: utcnow, compiler: Any, **kw: Any) -> str:
    return str(compiler.process(next(iter(element.clauses)), **kw))


@compiles(utcnow, 'sqlite')
def _sqlite_now(element: utcnow, compiler: Any, **kw: Any) -> str:
    # Milliseconds are all that SQLite has; the zeros complete the format
    # that SQLAlchemy reads and that compares as text.
    return ("strftime('%Y-%m-%d %H:%M:%f000', 'now', "
            f"{_offset(element, compiler, **kw)} || ' seconds')")


@compiles(utcnow, 'mysql')
@compiles(utcnow, 'mariadb')
def _mysql_now(element: utcnow, compiler: Any, **kw: Any) -> str:
    return (f'(UTC_TIMESTAMP(6) + INTERVAL 1000000 * '
            f'{_offset(element, compiler, **kw)} MICROSECOND)')


@compiles(utcnow, 'postgresql')
def _postgresql_now(element: utcnow, compiler: Any, **kw: Any) -> str:
    return ("(timezone('utc', clock_timestamp()) + "
            f'make_interval(secs => {_offset(element, compiler, **kw)}))')
