# SPDX-License-Identifier: Apache-2.0
"""How does a process talk to its database?

One :class:`Database` per process, made after any fork. Code gets Core
connections, in a transaction of its own: ``read()`` for a look,
``look(function)`` for one at little cost, and ``run(function, ...)`` for a
change, which is retried as a whole where the database asks for that
(deadlock, lost connection, locked SQLite file).

When a connection is lost nobody knows whether the transaction on it was
committed. What must not be done twice asks :func:`uncertain` and looks.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from oslo_db import api as oslo_db_api
from oslo_db import exception as db_exc
from oslo_db.sqlalchemy import engines, exc_filters

from valence.db import looking

P = ParamSpec('P')
R = TypeVar('R')

#: Seconds after which the server ends a transaction whose process does
#: nothing in it: it is frozen, or its host is gone, and what it has locked
#: would keep its successor away for as long.
IDLE_TRANSACTION = 5

_WRITE = {'valence_write': True}
_UNCERTAIN = 'valence_uncertain'

#: Conflicts of transactions that oslo.db does not count as deadlocks:
#: MariaDB's "record has changed" and PostgreSQL's failed serialization.
_CONFLICTS = (1020, '40001')
#: The server is there and does not serve: MariaDB shuts down or only reads,
#: PostgreSQL the same, or it crashed or starts up.
_AWAY = (1053, 1290, '25006', '57P01', '57P02', '57P03')


#: What is tested, by the name that SQLAlchemy has for the database.
_TESTED = {'sqlite': 'sqlite', 'mysql': 'mysql+pymysql',
           'mariadb': 'mysql+pymysql', 'postgresql': 'postgresql+psycopg'}


class Unusable(ValueError):
    """The message says what is wrong with [database] connection."""


class Database:
    """An engine, and the rules for using it.

    :param url: an SQLAlchemy URL; ``mysql+pymysql`` and ``postgresql+psycopg``
        are what is tested.
    :param pool_size: connections kept open; no more than this plus
        ``max_overflow`` are ever used, and a thread waits for one, for
        ``pool_timeout`` seconds at most.
    :param max_retries: of a transaction that :meth:`run` is given
    :param recycle_time: seconds for which a connection to a server is used
    :param sql_mode: of MariaDB and MySQL, None for the server's own
    :param wsrep_sync_wait: of Galera, None for the server's own
    """

    def __init__(self, url: str, pool_size: int = 8, max_overflow: int = 8,
                 pool_timeout: float = 30.0, max_retries: int = 10,
                 recycle_time: int = 3600,
                 sql_mode: str | None = 'TRADITIONAL',
                 wsrep_sync_wait: int | None = None) -> None:
        self.url = sa.engine.make_url(url)
        if self.url.get_backend_name() == 'sqlite':
            self.engine = _sqlite_engine(url, pool_size, max_overflow,
                                         pool_timeout)
            # SQLite has one writer; queueing here is 2.4 to 3.7 times the
            # rate of colliding there (measured).
            self._writer: Any = threading.Lock()
        else:
            self.engine = engines.create_engine(
                url, max_pool_size=pool_size, max_overflow=max_overflow,
                pool_timeout=pool_timeout, max_retries=0,
                connection_recycle_time=recycle_time,
                mysql_sql_mode=sql_mode,
                mysql_wsrep_sync_wait=wsrep_sync_wait)
            sa.event.listen(self.engine, 'connect', _limit_idle)
            self._writer = contextlib.nullcontext()
        # Values stay out of error messages, and so out of logs.
        self.engine.hide_parameters = True
        self._write_engine = self.engine.execution_options(**_WRITE)
        self._run_retried = oslo_db_api.wrap_db_retry(
            max_retries=max_retries, retry_interval=0.05,
            inc_retry_interval=True, max_retry_interval=2,
            jitter=True, retry_on_deadlock=True, retry_on_disconnect=True,
            exception_checker=_is_locked)(self._run)

    @classmethod
    def from_conf(cls, conf: Any) -> 'Database':
        """As group [database] of ``conf`` says.

        :raises Unusable: its connection cannot lead to a database
        """
        group = conf.database
        url = _usable(group.connection, group.connection_parameters)
        return cls(url, pool_size=group.max_pool_size,
                   max_overflow=group.max_overflow,
                   pool_timeout=group.pool_timeout,
                   max_retries=group.db_max_retries,
                   recycle_time=group.connection_recycle_time,
                   sql_mode=group.mysql_sql_mode or None,
                   wsrep_sync_wait=group.mysql_wsrep_sync_wait)

    @property
    def dialect(self) -> str:
        return self.engine.dialect.name

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for reading; what is read is one snapshot at most."""
        with _understood(), self.engine.connect() as connection:
            yield connection

    def look(self, function: Callable[[looking.Reader], R]) -> R:
        """Call ``function(reader)``, which may be called twice.

        Its statements are few and always the same.
        """
        if self.dialect == 'sqlite':
            try:
                with contextlib.closing(
                        self.engine.raw_connection()) as connection:
                    # When it is back in the pool, the transaction is over.
                    return function(looking.Connection(
                        connection.driver_connection, self.engine.dialect))
            except sqlite3.Error:
                # Below it has the class and the words that others know.
                pass
        with self.read() as reader:
            return function(reader)

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction, committed when the body ends without error."""
        with (self._writer, _understood(),
              self._write_engine.begin() as connection):
            yield connection

    def run(self, function: Callable[Concatenate[sa.Connection, P], R],
            *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``function(connection, ...)`` in a transaction, with retries.

        The function may be called several times and must have no effect but
        on the database.
        """
        result: R = self._run_retried(function, args, kwargs, set())
        return result

    def _run(self, function: Any, args: Any, kwargs: Any,
             lost: set[str]) -> Any:
        """:param lost: remembers from one try to the next"""
        try:
            with self.write() as connection:
                if lost:
                    connection.execution_options(**{_UNCERTAIN: True})
                return function(connection, *args, **kwargs)
        except db_exc.DBConnectionError:
            lost.add('connection')
            raise

    def close(self) -> None:
        self.engine.dispose()


