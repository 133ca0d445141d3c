# SPDX-License-Identifier: Apache-2.0
"""The same request again, and at the same time, on real servers.

On SQLite the unit tests say the same.
"""

import os
import threading
from unittest import mock

import sqlalchemy as sa
import testscenarios

from valence.db import idempotency, models, operations
from valence.db.types import utcnow
from valence.tests.functional import backends
from valence.tests.unit.api import test_repeats


class _OnServers(testscenarios.WithScenarios):

    scenarios = [(kind, {'kind': kind}) for kind in ('mysql', 'postgresql')]

    def setUp(self):
        backends.require(self, self.kind)
        kept = backends.TemporaryDatabase(self.kind)
        kept.setUp()
        self.addCleanup(kept.cleanUp)
        with mock.patch.dict(os.environ,
                             VALENCE_TEST_API_DATABASE=kept.url):
            super().setUp()


def _at_once(ask, times):
    """What ``ask`` returns to as many threads."""
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask()))
               for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


class Requests(_OnServers, test_repeats.RepeatsTest):

    def test_refused_at_the_same_time(self):
        """Those that waited for the key have it, one after the other."""
        self.pod_manager('full', draining=True)
        for answer in _at_once(lambda: self.compose(pod_manager='full'), 8):
            self.assert_error(answer, 409, 'no_valid_resources')
        self.assertEqual(0, self.count(models.IdempotencyKey))


class Joined(_OnServers, test_repeats.JoinedTest):

    def test_at_the_same_time(self):
        """All wait for the first of them, and none begins anything."""
        path = f'pod_managers/{self.pod}/sync'
        self.client.post(f'/v1/{path}')
        answers = _at_once(lambda: self.post(path), 8)
        for answer in answers:
            self.assertEqual(202, answer.status, answer.body)
            self.assert_same(answers[0], answer)
        self.assertEqual((1, 1), (self.count(models.Operation),
                                  self.count(models.IdempotencyKey)))


class Several(_OnServers, test_repeats.SeveralTest):
    pass


class Create(_OnServers, test_repeats.CreateTest):
    pass


class Kept(_OnServers, test_repeats.RepeatsCase):
    """The rows themselves."""

    scenarios = [(kind, {'kind': kind}) for kind in backends.DATABASES]

    def take(self, uuid, project=None):
        self.database.run(idempotency.take, uuid, project, 'k', 'd')

    def test_without_a_project(self):
        """Two of them are the same one; two NULLs would not be."""
        self.take('one')
        self.assertRaises(idempotency.Taken, self.take, 'two')
        self.take('three', 'project')

    def test_purge(self):
        uuid = self.compose().json['operation']['uuid']
        self.post('devices/sync', {'pod_manager': self.pod}, 'k2')
        self.post('flavors', {'name': 'f', 'properties': {
            'processor': {'total_cores': 1}}}, 'k3')

        def kept(age):
            for purge in (operations.purge, idempotency.purge):
                self.database.run(purge, age)
            with self.database.read() as conn:
                return list(conn.scalars(
                    sa.select(models.IdempotencyKey.key)
                    .order_by(models.IdempotencyKey.key)))

        self.assertEqual(['k1', 'k2', 'k3'], kept(1000.0))
        # That of a flavor has no operation to stay with.
        self.assertEqual(['k1', 'k2'], kept(-1.0))
        self.update(models.Operation, uuid, state='failed',
                    finished_at=utcnow())
        self.assertEqual(['k2'], kept(-1.0))


class Snapshots(_OnServers, test_repeats.RepeatsCase):
    """MariaDB shows what there was at the first SELECT that locks nothing."""

    def test_abandon_reads_no_older_journal_than_its_lock(self):
        uuid, ended = self.operation(state='running'), []

        @sa.event.listens_for(self.database.engine, 'before_cursor_execute')
        def end_step(conn, cursor, statement, *rest):
            # As its conductor does, just before the row is locked.
            if 'FOR UPDATE' in statement and not ended:
                ended.append(self.insert(
                    models.OperationStep, name='find', ordinal=1,
                    operation_id=self.row_id(models.Operation, uuid),
                    state='done', epoch=1))

        answer = self.post(f'operations/{uuid}/abandon')
        self.assertEqual(202, answer.status, answer.body)
        self.assertIn('step find was done',
                      answer.json['operation']['error']['detail'])
