# SPDX-License-Identifier: Apache-2.0
import sqlalchemy as sa

from valence.db import models
from valence.db.types import utcnow
from valence.tests.unit.api import base


class ComposeTest(base.ApiTest):

    def setUp(self):
        super().setUp()
        self.pod = self.pod_manager()
        self.compute = self.device(
            self.pod, type='compute', processor_cores=16, memory_mib=65536,
            model='Xeon')
        self.nvme = self.device(self.pod, capacity_gib=100)
        self.client.post('/v1/flavors', {
            'name': 'small', 'properties': {
                'memory': {'capacity_mib': 1024},
                'pci_device': {'type': ['nvme']}}})

    def compose(self, **body):
        return self.client.post('/v1/nodes', {'name': 'web', **body})

    def test_by_flavor(self):
        response = self.compose(flavor='small', description='x')
        self.assertEqual(202, response.status, response.body)
        operation, node = response.json['operation'], response.json['node']
        self.assertEqual(
            ('compose', 'pending', node['uuid'], self.pod),
            (operation['kind'], operation['state'], operation['node'],
             operation['pod_manager']))
        self.assertEqual(
            ('web', 'x', 'composing', 'small', operation['uuid'], self.pod),
            (node['name'], node['description'], node['state'],
             node['flavor_name'], node['operation'], node['pod_manager']))
        self.assertEqual({self.compute, self.nvme},
                         {device['uuid'] for device in node['devices']})
        self.assertEqual(operation['links'][0]['href'],
                         response.headers['location'])
        self.assertEqual([operation['uuid']], self.rung)
        self.assertEqual(node, self.client.get('/v1/nodes/web').json)
        self.assertEqual(response.headers['x-openstack-request-id'],
                         operation['request_id'])
        self.assertEqual('admin', operation['user_id'])
        self.assertEqual(node['uuid'], self.client.get(
            f'/v1/devices/{self.nvme}').json['node'])

    def test_by_properties(self):
        response = self.compose(
            properties={'processor': {'total_cores': '4'}},
            pod_manager='pod')
        self.assertEqual(202, response.status, response.body)
        self.assertEqual({'processor': {'total_cores': 4}},
                         response.json['node']['requirements'])

    def test_exactly_one_of_flavor_and_properties(self):
        for body in ({}, {'flavor': 'small', 'properties': {
                'memory': {'capacity_mib': 1}}}):
            error = self.assert_error(self.compose(**body), 400,
                                      'invalid_request')
            self.assertIn('flavor', error['detail'])

    def test_unknown(self):
        self.assert_error(self.compose(flavor='x'), 400, 'unknown_flavor',
                          'flavor')
        self.assert_error(self.compose(flavor='small', pod_manager='x'), 400,
                          'unknown_pod_manager', 'pod_manager')
        self.assert_error(self.compose(flavor='small', extra=1), 400,
                          'invalid_request', 'extra')

    def test_no_valid_resources(self):
        self.assert_error(
            self.compose(properties={'pci_device': {'type': ['gpu']}}), 409,
            'no_valid_resources')
        self.assertEqual([], self.rung)
        self.assertEqual([], self.client.get('/v1/nodes').json['nodes'])

    def test_name_taken(self):
        self.compose(flavor='small')
        self.assert_error(self.compose(flavor='small'), 409, 'name_taken',
                          'name')


