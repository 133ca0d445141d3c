# SPDX-License-Identifier: Apache-2.0
from valence.api import versions
from valence.tests.unit.api import base

_NAME = 'composable-hardware'


class VersionsTest(base.ApiTest):

    def get(self, value, url='/v1/nodes'):
        return self.client.get(url, openstack_api_version=value)

    def assert_answered(self, response, version):
        self.assertEqual(f'{_NAME} {version}',
                         response.headers['openstack-api-version'])
        self.assertEqual('OpenStack-API-Version', response.headers['vary'])

    def test_the_oldest_where_nobody_asks(self):
        for value in (None, 'compute 2.1', 'compute latest, baremetal 1.5'):
            response = (self.client.get('/v1/nodes') if value is None
                        else self.get(value))
            self.assertEqual(200, response.status, value)
            self.assert_answered(response, versions.OLDEST)

    def test_what_is_asked_for(self):
        for version, _ in versions.HISTORY:
            for value in (f'{_NAME} {version}', f'  {_NAME}   {version} ',
                          f'compute 2.1, {_NAME} {version}',
                          f'{_NAME.upper()} {version}'):
                self.assert_answered(self.get(value), version)
        self.assert_answered(self.get(f'{_NAME} latest'), versions.NEWEST)

    def test_errors_say_the_version_as_well(self):
        response = self.get(f'{_NAME} latest', '/v1/nodes/x')
        self.assertEqual(404, response.status)
        self.assert_answered(response, versions.NEWEST)

    def test_one_that_there_is_not(self):
        for version in ('0.9', '1.99999', '2.0'):
            error = self.assert_error(
                self.get(f'{_NAME} {version}'), 406, 'unknown_version',
                'OpenStack-API-Version')
            self.assertIn(f'{versions.OLDEST} to {versions.NEWEST}',
                          error['detail'])

    def test_malformed(self):
        for value in ('', _NAME, '1.0', f'{_NAME} 1', f'{_NAME} 1.0.0',
                      f'{_NAME} 01.0', f'{_NAME} v1.0', f'{_NAME} Latest',
                      f'{_NAME} 1.0 x', f'{_NAME} 1.0,', f'{_NAME} -1.0',
                      f'{_NAME} 1.0, {_NAME} latest', f'{_NAME} 1.١',
                      f'{_NAME} 1.' + '0' * 5000):
            with self.subTest(value[:40]):
                self.assert_error(self.get(value), 400, 'invalid_version',
                                  'OpenStack-API-Version')

    def test_they_are_advertised(self):
        for body in (self.client.get('/').json['versions'][0],
                     self.client.get('/').json['default_version'],
                     self.client.get('/v1').json):
            self.assertEqual(
                (str(versions.OLDEST), str(versions.NEWEST)),
                (body['min_version'], body['version']))
        self.assertEqual([str(version) for version, _ in versions.HISTORY],
                         [entry['version'] for entry in
                          self.client.get('/v1').json['history']])

    def test_the_history_is_in_order_and_told(self):
        numbers = [version for version, _ in versions.HISTORY]
        self.assertEqual(sorted(set(numbers)), numbers)
        for _, words in versions.HISTORY:
            self.assertRegex(words, r'^[A-Z].*\.$')
