# SPDX-License-Identifier: Apache-2.0
"""What a sync writes when the world does not stand still meanwhile."""

import sqlalchemy as sa

from valence import requests
from valence.common import deadline
from valence.conductor.operations.base import Settings
from valence.db import models, pod_managers
from valence.db.types import utcnow
from valence.drivers import base
from valence.tests.unit.conductor.fakes import REQUESTER, EngineTest


class _Sync(EngineTest):

    def setUp(self):
        super().setUp()
        self.uuid, self.driver = self.pod()
        self.settings = Settings()

    def discover(self):
        """The pod as it is; what the fixture made of it is all there."""
        used = {path for paths in self.driver.systems.values()
                for path in paths}
        return base.Inventory(
            systems=tuple(base.System(
                f'/s/{tag}', tag, composed=True, device_paths=paths, tag=tag)
                for tag, paths in self.driver.systems.items()),
            devices=tuple(base.Device(
                path, path, 'compute' if path[1] == 'd' else 'nvme',
                processor_cores=1, zone_paths=('/z/1',),
                state='used' if path in used else 'free')
                for path in ('/d/0', '/d/1', '/d/2', '/d/3', '/n/1',
                             '/n/2')))

    def during(self, act):
        """Scan, and ``act`` when the scan has read all."""
        def discover():
            found = self.discover()
            act()
            return found

        self.driver.script['discover'] = [discover]
        return self.sync()

    def sync(self):
        self.driver.script.setdefault('discover', []).append(self.discover)
        operation = self.database.run(requests.sync, REQUESTER, self.uuid)
        self.running.ring(operation)
        return self.ended(operation)

    def start(self):
        self.running = self.engine(self.settings, poll_interval=999.0)

    def end(self, operation):
        self.running.ring(operation)
        return self.ended(operation)

    def the_pod(self):
        return self.row(models.PodManager, self.uuid)

    def is_due(self):
        with self.database.read() as conn:
            return conn.scalar(
                sa.select(models.PodManager.next_sync_at <= utcnow())
                .where(models.PodManager.uuid == self.uuid))

    def states(self):
        with self.database.read() as conn:
            return {row.resource_path: row.state for row in conn.execute(
                sa.select(models.Device.resource_path, models.Device.state)
                .where(models.Device.type == 'compute'))}


class Changed(_Sync):
    """The pod manager is changed by its operator while it is read."""

    def setUp(self):
        super().setUp()
        self.start()

    def change(self, **values):
        self.database.run(pod_managers.update, self.uuid, values)

    def test_nothing_of_the_old_one_is_written(self):
        with self.database.write() as conn:
            conn.execute(sa.update(models.PodManager).values(
                status='unknown', next_sync_at=utcnow(300)))
        ended = self.during(lambda: self.change(url='https://new'))
        self.assertEqual(('failed', 'pod_manager_changed', None), (
            ended['state'], ended['error_code'], ended['result']))
        self.assertIn('is not written down', ended['error'])
        row = self.the_pod()
        self.assertEqual(('unknown', None, None, None, 0), (
            row['status'], row['status_reason'], row['last_sync_at'],
            row['operation_uuid'], row['scans']))
        self.assertTrue(self.is_due())
        with self.database.read() as conn:
            self.assertEqual([], list(conn.scalars(
                sa.select(models.System.id))))
        # The next one is of the new one.
        self.assertEqual('succeeded', self.sync()['state'])
        self.assertEqual('online', self.the_pod()['status'])
        self.assertFalse(self.is_due())

    def test_nor_its_failure(self):
        def change():
            self.change(url='https://new')
            raise base.Unauthorized('wrong password')

        self.assertEqual('backend_unauthorized',
                         self.during(change)['error_code'])
        row = self.the_pod()
        self.assertEqual(('online', None, None), (
            row['status'], row['status_reason'], row['operation_uuid']))
        self.assertTrue(self.is_due())

    def test_a_sync_that_is_asked_for_meanwhile(self):
        def ask():
            with self.database.write() as conn:
                conn.execute(sa.update(models.PodManager).values(
                    next_sync_at=utcnow()))

        self.assertEqual('succeeded', self.during(ask)['state'])
        self.assertTrue(self.is_due())

    def test_to_drain_it_throws_nothing_away(self):
        ended = self.during(lambda: self.change(draining=True))
        self.assertEqual('succeeded', ended['state'])
        row = self.the_pod()
        self.assertEqual((True, 1, True), (
            row['draining'], row['scans'], self.is_due()))


