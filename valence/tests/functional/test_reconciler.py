# SPDX-License-Identifier: Apache-2.0
"""What Valence makes of hardware that somebody else has changed.

The processes are real ones; the changes are made behind Valence's back, by
the simulator's admin endpoint. That Valence itself changes no hardware is
read from the simulator's ledger.
"""

import json
import pathlib
import sys
import types

import fixtures
import requests
import sqlalchemy as sa
import testtools

from valence.db import models
from valence.db.engine import Database
from valence.simulator.admin_client import AdminClient
from valence.tests.functional.processes import (
    PATIENCE,
    Deployment,
    Process,
    Simulator,
    living,
    wait_for,
)

SMALL = {'processor': {'total_cores': 1}}
#: Effects that change what is joined.
_CHANGES = ('compose', 'decompose', 'attach', 'detach')


class Reconciler(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.deployment = self.useFixture(Deployment(
            self, 'postgresql', conductor={
                'poll_interval': 0.2, 'sync_interval': 3600}))
        self.pod = self.useFixture(Simulator(
            '--power-delay', '0', '--admin-port', '0', '--compute', '10',
            '--nvme', '10'))
        self.admin = AdminClient(json.loads(self.pod.process.out)['admin'])
        self.client = self.deployment.start_api()
        self.deployment.start_conductors(self.client, 1)
        self.registered = self.client.register(self.pod)

    def scan(self):
        path = f'/v1/pod_managers/{self.registered["uuid"]}'
        self.client.done(self.client.post(f'{path}/sync'))
        return self.client.get(path)

    def drift(self, **only):
        query = '&'.join(f'{name}={value}' for name, value in only.items())
        return self.client.get(f'/v1/drift?{query}')['drift']

    def one(self):
        found, = self.drift()
        return found

    def reconciled(self, count=1):
        """The newest reconciler, once there have been so many."""
        def all_ended():
            found = self.client.get(
                '/v1/operations?kind=reconcile&all_projects=true'
                '&fields=uuid,state')['operations']
            return len(found) >= count and all(
                one['state'] == 'succeeded' for one in found) and found
        newest = wait_for('the reconciler has ended', all_ended)[-1]
        return self.client.get(f'/v1/operations/{newest["uuid"]}')

    def composed(self, name='n1'):
        answer = self.client.post('/v1/nodes', {
            'name': name, 'properties': SMALL})
        self.client.done(answer)
        return self.client.get(f'/v1/nodes/{answer["node"]["uuid"]}')

    def node(self, node):
        return self.client.get(f'/v1/nodes/{node["uuid"]}')

    def changes(self):
        """What was joined and taken apart by Valence, by the ledger."""
        return [entry for entry in self.pod.ledger(*_CHANGES)
                if entry.get('origin') != 'admin']

    def replace(self, node, *blocks):
        """Make the node's system out of other blocks."""
        self.admin.change('decompose', system=node['resource_path'])
        self.admin.change('reuse-ids')
        self.assertEqual(
            node['resource_path'], self.admin.change(
                'compose', name=f'valence-{node["uuid"]}',
                blocks=list(blocks))['system'])

    def block(self, node):
        device, = node['devices']
        return device['resource_path']

    def test_a_mismatch_is_quarantined(self):
        node = self.composed()
        before = self.changes()
        # One bad scan does nothing.
        self.replace(node, self.block(node), 'nvme-1')
        self.scan()
        self.assertEqual(('mismatch', 'seen', None, node['uuid']), tuple(
            self.one()[name] for name in ('kind', 'state', 'action',
                                          'node')))
        self.replace(node, self.block(node))
        self.scan()
        self.assertEqual([], self.drift())
        # Two do.
        self.replace(node, self.block(node), 'nvme-1')
        self.scan()
        self.assertEqual('active', self.node(node)['state'])
        self.scan()
        self.assertEqual({'quarantined': [node['uuid']]},
                         self.reconciled()['result'])
        found = self.node(node)
        self.assertEqual('error', found['state'])
        self.assertIn('nvme-1', found['state_reason'])
        self.assertEqual(node['devices'], found['devices'])
        finding = self.one()
        self.assertEqual(('confirmed', 'quarantined'),
                         (finding['state'], finding['action']))
        self.assertEqual(finding, self.client.get(
            f'/v1/drift/{finding["uuid"]}'))
        # Out of it: not while it differs, and then after a look.
        reset = {'reset-state': {'state': 'active'}}
        path = f'/v1/nodes/{node["uuid"]}/action'
        ended = self.client.operation(
            self.client.post(path, reset)['operation']['uuid'])
        self.assertEqual('hardware_mismatch', ended['error']['code'])
        self.replace(node, self.block(node))
        self.client.done(self.client.post(path, reset))
        self.assertEqual('active', self.node(node)['state'])
        self.assertEqual(before, self.changes())

    def test_what_is_gone_is_freed(self):
        node = self.composed()
        before = self.changes()
        self.admin.change('decompose', system=node['resource_path'])
        self.scan()
        self.assertEqual(1, len(self.node(node)['devices']))
        self.scan()
        self.assertEqual({'freed': [node['uuid']]},
                         self.reconciled()['result'])
        found = self.node(node)
        self.assertEqual(('error', []), (found['state'], found['devices']))
        self.assertIn('hardware_gone', found['state_reason'])
        self.scan()
        self.assertEqual([], self.drift())
        # Somebody else may have the device now.
        self.admin.change('compose', name='theirs',
                          blocks=[self.block(node)])
        self.client.done(self.client.request(
            'DELETE', f'/v1/nodes/{node["uuid"]}').json())
        self.assertEqual(before, self.changes())

    def test_orphans_are_adopted(self):
        node, other = self.composed(), self.composed('n2')
        before = self.changes()
        answer = self.client.request(
            'DELETE', f'/v1/pod_managers/{self.registered["uuid"]}'
            '?force=true')
        self.assertEqual(204, answer.status_code)
        with Database(self.deployment.database.url).write() as conn:
            conn.execute(sa.delete(models.Operation.__table__).where(
                models.Operation.node_uuid == other['uuid']))
        self.registered = self.client.register(self.pod)
        self.assertEqual({'orphan'}, {one['kind'] for one in self.drift()})
        self.assertEqual([], self.client.get('/v1/nodes')['nodes'])
        self.scan()
        self.assertEqual({node['uuid'], other['uuid']}, set(
            self.reconciled()['result']['adopted']))
        found = self.node(node)
        for name in ('state', 'name', 'project_id', 'user_id',
                     'requirements', 'resource_path', 'managed_by',
                     'power_state', 'operation'):
            self.assertEqual(node[name], found[name], name)
        self.assertEqual(
            [device['resource_path'] for device in node['devices']],
            [device['resource_path'] for device in found['devices']])
        found = self.node(other)
        self.assertEqual(
            ('valence', f'adopted-{other["uuid"][:8]}', 'active'),
            (found['project_id'], found['name'], found['state']))
        self.scan()
        self.assertEqual([], self.drift())
        self.assertEqual(before, self.changes())
        # They are nodes like any other.
        for one in (node, other):
            self.client.done(self.client.request(
                'DELETE', f'/v1/nodes/{one["uuid"]}').json())
        self.assertEqual(2, len(self.pod.ledger('decompose')))

    def test_foreign_ones_are_reported(self):
        theirs = self.admin.change('compose', name='theirs',
                                   blocks=['compute-1'])['system']
        for _ in range(3):
            self.scan()
        finding, = self.drift(kind='foreign')
        self.assertEqual((theirs, None, 'confirmed', None), tuple(
            finding[name] for name in ('resource_path', 'node', 'state',
                                       'action')))
        self.assertEqual([], self.drift(kind='orphan'))
        self.assertEqual([], self.changes())

    def test_nothing_is_done_when_much_vanished(self):
        node = self.composed()
        before = self.changes()
        self.admin.change('decompose', system=node['resource_path'])
        lost = [device['resource_path'] for device in self.client.get(
            '/v1/devices?type=nvme&pooled=true')['devices']]
        self.admin.change('vanish', blocks=lost)
        for _ in range(3):
            pod = self.scan()
            self.assertEqual('suspended', self.one()['state'])
            self.assertIn('more than a fifth', pod['status_reason'])
        self.assertEqual('active', self.node(node)['state'])
        self.assertEqual([], self.client.get(
            '/v1/operations?kind=reconcile&all_projects=true')['operations'])
        self.admin.change('return', blocks=lost)
        self.assertIsNone(self.scan()['status_reason'])
        self.assertEqual('seen', self.one()['state'])
        self.scan()
        self.assertEqual({'freed': [node['uuid']]},
                         self.reconciled()['result'])
        self.assertEqual(before, self.changes())

    def test_a_pod_manager_that_forgot_all_nodes(self):
        made = [self.composed(f'n{number}') for number in range(4)]
        before = self.changes()
        self.scan()
        for node in made:
            self.admin.change('decompose', system=node['resource_path'])
        for _ in range(3):
            self.assertIn('more than a fifth of its nodes',
                          self.scan()['status_reason'])
        self.assertEqual({('gone', 'suspended', None)}, {
            (one['kind'], one['state'], one['action'])
            for one in self.drift()})
        self.assertEqual([('active', 1)] * 4, [
            (found['state'], len(found['devices']))
            for found in map(self.node, made)])
        # They are gone for good: the way out.
        for node in made:
            self.client.done(self.client.request(
                'DELETE', f'/v1/nodes/{node["uuid"]}').json())
        self.assertIsNone(self.scan()['status_reason'])
        self.assertEqual([], self.drift())
        self.assertEqual(before, self.changes())


class Servers(testtools.TestCase):
    """Nodes that are made onto servers that are there, and carry no tag."""

    def setUp(self):
        super().setUp()
        self.deployment = self.useFixture(Deployment(
            self, 'postgresql', conductor={
                'poll_interval': 0.2, 'sync_interval': 3600, 'lease': 3}))
        self.pod = self.useFixture(Simulator(
            '--power-delay', '0', '--zones', '1', '--systems', '2',
            '--expandable', '--attach', 'action', '--composition-styles',
            'none'))
        self.client = self.deployment.start_api()
        self.conductor, = self.deployment.start_conductors(self.client, 1)
        self.registered = self.client.register(self.pod)

    def arm(self):
        """A conductor that dies after its first change of hardware, once;
        another takes its place.
        """
        self.conductor.kill()
        once = pathlib.Path(self.deployment.directory, 'once')
        once.touch()
        self.conductor, = self.deployment.start_conductors(
            self.client, 1, VALENCE_FAULT='K6:1:kill',
            VALENCE_FAULT_ONCE=str(once))
        return once

    def composed(self, name='n1'):
        """A node by a flavor; with the operation."""
        self.client.post('/v1/flavors', {'name': name, 'properties': {
            'processor': {'total_cores': 1},
            'pci_device': {'type': ['nvme', 'gpu']}}})
        answer = self.client.post('/v1/nodes', {'name': name,
                                                'flavor': name})
        ended = self.client.done(answer)
        return self.client.get(f'/v1/nodes/{answer["node"]["uuid"]}'), ended

    def scan(self):
        self.client.done(self.client.post(
            f'/v1/pod_managers/{self.registered["uuid"]}/sync'))

    def drift(self):
        return [(one['kind'], one['node'], one['action'])
                for one in self.client.get('/v1/drift')['drift']]

    def paths(self, node):
        return {one['type']: one['resource_path'] for one in node['devices']}

    def by_hand(self, action, node, block):
        """Somebody else does it."""
        with requests.Session() as session:
            session.trust_env = False
            session.post(
                f'{self.pod.url.removesuffix("/redfish/v1")}'
                f'{node["resource_path"]}/Actions/ComputerSystem.{action}',
                json={'ResourceBlock': {'@odata.id': block}},
                auth=(self.pod.username, self.pod.password),
                timeout=PATIENCE).raise_for_status()

    def changes(self):
        return [entry['effect'] for entry in self.pod.ledger(*_CHANGES)]

    def quarantined(self, node):
        """Two scans and a look show it; nothing is changed."""
        before = self.changes()
        for _ in range(2):
            self.assertEqual('active', self.client.get(
                f'/v1/nodes/{node["uuid"]}')['state'])
            self.scan()
        wait_for('it is quarantined', lambda: self.drift() == [
            ('mismatch', node['uuid'], 'quarantined')])
        found = self.client.get(f'/v1/nodes/{node["uuid"]}')
        self.assertEqual(('error', node['devices']),
                         (found['state'], found['devices']))
        self.assertEqual(before, self.changes())
        return found

    def verify(self, node, succeeds=True):
        ended = self.client.operation(self.client.post(
            f'/v1/nodes/{node["uuid"]}/action', {
                'reset-state': {'state': 'active'}})['operation']['uuid'])
        self.assertEqual(succeeds, ended['state'] == 'succeeded', ended)
        return ended

    def test_a_conductor_is_killed_in_the_middle(self):
        once = self.arm()
        node, ended = self.composed()
        self.assertFalse(once.exists())
        self.assertGreater(ended['attempts'], 1)
        self.assertEqual(['attach', 'attach'], self.changes())
        self.assertEqual({'compute', 'nvme', 'gpu'}, set(self.paths(node)))
        self.assertEqual(
            node['resource_path'].rpartition('/')[2],
            self.paths(node)['compute'].rpartition('/')[2])
        self.scan()
        self.assertEqual([], self.drift())
        once = self.arm()
        self.client.done(self.client.request(
            'DELETE', f'/v1/nodes/{node["uuid"]}').json())
        self.assertFalse(once.exists())
        self.assertEqual(['attach'] * 2 + ['detach'] * 2, self.changes())
        self.scan()
        self.assertEqual([], self.client.get(
            '/v1/devices?state=used&pooled=true')['devices'])

    def test_what_others_do_to_it(self):
        node, _ = self.composed()
        own = self.paths(node)
        # One of its blocks goes, and comes back.
        self.by_hand('RemoveResourceBlock', node, own['nvme'])
        found = self.quarantined(node)
        self.assertIn(own['nvme'], found['state_reason'])
        self.assertEqual('hardware_mismatch', self.verify(
            node, succeeds=False)['error']['code'])
        self.by_hand('AddResourceBlock', node, own['nvme'])
        self.verify(node)
        self.scan()
        self.assertEqual([], self.drift())
        # One comes that is not asked for, and stays when the node goes.
        theirs = next(one['resource_path'] for one in self.client.get(
            '/v1/devices?type=nic&pooled=true')['devices'])
        self.by_hand('AddResourceBlock', node, theirs)
        self.quarantined(node)
        self.client.done(self.client.request(
            'DELETE', f'/v1/nodes/{node["uuid"]}').json())
        self.scan()
        self.assertEqual({own['compute'], theirs}, {
            one['resource_path'] for one in self.client.get(
                '/v1/devices?state=used&pooled=true')['devices']})
        # That server is theirs now: the next node is on the other one.
        other, _ = self.composed('n2')
        self.assertNotEqual(node['resource_path'], other['resource_path'])
        # All of its blocks go.
        for kind in ('nvme', 'gpu'):
            self.by_hand('RemoveResourceBlock', other,
                         self.paths(other)[kind])
        self.quarantined(other)
        before = self.changes()
        self.client.done(self.client.request(
            'DELETE', f'/v1/nodes/{other["uuid"]}').json())
        self.assertEqual(before, self.changes())
        self.scan()
        self.assertEqual([], self.drift())


class Unfinished(testtools.TestCase):
    """A node that its pod manager has allocated and nobody has assembled."""

    def setUp(self):
        super().setUp()
        self.deployment = self.useFixture(Deployment(
            self, 'postgresql', conductor={
                'poll_interval': 0.2, 'sync_interval': 3600},
            drivers={'enabled_drivers': 'rsd'}))
        directory = self.useFixture(fixtures.TempDir()).path
        self.ledger = pathlib.Path(directory, 'ledger')
        process = self.useFixture(Process(
            'simulator', sys.executable, '-m', 'valence.simulator',
            '--pod', 'rsd,username=pod,password=secret,allocate-delay=0,'
            f'ledger={self.ledger}'))
        wait_for('the simulator prints its address',
                 lambda: process.out.endswith('\n') or not process.alive())
        self.pod = types.SimpleNamespace(
            url=json.loads(process.out)['url'], username='pod',
            password='secret')
        self.client = self.deployment.start_api()

    def effects(self):
        found = map(json.loads, self.ledger.read_text().splitlines())
        return [one['effect'] for one in found
                if one['effect'] in ('allocate', 'assemble', 'delete')]

    def scan(self):
        self.client.done(self.client.post(
            f'/v1/pod_managers/{self.registered["uuid"]}/sync'))

    def drift(self):
        return [tuple(one[name] for name in ('kind', 'node', 'action'))
                for one in self.client.get('/v1/drift')['drift']]

    def register(self):
        self.registered = self.client.register(self.pod, driver='rsd')

    def allocated(self):
        """A node whose compose was cut off and abandoned there."""
        conductor = self.deployment.start(
            'valence-conductor', VALENCE_FAULT='K9:1:stop')
        wait_for('the conductor is up', lambda: living(self.client))
        self.register()
        asked = self.client.post('/v1/nodes', {
            'name': 'n1', 'properties': SMALL})
        path = f'/v1/operations/{asked["operation"]["uuid"]}'
        wait_for('the allocation is written down', lambda: [
            one for one in self.client.get(path)['steps']
            if one['state'] == 'pending'])
        conductor.kill()
        self.client.post(f'{path}/abandon')
        self.deployment.start_conductors(self.client, 1)
        return asked['node']['uuid']

    def test_it_does_not_become_active(self):
        uuid = self.allocated()
        node = f'/v1/nodes/{uuid}'
        # While it has a node, that stays in error.
        for _ in range(2):
            self.scan()
        self.assertEqual([('mismatch', uuid, None)], self.drift())
        self.assertEqual('error', self.client.get(node)['state'])
        # One whose node is not known any more gets one, in error too.
        self.client.request(
            'DELETE', f'/v1/pod_managers/{self.registered["uuid"]}'
            '?force=true').raise_for_status()
        self.register()
        self.scan()
        wait_for('it is adopted', lambda: self.drift() == [
            ('orphan', uuid, 'adopted')])
        found = self.client.get(node)
        self.assertEqual('error', found['state'])
        self.assertIn('Allocated', found['state_reason'])
        self.assertNotEqual([], found['devices'])
        # Nobody's word makes it active.
        ended = self.client.operation(self.client.post(f'{node}/action', {
            'reset-state': {'state': 'active'}})['operation']['uuid'])
        self.assertEqual('hardware_mismatch', ended['error']['code'])
        self.assertEqual('error', self.client.get(node)['state'])
        # The way out.
        self.client.done(self.client.request('DELETE', node).json())
        self.scan()
        self.assertEqual([], self.drift())
        self.assertEqual(['allocate', 'delete'], self.effects())


class OtherDrivers(testtools.TestCase):

    def test_nothing_differs_where_nothing_was_changed(self):
        deployment = self.useFixture(Deployment(
            self, 'sqlite', conductor={
                'poll_interval': 0.2, 'sync_interval': 3600},
            drivers={'enabled_drivers': 'redfish,rsd,expether'}))
        client = deployment.start_api()
        deployment.start_conductors(client, 1)
        process = self.useFixture(Process(
            'simulator', sys.executable, '-m', 'valence.simulator',
            '--username', 'pod', '--password', 'secret',
            '--pod', 'rsd', '--pod', 'eem'))
        wait_for('the simulator prints its addresses',
                 lambda: process.out.endswith('\n') or not process.alive())
        urls = json.loads(process.out)['pods']
        for driver, kind in (('rsd', 'rsd'), ('expether', 'eem')):
            pod = types.SimpleNamespace(
                url=urls[kind], username='pod', password='secret')
            registered = client.register(pod, name=driver, driver=driver)
            client.done(client.post('/v1/nodes', {
                'name': driver, 'pod_manager': driver, 'properties': {
                    'pci_device': {'type': ['nvme']}}}))
            for _ in range(2):
                client.done(client.post(
                    f'/v1/pod_managers/{registered["uuid"]}/sync'))
            self.assertEqual([], [
                one for one in client.get(
                    f'/v1/drift?pod_manager={driver}')['drift']
                if one['kind'] != 'foreign'], driver)
