# SPDX-License-Identifier: Apache-2.0
"""Is everything that is in DMTF's own mockups in the inventory?

The mockups are not part of Valence. They are looked for in the directory
that VALENCE_TEST_DATA names.
"""

import json
import os

import testtools

from valence.drivers import base
from valence.drivers.redfish import RedfishDriver
from valence.tests.functional import backends
from valence.tests.unit.drivers import server

ROOT = '/redfish/v1'
PLAIN = {'username': None, 'password': None}


class Mockup(testtools.TestCase):
    """Serves one mockup as the static files that it is."""

    name = ''

    def setUp(self):
        super().setUp()
        self.top = backends.data(self, 'mockups', self.name)
        self.server = self.useFixture(server.Server(self.handle))
        self.driver = RedfishDriver(server.endpoint(
            self.server.url, **PLAIN))
        self.addCleanup(self.driver.close)

    def handle(self, request):
        path = request.path.partition('?')[0].removeprefix(ROOT).strip('/')
        try:
            with open(os.path.join(self.top, path, 'index.json')) as file:
                return server.reply(200, json.load(file))
        except OSError:
            return server.reply(404, server.error('no such file'))

    def files(self, *where):
        """The paths of the resources right under a collection."""
        collection = '/'.join((self.top, *where))
        if not os.path.isdir(collection):
            return []
        return sorted(
            '/'.join((ROOT, *where, name)) for name in os.listdir(collection)
            if name != 'Capabilities'
            and os.path.isfile(f'{collection}/{name}/index.json'))

    def paths(self, items):
        return [one.resource_path for one in items]

    def assertAccounted(self):
        """Every chassis, system, block and zone, and no problem."""
        inventory = self.driver.discover()
        self.assertEqual((), inventory.problems)
        self.assertTrue(inventory.complete)
        self.assertEqual(self.files('Chassis'), self.paths(inventory.racks))
        self.assertEqual(self.files('Systems'),
                         self.paths(inventory.systems))
        self.assertEqual(
            self.files('CompositionService', 'ResourceBlocks'),
            self.paths(one for one in inventory.devices if one.pooled))
        self.assertEqual(
            self.files('CompositionService', 'ResourceZones'),
            self.paths(inventory.zones))
        return inventory


class Composability(Mockup):

    name = 'public-composability'

    def test_everything_is_accounted_for(self):
        inventory = self.assertAccounted()
        self.assertEqual((8, 5, 3), (len(inventory.racks), len(
            inventory.systems), len(inventory.zones)))

    def test_blocks(self):
        blocks = {one.name: one for one in self.driver.discover().devices
                  if one.pooled}
        self.assertEqual(12, len(blocks))
        self.assertEqual({
            'Compute Block 1': ('compute', 'used'),
            'Compute Block 2': ('compute', 'used'),
            'Drive Block 3': ('nvme', 'used'),
            'Drive Block 7': ('storage', 'free'),
            'Network Block 8': ('nic', 'used'),
            'Offload Block 0': ('gpu', 'free'),
            'ComputerSystem ResourceBlock 11': ('compute', 'free'),
        }, {name: (blocks[name].type.value, blocks[name].state.value)
            for name in ('Compute Block 1', 'Compute Block 2',
                         'Drive Block 3', 'Drive Block 7',
                         'Network Block 8', 'Offload Block 0',
                         'ComputerSystem ResourceBlock 11')})
        compute = blocks['Compute Block 1']
        self.assertEqual((16, 4 * 8192, 'DDR4'), (
            compute.processor_cores, compute.memory_mib,
            compute.memory_type))
        self.assertEqual((256, 4096), (
            blocks['Drive Block 3'].capacity_gib,
            blocks['Drive Block 7'].capacity_gib))
        self.assertEqual(ROOT + '/Chassis/ComposableEnclosure',
                         compute.rack_path)

    def test_zones_have_the_limits_of_the_collection(self):
        zones = {one.name: one for one in self.driver.discover().zones}
        limits = {'compute': [1, 1], 'storage': [0, 8]}
        self.assertEqual(limits, zones['Resource Zone 1'].limits)
        self.assertEqual(limits, zones['Resource Zone 2'].limits)
        self.assertEqual({}, zones['Resource Zone 3'].limits)
        self.assertEqual(6, len(zones['Resource Zone 1'].device_paths))

    def test_systems(self):
        systems = {one.resource_path.rpartition('/')[2]: one
                   for one in self.driver.discover().systems}
        composed = systems['ComposedSystem']
        self.assertTrue(composed.composed)
        self.assertEqual((16, 32768, 3), (
            composed.processor_cores, composed.memory_mib,
            len(composed.device_paths)))
        for name in ('SystemPreResourceBlock', 'SystemAfterResourceBlock',
                     'SystemAfterAddResourceAction'):
            self.assertFalse(systems[name].composed)
            self.assertRaises(base.Refused, self.driver.release, base.Handle(
                systems[name].resource_path))
        self.assertEqual([], self.server.paths('DELETE'))

    def test_identify(self):
        capabilities = self.driver.identify().capabilities
        self.assertTrue(capabilities.compose)
        self.assertIn('GracefulShutdown', capabilities.reset_types)

    def test_observe(self):
        handle = self.driver.find('Sample Composed System')
        node = self.driver.observe(handle)
        self.assertEqual(
            ['ComputeBlock1', 'DriveBlock3', 'DriveBlock4'],
            [path.rpartition('/')[2] for path in node.device_paths])


