# SPDX-License-Identifier: Apache-2.0
"""The schema and the rules of ownership, on all three databases."""

import datetime
import threading
import time

import sqlalchemy as sa
import testscenarios
import testtools
from oslo_config import cfg

from valence import requests
from valence.common import errors
from valence.conductor import comparison
from valence.conf import database as options
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

    def scan(self, rows, scan=1, complete=True, **more):
        with self.database.read() as conn:
            pod = conn.execute(sa.select(models.PodManager.id,
                                         models.PodManager.uuid)).one()
        return self.database.run(inventory.write, 'devices', pod.id,
                                 pod.uuid, rows, complete, scan, **more)

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


class Options(testtools.TestCase):

    def test_the_sql_mode_is_as_configured(self):
        backends.require(self, 'mysql')
        url = self.useFixture(backends.TemporaryDatabase('mysql')).url

        def mode(**values):
            conf = cfg.ConfigOpts()
            options.register(conf)
            conf([])
            for name, value in {'connection': url, **values}.items():
                conf.set_override(name, value, options.GROUP)
            database = Database.from_conf(conf)
            self.addCleanup(database.close)
            with database.read() as conn:
                return conn.scalar(sa.text('SELECT @@SESSION.sql_mode')), (
                    conn.scalar(sa.text('SELECT @@GLOBAL.sql_mode')))

        session, _ = mode()
        self.assertIn('TRADITIONAL', session)
        session, _ = mode(mysql_sql_mode='ANSI,STRICT_ALL_TABLES')
        self.assertIn('ANSI', session)
        session, of_server = mode(mysql_sql_mode='')
        self.assertEqual(of_server, session)


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

    def test_a_lease_that_was_given_back_is_not_renewed(self):
        uuid = self.operation()
        lease = self.acquire(uuid)
        self.database.run(operations.park, lease, 0.0)
        # As by the thread that keeps all leases of a process.
        self.assertRaises(operations.LeaseLost, self.database.run,
                          operations.renew, lease)
        self.assertEqual([uuid], self._due())

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

    def test_of_few_one_is_believed(self):
        self.pod()
        fixed = [device(number, pooled=False) for number in range(10, 18)]
        rows = [device(number) for number in range(3)]
        self.scan([*rows, *fixed], 1)
        self.assertFalse(self.scan([*rows[1:], *fixed], 2).doubted)
        self.assertEqual(1, self.scan([*rows[1:], *fixed], 3).removed)
        # What belongs to servers does not hide it.
        for scan in (4, 5):
            counts = self.scan(fixed, scan)
            self.assertEqual((True, 0), (counts.doubted, counts.removed))
        self.assertEqual(2, self.scan(fixed, 6, trusted=True).removed)

    def test_newer_states_stay(self):
        self.pod()
        self.scan([device(number, state='used') for number in range(3)])
        with self.database.read() as conn:
            began = conn.scalar(sa.select(utcnow()))
        if self.kind == 'sqlite':
            time.sleep(0.002)       # its clock has no more than milliseconds
        self.database.run(inventory.set_device_states, self.pod_id(),
                          ['/d/0'], 'free')
        seen = [device(0, state='used', name='renamed'),
                device(1, state='free'), device(2, state='free')]
        self.scan(seen, began=began, moving={'/d/1'})
        states = sa.select(DEVICES.c.name, DEVICES.c.state).order_by(
            DEVICES.c.resource_path)
        self.assertEqual([('renamed', 'free'), ('d1', 'used'),
                          ('d2', 'free')], self.rows(states))
        # The next scan is newer.
        with self.database.read() as conn:
            began = conn.scalar(sa.select(utcnow()))
        self.scan(seen, began=began)
        self.assertEqual([('renamed', 'used'), ('d1', 'free'),
                          ('d2', 'free')], self.rows(states))

    def test_written_between_read_and_write(self):
        """Another transaction is faster, while this one is under way."""
        if self.kind == 'sqlite':
            self.skipTest('it has one writer')
        self.pod()
        self.scan([device(1, state='used')])
        pod, done = self.pod_id(), []

        @sa.event.listens_for(self.database.engine, 'before_cursor_execute')
        def be_faster(conn, cursor, statement, *rest):
            if statement.startswith('UPDATE devices') and not done:
                done.append(statement)
                self.database.run(inventory.set_device_states, pod,
                                  ['/d/1'], 'free')

        self.scan([device(1, state='used', name='renamed')], 2)
        self.assertEqual(1, len(done))
        self.assertEqual([('free',)], self.rows(sa.select(DEVICES.c.state)))

    def test_the_end_of_a_sync(self):
        uuid = self.pod()
        operation = self.database.run(requests.sync, REQUESTER, uuid)
        columns = pod_managers.POD_MANAGERS.c

        def end(change=None, due=0.0):
            with self.database.write() as conn:
                conn.execute(sa.update(models.PodManager).values(
                    operation_uuid=operation, status='unknown',
                    next_sync_at=None if due is None else utcnow(due)))
                row = conn.execute(sa.select(
                    models.PodManager.__table__)).mappings().one()
            if change is not None:
                self.database.run(pod_managers.update, uuid, change)
            written = self.database.run(
                pod_managers.end_sync, row, operation, 300.0,
                status='online')
            return (written, *self.rows(sa.select(
                columns.status, columns.next_sync_at <= utcnow(),
                columns.operation_uuid))[0])

        self.assertEqual((True, 'online', False, None), end())
        self.assertEqual((True, 'online', False, None), end(due=None))
        self.assertEqual((True, 'online', True, None),
                         end({'draining': True}, due=99.0))
        self.assertEqual((False, 'unknown', True, None),
                         end({'url': 'https://new'}, due=99.0))

    def test_a_hint_brings_the_next_sync_forward(self):
        uuid = self.pod()
        operation = self.database.run(requests.sync, REQUESTER, uuid)
        columns = pod_managers.POD_MANAGERS.c

        def due_after_hint(due, last=None, running=None):
            """Whether it is now, and whether it is in the next 10 s."""
            with self.database.write() as conn:
                conn.execute(sa.update(models.PodManager).values(
                    operation_uuid=running,
                    next_sync_at=None if due is None else utcnow(due),
                    last_sync_at=None if last is None else utcnow(last)))
            self.database.run(pod_managers.sync_soon, uuid, 10.0)
            return tuple(self.rows(sa.select(
                columns.next_sync_at <= utcnow(),
                columns.next_sync_at <= utcnow(11.0)))[0])

        # At rest: at once, or a while after the last one.
        self.assertEqual((True, True), due_after_hint(300.0))
        self.assertEqual((True, True), due_after_hint(300.0, last=-60.0))
        self.assertEqual((False, True), due_after_hint(300.0, last=-1.0))
        self.assertEqual((True, True), due_after_hint(-1.0, last=-1.0))
        # What is under way was due, by the clock or by request.
        self.assertEqual((False, True), due_after_hint(
            -5.0, last=-60.0, running=operation))
        self.assertEqual((False, True), due_after_hint(
            300.0, last=-60.0, running=operation))
        # One that is never due stays so.
        self.assertEqual((None, None), due_after_hint(None))

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
        self.assertIn('redfish', error.named)
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


