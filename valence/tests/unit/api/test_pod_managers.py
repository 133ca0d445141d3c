# SPDX-License-Identifier: Apache-2.0
import json

import sqlalchemy as sa

from valence.common import audit
from valence.db import models
from valence.db.types import utcnow
from valence.tests.unit.api import base
from valence.tests.unit.api.test_endpoints import certificate

PASSWORD = 'p"ä ss\\w\u20acrd{}%s'


def basic(username='operator', password=PASSWORD):
    return [{'type': 'basic', 'auth_items': {
        'username': username, 'password': password}}]


class CreateTest(base.ApiTest):

    def setUp(self):
        super().setUp()
        self.conductor()

    def create(self, **body):
        return self.client.post('/v1/pod_managers', {
            'name': 'pod', 'url': 'https://pod.example', **body})

    def test_least(self):
        response = self.create()
        self.assertEqual(201, response.status, response.body)
        body = response.json
        self.assertEqual(f'http://api/v1/pod_managers/{body["uuid"]}',
                         response.headers['location'])
        self.assertEqual(('redfish', 'unknown', [], True, {}), (
            body['driver'], body['status'], body['authentication'],
            body['verify_tls'], body['connection_properties']))
        for ident in (body['uuid'], body['uuid'].upper(), 'pod'):
            self.assertEqual(body, self.client.get(
                f'/v1/pod_managers/{ident}').json)

    def test_most(self):
        pem = certificate()
        response = self.create(
            driver='redfish', authentication=basic(), ca_certificates=pem,
            verify_tls=True, connection_properties={'sessions': True})
        self.assertEqual(201, response.status, response.body)
        self.assertEqual([{'type': 'basic'}],
                         response.json['authentication'])
        self.assertEqual(pem, response.json['ca_certificates'])
        self.assertEqual({'sessions': True},
                         response.json['connection_properties'])

    def test_credentials_are_sealed_and_never_answered(self):
        answers = [
            self.create(authentication=basic()),
            self.client.get('/v1/pod_managers'),
            self.client.get('/v1/pod_managers/pod'),
            self.create(authentication=basic()),
            self.client.patch('/v1/pod_managers/pod', {
                'authentication': basic('operator', PASSWORD * 2)})]
        for answer in answers:
            self.assertNotIn(b'operator', answer.body)
            self.assertNotIn(b'ss\\\\w', answer.body)
            self.assertNotIn('p"ä ss', answer.body.decode())
        with self.database.read() as conn:
            row = conn.execute(sa.select(models.PodManager)).one()
        self.assertNotIn(PASSWORD, repr(row))
        self.assertEqual(
            {'username': 'operator', 'password': PASSWORD * 2},
            self.vault.decrypt(row.credentials))
        self.assertEqual(self.vault.fingerprint, row.credentials_key)

    def test_a_wrong_password_field_is_not_repeated(self):
        for authentication in (
                basic(password=[PASSWORD]), basic(password='x' * 5000),
                basic(username=''), basic() * 2, PASSWORD,
                [{'type': PASSWORD, 'auth_items': {}}],
                [{'type': 'basic', 'auth_items': PASSWORD}],
                [{'type': 'basic'}], [{}],
                [{'type': 'basic', 'auth_items': {'username': 'operator'}}]):
            response = self.create(authentication=authentication)
            self.assertEqual(400, response.status)
            self.assertIn('authentication', response.error['field'])
            self.assertNotIn('ss\\w', response.error['detail'])
            self.assertNotIn('xxxx', response.error['detail'])

    def test_unknown_fields_are_named(self):
        self.assert_error(self.create(extra=1), 400, 'invalid_request',
                          'extra')
        authentication = basic()
        authentication[0]['auth_items']['token'] = 'x'
        self.assert_error(
            self.create(authentication=authentication), 400,
            'invalid_request', 'authentication.0.auth_items.token')
        self.assert_error(self.create(status='online'), 400,
                          'invalid_request', 'status')

    def test_missing_fields_are_named(self):
        self.assert_error(self.client.post('/v1/pod_managers', {
            'name': 'x'}), 400, 'invalid_request', 'url')

    def test_names_and_urls_are_unique(self):
        self.create()
        self.assert_error(self.create(url='https://other'), 409,
                          'name_taken', 'name')
        for url in ('HTTPS://pod.example:443/', 'https://pod.example.',
                    'https://pod.example/redfish/v1',
                    'https://pod.example:443/redfish/v1/'):
            self.assert_error(self.create(name='other', url=url), 409,
                              'url_taken', 'url')
        other = self.create(name='other', url='https://other/redfish/v1')
        self.assertEqual('https://other', other.json['url'])
        self.assert_error(
            self.client.patch('/v1/pod_managers/other', {
                'url': 'https://pod.example/redfish/v1/'}), 409,
            'url_taken', 'url')

    def test_unknown_driver(self):
        error = self.assert_error(self.create(driver='other'), 400,
                                  'unknown_driver', 'driver')
        self.assertIn('redfish', error['detail'])
        self.assert_error(self.create(driver='os.system;'), 400,
                          'invalid_request', 'driver')

    def test_one_of_password_and_reference(self):
        for items, words in (
                ({}, 'must have one of password and secret_ref'),
                ({'password': 'x', 'secret_ref': 'y'},
                 'must have only one of password and secret_ref')):
            field = 'authentication.0.auth_items'
            error = self.assert_error(self.create(authentication=[{
                'type': 'basic', 'auth_items': {'username': 'u', **items}}]),
                400, 'invalid_request', field)
            self.assertEqual(f'{field!r} {words}', error['detail'])

    def test_connection_properties_of_the_driver(self):
        self.assert_error(
            self.create(connection_properties={'other': 1}), 400,
            'invalid_request', 'connection_properties.other')
        self.assert_error(
            self.create(connection_properties={'sessions': 'x'}), 400,
            'invalid_request', 'connection_properties.sessions')

    def test_http_and_insecure_tls_need_configuration(self):
        self.assert_error(self.create(url='http://pod'), 400,
                          'invalid_request', 'url')
        self.assert_error(self.create(verify_tls=False), 400,
                          'insecure_tls_not_allowed', 'verify_tls')
        self.client = base.Client(self.make_app(
            allow_http=True, allow_insecure_tls=True))
        self.assertEqual(201, self.create(
            url='http://pod', verify_tls=False).status)

    def test_broken_certificates(self):
        self.assert_error(self.create(ca_certificates='x'), 400,
                          'invalid_request', 'ca_certificates')