class RackMount(Mockup):

    name = 'public-rackmount1'

    def test_everything_is_accounted_for(self):
        inventory = self.assertAccounted()
        self.assertEqual((1, 1), (len(inventory.racks),
                                  len(inventory.systems)))

    def test_the_server(self):
        inventory = self.driver.discover()
        system = inventory.systems[0]
        self.assertEqual((8, 96 * 1024, 'On', False), (
            system.processor_cores, system.memory_mib, system.power_state,
            system.composed))
        self.assertEqual({'row': 'North', 'rack': 'WEB43', 'offset': 12,
                          'offset_units': 'EIA_310'},
                         inventory.racks[0].location)
        disks = [one for one in inventory.devices
                 if one.type == 'storage']
        self.assertEqual([7450, 3725], [one.capacity_gib for one in disks])

    def test_identify(self):
        capabilities = self.driver.identify().capabilities
        self.assertFalse(capabilities.compose)
        self.assertIn('Nmi', capabilities.reset_types)


class Captures(testtools.TestCase):
    """Single answers recorded from running services."""

    def capture(self, service, name):
        path = backends.data(self, 'captures', service, f'{name}.json')
        with open(path) as file:
            return json.load(file)

    def test_an_emulator_that_breaks_rules(self):
        """It sends strings for booleans and members under Links.

        Its errors are plain text, its answer to DELETE has the body 200.
        """
        blocks = ROOT + '/CompositionService/ResourceBlocks'
        composed = ROOT + '/Systems/Composed-1'
        tree = server.Tree({
            ROOT: self.capture('rie-dynamic', 'root')['body'],
            ROOT + '/CompositionService': self.capture(
                'rie-dynamic', 'compsvc')['body'],
            blocks: self.capture('rie-dynamic', 'blocks')['body'],
            blocks + '/Block-1': self.capture('rie-dynamic', 'block')['body'],
            ROOT + '/Systems': {'Members': [{'@odata.id': composed}]},
            composed: self.capture('rie-dynamic', 'composed')['body'],
        }, {('DELETE', composed): server.reply(200, self.capture(
                'rie-dynamic', 'delete-composed')['body']),
            ('POST', ROOT + '/Systems'): server.reply(400, self.capture(
                'rie-dynamic', 'compose-noid')['body'])})
        driver = RedfishDriver(server.endpoint(self.useFixture(
            server.Server(tree)).url, **PLAIN))
        inventory = driver.discover()
        self.assertFalse(inventory.complete)    # nine blocks are missing
        block = next(one for one in inventory.devices if one.pooled)
        self.assertEqual('used', block.state)   # the system says so
        self.assertTrue(inventory.systems[0].composed)
        error = self.assertRaises(base.Refused, driver.compose,
                                  base.Spec('tag', 'name'))
        self.assertIn('Missing attribute: Id', str(error))
        self.assertEqual(base.Done(), driver.release(base.Handle(composed)))

    def test_a_rack_that_contains_itself(self):
        path = ROOT + '/Chassis/Rack1'
        rack = self.capture('valence-rsd-sim', 'rack1')['body']
        tree = server.Tree({
            ROOT: {'Chassis': {'@odata.id': ROOT + '/Chassis'}},
            ROOT + '/Chassis': {'Members': [{'@odata.id': path}]},
            path: rack})
        driver = RedfishDriver(server.endpoint(self.useFixture(
            server.Server(tree)).url, **PLAIN))
        self.assertIsNone(driver.discover().racks[0].rack_path)
