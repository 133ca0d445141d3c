# SPDX-License-Identifier: Apache-2.0
from valence.api import patches
from valence.common.addresses import AddressPolicy
from valence.db import models
from valence.tests.unit.api import base

_URL = '/v1/flavors/small'
_PROPERTIES = {'memory': {'capacity_mib': 1, 'type': 'DDR5'},
               'pci_device': {'type': ['gpu', 'nvme']}}


class JSONPatchTest(base.ApiTest):

    def setUp(self):
        super().setUp()
        self.client.post('/v1/flavors', {
            'name': 'small', 'description': 'a', 'properties': _PROPERTIES})

    def patch(self, *operations, url=_URL):
        return self.client.patch(
            url, list(operations),
            content_type='application/json-patch+json')

    def test_operations(self):
        body = self.patch(
            {'op': 'test', 'path': '/name', 'value': 'small'},
            {'op': 'replace', 'path': '/description', 'value': 'b'},
            {'op': 'remove', 'path': '/properties/memory/type'},
            {'op': 'add', 'path': '/properties/pci_device/type/-',
             'value': 'SSD'},
            {'op': 'copy', 'from': '/description', 'path': '/name'},
            {'op': 'add', 'path': '/properties/processor',
             'value': {'total_cores': '2'}}).json
        self.assertEqual(('b', 'b'), (body['name'], body['description']))
        self.assertEqual({
            'memory': {'capacity_mib': 1},
            'pci_device': {'type': ['gpu', 'nvme', 'ssd']},
            'processor': {'total_cores': 2}}, body['properties'])

    def test_all_or_nothing(self):
        self.assert_error(self.patch(
            {'op': 'replace', 'path': '/description', 'value': 'b'},
            {'op': 'test', 'path': '/name', 'value': 'other'}),
            409, 'patch_failed', '1.path')
        self.assertEqual('a', self.client.get(_URL).json['description'])

    def test_what_does_not_fit(self):
        for operation in (
                {'op': 'remove', 'path': '/properties/processor'},
                {'op': 'replace', 'path': '/properties/x/y', 'value': 1},
                {'op': 'add', 'path': '/name/x', 'value': 1},
                {'op': 'add', 'path': '/properties/pci_device/type/9',
                 'value': 'gpu'},
                {'op': 'add', 'path': '/properties/pci_device/type/x',
                 'value': 'gpu'},
                {'op': 'remove', 'path': '/properties/pci_device/type/-'},
                {'op': 'move', 'from': '/properties/memory',
                 'path': '/properties/memory/capacity_mib'}):
            with self.subTest(operation):
                self.assert_error(self.patch(operation), 409, 'patch_failed',
                                  '0.path')

    def test_only_what_can_be_changed(self):
        for field in ('uuid', 'created_at', 'links', 'generation', 'nothing'):
            for operation in (
                    {'op': 'replace', 'path': f'/{field}', 'value': 'x'},
                    {'op': 'remove', 'path': f'/{field}'}):
                error = self.assert_error(self.patch(operation), 400,
                                          'invalid_request', '0.path')
                self.assertIn(repr(field), error['detail'])
        self.assert_error(
            self.patch({'op': 'copy', 'from': '/uuid', 'path': '/name'}),
            400, 'invalid_request', '0.from')

    def test_what_comes_out_is_checked(self):
        for operation, field in (
                ({'op': 'remove', 'path': '/name'}, 'name'),
                ({'op': 'replace', 'path': '/name', 'value': 1}, 'name'),
                ({'op': 'replace', 'path': '/properties', 'value': {}},
                 'properties'),
                ({'op': 'add', 'path': '/properties/gpu', 'value': 1},
                 'properties.gpu')):
            self.assert_error(self.patch(operation), 400, 'invalid_request',
                              field)

    def test_what_is_no_patch(self):
        for body in ({'name': 'x'}, [], [1], [{}], [{'op': 'add'}],
                     [{'op': 'add', 'path': '/name'}],
                     [{'op': 'spoil', 'path': '/name'}],
                     [{'op': 'remove', 'path': ''}],
                     [{'op': 'remove', 'path': 'name'}],
                     [{'op': 'remove', 'path': '/a~2'}],
                     [{'op': 'remove', 'path': '/name'}] * 101):
            with self.subTest(str(body)[:60]):
                response = self.client.patch(
                    _URL, body, content_type='application/json-patch+json')
                self.assertEqual(400, response.status, response.body)

    def test_what_is_wrong_with_it(self):
        for operation, field, words in (
                (1, '0', 'type object'),
                ({}, '0.op', 'is required'),
                ({'path': '/name', 'value': 1}, '0.op', 'is required'),
                ({'op': 'spoil', 'path': '/name'}, '0.op', 'one of add, '),
                ({'op': 'add'}, '0.path', 'is required'),
                ({'op': 'add', 'path': 'name', 'value': 1}, '0.path',
                 'JSON pointer'),
                ({'op': 'add', 'path': 1, 'value': 1}, '0.path',
                 'type string'),
                ({'op': 'add', 'path': '/name'}, '0.value', 'is required'),
                ({'op': 'test', 'path': '/name'}, '0.value', 'is required'),
                ({'op': 'move', 'path': '/name'}, '0.from', 'is required'),
                ({'op': 'copy', 'path': '/name', 'from': 'x'}, '0.from',
                 'JSON pointer')):
            with self.subTest(operation):
                error = self.assert_error(self.patch(operation), 400,
                                          'invalid_request', field)
                self.assertIn(words, error['detail'])

    def test_members_that_are_not_defined_are_ignored(self):
        body = self.patch(
            {'op': 'add', 'path': '/description', 'value': 'b', 'from': 5,
             'x': 1},
            {'op': 'copy', 'from': '/description', 'path': '/name',
             'value': 'no'},
            {'op': 'remove', 'path': '/description', 'value': 1,
             'from': '/uuid'}).json
        self.assertEqual(('b', None), (body['name'], body['description']))

    def test_what_cannot_be_changed_can_be_tested(self):
        before = self.client.get(_URL).json
        change = {'op': 'replace', 'path': '/description', 'value': 'b'}
        self.assertEqual(200, self.patch(
            *({'op': 'test', 'path': f'/{field}', 'value': value}
              for field, value in before.items()), change,
            {'op': 'test', 'path': '/description', 'value': 'b'},
            {'op': 'test', 'path': '/links/0/rel', 'value': 'self'}).status)
        for path, value in (('/uuid', 'x'), ('/links/1', {}),
                            ('/uuid/x', 1), ('/links/-', None),
                            ('/properties/memory/capacity_mib', True)):
            self.assert_error(self.patch(
                change, {'op': 'test', 'path': path, 'value': value}),
                409, 'patch_failed', '1.path')
        self.assert_error(self.patch(
            {'op': 'test', 'path': '/nothing', 'value': None}), 400,
            'invalid_request', '0.path')

    def test_states_can_be_tested(self):
        self.conductor()
        pod = self.pod_manager()
        node = self.node(pod)
        for url, field, state in (
                (f'/v1/pod_managers/{pod}', 'status', 'online'),
                (f'/v1/nodes/{node}', 'state', 'active')):
            change = {'op': 'replace', 'path': '/name', 'value': 'new'}
            test = {'op': 'test', 'path': f'/{field}', 'value': state}
            self.assertEqual(200, self.patch(test, change, url=url).status)
            self.assert_error(self.patch(
                {**test, 'value': 'error'}, change, url=url), 409,
                'patch_failed', '0.path')

    def test_it_does_not_grow_without_bounds(self):
        grow = [{'op': 'add', 'path': '/properties/a', 'value': 'x' * 999}]
        grow += [{'op': 'copy', 'from': '/properties',
                  'path': f'/properties/{number}'} for number in range(99)]
        self.assertEqual(413, self.patch(*grow).status)

    def test_nor_downwards(self):
        deep = [{'op': 'copy', 'from': '/properties', 'path':
                 '/properties' + '/a' * number} for number in range(1, 100)]
        self.assertIn(self.patch(*deep).status, (409, 413))

    def test_a_node(self):
        pod = self.pod_manager()
        node = self.node(pod, description='x')
        url = f'/v1/nodes/{node}'
        body = self.patch(
            {'op': 'replace', 'path': '/name', 'value': 'new'},
            {'op': 'remove', 'path': '/description'}, url=url).json
        self.assertEqual(('new', None), (body['name'], body['description']))
        body = self.client.patch(url, {'description': 'y'}).json
        self.assertEqual(('new', 'y'), (body['name'], body['description']))
        self.node(pod, 'taken')
        self.assert_error(self.client.patch(url, {'name': 'taken'}), 409,
                          'name_taken', 'name')
        for field in ('state', 'flavor', 'project_id', 'power_state'):
            self.assert_error(self.client.patch(url, {field: 'x'}), 400,
                              'invalid_request', field)

    def test_a_pod_manager(self):
        self.conductor()
        token, key = self.vault.encrypt({'username': 'u', 'password': 'p'})
        uuid = self.pod_manager(credentials=token, credentials_key=key)
        url = f'/v1/pod_managers/{uuid}'
        body = self.patch(
            {'op': 'test', 'path': '/authentication/0/type',
             'value': 'basic'},
            {'op': 'replace', 'path': '/name', 'value': 'new'}, url=url).json
        self.assertEqual(('new', [{'type': 'basic'}]),
                         (body['name'], body['authentication']))
        body = self.patch({'op': 'remove', 'path': '/authentication'},
                          url=url).json
        self.assertEqual([], body['authentication'])
        for field in ('name', 'url', 'draining', 'verify_tls'):
            self.assert_error(
                self.patch({'op': 'remove', 'path': f'/{field}'}, url=url),
                400, 'invalid_request', field)
        for field, empty in (('ca_certificates', None),
                             ('connection_properties', {})):
            self.assertEqual(empty, self.patch(
                {'op': 'remove', 'path': f'/{field}'}, url=url).json[field])
        # Those there were cannot be taken back into use.
        self.assert_error(
            self.patch({'op': 'add', 'path': '/authentication/0',
                        'value': {'type': 'basic'}}, url=url),
            400, 'invalid_request', 'authentication.0.auth_items')

    def test_however_a_url_comes_about_its_address_is_looked_at(self):
        client = base.Client(self.make_app(
            address_policy=AddressPolicy((), ())))
        denied = 'https://169.254.169.254'
        self.conductor()
        uuid = self.pod_manager(
            url='https://192.0.2.1',
            connection_properties={'a': {'b': denied}})
        url = f'/v1/pod_managers/{uuid}'
        for operations in (
                [{'op': 'replace', 'path': '/url', 'value': denied}],
                [{'op': 'add', 'path': '/url', 'value': denied}],
                [{'op': 'copy', 'path': '/url',
                  'from': '/connection_properties/a/b'}],
                [{'op': 'move', 'path': '/url',
                  'from': '/connection_properties/a/b'}],
                [{'op': 'replace', 'path': '/name', 'value': denied},
                 {'op': 'copy', 'from': '/name', 'path': '/url'},
                 {'op': 'replace', 'path': '/name', 'value': 'pod'}]):
            with self.subTest(operations):
                self.assert_error(client.patch(
                    url, operations,
                    content_type='application/json-patch+json'),
                    400, 'address_denied', 'url')
        self.assert_error(client.patch(url, {'url': denied}), 400,
                          'address_denied', 'url')
        self.assertEqual('https://192.0.2.1', client.get(url).json['url'])
        # What is as it was is not looked up again.
        self.update(models.PodManager, uuid, url=denied)
        self.assertEqual(200, client.patch(url, {
            'url': denied, 'draining': True}).status)