class NoConductorTest(base.ApiTest):

    def test_no_conductor(self):
        self.conductor(heartbeat_at=utcnow(-3600))
        self.conductor(stopped_at=utcnow())
        response = self.client.post('/v1/pod_managers', {
            'name': 'pod', 'url': 'https://pod.example'})
        self.assert_error(response, 503, 'no_conductor')
        self.assertIn('retry-after', response.headers)


class ChangeTest(base.ApiTest):

    def setUp(self):
        super().setUp()
        self.conductor()
        token, key = self.vault.encrypt({'username': 'u', 'password': 'p'})
        self.uuid = self.pod_manager(credentials=token, credentials_key=key)

    def patch(self, **body):
        return self.client.patch('/v1/pod_managers/pod', body)

    def row(self):
        with self.database.read() as conn:
            return conn.execute(sa.select(models.PodManager).where(
                models.PodManager.uuid == self.uuid)).one()

    def test_rename(self):
        response = self.patch(name='other')
        self.assertEqual((200, 'other'), (response.status,
                                          response.json['name']))
        self.assertEqual(2, self.row().generation)
        self.assert_error(self.patch(name='x'), 404, 'not_found')

    def test_only_what_can_be_changed(self):
        for field in ('driver', 'uuid', 'status', 'credentials', 'scans'):
            self.assert_error(self.patch(**{field: 'x'}), 400,
                              'invalid_request', field)
        self.assert_error(self.patch(), 400, 'invalid_request')
        self.assert_error(self.patch(name=None), 400, 'invalid_request',
                          'name')

    def test_taken(self):
        self.pod_manager('other')
        self.assert_error(self.patch(name='other'), 409, 'name_taken', 'name')
        self.assert_error(
            self.patch(url='https://other.example', authentication=basic()),
            409, 'url_taken', 'url')
        self.assertEqual(200, self.patch(name='pod').status)

    def test_properties_are_merged(self):
        self.patch(connection_properties={'sessions': True})
        response = self.patch(connection_properties={})
        self.assertEqual({'sessions': True},
                         response.json['connection_properties'])
        response = self.patch(connection_properties={'sessions': None})
        self.assertEqual({}, response.json['connection_properties'])
        self.patch(connection_properties={'sessions': True})
        response = self.patch(connection_properties=None)
        self.assertEqual({}, response.json['connection_properties'])
        self.assert_error(
            self.patch(connection_properties={'other': 1}), 400,
            'invalid_request', 'connection_properties.other')

    def test_credentials_are_bound_to_their_host(self):
        self.assert_error(
            self.patch(url='https://elsewhere.example'), 400,
            'authentication_required', 'authentication')
        self.assertEqual(200, self.patch(
            url='https://pod.example/redfish').status)
        response = self.patch(url='https://elsewhere.example',
                              authentication=basic())
        self.assertEqual('https://elsewhere.example', response.json['url'])
        self.assertEqual(PASSWORD, self.vault.decrypt(
            self.row().credentials)['password'])
        self.assertEqual(200, self.patch(
            url='https://third.example', authentication=None).status)

    def test_credentials_can_be_removed(self):
        for nothing in (None, []):
            self.patch(authentication=basic())
            self.assertEqual([], self.patch(
                authentication=nothing).json['authentication'])
            self.assertIsNone(self.row().credentials)

    def test_certificates_can_be_removed(self):
        self.patch(ca_certificates=certificate())
        self.assertIsNone(self.patch(
            ca_certificates=None).json['ca_certificates'])

    def test_delete(self):
        self.device(self.uuid)
        response = self.client.delete('/v1/pod_managers/pod')
        self.assertEqual((204, b''), (response.status, response.body))
        self.assertNotIn('content-type', response.headers)
        self.assert_error(self.client.delete('/v1/pod_managers/pod'), 404,
                          'not_found')
        self.assertEqual([], self.client.get('/v1/devices').json['devices'])

    def test_delete_in_use(self):
        self.node(self.uuid)
        self.assert_error(self.client.delete('/v1/pod_managers/pod'), 409,
                          'pod_manager_in_use')

    def test_delete_by_force(self):
        pod = self.pod_manager('dead', url='https://dead.example.org')
        node = self.node(pod, operation_uuid='x')
        self.claim(node, self.device(pod))
        operation = self.operation(pod_manager_uuid=pod, node_uuid=node,
                                   state='running', epoch=3)
        audit.enable(True)
        self.addCleanup(audit.enable, False)
        with self.assertLogs('valence.audit', 'INFO') as logs:
            answer = self.client.delete(f'/v1/pod_managers/{pod}?force=true')
        self.assertEqual(204, answer.status, answer.body)
        event = json.loads(logs.records[0].getMessage())
        self.assertEqual(
            (operation, 'valence-api', 'failure', 'pod_manager_gone'),
            (event['operation'], event['observer']['id'], event['outcome'],
             event['reason']['reasonCode']))
        self.assertEqual(404, self.client.get(f'/v1/nodes/{node}').status)
        ended = self.client.get(f'/v1/operations/{operation}').json
        self.assertEqual(('failed', 'pod_manager_gone'), (
            ended['state'], ended['error']['code']))
        with self.database.read() as conn:
            self.assertEqual([], conn.execute(
                sa.select(models.Claim.id)).all())
            self.assertEqual(4, conn.scalar(
                sa.select(models.Operation.epoch)))

    def test_delete_while_syncing(self):
        self.operation(pod_manager_uuid=self.uuid)
        self.assert_error(self.client.delete('/v1/pod_managers/pod'), 409,
                          'pod_manager_in_use')

    def test_sync(self):
        response = self.client.post('/v1/pod_managers/pod/sync')
        self.assertEqual(202, response.status, response.body)
        operation = response.json['operation']
        self.assertEqual(('sync', 'pending', self.uuid, []), (
            operation['kind'], operation['state'], operation['pod_manager'],
            operation['steps']))
        self.assertEqual(operation['links'][0]['href'],
                         response.headers['location'])
        self.assertEqual(operation, self.client.get(
            response.headers['location']).json)
        self.assertEqual([operation['uuid']], self.rung)
        # One that is under way is joined.
        again = self.client.post('/v1/pod_managers/pod/sync', {})
        self.assertEqual(operation, again.json['operation'])
        self.assertEqual(operation['uuid'], self.client.get(
            '/v1/pod_managers/pod').json['operation'])
        self.assert_error(self.client.post('/v1/pod_managers/x/sync'), 404,
                          'not_found')

    def test_sync_that_another_project_began(self):
        client = base.Client(self.make_app(trust_identity_headers=True))
        first = client.post('/v1/pod_managers/pod/sync', x_project_id='a')
        again = client.post('/v1/pod_managers/pod/sync', x_project_id='b')
        self.assertEqual(first.json, again.json)

    def test_list(self):
        self.pod_manager('second', status='offline')
        body = self.client.get('/v1/pod_managers').json
        self.assertEqual(['pod', 'second'],
                         [pod['name'] for pod in body['pod_managers']])
        self.assertIsNone(body['next'])
        for query, names in (('status=offline', ['second']),
                             ('name=pod', ['pod']),
                             ('driver=other', []),
                             ('url=https://pod.example', ['pod']),
                             ('url=http://pod.example', []),
                             ('url=HTTPS://Pod.example:443/', ['pod']),
                             ('url=https://pod.example./redfish/v1',
                              ['pod'])):
            self.assertEqual(names, [pod['name'] for pod in self.client.get(
                f'/v1/pod_managers?{query}').json['pod_managers']])
