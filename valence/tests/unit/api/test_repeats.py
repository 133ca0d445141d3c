# SPDX-License-Identifier: Apache-2.0
"""Requests that are sent twice, and requests that are taken back."""

import contextlib
import threading

import sqlalchemy as sa
from oslo_db import exception as db_exc

from valence.common import audit
from valence.db import models
from valence.db.types import utcnow
from valence.tests.unit.api import base
from valence.tests.unit.api.test_pod_managers import basic

BODY = {'name': 'web', 'properties': {'processor': {'total_cores': 1}}}


class RepeatsCase(base.ApiTest):

    def setUp(self):
        super().setUp()
        self.pod = self.pod_manager()
        for _ in range(2):
            self.device(self.pod, type='compute', processor_cores=1)

    def compose(self, key='k1', **changes):
        return self.client.post('/v1/nodes', {**BODY, **changes},
                                idempotency_key=key)

    def post(self, path, body=base.UNSET, key='k1', **headers):
        return self.client.post(f'/v1/{path}', body, idempotency_key=key,
                                **headers)

    def assert_same(self, first, second):
        self.assertEqual((first.status, first.json),
                         (second.status, second.json))
        self.assertEqual(first.headers.get('location'),
                         second.headers.get('location'))

    def assert_reused(self, response):
        self.assert_error(response, 422, 'idempotency_key_reused')

    def count(self, model):
        with self.database.read() as conn:
            return conn.scalar(sa.select(sa.func.count()).select_from(model))


