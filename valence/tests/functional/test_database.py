# SPDX-License-Identifier: Apache-2.0
"""The schema and the rules of ownership, on all three databases."""

import datetime
import threading

import sqlalchemy as sa
import testscenarios
import testtools

from valence import requests
from valence.common import errors
from valence.conductor import comparison
from valence.db import (
    drift,
    inventory,
    migration,
    models,
    nodes,
    operations,
    pod_managers,
)
from valence.db.engine import Database
from valence.db.types import utcnow
from valence.tests.functional import backends
from valence.tests.functional.processes import PATIENCE

REQUESTER = requests.Requester('project', 'user', 'req-1')
DEVICES = inventory.TABLES['devices']


class _OnEachDatabase(testscenarios.WithScenarios, testtools.TestCase):

    scenarios = [(kind, {'kind': kind}) for kind in backends.DATABASES]

    def setUp(self):
        super().setUp()
        backends.require(self, self.kind)
        url = self.useFixture(backends.TemporaryDatabase(self.kind)).url
        self.database = Database(url)
        self.addCleanup(self.database.close)
        migration.upgrade(self.database)

    def pod(self, **more):
        uuid = self.database.run(pod_managers.create, {
            'name': 'pod', 'url': 'https://pod', 'driver': 'redfish'})
        with self.database.write() as conn:
            conn.execute(sa.update(models.PodManager).values(
                status='online', capabilities={
                    'compose': True, 'reset_types': ['On'],
                    'boot_targets': ['Pxe'], **more}))
        return uuid

    def pod_id(self):
        with self.database.read() as conn:
            return conn.scalar(sa.select(models.PodManager.id))

    def scan(self, rows, scan=1, complete=True):
        with self.database.read() as conn:
            pod = conn.execute(sa.select(models.PodManager.id,
                                         models.PodManager.uuid)).one()
        return self.database.run(inventory.write, 'devices', pod.id,
                                 pod.uuid, rows, complete, scan)

    def rows(self, query):
        with self.database.read() as conn:
            return conn.execute(query).all()


def device(number, **more):
    return {'resource_path': f'/d/{number}', 'name': f'd{number}',
            'type': 'compute', 'pooled': True, 'state': 'free',
            'health': None, 'rack_path': None, 'system_path': None,
            'processor_cores': 8, 'memory_mib': 1024, 'memory_type': None,
            'capacity_gib': None, 'speed_mbps': None, 'model': None,
            'zone_paths': ['/z/1'], 'details': {}, **more}


class Schema(_OnEachDatabase):

    def test_the_migrated_schema_equals_the_models(self):
        self.assertEqual([], migration.differences(self.database))
        migration.check(self.database)

    def test_an_upgrade_again_does_nothing(self):
        migration.upgrade(self.database)
        self.assertEqual(migration.head(), migration.version(self.database))

    def test_a_difference_is_seen(self):
        with self.database.write() as conn:
            conn.execute(sa.text('ALTER TABLE flavors ADD COLUMN x INTEGER'))
        self.assertNotEqual([], migration.differences(self.database))

    def test_the_clock_is_utc_and_the_databases(self):
        with self.database.read() as conn:
            now, later = conn.execute(
                sa.select(utcnow(), utcnow(90.5))).one()
        here = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        self.assertLess(abs((now - here).total_seconds()), PATIENCE)
        self.assertAlmostEqual(90.5, (later - now).total_seconds(), 1)


class Leases(_OnEachDatabase):

    def operation(self, **more):
        return self.database.run(operations.insert, kind='sync',
                                 timeout=1000, **more)

    def acquire(self, uuid, owner='a', seconds=1000.0):
        won = self.database.run(operations.acquire, uuid, owner, seconds)
        return won and won[0]

    def test_one_owner_at_a_time(self):
        uuid = self.operation()
        self.assertEqual(1, self.acquire(uuid).epoch)
        self.assertIsNone(self.acquire(uuid, 'b'))

    def test_one_of_many_wins(self):
        for _ in range(5):
            uuid, won = self.operation(), []
            threads = [
                threading.Thread(target=self._race, args=(uuid, name, won))
                for name in 'abcdefgh']
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(1, sum(lease is not None for lease in won))

    def _race(self, uuid, name, won):
        won.append(self.acquire(uuid, name))

    def test_an_old_epoch_writes_nothing(self):
        uuid = self.operation()
        old = self.acquire(uuid, 'a', seconds=-1.0)
        new = self.acquire(uuid, 'b')
        self.assertEqual((1, 2), (old.epoch, new.epoch))
        for write in (
                lambda: self.database.run(operations.renew, old),
                lambda: self.database.run(operations.park, old, 0.0),
                lambda: self.database.run(operations.finish, old, 'failed')):
            self.assertRaises(operations.LeaseLost, write)
        self.database.run(operations.finish, new, 'succeeded')
        self.assertRaises(operations.LeaseLost, self.database.run,
                          operations.finish, new, 'failed')

    def test_due(self):
        uuid = self.operation()
        self.assertEqual([uuid], self._due())
        lease = self.acquire(uuid)
        self.assertEqual([], self._due())
        self.database.run(operations.park, lease, 1000.0)
        self.assertEqual([], self._due())
        self.assertIsNone(self.acquire(uuid))
        with self.database.write() as conn:
            conn.execute(sa.update(operations.OPERATIONS).values(
                not_before=utcnow(-1)))
        self.assertEqual([uuid], self._due())
        self.assertEqual(2, self.acquire(uuid).epoch)

    def _due(self):
        with self.database.read() as conn:
            return operations.due(conn, 10)

    def test_purge(self):
        done, active = self.operation(), self.operation()
        self.database.run(operations.finish, self.acquire(done), 'failed')
        self.assertEqual(0, self.database.run(operations.purge, 1000.0))
        self.assertEqual(1, self.database.run(operations.purge, -1.0))
        self.assertEqual([(active,)], self.rows(
            sa.select(operations.OPERATIONS.c.uuid)))