class NodesTest(base.ApiTest):

    def setUp(self):
        super().setUp()
        self.pod = self.pod_manager()
        self.uuid = self.node(self.pod, power_state='Off')

    def action(self, **body):
        return self.client.post('/v1/nodes/node/action', body)

    def test_reset(self):
        response = self.action(Reset={'Type': 'On'})
        self.assertEqual(202, response.status, response.body)
        self.assertEqual('power', response.json['operation']['kind'])
        self.assertEqual(self.uuid, response.json['node']['uuid'])
        self.assertEqual(self.rung, [response.json['operation']['uuid']])
        response = self.action(Reset={'Type': 'On'})
        self.assert_error(response, 409, 'node_busy')
        self.assertIn('retry-after', response.headers)

    def test_boot(self):
        response = self.action(Boot={'Enabled': 'Once', 'Target': 'Pxe'})
        self.assertEqual(202, response.status, response.body)
        self.assertEqual('boot', response.json['operation']['kind'])

    def test_boot_disabled_needs_no_target(self):
        self.assertEqual(202, self.action(
            Boot={'Enabled': 'Disabled'}).status)

    def test_what_is_no_action(self):
        for body, field in (
                ({}, None), ({'Reset': {'Type': 'On'}, 'Boot': {
                    'Enabled': 'Once', 'Target': 'Pxe'}}, None),
                ({'Reset': {}}, 'Reset.Type'),
                ({'Reset': {'Type': 'Explode'}}, 'Reset.Type'),
                ({'Reset': None}, 'Reset'),
                ({'Boot': {'Enabled': 'Once'}}, 'Boot.Target'),
                ({'Boot': {'Target': 'Pxe'}}, 'Boot.Enabled'),
                ({'Boot': {'Enabled': 'Once', 'Target': 'Net'}},
                 'Boot.Target'),
                ({'Other': {}}, 'Other')):
            with self.subTest(body):
                self.assert_error(self.action(**body), 400,
                                  'invalid_request', field)

    def test_what_the_pod_cannot_do(self):
        self.assert_error(self.action(Reset={'Type': 'Nmi'}), 400,
                          'unsupported', 'Reset.Type')

    def test_release(self):
        response = self.client.delete('/v1/nodes/node')
        self.assertEqual(202, response.status, response.body)
        self.assertEqual(('release', 'releasing'), (
            response.json['operation']['kind'],
            response.json['node']['state']))
        self.assertEqual(
            response.json['operation']['uuid'],
            self.client.delete('/v1/nodes/node').json['operation']['uuid'])

    def test_busy(self):
        self.update(models.Node, self.uuid,
                    operation_uuid=self.operation(kind='power'))
        self.assert_error(self.client.delete('/v1/nodes/node'), 409,
                          'node_busy')

    def test_not_active(self):
        self.update(models.Node, self.uuid, state='error')
        self.assert_error(self.action(Reset={'Type': 'On'}), 409,
                          'node_not_active')

    def test_unknown(self):
        for ident in ('x', self.pod):
            for response in (
                    self.client.get(f'/v1/nodes/{ident}'),
                    self.client.delete(f'/v1/nodes/{ident}'),
                    self.client.post(f'/v1/nodes/{ident}/action',
                                     {'Reset': {'Type': 'On'}})):
                self.assert_error(response, 404, 'not_found')

    def test_filters(self):
        self.node(self.pod, 'second', state='error', flavor_name='small')
        for query, names in (('', ['node', 'second']),
                             ('state=error', ['second']),
                             ('flavor=small', ['second']),
                             ('power_state=Off', ['node']),
                             ('pod_manager=pod&name=node', ['node'])):
            self.assertEqual(names, [node['name'] for node in self.client.get(
                f'/v1/nodes?{query}').json['nodes']])


class OperationsTest(base.ApiTest):

    def test_show(self):
        uuid = self.operation(
            kind='compose', state='failed', error='no such block',
            error_code='backend_refused', progress=40, undoing=True,
            result={'a': 1}, params={'secret': 'x'}, started_at=utcnow())
        for ordinal, name in enumerate(('compose', 'verify')):
            self.insert(
                models.OperationStep, name=name, ordinal=ordinal,
                operation_id=self.row_id(models.Operation, uuid),
                state='done', epoch=1, attempts=2, intent={'hidden': 1})
        body = self.client.get(f'/v1/operations/{uuid}').json
        self.assertEqual(
            {'code': 'backend_refused', 'detail': 'no such block'},
            body['error'])
        self.assertEqual((40, True, {'a': 1}), (
            body['progress'], body['undoing'], body['result']))
        self.assertEqual(['compose', 'verify'],
                         [step['name'] for step in body['steps']])
        self.assertEqual(
            {'name', 'state', 'attempts', 'error', 'started_at',
             'finished_at'}, set(body['steps'][0]))
        self.assertNotIn('params', body)

    def test_filters(self):
        pod = self.pod_manager()
        first = self.operation(pod_manager_uuid=pod)
        second = self.operation(kind='power', state='failed', node_uuid=pod)
        for query, uuids in (
                ('', [first, second]), ('kind=sync', [first]),
                ('state=failed', [second]), (f'node={pod}', [second]),
                ('pod_manager=pod', [first])):
            response = self.client.get(f'/v1/operations?{query}')
            self.assertEqual(uuids, [
                body['uuid'] for body in response.json['operations']])
        self.assert_error(self.client.get('/v1/operations?state=x'), 400,
                          'invalid_request', 'state')

    def test_every_write_is_one_transaction(self):
        # What the database refuses is not rung for.
        self.assert_error(self.client.post('/v1/pod_managers/x/sync'), 404,
                          'not_found')
        self.assertEqual([], self.rung)
        with self.database.read() as conn:
            self.assertEqual(0, conn.scalar(
                sa.select(sa.func.count()).select_from(models.Operation)))
