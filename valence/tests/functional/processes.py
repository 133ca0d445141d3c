# SPDX-License-Identifier: Apache-2.0
"""How does a test start Valence's own processes and talk to them?"""

import json
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import fixtures
import requests
import testtools
from testtools import content, content_type

from valence.common import vault
from valence.db import migration
from valence.db.engine import Database
from valence.tests.functional import backends

#: Seconds that anything may take before a test calls it stuck: a machine with
#: few processors and many tests at a time is slow, and not at fault.
PATIENCE = 180.0

#: Characters of a process's log that a failed test shows.
_MOST_SAID = 100_000

#: Below those that the system gives to connections and to whoever asks for
#: any port.
_PORTS = range(20000, 30000)
#: Sockets whose names keep other tests away from the ports of this process.
_claims: list[socket.socket] = []


def wait_for(what: str, condition: Callable[[], Any],
             timeout: float = PATIENCE, interval: float = 0.05) -> Any:
    """Poll until ``condition()`` is true; its value is returned."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f'{what}: not within {timeout:.0f} s')
        time.sleep(interval)


def script(name: str) -> str:
    """The path of one of Valence's commands, as installed."""
    return os.path.join(os.path.dirname(sys.executable), name)


def free_port() -> int:
    """A port of loopback that no other test gets before this process ends.

    So it is still free when a server comes to listen there, starts again,
    or never comes.
    """
    while True:
        port = secrets.choice(_PORTS)
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            # A name that is in no file system, and nobody's once we end.
            claim.bind(f'\0valence-test-port-{port}')
            with socket.socket() as probe:
                probe.bind(('127.0.0.1', port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port


class Process(fixtures.Fixture):
    """A process with its output in a file; killed at the end of the test."""

    def __init__(self, name: str, *command: str, **environment: str) -> None:
        self.name = name
        self._command = command
        self._environment = environment

    def _setUp(self) -> None:
        directory = self.useFixture(fixtures.TempDir()).path
        self._log = pathlib.Path(directory, 'log')
        self._out = pathlib.Path(directory, 'out')
        with self._log.open('wb') as log, self._out.open('wb') as out:
            self._process = subprocess.Popen(
                self._command, stdout=out, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, **self._environment})
        self._kept = b''
        self.addCleanup(self.kill)
        self.addDetail(f'{self.name}.log', content.Content(
            content_type.UTF8_TEXT, lambda: [self._kept or self._read()]))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors='replace')

    @property
    def out(self) -> str:
        return self._out.read_text(errors='replace')

    def _read(self) -> bytes:
        try:
            return self._log.read_bytes()
        except FileNotFoundError:
            return b'(nothing)'

    def alive(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self, timeout: float = PATIENCE) -> int:
        return self._process.wait(timeout)

    def kill(self) -> None:
        """End the process and all its children, at once."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(PATIENCE)
        # The directory is gone before a failed test prints its details.
        self._kept = self._read()


class Simulator(fixtures.Fixture):
    """A simulated pod. ``url`` is its address, ``ledger()`` its effects.

    ``admin`` is the address of its admin endpoint, where it has one.
    """

    username, password = 'admin', 'a secret of the pod'

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments

    def _setUp(self) -> None:
        directory = self.useFixture(fixtures.TempDir()).path
        self._ledger = pathlib.Path(directory, 'ledger')
        config = pathlib.Path(directory, 'simulator.conf')
        config.write_text(f'[DEFAULT]\npassword = {self.password}\n')
        self.process = self.useFixture(Process(
            'simulator', sys.executable, '-m', 'valence.simulator',
            '--config-file', str(config), '--ledger', str(self._ledger),
            *self._arguments))
        wait_for('the simulator prints its address', lambda: (
            self.process.out.endswith('\n')
            or not self.process.alive()))
        ready = json.loads(self.process.out)
        self.url, self.admin = ready['url'], ready.get('admin', '')

    def ledger(self, *effects: str) -> list[dict[str, Any]]:
        """The effects so far, perhaps only those of some kinds."""
        entries = map(json.loads, self._ledger.read_text().splitlines())
        return [entry for entry in entries
                if not effects or entry['effect'] in effects]


class Client:
    """A user of the REST API."""

    def __init__(self, url: str, auth: tuple[str, str] | None = None) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.auth = auth
        self.session.trust_env = False

    def request(self, method: str, path: str,
                body: Any = None, **more: Any) -> requests.Response:
        return self.session.request(method, self.url + path, json=body,
                                    timeout=PATIENCE, **more)

    def get(self, path: str) -> Any:
        answer = self.request('GET', path)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        answer = self.request('POST', path, body, **more)
        if not answer.ok:
            raise AssertionError(f'POST {path}: {answer.status_code} '
                                 f'{answer.text}')
        return answer.json()

    def operation(self, uuid: str, timeout: float = PATIENCE) -> Any:
        """An operation once it has ended."""
        return wait_for(
            f'operation {uuid} ends',
            lambda: (found := self.get(f'/v1/operations/{uuid}'))['state']
            not in ('pending', 'running') and found, timeout)

    def done(self, answer: Any, timeout: float = PATIENCE) -> Any:
        """The operation of a 202, which has to succeed."""
        ended = self.operation(answer['operation']['uuid'], timeout)
        if ended['state'] != 'succeeded':
            raise AssertionError(f'{ended["kind"]}: {ended["error"]}')
        return ended

    def register(self, pod: Simulator, name: str = 'pod',
                 **more: Any) -> Any:
        """Register a simulated pod and read its inventory."""
        created = self.post('/v1/pod_managers', {
            'name': name, 'url': pod.url, 'authentication': [{
                'type': 'basic', 'auth_items': {
                    'username': pod.username, 'password': pod.password}}],
            **more})
        self.done(self.post(f'/v1/pod_managers/{created["uuid"]}/sync'))
        return self.get(f'/v1/pod_managers/{created["uuid"]}')


class Deployment(fixtures.Fixture):
    """Valence's configuration, database and processes.

    :param database: sqlite, mysql or postgresql
    :param broker: whether there is one (all but the standalone need it)
    :param transport_url, database_url: other ones than those made here
    :param options: {group: {option: value}} beside those needed anyway
    """

    user = ('operator', 'correct horse')

    def __init__(self, test: testtools.TestCase, database: str = 'sqlite',
                 broker: bool = True, transport_url: str | None = None,
                 database_url: str | None = None,
                 **options: dict[str, Any]) -> None:
        # Here and not in setUp, where a skip would be an error.
        if database_url is None:
            backends.require(test, database)
        if broker:
            backends.require(test, 'rabbitmq')
        self._test = test
        self._processes: list[Process] = []
        # The test itself only knows the details of what was there when it
        # began to use a fixture.
        test.addOnException(self._say)
        self._database = database
        self._broker = broker
        self._transport_url = transport_url
        self._database_url = database_url
        self._options = options

    def _setUp(self) -> None:
        if self._broker:
            self.vhost = self.useFixture(backends.TemporaryVhost())
        self.directory = self.useFixture(fixtures.TempDir()).path
        if self._database_url is None:
            self.database = self.useFixture(
                backends.TemporaryDatabase(self._database))
        self.port = free_port()
        self.config = self.write_config('valence.conf')
        # As 'valence-manage' does, without starting it twice for each test.
        vault.create_key_file(f'{self.directory}/key')
        database = Database(self._database_url or self.database.url)
        migration.upgrade(database)
        database.close()

    def write_config(self, name: str,
                     **overrides: dict[str, Any]) -> str:
        """A configuration file; several may differ a little."""
        groups: dict[str, dict[str, Any]] = {
            'DEFAULT': {'debug': True},
            'database': {'connection':
                         self._database_url or self.database.url},
            'api': {'bind_port': self.port, 'auth_strategy': 'noauth',
                    'response_validation': 'error'},
            'secrets': {'key_file': f'{self.directory}/key'},
            'pod_managers': {'allow_http': True,
                             'allowed_networks': '127.0.0.0/8'},
            'conductor': {'poll_interval': 1, 'lease': 6},
        }
        if self._broker:
            groups['DEFAULT']['transport_url'] = (
                self._transport_url or self.vhost.url)
        for more in (self._options, overrides):
            for group, values in more.items():
                groups.setdefault(group, {}).update(values)
        lines = []
        for group, values in groups.items():
            lines += [f'[{group}]', *(f'{key} = {value}' for key, value
                                      in values.items())]
        path = pathlib.Path(self.directory, name)
        path.write_text('\n'.join(lines) + '\n')
        return str(path)

    def manage(self, *arguments: str) -> str:
        return subprocess.run(
            [script('valence-manage'), '--config-file', self.config,
             *arguments], check=True, text=True, capture_output=True,
            timeout=PATIENCE).stdout

    def start(self, command: str, config: str | None = None,
              **environment: str) -> Process:
        process = self.useFixture(Process(
            command, script(command), '--config-file',
            config or self.config, **environment))
        self._processes.append(process)
        return process

    def _say(self, error: Any) -> None:
        """What a failed test has to say of the processes."""
        for process in self._processes:
            self._test.addDetail(
                f'{process.name}-{process.pid}.log',
                content.text_content(process.log[-_MOST_SAID:]))

    def start_api(self, config: str | None = None,
                  command: str = 'valence-api',
                  auth: tuple[str, str] | None = None,
                  **environment: str) -> Client:
        """The API or the standalone, once it answers."""
        self.api = process = self.start(command, config, **environment)
        client = Client(f'http://127.0.0.1:{self.port}', auth)

        def answers() -> bool:
            if not process.alive():
                raise AssertionError(f'{command} ended: {process.log}')
            try:
                return client.request('GET', '/').ok
            except requests.ConnectionError:
                return False

        wait_for(f'{command} answers', answers)
        return client

    def start_conductors(self, client: Client, count: int,
                         **environment: str) -> list[Process]:
        """Conductors, once all of them are in the API's list.

        Those that were killed before may count as alive for a while.
        """
        before = {one['uuid'] for one in
                  client.get('/v1/conductors')['conductors']}
        processes = [self.start('valence-conductor', **environment)
                     for _ in range(count)]
        wait_for(f'{count} conductors are alive', lambda: len(
            {one['uuid'] for one in living(client)} - before) == count)
        return processes


def living(client: Client) -> list[Any]:
    """The conductors that count as alive."""
    return [one for one in client.get('/v1/conductors')['conductors']
            if one['alive']]


def stopped(client: Client) -> list[int]:
    """The pids of conductors' workers that a signal has stopped."""
    return [one['pid'] for one in
            client.get('/v1/conductors')['conductors']
            if _of_process(one['pid'], 'State').startswith('T')]


def parent(pid: int | str) -> int:
    """The pid of a process's parent, 0 if it is gone."""
    return int(_of_process(pid, 'PPid') or 0)


def waiting_signals(pid: int) -> int:
    """Which signals a process has not taken yet: bit N - 1 for signal N."""
    return int(_of_process(pid, 'ShdPnd') or '0', 16)


def _of_process(pid: int | str, name: str) -> str:
    """What Linux says of a process, empty if it is gone."""
    try:
        lines = pathlib.Path(f'/proc/{pid}/status').read_text().splitlines()
    except OSError:
        return ''
    return next((value.strip() for key, _, value in
                 (line.partition(':') for line in lines) if key == name), '')
