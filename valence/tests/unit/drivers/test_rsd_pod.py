# SPDX-License-Identifier: Apache-2.0
"""Does the RSD driver work with a simulated pod of each version?

The pod is in this process, behind a real socket. Its clock stands still
until the test lets it go on. An answer can be lost after its request took
effect.
"""

import json
import threading

import fixtures
import testtools

from valence.drivers import base
from valence.drivers.rsd import RsdDriver
from valence.simulator import pods
from valence.simulator.ledger import Ledger
from valence.simulator.rsd.generate import Shape
from valence.simulator.rsd.service import Behaviour, Service
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.server import PASSWORD, USERNAME

ROOT = '/redfish/v1'
TAG = 'valence-0f3c1b52'
VERSIONS = ('2.1', '2.3', '2.5')


class SimulatedPod(fixtures.Fixture):
    """A pod of the simulator, and its clock."""

    def __init__(self, profile='2.5', shape=None, **behaviour):
        super().__init__()
        self.profile = profile
        self.shape = shape or Shape()
        self.behaviour = {'auth': 'both', **behaviour}
        #: (method, end of the path) whose answers get lost; see _lose.
        self.losing = []
        #: The same, for requests that do not even arrive.
        self.dropping = []

    def _setUp(self):
        self.path = self.useFixture(fixtures.TempDir()).join('ledger')
        self.ledger = Ledger(self.path)
        self.addCleanup(self.ledger.close)
        self._due = []
        self._lock = threading.Lock()
        self.service = Service(
            self.shape, Behaviour(profile=self.profile, username=USERNAME,
                                  password=PASSWORD, **self.behaviour),
            pods.Site('rsd', self.ledger,
                      lambda delay, what: self._due.append(what)))
        self.server = self.useFixture(server.Server(self.handle))
        self.url = self.server.url

    def handle(self, request):
        if self._lose(self.dropping, request):
            return server.reset
        headers = {name.title(): value
                   for name, value in request.headers.items()}
        with self._lock:
            answer = self.service.handle(pods.Request(
                request.method, request.path, headers, request.body))
        if self._lose(self.losing, request):
            return server.reset
        headers = dict(answer.headers)
        if answer.status == 204:
            headers['Content-Length'] = '0'
        return server.reply(answer.status, answer.body, headers)

    @staticmethod
    def _lose(listed, request):
        for one in listed:
            if request.method == one[0] and request.path.endswith(one[1]):
                listed.remove(one)
                return True
        return False

    def tick(self):
        """Let happen what is due."""
        due, self._due = self._due, []
        with self._lock:
            for what in due:
                what()

    def change(self, what, **arguments):
        with self._lock:
            return self.service.change(what, arguments)

    def effects(self, *names):
        with open(self.path) as file:
            found = [json.loads(line) for line in file]
        return [one for one in found if one['effect'] in names]

    def sent(self, *methods):
        return [(one.method, one.path.rpartition('/')[2])
                for one in self.server.requests if one.method in methods
                and not one.path.endswith('Sessions')]


class PodCase(testtools.TestCase):

    profile = '2.5'

    def start(self, profile=None, **options):
        self.pod = self.useFixture(SimulatedPod(
            profile or self.profile, **options))
        return self.connect()

    def connect(self, **changes):
        driver = RsdDriver(server.endpoint(self.pod.url, **changes))
        self.addCleanup(driver.close)
        return driver

    def spec(self, tag=TAG, **requirements):
        return base.Spec(tag, 'web', requirements=requirements)

    def finish(self, driver, outcome, turns=40):
        """Poll, with the clock going on, as the engine would.

        A monitor goes through JSON, as it does in the database.
        """
        self.monitors = []
        while isinstance(outcome, base.Pending):
            turns -= 1
            self.assertGreater(turns, 0, self.monitors)
            self.monitors.append(outcome.monitor)
            self.pod.tick()
            outcome = driver.poll(base.Pending(
                json.loads(json.dumps(dict(outcome.monitor)))))
        return outcome

    def composed(self, driver, **requirements):
        return self.finish(driver, driver.compose(
            self.spec(**requirements))).handle


