# SPDX-License-Identifier: Apache-2.0
"""That every operation ends, whatever its pod and its threads do."""

import threading

import fixtures
import sqlalchemy as sa

from valence import requests
from valence.conductor import runner
from valence.conductor.operations.base import Settings
from valence.db import models, operations
from valence.db.types import utcnow
from valence.drivers import base
from valence.tests.unit.conductor.fakes import REQUESTER, EngineTest

#: No breaker: a pod is asked as often as a step wants.
SETTINGS = Settings(breaker_tolerance=10**6)
AWAY = base.Unreachable('away')


class _Deadlines(EngineTest):

    def setUp(self):
        super().setUp()
        _, self.driver = self.pod()
        self.useFixture(fixtures.MockPatchObject(
            runner, 'BACKOFF', (0.01,)))

    def after(self, operation, seconds):
        """So long ago was the deadline."""
        with self.database.write() as conn:
            conn.execute(
                sa.update(operations.OPERATIONS)
                .where(operations.OPERATIONS.c.uuid == operation)
                .values(deadline_at=utcnow(-seconds), not_before=None))

    def assert_left(self, ended, node, *claims):
        self.assertEqual('failed', ended['state'])
        self.assertIn('could not be undone', ended['error'])
        row = self.row(models.Node, node)
        self.assertEqual(('error', None), (row['state'],
                                           row['operation_uuid']))
        self.assertEqual(ended['error'], row['state_reason'])
        self.assertEqual(len(claims), len(
            [one for one in claims if one in self.claims()]))


class Tries(_Deadlines):

    def setUp(self):
        super().setUp()
        self.running = self.engine(SETTINGS)
        self.node, operation = self.compose()
        self.running.ring(operation)
        self.ended(operation)
        self.driver.calls.clear()

    def attach(self):
        with self.database.read() as conn:
            device = conn.scalar(sa.select(models.Device.uuid).where(
                models.Device.resource_path == '/n/1'))
        operation = self.database.run(requests.attach, REQUESTER, self.node,
                                      device)
        self.running.ring(operation)
        return operation

    def test_a_look_that_gets_no_answer_is_a_try(self):
        """Seen: an undo whose pod was away went on for ever."""
        self.driver.script = {'attach': [base.Ambiguous('lost')],
                              'observe': [AWAY] * 1000}
        operation = self.attach()
        ended = self.ended(operation)
        self.assertEqual('backend_unreachable', ended['error_code'])
        self.assert_left(ended, self.node, '/n/1')
        journal = self.journal(operation)
        self.assertEqual({'attach': 8, 'undo:detach': 20}, {
            name: step['attempts'] for name, step in journal.items()})
        self.assertEqual(28, self.driver.count('observe'))

    def test_a_pod_that_is_back_is_asked_on(self):
        def lost(handle, path):
            self.driver.join(handle, path)
            raise base.Ambiguous('lost')

        self.driver.script = {'attach': [lost], 'observe': [AWAY] * 6}
        ended = self.ended(self.attach())
        self.assertEqual('succeeded', ended['state'])
        self.assertEqual(1, self.driver.count('attach'))

    def test_what_the_pod_works_on_outlasts_its_silence(self):
        """Before it has ended there is nothing to see, nor to undo."""
        def joined(given):
            self.driver.join(base.Handle(*self.driver.systems), '/n/1')
            return base.Done()

        self.driver.script = {
            'attach': [lambda *args: base.Pending({}, 0.01)],
            'poll': [AWAY] * 30 + [joined]}
        operation = self.attach()
        self.assertEqual('succeeded', self.ended(operation)['state'])
        self.assertEqual(31, self.journal(operation)['attach']['attempts'])
        self.assertEqual(1, self.driver.count('attach'))


