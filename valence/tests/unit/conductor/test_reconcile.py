# SPDX-License-Identifier: Apache-2.0
"""What becomes of differences: only what is certain, and never hardware."""

import dataclasses

import sqlalchemy as sa

from valence import remedies, requests
from valence.conductor.operations.base import Settings
from valence.db import models, operations, pod_managers
from valence.drivers import base
from valence.tests.unit.conductor.fakes import REQUESTER, EngineTest


class _Reconcile(EngineTest):

    def setUp(self):
        super().setUp()
        self.uuid, self.driver = self.pod()
        self.running = self.engine(Settings(adoption_project='found'))
        self.extra = ()
        self.lost = set()
        self.complete = True
        self.devices = 12
        self.driver.discover = self.discover

    def discover(self):
        return base.Inventory(
            systems=(*(base.System(
                f'/s/{tag}', tag, composed=True, device_paths=paths, tag=tag)
                for tag, paths in self.driver.systems.items()), *self.extra),
            devices=tuple(base.Device(
                path, path, 'compute', processor_cores=1, zone_paths=('/z',))
                for path in (*(f'/d/{number}' for number in range(
                    self.devices)), '/n/1', '/n/2')
                if path not in self.lost), complete=self.complete)

    def end(self, operation):
        self.running.ring(operation)
        return self.ended(operation)

    def scan(self, times=1):
        for _ in range(times):
            operation = self.database.run(requests.sync, REQUESTER,
                                          self.uuid)
            self.assertEqual('succeeded', self.end(operation)['state'])

    def composed(self, name='n'):
        node, operation = self.compose(name)
        self.assertEqual('succeeded', self.end(operation)['state'])
        return node

    def drift(self):
        with self.database.read() as conn:
            return [dict(row) for row in conn.execute(
                sa.select(models.Drift.__table__)
                .order_by(models.Drift.id)).mappings()]

    def one(self):
        row, = self.drift()
        return row

    def reconciled(self):
        """The newest of the reconcilers, once it has ended."""
        def newest():
            with self.database.read() as conn:
                return conn.scalar(
                    sa.select(models.Operation.uuid)
                    .where(models.Operation.kind == 'reconcile')
                    .order_by(models.Operation.id.desc()).limit(1))
        ended = self.end(self.until('there is a reconciler', newest))
        self.assertEqual('succeeded', ended['state'], ended)
        return ended

    def reconcilers(self):
        with self.database.read() as conn:
            return conn.scalar(
                sa.select(sa.func.count()).select_from(models.Operation)
                .where(models.Operation.kind == 'reconcile'))

    def node(self, uuid):
        return self.row(models.Node, uuid)

    def change(self, node, *devices):
        self.driver.systems[f'valence-{node}'] = devices


