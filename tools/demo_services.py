# SPDX-License-Identifier: Apache-2.0
"""What does the demonstration run, and what is left when it is over?

A state directory with configuration, credentials and data, and the processes
that work on it.
"""

import base64
import contextlib
import fcntl
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
import urllib.error
import urllib.request

BIN = pathlib.Path(sys.executable).parent
READY_WITHIN = 180      # seconds until a started service must answer
STOP_WITHIN = 10        # seconds a service may take to stop
# Below those that the system gives to connections: what is free now has to
# be free when the service listens.
API_PORTS, POD_PORTS = range(10000, 15000), range(15000, 20000)

# No proxy from the environment: everything is on this machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class DemoError(Exception):
    """Why the demonstration cannot go on, in one sentence.

    ``log`` is the file whose last lines say more.
    """

    def __init__(self, message: str, log: pathlib.Path | None = None) -> None:
        super().__init__(message)
        self.log = log


def say(text: str = '') -> None:
    print(text, flush=True)


class State:
    """Configuration, credentials and data, for their owner's eyes only."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.valence_conf = path / 'valence.conf'
        self.simulator_conf = path / 'simulator.conf'
        self._secrets = path / 'secrets.json'
        self._running = path / 'running.json'
        self._lock = -1

    def open(self, reset: bool) -> None:
        """Take the directory for this run; ``reset`` empties it first."""
        if set(str(self.path)) & set('$%?#'):
            # They mean something in a configuration file or in a URL.
            raise DemoError(f'Choose a --state-dir without any of $ % ? # in '
                            f'its path: {self.path} cannot be used.')
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Held until this process ends, however it ends.
        self._lock = os.open(
            self.path / 'lock', os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DemoError(
                f'Another demonstration runs in {self.path}; stop it or '
                'choose another --state-dir.') from None
        self._stop_leftovers()
        if reset:
            for entry in self.path.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name != 'lock':
                    entry.unlink()

    def write(self, name: str, text: str) -> pathlib.Path:
        path = self.path / name
        with open(path, 'w', opener=_private) as file:
            file.write(text)
        return path

    def credentials(self) -> dict[str, str]:
        """Made once, kept until --reset."""
        if not self._secrets.exists():
            self.write(self._secrets.name, json.dumps({
                'username': 'admin',
                'password': secrets.token_urlsafe(18),
                'pod_username': 'pod-admin',
                'pod_password': secrets.token_urlsafe(18)}))
        known: dict[str, str] = json.loads(self._secrets.read_text())
        return known

    def remember(self, services: 'list[Service]') -> None:
        """Write down what runs, so that a killed run can be cleaned up."""
        self.write(self._running.name, json.dumps(
            [service.process.pid for service in services]))

    def forget(self) -> None:
        self._running.unlink(missing_ok=True)

    def _stop_leftovers(self) -> None:
        """End what a killed run left behind, and nothing else."""
        try:
            pids = json.loads(self._running.read_text())
        except (OSError, ValueError):
            return
        for pid in pids:
            with contextlib.suppress(OSError):
                command = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()
                # A number may long belong to another process.
                if f'{self.path}/'.encode() in command:
                    os.killpg(pid, signal.SIGKILL)
        self.forget()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def configure(state: State) -> tuple[str, str]:
    """Write the configuration; the URLs of the API and of the pod."""
    import bcrypt  # in the virtual environment, not needed for --help

    known = state.credentials()
    # The pod manager stays the same pod manager while its URL does.
    api = free_port(API_PORTS)
    pod = free_port(POD_PORTS, state.simulator_conf)
    key = state.path / 'fernet.key'
    if not key.exists():
        state.write(key.name, base64.urlsafe_b64encode(
            secrets.token_bytes(32)).decode() + '\n')
    digest = bcrypt.hashpw(known['password'].encode(), bcrypt.gensalt(10))
    state.write(
        'htpasswd', f'{known["username"]}:{digest.decode()}\n')
    path = state.path
    state.write(state.valence_conf.name, f"""\
[DEFAULT]
state_path = {path}

[database]
connection = sqlite:///{path}/valence.sqlite

[api]
bind_host = 127.0.0.1
bind_port = {api}
auth_strategy = http_basic
htpasswd_file = {path}/htpasswd

[secrets]
key_file = {path}/fernet.key

[pod_managers]
allow_http = true
allowed_networks = 127.0.0.0/8
""")
    state.write(state.simulator_conf.name, f"""\
[DEFAULT]
port = {pod}
username = {known['pod_username']}
password = {known['pod_password']}
ledger = {path}/ledger.jsonl
""")
    return f'http://127.0.0.1:{api}', f'http://127.0.0.1:{pod}'


def free_port(among: range, used_before: pathlib.Path | None = None) -> int:
    """A free loopback port: the one in a configuration file, if it is."""
    wanted = [secrets.choice(among) for _ in range(100)]
    if used_before and used_before.exists():
        for line in used_before.read_text().splitlines():
            if line.startswith('port = '):
                wanted.insert(0, int(line.removeprefix('port = ')))
    for port in wanted:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(('127.0.0.1', port))
            except OSError:
                continue
            return port
    raise DemoError('There is no free port on 127.0.0.1.')


class Service:
    """A process of ours, its output in a file of the state directory."""

    def __init__(self, name: str, state: State, *args: str) -> None:
        self.name = name
        self.log = state.path / f'{name}.out'
        with open(self.log, 'w', opener=_private) as log:
            # In a session of its own, so that Ctrl-C reaches only us and
            # we stop the services in order.
            self.process = subprocess.Popen(
                [BIN / name, *args], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True)

    def check(self) -> None:
        code = self.process.poll()
        if code is not None:
            raise DemoError(
                f'{self.name} ended unexpectedly with status {code}.',
                self.log)

    def wait_for(self, url: str) -> None:
        """Until ``url`` answers at all, whatever it says."""
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            self.check()
            try:
                OPENER.open(url, timeout=5).close()
            except urllib.error.HTTPError as answer:
                answer.close()
                if answer.code < 500:
                    return
            except OSError:
                pass
            else:
                return
            time.sleep(0.05)
        raise DemoError(
            f'{self.name} does not answer at {url} after {READY_WITHIN} '
            'seconds.', self.log)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            say(f'{self.name} does not stop; killing it.')
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def migrate(state: State) -> None:
    log = state.path / 'valence-manage.out'
    with open(log, 'w', opener=_private) as out:
        done = subprocess.run(
            [BIN / 'valence-manage', '--config-file', state.valence_conf,
             'db', 'upgrade'],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    if done.returncode:
        raise DemoError('The database cannot be migrated.', log)


def tail(log: pathlib.Path, lines: int = 15) -> str:
    text = log.read_text(errors='replace')
    return '\n'.join(f'    {line}' for line in text.splitlines()[-lines:])
