# SPDX-License-Identifier: Apache-2.0
"""How does a test get a Barbican of its own?

A real one, from PyPI, in the environment of :mod:`.keystone`, which says who
may read what. It has a database and a process of its own.
"""

import base64
import pathlib
import secrets
from typing import Any

import fixtures
import requests

from valence.tests.functional import processes
from valence.tests.functional.keystone import Keystone

_SERVE = """
import sys
from cheroot import wsgi
from paste import deploy
application = deploy.loadapp('config:' + sys.argv[2])
wsgi.Server(('127.0.0.1', int(sys.argv[1])), application,
            numthreads=4).start()
"""


class Barbican(fixtures.Fixture):
    """A Barbican in the catalogue of ``keystone``.

    It validates tokens as the user ``barbican``, whom it adds, of the
    project ``service``.
    """

    def __init__(self, keystone: Keystone) -> None:
        self._keystone = keystone
        self._bin = keystone.bin

    def _setUp(self) -> None:
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        port = processes.free_port()
        self.url = f'http://127.0.0.1:{port}'
        self._keystone.add_user('barbican', 'service', 'service')
        self._keystone.add_service('barbican', 'key-manager', self.url)
        self._session = requests.Session()
        self._session.trust_env = False
        kek = base64.b64encode(secrets.token_bytes(32)).decode()
        # It is looked for in the home directory.
        home = directory / '.barbican'
        home.mkdir()
        (home / 'barbican.conf').write_text(f"""
[DEFAULT]
host_href = {self.url}
db_auto_create = true
[database]
connection = sqlite:///{directory}/barbican.sqlite
[simple_crypto_plugin]
kek = {kek}
[keystone_authtoken]
auth_type = password
auth_url = {self._keystone.url}
www_authenticate_uri = {self._keystone.url}
username = barbican
password = barbican
project_name = service
user_domain_id = default
project_domain_id = default
""")
        self.process = self.useFixture(processes.Process(
            'barbican', str(self._bin / 'python'), '-c', _SERVE, str(port),
            str(self._bin.parent / 'etc/barbican/barbican-api-paste.ini'),
            HOME=str(directory)))
        processes.wait_for('Barbican answers', self._answers)

    def keep(self, secret: str, user: str, project: str) -> str:
        """Put a secret into a project; its reference, a URL."""
        answer = self._call('POST', '/secrets', user, project, {
            'name': 'pod', 'payload': secret,
            'payload_content_type': 'text/plain',
            'secret_type': 'passphrase'})
        return str(answer.json()['secret_ref'])

    def forget(self, reference: str, user: str, project: str) -> None:
        self._call('DELETE', reference.removeprefix(f'{self.url}/v1'), user,
                   project)

    def _call(self, method: str, path: str, user: str, project: str,
              body: Any = None) -> requests.Response:
        answer = self._session.request(
            method, f'{self.url}/v1{path}', json=body,
            headers={'X-Auth-Token': self._keystone.token(
                user, project=project)}, timeout=processes.PATIENCE)
        if not answer.ok:
            raise AssertionError(f'{method} {path}: {answer.status_code} '
                                 f'{answer.text}')
        return answer

    def _answers(self) -> bool:
        if not self.process.alive():
            raise AssertionError(f'Barbican ended: {self.process.log}')
        try:
            return self._session.get(
                self.url, timeout=processes.PATIENCE).status_code < 400
        except requests.ConnectionError:
            return False