class Scans(_OnEachDatabase):

    def test_an_unchanged_pod_writes_no_row(self):
        self.pod()
        rows = [device(number) for number in range(100)]
        self.assertEqual(100, self.scan(rows).added)
        written = []

        @sa.event.listens_for(self.database.engine, 'before_cursor_execute')
        def count(conn, cursor, statement, *rest):
            if statement.split()[0] in ('INSERT', 'UPDATE', 'DELETE'):
                written.append(statement)

        counts = self.scan(rows, 2)
        self.assertEqual((100, 0, 0), (counts.seen, counts.added,
                                       counts.changed))
        self.assertEqual([], written)

    def test_only_what_changed_is_written(self):
        self.pod()
        self.scan([device(1), device(2)])
        counts = self.scan([device(1), device(2, state='used')], 2)
        self.assertEqual(1, counts.changed)
        self.assertEqual([('/d/1', 'free'), ('/d/2', 'used')], self.rows(
            sa.select(DEVICES.c.resource_path, DEVICES.c.state)
            .order_by(DEVICES.c.id)))

    def test_gone_only_after_two_complete_scans(self):
        self.pod()
        rows = [device(number) for number in range(20)]
        self.scan(rows, 1)
        self.scan(rows[1:], 2, complete=False)
        self.assertEqual(0, self.scan(rows[1:], 2).removed)
        self.assertEqual(0, self.scan(rows[1:], 3, complete=False).removed)
        self.assertEqual(1, self.scan(rows[1:], 3).removed)
        self.assertEqual(1, self.scan(rows, 4).added)

    def test_back_in_time(self):
        self.pod()
        rows = [device(number) for number in range(20)]
        self.scan(rows, 1)
        self.scan(rows[1:], 2)
        self.scan(rows, 3)
        self.assertEqual(0, self.scan(rows[1:], 4).removed)

    def test_a_fifth_vanishing_is_not_believed(self):
        self.pod()
        rows = [device(number) for number in range(20)]
        self.scan(rows, 1)
        for scan in (2, 3, 4):
            counts = self.scan(rows[5:], scan)
            self.assertEqual(0, counts.removed)
        self.assertEqual(5, counts.kept)

    def test_a_hostile_backend_fits_in(self):
        self.pod()
        self.scan([device(1, name='n\x00' * 500, memory_mib=2 ** 80,
                          processor_cores=2 ** 40, model='ü' * 999)])
        row, = self.rows(sa.select(DEVICES.c.name, DEVICES.c.memory_mib,
                                   DEVICES.c.processor_cores))
        self.assertEqual(('n' * 255, None, None), tuple(row))

    def test_paths_differ_by_case(self):
        self.pod()
        counts = self.scan([device(1, resource_path='/D'),
                            device(2, resource_path='/d')])
        self.assertEqual(2, counts.added)


