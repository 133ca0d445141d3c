# SPDX-License-Identifier: Apache-2.0
"""Drivers as packages: found, missing, broken, claimed twice, too new.

Each case is a real distribution's metadata on the path of a new process.
"""

import os
import pathlib
import subprocess
import sys
import textwrap
import time

import fixtures
import testtools

from valence.conductor.connection import Connection, Drivers
from valence.drivers import base
from valence.tests.unit.conductor.fakes import FakeDriver

LOAD = textwrap.dedent('''
    import sys
    import valence.cmd
    from valence.conductor.connection import DriverNotLoaded, Drivers
    try:
        print(sorted(Drivers(sys.argv[1:]).classes))
    except DriverNotLoaded as error:
        print(error)
''')

DRIVER = textwrap.dedent('''
    from valence.drivers import base
    class Driver(base.Driver):
        def identify(self): pass
        def discover(self): pass
''')


class Packages(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def package(self, name, driver, code):
        module = f'{name}_module'
        (self.path / f'{module}.py').write_text(code)
        info = self.path / f'{name}-1.0.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n')
        (info / 'entry_points.txt').write_text(
            f'[{base.NAMESPACE}]\n{driver} = {module}:Driver\n')

    def load(self, *enabled):
        return subprocess.run(
            [sys.executable, '-c', LOAD, *enabled], text=True, check=True,
            capture_output=True, timeout=60, env={
                **os.environ, 'HOME': str(self.path), 'PYTHONPATH':
                os.pathsep.join([str(self.path), os.getcwd()])}
        ).stdout.strip()

    def test_loaded_by_name(self):
        self.package('acme', 'acme', DRIVER)
        self.assertEqual("['acme', 'redfish']", self.load('redfish', 'acme'))
        self.assertEqual("['redfish']", self.load('redfish'))

    def test_missing(self):
        self.assertIn('no driver acme is installed', self.load('acme'))

    def test_broken_and_enabled(self):
        self.package('acme', 'acme', 'import nothing_of_the_sort')
        said = self.load('redfish', 'acme')
        self.assertIn('driver acme (acme_module:Driver) cannot be loaded',
                      said)
        self.assertIn('nothing_of_the_sort', said)

    def test_broken_and_disabled(self):
        self.package('acme', 'acme', 'import nothing_of_the_sort')
        self.assertEqual("['redfish']", self.load('redfish'))

    def test_claimed_twice(self):
        self.package('acme', 'acme', DRIVER)
        self.package('other', 'acme', DRIVER)
        self.assertIn('claimed by several packages (acme, other)',
                      self.load('acme'))

    def test_too_new(self):
        self.package('acme', 'acme', DRIVER.replace(
            'Driver):', 'Driver):\n    contract_version = (1, 99)\n'))
        self.assertIn('written for version 1.99 of the driver contract; '
                      'this Valence has ', self.load('acme'))

    def test_no_driver_at_all(self):
        self.package('acme', 'acme', 'Driver = int')
        self.assertIn('no subclass of valence.drivers.base.Driver',
                      self.load('acme'))


class Live(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.made = []

        class Counting(FakeDriver):
            def __init__(driver, endpoint):  # noqa: N805
                super().__init__()
                driver.endpoint, driver.closed = endpoint, 0
                self.made.append(driver)

            def close(driver):  # noqa: N805
                driver.closed += 1

        drivers = Drivers(['redfish'])
        drivers.classes['redfish'] = Counting
        self.connection = Connection(
            drivers, base.Limits(discovery_timeout=0.0),
            lambda token: {'username': 'u', 'password': token}, idle=0.05)
        self.record = {
            'uuid': 'p1', 'generation': 1, 'driver': 'redfish',
            'url': 'https://pod', 'credentials': 'sealed',
            'ca_certificates': None, 'verify_tls': True,
            'connection_properties': {}}

    def test_one_for_each_pod_manager(self):
        first = self.connection.get(self.record)
        self.assertIs(first, self.connection.get(dict(self.record)))
        self.assertIsNot(first, self.connection.get(
            {**self.record, 'uuid': 'p2'}))
        self.assertEqual(2, len(self.made))
        self.assertEqual('sealed', first.endpoint.password.reveal())
        self.assertNotIn('sealed', repr(first.endpoint))

    def test_a_changed_record_gets_a_new_one(self):
        first = self.connection.get(self.record)
        second = self.connection.get({**self.record, 'generation': 2})
        self.assertIsNot(first, second)
        self.assertEqual((1, 0), (first.closed, second.closed))

    def test_closed(self):
        self.connection.get(self.record)
        self.connection.close()
        self.connection.close()
        self.assertEqual([1], [driver.closed for driver in self.made])

    def test_idle(self):
        first = self.connection.get(self.record)
        deadline = time.monotonic() + 60
        while not first.closed and time.monotonic() < deadline:
            self.connection.drop_idle()
        self.assertEqual(1, first.closed)
        self.assertIsNot(first, self.connection.get(self.record))
