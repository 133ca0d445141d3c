# SPDX-License-Identifier: Apache-2.0
"""Do Valence's own drivers keep the contract, against simulated pods?

One class for each driver and way that its backend may behave. A driver that
is added gets its classes here.
"""

import importlib
import inspect
import re
import subprocess
import sys
import unittest
from unittest import mock

import testtools

from valence import conformance
from valence.conformance.changing import ChangingTests
from valence.conformance.failures import FailureTests
from valence.conformance.lifetime import LifetimeTests
from valence.conformance.reading import ReadingTests
from valence.drivers import base
from valence.drivers.redfish import RedfishDriver
from valence.tests.functional import documents
from valence.tests.functional.pods import Simulated, Simulator

_MATRIX = documents.ROOT / 'tools/driver_matrix.py'


class Pod(Simulator):
    driver = RedfishDriver
    pod = 'redfish,systems=1'
    holds = {'racks': 9, 'systems': 1, 'devices': 50, 'zones': 2,
             'compute': 8, 'nvme': 16, 'gpu': 8, 'nic': 8}

    def count(self, entries):
        return sum(entry.get('phase') != 'requested' for entry in entries
                   if entry['effect'] in (
                       'compose', 'decompose', 'attach', 'detach', 'reset',
                       'boot'))


class Redfish(Pod, Simulated):
    pass


class RedfishAtOnce(Redfish, testtools.TestCase):
    """Answers at once, with sessions or without."""


class RedfishTasks(Redfish, testtools.TestCase):
    pod = Redfish.pod + ',tasks=true,task-delay=0.5'


class RedfishSession(Redfish, testtools.TestCase):
    pod = Redfish.pod + ',auth=session'
    properties = {'authentication': 'session'}


class RedfishBasic(Redfish, testtools.TestCase):
    pod = Redfish.pod + ',auth=basic'
    properties = {'authentication': 'basic'}


class RedfishPages(Redfish, testtools.TestCase):
    """No $expand, and pages of seven members."""

    pod = Redfish.pod + ',expand=false,page-size=7'


class RedfishWholeSystems(Redfish, testtools.TestCase):
    """A service without composition."""

    pod = 'redfish,composition=false,systems=3'
    holds = {'systems': 3, 'zones': 0, 'compute': 0}


class Mode(Pod, ReadingTests, LifetimeTests, ChangingTests, FailureTests):
    """Those that depend on how a service composes: most, not most time."""


class RedfishManifest(Mode, testtools.TestCase):
    """By the Compose action alone, with reservations."""

    pod = Redfish.pod + ',composition-styles=manifest'


class RedfishManifestTasks(Pod, LifetimeTests, testtools.TestCase):
    """The same, and whatever is asked for becomes a task."""

    pod = (RedfishManifest.pod
           + ',tasks=true,task-calls=all,task-delay=0.2')


class RedfishConstrained(Mode, testtools.TestCase):
    """The service picks the blocks."""

    pod = Redfish.pod + ',composition-styles=constrained'


class RedfishReserve(Mode, testtools.TestCase):
    """Blocks are marked for other clients while they are composed.

    Composed systems change by actions, which show on them only.
    """

    pod = Redfish.pod + ',attach=action'
    properties = {'reserve': True}


class RedfishByPatch(Pod, ChangingTests, testtools.TestCase):
    """Composed systems change by PATCH, once more in the background."""

    pod = (Redfish.pod
           + ',attach=patch,tasks=true,task-calls=attach,task-delay=0.1')


class Servers(Redfish):
    """A service that only adds blocks to the servers that it has."""

    pod = ('redfish,systems=6,compute=2,expandable=true,zones=1,'
           'composition-styles=none')
    holds = {'systems': 6, 'zones': 1, 'compute': 8}
    capabilities = base.Capabilities(
        compose=True, expand=True, attach=True,
        reset_types=('On', 'ForceOff', 'GracefulShutdown', 'GracefulRestart',
                     'ForceRestart', 'PushPowerButton'),
        boot_targets=('None', 'Pxe', 'Cd', 'Usb', 'Hdd', 'BiosSetup',
                      'UefiHttp'))

    def choose(self, inventory):
        free = [one for one in inventory.devices if one.state == 'free']
        return (next(one.resource_path for one in free if one.type
                     == 'compute' and one.system_path),
                *(next(one.resource_path for one in free if one.type == kind)
                  for kind in ('nvme', 'gpu'))), None

    def check_inventory(self, spec, handle):
        """The server is what it was, a whole one, and has what it shows."""
        found = self.connect().discover()
        system, = [one for one in found.systems
                   if one.resource_path == handle.resource_path]
        self.assertEqual((False, None, tuple(sorted(spec.device_paths))), (
            system.composed, system.tag, system.device_paths))
        self.assertEqual({'used'}, {
            one.state.value for one in found.devices
            if one.resource_path in spec.device_paths})


class RedfishServersByAction(Servers, testtools.TestCase):
    pod = Servers.pod + ',attach=action'


class RedfishServersByPatch(Servers, testtools.TestCase):
    """And by tasks."""

    pod = (Servers.pod + ',attach=patch,tasks=true,task-calls=attach,'
           'task-delay=0.2')


class Suite(testtools.TestCase):
    """The suite itself."""

    def test_it_quotes_the_contract_as_it_is(self):
        text = ' '.join(inspect.getsource(base).replace('#:', '').split())
        for name, rule in conformance.RULES.items():
            if rule.where == 'valence.drivers.base':
                self.assertIn(rule.sentence, text, name)

    def test_every_rule_is_tested(self):
        source = ''.join(
            path.read_text() for path in (
                documents.ROOT / 'valence/conformance').glob('*.py')
            if path.name != 'rules.py')
        used = set(re.findall(r"'(\w+)'", source))
        self.assertEqual(set(), set(conformance.RULES) - used)

    def test_nothing_is_collected_by_importing_it(self):
        self.assertFalse(issubclass(conformance.DriverTests,
                                    unittest.TestCase))


class Matrix(testtools.TestCase):

    def test_the_matrix_is_that_of_the_drivers(self):
        done = subprocess.run([sys.executable, str(_MATRIX), '--check'],
                              text=True, capture_output=True, timeout=300)
        self.assertEqual(0, done.returncode, done.stderr)

    def test_it_says_when_it_is_stale(self):
        with mock.patch.object(sys, 'path', [str(_MATRIX.parent), *sys.path]):
            matrix = importlib.import_module('driver_matrix')
        text = matrix.render({'redfish': RedfishDriver})
        self.assertIn('redfish', text)

        class Other(RedfishDriver):
            capabilities = base.Capabilities()

        self.assertNotEqual(text, matrix.render({'redfish': Other}))