class Newer(_Sync):
    """Devices are joined and freed while the pod is read."""

    def setUp(self):
        super().setUp()
        self.start()
        self.sync()

    def composed(self, name='n', **script):
        self.driver.script.update(script)
        node, operation = self.compose(name)
        self.end(operation)
        return node

    def taken(self):
        return sorted(path for path, state in self.states().items()
                      if state == 'used')

    def test_what_is_released_is_free(self):
        node = self.composed()
        self.sync()
        self.assertEqual(self.claims(), self.taken())
        self.during(lambda: self.end(self.database.run(
            requests.release, REQUESTER, node)))
        self.assertEqual([], self.taken())
        self.sync()
        self.assertEqual([], self.taken())

    def test_what_is_composed_is_used(self):
        self.during(self.composed)
        self.assertEqual((1, self.claims()), (
            len(self.claims()), self.taken()))

    def refused(self, *and_then):
        """A compose that is undone; with what a scan saw before that."""
        seen = []

        def compose(spec):
            self.driver.apply(spec)
            found = self.discover()
            seen.append(found)
            for act in and_then:
                act(found)
            raise base.Refused('no', 400)

        self.composed(compose=[compose])
        return seen[0]

    def scan(self, discover):
        self.driver.script['discover'] = [discover]
        self.assertEqual('succeeded', self.end(self.database.run(
            requests.sync, REQUESTER, self.uuid))['state'])

    def test_what_is_undone_is_free(self):
        self.scan(self.refused)
        self.assertEqual(({}, [], []), (
            self.driver.systems, self.claims(), self.taken()))

    def test_what_is_undone_after_the_scan_is_free(self):
        self.refused(lambda found: self.scan(lambda: found))
        self.assertEqual(({}, [], []), (
            self.driver.systems, self.claims(), self.taken()))

    def test_what_others_take_is_used_later(self):
        node = self.composed()
        path, = self.claims()

        def release():
            self.end(self.database.run(requests.release, REQUESTER, node))
            self.driver.systems['theirs'] = (path,)

        self.during(release)
        self.assertEqual([], self.taken())
        self.sync()
        self.assertEqual([path], self.taken())

    def test_an_unchanged_pod_writes_no_row(self):
        self.composed()
        self.sync()
        written = []

        @sa.event.listens_for(self.database.engine, 'before_cursor_execute')
        def count(conn, cursor, statement, *rest):
            if 'devices' in statement and statement.split()[0] != 'SELECT':
                written.append(statement)

        self.sync()
        self.assertEqual([], written)


class Events(_Sync):
    """The step that writes to the backend."""

    def setUp(self):
        super().setUp()
        self.driver.subscribe = self.subscribe
        self.settings = Settings(event_address='https://valence/{}'.format)
        self.asked = []
        self.start()

    def subscribe(self, destination):
        left = deadline.remaining(999.0)
        self.driver._call('subscribe')
        self.asked.append((destination, left))

    def test_it_ends_before_the_lease(self):
        ended = self.sync()
        self.assertEqual('succeeded', ended['state'])
        (destination, left), = self.asked
        self.assertEqual(f'https://valence/{self.uuid}', destination)
        self.assertLess(left, 5.0)
        self.assertEqual(['identify', 'subscribe', 'discover'],
                         self.driver.calls)
        self.assertEqual(['subscribe', 'scan'],
                         list(self.journal(ended['uuid'])))

    def test_without_it_the_pod_is_read_by_the_clock(self):
        self.driver.script['subscribe'] = [base.Unsupported('no events')]
        ended = self.sync()
        self.assertEqual('succeeded', ended['state'])
        self.assertEqual({'problem': 'no events'},
                         self.journal(ended['uuid'])['subscribe']['outcome'])

    def test_one_that_is_away_is_waited_for_once(self):
        self.driver.script['identify'] = [base.Unreachable('away')]
        self.assertEqual('succeeded', self.sync()['state'])
        self.assertEqual(['identify', 'identify', 'subscribe', 'discover'],
                         self.driver.calls)
