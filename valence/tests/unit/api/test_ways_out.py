# SPDX-License-Identifier: Apache-2.0
"""What an operator sees of, and does about, things that went wrong."""

import json

import sqlalchemy as sa

from valence.common import audit
from valence.db import models
from valence.db.types import utcnow
from valence.tests.unit.api import base


class _WaysOut(base.ApiTest):

    settings = {'trust_identity_headers': True}
    admin = {'x_roles': 'admin'}
    member = {'x_roles': 'member,reader'}

    def setUp(self):
        super().setUp()
        audit.enable(True)
        self.addCleanup(audit.enable, False)
        self.pod = self.pod_manager()
        self.compute = self.device(self.pod, type='compute',
                                   processor_cores=1)
        self.uuid = self.node(self.pod)
        self.claim(self.uuid, self.compute)

    def show(self):
        return self.client.get(f'/v1/nodes/{self.uuid}', **self.admin).json

    def assert_audited(self, logs, operation, code):
        """The end comes first, then the request that brought it about."""
        ended, asked = [json.loads(record.getMessage())
                        for record in logs.records]
        self.assertEqual(
            (operation, 'valence-api', self.uuid, code),
            (ended['operation'], ended['observer']['id'],
             ended['target']['id'], ended['reason']['reasonCode']))
        self.assertEqual((operation, 'pending'),
                         (asked['operation'], asked['outcome']))


class OperationsTest(_WaysOut):

    def failed(self, **values):
        return self.operation(**{
            'kind': 'power', 'state': 'failed', 'node_uuid': self.uuid,
            'pod_manager_uuid': self.pod, 'params': {'reset_type': 'On'},
            **values})

    def post(self, operation, what, **headers):
        return self.client.post(f'/v1/operations/{operation}/{what}',
                                **(headers or self.member))

    def test_retry(self):
        first = self.failed()
        response = self.post(first, 'retry')
        self.assertEqual(202, response.status, response.body)
        again = response.json['operation']
        self.assertEqual(('power', 'pending', self.uuid),
                         (again['kind'], again['state'], again['node']))
        self.assertNotEqual(first, again['uuid'])
        self.assertEqual(again['links'][0]['href'],
                         response.headers['location'])
        self.assertEqual([again['uuid']], self.rung)

    def test_a_retry_is_repeated_safely(self):
        operation = self.failed()
        answers = [self.client.post(
            f'/v1/operations/{operation}/retry', idempotency_key='k',
            **self.member).json for _ in range(2)]
        self.assertEqual(*answers)

    def test_retry_of_what_waits(self):
        operation = self.failed(state='running', not_before=utcnow(1000))
        response = self.post(operation, 'retry')
        self.assertEqual((202, operation, None), (
            response.status, response.json['operation']['uuid'],
            response.json['operation']['not_before']))

    def test_retry_of_what_is_worked_on(self):
        operation = self.failed(
            state='running', owner='o' * 36, not_before=None,
            acquired_at=utcnow(), lease_expires_at=utcnow(20))
        body = self.post(operation, 'retry').json['operation']
        self.assertEqual('o' * 36, body['conductor'])
        self.assertLess(body['acquired_at'], body['lease_expires_at'])

    def test_what_cannot_be_retried(self):
        for values, code in (({'state': 'succeeded'}, 'operation_ended'),
                             ({'kind': 'reconcile'}, 'not_retryable'),
                             ({'node_uuid': self.pod}, 'node_gone')):
            with self.subTest(code):
                self.assert_error(self.post(self.failed(**values), 'retry'),
                                  409, code)
        self.update(models.Node, self.uuid, state='error')
        self.assert_error(self.post(self.failed(), 'retry'), 409,
                          'node_not_active')
        self.assert_error(self.post(self.failed(project_id='x'), 'retry'),
                          404, 'not_found')

    def test_abandon(self):
        operation = self.failed(state='running', lease_expires_at=utcnow(9))
        self.update(models.Node, self.uuid, operation_uuid=operation,
                    state_deadline=utcnow(100))
        self.assertIsNotNone(self.show()['state_deadline'])
        self.assert_error(self.post(operation, 'abandon'), 403, 'forbidden')
        with self.assertLogs('valence.audit', 'INFO') as logs:
            response = self.post(operation, 'abandon', **self.admin)
        self.assertEqual(202, response.status, response.body)
        body = response.json['operation']
        self.assertEqual(('failed', 'abandoned'),
                         (body['state'], body['error']['code']))
        self.assert_audited(logs, operation, 'abandoned')
        node = self.show()
        self.assertEqual(('error', None, None), (
            node['state'], node['operation'], node['state_deadline']))
        self.assertEqual(1, len(node['devices']))
        self.assert_error(self.post(operation, 'abandon', **self.admin), 409,
                          'operation_ended')


