# SPDX-License-Identifier: Apache-2.0
from valence.tests.unit.api import base

SMALL = {'memory': {'capacity_mib': '2048', 'type': 'DDR4'},
         'processor': {'total_cores': 8, 'model': 'Xeon'},
         'pci_device': {'type': ['NVMe', 'gpu', 'nvme']}}


class FlavorsTest(base.ApiTest):

    def create(self, name='small', properties=SMALL, **body):
        return self.client.post('/v1/flavors', {
            'name': name, 'properties': properties, **body})

    def test_create_normalises(self):
        response = self.create(description='Small')
        self.assertEqual(201, response.status, response.body)
        self.assertEqual({
            'memory': {'capacity_mib': 2048, 'type': 'DDR4'},
            'processor': {'total_cores': 8, 'model': 'Xeon'},
            'pci_device': {'type': ['gpu', 'nvme', 'nvme']},
        }, response.json['properties'])
        self.assertEqual(response.json,
                         self.client.get('/v1/flavors/small').json)
        self.assertEqual(response.json, self.client.get(
            response.headers['location']).json)
        self.assertRegex(response.json['created_at'],
                         r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.\d+Z$')

    def test_numbers(self):
        for value in (1, '1', '01', 1.0, 2 ** 20, '1048576'):
            with self.subTest(value):
                response = self.create(
                    f'f{value!r}', {'processor': {'total_cores': value}})
                self.assertEqual(201, response.status, response.body)
                number = response.json['properties']['processor'][
                    'total_cores']
                self.assertIs(int, type(number))
                self.assertEqual(int(value), number)
        for value in (0, -1, '0', '-1', 1.5, '1.5', '', ' 1', '1e3', '١',
                      2 ** 20 + 1, '1048577', '9' * 13, True, None, [],
                      '0x10', 2 ** 64 - 1, '1\n'):
            with self.subTest(value):
                self.assert_error(
                    self.create('x', {'processor': {'total_cores': value}}),
                    400, 'invalid_request',
                    'properties.processor.total_cores')

    def test_what_is_no_requirement(self):
        for properties, field in (
                ({}, 'properties'), (None, 'properties'),
                ([], 'properties'),
                ({'memory': {}}, 'properties.memory'),
                ({'memory': {'size': 1}}, 'properties.memory.size'),
                ({'gpu': {}}, 'properties.gpu'),
                ({'memory': {'type': ''}}, 'properties.memory.type'),
                ({'memory': {'type': 'a\n'}}, 'properties.memory.type'),
                ({'pci_device': {}}, 'properties.pci_device.type'),
                ({'pci_device': {'type': []}}, 'properties.pci_device.type'),
                ({'pci_device': {'type': 'nvme'}},
                 'properties.pci_device.type'),
                ({'pci_device': {'type': ['gpu', 'tpu']}},
                 'properties.pci_device.type.1'),
                ({'pci_device': {'type': ['compute']}},
                 'properties.pci_device.type.0'),
                ({'pci_device': {'type': ['gpu'] * 65}},
                 'properties.pci_device.type')):
            with self.subTest(properties):
                self.assert_error(self.create('x', properties), 400,
                                  'invalid_request', field)

    def test_name_taken(self):
        self.create()
        self.assert_error(self.create(), 409, 'name_taken', 'name')
        self.create('large')
        self.assert_error(
            self.client.patch('/v1/flavors/large', {'name': 'small'}), 409,
            'name_taken', 'name')

    def test_name_like_a_uuid(self):
        self.assert_error(
            self.create('6ba7b810-9dad-11d1-80b4-00c04fd430c8'), 400,
            'invalid_request', 'name')

    def test_names_of_any_script(self):
        name = 'kleine Größe 漢字 %2F ?#&'
        self.assertEqual(201, self.create(name).status)
        path = '/v1/flavors/' + name.encode().decode('latin-1')
        response = self.client.request(
            'GET', '', environ={'PATH_INFO': path})
        self.assertEqual(name, response.json['name'])

    def test_merge_patch(self):
        self.create(description='x')
        url = '/v1/flavors/small'
        body = self.client.patch(url, {'description': None, 'properties': {
            'memory': {'capacity_mib': '4096'}, 'pci_device': None}},
            content_type='application/merge-patch+json').json
        self.assertIsNone(body['description'])
        self.assertEqual({
            'memory': {'capacity_mib': 4096, 'type': 'DDR4'},
            'processor': {'total_cores': 8, 'model': 'Xeon'},
        }, body['properties'])
        # At least one property has to remain.
        self.assert_error(
            self.client.patch(url, {'properties': {
                'memory': None, 'processor': None}}), 400,
            'invalid_request', 'properties')
        self.assert_error(
            self.client.patch(url, {'properties': {
                'memory': {'capacity_mib': 'x'}}}), 400,
            'invalid_request', 'properties.memory.capacity_mib')
        self.assert_error(self.client.patch(url, {'uuid': 'x'}), 400,
                          'invalid_request', 'uuid')
        self.assert_error(self.client.patch('/v1/flavors/x', {'name': 'y'}),
                          404, 'not_found')

    def test_delete(self):
        self.create()
        self.assertEqual(204, self.client.delete('/v1/flavors/small').status)
        self.assert_error(self.client.delete('/v1/flavors/small'), 404,
                          'not_found')
        self.assert_error(self.client.get('/v1/flavors/small'), 404,
                          'not_found')
