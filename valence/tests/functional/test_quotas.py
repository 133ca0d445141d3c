# SPDX-License-Identifier: Apache-2.0
"""No project gets more than it may, on all three databases."""

import threading

import fixtures
import sqlalchemy as sa

from valence import remedies, requests
from valence.common import errors, states
from valence.db import models, nodes, quotas
from valence.tests.functional import test_database
from valence.tests.functional.processes import PATIENCE
from valence.tests.functional.test_database import device


class Quotas(test_database._OnEachDatabase):

    def setUp(self):
        super().setUp()
        self.pod(attach=True)
        self.scan([device(number) for number in range(4)] + [
            device(number, type='gpu') for number in range(4, 8)])
        self.limits = {}

    def requester(self, project='project'):
        return requests.Requester(project, 'user', 'req-1',
                                  limits=self.limits)

    def compose(self, name='n', project='project', gpus=0, **more):
        return self.database.run(
            requests.compose, self.requester(project), name=name,
            requirements={'processor': {'total_cores': 1},
                          **({'pci_device': {'type': ['gpu'] * gpus}}
                             if gpus else {})}, **more)

    def used(self, project='project'):
        with self.database.read() as conn:
            return {name: count for name, count
                    in quotas.usage(conn, project).items() if count}

    def at_once(self, count, ask):
        """What ``ask(number)`` came to in each of ``count`` threads."""
        results = []
        together = threading.Barrier(count)

        def run(number):
            together.wait(PATIENCE)
            try:
                ask(number)
                results.append('done')
            except errors.ValenceError as error:
                results.append(error.code)

        threads = [threading.Thread(target=run, args=(number,))
                   for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(results)

    def test_usage(self):
        self.assertEqual({}, self.used())
        self.compose('n1', gpus=2)
        self.compose('n2')
        self.compose('n2', project='other')
        self.assertEqual({'nodes': 2, 'devices': 4, 'compute': 2, 'gpu': 2},
                         self.used())
        self.assertEqual({'nodes': 1, 'devices': 1, 'compute': 1},
                         self.used('other'))

    def test_one_too_many(self):
        self.limits = {'nodes': 1}
        self.compose('n1')
        error = self.assertRaises(errors.QuotaExceeded, self.compose, 'n2')
        self.assertEqual((403, 'quota_exceeded'), (error.status, error.code))
        self.assertEqual('the project may have 1 nodes; it has 1, and 1 more '
                         'is requested', str(error))
        self.assertEqual({'nodes': 1, 'devices': 1, 'compute': 1},
                         self.used())
        # Each project for itself, and its own limit before the default.
        self.compose('n1', project='other')
        self.database.run(quotas.put, 'project', {'nodes': 2})
        self.compose('n2')
        self.database.run(quotas.put, 'project', {})
        self.assertRaises(errors.QuotaExceeded, self.compose, 'n3')

    def test_of_a_kind(self):
        self.database.run(quotas.put, 'project', {'gpu': 2, 'devices': 5})
        self.compose('n1', gpus=1)
        error = self.assertRaises(errors.QuotaExceeded, self.compose, 'n2',
                                  gpus=2)
        self.assertIn('may have 2 gpu; it has 1, and 2 more are', str(error))
        self.compose('n2', gpus=1)
        self.compose('n3')
        error = self.assertRaises(errors.QuotaExceeded, self.compose, 'n4')
        self.assertIn('5 devices', str(error))
        # One that is above its limit may still do what takes none of it.
        self.database.run(quotas.put, 'project', {'gpu': 0})
        self.compose('n4')

    def test_attach(self):
        uuid, operation = self.compose('n1')
        self.database.run(nodes.end, uuid, operation, 'compose',
                          states.SUCCEEDED)
        self.limits = {'gpu': 0, 'nodes': 0}
        gpu = self.rows(sa.select(test_database.DEVICES.c.uuid).where(
            test_database.DEVICES.c.type == 'gpu'))[0].uuid
        error = self.assertRaises(
            errors.QuotaExceeded, self.database.run, requests.attach,
            self.requester(), uuid, gpu)
        self.assertIn('0 gpu', str(error))
        self.limits = {'gpu': 1, 'nodes': 0}
        self.database.run(requests.attach, self.requester(), uuid, gpu)
        self.assertEqual(1, self.used()['gpu'])

    def test_what_the_backend_chooses(self):
        with self.database.write() as conn:
            conn.execute(sa.update(models.PodManager).values(capabilities={
                'compose': True, 'allocation': 'backend'}))
        self.limits = {'gpu': 2}
        self.compose('n1', gpus=1)
        self.assertEqual({'nodes': 1, 'devices': 2, 'compute': 1, 'gpu': 1},
                         self.used())
        error = self.assertRaises(errors.QuotaExceeded, self.compose, 'n2',
                                  gpus=2)
        self.assertIn('it has 1, and 2 more', str(error))

    def test_composed_again(self):
        uuid, operation = self.compose('n1', gpus=1)
        node = self.rows(sa.select(nodes.NODES.c.id))[0].id
        self.database.run(nodes.unclaim, node)
        self.database.run(nodes.end, uuid, operation, 'compose',
                          states.FAILED)
        with self.database.write() as conn:
            conn.execute(sa.text("UPDATE nodes SET state = 'error'"))
            conn.execute(sa.text("UPDATE operations SET state = 'failed'"))
        self.limits = {'gpu': 0}
        self.assertRaises(errors.QuotaExceeded, self.database.run,
                          remedies.retry, self.requester(), operation)

    def test_many_at_once(self):
        self.limits = {'nodes': 2}
        self.assertEqual(
            ['done'] * 2 + ['quota_exceeded'] * 6,
            self.at_once(8, lambda number: self.compose(f'n{number}')))
        self.assertEqual(2, self.used()['nodes'])

    def test_many_devices_at_once(self):
        self.database.run(quotas.put, 'project', {'gpu': 3})
        self.assertEqual(
            ['done'] * 3 + ['quota_exceeded'],
            self.at_once(4, lambda number: self.compose(
                f'n{number}', gpus=1)))
        self.assertEqual(3, self.used()['gpu'])

    def test_what_was_committed_meanwhile_counts(self):
        """Whatever a request has read before it came to the lock."""
        if self.kind == 'sqlite':
            # It has one writer, and no meanwhile.
            return
        self.limits = {'nodes': 1}
        self.database.run(quotas.put, 'project', {})
        begun, go_on = threading.Event(), threading.Event()
        late, results = threading.local(), []
        lock = quotas.lock

        def wait_and_lock(conn, *args):
            if hasattr(late, 'here'):
                conn.execute(sa.select(nodes.NODES.c.id)).all()
                begun.set()
                go_on.wait(PATIENCE)
            return lock(conn, *args)

        def ask():
            late.here = True
            try:
                results.append(self.compose('late'))
            except errors.QuotaExceeded as error:
                results.append(error.code)

        self.useFixture(fixtures.MockPatchObject(
            quotas, 'lock', wait_and_lock))
        thread = threading.Thread(target=ask)
        thread.start()
        begun.wait(PATIENCE)
        self.compose('early')
        go_on.set()
        thread.join()
        self.assertEqual(['quota_exceeded'], results)
