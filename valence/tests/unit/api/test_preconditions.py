# SPDX-License-Identifier: Apache-2.0
import re
from concurrent import futures

from valence.api import routes
from valence.tests.unit.api import base

_STALE = '"0123456789abcdef"'


class PreconditionsTest(base.ApiTest):

    def setUp(self):
        super().setUp()
        self.conductor()
        self.pod = self.pod_manager()
        self.client.post('/v1/flavors', {
            'name': 'small', 'properties': {'memory': {'capacity_mib': 1}}})

    def tag(self, url='/v1/flavors/small'):
        return self.client.get(url).headers['etag']

    def test_it_changes_with_the_answer_and_only_then(self):
        first = self.tag()
        self.assertRegex(first, r'^"[0-9a-f]{32}"$')
        self.assertEqual(first, self.tag())
        response = self.client.patch('/v1/flavors/small',
                                     {'description': 'x'})
        self.assertNotEqual(first, response.headers['etag'])
        self.assertEqual(self.tag(), response.headers['etag'])

    def test_it_changes_with_what_comes_from_another_table(self):
        device = self.device(self.pod)
        before = self.tag(f'/v1/devices/{device}')
        self.claim(self.node(self.pod), device)
        self.assertNotEqual(before, self.tag(f'/v1/devices/{device}'))

    def test_created(self):
        response = self.client.post('/v1/flavors', {
            'name': 'other', 'properties': {'memory': {'capacity_mib': 1}}})
        self.assertEqual(self.tag('/v1/flavors/other'),
                         response.headers['etag'])

    def test_it_does_not_change_with_the_name_of_the_host(self):
        tag = self.tag()
        for headers in ({'host': 'a'}, {'host': 'b:8181'}):
            response = self.client.get('/v1/flavors/small', **headers)
            self.assertIn(headers['host'], response.json['links'][0]['href'])
            self.assertEqual(tag, response.headers['etag'])
        self.assertEqual(200, self.client.patch(
            '/v1/flavors/small', {'description': 'x'}, if_match=tag,
            host='c').status)

    def test_it_comes_with_every_resource(self):
        tag = self.tag('/v1/quotas/default')
        self.assertEqual(tag, self.tag('/v1/quotas'))
        self.assertEqual(304, self.client.get(
            '/v1/quotas', if_none_match=tag).status)
        url = '/v1/quotas/default'
        response = self.client.request(
            'PUT', url, {'limits': {'nodes': 3}}, if_match=tag)
        self.assertEqual(200, response.status)
        self.assertNotEqual(tag, response.headers['etag'])
        self.assertEqual(self.tag(url), response.headers['etag'])
        url = f'/v1/pod_managers/{self.pod}'
        response = self.client.post(f'{url}/drain', if_match=self.tag(url))
        self.assertEqual(self.tag(url), response.headers['etag'])

    def test_not_modified(self):
        tag = self.tag()
        for value in (tag, f'W/{tag}', f'{_STALE}, {tag}', '*',
                      f',{tag} ,', f'"a,b",,W/"c"\t, {tag}'):
            for method in ('GET', 'HEAD'):
                response = self.client.request(
                    method, '/v1/flavors/small', if_none_match=value)
                self.assertEqual((304, b''), (response.status, response.body))
                self.assertEqual(tag, response.headers['etag'])
                self.assertNotIn('content-length', response.headers)
        self.assertEqual(200, self.client.get(
            '/v1/flavors/small', if_none_match=_STALE).status)

    def test_of_two_writers_one_is_told(self):
        url, tag = '/v1/flavors/small', self.tag()
        first = self.client.patch(url, {'description': 'a'}, if_match=tag)
        self.assertEqual(200, first.status)
        second = self.client.patch(url, {'description': 'b'}, if_match=tag)
        self.assert_error(second, 412, 'precondition_failed', 'If-Match')
        self.assertEqual('a', self.client.get(url).json['description'])
        self.assertEqual(200, self.client.patch(
            url, {'description': 'b'}, if_match=first.headers['etag']).status)

    def test_of_many_writers_at_once_one_wins(self):
        flavor = self.client.get('/v1/flavors/small').json['uuid']
        for url in (f'/v1/flavors/{flavor}', f'/v1/pod_managers/{self.pod}',
                    f'/v1/nodes/{self.node(self.pod)}'):
            tag = self.tag(url)
            with futures.ThreadPoolExecutor(8) as pool:
                found = list(pool.map(lambda number, url=url, tag=tag: (
                    self.client.patch(url, {'name': f'name-{number}'},
                                      if_match=tag).status), range(8)))
            self.assertEqual([200] + [412] * 7, sorted(found), url)

    def test_weak_tags_do_not_match(self):
        self.assert_error(
            self.client.delete('/v1/flavors/small',
                               if_match=f'W/{self.tag()}'),
            412, 'precondition_failed', 'If-Match')

    def test_any(self):
        self.assertEqual(204, self.client.delete(
            '/v1/flavors/small', if_match='*').status)
        self.assert_error(
            self.client.delete('/v1/flavors/small', if_match='*'), 404,
            'not_found')

    def test_what_cannot_be_understood_lets_nothing_through(self):
        tag = self.tag()
        for value in ('x', '"', '', '"a" "b', tag[:-1], tag.strip('"'),
                      f'x{tag}', f'{tag}x', f'{tag} {tag}', f'{tag};',
                      f'"{tag}', f'*, {tag}', f'{tag}, x', f'w/{tag}',
                      'W/x', ',', '**', '"a",' * 2000):
            with self.subTest(value[:20]):
                for method in ('GET', 'DELETE'):
                    self.assert_error(
                        self.client.request(method, '/v1/flavors/small',
                                            if_match=value),
                        412, 'precondition_failed', 'If-Match')
                self.assertEqual(200, self.client.get(
                    '/v1/flavors/small', if_none_match=value).status)

    def test_every_resource_has_it_and_every_write_heeds_it(self):
        node = self.node(self.pod)
        things = {
            'pod_manager': self.pod, 'flavor': 'small', 'node': node,
            'device': self.device(self.pod),
            'operation': self.operation(kind='compose', state='running'),
            'conductor': self.client.get('/v1/conductors').json[
                'conductors'][0]['uuid'], 'driver': 'redfish'}
        bodies = {'/v1/nodes/{node}/action': {'Reset': {'Type': 'On'}}}
        seen = set()
        for route in routes.ROUTES:
            variable = next(iter(re.findall(r'{(\w+)}', route.path)), None)
            if variable not in things:
                continue
            with self.subTest(f'{route.method} {route.path}'):
                url = route.path.format(**things)
                if route.path.endswith('}') and route.method == 'GET':
                    seen.add(variable)
                    self.assertIn('etag', self.client.get(url).headers)
                if route.method == 'GET':
                    continue
                body = bodies.get(route.path, {'name': 'new'})
                response = self.client.request(
                    route.method, url,
                    *([] if route.body is None else [body]), if_match=_STALE)
                self.assert_error(response, 412, 'precondition_failed',
                                  'If-Match')
        self.assertEqual(set(things), seen)
