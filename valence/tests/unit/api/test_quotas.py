# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg

from valence.api import service
from valence.common import quotas
from valence.conf import opts
from valence.tests.unit.api import base

URL = '/v1/quotas/mine'


class QuotasTest(base.ApiTest):

    settings = {'trust_identity_headers': True, 'quotas': {'nodes': 2}}

    def setUp(self):
        super().setUp()
        self.member = {'x_project_id': 'mine', 'x_roles': 'member'}
        self.pod = self.pod_manager()

    def node_with(self, *devices, project='mine', **values):
        node = self.node(self.pod, f'n{next(self.numbers)}',
                         project_id=project, **values)
        for kind in devices:
            self.claim(node, self.device(self.pod, type=kind))
        return node

    def test_limits_and_usage(self):
        self.node_with('compute', 'gpu', 'gpu')
        self.node_with('compute')
        self.node_with('gpu', project='other')
        for url in ('/v1/quotas', URL):
            body = self.client.get(url, **self.member).json
            self.assertEqual('mine', body['project_id'])
            self.assertEqual(
                {**dict.fromkeys(quotas.RESOURCES, -1), 'nodes': 2},
                body['limits'])
            self.assertEqual(
                {**dict.fromkeys(quotas.RESOURCES, 0), 'nodes': 2,
                 'devices': 4, 'compute': 2, 'gpu': 2}, body['usage'])
            self.assertEqual(
                f'http://api{URL}', body['links'][0]['href'])

    def test_limits_of_its_own(self):
        answer = self.client.request(
            'PUT', URL, {'limits': {'nodes': 5, 'gpu': 0}})
        self.assertEqual(200, answer.status, answer.body)
        self.assertEqual({'nodes': 5, 'gpu': 0}, {
            name: limit for name, limit in answer.json['limits'].items()
            if limit != -1})
        # What is not named is the default again.
        for limits, nodes in (({'nodes': -1}, -1), ({'gpu': 1}, 2), ({}, 2)):
            answer = self.client.request('PUT', URL, {'limits': limits})
            self.assertEqual(nodes, answer.json['limits']['nodes'])
            self.assertEqual(limits.get('gpu', -1),
                             answer.json['limits']['gpu'])
        self.client.request('PUT', URL, {'limits': {'nodes': 7}})
        self.assertEqual(204, self.client.delete(URL).status)
        self.assertEqual(
            2, self.client.get(URL).json['limits']['nodes'])

    def test_bad(self):
        for body in ({}, {'limits': None}, {'limits': {'nodes': -2}},
                     {'limits': {'nodes': 2 ** 31}},
                     {'limits': {'gpus': 1}}, {'limits': {}, 'x': 1}):
            self.assertEqual(
                400, self.client.request('PUT', URL, body).status, body)
        for project in ('x' * 65, 'a%20b', '\xe9'):
            self.assert_error(self.client.request(
                'PUT', f'/v1/quotas/{project}', {'limits': {}}), 404,
                'not_found')

    def test_two_writers(self):
        tag = self.client.get(URL).headers['etag']
        self.assertEqual(200, self.client.request(
            'PUT', URL, {'limits': {'nodes': 9}}, if_match=tag).status)
        for method, body in (('PUT', [{'limits': {}}]), ('DELETE', [])):
            self.assertEqual(412, self.client.request(
                method, URL, *body, if_match=tag).status)
        self.assertEqual(9, self.client.get(URL).json['limits']['nodes'])

    def test_a_foreign_project(self):
        for roles, scope, status in (
                ('admin', None, 200), ('service', None, 200),
                ('reader', 'all', 200), ('manager', None, 404),
                ('reader', None, 404)):
            headers = {'x_roles': roles, 'x_project_id': 'other'}
            if scope:
                headers['x_system_scope'] = scope
            self.assertEqual(
                status, self.client.get(URL, **headers).status, roles)

    def test_a_request_too_many(self):
        self.client.request('PUT', URL, {'limits': {'gpu': 1}})
        for kind in ('compute', 'compute', 'gpu', 'gpu'):
            self.device(self.pod, type=kind, processor_cores=4)
        wanted = {'processor': {'total_cores': 1}, 'pci_device': {
            'type': ['gpu']}}
        answer = self.client.post(
            '/v1/nodes', {'name': 'a', 'properties': wanted}, **self.member)
        self.assertEqual(202, answer.status, answer.body)
        rung = list(self.rung)
        error = self.assert_error(self.client.post(
            '/v1/nodes', {'name': 'b', 'properties': wanted},
            **self.member), 403, 'quota_exceeded')
        self.assertEqual('the project may have 1 gpu; it has 1, and 1 more '
                         'is requested', error['detail'])
        self.assertEqual(rung, self.rung)
        self.assert_error(self.client.get('/v1/nodes/b', **self.member), 404,
                          'not_found')

    def test_the_default_is_in_the_configuration(self):
        conf = cfg.ConfigOpts()
        opts.register(conf)
        conf([], default_config_files=[])
        conf.set_override('gpu', 3, 'quota')
        self.assertEqual(
            {**dict.fromkeys(quotas.RESOURCES, -1), 'gpu': 3},
            service.settings(conf).quotas)
