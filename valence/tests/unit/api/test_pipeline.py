# SPDX-License-Identifier: Apache-2.0
import re
import sqlite3

from valence.db import engine, models
from valence.tests.unit.api import base


class PipelineTest(base.ApiTest):

    def test_discovery_needs_no_authentication(self):
        path = f'{self.directory}/users'
        with open(path, 'w') as file:
            file.write('a:$2b$04$' + 'a' * 53)
        client = base.Client(self.make_app(
            auth_strategy='http_basic', htpasswd_file=path))
        for url in ('/', '/v1', '/v1/'):
            response = client.get(url)
            self.assertEqual(200, response.status)
        self.assertEqual('http://api/v1', client.get('/').json[
            'versions'][0]['links'][0]['href'])
        self.assert_error(client.get('/v1/nodes'), 401, 'unauthorized')
        self.assert_error(client.get('/v1/nothing'), 401, 'unauthorized')

    def test_every_answer_has_its_own_request_id(self):
        ids = set()
        for url in ('/', '/v1/nodes', '/nothing', '/v1/nodes?x=1'):
            response = self.client.get(url)
            self.assertEqual(
                1, response.names.count('x-openstack-request-id'))
            ids.add(response.headers['x-openstack-request-id'])
        self.assertEqual(4, len(ids))
        for request_id in ids:
            self.assertRegex(request_id, r'^req-[0-9a-f-]{36}$')

    def test_request_id_is_on_the_log_line(self):
        with self.assertLogs('valence.api', 'INFO') as logs:
            response = self.client.post('/v1/flavors', {})
        self.assertIn(' /v1/flavors 400 ', logs.output[-1])
        from oslo_context import context
        self.assertEqual(response.headers['x-openstack-request-id'],
                         context.get_current().request_id)

    def test_unknown_paths(self):
        for url in ('/v2', '/v1/nothing', '/v1/nodes/a/b', '/v1//nodes',
                    '/v1/nodes//', '//', '/v1/nodes/\xff', '/v1/nodes/a\0',
                    '/v1/{}', '/v1/{}/action', '/v1/nodes/{}',
                    '/v1/nodes/..', '/v1/\0methods', '/v1/nodes/' + 'x' * 9999,
                    "/v1/nodes/' OR 1=1 --", '/v1/nodes/%', 'nodes'):
            with self.subTest(url[:40]):
                self.assert_error(self.client.get(url), 404, 'not_found')

    def test_trailing_slash_makes_no_difference(self):
        self.assertEqual(200, self.client.get('/v1/nodes/').status)

    def test_wrong_method(self):
        for method, url, allow in (
                ('DELETE', '/v1/nodes', 'GET, HEAD, OPTIONS, POST'),
                ('PUT', '/v1/nodes/x', 'DELETE, GET, HEAD, OPTIONS, PATCH'),
                ('GET', '/v1/nodes/x/action', 'OPTIONS, POST'),
                ('HEAD', '/v1/nodes/x/action', 'OPTIONS, POST'),
                ('TRACE', '/', 'GET, HEAD, OPTIONS'),
                ('\x1b[31m', '/', 'GET, HEAD, OPTIONS')):
            with self.subTest(method=method, url=url):
                response = self.client.request(method, url)
                self.assertEqual(allow, response.headers['allow'])
                if method != 'HEAD':
                    self.assert_error(response, 405, 'method_not_allowed')

    def test_options(self):
        response = self.client.request('OPTIONS', '/v1/flavors/x')
        self.assertEqual(204, response.status)
        self.assertEqual('DELETE, GET, HEAD, OPTIONS, PATCH',
                         response.headers['allow'])
        self.assertNotIn('content-length', response.headers)

    def test_head_is_get_without_the_body(self):
        get = self.client.get('/v1/nodes')
        head = self.client.request('HEAD', '/v1/nodes')
        self.assertEqual((200, b''), (head.status, head.body))
        self.assertEqual(get.headers['content-length'],
                         head.headers['content-length'])

    def test_accept_header_never_brings_html(self):
        for accept in ('text/html', 'application/xml', 'nonsense', ''):
            response = self.client.get('/v1/nothing', accept=accept)
            self.assert_error(response, 404, 'not_found')

    def test_query_strings(self):
        for query, field in (
                ('nothing=1', 'nothing'), ('limit=0', 'limit'),
                ('limit=1001', 'limit'), ('limit=x', 'limit'),
                ('limit=', 'limit'), ('limit=1.0', 'limit'),
                ('limit=' + '9' * 5000, 'limit'),
                ('limit=%D9%A1', 'limit'),
                ('limit=1&limit=1', 'limit'), ('marker=x', 'marker'),
                ('pooled=1', 'pooled'), ('type=NVME', 'type'),
                ('name=', 'name'), ('name=' + 'x' * 256, 'name'),
                ('pod_manager=nowhere', 'pod_manager'),
                ('name=%00', None), ('name=%ff', None),
                ('name=' + 'x' * 9000, None),
                ('&'.join('a=1' for _ in range(200)), None)):
            with self.subTest(query[:30]):
                response = self.client.get('/v1/devices?' + query)
                self.assertEqual(400, response.status)
                self.assertEqual(field, response.error.get('field'))

    def test_links_follow_the_proxy_only_where_configured(self):
        headers = {'x_forwarded_proto': 'https',
                   'x_forwarded_host': 'public.example'}
        url = self.client.get('/', **headers).json[
            'versions'][0]['links'][0]['href']
        self.assertEqual('http://api/v1', url)
        client = base.Client(self.make_app(enable_proxy_headers=True))
        url = client.get('/', **headers).json[
            'versions'][0]['links'][0]['href']
        self.assertEqual('https://public.example/v1', url)

    def test_links_behind_proxies(self):
        client = base.Client(self.make_app(enable_proxy_headers=True))
        for headers, url in (
                # A port needs quotes (RFC 7239, 4).
                ({'forwarded': 'proto=https;host="pub.example:8443"'},
                 'https://pub.example:8443'),
                ({'forwarded': 'For="[2001:db8::1]:9";Proto=HTTPS; '
                  'Host=a.example, for=10.0.0.1;host=b.example;proto=http'},
                 'https://a.example'),
                ({'forwarded': 'host="a\\.example";by="x;y, z=\\""'},
                 'http://a.example'),
                ({'forwarded': 'proto=https;host=pub.example:8443'},
                 'https://pub.example:8443'),
                ({'forwarded': 'proto=gopher;host="a b"'}, 'http://api'),
                ({'forwarded': 'host="a.example'}, 'http://api'),
                ({'forwarded': 'host="a.example"x'}, 'http://api'),
                ({'forwarded': '"' + '\\"' * 5000}, 'http://api'),
                ({'forwarded': ';,'}, 'http://api'),
                ({'forwarded': ' ;host=a.example; '}, 'http://a.example'),
                # Each proxy of a chain may add to the list.
                ({'x_forwarded_proto': 'https, http',
                  'x_forwarded_host': 'pub.example:8443, inner'},
                 'https://pub.example:8443'),
                ({'x_forwarded_proto': 'https,https',
                  'x_forwarded_host': 'pub.example,inner',
                  'x_forwarded_for': '192.0.2.1, 10.0.0.1',
                  'x_forwarded_prefix': '/hw, /x'},
                 'https://pub.example/hw'),
                ({'x_forwarded_host': 'pub.example',
                  'x_forwarded_prefix': '.evil.example'},
                 'http://pub.example')):
            with self.subTest(headers):
                self.assertEqual(f'{url}/v1', client.get('/', **headers).json[
                    'versions'][0]['links'][0]['href'])

    def test_addresses_of_clients_behind_proxies(self):
        environs = []
        app = self.make_app(enable_proxy_headers=True)
        client = base.Client(lambda environ, start: (
            environs.append(environ), app(environ, start))[1])
        for header, value, address in (
                ('forwarded', 'for=192.0.2.1', '192.0.2.1'),
                ('forwarded', 'for="192.0.2.1:99"', '192.0.2.1'),
                ('forwarded', 'for="[2001:DB8::1]:99"', '2001:db8::1'),
                # Not the proxy's, which may be that of this host.
                ('forwarded', 'for=_hidden, for=192.0.2.1', 'unknown'),
                ('forwarded', 'for="192.0.2.1', 'unknown'),
                ('forwarded', 'for=', 'unknown'),
                ('x_forwarded_for', '2001:db8::1, 10.0.0.1', '2001:db8::1'),
                ('x_forwarded_for', '192.0.2.1:99', '192.0.2.1'),
                ('x_forwarded_for', ', 127.0.0.1', 'unknown'),
                ('x_forwarded_for', 'x', 'unknown')):
            with self.subTest(value):
                client.get('/', **{header: value})
                self.assertEqual(address, environs[-1]['REMOTE_ADDR'])

    def test_public_endpoint(self):
        client = base.Client(self.make_app(
            public_endpoint='https://public.example/valence/'))
        self.assertEqual('https://public.example/valence/v1', client.get(
            '/').json['versions'][0]['links'][0]['href'])

    def test_mounted_below_a_path(self):
        response = self.client.get('/', environ={'SCRIPT_NAME': '/hw/'})
        self.assertEqual('http://api/hw/v1', response.json[
            'versions'][0]['links'][0]['href'])

    def test_hostile_host_header_is_not_repeated(self):
        for host in ('a"b', 'a\r\nb', 'x' * 300, '', 'a b', 'a/b', 'a@b'):
            response = self.client.get('/', host=host)
            self.assertEqual('http://api:80/v1', response.json[
                'versions'][0]['links'][0]['href'])

    def test_log_lines_cannot_be_forged(self):
        with self.assertLogs('valence.api', 'DEBUG') as logs:
            self.client.get('/v1/a\nCRITICAL forged')
        self.assertNotIn('\n', logs.output[-1])


