# SPDX-License-Identifier: Apache-2.0
import copy
import inspect
import re
import unittest
from unittest import mock

import jsonschema

from valence import policies
from valence.api import routes, routing
from valence.api.controllers import versions
from valence.api.request import Answer
from valence.api.schemas import common, paths
from valence.api.versions import Version
from valence.common import errors
from valence.tests.unit.api import strictness

_PUBLIC = ('/', '/v1', '/v1/openapi.json', '/v1/events')
#: A query or body that is somebody else's, or nobody's, affair.
_OPEN = ('POST /v1/events',)


def name(route):
    return f'{route.method} {route.path}'


def problems(route):
    """What a row of the table does not say, a sentence each."""
    rules = {rule.name: rule for rule in policies.list_rules()}
    if route.policy is None:
        if route.path not in _PUBLIC:
            yield 'it is for everybody'
    elif {'method': route.method, 'path': route.path} not in getattr(
            rules.get(route.policy), 'operations', ()):
        yield f'the rule {route.policy} does not speak of it'
    if not inspect.getdoc(route.handler):
        yield 'its handler is not documented'
    if not inspect.getdoc(inspect.getmodule(route.handler)):
        yield "its handler's module is not documented"
    if list(inspect.signature(route.handler).parameters) != [
            'request', *re.findall(r'{(\w+)}', route.path)]:
        yield 'its handler does not take the variables of its path'
    if (route.answer is None) != (route.status == 204):
        yield 'it has a body in the answer, or none, against its status'
    if route.method == 'GET' and route.body is not None:
        yield 'a GET has no body'
    # Collections are added to, and resources changed, by something.
    if (route.body is None and route.method in ('POST', 'PUT', 'PATCH')
            and (route.method != 'POST' or '{' not in route.path)):
        yield 'it has no schema of a body'
    if route.query.get('additionalProperties') is not False:
        yield 'its query is not closed'
    if (route.body is not None and name(route) not in _OPEN
            and route.body.get('additionalProperties') is not False):
        yield 'its body is not closed'
    for what in ('query', 'body', 'answer'):
        schema = getattr(route, what)
        if schema is not None:
            for problem in strictness.problems(schema):
                yield f'{what}: {problem}'


class RouteTableTest(unittest.TestCase):

    def test_every_row_is_complete(self):
        self.assertEqual({}, {
            name(route): found for route in routes.ROUTES
            if (found := list(problems(route)))})

    def test_a_row_that_is_not_complete_is_found(self):
        good = next(route for route in routes.ROUTES
                    if name(route) == 'POST /v1/flavors')
        self.assertEqual([], list(problems(good)))

        def undocumented(request):
            pass

        for changes in ({'policy': None}, {'policy': 'other'},
                        {'handler': undocumented}, {'answer': None},
                        {'body': None}, {'query': {'type': 'object'}},
                        {'path': '/v1/flavors/{flavor}'},
                        {'body': {'type': 'object'}}):
            self.assertNotEqual(
                [], list(problems(good._replace(**changes))), changes)

    def test_every_rule_speaks_of_a_route(self):
        known = {(route.method, route.path) for route in routes.ROUTES}
        for rule in policies.list_rules():
            for operation in getattr(rule, 'operations', ()):
                self.assertIn((operation['method'], operation['path']),
                              known)

    def test_each_variable_of_a_path_is_described(self):
        names = {variable for route in routes.ROUTES
                 for variable in re.findall(r'{(\w+)}', route.path)}
        self.assertEqual(names, set(paths.VARIABLES))
        for name in ('device', 'operation', 'conductor', 'rack', 'system'):
            self.assertEqual('a uuid', paths.VARIABLES[name]['description'])

    def test_every_collection_is_among_the_resources(self):
        resources = versions.show(mock.Mock(url='http://api')).body[
            'resources']
        self.assertEqual(
            {route.path.split('/')[2] for route in routes.ROUTES
             if route.method == 'GET' and route.policy}, set(resources))

    def test_lists_are_paged(self):
        for route in routes.ROUTES:
            if 'next' in (route.answer or {}).get('properties', {}):
                self.assertLessEqual(
                    {'limit', 'marker', 'sort_key', 'sort_dir', 'fields'},
                    set(route.query['properties']), name(route))
                self.assertEqual(
                    1000, route.query['properties']['limit']['maximum'])


