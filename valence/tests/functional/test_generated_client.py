# SPDX-License-Identifier: Apache-2.0
"""A client that a public generator makes of the document works.

The generator is openapi-python-client.
"""

import importlib
import os
import pathlib
import subprocess
import sys
from typing import Any

import fixtures
import testtools

from valence.tests.functional import documents
from valence.tests.functional.processes import (
    PATIENCE,
    Deployment,
    Simulator,
    script,
    wait_for,
)

_DOCUMENT = documents.ROOT / 'doc/source/reference/openapi.json'
_PACKAGE = 'a_client_of_valence'


class GeneratedClient(testtools.TestCase):

    def setUp(self) -> None:
        super().setUp()
        if not _DOCUMENT.exists():
            self.skipTest('not run from a source tree')
        directory = self.useFixture(fixtures.TempDir()).path
        self.generate(pathlib.Path(directory, _PACKAGE))
        self.useFixture(fixtures.PythonPathEntry(directory))
        self.addCleanup(self.forget)
        self.deployment = self.useFixture(Deployment(self, broker=False))
        url = self.deployment.start_api(command='valence-standalone').url
        self.client = self.module('client').Client(
            base_url=url, raise_on_unexpected_status=True,
            httpx_args={'trust_env': False})
        self.pod = self.useFixture(Simulator())

    def generate(self, target: pathlib.Path) -> None:
        """Nothing may be left out that the generator cannot express."""
        done = subprocess.run(
            [script('openapi-python-client'), 'generate', '--path',
             str(_DOCUMENT), '--output-path', str(target), '--meta', 'none',
             '--fail-on-warning'],
            # It looks for its formatter there.
            env={**os.environ, 'PATH': os.pathsep.join((
                os.path.dirname(sys.executable), os.environ['PATH']))},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=PATIENCE)
        self.assertEqual(0, done.returncode, done.stdout)
        self.assertNotIn('WARNING', done.stdout)

    def forget(self) -> None:
        for name in list(sys.modules):
            if name.partition('.')[0] == _PACKAGE:
                del sys.modules[name]

    def module(self, name: str) -> Any:
        return importlib.import_module(f'{_PACKAGE}.{name}')

    def model(self, kind: str, /, **values: Any) -> Any:
        return getattr(self.module('models'), kind).from_dict(values)

    def call(self, operation: str, *path: str, **more: Any) -> Any:
        """What an operation, such as ``nodes.list_nodes``, answers."""
        answer = self.module(f'api.{operation}').sync(
            *path, client=self.client, **more)
        self.assertNotIsInstance(answer, self.module('models').Errors)
        return answer

    def ended(self, accepted: Any) -> None:
        uuid = accepted.operation.uuid
        found = wait_for('the operation ends', lambda: (
            one := self.call('operations.show_operation', uuid)).state
            not in ('pending', 'running') and one)
        self.assertEqual('succeeded', found.state, found.error)

    def test_from_registration_to_release(self) -> None:
        # Where nothing can know the drivers yet, this says so.
        drivers = wait_for('a conductor is alive', lambda: self.call(
            'drivers.list_drivers').drivers)
        self.assertIn('redfish', {driver.name for driver in drivers})
        pod = self.call('pod_managers.create_pod_manager', body=self.model(
            'CreatePodManagerBody', name='pod', url=self.pod.url,
            authentication=[{'type': 'basic', 'auth_items': {
                'username': self.pod.username,
                'password': self.pod.password}}]))
        self.ended(self.call('pod_managers.sync_pod_manager', pod.uuid))
        flavor = self.call('flavors.create_flavor', body=self.model(
            'CreateFlavorBody', name='small',
            properties={'processor': {'total_cores': 1}}))
        # No update: of a body that may be an object or an array, the
        # generator (0.29) makes code that does not run.
        accepted = self.call('nodes.create_node', body={
            'name': 'web', 'flavor': flavor.uuid})
        self.ended(accepted)
        node = accepted.operation.node
        self.assertEqual(
            [(node, 'active')],
            [(one.uuid, one.state)
             for one in self.call('nodes.list_nodes', limit=5).nodes])
        self.ended(self.call('nodes.delete_node', node))
        self.assertEqual([], self.call('nodes.list_nodes').nodes)
