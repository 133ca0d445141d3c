# SPDX-License-Identifier: Apache-2.0
"""Does the RSD driver keep the contract, against a pod of each version?"""

import json
import sys

import fixtures
import testtools

from valence import conformance
from valence.common.secret import Secret
from valence.drivers import base
from valence.drivers.rsd import RsdDriver
from valence.tests.functional.test_redfish_driver import Process

EFFECTS = ('allocate', 'assemble', 'boot', 'attach', 'detach', 'delete')


class Simulated(conformance.DriverTests):
    """The pod is a process of its own, with one rack."""

    driver = RsdDriver
    #: Of the simulated pod.
    options = ''
    properties: dict[str, str] = {}
    holds = {'systems': 6, 'zones': 0, 'compute': 6, 'nvme': 6,
             'storage': 4}

    def new_backend(self):
        ledger = self.useFixture(fixtures.TempDir()).join('ledger')
        process = self.useFixture(Process(
            sys.executable, '-m', 'valence.simulator', '--pod',
            'rsd,racks=1,sleds=6,nvme=6,volumes=4,allocate-delay=0.1,'
            'assemble-delay=0.2,password=password-of-it,'
            f'ledger={ledger}{self.options}'))
        line = process.first_line(lambda line: line.startswith('{'))
        return conformance.Backend(
            base.Endpoint(
                json.loads(line)['url'], username='admin',
                password=Secret('password-of-it'),
                properties=self.properties,
                limits=base.Limits(allow_http=True,
                                   allowed_networks=('127.0.0.0/8',))),
            effects=lambda: count(ledger), holds=self.holds)


def count(ledger):
    """How many changes the pod has really made."""
    with open(ledger) as file:
        entries = [json.loads(line) for line in file]
    return sum(entry['effect'] in EFFECTS or entry.get('phase') == 'applied'
               for entry in entries)


class Rsd21(Simulated, testtools.TestCase):
    options = ',profile=2.1,auth=basic'
    properties = {'authentication': 'basic'}


class Rsd23(Simulated, testtools.TestCase):
    options = ',profile=2.3,page-size=4'


class Rsd25(Simulated, testtools.TestCase):
    options = ',profile=2.5'
