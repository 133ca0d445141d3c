# SPDX-License-Identifier: Apache-2.0
"""Does the Redfish driver work with services that nobody scripted?

Valence's own simulator and sushy-tools' emulator, each a process of its
own, spoken to as a pod manager is.
"""

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time

import bcrypt
import fixtures
import testtools

from valence.drivers import base
from valence.drivers.redfish import RedfishDriver
from valence.tests.functional import backends
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.server import PASSWORD, USERNAME

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), *['..'] * 3))
PATIENCE = 180.0


class Process(fixtures.Fixture):
    """A child process; its output is shown when the test fails."""

    def __init__(self, *command):
        super().__init__()
        self.command = command

    def _setUp(self):
        path = os.pathsep.join(filter(None, (
            TOP, os.environ.get('PYTHONPATH'))))
        self.child = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env={**os.environ, 'PYTHONPATH': path,
                            'PYTHONUNBUFFERED': '1'})
        self.addCleanup(self._stop)

    def first_line(self, wanted):
        """The first line of output that ``wanted`` accepts.

        What comes later is read and dropped, so that the child never waits.
        """
        seen = []
        found = threading.Event()

        def read():
            for line in self.child.stdout:
                if not found.is_set():
                    seen.append(line)
                    if wanted(line):
                        found.set()

        threading.Thread(target=read, daemon=True).start()
        until = time.monotonic() + PATIENCE
        while not found.wait(0.05):
            if self.child.poll() is not None or time.monotonic() > until:
                raise AssertionError(f'{self.command}: {"".join(seen)}')
        return seen[-1]

    def _stop(self):
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class DriverCase(testtools.TestCase):

    def connect(self, url, **changes):
        driver = RedfishDriver(server.endpoint(
            url, limits={'call_timeout': 12.0}, **changes))
        self.addCleanup(driver.close)
        return driver

    def finish(self, driver, outcome):
        """Poll until it is done."""
        until = time.monotonic() + PATIENCE
        while isinstance(outcome, base.Pending):
            self.assertLess(time.monotonic(), until)
            threading.Event().wait(min(outcome.delay, 0.1))
            outcome = driver.poll(outcome)
        return outcome

    def until(self, condition):
        """Wait for what the backend does in its own time."""
        end = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end)
            threading.Event().wait(0.05)


class SimulatorCase(DriverCase):

    def simulate(self, *options, **changes):
        self.ledger = self.useFixture(fixtures.TempDir()).join('ledger')
        process = self.useFixture(Process(
            sys.executable, '-m', 'valence.simulator', '--username',
            USERNAME, '--password', PASSWORD, '--ledger', self.ledger,
            *options))
        line = process.first_line(lambda line: line.startswith('{'))
        return self.connect(json.loads(line)['url'], **changes)

    def effects(self):
        with open(self.ledger) as file:
            return [json.loads(line) for line in file]

    def choose(self, inventory):
        """One free block of each type out of the first zone."""
        zone = inventory.zones[0]
        chosen = {}
        for device in inventory.devices:
            if (device.pooled and device.state == 'free'
                    and zone.resource_path in device.zone_paths):
                chosen.setdefault(device.type, device.resource_path)
        return base.Spec('valence-tag', 'web', tuple(sorted(
            chosen.values())), zone.resource_path)

    def life(self, driver):
        """Compose, look, change, release; the pod is as it was then."""
        self.assertTrue(driver.identify().capabilities.compose)
        before = driver.discover()
        self.assertTrue(before.complete, before.problems)
        spec = self.choose(before)
        self.assertGreater(len(spec.device_paths), 2)

        self.assertIsNone(driver.find(spec.tag))
        handle = self.finish(driver, driver.compose(spec)).handle
        self.assertEqual(handle, driver.find(spec.tag))
        node = driver.observe(handle)
        self.assertEqual((spec.tag, spec.device_paths),
                         (node.name, node.device_paths))
        self.assertRaises(base.Refused, lambda: self.finish(
            driver, driver.compose(base.Spec('other', 'x',
                                             spec.device_paths))))
        during = driver.discover()
        system = next(one for one in during.systems
                      if one.resource_path == handle.resource_path)
        self.assertTrue(system.composed)
        self.assertEqual(spec.device_paths, system.device_paths)
        self.assertEqual(node.memory_mib, system.memory_mib)
        self.assertEqual({'used'}, {
            one.state.value for one in during.devices
            if one.resource_path in spec.device_paths})

        self.finish(driver, driver.set_power(handle, 'On'))
        self.until(lambda: driver.observe(handle).power_state == 'On')
        self.assertRaises(base.Refused, driver.set_power, handle, 'Dance')
        self.finish(driver, driver.set_boot(handle, 'Pxe', 'Once'))
        node = driver.observe(handle)
        self.assertEqual(('Pxe', 'Once'),
                         (node.boot_target, node.boot_enabled))
        self.finish(driver, driver.set_boot(handle, 'Pxe', 'Disabled'))
        self.assertEqual('Disabled', driver.observe(handle).boot_enabled)
        self.assertRaises(base.Refused, driver.set_boot, handle, 'Moon',
                          'Once')

        self.finish(driver, driver.release(handle))
        self.assertIsNone(driver.observe(handle))
        self.assertEqual(base.Done(), driver.release(handle))
        self.assertEqual(before, driver.discover())