class Mismatch(_Reconcile):

    def setUp(self):
        super().setUp()
        self.uuid_of_node = self.composed()
        self.whole = self.driver.systems[f'valence-{self.uuid_of_node}']

    def test_two_scans_and_a_look(self):
        self.change(self.uuid_of_node, *self.whole, '/d/9')
        self.scan()
        self.assertEqual(('mismatch', 'seen', None), (
            self.one()['kind'], self.one()['state'], self.one()['action']))
        self.assertEqual('active', self.node(self.uuid_of_node)['state'])
        self.scan()
        ended = self.reconciled()
        self.assertEqual({'quarantined': [self.uuid_of_node]},
                         ended['result'])
        row = self.one()
        self.assertEqual(('confirmed', 'quarantined', ended['uuid']), (
            row['state'], row['action'], row['operation_uuid']))
        self.assertEqual(['/d/9'], row['details']['not_asked_for'])
        node = self.node(self.uuid_of_node)
        self.assertEqual('error', node['state'])
        self.assertIn('not asked for: /d/9', node['state_reason'])
        self.assertEqual(list(self.whole), self.claims())
        self.assertNotIn('release', self.driver.calls)
        # Once is enough, and the way out is open.
        self.scan()
        self.assertEqual(1, self.reconcilers())
        self.change(self.uuid_of_node, *self.whole)
        self.scan()
        self.assertEqual([], self.drift())
        self.end(self.database.run(remedies.verify, REQUESTER,
                                   self.uuid_of_node))
        self.assertEqual('active', self.node(self.uuid_of_node)['state'])

    def test_one_bad_scan(self):
        self.change(self.uuid_of_node)
        self.scan()
        self.change(self.uuid_of_node, *self.whole)
        self.scan(2)
        self.assertEqual(([], 0), (self.drift(), self.reconcilers()))

    def test_each_scan_another(self):
        for device in ('/d/8', '/d/9', '/d/8'):
            self.change(self.uuid_of_node, device)
            self.scan()
            self.assertEqual('seen', self.one()['state'])
        self.assertEqual(0, self.reconcilers())

    def test_incomplete_scans_say_nothing(self):
        self.change(self.uuid_of_node)
        self.complete = False
        self.scan(3)
        self.assertEqual(([], 0), (self.drift(), self.reconcilers()))

    def test_the_last_look_sees_nothing_wrong(self):
        self.change(self.uuid_of_node)
        self.scan()
        self.driver.observe = lambda handle: base.NodeHardware(
            handle, 'n', 'On', 'OK', self.whole)
        self.scan()
        self.assertEqual({'refuted': [self.uuid_of_node]},
                         self.reconciled()['result'])
        self.assertEqual('active', self.node(self.uuid_of_node)['state'])
        self.scan()
        self.assertEqual(1, self.reconcilers())

    def test_a_node_that_changes_meanwhile(self):
        self.change(self.uuid_of_node)
        self.scan()
        look = self.driver.observe

        def observe(handle):
            with self.database.write() as conn:
                conn.execute(sa.update(models.Node).values(generation=99))
            return look(handle)

        self.driver.observe = observe
        self.scan()
        self.assertEqual({'busy': [self.uuid_of_node]},
                         self.reconciled()['result'])
        self.assertEqual('active', self.node(self.uuid_of_node)['state'])
        self.driver.observe = look
        self.scan()
        self.assertEqual({'quarantined': [self.uuid_of_node]},
                         self.reconciled()['result'])

    def test_a_node_with_an_operation(self):
        self.change(self.uuid_of_node)
        self.scan()
        self.running.stop()
        power = self.database.run(requests.power, REQUESTER,
                                  self.uuid_of_node, 'On')
        with self.database.write() as conn:
            conn.execute(sa.update(models.Operation).values(
                not_before=sa.text("'9999-01-01 00:00:00.000000'"))
                .where(models.Operation.uuid == power))
        self.running = self.engine(owner='b' * 36)
        self.scan(2)
        self.assertEqual(([], 0), (self.drift(), self.reconcilers()))

    def test_another_place(self):
        """Found by the matrix, seed 1: it was released where it had been."""
        with self.database.write() as conn:
            conn.execute(sa.update(models.Node).values(
                resource_path='/s/old', handle={
                    'resource_path': '/s/old', 'extra': {}}))
        self.scan(2)
        self.assertEqual({'quarantined': [self.uuid_of_node]},
                         self.reconciled()['result'])
        self.assertIn('it is at /s/valence-',
                      self.node(self.uuid_of_node)['state_reason'])
        self.end(self.database.run(requests.release, REQUESTER,
                                   self.uuid_of_node))
        self.assertEqual({}, self.driver.systems)

    def test_a_lost_tag(self):
        self.extra = (base.System(
            f'/s/valence-{self.uuid_of_node}', 'renamed', composed=True,
            device_paths=('/d/9',)),)
        self.driver.systems.clear()
        self.scan(2)
        self.assertEqual({'quarantined': [self.uuid_of_node]},
                         self.reconciled()['result'])
        self.assertEqual(list(self.whole), self.claims())

    def test_what_cannot_be_read_does_not_stop_the_others(self):
        other = self.composed('other')
        self.change(self.uuid_of_node)
        self.change(other)
        look = self.driver.observe

        def observe(handle):
            if self.uuid_of_node in handle.resource_path:
                raise base.BadAnswer('garbage')
            return look(handle)

        self.driver.observe = observe
        self.scan(2)
        self.assertEqual({'unclear': [self.uuid_of_node],
                          'quarantined': [other]},
                         self.reconciled()['result'])


    def test_what_is_not_whole_is_not_in_order(self):
        self.change(self.uuid_of_node)
        self.scan()
        self.driver.unfinished = 'Failed'
        look = self.driver.observe
        self.driver.observe = lambda handle: dataclasses.replace(
            look(handle), device_paths=self.whole)
        self.scan()
        self.assertEqual({'quarantined': [self.uuid_of_node]},
                         self.reconciled()['result'])
        self.assertIn('calls it Failed',
                      self.node(self.uuid_of_node)['state_reason'])


