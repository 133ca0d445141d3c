# SPDX-License-Identifier: Apache-2.0
"""How does a test get a database or a broker that it may kill?

Each is a server of its own: from the installed programs, with a temporary
directory, free ports and no configuration of the machine. It ends with the
test. Those that the machine runs are never touched.
"""

import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Mapping

import fixtures
import sqlalchemy as sa
import testtools

from valence.tests.functional import backends
from valence.tests.functional.processes import PATIENCE, free_port, wait_for


class Server(fixtures.Fixture):
    """A server in a directory of its own.

    :param account: whom it runs as where the tests are root's, for those
        that refuse to be root's.
    """

    account: str
    programs: tuple[str, ...]

    def __init__(self, test: testtools.TestCase) -> None:
        # Here and not in setUp, where a skip would be an error.
        for name in self.programs:
            if _program(name) is None:
                backends.missing(test, f'the program {name}')

    def _setUp(self) -> None:
        self.directory = self.useFixture(fixtures.TempDir()).path
        self._as: dict[str, object] = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam(self.account)
            os.chown(self.directory, entry.pw_uid, entry.pw_gid)
            self._as = {'user': entry.pw_uid, 'group': entry.pw_gid,
                        'extra_groups': []}
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.addCleanup(self.end, signal.SIGKILL)

    def run(self, *command: str, **environment: str) -> None:
        """Run a program of the server to its end."""
        done = subprocess.run(
            [_program(command[0]) or command[0], *command[1:]],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=self.directory, timeout=PATIENCE,
            env=self._environment(environment), **self._as)  # type: ignore
        if done.returncode:
            raise AssertionError(f'{command[0]}: {done.stdout!r}')

    def launch(self, *command: str, **environment: str
               ) -> 'subprocess.Popen[bytes]':
        with open(f'{self.directory}/output', 'ab') as output:
            return subprocess.Popen(
                [_program(command[0]) or command[0], *command[1:]],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd=self.directory, start_new_session=True,
                env=self._environment(environment),
                **self._as)  # type: ignore

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, 'HOME': self.directory, **more}

    def end(self, number: int) -> None:
        """Send a signal to the server, if it runs, and wait for its end."""
        process = self._process
        if process is None:
            return
        process.send_signal(number)
        process.wait(PATIENCE)
        if number == signal.SIGKILL:
            # Whatever it started has its session.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process = None

    def log(self) -> str:
        return pathlib.Path(self.directory, 'output').read_text(
            errors='replace')[-4000:]

    def _wait_for_port(self) -> None:
        def accepts() -> bool:
            assert self._process
            if self._process.poll() is not None:
                raise AssertionError(f'the server ended: {self.log()}')
            try:
                socket.create_connection(
                    ('127.0.0.1', self.port), 1).close()
            except OSError:
                return False
            return True

        wait_for('the server listens', accepts)


class DatabaseServer(Server):
    """A database server; ``start``, ``end`` and ``create``."""

    kind: str
    driver: str
    user: str
    default: str

    def _setUp(self) -> None:
        super()._setUp()
        self.initialise()
        self.start()

    def initialise(self) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = self.serve()
        self._wait_for_port()
        engine = sa.create_engine(self.url(self.default),
                                  poolclass=sa.pool.NullPool)

        def answers() -> bool:
            try:
                with engine.connect() as connection:
                    return connection.scalar(sa.text('SELECT 1')) == 1
            except sa.exc.OperationalError:
                return False

        wait_for('the database answers', answers)

    def serve(self) -> 'subprocess.Popen[bytes]':
        raise NotImplementedError

    def url(self, name: str, port: int | None = None) -> str:
        return (f'{self.driver}://{self.user}@127.0.0.1:'
                f'{port or self.port}/{name}')

    def create(self) -> str:
        """The name of a new database."""
        name = f'valence_{uuid.uuid4().hex[:8]}'
        engine = sa.create_engine(self.url(self.default),
                                  poolclass=sa.pool.NullPool,
                                  isolation_level='AUTOCOMMIT')
        with engine.connect() as connection:
            connection.execute(sa.text(f'CREATE DATABASE {name}'))
        return name