class Simulator(SimulatorCase):

    def test_session_or_basic(self):
        self.life(self.simulate())
        self.assertTrue(self.effects())

    def test_session_only(self):
        self.life(self.simulate('--auth', 'session'))

    def test_basic_only(self):
        self.life(self.simulate('--auth', 'basic'))

    def test_no_authentication(self):
        self.life(self.simulate('--auth', 'none', username=None,
                                password=None))

    def test_tasks(self):
        self.life(self.simulate('--tasks', '--task-delay', '0.2'))

    def test_pages(self):
        self.life(self.simulate('--page-size', '7'))

    def test_no_expand(self):
        self.life(self.simulate('--noexpand', '--page-size', '7'))

    def test_expand_changes_nothing(self):
        self.assertEqual(self.simulate().discover(),
                         self.simulate('--noexpand').discover())

    def test_tls(self):
        authority = server.Authority()
        certificate, key = authority.write(
            self.useFixture(fixtures.TempDir()).path)
        driver = self.simulate(
            '--tls-cert', certificate, '--tls-key', key,
            ca_certificates=authority.pem)
        self.assertTrue(driver.endpoint.url.startswith('https:'))
        self.life(driver)
        stranger = self.connect(driver.endpoint.url)
        self.assertRaises(base.Unreachable, stranger.identify)

    def test_wrong_password(self):
        driver = self.simulate()
        for mode in ('session', 'basic'):
            wrong = self.connect(
                driver.endpoint.url, username='somebody',
                properties={'authentication': mode})
            self.assertRaises(base.Unauthorized, wrong.identify)
            self.assertRaises(base.Unauthorized, wrong.discover)

    def test_whole_systems_without_composition(self):
        driver = self.simulate('--nocomposition', '--systems', '3')
        self.assertFalse(driver.identify().capabilities.compose)
        inventory = driver.discover()
        self.assertTrue(inventory.complete, inventory.problems)
        self.assertEqual(3, len(inventory.systems))
        self.assertEqual({False}, {one.pooled for one in inventory.devices})
        self.assertRaises(base.Unsupported, driver.compose,
                          base.Spec('t', 'n'))
        handle = base.Handle(inventory.systems[0].resource_path)
        self.assertRaises(base.Refused, driver.release, handle)
        self.finish(driver, driver.set_power(handle, 'On'))
        self.until(lambda: driver.observe(handle).power_state == 'On')

    def test_a_thousand_blocks(self):
        for options in ((), ('--noexpand',)):
            driver = self.simulate(
                '--compute', '250', '--nvme', '350', '--gpu', '200',
                '--nic', '200', '--page-size', '100', *options)
            started = time.monotonic()
            inventory = driver.discover()
            self.assertLess(time.monotonic() - started, PATIENCE)
            self.assertTrue(inventory.complete, inventory.problems)
            self.assertEqual(1000, len(inventory.devices))
            self.assertEqual(
                {'compute': 250, 'nvme': 350, 'gpu': 200, 'nic': 200},
                {kind: len([1 for one in inventory.devices
                            if one.type == kind])
                 for kind in ('compute', 'nvme', 'gpu', 'nic')})