class Undo(_Deadlines):

    def setUp(self):
        super().setUp()
        self.go_on = threading.Event()
        pending = base.Pending({'task': 1}, 0.02)

        def poll(given):
            if not self.go_on.is_set():
                return pending
            self.driver.systems.clear()
            return base.Done()

        self.driver.script = {
            'observe': [base.Refused('broken', 400)],
            'release': [lambda handle: pending],
            'poll': [poll] * 100_000}
        self.driver.release = lambda handle: self.driver._call(
            'release', handle)
        self.node, self.operation = self.compose()
        self.running = self.engine(SETTINGS)
        self.running.ring(self.operation)
        self.until('it is undone', lambda: self.driver.count('poll') > 2)

    def polled(self, more=3):
        before = self.driver.count('poll')
        self.until('it is polled on', lambda: (
            self.driver.count('poll') > before + more))

    def test_it_may_go_on_after_the_deadline(self):
        self.after(self.operation, operations.UNDO_GRACE - 60)
        self.polled()
        self.go_on.set()
        ended = self.ended(self.operation)
        self.assertEqual(('backend_refused', 'broken'), (
            ended['error_code'], ended['error']))
        self.assertEqual([], self.claims())

    def test_but_not_for_ever(self):
        self.after(self.operation, operations.UNDO_GRACE + 1)
        claims = self.claims()
        ended = self.ended(self.operation)
        self.assertEqual('backend_refused', ended['error_code'])
        self.assertIn('the time for it is over', ended['error'])
        self.assertEqual(1, len(claims))
        self.assert_left(ended, self.node, *claims)
        # A way out.
        del self.driver.release
        release = self.database.run(requests.release, REQUESTER, self.node)
        self.running.ring(release)
        self.assertEqual('succeeded', self.ended(release)['state'])
        self.assertEqual([], self.claims())


class Waits(_Deadlines):

    def wait_of(self, seconds, left):
        self.driver.script['compose'] = [base.Busy('later', seconds)]
        _, operation = self.compose()
        self.after(operation, -left)
        self.engine(SETTINGS).ring(operation)
        row = self.until('it waits', lambda: (row := self.row(
            models.Operation, operation))['not_before'] and row)
        return (row['not_before'] - row['acquired_at']).total_seconds()

    def test_as_the_backend_says(self):
        self.assertLess(499, self.wait_of(500.0, 1000))

    def test_not_longer_than_the_deadline(self):
        self.assertGreater(150, self.wait_of(500.0, 100))


class Hanging(_Deadlines):
    """A thread that never comes back, outside of the calls of a driver."""

    def setUp(self):
        super().setUp()
        self.node, self.operation = self.compose()
        lease, _ = self.database.run(operations.acquire, self.operation,
                                     'dead', -1.0)
        with self.database.write() as conn:
            operations.write_intent(
                conn, lease, 'compose', 0, {'tag': f'valence-{self.node}'},
                again=False)
        self.after(self.operation, operations.UNDO_GRACE - 2)
        self.hung = 0
        self.get = self.connection.get

    def hang(self, times):
        come_back = threading.Event()

        def get(pod_manager):
            if self.hung < times:
                self.hung += 1
                come_back.wait(self.patience)
            return self.get(pod_manager)

        self.connection.get = get
        running = self.engine(SETTINGS, lease=4.0, threads_per_pod=2)
        self.addCleanup(come_back.set)
        running.ring(self.operation)
        return come_back, running

    def test_another_thread_undoes(self):
        claims = self.claims()
        self.driver.systems[f'valence-{self.node}'] = tuple(claims)
        come_back, running = self.hang(1)
        ended = self.ended(self.operation)
        self.assertEqual(('failed', 'timeout', 'the operation did not end in '
                          'time'), (ended['state'], ended['error_code'],
                                    ended['error']))
        self.assertEqual(({}, []), (self.driver.systems, self.claims()))
        row = self.row(models.Node, self.node)
        come_back.set()
        self.until('it gives up', lambda: not running._busy)
        self.assertEqual(row, self.row(models.Node, self.node))
        self.assertEqual({}, running._running)

    def test_it_ends_though_all_threads_hang(self):
        claims = self.claims()
        self.hang(99)
        ended = self.ended(self.operation)
        self.assertEqual('timeout', ended['error_code'])
        self.assert_left(ended, self.node, *claims)
        self.assertEqual([], self.driver.calls)