class Gone(_Reconcile):

    def test_verified_absence_frees(self):
        node = self.composed()
        self.driver.systems.clear()
        self.scan()
        self.assertEqual(('gone', 'seen'), (
            self.one()['kind'], self.one()['state']))
        self.assertEqual(1, len(self.claims()))
        self.scan()
        self.assertEqual({'freed': [node]}, self.reconciled()['result'])
        row = self.node(node)
        self.assertEqual(('error', None), (row['state'], row['handle']))
        self.assertIn('hardware_gone', row['state_reason'])
        self.assertEqual([], self.claims())
        self.scan()
        self.assertEqual([], self.drift())
        self.end(self.database.run(requests.release, REQUESTER, node))
        self.assertIsNone(self.node(node))

    def test_not_while_it_is_there(self):
        node = self.composed()
        self.driver.discover = lambda: dataclasses.replace(
            self.discover(), systems=())
        self.scan(2)
        self.assertEqual({'refuted': [node]}, self.reconciled()['result'])
        self.assertEqual('active', self.node(node)['state'])
        self.assertEqual(1, len(self.claims()))

    def test_not_while_something_is_in_its_place(self):
        node = self.composed()
        self.driver.systems.clear()
        self.driver.observe = lambda handle: base.NodeHardware(
            handle, 'somebody', 'On', 'OK', tuple(self.claims()))
        self.scan(2)
        self.assertEqual({'quarantined': [node]},
                         self.reconciled()['result'])
        self.assertIn('lost its tag', self.node(node)['state_reason'])
        self.assertEqual(1, len(self.claims()))

    def test_what_changes_during_a_scan_does_not_count(self):
        made = []

        def discover():
            before = self.discover()
            made.append(self.composed())
            return before

        self.driver.discover = discover
        self.scan()
        self.assertEqual([], self.drift())
        self.assertEqual('active', self.node(made[0])['state'])

    def suspended(self):
        self.scan(4)
        self.assertEqual({'suspended'}, {
            row['state'] for row in self.drift()})
        self.assertEqual(0, self.reconcilers())
        row = self.row(models.PodManager, self.uuid)
        self.assertEqual('online', row['status'])
        self.assertIn('more than a fifth', row['status_reason'])

    def test_not_when_much_vanished(self):
        node = self.composed()
        self.scan()
        self.driver.systems.clear()
        self.lost = {f'/d/{number}' for number in range(3)}
        self.suspended()
        self.assertEqual('active', self.node(node)['state'])
        self.lost = set()
        self.scan()
        self.assertEqual('seen', self.one()['state'])
        self.assertIsNone(
            self.row(models.PodManager, self.uuid)['status_reason'])
        self.scan()
        self.assertEqual({'freed': [node]}, self.reconciled()['result'])

    def test_not_when_many_systems_vanished(self):
        self.scan()
        made = [self.composed(f'n{number}') for number in range(10)]
        for node in made[:3]:
            del self.driver.systems[f'valence-{node}']
        self.suspended()
        self.assertEqual(10, len(self.claims()))

    def all_vanish(self, count):
        """All nodes of the pod, and nothing else."""
        self.scan()
        made = [self.composed(f'n{number}') for number in range(count)]
        self.driver.systems.clear()
        self.suspended()
        self.assertEqual(count, len(self.claims()))
        self.assertEqual({'active'}, {
            self.node(node)['state'] for node in made})
        self.assertEqual('more than a fifth of its nodes vanished at once; '
                         'until they are back none of them is removed or '
                         'freed, and nothing is done about differences',
                         self.row(models.PodManager,
                                  self.uuid)['status_reason'])
        return made

    def test_not_when_all_of_few_nodes_vanished(self):
        made = self.all_vanish(4)
        # The way out: who releases them, frees what they had.
        for node in made:
            self.end(self.database.run(requests.release, REQUESTER, node))
        self.scan()
        self.assertEqual(([], []), (self.drift(), self.claims()))
        self.assertIsNone(
            self.row(models.PodManager, self.uuid)['status_reason'])

    def test_servers_do_not_hide_it(self):
        self.extra = tuple(base.System(f'/s/{number}', 'a server')
                           for number in range(24))
        self.all_vanish(6)

    def test_one_of_two_is_believed(self):
        self.scan()
        node, _ = self.composed('n1'), self.composed('n2')
        del self.driver.systems[f'valence-{node}']
        self.scan(2)
        self.assertEqual({'freed': [node]}, self.reconciled()['result'])

    def test_nodes_in_error_are_not_at_stake(self):
        self.scan()
        made = [self.composed(f'n{number}') for number in range(5)]
        for node in made[:2]:
            self.database.run(remedies.quarantine, REQUESTER, node)
        for node in made[:3]:
            del self.driver.systems[f'valence-{node}']
        self.scan(2)
        self.assertEqual({'freed': made[2:3]}, self.reconciled()['result'])
        self.assertEqual(4, len(self.claims()))

    def test_not_when_more_vanish_before_the_last_look(self):
        self.scan()
        made = [self.composed(f'n{number}') for number in range(5)]
        del self.driver.systems[f'valence-{made[0]}']
        self.scan()
        look = self.driver.observe

        def observe(handle):
            self.driver.observe = look
            self.driver.systems.clear()
            self.scan()
            return look(handle)

        self.driver.observe = observe
        self.scan()
        self.assertEqual({'suspended': made[:1]},
                         self.reconciled()['result'])
        self.assertEqual(('active', 5), (
            self.node(made[0])['state'], len(self.claims())))

    def test_what_is_taken_out_of_a_draining_pod_is_believed(self):
        self.devices = 6
        self.scan()
        self.lost = {f'/d/{number}' for number in range(3)}
        self.scan(3)
        self.assertIn('more than a fifth of its devices', self.row(
            models.PodManager, self.uuid)['status_reason'])
        self.database.run(pod_managers.update, self.uuid,
                          {'draining': True})
        self.scan()
        self.assertIsNone(
            self.row(models.PodManager, self.uuid)['status_reason'])
        with self.database.read() as conn:
            self.assertEqual(5, conn.scalar(
                sa.select(sa.func.count()).select_from(models.Device)))

    def test_released_nodes_are_no_wonder(self):
        self.extra = tuple(base.System(f'/s/{number}', 'a server')
                           for number in range(10))
        self.scan()
        made = [self.composed(f'n{number}') for number in range(10)]
        self.scan()
        for node in made:
            self.end(self.database.run(requests.release, REQUESTER, node))
        self.scan(3)
        self.assertIsNone(
            self.row(models.PodManager, self.uuid)['status_reason'])
        with self.database.read() as conn:
            self.assertEqual(10, conn.scalar(
                sa.select(sa.func.count()).select_from(models.System)))


