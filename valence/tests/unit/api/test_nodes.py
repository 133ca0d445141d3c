# SPDX-License-Identifier: Apache-2.0
import sqlalchemy as sa

from valence.common import power
from valence.db import models
from valence.db.types import utcnow
from valence.drivers.expether import ExpEtherDriver
from valence.drivers.redfish import RedfishDriver
from valence.drivers.rsd import RsdDriver
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

    def test_no_pod_that_composes_says_which_driver(self):
        self.update(models.PodManager, self.pod, capabilities={
            **base.CAPABILITIES, 'compose': False})
        self.pod_manager('away', status='unreachable')
        error = self.assert_error(self.compose(flavor='small'), 409,
                                  'no_valid_resources')
        for text in ('away: unreachable', 'pod: online',
                     'driver redfish', 'cannot compose nodes'):
            self.assertIn(text, error['detail'])

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

    def reason(self, **properties):
        return self.assert_error(self.compose(properties=properties), 409,
                                 'no_valid_resources')['detail']

    def test_what_is_short(self):
        self.device(self.pod, type='compute', processor_cores=32,
                    memory_mib=1024, memory_type='DDR4', model='Epyc')
        self.device(self.pod, type='memory', memory_mib=1024,
                    memory_type='DDR5')
        for words, wanted in (
                ('none of 2 free compute device(s) has 64 cores',
                 {'processor': {'total_cores': 64}}),
                ('none of 2 free compute device(s) has model zzz',
                 {'processor': {'model': 'zzz'}}),
                ('none of 2 free compute device(s) has memory of type ddr9',
                 {'memory': {'type': 'DDR9'}}),
                ('none of 2 free compute device(s) has 32 cores and model '
                 'xeon', {'processor': {'total_cores': 32, 'model': 'Xeon'}}),
                ('70000 MiB wanted, at most 66560 MiB free',
                 {'memory': {'capacity_mib': 70000}}),
                ('2048 MiB wanted, at most 1024 MiB free',
                 {'memory': {'capacity_mib': 2048, 'type': 'ddr4'}}),
                ('1 gpu wanted, 0 free', {'pci_device': {'type': ['gpu']}})):
            with self.subTest(words):
                self.assertEqual(
                    f'no pod manager can give this node now (pod: {words})',
                    self.reason(**wanted))

    def test_name_taken(self):
        self.compose(flavor='small')
        self.assert_error(self.compose(flavor='small'), 409, 'name_taken',
                          'name')


