# SPDX-License-Identifier: Apache-2.0
"""Requests that are sent twice, and requests that are taken back."""

import threading

import sqlalchemy as sa

from valence.db import models
from valence.tests.unit.api import base

BODY = {'name': 'web', 'properties': {'processor': {'total_cores': 1}}}


class RepeatsCase(base.ApiTest):

    def setUp(self):
        super().setUp()
        pod = self.pod_manager()
        for _ in range(2):
            self.device(pod, type='compute', processor_cores=1)

    def compose(self, key='k1', **changes):
        return self.client.post('/v1/nodes', {**BODY, **changes},
                                idempotency_key=key)

    def count(self, model):
        with self.database.read() as conn:
            return conn.scalar(sa.select(sa.func.count()).select_from(model))


class RepeatsTest(RepeatsCase):

    def test_the_same_answer(self):
        first, second = self.compose(), self.compose()
        self.assertEqual((202, 202), (first.status, second.status))
        self.assertEqual(first.json, second.json)
        self.assertEqual(first.headers['location'],
                         second.headers['location'])
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
