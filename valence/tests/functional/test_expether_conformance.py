# SPDX-License-Identifier: Apache-2.0
"""Does the ExpEther driver keep the contract, against a simulated manager?"""

import testtools

from valence.drivers import base
from valence.drivers.expether import ExpEtherDriver
from valence.tests.functional.pods import Simulated


class Manager(Simulated):
    driver = ExpEtherDriver
    pod = 'eem'
    holds = {'racks': 0, 'systems': 8, 'zones': 0, 'devices': 44,
             'compute': 8, 'nvme': 16, 'nic': 8, 'gpu': 8,
             'accelerator': 2, 'other': 2}
    capabilities = base.Capabilities(compose=True, attach=True)

    def count(self, entries):
        return sum(entry['effect'].startswith('group_') for entry in entries)

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


class ExpEther(Manager, testtools.TestCase):
    """As it comes."""


class ExpEtherOpen(Manager, testtools.TestCase):
    """Without credentials, and a manager that ignores update_time."""

    pod = 'eem,auth=none,check-update-time=false'
    properties = {'send_update_time': False}
    username = None