class PostgreSQL(DatabaseServer):

    kind, account = 'postgresql', 'postgres'
    programs = ('initdb', 'postgres')
    driver, user, default = 'postgresql+psycopg', 'postgres', 'postgres'
    #: How it is ended in turns: politely, and as by a crash.
    ends = (signal.SIGINT, signal.SIGQUIT)

    def initialise(self) -> None:
        self.run('initdb', '-D', f'{self.directory}/data', '-U', self.user,
                 '-A', 'trust', '--no-sync', '--no-locale', '-E', 'UTF8')

    def serve(self) -> 'subprocess.Popen[bytes]':
        return self.launch(
            'postgres', '-D', f'{self.directory}/data', '-k', self.directory,
            '-h', '127.0.0.1', '-p', str(self.port),
            '-c', 'max_connections=100')


class MariaDB(DatabaseServer):

    kind, account = 'mysql', 'mysql'
    programs = ('mariadb-install-db', 'mariadbd')
    driver, user, default = 'mysql+pymysql', 'root', ''
    ends = (signal.SIGTERM, signal.SIGKILL)

    def initialise(self) -> None:
        self.run('mariadb-install-db', '--no-defaults',
                 f'--datadir={self.directory}/data',
                 '--auth-root-authentication-method=normal',
                 '--skip-test-db', '--skip-name-resolve')

    def serve(self) -> 'subprocess.Popen[bytes]':
        return self.launch(
            'mariadbd', '--no-defaults',
            f'--datadir={self.directory}/data',
            f'--socket={self.directory}/socket',
            f'--pid-file={self.directory}/pid',
            '--bind-address=127.0.0.1', f'--port={self.port}',
            '--skip-name-resolve', '--innodb-buffer-pool-size=32M')


DATABASES = {'mysql': MariaDB, 'postgresql': PostgreSQL}


class RabbitMQ(Server):
    """A node of its own, with an epmd of its own.

    ``ctl('stop_app')`` and ``ctl('start_app')`` bounce it.
    """

    account = 'rabbitmq'
    programs = ('rabbitmq-server', 'rabbitmqctl', 'epmd')

    def _setUp(self) -> None:
        super()._setUp()
        epmd, distribution = free_port(), free_port()
        self._names = {
            'RABBITMQ_NODENAME': f'valence{uuid.uuid4().hex[:8]}@localhost',
            'RABBITMQ_NODE_IP_ADDRESS': '127.0.0.1',
            'RABBITMQ_NODE_PORT': str(self.port),
            'RABBITMQ_DIST_PORT': str(distribution),
            'RABBITMQ_MNESIA_BASE': f'{self.directory}/mnesia',
            'RABBITMQ_LOG_BASE': f'{self.directory}/log',
            'RABBITMQ_ENABLED_PLUGINS_FILE': f'{self.directory}/plugins',
            'RABBITMQ_CONFIG_FILE': f'{self.directory}/none',
            'RABBITMQ_CONF_ENV_FILE': f'{self.directory}/none.env',
            'RABBITMQ_PID_FILE': f'{self.directory}/pid',
            'ERL_EPMD_PORT': str(epmd), 'ERL_EPMD_ADDRESS': '127.0.0.1'}
        names = self.launch('epmd')
        self.addCleanup(names.wait, PATIENCE)
        self.addCleanup(names.kill)
        names_ready = ('127.0.0.1', epmd)
        wait_for('epmd listens', lambda: _connects(names_ready))
        self._process = self.launch('rabbitmq-server')
        self._wait_for_port()
        self.ctl('await_startup')
        self.url = f'rabbit://guest:guest@127.0.0.1:{self.port}/'

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return super()._environment({**self._names, **more})

    def ctl(self, *arguments: str) -> None:
        self.run('rabbitmqctl', '-q', *arguments)


def _connects(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, 1).close()
    except OSError:
        return False
    return True


def _program(name: str) -> str | None:
    """Where a program is: distributions keep some out of the PATH."""
    places = [*glob.glob('/usr/lib/postgresql/*/bin'),
              '/usr/lib/rabbitmq/bin', '/usr/sbin', os.defpath,
              os.environ.get('PATH', '')]
    # Of RabbitMQ the programs themselves: the wrappers before them change
    # the account and forget the environment.
    return shutil.which(name, path=os.pathsep.join(places))
