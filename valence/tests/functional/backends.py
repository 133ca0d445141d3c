# SPDX-License-Identifier: Apache-2.0
"""Where are the real broker and the real databases that tests need?

They are looked for at the addresses in VALENCE_TEST_RABBITMQ_URL,
VALENCE_TEST_MYSQL_URL and VALENCE_TEST_POSTGRESQL_URL, by default on
loopback. A test that needs one that is not there skips, visibly; with
``CI=true`` it fails. Each test gets a vhost or a database of its own, made
and dropped here.
"""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid

import fixtures
import sqlalchemy as sa
import testtools

RABBITMQ = os.environ.get('VALENCE_TEST_RABBITMQ_URL',
                          'rabbit://guest:guest@127.0.0.1:5672/')
MYSQL = os.environ.get('VALENCE_TEST_MYSQL_URL',
                       'mysql+pymysql://root@127.0.0.1:3306/')
POSTGRESQL = os.environ.get('VALENCE_TEST_POSTGRESQL_URL',
                            'postgresql+psycopg://postgres@127.0.0.1:5432/'
                            'postgres')

#: What others have captured or published, for tests to read; no part of
#: Valence, so a clone may be without it.
DATA = os.environ.get('VALENCE_TEST_DATA') or os.path.abspath(os.path.join(
    os.path.dirname(__file__), *['..'] * 3, '..', 'shared', 'data'))

_SERVERS = {'mysql': MYSQL, 'postgresql': POSTGRESQL}

#: Everything that the same test can run on.
DATABASES = ('sqlite', 'mysql', 'postgresql')


def missing(test: testtools.TestCase, what: str) -> None:
    """Skip, or fail where CI promises that all is there."""
    if os.environ.get('CI', '').lower() == 'true':
        raise AssertionError(f'{what} is missing, and CI is true')
    test.skipTest(f'{what} is not at hand')


def program(test: testtools.TestCase, name: str) -> str:
    """The path of a program that the requirements of the tests bring."""
    found = shutil.which(name, path=os.pathsep.join((
        os.path.dirname(sys.executable), os.environ.get('PATH', ''))))
    if found is None:
        missing(test, name)
        raise AssertionError('not reached')
    return found


def data(test: testtools.TestCase, *parts: str) -> str:
    """The path of something in :data:`DATA`.

    Without the whole directory the test is skipped, wherever it runs.
    """
    if not os.path.isdir(DATA):
        test.skipTest(f'there is no {DATA}; VALENCE_TEST_DATA says where '
                      'captured answers are')
    path = os.path.join(DATA, *parts)
    if not os.path.exists(path):
        missing(test, path)
    return path


def require(test: testtools.TestCase, kind: str) -> None:
    """Be sure that a database server or the broker answers."""
    if kind == 'sqlite':
        return
    url = sa.engine.make_url(
        RABBITMQ if kind == 'rabbitmq' else _SERVERS[kind])
    try:
        socket.create_connection((url.host, url.port), timeout=60).close()
    except OSError as error:
        missing(test, f'{kind} at {url.host}:{url.port} ({error})')


class TemporaryDatabase(fixtures.Fixture):
    """An empty database; ``url`` is for [database] connection."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def _setUp(self) -> None:
        if self.kind == 'sqlite':
            directory = self.useFixture(fixtures.TempDir()).path
            self.url = f'sqlite:///{directory}/valence.sqlite'
            return
        server = sa.engine.make_url(_SERVERS[self.kind])
        name = f'valence_test_{uuid.uuid4().hex[:12]}'
        self._engine = sa.create_engine(server,
                                        isolation_level='AUTOCOMMIT')
        self.addCleanup(self._engine.dispose)
        self._execute(f'CREATE DATABASE {name}')
        force = ' WITH (FORCE)' if self.kind == 'postgresql' else ''
        self.addCleanup(self._drop, f'DROP DATABASE {name}{force}')
        self.url = server.set(database=name).render_as_string(
            hide_password=False)

    def _drop(self, statement: str) -> None:
        # PostgreSQL gives those that it puts out five seconds to leave.
        for _ in range(9):
            try:
                self._execute(statement)
            except sa.exc.OperationalError:
                continue
            return
        self._execute(statement)

    def _execute(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(sa.text(statement))


class TemporaryVhost(fixtures.Fixture):
    """A vhost on the broker; ``url`` is for transport_url.

    Where ``rabbitmqctl`` is not at hand, or only for root, the vhost of the
    given URL is used, and its queues stay.
    """

    def _setUp(self) -> None:
        self.url = RABBITMQ
        if shutil.which('rabbitmqctl') is None:
            return
        try:
            name = _vhosts.take()
        except subprocess.CalledProcessError:
            if os.geteuid() == 0:
                # In a vhost that it shares, a test hears others' messages.
                raise
            return
        self.addCleanup(_vhosts.used.append, name)
        self.url = sa.engine.make_url(RABBITMQ).set(
            database=name).render_as_string(hide_password=False)


class _Vhosts:
    """Vhosts that are made and dropped some at a time.

    Each call of ``rabbitmqctl`` takes a second.
    """

    def __init__(self) -> None:
        self._free: list[str] = []
        #: Those whose tests have ended.
        self.used: list[str] = []

    def take(self) -> str:
        """The name of an empty vhost."""
        if not self._free:
            self._drop()
            names = [f'valence-test-{uuid.uuid4().hex[:12]}'
                     for _ in range(4)]
            user = sa.engine.make_url(RABBITMQ).username or 'guest'
            _for_each(names, 'rabbit_vhost:add(V, <<"test">>), '
                      'rabbit_auth_backend_internal:set_permissions('
                      f'<<"{user}">>, V, <<".*">>, <<".*">>, <<".*">>, '
                      '<<"test">>)')
            self._free = names
            atexit.unregister(self._drop)
            atexit.register(self._drop)
        return self._free.pop()

    def _drop(self) -> None:
        names = self.used + self._free
        if names:
            _for_each(names, 'rabbit_vhost:delete(V, <<"test">>)')
        self.used, self._free = [], []


_vhosts = _Vhosts()


def _for_each(names: list[str], expressions: str) -> None:
    """Evaluate Erlang in the broker, with V as each of the names."""
    every = ', '.join(f'<<"{name}">>' for name in names)
    with tempfile.TemporaryFile() as output:
        subprocess.run(
            ['rabbitmqctl', '-q', 'eval',
             f'[begin {expressions} end || V <- [{every}]].'], check=True,
            stdout=output, stderr=output, timeout=300)