class Wishes(_OnEachDatabase):

    def compose(self, name='n', **more):
        return self.database.run(
            requests.compose, REQUESTER, name=name,
            requirements={'processor': {'total_cores': 1}}, **more)

    def finish(self, operation):
        lease, _ = self.database.run(operations.acquire, operation, 'a',
                                     1000.0)
        self.database.run(operations.finish, lease, 'succeeded')

    def active_node(self):
        self.pod()
        self.scan([device(1)])
        uuid, operation = self.compose()
        self.database.run(nodes.end, uuid, operation, 'compose', 'succeeded')
        self.finish(operation)
        return uuid

    def test_quiet_nodes_and_differences(self):
        uuid = self.active_node()
        with self.database.read() as conn:
            now = conn.scalar(sa.select(utcnow()))
            pod, = conn.scalars(sa.select(models.PodManager.id))
            node, = drift.nodes_of(conn, pod, now)
            self.assertEqual((uuid, True, frozenset({'/d/1'})), (
                node['uuid'], bool(node['quiet']), node['device_paths']))
        self.database.run(requests.release, REQUESTER, uuid)
        with self.database.read() as conn:
            node, = drift.nodes_of(conn, pod, now)
            self.assertFalse(node['quiet'])
        found = comparison.Finding('gone', '/s/1', uuid, {'found': ['a']},
                                   {'generation': 1})
        for scan, doubted, states in ((1, False, ['seen']),
                                      (2, False, ['confirmed']),
                                      (3, True, ['suspended']),
                                      (4, False, ['seen'])):
            due = self.database.run(drift.note, pod, [found], scan, doubted)
            self.assertEqual(scan == 2, bool(due))
            self.assertEqual([(state,) for state in states], self.rows(
                sa.select(drift.DRIFT.c.state)))
        self.database.run(drift.note, pod, [], 5, False)
        self.assertEqual([], self.rows(sa.select(drift.DRIFT.c.id)))

    def test_claims_are_unique_and_all_or_nothing(self):
        self.pod()
        self.scan([device(1), device(2)])
        self.compose('n1')
        self.compose('n2')
        error = self.assertRaises(errors.NoValidResources, self.compose,
                                  'n3')
        self.assertIn('no free compute device', str(error))
        self.assertEqual(2, len(self.rows(sa.select(nodes.NODES.c.id))))
        self.assertEqual([('/d/1',), ('/d/2',)], self.rows(
            sa.select(nodes.CLAIMS.c.resource_path)
            .order_by(nodes.CLAIMS.c.resource_path)))

    def test_many_at_once(self):
        self.pod()
        self.scan([device(number) for number in range(4)])
        results = []

        def compose(number):
            try:
                results.append(self.compose(f'n{number}'))
            except errors.Conflict as error:
                results.append(error.code)

        threads = [threading.Thread(target=compose, args=(number,))
                   for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(['no_valid_resources'] * 6, [
            result for result in results if isinstance(result, str)])
        claimed = self.rows(sa.select(nodes.CLAIMS.c.node_id))
        self.assertEqual(4, len(set(claimed)))

    def test_the_name_of_a_node_is_unique_in_its_project(self):
        self.pod()
        self.scan([device(1), device(2)])
        self.compose('n1')
        self.assertEqual('name_taken', self.assertRaises(
            errors.Conflict, self.compose, 'n1').code)

    def test_one_operation_at_a_time(self):
        uuid = self.active_node()
        first = self.database.run(requests.power, REQUESTER, uuid, 'On')
        error = self.assertRaises(
            errors.NodeBusy, self.database.run, requests.boot, REQUESTER,
            uuid, 'Pxe', 'Once')
        self.assertIn(first, str(error))
        self.assertIn('Retry-After', error.headers)

    def test_what_the_pod_cannot_do_is_refused(self):
        uuid = self.active_node()
        error = self.assertRaises(
            errors.BadRequest, self.database.run, requests.power, REQUESTER,
            uuid, 'Nmi')
        self.assertEqual('unsupported', error.code)
        self.assertIn('redfish', str(error))
        self.assertEqual(0, len(self.rows(
            sa.select(operations.OPERATIONS.c.id)
            .where(operations.OPERATIONS.c.kind == 'power'))))

    def test_a_plain_service_composes_nothing(self):
        pod = self.pod(compose=False)
        error = self.assertRaises(errors.BadRequest, self.compose,
                                  pod_manager_uuid=pod)
        self.assertEqual('unsupported', error.code)
        self.assertRaises(errors.NoValidResources, self.compose)

    def test_a_sync_joins_the_one_under_way(self):
        pod = self.pod()
        first = self.database.run(requests.sync, REQUESTER, pod)
        self.assertEqual(first, self.database.run(
            requests.sync, REQUESTER, pod))

    def test_a_pod_manager_in_use_stays(self):
        self.active_node()
        uuid, = self.rows(sa.select(models.PodManager.uuid))[0]
        self.assertEqual('pod_manager_in_use', self.assertRaises(
            errors.Conflict, self.database.run, pod_managers.delete,
            uuid).code)

    def test_a_pod_manager_goes_with_its_inventory(self):
        uuid = self.pod()
        self.scan([device(1)])
        self.database.run(pod_managers.delete, uuid)
        self.assertEqual([], self.rows(sa.select(DEVICES.c.id)))
        self.assertRaises(errors.NotFound, self.database.run,
                          pod_managers.delete, uuid)
