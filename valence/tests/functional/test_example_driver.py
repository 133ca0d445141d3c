# SPDX-License-Identifier: Apache-2.0
"""Does a driver in a package of its own work as the author's guide says?

The example is built and installed by pip into a directory of its own, which
the processes have on their path: nothing of it is in Valence's tree.
"""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import fixtures
import testtools

from valence.tests.functional import backends, documents, processes

EXAMPLE = documents.ROOT / 'examples/valence-driver-acme'
GUIDE = documents.ROOT / 'doc/source/contributor/drivers.rst'


class Installed(fixtures.Fixture):
    """The example package as pip installs it, in ``path``."""

    def _setUp(self) -> None:
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        source, self.path = directory / 'source', str(directory / 'site')
        # Building writes into the tree that it builds.
        shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns(
            '__pycache__', 'build', '*.egg-info'))
        done = subprocess.run(
            [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps',
             '--no-index', '--no-build-isolation', '--no-cache-dir',
             '--disable-pip-version-check', '--target', self.path,
             str(source)],
            text=True, capture_output=True, timeout=300)
        if done.returncode:
            raise AssertionError(f'pip install: {done.stdout}{done.stderr}')
        self.useFixture(fixtures.EnvironmentVariable(
            'PYTHONPATH', os.pathsep.join(filter(None, (
                self.path, os.environ.get('PYTHONPATH'))))))


class Bridge(fixtures.Fixture):
    """The simulated backend of the package, a process of its own."""

    username, password = 'operator', 'the secret of the bridge'

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments

    def _setUp(self) -> None:
        directory = self.useFixture(fixtures.TempDir()).path
        self._ledger = pathlib.Path(directory, 'ledger')
        self._ledger.touch()
        process = self.useFixture(processes.Process(
            'bridge', sys.executable, '-m', 'valence_driver_acme.simulator',
            '--username', self.username, '--password', self.password,
            '--ledger', str(self._ledger), *self._arguments))
        processes.wait_for('the bridge prints its address', lambda: (
            process.out.endswith('\n') or not process.alive()))
        self.url = json.loads(process.out)['url']

    def ledger(self) -> list[dict]:
        return [json.loads(line)
                for line in self._ledger.read_text().splitlines()]


class ExampleDriver(testtools.TestCase):

    def setUp(self) -> None:
        super().setUp()
        if not EXAMPLE.exists():
            self.skipTest('not run from a source tree')
        for name in ('pip', 'setuptools'):
            if importlib.util.find_spec(name) is None:
                backends.missing(self, f'{name}, to install the example,')
        self.site = self.useFixture(Installed()).path

    def start(self, *enabled: str) -> processes.Client:
        deployment = self.useFixture(processes.Deployment(
            self, broker=False,
            drivers={'enabled_drivers': ','.join(enabled)}))
        client = deployment.start_api(command='valence-standalone')
        processes.wait_for('a conductor is alive',
                           lambda: processes.living(client))
        return client

    def live(self, *arguments: str) -> None:
        """A node's life, by name of the driver and over REST alone."""
        bridge = self.useFixture(Bridge(*arguments))
        client = self.start('redfish', 'acme')
        shown = client.get('/v1/drivers/acme')
        self.assertEqual('valence-driver-acme', shown['package'])
        self.assertTrue(shown['capabilities']['attach'])

        pod = client.register(bridge, 'bridge', driver='acme',
                              connection_properties={'page_size': 5})
        self.assertEqual(('online', 'acme', 'Acme Chassis Bridge 1.4'),
                         (pod['status'], pod['driver'], pod['product']))
        devices = client.get('/v1/devices?limit=100')['devices']
        self.assertEqual(16, len(devices))
        self.assertEqual([], bridge.ledger())

        client.done(client.post('/v1/nodes', {'name': 'n1', 'properties': {
            'processor': {'total_cores': 8},
            'pci_device': {'type': ['NVMe', 'GPU']}}}))
        node = client.get('/v1/nodes/n1')
        self.assertEqual('active', node['state'])
        composed, = bridge.ledger()
        self.assertEqual('compose', composed['effect'])
        self.assertEqual(f'valence-{node["uuid"]}', composed['label'])
        self.assertEqual(
            sorted(one['resource_path'].rpartition('/')[2]
                   for one in node['devices']), composed['bays'])

        client.done(client.post('/v1/nodes/n1/action',
                                {'Reset': {'Type': 'On'}}))
        self.assertEqual('On', client.get('/v1/nodes/n1')['power_state'])
        refused = client.request('POST', '/v1/nodes/n1/action', {
            'Boot': {'Enabled': 'Once', 'Target': 'Pxe'}})
        self.assertEqual(400, refused.status_code)
        self.assertIn('acme', refused.text)

        answer = client.request('DELETE', '/v1/nodes/n1')
        self.assertEqual(202, answer.status_code)
        client.done(answer.json())
        self.assertEqual(
            404, client.request('GET', '/v1/nodes/n1').status_code)
        self.assertEqual(['compose', 'power', 'power', 'release'],
                         [entry['effect'] for entry in bridge.ledger()])

    def test_a_node_lives_on_it(self):
        self.live()

    def test_a_node_lives_on_a_backend_that_takes_its_time(self):
        self.live('--delay', '0.5')

    def test_properties_that_its_schema_does_not_allow(self):
        client = self.start('redfish', 'acme')
        for properties in ({'page_size': 0}, {'pagesize': 5}):
            answer = client.request('POST', '/v1/pod_managers', {
                'name': 'bridge', 'url': 'http://127.0.0.1:1',
                'driver': 'acme', 'connection_properties': properties})
            self.assertEqual(400, answer.status_code, answer.text)
            self.assertIn('page_size' if 'page_size' in properties
                          else 'pagesize', answer.text)

    def test_installed_but_not_enabled(self):
        client = self.start('redfish')
        answer = client.request('POST', '/v1/pod_managers', {
            'name': 'bridge', 'url': 'http://127.0.0.1:1', 'driver': 'acme'})
        self.assertEqual(400, answer.status_code)
        error, = answer.json()['errors']
        self.assertEqual('unknown_driver', error['code'])
        self.assertIn("'acme'", error['detail'])
        self.assertIn('available: redfish', error['detail'])

    def test_its_conformance_suite_passes(self):
        done = subprocess.run(
            [sys.executable, '-m', 'unittest', 'discover', '-s',
             str(EXAMPLE / 'tests'), '-t', str(EXAMPLE / 'tests')],
            text=True, capture_output=True, timeout=600,
            cwd=self.useFixture(fixtures.TempDir()).path,
            env={**os.environ, 'PYTHONDONTWRITEBYTECODE': '1'})
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertRegex(done.stderr, r'Ran 1\d\d tests')

    def test_it_is_what_pip_installed(self):
        done = subprocess.run(
            [sys.executable, '-c', 'import valence_driver_acme.driver as d; '
             'print(d.__file__)'], text=True, capture_output=True,
            check=True, cwd=self.site)
        self.assertTrue(done.stdout.startswith(self.site), done.stdout)


class Guide(testtools.TestCase):
    """The parts of the example that the author's guide shows are there."""

    def test_what_it_shows(self):
        text = GUIDE.read_text()
        shown = re.findall(
            r'\.\. literalinclude:: (\S+)\n((?:   :.*\n)*)', text)
        self.assertTrue(shown)
        for place, options in shown:
            source = (GUIDE.parent / place).resolve().read_text()
            for mark in re.findall(r':(?:start|end)-\w+: (.+)', options):
                self.assertIn(mark, source, place)