class Changing(SimulatorCase):
    """Blocks come and go while a system lives."""

    def compose(self, driver, *types):
        inventory = driver.discover()
        spec = self.choose(inventory)
        kinds = {one.resource_path: one.type for one in inventory.devices}
        self.left = [path for path in spec.device_paths
                     if kinds[path] not in ('compute', *types)]
        kept = tuple(path for path in spec.device_paths
                     if path not in self.left)
        spec = base.Spec(spec.tag, spec.name, kept, spec.zone_path)
        return self.finish(driver, driver.compose(spec)).handle

    def has(self, driver, handle):
        return set(driver.observe(handle).device_paths)

    def change(self, driver):
        handle = self.compose(driver, 'nic')
        self.assertTrue(driver.identify().capabilities.attach)
        before = self.has(driver, handle)
        for path in self.left:
            for _ in range(2):          # the second finds it done
                self.assertEqual(base.Done(), self.finish(
                    driver, driver.attach(handle, path)))
        self.assertEqual(before | set(self.left), self.has(driver, handle))
        self.assertEqual(2, len(self.left))
        self.assertEqual(len(self.left), [
            one['effect'] for one in self.effects()].count('attach'))
        first = self.left[0]
        for _ in range(2):
            self.assertEqual(base.Done(), self.finish(
                driver, driver.detach(handle, first)))
        self.assertEqual(before | set(self.left[1:]),
                         self.has(driver, handle))
        self.finish(driver, driver.release(handle))
        self.assertEqual({'free'}, {
            one.state.value for one in driver.discover().devices})

    def test_by_action_patch_or_put(self):
        for way in ('action', 'patch', 'put', 'action,patch,put'):
            for more in ((), ('--require-etag',)):
                self.change(self.simulate('--attach', way, *more))

    def test_in_the_background(self):
        for more in ((), ('--vanish-monitors',)):
            self.change(self.simulate(
                '--attach', 'action', '--tasks', '--task-calls', 'all',
                '--task-delay', '0.2', *more))

    def test_not_offered(self):
        driver = self.simulate()
        handle = self.compose(driver)
        self.assertFalse(driver.identify().capabilities.attach)
        self.assertRaises(base.Unsupported, driver.attach, handle,
                          self.left[0])

    def test_the_block_of_another_system(self):
        driver = self.simulate('--attach', 'action', '--sharing', '4')
        handle = self.compose(driver)
        device = next(one for one in self.left if 'nvme' in one)
        self.finish(driver, driver.attach(handle, device))
        inventory = driver.discover()
        self.assertIn('used', {one.state.value for one in inventory.devices
                               if one.resource_path == device})
        other = base.Spec('valence-other', '', (next(
            one.resource_path for one in inventory.devices
            if one.type == 'compute' and one.state == 'free'
            and inventory.zones[0].resource_path in one.zone_paths),))
        second = self.finish(driver, driver.compose(other)).handle
        self.assertRaises(base.Refused, driver.attach, second, device)

    def test_an_expandable_server(self):
        driver = self.simulate('--attach', 'action', '--systems', '2',
                               '--expandable')
        self.assertTrue(driver.identify().capabilities.attach)
        inventory = driver.discover()
        whole = next(one for one in inventory.systems if not one.composed)
        handle = base.Handle(whole.resource_path, {'tag': whole.name})
        device = next(one.resource_path for one in inventory.devices
                      if one.pooled and one.type == 'nvme')
        self.finish(driver, driver.attach(handle, device))
        self.assertIn(device, self.has(driver, handle))
        self.assertRaises(base.Refused, driver.release,
                          base.Handle(whole.resource_path))
        self.finish(driver, driver.release(handle))
        self.assertIsNone(driver.observe(handle))
        self.assertIsNone(driver.find(whole.name))
        self.assertEqual(inventory, driver.discover())