class ResetStateTest(_WaysOut):

    def reset(self, state, **headers):
        return self.client.post(
            f'/v1/nodes/{self.uuid}/action',
            {'reset-state': {'state': state}}, **(headers or self.admin))

    def test_to_error_and_back(self):
        with self.assertLogs('valence.audit', 'INFO') as logs:
            response = self.reset('error')
        self.assertEqual(202, response.status, response.body)
        self.assert_audited(logs, response.json['operation']['uuid'],
                            'succeeded')
        self.assertEqual(('quarantine', 'succeeded', 'error'), (
            response.json['operation']['kind'],
            response.json['operation']['state'],
            response.json['node']['state']))
        response = self.reset('active')
        self.assertEqual(('verify', 'pending', 'error'), (
            response.json['operation']['kind'],
            response.json['operation']['state'],
            response.json['node']['state']))
        self.assert_error(self.reset('error'), 409, 'node_busy')

    def test_only_for_the_operator(self):
        self.assert_error(self.reset('error', **self.member), 403,
                          'forbidden')
        self.assert_error(self.reset('composing'), 400, 'invalid_request',
                          'reset-state.state')


class DriftTest(_WaysOut):

    def drift(self, number, **values):
        return self.insert(models.Drift, **{
            'pod_manager_id': self.row_id(models.PodManager, self.pod),
            'kind': 'foreign', 'resource_path': f'/s/{number}',
            'details': {'found': ['/d/1']}, 'state': 'seen',
            'first_scan': 1, 'last_scan': 1, **values})

    def list(self, query=''):
        response = self.client.get(f'/v1/drift{query}', **self.admin)
        self.assertEqual(200, response.status, response.body)
        return response.json

    def test_pages_and_filters(self):
        ids = [self.drift(1), self.drift(2, kind='gone', state='confirmed',
                                         node_uuid=self.uuid)]
        page = self.list('?limit=1')
        self.assertEqual(ids[:1], [one['uuid'] for one in page['drift']])
        self.assertIn(f'/v1/drift?limit=1&marker={ids[0]}', page['next'])
        for query in ('kind=gone', 'state=confirmed', f'node={self.uuid}',
                      f'marker={ids[0]}'):
            self.assertEqual(ids[1:], [
                one['uuid'] for one in self.list(f'?{query}')['drift']])
        self.assertEqual(2, len(self.list('?pod_manager=pod')['drift']))
        one = self.client.get(f'/v1/drift/{ids[1]}', **self.admin).json
        self.assertEqual(('gone', self.pod, '/s/2', {'found': ['/d/1']}), (
            one['kind'], one['pod_manager'], one['resource_path'],
            one['details']))

    def test_goes_with_its_pod_manager(self):
        self.drift(1)
        self.client.delete(f'/v1/pod_managers/{self.pod}?force=true',
                           **self.admin)
        self.assertEqual([], self.list()['drift'])

    def test_not_for_projects(self):
        self.assert_error(self.client.get('/v1/drift', **self.member), 403,
                          'forbidden')


class DrainTest(_WaysOut):

    def compose(self):
        self.device(self.pod, type='compute', processor_cores=1)
        return self.client.post('/v1/nodes', {
            'name': 'new', 'properties': {'processor': {'total_cores': 1}}},
            **self.admin)

    def test_nothing_new_is_placed(self):
        path = f'/v1/pod_managers/{self.pod}'
        self.assertFalse(self.client.get(path, **self.admin).json['draining'])
        response = self.client.post(f'{path}/drain', **self.admin)
        self.assertEqual((200, True),
                         (response.status, response.json['draining']))
        error = self.assert_error(self.compose(), 409, 'no_valid_resources')
        self.assertIn('pod: draining', error['detail'])
        response = self.client.patch(path, {'draining': False}, **self.admin)
        self.assertEqual((200, False),
                         (response.status, response.json['draining']))
        self.assertEqual(202, self.compose().status)

    def test_named(self):
        self.update(models.PodManager, self.pod, draining=True)
        error = self.assert_error(self.client.post('/v1/nodes', {
            'name': 'new', 'pod_manager': 'pod',
            'properties': {'processor': {'total_cores': 1}}}, **self.admin),
            409, 'no_valid_resources')
        self.assertIn('draining', error['detail'])

    def test_its_nodes_stay(self):
        self.client.post(f'/v1/pod_managers/{self.pod}/drain', **self.admin)
        self.assertEqual('active', self.show()['state'])
        with self.database.read() as conn:
            self.assertIsNotNone(conn.scalar(sa.select(
                models.PodManager.next_sync_at)))