class Orphan(_Reconcile):

    def lose(self, *tables):
        with self.database.write() as conn:
            for table in (models.Claim, models.Node, *tables):
                conn.execute(sa.delete(table.__table__))

    def test_adopted_with_its_history(self):
        node = self.composed('mine')
        before = self.node(node)
        claims = self.claims()
        self.lose()
        self.scan()
        self.assertEqual(('orphan', 'seen', node), (
            self.one()['kind'], self.one()['state'],
            self.one()['node_uuid']))
        self.assertIsNone(self.node(node))
        self.scan()
        self.assertEqual({'adopted': [node]}, self.reconciled()['result'])
        row = self.node(node)
        for name in ('state', 'name', 'project_id', 'user_id', 'handle',
                     'requirements', 'resource_path', 'managed_by',
                     'power_state', 'operation_uuid'):
            self.assertEqual(before[name], row[name], name)
        self.assertEqual(claims, self.claims())
        self.assertEqual(1, self.driver.count('compose'))
        self.scan()
        self.assertEqual([], self.drift())

    def test_adopted_without_history(self):
        node = self.composed('mine')
        self.lose(models.OperationStep, models.Operation)
        self.scan(2)
        self.reconciled()
        row = self.node(node)
        self.assertEqual(('found', f'adopted-{node[:8]}', 'active'), (
            row['project_id'], row['name'], row['state']))

    def test_in_error_while_it_is_not_whole(self):
        node = self.composed('mine')
        claims = self.claims()
        self.lose()
        self.driver.unfinished = 'Allocated'
        self.scan(2)
        self.assertEqual({'adopted': [node]}, self.reconciled()['result'])
        row = self.node(node)
        self.assertEqual('error', row['state'])
        self.assertIn('calls it Allocated', row['state_reason'])
        self.assertEqual(claims, self.claims())
        self.scan()
        self.assertEqual([], self.drift())
        self.driver.unfinished = None
        self.end(self.database.run(remedies.verify, REQUESTER, node))
        self.assertEqual('active', self.node(node)['state'])

    def test_a_name_that_is_taken(self):
        node = self.composed('mine')
        self.lose()
        self.composed('mine')
        self.scan(2)
        self.reconciled()
        self.assertEqual(f'adopted-{node[:8]}', self.node(node)['name'])

    def test_not_with_devices_of_another_node(self):
        node = self.composed('mine')
        self.lose()
        taken = self.driver.systems[f'valence-{node}']
        other = self.composed('other')
        self.change(other, *taken)
        with self.database.write() as conn:
            conn.execute(sa.update(models.Claim).values(
                resource_path=taken[0]))
        self.scan(3)
        row, = [row for row in self.drift() if row['kind'] == 'orphan']
        self.assertEqual(([other], None), (
            row['details']['claimed_by'], row['action']))
        self.assertIsNone(self.node(node))

    def test_not_when_the_last_look_differs(self):
        node = self.composed()
        self.lose()
        self.scan()
        self.driver.observe = lambda handle: base.NodeHardware(
            handle, 'n', 'On', 'OK', ('/d/11',))
        self.scan()
        self.assertEqual({'refuted': [node]}, self.reconciled()['result'])
        self.assertEqual(([], None), (self.claims(), self.node(node)))

    def test_claimed_between_look_and_adoption(self):
        node = self.composed()
        self.lose()
        look = self.driver.observe
        path, = self.driver.systems[f'valence-{node}']
        self.scan()

        def observe(handle):
            with self.database.write() as conn:
                pod = self.row(models.PodManager, self.uuid)['id']
                other = conn.execute(sa.insert(models.Node.__table__).values(
                    uuid='o' * 36, name='o', project_id='p', state='error',
                    state_since=sa.func.current_timestamp(),
                    requirements={}, pod_manager_id=pod))
                conn.execute(sa.insert(models.Claim.__table__).values(
                    uuid='c' * 36, pod_manager_id=pod, resource_path=path,
                    node_id=other.inserted_primary_key[0],
                    operation_uuid='x'))
            return look(handle)

        self.driver.observe = observe
        self.scan()
        self.assertEqual({'busy': [node]}, self.reconciled()['result'])
        self.assertIsNone(self.node(node))