class Expanding(SimulatorCase):
    """Nodes are made onto servers that are there already."""

    servers = ('--systems', '2', '--expandable', '--zones', '1')

    def simulate(self, *options, **changes):
        return super().simulate(*self.servers, *options, **changes)

    def only(self, way, *options):
        """A pod that makes no systems."""
        return self.simulate('--composition-styles', 'none', '--attach', way,
                             *options)

    def spec(self, driver, *types, server=0):
        """A server that is free, and free devices for it."""
        devices = driver.discover().devices
        whole = [one.resource_path for one in devices
                 if one.pooled and one.system_path][server]
        others = [next(one.resource_path for one in devices
                       if one.pooled and one.type == kind
                       and one.state == 'free') for kind in types]
        return base.Spec('valence-tag', 'web', (whole, *others))

    def prepared(self, driver, *types, **more):
        spec = self.spec(driver, *types, **more)
        handle = driver.prepare(spec)
        return dataclasses.replace(spec, prepared=base.Handle(
            **json.loads(json.dumps(dataclasses.asdict(handle)))))

    def again(self, driver):
        """The driver as another process has it."""
        return self.connect(driver.endpoint.url)

    def add(self, driver, handle, block):
        """Somebody else adds a block."""
        driver.attach(base.Handle(handle.resource_path), block)

    def take(self, driver, handle, block):
        driver.detach(base.Handle(handle.resource_path), block)

    def expand(self, driver):
        able = driver.identify().capabilities
        self.assertEqual((True, True, True, False), (
            able.compose, able.expand, able.attach, able.tags))
        before = driver.discover()
        self.assertTrue(before.complete, before.problems)
        spec = self.prepared(driver, 'nvme', 'gpu', 'nic')
        own = spec.prepared.extra['own']
        self.assertFalse(driver.tagged(spec.prepared))
        self.assertIsNone(driver.observe(spec.prepared))
        self.assertEqual([], self.changes())
        handle = self.finish(driver, driver.compose(spec)).handle
        self.assertEqual(spec.prepared, handle)
        node = driver.observe(handle)
        self.assertEqual((handle, sorted(spec.device_paths), None),
                         (node.handle, list(node.device_paths),
                          node.unfinished))
        during = {one.resource_path: one for one in driver.discover().devices}
        self.assertEqual({'used'}, {during[path].state.value
                                    for path in spec.device_paths})
        whole = next(one for one in before.devices
                     if one.resource_path == own)
        self.assertEqual(
            [getattr(whole, name) for name in (
                'processor_cores', 'memory_mib', 'capacity_gib', 'details')],
            [getattr(during[own], name) for name in (
                'processor_cores', 'memory_mib', 'capacity_gib', 'details')])
        system = next(one for one in driver.discover().systems
                      if one.resource_path == handle.resource_path)
        self.assertEqual((False, None, node.device_paths), (
            system.composed, system.tag, system.device_paths))

        self.finish(driver, driver.set_power(handle, 'On'))
        self.until(lambda: driver.observe(handle).power_state == 'On')
        self.finish(driver, driver.set_boot(handle, 'Pxe', 'Once'))
        self.finish(driver, driver.set_boot(handle, 'Pxe', 'Disabled'))
        self.finish(driver, driver.set_power(handle, 'ForceOff'))
        self.until(lambda: driver.observe(handle).power_state == 'Off')

        more = next(one.resource_path for one in during.values()
                    if one.pooled and one.type == 'nvme'
                    and one.state == 'free')
        for _ in range(2):              # the second finds it done
            larger = self.finish(driver, driver.attach(handle, more)).handle
            self.assertEqual(sorted([*handle.extra['devices'], more]),
                             larger.extra['devices'])
        self.assertIn(more, driver.observe(larger).device_paths)
        for _ in range(2):
            self.assertEqual(handle, self.finish(
                driver, driver.detach(larger, more)).handle)
        for _ in range(2):
            self.assertEqual(base.Done(), self.finish(
                driver, driver.release(handle)))
            self.assertIsNone(driver.observe(handle))
        self.assertEqual(before, driver.discover())
        self.assertEqual(4 * ['attach'] + 4 * ['detach'],
                         sorted(self.changes()))

    def changes(self):
        return [one['effect'] for one in self.effects()
                if one['effect'] in ('attach', 'detach', 'compose',
                                     'decompose')]

    def test_by_action_patch_or_put(self):
        for way in ('action', 'patch', 'put'):
            self.expand(self.only(way))
        self.expand(self.only('action,patch,put', '--require-etag'))

    def test_in_the_background(self):
        for way, *more in (('action',), ('patch', '--vanish-monitors'),
                           ('put',)):
            self.expand(self.only(way, '--tasks', '--task-calls', 'attach',
                                  '--task-delay', '0.1', *more))

    def test_beside_nodes_with_a_tag(self):
        driver = self.simulate('--attach', 'action')
        able = driver.identify().capabilities
        self.assertEqual((True, True, True), (able.compose, able.expand,
                                              able.tags))
        before = driver.discover()
        spec = self.prepared(driver, 'nvme')
        server = self.finish(driver, driver.compose(spec)).handle
        devices = driver.discover().devices
        other = base.Spec('valence-other', '', tuple(next(
            one.resource_path for one in devices if one.state == 'free'
            and one.type == kind and not one.system_path)
            for kind in ('compute', 'nvme')))
        self.assertIsNone(driver.prepare(other))
        handle = self.finish(driver, driver.compose(other)).handle
        self.assertTrue(driver.tagged(handle))
        self.assertEqual(handle, driver.find('valence-other'))
        self.assertIsNone(driver.find(spec.tag))
        self.finish(driver, driver.release(server))
        self.assertEqual(other.device_paths,
                         driver.observe(handle).device_paths)
        self.finish(driver, driver.release(handle))
        self.assertEqual(before, driver.discover())

    def test_a_compose_that_was_cut_off(self):
        """After any of its parts another process goes on, or undoes it."""
        for ends in ('compose', 'release'):
            driver = self.only('action')
            spec = self.prepared(driver, 'nvme', 'gpu', 'nic')
            self.add(driver, spec.prepared, spec.prepared.extra['devices'][1])
            other = self.again(driver)
            self.assertEqual(2, len(other.observe(spec.prepared)
                                    .device_paths))
            if ends == 'compose':
                handle = self.finish(other, other.compose(spec)).handle
                self.assertEqual(3, self.changes().count('attach'))
                self.assertEqual(sorted(spec.device_paths), list(
                    other.observe(handle).device_paths))
            other.release(spec.prepared)
            self.assertIsNone(other.observe(spec.prepared))

    def test_a_task_that_nobody_has_written_down(self):
        driver = self.only('action', '--tasks', '--task-calls', 'attach',
                           '--task-delay', '2')
        spec = self.prepared(driver, 'nvme', 'gpu')
        self.assertIsInstance(driver.compose(spec), base.Pending)
        other = self.again(driver)
        # Nothing is there yet, but that is no proof.
        self.assertRaises(base.Busy, other.observe, spec.prepared)
        handle = self.finish(other, other.compose(spec)).handle
        self.assertEqual(['attach'] * 2, self.changes())
        self.assertIsInstance(driver.release(handle), base.Pending)
        self.finish(other, other.release(handle))
        self.assertIsNone(other.observe(handle))
        self.assertEqual(['attach'] * 2 + ['detach'] * 2, self.changes())
        # Nor does a release leave what is on its way.
        self.assertIsInstance(driver.compose(spec), base.Pending)
        self.finish(other, other.release(handle))
        self.assertIsNone(other.observe(handle))
        self.assertEqual(['attach', 'detach'], self.changes()[4:])

    def test_what_is_not_prepared(self):
        driver = self.only('action')
        spec = self.spec(driver, 'nvme')
        server, drive = spec.device_paths
        for paths in ((server,), (server, self.spec(
                driver, server=1).device_paths[0], drive)):
            self.assertRaises(base.Refused, driver.prepare,
                              base.Spec('valence-tag', '', paths))
        self.assertRaises(base.NotFound, driver.prepare, base.Spec(
            'valence-tag', '', (server, drive + '-no-such')))
        made = self.prepared(driver, 'nvme')
        handle = self.finish(driver, driver.compose(made)).handle
        for paths in ((server, self.spec(driver, 'gpu').device_paths[1]),
                      (self.spec(driver, server=1).device_paths[0], drive)):
            self.assertRaises(base.Refused, driver.prepare, base.Spec(
                'valence-tag', '', paths))
        self.assertEqual(['attach'], self.changes())
        driver.release(handle)

    def test_what_others_added_is_left_alone(self):
        driver = self.only('action')
        server = self.spec(driver, 'gpu', 'nvme')
        path, theirs, drive = server.device_paths
        found = {one.resource_path: one for one in driver.discover().devices}
        whole = base.Handle(found[path].system_path)
        self.add(driver, whole, theirs)
        found = {one.resource_path: one for one in driver.discover().devices}
        self.assertEqual(('used', 'used'), (found[path].state,
                                            found[theirs].state))
        self.assertRaises(base.Refused, driver.prepare, base.Spec(
            'valence-tag', '', (path, drive)))
        self.take(driver, whole, theirs)

        spec = self.prepared(driver, 'nvme')
        self.add(driver, whole, theirs)
        self.assertRaises(base.Refused, driver.compose, spec)
        self.assertIsNone(driver.observe(spec.prepared))
        driver.release(spec.prepared)
        self.take(driver, whole, theirs)
        handle = self.finish(driver, driver.compose(spec)).handle
        self.add(driver, whole, theirs)
        self.assertEqual({path, theirs, drive},
                         set(driver.observe(handle).device_paths))
        driver.release(handle)
        self.assertIsNone(driver.observe(handle))
        found = {one.resource_path: one for one in driver.discover().devices}
        self.assertEqual(('used', 'used', 'free'), tuple(
            found[one].state for one in (path, theirs, drive)))
        # Nor is a server changed that has nothing of the node.
        for call in (lambda: driver.set_power(handle, 'On'),
                     lambda: driver.set_boot(handle, 'Pxe', 'Once'),
                     lambda: driver.attach(handle, drive),
                     lambda: driver.detach(handle, theirs)):
            self.assertRaises(base.Refused, call)

    def test_the_last_block_is_not_detached(self):
        driver = self.only('action')
        spec = self.prepared(driver, 'nvme', 'gpu')
        handle = self.finish(driver, driver.compose(spec)).handle
        own, (first, last) = (handle.extra['own'], handle.extra['devices'])
        self.assertRaises(base.Refused, driver.detach, handle, own)
        handle = driver.detach(handle, first).handle
        error = self.assertRaises(base.Refused, driver.detach, handle, last)
        self.assertIn('release it instead', str(error))
        self.assertEqual((own, last), tuple(sorted(
            driver.observe(handle).device_paths, key=lambda one: one != own)))