class Removed(_OnEachDatabase):
    """A pod manager is removed while others ask something of it."""

    rounds = 12

    def at_once(self, **wishes):
        """What became of each: None, or the code of an error."""
        gate, told = threading.Barrier(len(wishes)), {}

        def ask(name, function, args, more):
            gate.wait(PATIENCE)
            try:
                self.database.run(function, *args, **more)
            except errors.ValenceError as error:
                told[name] = error.code
            except BaseException as error:
                told[name] = repr(error)
            else:
                told[name] = None

        threads = [threading.Thread(target=ask, args=(name, *wish))
                   for name, wish in wishes.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return told

    def compose(self, name='n'):
        return requests.compose, (REQUESTER,), {
            'name': name, 'requirements': {'processor': {'total_cores': 1}}}

    def left(self, uuid):
        """What there is of a pod manager, by table; zeros left out."""
        pods = sa.select(models.PodManager.id)
        found = {table.__tablename__: len(self.rows(
            sa.select(table.id).where(table.pod_manager_id.in_(pods))))
            for table in (models.Device, models.Node, models.Claim)}
        found['operations'] = len(self.rows(
            sa.select(operations.OPERATIONS.c.id)
            .where(operations.OPERATIONS.c.pod_manager_uuid == uuid,
                   operations.OPERATIONS.c.state.in_(operations.ACTIVE))))
        return {name: count for name, count in found.items() if count}

    def test_it_stays_while_anybody_was_accepted(self):
        for number in range(self.rounds):
            uuid = self.pod()
            self.scan([device(1), device(2)])
            told = self.at_once(
                delete=(pod_managers.delete, (uuid,), {}),
                compose=self.compose(), other=self.compose('m'),
                sync=(requests.sync, (REQUESTER, uuid), {}))
            self.check(told)
            if told['delete'] is not None:
                self.assertEqual('pod_manager_in_use', told['delete'])
                self.assertIn(None, [told[name] for name in (
                    'compose', 'other', 'sync')])
                self.database.run(pod_managers.delete, uuid, force=True)
            else:
                self.assertEqual({'delete'}, {
                    name for name, code in told.items() if code is None})
            self.assertEqual({}, self.left(uuid), (number, told))

    def test_by_force_nothing_is_left_behind(self):
        for number in range(self.rounds):
            uuid = self.pod()
            self.scan([device(1), device(2), device(3)])
            function, args, more = self.compose()
            node, operation = self.database.run(function, *args, **more)
            self.database.run(nodes.end, node, operation, 'compose',
                              'succeeded')
            lease, _ = self.database.run(operations.acquire, operation, 'a',
                                         1000.0)
            self.database.run(operations.finish, lease, 'succeeded')
            told = self.at_once(
                delete=(pod_managers.delete, (uuid,), {'force': True}),
                compose=self.compose('m'),
                sync=(requests.sync, (REQUESTER, uuid), {}),
                power=(requests.power, (REQUESTER, node, 'On'), {}),
                release=(requests.release, (REQUESTER, node), {}))
            self.check(told)
            self.assertIsNone(told['delete'], (number, told))
            self.assertEqual({}, self.left(uuid), (number, told))

    def check(self, told):
        """Who was refused was told so in words that he can act on."""
        self.assertEqual(set(), {*told.values()} - {
            None, 'pod_manager_in_use', 'no_pod_manager',
            'no_valid_resources', 'not_found', 'node_busy',
            'node_not_active'}, told)