class MergeTest(base.unittest.TestCase):

    def test_rfc_7396(self):
        # The examples of its appendix A.
        for target, patch, result in (
                ({'a': 'b'}, {'a': 'c'}, {'a': 'c'}),
                ({'a': 'b'}, {'b': 'c'}, {'a': 'b', 'b': 'c'}),
                ({'a': 'b'}, {'a': None}, {}),
                ({'a': 'b', 'b': 'c'}, {'a': None}, {'b': 'c'}),
                ({'a': ['b']}, {'a': 'c'}, {'a': 'c'}),
                ({'a': 'c'}, {'a': ['b']}, {'a': ['b']}),
                ({'a': {'b': 'c'}}, {'a': {'b': 'd', 'c': None}},
                 {'a': {'b': 'd'}}),
                ({'a': [{'b': 'c'}]}, {'a': [1]}, {'a': [1]}),
                (['a', 'b'], ['c', 'd'], ['c', 'd']),
                ({'a': 'b'}, ['c'], ['c']),
                ({'a': 'foo'}, None, None),
                ({'e': None}, {'a': 1}, {'e': None, 'a': 1}),
                ([1, 2], {'a': 'b', 'c': None}, {'a': 'b'}),
                ({}, {'a': {'bb': {'ccc': None}}}, {'a': {'bb': {}}})):
            self.assertEqual(result, patches.merge(target, patch))