class Styles(SimulatorCase):
    """Systems are composed in the way that the service wants."""

    def test_by_manifest(self):
        for more in ((), ('--tasks', '--task-delay', '0.2',
                          '--task-calls', 'all')):
            driver = self.simulate('--composition-styles', 'manifest', *more)
            able = driver.identify().capabilities
            self.assertEqual((True, True, 'valence'), (
                able.preview, able.reserve, able.allocation.value))
            self.life(driver)

    def test_by_manifest_if_told(self):
        self.life(self.simulate(
            '--composition-styles', 'specific,manifest',
            properties={'composition': 'manifest'}))

    def test_specific_where_both_are_offered(self):
        self.life(self.simulate('--composition-styles',
                                'specific,manifest,constrained'))

    def test_a_refused_stanza_leaves_no_reservation(self):
        driver = self.simulate('--composition-styles', 'manifest')
        spec = self.choose(driver.discover())
        self.finish(driver, driver.compose(spec))
        error = self.assertRaises(base.Refused, driver.compose, base.Spec(
            'other', '', spec.device_paths))
        self.assertTrue(error.message_ids)

    def test_constrained(self):
        driver = self.simulate('--composition-styles', 'constrained',
                               properties={'composition': 'constrained'})
        for able in (driver.capabilities, driver.identify().capabilities):
            self.assertEqual('backend', able.allocation.value)
        spec = base.Spec('valence-tag', 'web', requirements={
            'processor': {'total_cores': 4},
            'memory': {'capacity_mib': 8192},
            'pci_device': {'type': ['gpu', 'nvme', 'nvme', 'nic']}})
        handle = self.finish(driver, driver.compose(spec)).handle
        self.assertEqual(handle, driver.find(spec.tag))
        node = driver.observe(handle)
        self.assertGreaterEqual(node.processor_cores, 4)
        self.assertGreaterEqual(node.memory_mib, 8192)
        types = {one.resource_path: one.type.value
                 for one in driver.discover().devices}
        self.assertEqual(
            ['compute', 'gpu', 'nic', 'nvme', 'nvme'],
            sorted(types[path] for path in node.device_paths))
        self.finish(driver, driver.release(handle))
        self.assertIsNone(driver.observe(handle))
        self.assertRaises(base.Refused, driver.compose, base.Spec(
            'valence-tag', '', requirements={
                'processor': {'total_cores': 100000}}))

    def test_reserved_for_the_time_of_the_request(self):
        for more in ((), ('--require-etag',)):
            driver = self.simulate(*more, properties={'reserve': True})
            self.assertTrue(driver.identify().capabilities.reserve)
            self.life(driver)
            effects = [one['effect'] for one in self.effects()]
            self.assertGreater(effects.count('reserve'), 2)
            self.assertEqual(effects.count('reserve'),
                             effects.count('unreserve'))

    def test_pools_and_sharing(self):
        self.life(self.simulate('--pools', '--sharing', '3'))

    def test_a_task_is_cancelled(self):
        driver = self.simulate('--tasks', '--task-delay', '60')
        before = driver.discover()
        spec = self.choose(before)
        pending = driver.compose(spec)
        self.assertIsInstance(driver.poll(pending), base.Pending)
        driver.cancel(pending)
        self.assertRaises(base.Refused, self.finish, driver, pending)
        driver.cancel(pending)
        self.assertIsNone(driver.find(spec.tag))
        self.assertEqual(before, driver.discover())

    def test_vanished_monitors(self):
        self.life(self.simulate('--tasks', '--task-delay', '0.2',
                                '--vanish-monitors'))


