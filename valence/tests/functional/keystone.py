# SPDX-License-Identifier: Apache-2.0
"""How does a test get a Keystone of its own?

A real one, from PyPI, in a virtual environment that is made once and kept in
``.openstack/``; each test has its own database, keys and process.
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import fixtures
import requests
import testtools

from valence.tests.functional import backends, processes

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_REQUIREMENTS = pathlib.Path(__file__).with_name('openstack-requirements.txt')
#: Seconds that making the environment may take, over a slow network.
_MAKING = 5 * processes.PATIENCE

# Keystone reads the command line, so nothing may be left on it.
_SERVE = """
import sys
from cheroot import wsgi
port = int(sys.argv.pop())
from keystone.wsgi.api import application
wsgi.Server(('127.0.0.1', port), application, numthreads=4).start()
"""

# Prints a token that expired a minute ago: what a client is left with whose
# request took too long. Arguments: the ids of the user and of the project.
_EXPIRED = """
import datetime, sys
from keystone.common import provider_api
from keystone.server import backends
import keystone.conf
keystone.conf.configure()
keystone.conf.CONF(
    [], project='keystone', default_config_files=[sys.argv[1]])
backends.load_backends()
past = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
past -= datetime.timedelta(minutes=1)
print(provider_api.ProviderAPIs.token_provider_api.issue_token(
    sys.argv[2], ['password'], expires_at=past.strftime(
        '%Y-%m-%dT%H:%M:%S.%fZ'), project_id=sys.argv[3]).id)
"""


def environment(test: testtools.TestCase) -> pathlib.Path:
    """The ``bin`` of an environment with Keystone and Barbican in it."""
    kept = _ROOT / '.openstack'
    kept.mkdir(exist_ok=True)
    stamp, venv = kept / 'stamp', kept / 'venv'
    wanted = hashlib.sha256(_REQUIREMENTS.read_bytes() + repr(
        (sys.version, str(venv))).encode()).hexdigest()
    with (kept / 'lock').open('w') as lock:
        # Others may be about to make it as well.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            stamp.unlink(missing_ok=True)
            shutil.rmtree(venv, ignore_errors=True)
            subprocess.run([sys.executable, '-m', 'venv', str(venv)],
                           check=True, timeout=_MAKING)
            done = subprocess.run(
                [str(venv / 'bin/python'), '-m', 'pip', 'install',
                 '--quiet', '--disable-pip-version-check', '--no-input',
                 '-r', str(_REQUIREMENTS)],
                text=True, capture_output=True, timeout=_MAKING)
            if done.returncode:
                backends.missing(
                    test, 'Keystone and Barbican from PyPI (' + ' '.join(
                        done.stderr.split()[-30:]) + ')')
            stamp.write_text(wanted)
    return venv / 'bin'


class Keystone(fixtures.Fixture):
    """A Keystone with the default roles, and whom a test adds.

    ``url`` is its v3 address, ``bin`` where its commands are. Passwords are
    the users' names.
    """

    def __init__(self, test: testtools.TestCase) -> None:
        self.bin = environment(test)

    def _setUp(self) -> None:
        directory = self.useFixture(fixtures.TempDir()).path
        self._config = f'{directory}/keystone.conf'
        port = processes.free_port()
        self.url = f'http://127.0.0.1:{port}/v3'
        for name in ('fernet', 'credential'):
            os.mkdir(f'{directory}/{name}', 0o700)
        pathlib.Path(self._config).write_text(f"""