class RepeatsTest(RepeatsCase):

    def test_the_same_answer(self):
        first, second = self.compose(), self.compose()
        self.assertEqual(202, first.status)
        self.assert_same(first, second)
        self.assertEqual((1, 1), (self.count(models.Node),
                                  self.count(models.Operation)))

    def test_the_order_of_a_body_does_not_matter(self):
        first = self.compose()
        second = self.client.post(
            '/v1/nodes', dict(reversed(BODY.items())),
            idempotency_key='k1')
        self.assertEqual(first.json, second.json)

    def test_another_body(self):
        self.compose()
        self.assert_error(self.compose(name='other'), 422,
                          'idempotency_key_reused')
        self.assertEqual(1, self.count(models.Node))

    def test_another_key(self):
        self.compose()
        self.assertEqual(202, self.compose('k2', name='other').status)

    def test_a_key_that_is_none(self):
        for key in ('', 'x' * 256, 'tab\tkey'):
            self.assert_error(self.compose(key), 400, 'invalid_request',
                              field='Idempotency-Key')

    def test_at_the_same_time(self):
        answers = []
        threads = [threading.Thread(
            target=lambda: answers.append(self.compose()))
            for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([202] * 6, [answer.status for answer in answers])
        self.assertEqual(1, len({answer.json['operation']['uuid']
                                 for answer in answers}))
        self.assertEqual(1, self.count(models.Node))


    def test_what_was_refused_leaves_no_key(self):
        self.assert_error(self.compose(properties={
            'processor': {'total_cores': 99}}), 409, 'no_valid_resources')
        self.assertEqual(0, self.count(models.IdempotencyKey))
        self.assertEqual(202, self.compose().status)

    def test_a_key_is_of_its_project(self):
        self.client.application = self.make_app(trust_identity_headers=True)
        answers = [self.post('nodes', BODY, x_project_id=project,
                             x_roles='member')
                   for project in ('one', 'two', 'one')]
        self.assertEqual([202] * 3, [answer.status for answer in answers])
        self.assert_same(answers[0], answers[2])
        self.assertEqual(2, self.count(models.Node))

    def test_without_a_key_nothing_is_asked(self):
        statements = []
        sa.event.listen(
            self.database.engine, 'before_cursor_execute',
            lambda conn, cursor, statement, *rest: statements.append(
                statement))
        self.assertEqual(202, self.client.post('/v1/nodes', BODY).status)
        self.assertIn('INSERT INTO operations', ' '.join(statements))
        self.assertNotIn('idempotency_keys', ' '.join(statements))

    def test_the_answer_to_a_commit_is_lost(self):
        """It is this very request that has taken its key."""
        write, lost = self.database.write, []

        @contextlib.contextmanager
        def forget():
            with write() as connection:
                yield connection
            if not lost:
                lost.append(connection)
                raise db_exc.DBConnectionError()

        uuid = self.operation()
        self.database.write = forget
        audit.enable(True)
        self.addCleanup(audit.enable, False)
        for ended in (1, 0):
            with self.assertLogs('valence.audit', 'INFO') as logs:
                answer = self.post(f'operations/{uuid}/abandon')
            self.assertEqual(202, answer.status, answer.body)
            self.assertEqual(1 + ended, len(logs.records))
        self.assertEqual(1, len(lost))


class JoinedTest(RepeatsCase):
    """A request that joins what is under way is known again as well."""

    def end(self, operation):
        self.update(models.Operation, operation, state='succeeded',
                    finished_at=utcnow())
        self.update(models.PodManager, self.pod, operation_uuid=None)

    def test_a_sync(self):
        path = f'pod_managers/{self.pod}/sync'
        under_way = self.client.post(f'/v1/{path}').json['operation']['uuid']
        joined = self.post(path)
        self.assertEqual(under_way, joined.json['operation']['uuid'])
        self.end(under_way)
        again = self.post(path)
        self.assertEqual((202, under_way, 'succeeded'), (
            again.status, again.json['operation']['uuid'],
            again.json['operation']['state']))
        self.assertEqual(joined.headers['location'],
                         again.headers['location'])
        self.assert_reused(self.compose())
        self.assertEqual(1, self.count(models.Operation))

    def test_a_release(self):
        composing = self.compose('k0').json['operation']['uuid']

        def release():
            return self.client.delete('/v1/nodes/web', idempotency_key='k1')

        joined = release()
        self.assertEqual(composing, joined.json['operation']['uuid'])
        self.assert_same(joined, release())
        self.assert_reused(self.client.delete('/v1/nodes/other',
                                              idempotency_key='k1'))

    def test_a_retry_of_what_waits(self):
        path = f'operations/{self.operation()}'
        first = self.post(f'{path}/retry')
        self.assert_same(first, self.post(f'{path}/retry'))
        self.end(path.rpartition('/')[2])
        self.assertEqual(202, self.post(f'{path}/retry').status)
        self.assert_reused(self.post(f'{path}/abandon'))

    def test_an_abandon(self):
        path = f'operations/{self.operation()}/abandon'
        first = self.post(path)
        self.assertEqual('failed', first.json['operation']['state'])
        self.assert_same(first, self.post(path))
        self.assert_error(self.post(path, key='k2'), 409, 'operation_ended')

    def test_a_quarantine_is_audited_once(self):
        uuid = self.node(self.pod)
        audit.enable(True)
        self.addCleanup(audit.enable, False)
        with self.assertLogs('valence.audit', 'INFO') as logs:
            self.assert_same(*(self.post(
                f'nodes/{uuid}/action', {'reset-state': {'state': 'error'}})
                for _ in range(2)))
        self.assertEqual(3, len(logs.records))

    def test_a_cancel(self):
        uuid = self.compose('k0').json['operation']['uuid']

        def cancel():
            return self.client.delete(f'/v1/operations/{uuid}',
                                      idempotency_key='k1')

        first = cancel()
        self.end(uuid)
        again = cancel()
        self.assertEqual((202, uuid), (again.status,
                                       again.json['operation']['uuid']))
        self.assertEqual(first.headers['location'],
                         again.headers['location'])


class SeveralTest(RepeatsCase):
    """A request that makes several operations, or none."""

    def sync(self, body=None, **more):
        return self.post('devices/sync', body or {}, **more)

    def uuids(self, response):
        self.assertEqual(202, response.status, response.body)
        return [one['uuid'] for one in response.json['operations']]

    def test_the_same_answer(self):
        self.pod_manager('other')
        first = self.sync()
        self.assertEqual(2, len(self.uuids(first)))
        self.assert_same(first, self.sync())
        for uuid in self.uuids(first):
            self.update(models.Operation, uuid, state='succeeded')
        with self.database.write() as conn:
            conn.execute(sa.update(models.PodManager).values(
                operation_uuid=None))
        self.assertEqual(self.uuids(first), self.uuids(self.sync()))
        self.assertEqual(2, self.count(models.Operation))
        self.assert_reused(self.sync({'pod_manager': 'other'}))
        self.assertEqual(2, len(self.uuids(self.sync(key='k2'))))

    def test_some_are_forgotten(self):
        self.pod_manager('other')
        gone, kept = self.uuids(self.sync())
        with self.database.write() as conn:
            conn.execute(sa.delete(models.Operation).where(
                models.Operation.uuid == gone))
        self.assertEqual([kept], self.uuids(self.sync()))

    def test_none(self):
        with self.database.write() as conn:
            conn.execute(sa.delete(models.Device))
            conn.execute(sa.delete(models.PodManager))
        self.assertEqual([], self.uuids(self.sync()))
        self.pod_manager()
        self.assertEqual([], self.uuids(self.sync()))
        self.assert_reused(self.sync({'pod_manager': 'pod'}))


class CreateTest(RepeatsCase):
    """A request that makes something without an operation."""

    NEW = {'name': 'new', 'url': 'https://new.example',
           'authentication': basic()}

    def setUp(self):
        super().setUp()
        self.alive = self.conductor()

    def register(self, **changes):
        return self.post('pod_managers', {**self.NEW, **changes})

    def test_a_pod_manager(self):
        first = self.register()
        self.assertEqual(201, first.status, first.body)
        # Which is not asked again whether it can be made.
        self.update(models.Conductor, self.alive, stopped_at=utcnow())
        self.assert_same(first, self.register())
        self.assert_reused(self.register(name='other'))
        self.assert_reused(self.register(
            authentication=basic(password='other')))
        self.assertEqual(2, self.count(models.PodManager))

    def test_nobody_can_guess_at_a_password(self):
        self.register()
        with self.database.read() as conn:
            kept = conn.scalar(sa.select(models.IdempotencyKey.digest))
        self.vault = base.vault.Vault(
            [base.fernet.Fernet.generate_key().decode()])
        self.client.application = self.make_app()
        self.assertEqual(64, len(kept))
        # Whoever has another key finds the same request to be another one.
        self.assert_reused(self.register())

    def test_a_pod_manager_that_is_gone(self):
        path = self.register().headers['location'].removeprefix('http://api')
        self.assertEqual(204, self.client.delete(path).status)
        self.assert_error(self.register(), 404, 'not_found')
        self.assertEqual(1, self.count(models.PodManager))

    def test_pod_managers_at_the_same_time(self):
        answers = []
        threads = [threading.Thread(
            target=lambda: answers.append(self.register()))
            for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for answer in answers:
            self.assert_same(answers[0], answer)
        self.assertEqual(201, answers[0].status, answers[0].body)

    def test_a_key_that_is_none(self):
        self.assert_error(self.post('pod_managers', self.NEW, key=''), 400,
                          'invalid_request', field='Idempotency-Key')

    def test_a_flavor(self):
        body = {'name': 'small', 'properties': BODY['properties']}
        first = self.post('flavors', body)
        self.assertEqual(201, first.status, first.body)
        self.assert_same(first, self.post('flavors', body))
        self.assert_reused(self.post('flavors', {**body, 'name': 'other'}))


class CancelTest(RepeatsCase):

    def cancel(self, uuid):
        return self.client.delete(f'/v1/operations/{uuid}')

    def test_a_compose(self):
        uuid = self.compose().json['operation']['uuid']
        answer = self.cancel(uuid)
        self.assertEqual(202, answer.status, answer.body)
        self.assertEqual('cancelled', answer.json['operation']['desired'])
        self.assertEqual([uuid, uuid], self.rung)

    def test_a_delete_is_not_weakened(self):
        uuid = self.compose().json['operation']['uuid']
        self.client.delete('/v1/nodes/web')
        self.assertEqual('deleted',
                         self.cancel(uuid).json['operation']['desired'])

    def test_what_is_over(self):
        uuid = self.compose().json['operation']['uuid']
        self.update(models.Operation, uuid, state='succeeded')
        self.assert_error(self.cancel(uuid), 409, 'operation_ended')

    def test_what_cannot_be_cancelled(self):
        uuid = self.operation(kind='release')
        self.assert_error(self.cancel(uuid), 409, 'not_cancellable')