class SushyEmulator(DriverCase):
    """A pod with holes: no composition, Memory 404, Storage 500."""

    def setUp(self):
        super().setUp()
        program = backends.program(self, 'sushy-emulator')
        directory = self.useFixture(fixtures.TempDir())
        self.authority = server.Authority()
        certificate, key = self.authority.write(directory.path)
        secret = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        with open(directory.join('htpasswd'), 'w') as file:
            file.write(f'{USERNAME}:{secret}\n')
        settings = {
            'SUSHY_EMULATOR_FAKE_DRIVER': True,
            'SUSHY_EMULATOR_LISTEN_IP': '127.0.0.1',
            'SUSHY_EMULATOR_LISTEN_PORT': 0,
            'SUSHY_EMULATOR_SSL_CERT': certificate,
            'SUSHY_EMULATOR_SSL_KEY': key,
            'SUSHY_EMULATOR_AUTH_FILE': directory.join('htpasswd'),
            'SUSHY_EMULATOR_STATE_DIR': directory.path,
            'SUSHY_EMULATOR_FAKE_SYSTEMS': [
                {'uuid': f'11111111-1111-4111-8111-00000000000{index}',
                 'name': f'fake-{index}', 'power_state': 'Off',
                 'nics': [{'mac': f'00:5c:52:31:3a:0{index}',
                           'ip': f'172.22.0.{index}'}]}
                for index in (1, 2, 3)],
        }
        with open(directory.join('sushy.conf'), 'w') as file:
            file.writelines(f'{name} = {value!r}\n'
                            for name, value in settings.items())
        process = self.useFixture(Process(
            program, '--config', directory.join('sushy.conf'), '--fake'))
        line = process.first_line(lambda line: 'Running on https://' in line)
        self.url = line.split('Running on ')[1].split()[0].rstrip('/')
        self.driver = self.connect(self.url,
                                   ca_certificates=self.authority.pem)

    def test_identify(self):
        identity = self.driver.identify()
        self.assertFalse(identity.capabilities.compose)
        self.assertIn('ForceOff', identity.capabilities.reset_types)
        self.assertIn('Pxe', identity.capabilities.boot_targets)
        wrong = self.connect(self.url, username='somebody',
                             ca_certificates=self.authority.pem)
        self.assertRaises(base.Unauthorized, wrong.identify)

    def test_discover_through_the_holes(self):
        inventory = self.driver.discover()
        self.assertEqual(['fake-1', 'fake-2', 'fake-3'],
                         [one.name for one in inventory.systems])
        self.assertEqual(1, len(inventory.racks))
        self.assertEqual(3, len([one for one in inventory.devices
                                 if one.type == 'nic']))
        self.assertEqual({'Storage'}, {
            one.resource_path.rpartition('/')[2]
            for one in inventory.problems})
        self.assertEqual(inventory, self.driver.discover())

    def test_power_and_boot(self):
        handle = base.Handle(self.driver.discover().systems[0].resource_path)
        for reset, state in (('On', 'On'), ('ForceOff', 'Off')):
            self.assertEqual(base.Done(), self.driver.set_power(
                handle, reset))
            self.until(lambda state=state: self.driver.observe(
                handle).power_state == state)
        self.assertRaises(base.Refused, self.driver.set_power, handle, 'Foo')
        self.assertEqual(base.Done(), self.driver.set_boot(
            handle, 'Pxe', 'Continuous'))
        self.assertEqual('Pxe', self.driver.observe(handle).boot_target)
        self.assertRaises(base.Refused, self.driver.set_boot, handle, 'Nope',
                          'Continuous')

    def test_nothing_is_composed_or_deleted(self):
        self.assertRaises(base.Unsupported, self.driver.compose,
                          base.Spec('tag', 'name'))
        handle = base.Handle(self.driver.discover().systems[0].resource_path)
        self.assertRaises(base.Refused, self.driver.release, handle)
        self.assertIsNone(self.driver.find('tag'))
        self.assertEqual(handle.resource_path,
                         self.driver.find('fake-1').resource_path)
