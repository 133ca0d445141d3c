# SPDX-License-Identifier: Apache-2.0
import json
import logging

from valence.common import audit
from valence.tests.unit.api import base


class TrailTest(base.ApiTest):

    settings = {'trust_identity_headers': True}

    def setUp(self):
        super().setUp()
        self.addCleanup(audit.enable, False)
        audit.enable(True)
        logging.getLogger('valence.audit').setLevel(logging.INFO)
        self.conductor()
        self.pod_manager('pod')

    def event(self, method, url, json_body=base.UNSET, **headers):
        with self.assertLogs('valence.audit', 'INFO') as logs:
            response = self.client.request(
                method, url, json_body, user_agent='agent', **headers)
        line, = logs.records
        return response, json.loads(line.getMessage())

    def test_an_accepted_request(self):
        response, event = self.event(
            'POST', '/v1/pod_managers/pod/sync?', x_user_id='someone',
            x_project_id='theirs')
        self.assertEqual(202, response.status)
        self.assertRegex(event.pop('id'), '^[0-9a-f-]{36}$')
        self.assertRegex(event.pop('eventTime'),
                         r'^20\d\d-.*T.*\.\d{3}\+00:00$')
        event['observer'].pop('host')
        self.assertEqual({
            'typeURI': 'http://schemas.dmtf.org/cloud/audit/1.0/event',
            'eventType': 'activity', 'action': 'update/sync',
            'outcome': 'pending',
            'initiator': {
                'typeURI': 'service/security/account/user', 'id': 'someone',
                'project_id': 'theirs',
                'host': {'address': '127.0.0.1', 'agent': 'agent'}},
            'target': {'typeURI': 'service/composable-hardware/pod_managers',
                       'id': 'pod'},
            'observer': {'typeURI': 'service/composable-hardware',
                         'id': 'valence-api'},
            'request_id': response.headers['x-openstack-request-id'],
            'operation': response.json['operation']['uuid'],
            'requestPath': '/v1/pod_managers/pod/sync',
            'reason': {'reasonType': 'HTTP', 'reasonCode': '202'},
        }, event)

    def test_actions_and_outcomes(self):
        secret = {'name': 'a', 'url': 'https://other.example',
                  'authentication': [{'type': 'basic', 'auth_items': {
                      'username': 'u', 'password': 'hunter2'}}]}
        for method, url, body, headers, expected in (
                ('POST', '/v1/pod_managers', secret, {},
                 ('create', 'success', None)),
                ('PATCH', '/v1/pod_managers/pod', {'name': 'pod'}, {},
                 ('update', 'success', 'pod')),
                ('DELETE', '/v1/pod_managers/pod', base.UNSET, {},
                 ('delete', 'success', 'pod')),
                ('DELETE', '/v1/nodes/x\n"', base.UNSET, {},
                 ('delete', 'failure', 'x%0A%22')),
                ('POST', '/v1/nodes', {'nonsense': 'hunter2'}, {},
                 ('create', 'failure', None)),
                ('GET', '/v1/conductors', base.UNSET,
                 {'x_roles': 'nobody'}, ('read', 'failure', None))):
            response, event = self.event(method, url, body, **headers)
            self.assertEqual(expected, (
                event['action'], event['outcome'], event['target']['id']),
                response.body)
            self.assertNotIn('hunter2', str(event))

    def test_what_is_no_matter_of_audit(self):
        for method, url in (('GET', '/v1/nodes'), ('GET', '/v1/nodes/x'),
                            ('OPTIONS', '/v1/nodes'),
                            ('POST', '/v1/events?pod_manager=x&token=y')):
            with self.assertNoLogs('valence.audit', 'INFO'):
                self.client.request(method, url)

    def test_off(self):
        audit.enable(False)
        with self.assertNoLogs('valence.audit', 'INFO'):
            self.client.delete('/v1/pod_managers/pod')

    def test_the_end_of_an_operation(self):
        row = {'kind': 'compose', 'node_uuid': 'n', 'pod_manager_uuid': 'p',
               'user_id': 'u', 'project_id': 'q', 'request_id': 'req-1',
               'uuid': 'o'}
        for values, state, code, expected in (
                ({}, 'succeeded', None,
                 ('create', 'success', 'nodes', 'n', 'succeeded')),
                ({'kind': 'release'}, 'failed', 'timeout',
                 ('delete', 'failure', 'nodes', 'n', 'timeout')),
                ({'kind': 'sync', 'node_uuid': None}, 'cancelled', None,
                 ('update/sync', 'failure', 'pod_managers', 'p',
                  'cancelled'))):
            with self.assertLogs('valence.audit', 'INFO') as logs:
                audit.operation_ended({**row, **values}, state, code)
            event = json.loads(logs.records[0].getMessage())
            self.assertEqual(expected, (
                event['action'], event['outcome'],
                event['target']['typeURI'].rpartition('/')[2],
                event['target']['id'], event['reason']['reasonCode']))
            self.assertEqual(('o', 'req-1', 'u'), (
                event['operation'], event['request_id'],
                event['initiator']['id']))