def _usable(text: str, parameters: str) -> str:
    """:raises Unusable: it is no URL, or there is no driver for it"""
    name = '[database] connection'
    try:
        url = sa.engine.make_url(text).update_query_string(
            parameters, append=True)
    except (sa.exc.ArgumentError, ValueError) as error:
        # Its own words may have the password in them.
        raise Unusable(f'{name} is no URL of a database; write it as '
                       'mysql+pymysql://USER:PASSWORD@HOST/NAME') from error
    tested = _TESTED.get(url.get_backend_name())
    if tested is None:
        raise Unusable(
            f'{name} begins with {url.drivername}:, and Valence does not run '
            'on that; write one that begins with mysql+pymysql:, '
            'postgresql+psycopg: or sqlite:')
    cure = f'; write one that begins with {tested}:'
    try:
        dialect = url.get_dialect()
        dialect.import_dbapi()
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        raise Unusable(f'{name} begins with {url.drivername}:, whose driver '
                       f'is not installed ({error}){cure}') from error
    if dialect.is_async or dialect.name == 'mariadb':
        raise Unusable(f'{name} begins with {url.drivername}:, which Valence '
                       f'does not work with{cure}')
    return url.render_as_string(hide_password=False)


def uncertain(connection: sa.Connection) -> bool:
    """Whether this transaction may have been committed before.

    An earlier try of it has lost its connection, perhaps only after COMMIT
    was sent.
    """
    return _UNCERTAIN in connection.get_execution_options()


def _limit_idle(connection: Any, record: Any) -> None:
    if hasattr(connection, 'get_server_info'):
        # MySQL itself, unlike MariaDB, has no such limit.
        statement = (f'SET SESSION idle_transaction_timeout = '
                     f'{IDLE_TRANSACTION}'
                     if 'MariaDB' in connection.get_server_info() else None)
    else:
        statement = ("SET idle_in_transaction_session_timeout = "
                     f"'{IDLE_TRANSACTION}s'")
    if statement:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.commit()


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """Say of errors what oslo.db does not: that the server is away.

    It knows the words of psycopg2 and not those of psycopg, so that a
    refused connection looked like any other error.
    """
    try:
        yield
    except (sa.exc.OperationalError, db_exc.DBError) as error:
        cause = getattr(error, 'inner_exception', None) or error
        cause = getattr(cause, 'orig', None) or cause
        code = _code(cause)
        if code in _AWAY or code is None and isinstance(
                error, sa.exc.OperationalError):
            raise db_exc.DBConnectionError(error) from error
        if code in _CONFLICTS:
            raise db_exc.DBDeadlock(error) from error
        raise


def _code(error: Any) -> Any:
    """What the server calls an error: a number, or an SQLSTATE.

    None where it is not the server's but psycopg's: about the connection.
    """
    if hasattr(error, 'sqlstate'):
        return error.sqlstate
    return next(iter(error.args), '')


def _is_locked(error: Exception) -> bool:
    return (isinstance(error, (db_exc.DBError, sa.exc.OperationalError))
            and 'database is locked' in str(error))


def _sqlite_engine(url: str, pool_size: int, max_overflow: int,
                   pool_timeout: float) -> sa.Engine:
    # oslo.db forces NullPool on SQLite files, which makes a read by uuid
    # cost six times as much (measured), so the engine is made here and only
    # oslo.db's translation of errors is taken.
    memory = sa.engine.make_url(url).database in (None, '', ':memory:')
    options: dict[str, Any] = {'connect_args': {'check_same_thread': False}}
    if memory:
        options['poolclass'] = sa.pool.StaticPool
    else:
        options.update(poolclass=sa.pool.QueuePool, pool_size=pool_size,
                       max_overflow=max_overflow, pool_timeout=pool_timeout)
    engine = sa.create_engine(url, **options)

    @sa.event.listens_for(engine, 'connect')
    def connect(connection: Any, record: Any) -> None:
        # BEGIN is sent below, not by the driver.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute('PRAGMA busy_timeout = 10000')
        cursor.execute('PRAGMA foreign_keys = ON')
        cursor.execute('PRAGMA journal_mode = WAL')
        cursor.execute('PRAGMA synchronous = FULL')
        cursor.close()

    @sa.event.listens_for(engine, 'begin')
    def begin(connection: sa.Connection) -> None:
        # A deferred BEGIN that reads and then writes fails at once when
        # another process wrote in between, whatever the busy timeout.
        if connection.get_execution_options().get('valence_write'):
            connection.exec_driver_sql('BEGIN IMMEDIATE')
        else:
            # Touches no file, so it has no errors to understand; by way of
            # SQLAlchemy it takes as long as a read by uuid (measured).
            driver: Any = connection.connection.driver_connection
            driver.execute('BEGIN')

    exc_filters.register_engine(engine)
    return engine
