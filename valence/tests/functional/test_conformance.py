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
from valence.common.secret import Secret
from valence.drivers import base
from valence.drivers.redfish import RedfishDriver
from valence.tests.functional import documents, processes

_MATRIX = documents.ROOT / 'tools/driver_matrix.py'


class Simulated(conformance.DriverTests):
    """A driver against Valence's simulator, a process of its own."""

    #: Of the simulator's command line.
    options: tuple[str, ...] = ()
    properties: dict[str, str] = {}
    holds: dict[str, int] = {}
    capabilities: base.Capabilities | None = None

    def new_backend(self) -> conformance.Backend:
        pod = self.useFixture(processes.Simulator(*self.options))
        return conformance.Backend(
            base.Endpoint(
                pod.url, pod.username, Secret(pod.password),
                properties=self.properties,
                limits=base.Limits(allow_http=True,
                                   allowed_networks=('127.0.0.0/8',))),
            effects=lambda: self.count(pod), holds=self.holds,
            capabilities=self.capabilities)

    def count(self, pod: processes.Simulator) -> int:
        """How many changes the pod has really made."""
        return sum(entry.get('phase') != 'requested' for entry in pod.ledger(
            'compose', 'decompose', 'reset', 'boot'))


class Redfish(Simulated):
    driver = RedfishDriver
    holds = {'racks': 9, 'systems': 1, 'devices': 50, 'zones': 2,
             'compute': 8, 'nvme': 16, 'gpu': 8, 'nic': 8}
    options = ('--systems', '1')


class RedfishAtOnce(Redfish, testtools.TestCase):
    """Answers at once, with sessions or without."""


class RedfishTasks(Redfish, testtools.TestCase):
    options = ('--systems', '1', '--tasks', '--task-delay', '0.5')


class RedfishSession(Redfish, testtools.TestCase):
    options = ('--systems', '1', '--auth', 'session')
    properties = {'authentication': 'session'}


class RedfishBasic(Redfish, testtools.TestCase):
    options = ('--systems', '1', '--auth', 'basic')
    properties = {'authentication': 'basic'}


class RedfishPages(Redfish, testtools.TestCase):
    """No $expand, and pages of seven members."""

    options = ('--systems', '1', '--noexpand', '--page-size', '7')


class RedfishWholeSystems(Simulated, testtools.TestCase):
    """A service without composition."""

    driver = RedfishDriver
    options = ('--nocomposition', '--systems', '3')
    holds = {'systems': 3, 'zones': 0, 'compute': 0}


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