[database]
connection = sqlite:///{directory}/keystone.sqlite
[fernet_tokens]
key_repository = {directory}/fernet
[fernet_receipts]
key_repository = {directory}/fernet
[credential]
key_repository = {directory}/credential
[identity]
password_hash_rounds = 4
[cache]
enabled = false
""")
        self._manage('db_sync')
        self._manage('fernet_setup')
        self._manage('bootstrap', '--bootstrap-password', 'admin',
                     *(f'--bootstrap-{kind}-url={self.url}'
                       for kind in ('admin', 'public', 'internal')))
        self.process = self.useFixture(processes.Process(
            'keystone', str(self.bin / 'python'), '-c', _SERVE, str(port),
            OS_KEYSTONE_CONFIG_FILES=self._config))
        self._session = requests.Session()
        self._session.trust_env = False
        processes.wait_for('Keystone answers', self._answers)
        self._session.headers['X-Auth-Token'] = self.token(
            'admin', project='admin')
        self._roles = {role['name']: role['id']
                       for role in self._call('GET', '/roles')['roles']}
        self.projects: dict[str, str] = {}
        self.users: dict[str, str] = {}

    def add_project(self, name: str) -> str:
        """A project of the domain ``default``; its id."""
        self.projects[name] = self._call('POST', '/projects', {
            'project': {'name': name}})['project']['id']
        return self.projects[name]

    def add_user(self, name: str, role: str | None = None,
                 project: str | None = None) -> None:
        """A user with ``role`` in ``project``, or else in the system."""
        self.users[name] = self._call('POST', '/users', {'user': {
            'name': name, 'password': name}})['user']['id']
        if role is None:
            return
        scope = f'/projects/{self.projects[project]}' if project \
            else '/system'
        self._call('PUT', f'{scope}/users/{self.users[name]}/roles/'
                   + self._roles[role])

    def add_service(self, name: str, kind: str, url: str) -> None:
        """Enter a service into the catalogue."""
        service = self._call('POST', '/services', {'service': {
            'name': name, 'type': kind}})['service']['id']
        for interface in ('public', 'internal', 'admin'):
            self._call('POST', '/endpoints', {'endpoint': {
                'service_id': service, 'interface': interface, 'url': url}})

    def token(self, user: str, scope: Any = None,
              project: str | None = None) -> str:
        """A token of ``user``, in a project or another scope."""
        if project is not None:
            scope = {'project': {'name': project,
                                 'domain': {'id': 'default'}}}
        auth: dict[str, Any] = {'identity': {
            'methods': ['password'], 'password': {'user': {
                'name': user, 'password': user,
                'domain': {'id': 'default'}}}}}
        if scope is not None:
            auth['scope'] = scope
        return self._issue(auth)

    def restricted_token(self, user: str, project: str,
                         *rules: dict[str, str]) -> str:
        """A token of an application credential with access rules."""
        token = self.token(user, project=project)
        made = self._call(
            'POST', f'/users/{self.users[user]}/application_credentials',
            {'application_credential': {
                'name': 'restricted', 'access_rules': list(rules)}},
            token)['application_credential']
        return self._issue({'identity': {
            'methods': ['application_credential'],
            'application_credential': {
                'id': made['id'], 'secret': made['secret']}}})

    def expired_token(self, user: str, project: str) -> str:
        return subprocess.run(
            [str(self.bin / 'python'), '-c', _EXPIRED, self._config,
             self.users[user], self.projects[project]],
            check=True, text=True, capture_output=True,
            timeout=processes.PATIENCE).stdout.split()[-1]

    def revoke(self, token: str) -> None:
        self._session.delete(
            f'{self.url}/auth/tokens', headers={'X-Subject-Token': token},
            timeout=processes.PATIENCE).raise_for_status()

    def _issue(self, auth: dict[str, Any]) -> str:
        answer = self._session.post(
            f'{self.url}/auth/tokens', json={'auth': auth},
            timeout=processes.PATIENCE)
        answer.raise_for_status()
        return answer.headers['X-Subject-Token']

    def _call(self, method: str, path: str, body: Any = None,
              token: str | None = None) -> Any:
        answer = self._session.request(
            method, self.url + path, json=body,
            timeout=processes.PATIENCE,
            headers={'X-Auth-Token': token} if token else None)
        if not answer.ok:
            raise AssertionError(f'{method} {path}: {answer.status_code} '
                                 f'{answer.text}')
        return answer.json() if answer.content else None

    def _manage(self, *arguments: str) -> None:
        # Both of its kinds of keys ask whose they are to be.
        owner = ['--keystone-user', str(os.getuid()), '--keystone-group',
                 str(os.getgid())] if arguments == ('fernet_setup',) else []
        done = subprocess.run(
            [str(self.bin / 'keystone-manage'), '--config-file',
             self._config, *arguments, *owner], text=True,
            capture_output=True, timeout=processes.PATIENCE)
        if done.returncode:
            raise AssertionError(f'{arguments}: {done.stderr}')

    def _answers(self) -> bool:
        if not self.process.alive():
            raise AssertionError(f'Keystone ended: {self.process.log}')
        try:
            return self._session.get(
                self.url, timeout=processes.PATIENCE).ok
        except requests.ConnectionError:
            return False
