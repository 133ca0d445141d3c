# SPDX-License-Identifier: Apache-2.0
"""Does the ExpEther driver keep the contract, against a simulated manager?"""

import json
import sys

import fixtures
import testtools

from valence import conformance
from valence.common.secret import Secret
from valence.drivers import base
from valence.drivers.expether import ExpEtherDriver
from valence.tests.functional.test_redfish_driver import Process


class Simulated(conformance.DriverTests):
    """The manager is a process of its own."""

    driver = ExpEtherDriver
    #: Of the simulated pod.
    options = ''
    properties: dict[str, bool] = {}
    username: str | None = 'admin'

    def new_backend(self):
        ledger = self.useFixture(fixtures.TempDir()).join('ledger')
        process = self.useFixture(Process(
            sys.executable, '-m', 'valence.simulator', '--pod',
            f'eem,password=password-of-it,ledger={ledger}{self.options}'))
        line = process.first_line(lambda line: line.startswith('{'))
        endpoint = base.Endpoint(
            json.loads(line)['url'], username=self.username,
            password=Secret('password-of-it') if self.username else None,
            properties=self.properties,
            limits=base.Limits(allow_http=True,
                               allowed_networks=('127.0.0.0/8',)))
        return conformance.Backend(
            endpoint, effects=lambda: count(ledger),
            holds={'racks': 0, 'systems': 8, 'zones': 0, 'devices': 44,
                   'compute': 8, 'nvme': 16, 'nic': 8, 'gpu': 8,
                   'accelerator': 2, 'other': 2},
            capabilities=base.Capabilities(compose=True, attach=True))

    def choose(self, inventory):
        """An EESV says nothing of the processors of its host."""
        free = [one for one in inventory.devices if one.state == 'free']
        return tuple(sorted(
            next(one.resource_path for one in free if one.type == kind)
            for kind in ('compute', 'gpu'))), None

    def locate(self, spec):
        """By the server that was chosen; it is in a group, or it is not."""
        driver = self.connect()
        for path in spec.device_paths:
            handle = base.Handle(path)
            record = next(one for one in driver.discover().devices
                          if one.resource_path == path)
            if record.type == 'compute':
                found = driver.observe(handle)
                return None if found is None else found.handle
        return None


def count(ledger):
    with open(ledger) as file:
        return sum(json.loads(line)['effect'].startswith('group_')
                   for line in file)


class ExpEther(Simulated, testtools.TestCase):
    """As it comes."""


class ExpEtherOpen(Simulated, testtools.TestCase):
    """Without credentials, and a manager that ignores update_time."""

    options = ',auth=none,check-update-time=false'
    properties = {'send_update_time': False}
    username = None