class Life(PodCase):
    """Compose, look, change, release: the pod is then as it was."""

    def life(self, **options):
        driver = self.start(**options)
        identity = driver.identify()
        self.assertEqual(self.profile + '.0', identity.version)
        self.assertTrue(identity.capabilities.compose)
        self.assertTrue(identity.capabilities.attach)
        self.assertEqual('backend', identity.capabilities.allocation)
        before = driver.discover()
        self.assertTrue(before.complete, before.problems)
        self.assertEqual((), before.zones)
        self.assertIsNone(driver.find(TAG))

        handle = self.composed(
            driver, processor={'total_cores': 8},
            memory={'capacity_mib': 1024},
            pci_device={'type': ['nvme', 'nvme']})
        self.assertEqual(handle, driver.find(TAG))
        node = driver.observe(handle)
        self.assertEqual(TAG, node.name)
        self.assertEqual('Assembled', node.details['composed_node_state'])
        self.assertIn('ForceOff', node.allowed_resets)
        during = driver.discover()
        self.assertTrue(during.complete, during.problems)
        system = next(one for one in during.systems if one.composed)
        self.assertEqual(
            (handle.resource_path, node.device_paths, node.memory_mib,
             node.processor_cores, node.processor_model),
            (system.resource_path, system.device_paths, system.memory_mib,
             system.processor_cores, system.processor_model))
        devices = {one.resource_path: one for one in during.devices}
        self.assertEqual({'used'}, {
            devices[path].state.value for path in node.device_paths})
        sleds = [path for path in node.device_paths
                 if devices[path].type == 'compute']
        self.assertEqual(1, len(sleds))
        self.assertGreaterEqual(devices[sleds[0]].processor_cores, 8)
        # What the backend chose was known before Assemble was sent.
        sent = next(one for one in self.monitors if one['sent'])
        before_sent = self.monitors[self.monitors.index(sent) - 1]
        self.assertFalse(before_sent['sent'])
        self.assertEqual(list(node.device_paths), before_sent['resources'])

        self.assertEqual(base.Done(), driver.set_power(handle, 'On'))
        self.pod.tick()
        self.assertEqual('On', driver.observe(handle).power_state)
        self.assertRaises(base.Refused, driver.set_power, handle, 'Dance')
        self.assertEqual(base.Done(),
                         driver.set_boot(handle, 'Pxe', 'Once'))
        node = driver.observe(handle)
        self.assertEqual(('Pxe', 'Once'),
                         (node.boot_target, node.boot_enabled))
        driver.set_boot(handle, 'Pxe', 'Disabled')
        self.assertEqual('Disabled', driver.observe(handle).boot_enabled)
        self.assertRaises(base.Refused, driver.set_boot, handle, 'Moon',
                          'Once')
        self.assertEqual(base.Done(), driver.release(handle))
        self.assertIsNone(driver.observe(handle))
        self.assertIsNone(driver.find(TAG))
        self.assertEqual(base.Done(), driver.release(handle))
        self.assertEqual(before, driver.discover())
        self.assertEqual(
            {'allocate': 1, 'assemble': 1, 'delete': 1, 'boot': 2},
            {name: len(self.pod.effects(name)) for name in (
                'allocate', 'assemble', 'delete', 'boot')})

    def attach(self, kind):
        driver = self.start()
        handle = self.composed(driver)
        self.finish(driver, driver.compose(self.spec('other')))
        home = driver.observe(handle).device_paths
        rack = next(one.rack_path for one in driver.discover().systems
                    if one.composed and one.resource_path
                    == handle.resource_path)
        device = next(one for one in driver.discover().devices
                      if one.type == kind and one.pooled
                      and one.state == 'free'
                      and one.rack_path in (None, rack)).resource_path
        self.assertEqual(base.Done(), self.finish(
            driver, driver.attach(handle, device)))
        self.assertIn(device, driver.observe(handle).device_paths)
        self.assertEqual(base.Done(), driver.attach(handle, device))
        self.assertRaises(base.Refused, driver.attach,
                          driver.find('other'), device)
        found = next(one for one in driver.discover().devices
                     if one.resource_path == device)
        self.assertEqual('used', found.state)
        self.assertEqual(base.Done(), self.finish(
            driver, driver.detach(handle, device)))
        self.assertEqual(home, driver.observe(handle).device_paths)
        self.assertEqual(base.Done(), driver.detach(handle, device))
        self.assertEqual([device, device], [
            one['resource'] for one in self.pod.effects('attach',
                                                        'detach')])
        self.assertEqual([], [
            one for one in self.pod.effects('refused')
            if one['status'] == 400])

    def crash(self, losing):
        """The answer to one mutation is lost after it took effect."""
        driver = self.start()
        self.pod.losing.append(losing)
        if losing[1] == 'Allocate':
            self.assertRaises(base.Ambiguous, driver.compose, self.spec())
            handle = driver.find(TAG)
            self.assertIsNotNone(handle)
            done = self.finish(driver, driver.resume(handle))
        else:
            done = self.finish(driver, driver.compose(self.spec()))
            handle = done.handle
        self.assertEqual(base.Done(handle), done)
        self.assertEqual('Assembled', driver.observe(handle).details[
            'composed_node_state'])
        if losing[0] == 'DELETE':
            self.assertRaises(base.Ambiguous, driver.release, handle)
            self.assertIsNone(driver.observe(handle))
        self.assertEqual(base.Done(), driver.release(handle))
        self.assertEqual([], self.pod.losing)
        self.assertEqual((1, 1, 1), tuple(len(self.pod.effects(name))
                                          for name in ('allocate', 'assemble',
                                                       'delete')))
        self.assertEqual(
            [('POST', 'Allocate'), ('POST', 'ComposedNode.Assemble'),
             ('DELETE', '1')], self.pod.sent('POST', 'DELETE'))


