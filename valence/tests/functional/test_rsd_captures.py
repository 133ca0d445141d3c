# SPDX-License-Identifier: Apache-2.0
"""Does the RSD driver understand what a vendor's simulator answered?

The captured answers are not part of Valence. They are looked for in the
directory that VALENCE_TEST_DATA names.
"""

import json
import os
import urllib.parse

import testtools

from valence.drivers import base
from valence.drivers.rsd import RsdDriver
from valence.tests.functional import backends
from valence.tests.unit.drivers import server

ROOT = '/redfish/v1'


class Captures(testtools.TestCase):
    """Each answer at the path that it was captured at, 404 elsewhere."""

    def setUp(self):
        super().setUp()
        captures = backends.data(self, 'captures', 'valence-rsd-sim')
        self.answers = {}
        for name in sorted(os.listdir(captures)):
            with open(os.path.join(captures, name)) as file:
                found = json.load(file)
            request = found['request']
            path = urllib.parse.urlsplit(request['url']).path
            known = 'Authorization' in request['headers']
            self.answers[request['method'], path, known] = found
        self.server = self.useFixture(server.Server(self.handle))
        self.driver = RsdDriver(server.endpoint(self.server.url))
        self.addCleanup(self.driver.close)

    def handle(self, request):
        known = 'authorization' in request.headers
        # The simulator answers 404 before it asks who is there.
        found = (self.answers.get((request.method, request.path, known))
                 or (None if known else self.answers['GET', ROOT, False]))
        if found is None or request.path == ROOT + '/':
            return server.reply(404, b'<h1>Not Found</h1>', {
                'Content-Type': 'text/html'})
        body = found['body']
        return server.reply(
            found['status'],
            body.encode() if isinstance(body, str) else body,
            {'Content-Type': found['headers']['Content-Type']})

    def test_identify(self):
        identity = self.driver.identify()
        self.assertTrue(identity.version.startswith('1.2.0 (inventory only'))
        self.assertFalse(identity.capabilities.compose)
        self.assertIn('Pxe', identity.capabilities.boot_targets)
        self.assertRaises(base.Unsupported, self.driver.compose,
                          base.Spec('tag', 'name'))

    def test_discover(self):
        inventory = self.driver.discover()
        racks = {one.name: one for one in inventory.racks}
        # The pod and the rack contain themselves.
        self.assertEqual(
            {'Pod1': None, 'Rack1': None, 'FLEX-1': ROOT + '/Chassis/Rack1',
             'ServerNode1': ROOT + '/Chassis/Rack1'},
            {name: one.rack_path for name, one in racks.items()})
        self.assertEqual(
            {'rack': 'Rack1', 'offset': 25, 'offset_units': 'EIA_310'},
            racks['FLEX-1'].location)
        systems = {one.resource_path: one for one in inventory.systems}
        self.assertEqual({ROOT + '/Systems/System1', ROOT + '/Nodes/Node1'},
                         set(systems))
        sled = systems[ROOT + '/Systems/System1']
        self.assertEqual((64 * 1024, ROOT + '/Chassis/Rack1'),
                         (sled.memory_mib, sled.rack_path))
        node = systems[ROOT + '/Nodes/Node1']
        self.assertTrue(node.composed)
        self.assertEqual((64 * 1024, 10), (node.memory_mib,
                                           len(node.device_paths)))
        # The others are listed, but their answers were not captured.
        listed = {one['@odata.id'] for name in ('Chassis', 'Nodes', 'Systems')
                  for one in self.answers['GET', f'{ROOT}/{name}', True][
                      'body']['Members']}
        self.assertFalse(inventory.complete)
        self.assertEqual(
            listed - set(systems) - {one.resource_path
                                     for one in inventory.racks},
            {one.resource_path for one in inventory.problems})

    def test_a_node(self):
        handle = self.driver.find('composedNode1')
        found = self.driver.observe(handle)
        self.assertEqual(('On', 'Allocated', 64 * 1024), (
            found.power_state, found.details['composed_node_state'],
            found.memory_mib))
        self.assertIn('Nmi', found.allowed_resets)
        self.assertRaises(base.Refused, self.driver.release, handle)
        self.assertEqual(1, len(self.server.paths('DELETE')))
        self.assertRaises(base.Refused, self.driver.poll,
                          self.driver.poll(self.driver.resume(handle)))
        self.assertEqual(1, len(self.server.paths('POST')))