class VersionTest(unittest.TestCase):
    """Rows that only some versions have."""

    def setUp(self):
        super().setUp()
        self.versions = [Version(1, minor) for minor in range(3)]

    def row(self, since, until, method='GET'):
        return routing.Route(
            method, '/thing', lambda request: Answer(), None, common.NO_QUERY,
            None, None, 204, self.versions[since], self.versions[until])

    def test_each_version_has_its_rows(self):
        old, new = self.row(0, 0), self.row(2, 2)
        router = routing.Router([old, new], self.versions)
        for index, row in ((0, old), (2, new)):
            found, _ = router.match('/thing', self.versions[index])
            self.assertIs(row, found['GET'].route)
        with self.assertRaises(errors.NotFound):
            router.match('/thing', self.versions[1])

    def test_two_rows_for_one_version(self):
        with self.assertRaises(ValueError):
            routing.Router([self.row(0, 1), self.row(1, 2)], self.versions)


class StrictnessTest(unittest.TestCase):
    """The check of the schemas finds what a validator passes over."""

    good = common.closed({
        'name': common.NAME, 'kind': {'enum': ['a', 'b']},
        'many': common.array(common.TIME)}, title='Good')

    def broken(self, *path, **changes):
        schema = copy.deepcopy(self.good)
        part = schema
        for key in path:
            part = part[key]
        part.update(changes)
        for key in [key for key, value in part.items() if value is None]:
            del part[key]
        return list(strictness.problems(schema))

    def test_good(self):
        self.assertEqual([], self.broken())

    def test_broken(self):
        for path, changes in (
                ((), {'additionalProperites': False}),
                ((), {'additionalProperties': None}),
                ((), {'required': ['nmae']}),
                ((), {'minItems': 1}),
                (('properties', 'name'), {'maxLenght': 3}),
                (('properties', 'name'), {'maxlength': 3}),
                (('properties', 'name'), {'minLength': 300}),
                (('properties', 'name'), {'pattern': '^a$'}),
                (('properties', 'name'), {'type': 'strnig'}),
                (('properties', 'name'), {'format': 'uuid4'}),
                (('properties', 'kind'), {'enum': None, 'values': []}),
                (('properties', 'many'), {'items': None}),
                (('properties', 'many', 'items'), {'minimum': 1})):
            with self.subTest(changes):
                self.assertNotEqual([], self.broken(*path, **changes))

    def test_patterns_end_where_the_text_ends(self):
        for schema in (common.NAME, common.UUID):
            validator = jsonschema.Draft202012Validator(schema)
            uuid = '0' * 8 + '-0000-0000-0000-' + '0' * 12
            self.assertEqual(schema is common.UUID, validator.is_valid(uuid))
            self.assertFalse(validator.is_valid(uuid + '\n'))
            self.assertFalse(validator.is_valid('a\n'))

    def test_names(self):
        validator = jsonschema.Draft202012Validator(common.NAME)
        for text in ('a', 'A b', 'Zürich', 'x' * 255, '1', '{}', 'a..b',
                     '漢字', '-', "'--", 'a b c', 'a\u3000b', 'a.'):
            self.assertTrue(validator.is_valid(text), text)
        for text in ('', ' a', '.', '..', '.a', 'a/b', 'a\tb', 'x' * 256,
                     'a\x7f', '\n', 'a ', 'a  ', ' ', 'a\x80b', 'a\x85',
                     'a\x9f', '\xa0a', 'a\xa0', 'a\u3000', 'a\u2028b',
                     'a\u2003'):
            self.assertFalse(validator.is_valid(text), text)
