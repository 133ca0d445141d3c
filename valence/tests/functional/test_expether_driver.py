# SPDX-License-Identifier: Apache-2.0
"""Does the ExpEther driver work with a manager in another process?"""

import json
import sys
import threading

import fixtures
import testtools

from valence.drivers import base
from valence.drivers.expether import ExpEtherDriver
from valence.tests.functional.test_redfish_driver import Process
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.server import PASSWORD, USERNAME


class Pods(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir())

    def simulate(self, *options):
        """A pod per text of options; their URLs."""
        arguments = []
        for number, text in enumerate(options):
            arguments += ['--pod', ','.join(filter(None, (
                'eem', f'name=eem-{number}', f'username={USERNAME}',
                f'password={PASSWORD}', 'auth=basic',
                f'ledger={self.directory.join(f"ledger-{number}")}', text)))]
        process = self.useFixture(Process(
            sys.executable, '-m', 'valence.simulator', '--state',
            self.directory.join('state'), *arguments))
        line = process.first_line(lambda line: line.startswith('{'))
        self.process = process
        return [json.loads(line)['pods'][f'eem-{number}']
                for number in range(len(options))]

    def connect(self, url, **changes):
        driver = ExpEtherDriver(server.endpoint(url, **changes))
        self.addCleanup(driver.close)
        return driver

    def effects(self, number=0):
        with open(self.directory.join(f'ledger-{number}')) as file:
            return [one for one in map(json.loads, file)
                    if one['effect'] != 'refused']

    def choose(self, inventory, *kinds):
        free = [one for one in inventory.devices if one.state == 'free']
        chosen = []
        for kind in ('compute', *kinds):
            one = next(one for one in free if one.type == kind)
            free.remove(one)
            chosen.append(one.resource_path)
        return base.Spec('valence-tag', 'web', tuple(chosen))


class Life(Pods):

    def test_composed_changed_and_released(self):
        url, = self.simulate('')
        driver = self.connect(url)
        self.assertEqual('v1.1', driver.identify().version)
        before = driver.discover()
        self.assertTrue(before.complete)
        self.assertEqual(8, len(before.systems))
        self.assertEqual(
            {'compute', 'nvme', 'nic', 'gpu', 'accelerator', 'other'},
            {one.type for one in before.devices})
        spec = self.choose(before, 'gpu', 'nvme', 'nic')
        handle = driver.compose(spec).handle
        self.assertEqual(set(spec.device_paths),
                         set(driver.observe(handle).device_paths))
        seen = {one.resource_path: one for one in driver.discover().devices}
        for path in spec.device_paths:
            self.assertEqual(('used', handle.resource_path), (
                seen[path].state, seen[path].system_path))
        more = next(one.resource_path for one in before.devices
                    if one.type == 'accelerator')
        handle = driver.attach(handle, more).handle
        self.assertIn(more, driver.observe(handle).device_paths)
        driver.detach(handle, more)
        driver.release(handle)
        self.assertIsNone(driver.observe(handle))
        self.assertEqual(states(before), states(driver.discover()))
        self.assertEqual(
            ['group_set'] * 5 + ['group_cleared'] * 5,
            [one['effect'] for one in self.effects()])

    def test_several_pods_in_one_process(self):
        urls = self.simulate('seed=3', 'seed=4,compute=2')
        drivers = [self.connect(url) for url in urls]
        specs = [self.choose(driver.discover(), 'gpu') for driver in drivers]
        drivers[0].compose(specs[0])
        self.assertEqual([2, 0], [len(self.effects(0)),
                                  len(self.effects(1))])
        self.assertRaises(base.NotFound, drivers[1].prepare, specs[0])

    def test_a_manager_that_restarts_in_the_middle(self):
        url, = self.simulate('')
        driver = self.connect(url)
        spec = self.choose(driver.discover(), 'gpu', 'nvme')
        handle = driver.compose(spec).handle
        before = driver.discover()
        self.process._stop()
        self.assertRaises(base.Unreachable, driver.observe, handle)
        driver = self.connect(self.simulate('')[0])
        self.assertEqual(before, driver.discover())
        driver.release(handle)
        self.assertIsNone(driver.observe(handle))

    def test_wrong_credentials(self):
        url, = self.simulate('')
        driver = self.connect(url, username='somebody')
        for call in (driver.identify, driver.discover):
            error = self.assertRaises(base.Unauthorized, call)
            self.assertNotIn(PASSWORD, str(error))

    def test_thousands_of_devices(self):
        url, = self.simulate('compute=1000,nvme=3000,gpu=1000')
        found = self.connect(url).discover()
        self.assertTrue(found.complete)
        self.assertEqual((1000, 5012), (len(found.systems),
                                        len(found.devices)))


class Contention(Pods):

    def test_many_want_the_same_device(self):
        """A device is in one node, and nobody's is taken from him."""
        url, = self.simulate('compute=6,gpu=1,latency=0.005')
        drivers = [self.connect(url) for _ in range(6)]
        found = drivers[0].discover()
        gpu = next(one.resource_path for one in found.devices
                   if one.type == 'gpu')
        servers = [one.resource_path for one in found.devices
                   if one.type == 'compute']
        start = threading.Barrier(6)
        made = []

        def run(driver, path):
            spec = base.Spec('tag', 'web', (path, gpu))
            handle = driver.prepare(spec)
            start.wait()
            try:
                made.append(driver.compose(spec).handle)
            except base.Refused:
                driver.release(handle)

        threads = [threading.Thread(target=run, args=pair)
                   for pair in zip(drivers, servers, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        handle, = made
        self.assertEqual({handle.resource_path, gpu},
                         set(drivers[0].observe(handle).device_paths))
        self.assertEqual(1, len([
            one for one in self.effects()
            if one['device'] == gpu.rpartition('/')[2]]))


def states(inventory):
    return {one.resource_path: one.state for one in inventory.devices}
