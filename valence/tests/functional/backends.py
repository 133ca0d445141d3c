# SPDX-License-Identifier: Apache-2.0
"""Where are the real broker and the real databases that tests need?

They are looked for at the addresses in VALENCE_TEST_RABBITMQ_URL,
VALENCE_TEST_MYSQL_URL and VALENCE_TEST_POSTGRESQL_URL, by default on
loopback. A test that needs one that is not there skips, visibly; with
``CI=true`` it fails. Each test gets a vhost or a database of its own, made
and dropped here.
"""

import os
import shutil
import socket
import subprocess
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

_SERVERS = {'mysql': MYSQL, 'postgresql': POSTGRESQL}

#: Everything that the same test can run on.
DATABASES = ('sqlite', 'mysql', 'postgresql')


def missing(test: testtools.TestCase, what: str) -> None:
    """Skip, or fail where CI promises that all is there."""
    if os.environ.get('CI', '').lower() == 'true':
        raise AssertionError(f'{what} is missing, and CI is true')
    test.skipTest(f'{what} is not at hand')


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
        url = sa.engine.make_url(RABBITMQ)
        name = f'valence-test-{uuid.uuid4().hex[:12]}'
        try:
            _rabbitmqctl('add_vhost', name)
        except subprocess.CalledProcessError:
            if os.geteuid() == 0:
                # In a vhost that it shares, a test hears others' messages.
                raise
            return
        self.addCleanup(_rabbitmqctl, 'delete_vhost', name)
        _rabbitmqctl('set_permissions', '-p', name, url.username or 'guest',
                     '.*', '.*', '.*')
        self.url = url.set(database=name).render_as_string(
            hide_password=False)


def _rabbitmqctl(*arguments: str) -> None:
    with tempfile.TemporaryFile() as output:
        subprocess.run(['rabbitmqctl', '-q', *arguments], check=True,
                       stdout=output, stderr=output, timeout=300)
