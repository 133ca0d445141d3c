# SPDX-License-Identifier: Apache-2.0
import json
import pathlib
import re
import subprocess
import sys
import unittest

import jsonschema
import schemathesis

from valence.api import openapi, routes
from valence.common import errors
from valence.tests.unit.api import base

_URL = 'http://127.0.0.1:8181'
_ROOT = pathlib.Path(__file__).resolve().parents[4]
_SAMPLES = _ROOT / 'doc/source/reference/samples.json'


def each(document):
    for path, methods in document['paths'].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


class DocumentTest(unittest.TestCase):

    def setUp(self):
        super().setUp()
        self.document = openapi.document(routes.ROUTES, _URL)

    def test_it_is_openapi(self):
        schemathesis.openapi.from_dict(self.document).validate()

    def test_it_has_every_route(self):
        self.assertEqual(
            sorted((route.method, route.path) for route in routes.ROUTES),
            sorted((method, path) for method, path, _ in
                   each(self.document)))

    def test_names_of_operations(self):
        names = [operation['operationId']
                 for _, _, operation in each(self.document)]
        self.assertEqual(len(names), len(set(names)))
        for name in names:
            self.assertRegex(name, r'^[a-z]+(_[a-z]+)+$')
        for name in ('list_versions', 'show_version', 'get_openapi',
                     'list_nodes', 'create_node', 'show_node', 'update_node',
                     'delete_node', 'action_node', 'sync_pod_manager'):
            self.assertIn(name, names)

    def test_links_lead_somewhere(self):
        parameters = {
            operation['operationId']: re.findall(r'{(\w+)}', path)
            for _, path, operation in each(self.document)}
        seen = {}
        for method, path, operation in each(self.document):
            for status, answer in operation['responses'].items():
                links = answer.get('links', {})
                seen[method, path, status] = set(links)
                for link in links.values():
                    self.assertEqual(parameters[link['operationId']],
                                     list(link['parameters']))
        self.assertIn('show_operation',
                      seen['POST', '/v1/nodes/{node}/action', '202'])
        self.assertLessEqual({'show_operation', 'show_node', 'delete_node'},
                             seen['POST', '/v1/nodes', '202'])
        self.assertLessEqual({'show_flavor', 'update_flavor'},
                             seen['POST', '/v1/flavors', '201'])

    def test_every_error_is_documented(self):
        known = {cls.status for cls in _subclasses(errors.ValenceError)}
        self.assertEqual(
            known - {405, 500},
            {int(status) for status in self.document['components'][
                'responses']} - {500})
        for _, path, operation in each(self.document):
            self.assertLessEqual({'400', '406', '408', '413', '415', '500',
                                  '503'},
                                 set(operation['responses']), path)

    def test_two_schemas_of_one_name(self):
        with self.assertRaises(ValueError):
            openapi._hoist([{'title': 'A', 'type': 'string'},
                            {'title': 'A', 'type': 'integer'}], {})

    def test_the_reference_is_up_to_date(self):
        tool = _ROOT / 'tools/api_reference.py'
        if not tool.exists():
            self.skipTest('not run from a source tree')
        done = subprocess.run([sys.executable, tool, '--check'], text=True,
                              capture_output=True)
        self.assertEqual((0, ''), (done.returncode, done.stderr))

    def test_the_samples_are_as_described(self):
        if not _SAMPLES.exists():
            self.skipTest('not run from a source tree')
        operations = {operation['operationId']: operation for _, _, operation
                      in each(self.document)}
        for name, sample in json.loads(_SAMPLES.read_text()).items():
            with self.subTest(name):
                operation = operations[name]
                answer = next(answer for status, answer in
                              operation['responses'].items()
                              if status.startswith('2'))
                for part, value in (
                        (operation.get('requestBody'), sample['request']),
                        (answer, sample['answer'])):
                    if value is not None:
                        jsonschema.validate(value, {
                            **part['content']['application/json']['schema'],
                            'components': self.document['components']})


class ServedTest(base.ApiTest):

    def test_it_is_served_to_everybody(self):
        path = f'{self.directory}/users'
        pathlib.Path(path).write_text('a:$2b$04$' + 'a' * 53)
        client = base.Client(self.make_app(
            auth_strategy='http_basic', htpasswd_file=path))
        self.assertEqual(client.get('/v1').json['openapi'],
                         'http://api/v1/openapi.json')
        served = client.get('/v1/openapi.json').json
        self.assertEqual([{'url': 'http://api'}], served['servers'])
        self.assertEqual(openapi.document(routes.ROUTES, 'http://api'),
                         served)


class ResponseValidationTest(base.ApiTest):
    """An answer that is not as described does not go unnoticed."""

    def get(self, mode):
        client = base.Client(self.make_app(response_validation=mode))
        return client.get('/v1/operations')

    def test_modes(self):
        self.operation(state='unheard of')
        self.assertEqual(200, self.get('ignore').status)
        with self.assertLogs('valence.api', 'WARNING') as logs:
            self.assertEqual(200, self.get('warn').status)
        self.assertIn('$.operations[0].state', logs.output[0])
        self.assert_error(self.get('error'), 500, 'internal_error')


def _subclasses(cls):
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)
