# SPDX-License-Identifier: Apache-2.0
"""How do the real services get started, and everything removed again?"""

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from benchmarks.common import Missing, Options

ROOT = pathlib.Path(__file__).resolve().parent.parent
_NOT_THERE = (OSError, subprocess.CalledProcessError)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def script(name: str) -> str:
    """One of the commands that were installed with this Python."""
    return str(pathlib.Path(sys.executable).parent / name)


@contextlib.contextmanager
def process(arguments: Sequence[str], log: pathlib.Path | None = None,
            **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program; at the end it gets SIGTERM, and SIGKILL if it must."""
    with contextlib.ExitStack() as stack:
        output: Any = None
        if log is not None:
            output = stack.enter_context(open(log, 'a', encoding='utf-8'))
        child = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=output, text=True, cwd=ROOT, start_new_session=True,
            env={**os.environ, 'PYTHONPATH': str(ROOT), **environ})
        try:
            yield child
        finally:
            _end(child)


def _end(child: subprocess.Popen[str]) -> None:
    child.terminate()
    try:
        child.wait(20)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    for pipe in (child.stdin, child.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def simulators(*arguments: str) -> Iterator[Any]:
    """Simulated pods in one process; gives what it says of itself."""
    with process([sys.executable, '-m', 'valence.simulator',
                  *arguments]) as child:
        assert child.stdout
        line = child.stdout.readline()
        if not line:
            raise RuntimeError('the simulator did not start')
        yield json.loads(line)


@contextlib.contextmanager
def simulator(*arguments: str) -> Iterator[str]:
    """A simulated pod; gives its URL."""
    with simulators('--port', '0', *arguments) as ready:
        yield ready['url']


@contextlib.contextmanager
def broker(options: Options) -> Iterator[str]:
    """The URL of a virtual host of RabbitMQ, ours for the time being."""
    if options.broker:
        yield options.broker
        return
    name = f'valence-benchmark-{secrets.token_hex(4)}'
    try:
        _rabbitmqctl('add_vhost', name)
    except _NOT_THERE as error:
        raise Missing('no RabbitMQ on this machine that rabbitmqctl can '
                      'make a virtual host in; give --broker') from error
    try:
        _rabbitmqctl('set_permissions', '-p', name, 'guest', '.*', '.*',
                     '.*')
        yield f'rabbit://guest:guest@127.0.0.1:5672/{name}'
    finally:
        _rabbitmqctl('delete_vhost', name)


def _rabbitmqctl(*arguments: str) -> None:
    subprocess.run(['rabbitmqctl', '-q', *arguments], check=True,
                   capture_output=True, timeout=60)


@contextlib.contextmanager
def database(options: Options, kind: str) -> Iterator[str]:
    """The URL of an empty database, dropped at the end."""
    server = getattr(options, kind)
    name = f'valence_benchmark_{secrets.token_hex(4)}'
    engine = sa.create_engine(server, isolation_level='AUTOCOMMIT')
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE {name}')
    except sa.exc.OperationalError as error:
        raise Missing(f'no {kind} that answers; give --{kind}') from error
    try:
        url = sa.engine.make_url(server).set(database=name)
        yield url.render_as_string(hide_password=False)
    finally:
        force = ' WITH (FORCE)' if kind == 'postgresql' else ''
        with engine.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE {name}{force}')
        engine.dispose()


def configure(directory: pathlib.Path, connection: str,
              broker_url: str | None = None, **sections: Any) -> str:
    """Write a configuration with a key, migrate; gives the file's path.

    :param sections: more values, as ``group={option: value}``
    """
    sections = {
        'DEFAULT': {'state_path': directory, 'debug': False,
                    **({'transport_url': broker_url} if broker_url else {})},
        'database': {'connection': connection},
        'secrets': {'key_file': directory / 'key'},
        'pod_managers': {'allow_http': True,
                         'allowed_networks': '127.0.0.0/8'},
        'conductor': {'sync_interval': 86400},
        'api': {'auth_strategy': 'noauth'},
        **sections,
    }
    path = directory / 'valence.conf'
    path.write_text('\n'.join(
        line for name, values in sections.items()
        for line in [f'[{name}]', *(f'{option} = {value}' for option, value
                                    in values.items())]) + '\n')
    for action in (('secrets', 'create-key'), ('db', 'upgrade')):
        subprocess.run([script('valence-manage'), '--config-file', str(path),
                        *action], check=True, capture_output=True,
                       timeout=120)
    return str(path)


class Api:
    """The REST API of a running Valence, over one connection: each thread
    needs one of its own.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._http = http.client.HTTPConnection('127.0.0.1', port,
                                                timeout=30)
        self._used = 0.0

    def call(self, method: str, path: str, body: Any = None) -> Any:
        if time.monotonic() - self._used > 1:
            # The server may be about to close it. It connects by itself.
            self._http.close()
        try:
            self._http.request(
                method, path, None if body is None else json.dumps(body),
                {'Content-Type': 'application/json'} if body else {})
            answer = self._http.getresponse()
            data = answer.read()
        except OSError:
            self._http.close()
            raise
        self._used = time.monotonic()
        if answer.status >= 300:
            raise RuntimeError(f'{method} {path}: {answer.status} {data!r}')
        return json.loads(data) if data else None

    def wait(self, seconds: float = 60.0) -> None:
        """Until it answers."""
        until = time.monotonic() + seconds
        while True:
            try:
                self.call('GET', '/')
                return
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def wait_for_port(self, seconds: float = 60.0) -> None:
        """Until something listens."""
        until = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection(('127.0.0.1', self.port)).close()
                return
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def wait_for_conductor(self, seconds: float = 60.0) -> None:
        until = time.monotonic() + seconds
        while not self.call('GET', '/v1/conductors')['conductors']:
            if time.monotonic() > until:
                raise RuntimeError('the conductor did not start')
            time.sleep(0.05)

    def end(self, operation: str, seconds: float = 120.0,
            pause: float = 0.01) -> Any:
        """Wait for the end of an operation, whatever it is, and give it."""
        until = time.monotonic() + seconds
        while True:
            found = self.call('GET', f'/v1/operations/{operation}')
            if (found['state'] not in ('pending', 'running')
                    or time.monotonic() > until):
                return found
            time.sleep(pause)

    def finish(self, operation: str, seconds: float = 120.0,
               pause: float = 0.01) -> Any:
        """Wait for an operation to succeed and give it."""
        found = self.end(operation, seconds, pause)
        if found['state'] != 'succeeded':
            raise RuntimeError(f'operation is {found["state"]}: '
                               f'{found.get("error")}')
        return found

    def post_pod_manager(self, url: str, name: str = 'pod',
                         **more: Any) -> str:
        """Register a simulated pod; gives the uuid."""
        made = self.call('POST', '/v1/pod_managers', {
            'name': name, 'url': url, 'authentication': [
                {'type': 'basic', 'auth_items': {
                    'username': 'admin', 'password': 'password'}}], **more})
        return str(made.get('pod_manager', made)['uuid'])

    def register(self, url: str, name: str = 'pod', **more: Any) -> Any:
        """Register a simulated pod and wait for its inventory."""
        uuid = self.post_pod_manager(url, name, **more)
        until = time.monotonic() + 120
        while True:
            found = self.call('GET', f'/v1/pod_managers/{uuid}')
            if found['status'] == 'online':
                return found
            if found['status'] != 'unknown' or time.monotonic() > until:
                raise RuntimeError(f'the pod is {found["status"]}: '
                                   f'{found.get("status_reason")}')
            time.sleep(0.05)


@dataclasses.dataclass(frozen=True)
class Services:
    """A running Valence, and what it runs on."""

    api: Api
    broker: str
    database: str


@contextlib.contextmanager
def services(options: Options, work: pathlib.Path,
             trace: pathlib.Path | None = None) -> Iterator[Services]:
    """valence-api and valence-conductor on a database, over RabbitMQ.

    :param trace: where to note the time of each stage (see traced.py)
    """
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        at = enter(broker(options))
        url = enter(database(options, options.database))
        port = free_port()
        conf = configure(work, url, at, api={
            'auth_strategy': 'noauth', 'bind_port': port})
        for name in ('api', 'conductor'):
            command = ([script(f'valence-{name}')] if trace is None
                       else [sys.executable, '-m', 'benchmarks.traced',
                             name])
            enter(process([*command, '--config-file', conf],
                          work / f'{name}.log',
                          VALENCE_TRACE=str(trace or '')))
        api = Api(port)
        api.wait()
        api.wait_for_conductor()
        yield Services(api, at, url)


@contextlib.contextmanager
def directory() -> Iterator[pathlib.Path]:
    import tempfile

    path = pathlib.Path(tempfile.mkdtemp(prefix='valence-benchmark-'))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