class PodManagersAreTheOperatorsTest(base.ApiTest):
    """Who may not see pod managers does not learn their names either."""

    settings = {'trust_identity_headers': True}

    def setUp(self):
        super().setUp()
        self.member = {'x_roles': 'member', 'x_project_id': 'mine'}
        self.pods = [self.pod_manager('secret-1', draining=True),
                     self.pod_manager('secret-2', status='offline')]
        self.addCleanup(self.assertEqual, [], self.rung)

    def compose(self, **more):
        return self.client.post('/v1/nodes', {
            'name': 'n', 'properties': {'processor': {'total_cores': 9}},
            **more}, **self.member)

    def test_none_is_able(self):
        error = self.assert_error(self.compose(), 409, 'no_valid_resources')
        self.assertEqual('no pod manager is online and able to compose '
                         '(draining; offline)', error['detail'])

    def test_nothing_fits(self):
        for pod in self.pods:
            self.update(models.PodManager, pod, draining=False,
                        status='online')
        error = self.assert_error(self.compose(), 409, 'no_valid_resources')
        self.assertEqual('no pod manager can give this node now (2 pod '
                         'managers: no free compute device)', error['detail'])
        self.member = {'x_roles': 'admin'}
        error = self.assert_error(self.compose(), 409, 'no_valid_resources')
        self.assertIn('secret-1: no free compute device; secret-2: no free',
                      error['detail'])

    def test_a_guess_is_told_nothing(self):
        answers = [self.assert_error(
            self.compose(pod_manager=name), 400, 'unknown_pod_manager',
            'pod_manager')['detail'].replace(name, '')
            for name in ('secret-1', 'guess')]
        self.assertEqual(answers[0], answers[1])
        for path in ('nodes', 'operations'):
            for ident in ('secret-1', 'guess', self.pods[0],
                          self.node(self.pods[0], f'{path}-1')):
                response = self.client.get(
                    f'/v1/{path}?pod_manager={ident}', **self.member)
                self.assertEqual((200, []), (
                    response.status, response.json[path]), ident)
            self.assert_error(self.client.get(
                f'/v1/{path}?pod_manager=guess', x_roles='admin'), 400,
                'unknown_pod_manager', 'pod_manager')

    def test_it_is_known_by_uuid_from_a_node(self):
        self.node(self.pods[0], 'own', project_id='mine')
        uuid = self.client.get('/v1/nodes/own', **self.member).json[
            'pod_manager']
        response = self.client.get(f'/v1/nodes?pod_manager={uuid}',
                                   **self.member)
        self.assertEqual(['own'], [
            node['name'] for node in response.json['nodes']])
        self.assert_error(self.compose(pod_manager=uuid), 409,
                          'no_valid_resources')

    def test_what_it_cannot_do(self):
        self.update(models.PodManager, self.pods[1], capabilities={},
                    status='online')
        error = self.assert_error(self.compose(pod_manager=self.pods[1]),
                                  400, 'unsupported', 'pod_manager')
        self.assertNotIn('secret', error['detail'])
        self.node(self.pods[0], 'own', project_id='mine')
        for body in ({'Reset': {'Type': 'Nmi'}},
                     {'attach': {'resource_id': self.pods[0]}}):
            response = self.client.post('/v1/nodes/own/action', body,
                                        **self.member)
            self.assertEqual(400, response.status)
            self.assertNotIn('secret', response.error['detail'])
        error = self.assert_error(self.client.post(
            '/v1/nodes/' + self.client.get(
                '/v1/nodes/own', **self.member).json['uuid'] + '/action',
            {'Reset': {'Type': 'Nmi'}}, x_roles='admin'), 400, 'unsupported',
            'Reset.Type')
        self.assertIn('secret-1', error['detail'])


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

    def test_all_that_a_driver_says_it_can(self):
        for driver in (ExpEtherDriver, RedfishDriver, RsdDriver):
            able = driver.capabilities
            self.assertLessEqual(
                set(able.reset_types), set(power.RESET_TYPES))
            self.assertLessEqual(
                set(able.boot_targets), set(power.BOOT_TARGETS))
        self.update(models.PodManager, self.pod, capabilities={
            'reset_types': power.RESET_TYPES,
            'boot_targets': power.BOOT_TARGETS})
        for body in (*({'Reset': {'Type': kind}}
                       for kind in power.RESET_TYPES),
                     *({'Boot': {'Enabled': 'Once', 'Target': target}}
                       for target in power.BOOT_TARGETS)):
            self.update(models.Node, self.uuid, operation_uuid=None)
            self.assertEqual(202, self.action(**body).status, body)

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

    def test_boot_where_the_pod_has_none(self):
        self.update(models.PodManager, self.pod, driver='expether',
                    capabilities={**base.CAPABILITIES, 'boot_targets': []})
        for boot, field in (({'Enabled': 'Disabled'}, 'Boot.Enabled'),
                            ({'Enabled': 'Once', 'Target': 'Pxe'},
                             'Boot.Target')):
            error = self.assert_error(self.action(Boot=boot), 400,
                                      'unsupported', field)
            self.assertIn('driver expether', error['detail'])

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

    def test_a_state_that_there_is_not(self):
        error = self.assert_error(self.client.get('/v1/nodes?state=bogus'),
                                  400, 'invalid_request', 'state')
        self.assertIn('composing, active, releasing, error', error['detail'])

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