class TroubleTest(base.ApiTest):

    def test_database_away(self):
        self.database = engine.Database('sqlite:////nonexistent/v.db')
        client = base.Client(self.make_app())
        for method, url in (('GET', '/v1/nodes'), ('POST', '/v1/flavors')):
            response = client.request(method, url, base.UNSET if
                                      method == 'GET' else {
                'name': 'a', 'properties': {'memory': {'type': 'x'}}})
            self.assert_error(response, 503, 'service_unavailable')
            self.assertEqual('5', response.headers['retry-after'])

    def test_database_not_set_up(self):
        self.database = engine.Database(f'sqlite:///{self.directory}/other')
        self.addCleanup(self.database.close)
        error = self.assert_error(
            base.Client(self.make_app()).get('/v1/nodes'), 503,
            'service_unavailable')
        self.assertIn('valence-manage db upgrade', error['detail'])

    def test_disk_full(self):
        self.database = engine.Database(
            f'sqlite:///{self.directory}/valence.db', pool_size=1,
            max_overflow=0)
        self.addCleanup(self.database.close)
        models.Base.metadata.create_all(self.database.engine)
        with self.database.read() as conn:
            pages = conn.exec_driver_sql('PRAGMA page_count').scalar()
            conn.exec_driver_sql(f'PRAGMA max_page_count = {pages}')
        client = base.Client(self.make_app())
        for number in range(200):
            response = client.post('/v1/flavors', {
                'name': f'f{number}', 'description': 'x' * 4000,
                'properties': {'memory': {'type': 'x'}}})
            if response.status != 201:
                break
        self.assert_error(response, 507, 'insufficient_storage')
        self.assertEqual(200, client.get('/v1/flavors').status)

    def test_locked_database(self):
        self.database = engine.Database(
            f'sqlite:///{self.directory}/valence.db', pool_size=1,
            max_overflow=0, max_retries=1)
        self.addCleanup(self.database.close)
        with self.database.read() as conn:
            conn.exec_driver_sql('PRAGMA busy_timeout = 10')
        client = base.Client(self.make_app())
        other = sqlite3.connect(f'{self.directory}/valence.db',
                                isolation_level=None)
        self.addCleanup(other.close)
        other.execute('BEGIN IMMEDIATE')
        response = client.post('/v1/flavors', {
            'name': 'a', 'properties': {'memory': {'type': 'x'}}})
        self.assert_error(response, 503, 'service_unavailable')
        other.execute('ROLLBACK')

    def test_what_nobody_foresaw(self):
        class Broken:
            def encrypt(self, secrets):
                raise RuntimeError('internal detail')

        self.conductor()
        self.vault = Broken()
        client = base.Client(self.make_app())
        with self.assertLogs('valence.api', 'ERROR') as logs:
            response = client.post('/v1/pod_managers', {
                'name': 'a', 'url': 'https://a', 'authentication': [
                    {'type': 'basic', 'auth_items': {
                        'username': 'u', 'password': 'hunter2'}}]})
        self.assert_error(response, 500, 'internal_error')
        self.assertNotIn(b'internal detail', response.body)
        log = '\n'.join(logs.output)
        self.assertIn('Traceback', log)
        self.assertIn('internal detail', log)
        self.assertIsNone(re.search('hunter2', log))