for version in VERSIONS:
    # The same for each version; names tell which one failed.
    def make(version, method, *args, **options):
        def test(self):
            self.profile = version
            getattr(self, method)(*args, **options)
        return test

    short = version.replace('.', '_')
    for name, method, args, options in (
            ('life', 'life', (), {}),
            ('life_basic', 'life', (), {'auth': 'basic'}),
            ('life_pages', 'life', (), {'page_size': 3}),
            ('life_absolute', 'life', (), {'scheme': 'http'}),
            ('life_at_once', 'life', (), {
                'allocate_delay': 0.0, 'assemble_delay': 0.0}),
            ('attach_drive', 'attach', ('nvme',), {}),
            ('lost_allocate', 'crash', (('POST', 'Allocate'),), {}),
            ('lost_assemble', 'crash', (('POST', '.Assemble'),), {}),
            ('lost_delete', 'crash', (('DELETE', '/1'),), {})):
        setattr(Life, f'test_{name}_{short}',
                make(version, method, *args, **options))
    if version != '2.1':
        setattr(Life, f'test_attach_volume_{short}',
                make(version, 'attach', 'storage'))
    del make


class Trouble(PodCase):

    def test_no_resources(self):
        driver = self.start()
        error = self.assertRaises(
            base.Refused, driver.compose,
            self.spec(processor={'total_cores': 100000}))
        self.assertEqual(409, error.status)
        self.assertIn('ComposedNode', str(error))
        self.assertEqual([], self.pod.effects('allocate'))

    def test_requirements_are_met(self):
        for profile in VERSIONS[1:]:
            driver = self.start(profile, shape=Shape(sleds=12))
            handle = self.composed(
                driver, memory={'type': 'DDR4', 'capacity_mib': 70000},
                processor={'total_cores': 20},
                pci_device={'type': ['gpu', 'nic', 'nvme', 'storage']})
            node = driver.observe(handle)
            self.assertGreaterEqual(node.memory_mib, 70000)
            self.assertGreaterEqual(node.processor_cores, 20)
            self.assertTrue([one for one in node.device_paths
                             if one.endswith('GPU1')])

    def test_a_restart_of_the_podm_fails_the_node(self):
        for profile in VERSIONS:
            for turns in (0, 2):
                driver = self.start(profile)
                outcome = driver.compose(self.spec())
                for _ in range(turns):
                    self.pod.tick()
                    outcome = driver.poll(outcome)
                self.pod.change('restart')
                error = self.assertRaises(base.Refused, driver.poll, outcome)
                self.assertIn('Failed', str(error))
                handle = driver.find(TAG)
                self.assertEqual(base.Done(), driver.release(handle))
                self.assertIsNone(driver.find(TAG))

    def test_assemble_that_never_arrives(self):
        driver = self.start()
        self.pod.dropping.append(('POST', '.Assemble'))
        self.assertRaises(base.Ambiguous, self.finish, driver,
                          driver.compose(self.spec()))
        self.assertEqual([], self.pod.effects('assemble'))
        # Whoever decides to go on all the same can.
        self.finish(driver, driver.resume(driver.find(TAG)))
        self.assertEqual(1, len(self.pod.effects('assemble')))

    def test_allocate_that_never_arrives(self):
        driver = self.start()
        self.pod.dropping.append(('POST', 'Allocate'))
        self.assertRaises(base.Ambiguous, driver.compose, self.spec())
        self.assertIsNone(driver.find(TAG))

    def test_two_owners_assemble_once(self):
        """The monitor of one that died before it recorded the sending."""
        driver = self.start(allocate_delay=0.0)
        old = driver.compose(self.spec())
        self.assertTrue(old.monitor['resources'])
        new = driver.poll(old)
        self.assertTrue(new.monitor['sent'])
        again = driver.poll(old)
        self.assertFalse(again.monitor['sent'])
        self.finish(driver, again)
        self.assertEqual(1, len(self.pod.effects('assemble')))

    def test_a_node_in_motion_cannot_go_yet(self):
        for profile in VERSIONS:
            driver = self.start(profile)
            outcome = driver.compose(self.spec())
            going = driver.release(driver.find(TAG))
            self.assertIsInstance(driver.poll(going), base.Pending)
            self.assertEqual([], self.pod.sent('DELETE'))
            self.assertEqual(base.Done(), self.finish(driver, going))
            self.assertRaises(base.NotFound, driver.poll, outcome)
            self.assertEqual(1, len(self.pod.effects('delete')))

    def test_power_before_assembly_is_refused(self):
        driver = self.start()
        driver.compose(self.spec())
        self.pod.tick()
        error = self.assertRaises(base.Refused, driver.set_power,
                                  driver.find(TAG), 'On')
        self.assertEqual(409, error.status)

    def test_a_missing_system(self):
        for profile in VERSIONS:
            driver = self.start(profile)
            handle = self.composed(driver)
            sled = next(one for one in driver.observe(handle).device_paths
                        if one.startswith(ROOT + '/Systems/')
                        and one.count('/') == 4)
            self.pod.change('missing', system=sled)
            error = self.assertRaises(base.Busy, driver.set_power, handle,
                                      'On')
            self.assertEqual(30, error.retry_after)
            self.assertEqual('Critical', driver.observe(handle).health)
            if profile == '2.5':
                self.assertEqual(base.Done(), driver.release(handle))
                self.assertTrue(self.pod.effects('delete')[0]['force'])
            else:
                self.assertRaises(base.Refused, driver.release, handle)
            self.pod.change('missing', system=sled, missing=False)
            self.assertEqual(base.Done(), driver.release(handle))
            self.assertEqual(1, len(self.pod.effects('delete')))

    def test_anothers_node_is_not_touched(self):
        driver = self.start()
        path = self.composed(driver).resource_path
        handle = base.Handle(path, {'tag': 'not-this'})
        self.assertIsNone(driver.observe(handle))
        for call in (lambda: driver.release(handle),
                     lambda: driver.set_power(handle, 'On'),
                     lambda: driver.set_boot(handle, 'Pxe', 'Once'),
                     lambda: driver.attach(handle, ROOT + '/x')):
            self.assertRaises(base.Refused, call)
        self.assertEqual([], self.pod.effects('delete', 'reset', 'boot',
                                              'attach'))

    def test_lost_answers_of_other_mutations(self):
        driver = self.start()
        handle = self.composed(driver)
        device = next(one.resource_path for one in driver.discover().devices
                      if one.type == 'storage' and one.pooled)
        for losing, call in (
                (('POST', '.Reset'), lambda: driver.set_power(handle, 'On')),
                (('PATCH', '/1'), lambda: driver.set_boot(handle, 'Pxe',
                                                          'Once')),
                (('POST', '.AttachResource'),
                 lambda: driver.attach(handle, device)),
                (('POST', '.DetachResource'),
                 lambda: driver.detach(handle, device))):
            self.pod.losing.append(losing)
            self.assertRaises(base.Ambiguous, call)
        self.pod.tick()
        self.assertEqual((1, 1, 1), tuple(len(self.pod.effects(name))
                                          for name in ('boot', 'attach',
                                                       'detach')))
        self.assertEqual(base.Done(), driver.detach(handle, device))

    def test_wrong_password(self):
        self.start()
        for mode in ('session', 'basic', 'auto'):
            driver = self.connect(username='somebody', properties={
                'authentication': mode})
            self.assertRaises(base.Unauthorized, driver.identify)
            self.assertRaises(base.Unauthorized, driver.discover)

    def test_no_authentication(self):
        self.start(auth='none')
        driver = self.connect(username=None, password=None)
        self.assertIsNotNone(self.composed(driver))

    def test_two_nodes_share_nothing(self):
        driver = self.start()
        first = self.composed(driver)
        second = self.finish(driver, driver.compose(
            self.spec('another'))).handle
        self.assertEqual(set(), set(driver.observe(first).device_paths)
                         & set(driver.observe(second).device_paths))

    def test_a_large_pod(self):
        driver = self.start(shape=Shape(sleds=200, nvme=200, volumes=50),
                            page_size=50)
        inventory = driver.discover()
        self.assertTrue(inventory.complete, inventory.problems)
        self.assertEqual(450, len([one for one in inventory.devices
                                   if one.pooled]))