class Foreign(_Reconcile):

    def test_reported_and_never_touched(self):
        self.extra = (base.System('/s/x', 'theirs', composed=True,
                                  device_paths=('/d/1',)),
                      base.System('/s/y', 'a server'))
        self.scan(3)
        row = self.one()
        self.assertEqual(('foreign', '/s/x', None, 'confirmed', None), (
            row['kind'], row['resource_path'], row['node_uuid'],
            row['state'], row['action']))
        self.assertEqual(0, self.reconcilers())


class AtOnce(_Reconcile):

    def test_only_one_at_a_time(self):
        node = self.composed()
        self.change(node)
        self.scan()
        self.running.stop()
        operation = self.database.run(
            operations.insert, kind='reconcile', timeout=99.0,
            pod_manager_uuid=self.uuid, params={'findings': []})
        with self.database.write() as conn:
            conn.execute(sa.update(models.Operation).values(
                not_before=sa.text("'9999-01-01 00:00:00.000000'"))
                .where(models.Operation.uuid == operation))
        self.running = self.engine(owner='b' * 36)
        self.scan()
        self.assertEqual(1, self.reconcilers())
        self.assertIsNone(self.one()['operation_uuid'])

    def test_a_pod_manager_that_is_away(self):
        node = self.composed()
        self.change(node)
        self.scan()
        self.driver.script['find'] = [base.Refused('no', 400)]
        self.scan()
        self.assertEqual({'unclear': [node]}, self.reconciled()['result'])
        self.scan()
        self.assertEqual({'quarantined': [node]},
                         self.reconciled()['result'])
