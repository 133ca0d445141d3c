# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, huge or odd, against both of Valence's servers."""

import json
import signal
import socket
import time

import sqlalchemy as sa
import testtools

from valence.tests.functional.processes import PATIENCE, Deployment

#: More than the threads of the process, by far.
MANY = 100
#: Of a request with a body.
HEAD = (b'POST /v1/%s HTTP/1.1\r\nHost: a\r\n'
        b'Content-Type: application/json\r\n')
#: The longest that a client may take: longer than any of these tests.
LONG = {'header_timeout': 600, 'body_timeout': 600}


class Api(testtools.TestCase):

    command = 'valence-api'
    timeouts = LONG

    def setUp(self):
        super().setUp()
        self.deployment = self.useFixture(Deployment(
            self, 'sqlite', broker=self.command == 'valence-api',
            api={'threads': 4, **self.timeouts}))
        self.client = self.deployment.start_api(command=self.command)

    def connect(self, data=b''):
        one = socket.create_connection(('127.0.0.1', self.deployment.port))
        one.settimeout(PATIENCE)
        self.addCleanup(one.close)
        one.sendall(data)
        return one

    def status(self, data):
        """The status line's number for a raw request, 0 for a hang-up."""
        one = self.connect(data)
        return self.answer(one)[0]

    def answer(self, one):
        data = b''
        try:
            while part := one.recv(65536):
                data += part
                head, end, body = data.partition(b'\r\n\r\n')
                if end and len(body) >= _length(head):
                    break
        except ConnectionError:
            pass
        words = data.split(b' ', 2)
        return (int(words[1]) if len(words) > 1 else 0), data

    def assert_shape(self, data):
        """An answer is an error in the shape that all have."""
        head, _, body = data.partition(b'\r\n\r\n')
        error, = json.loads(body)['errors']
        self.assertEqual(int(head.split()[1]), error['status'])
        self.assertIn(b'x-openstack-request-id: '
                      + error['request_id'].encode(), head)

    def assert_healthy(self):
        for method, path, body, status in (
                ('GET', '/v1/nodes', None, 200),
                ('POST', '/v1/flavors', {'name': f'f{time.monotonic()}',
                                         'properties': {}}, None)):
            answer = self.client.request(method, path, body)
            self.assertLess(answer.status_code, 500)
            if status:
                self.assertEqual(status, answer.status_code)

    def slow_bodies(self):
        """Clients that have sent half of a body."""
        slow = []
        for number in range(MANY):
            # Of known length, in chunks, with a drip now and then; to a
            # path for users, and to the one for everybody.
            path = (b'flavors', b'events?pod_manager=x&token=y')[number % 2]
            slow.append(self.connect(HEAD % path + (
                b'Content-Length: 500\r\n\r\n{"a'
                if number % 4 < 2 else
                b'Transfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n')))
        return slow

    def slow_headers(self):
        return [self.connect(b'GET /v1/nodes HTTP/1.1\r\nHost: a\r\nX-')
                for _ in range(2 * MANY)]


class Slow(Api):
    """A client that takes its time takes nobody else's.

    Whoever had to wait for one of them would wait for ever.
    """

    def test_bodies(self):
        slow = self.slow_bodies()
        self.assert_healthy()
        for one in slow[2::4]:
            one.sendall(b'1\r\nb\r\n')
        self.assert_healthy()
        # Who leaves is forgotten.
        for one in slow:
            one.close()
        self.assert_healthy()

    def test_headers(self):
        slow = self.slow_headers()
        self.assert_healthy()
        for one in slow:
            one.sendall(b'a')
        self.assert_healthy()


class SlowStandalone(Slow):

    command = 'valence-standalone'

    def test_stopping(self):
        """Nobody keeps the process from it."""
        slow = self.slow_bodies()
        self.assert_healthy()
        self.deployment.api.signal(signal.SIGTERM)
        self.assertEqual(0, self.deployment.api.wait(LONG['body_timeout']))
        self.assertNotIn('Traceback', self.deployment.api.log)
        for one in slow:
            one.close()


class Late(Api):
    """Who took too long is told so, and forgotten."""

    timeouts = {'header_timeout': 3, 'body_timeout': 4}

    def test_bodies(self):
        slow = self.slow_bodies()
        # In the shape of all errors.
        for one in slow[::10]:
            status, data = self.answer(one)
            self.assertIn(status, (400, 408), data)
        status, data = self.answer(slow[1 + 3 * 4 + 3])
        body = json.loads(data.partition(b'\r\n\r\n')[2])
        self.assertEqual('request_timeout', body['errors'][0]['code'])
        self.assert_healthy()
        # Nor does one of them keep the process from stopping.
        self.connect(HEAD % b'flavors' + b'Content-Length: 9\r\n\r\n{')
        self.deployment.api.signal(signal.SIGTERM)
        self.assertEqual(0, self.deployment.api.wait())
        self.assertNotIn('Traceback', self.deployment.api.log)

    def test_headers(self):
        for one in self.slow_headers()[::20]:
            # Hung up upon, perhaps with a word.
            self.assertIn(self.answer(one)[0], (0, 400, 408))
        self.assert_healthy()


class LateStandalone(Late):

    command = 'valence-standalone'


class Broken(Api):
    """What does not arrive whole is not acted upon."""

    #: Of a request that does something even without a body.
    SYNC = HEAD % b'devices/sync' + b'Transfer-Encoding: chunked\r\n\r\n'

    def test_everything(self):
        if self.command == 'valence-api':
            self.deployment.start_conductors(self.client, 1)
        self.client.post('/v1/pod_managers', {
            'name': 'p', 'url': 'http://127.0.0.1:9'})
        before = self.operations()
        for body in (
                b'zz\r\n{}\r\n', b'2\r\n{}\r\nzz\r\n', b'2\r\n{}junk',
                b'-1\r\n{}\r\n', b'fffffffffffffffffff\r\n{}',
                b'2\r\n{}\r\n0\r\nX: trailer\r\n\r\n'):
            status, data = self.answer(self.connect(self.SYNC + body))
            self.assertEqual(400, status, (body, data))
            self.assert_shape(data)
        for body in (b'', b'2', b'2\r\n', b'2\r\n{}', b'2\r\n{}\r\n',
                     b'2\r\n{}\r\n0\r\n', b'5\r\n{}'):
            # Hung up upon, and half of that.
            self.connect(self.SYNC + body).close()
            one = self.connect(self.SYNC + body)
            one.shutdown(socket.SHUT_WR)
            self.assertIn(self.answer(one)[0], (0, 400), body)
        for head in (b'Transfer-Encoding: gzip, chunked',
                     b'Transfer-Encoding: chunked, chunked'):
            self.assertIn(self.status(
                HEAD % b'devices/sync' + head + b'\r\n\r\n'
                b'2\r\n{}\r\n0\r\n\r\n'), (0, 400), head)
        one = self.connect(
            HEAD % b'devices/sync' + b'Content-Length: 9\r\n\r\n{}')
        one.shutdown(socket.SHUT_WR)
        self.assertIn(self.answer(one)[0], (0, 400))
        self.assert_healthy()
        self.assertEqual(before, self.operations())
        log = self.deployment.api.log
        self.assertNotIn('Traceback', log)
        self.assertNotIn('unexpected error', log)
        # What is whole is acted upon, in however many chunks.
        for body in (b'0\r\n\r\n', b'2\r\n{}\r\n0\r\n\r\n',
                     b'1;a=b\r\n{\r\n1\r\n}\r\n0\r\n\r\n'):
            self.assertEqual(202, self.status(self.SYNC + body), body)
        self.assertNotEqual(before, self.operations())

    def operations(self):
        return [one['uuid'] for one in
                self.client.get('/v1/operations')['operations']]


class BrokenStandalone(Broken):

    command = 'valence-standalone'


class Huge(Api):
    """What is out of proportion is refused before anything parses it."""

    def test_everything(self):
        self.heads()
        self.bodies()
        self.names_with_underscores()
        self.bodies_and_lengths()
        self.paths()
        self.oddities()
        self.hosts()
        self.assert_healthy()

    def heads(self):
        def request(line=b'GET /v1/nodes', headers=b''):
            return line + b' HTTP/1.1\r\nHost: a\r\n' + headers + b'\r\n'

        def many(count):
            return b''.join(b'X-%d: 1\r\n' % n for n in range(count))

        for data, expected in (
                (request(headers=many(90)), (200,)),
                (request(headers=many(97)), (431,)),
                (request(headers=many(200)), (0, 400, 431)),
                (request(headers=many(20_000)), (0, 400, 431)),
                (request(headers=b'X: ' + b'a' * 30_000 + b'\r\n'), (200,)),
                (request(headers=b'X: ' + b'a' * 100_000 + b'\r\n'), (431,)),
                (request(headers=b'X: ' + b'a' * 900_000 + b'\r\n'),
                 (0, 400, 431)),
                (request(b'GET /v1/' + b'a' * 10_000), (404,)),
                (request(b'GET /v1/' + b'a' * 20_000), (414,)),
                (request(b'GET /v1/nodes?name=' + b'a' * 20_000), (414,)),
                (request(b'GET /' + b'a' * 900_000), (0, 400, 414, 431)),
                (request(b'BREW /v1/nodes'), (405,)),
                (request(b'GET /v1/nodes', b'Content-Length: 99999999999\r\n'
                         ), (413,)),
                (request(b'GET /v1/nodes', b'Content-Length: 1\r\n'
                         b'Content-Length: 2\r\n'), (0, 400)),
                # Two readers would see two different bodies.
                (request(b'POST /v1/flavors', b'Content-Length: 2\r\n'
                         b'Transfer-Encoding: chunked\r\n')
                 + b'0\r\n\r\n', (0, 400)),
                (b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', (0, 400)),
                (b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', (0, 400, 505)),
                (b'nonsense\r\n\r\n', (0, 400))):
            self.assertIn(self.status(data), expected, data[:60])

    def bodies(self):
        def post(body, kind=b'application/json', chunked=False, length=None):
            head = (b'POST /v1/flavors HTTP/1.1\r\nHost: a\r\n'
                    b'Content-Type: ' + kind + b'\r\n')
            if chunked:
                return (head + b'Transfer-Encoding: chunked\r\n\r\n'
                        + b'%x\r\n%b\r\n0\r\n\r\n' % (len(body), body))
            return head + b'Content-Length: %d\r\n\r\n' % (
                len(body) if length is None else length) + body

        mebibyte = 1024 * 1024
        for kind in (b'application/json', b'text/plain', b'',
                     b'multipart/form-data; boundary=x',
                     b'application/x-www-form-urlencoded'):
            for chunked in (False, True):
                self.assertEqual(413, self.status(post(
                    b' ' * (mebibyte + 1), kind, chunked)), (kind, chunked))
        for body, code in (
                (b'{"name": ' + b'[' * 26 + b']' * 26 + b'}', 'invalid_json'),
                (b'[' * 500_000, 'invalid_json'),
                (b'{"a":' * 150_000, 'invalid_json'),
                (b'{"name": "a", "name": "b"}', 'invalid_json'),
                (b'{"name": NaN}', 'invalid_json'),
                (b'\xff\xfe{\x00}\x00', 'invalid_json'),
                (b'"' + b'a' * 900_000 + b'"', 'invalid_request')):
            status, data = self.answer(self.connect(post(body)))
            self.assertEqual(400, status, data[:300])
            self.assertIn(f'"{code}"'.encode(), data)
        # An announcement is not a reason to wait for it.
        self.assertEqual(413, self.status(post(b'', length=mebibyte * 99)))

    def names_with_underscores(self):
        # [api] trust_identity_headers is off; what counts is that the one
        # never becomes the other.
        one = self.connect(b'GET /v1/nodes HTTP/1.1\r\nHost: a\r\n'
                           b'OpenStack_API_Version: nonsense 9.9\r\n\r\n')
        self.assertEqual(200, self.answer(one)[0])

    def bodies_and_lengths(self):
        """The server adds nothing and takes nothing away."""
        for method, path, status in (
                ('GET', '/v1/nodes', 200), ('HEAD', '/v1/nodes', 200),
                ('OPTIONS', '/v1/nodes', 204), ('HEAD', '/nothing', 404)):
            one = self.connect(
                f'{method} {path} HTTP/1.1\r\nHost: api.example:99\r\n'
                'Connection: close\r\n\r\n'.encode())
            data = b''
            while part := one.recv(65536):
                data += part
            head, _, body = data.partition(b'\r\n\r\n')
            self.assertEqual(status, int(head.split()[1]))
            if method == 'GET':
                self.assertEqual(_length(head), len(body))
            else:
                self.assertEqual(b'', body)
            self.assertEqual(method != 'OPTIONS', _length(head) > 0)
            self.assertEqual(1, head.lower().count(b'x-openstack-request-id'))

    def paths(self):
        """They arrive as they were meant."""
        for path, status in (
                ('/v1/nodes/%E6%BC%A2', 404), ('/v1/nodes/%ff', 404),
                ('/v1/nodes/a%2fb', 404), ('/v1/%6eodes', 200),
                ('/v1/nodes/%00', 404), ('/v1/nodes?limit=%31', 200),
                ('http://else.example/v1/nodes', 200)):
            self.assertEqual(status, self.status(
                f'GET {path} HTTP/1.1\r\nHost: a\r\n\r\n'.encode()), path)


    def oddities(self):
        """Errors are in the one shape, whatever asks for them."""
        for line, status in (
                ('GET //v1', 404), ('OPTIONS *', 404), ('GET /v1/nodes/\xe9',
                                                        404),
                ('get /v1/nodes', 405), ('CONNECT a:1', 405),
                ('TRACE /v1', 405), ('POST /healthcheck', 405)):
            got, data = self.answer(self.connect(
                f'{line} HTTP/1.1\r\nHost: a\r\n\r\n'.encode()))
            self.assertEqual(status, got, (line, data))
            self.assert_shape(data)
            self.assertEqual(status == 405, b'\r\nallow: ' in data, line)

    def hosts(self):
        """A Host that is none leads back to the address that was asked."""
        for head in (b'', b'Host: a b\r\n', b'Host: a"b\r\n',
                     b'Host: a\r\nHost: b\r\n'):
            status, data = self.answer(self.connect(
                b'GET / HTTP/1.1\r\n' + head + b'\r\n'))
            self.assertEqual(200, status, (head, data))
            self.assertIn(f'"http://127.0.0.1:{self.deployment.port}/v1"',
                          data.decode())


class HugeStandalone(Huge):

    command = 'valence-standalone'


class Addresses(testtools.TestCase):
    """Whoever registers a pod manager cannot send Valence anywhere."""

    REFUSED = (
        # Not TLS; credentials in it; not HTTP at all.
        'http://pod.example', 'https://user:password@pod.example',
        'https://user@pod.example', 'file:///etc/passwd',
        'gopher://pod.example',
        # Metadata services and link-local addresses.
        'https://169.254.169.254', 'https://169.254.170.2/v2',
        'https://100.100.100.200', 'https://168.63.129.16',
        'https://[fd00:ec2::254]', 'https://[fd00:ec2::23]',
        'https://[fd20:ce::254]', 'https://[fd00:42::42]',
        'https://[fe80::1]',
        'https://[fe80::1%25eth0]',
        # The same, in other words.
        'https://[::ffff:169.254.169.254]', 'https://[::ffff:a9fe:a9fe]',
        'https://[::ffff:0:a9fe:a9fe]', 'https://[64:ff9b:1::a9fe:a9fe]',
        'https://[::7f00:1]',
        'https://[64:ff9b::a9fe:a9fe]', 'https://[2002:a9fe:a9fe::1]',
        'https://2852039166', 'https://0xa9fea9fe',
        'https://0251.0376.0251.0376', 'https://169.254.43518',
        # This host, by address and by a name of the DNS.
        'https://127.0.0.1', 'https://127.8.8.8:8443', 'https://127.1',
        'https://2130706433', 'https://0177.0.0.1', 'https://0x7f.0.0.1',
        'https://[::1]', 'https://[::ffff:127.0.0.1]', 'https://0.0.0.0',
        'https://[::]', 'https://localhost', 'https://LOCALHOST:5000/x',
        # Everybody, and what the operator denies.
        'https://224.0.0.1', 'https://255.255.255.255', 'https://[ff02::1]',
        'https://10.1.2.3', 'https://[::ffff:10.1.2.3]',
        # Ways out of the path.
        'https://pod.example/a/../b', 'https://pod.example/%2e%2e/',
        'https://pod.example\\@169.254.169.254/',
        'https://pod.example#@169.254.169.254/')
    ACCEPTED = ('https://192.0.2.1', 'https://[2001:db8::1]:8443/redfish/v1',
                'https://10.0.0.1', 'https://pod.invalid')

    def test_registration_and_dialling(self):
        deployment = self.useFixture(Deployment(
            self, 'sqlite', pod_managers={
                'allow_http': False, 'allowed_networks': '10.0.0.0/30',
                'denied_networks': '10.0.0.0/8'}))
        client = deployment.start_api()
        deployment.start_conductors(client, 1)

        def register(url):
            return client.request('POST', '/v1/pod_managers', {
                'name': f'pod {url[8:]}'.replace('/', '-'), 'url': url})

        for url in self.REFUSED:
            answer = register(url)
            self.assertEqual(400, answer.status_code, (url, answer.text))
            self.assertEqual('url', answer.json()['errors'][0]['field'], url)
        uuid = None
        for url in self.ACCEPTED:
            answer = register(url)
            self.assertEqual(201, answer.status_code, (url, answer.text))
            uuid = answer.json()['uuid']
        for url in self.REFUSED[::7]:
            answer = client.request('PATCH', f'/v1/pod_managers/{uuid}',
                                    {'url': url})
            self.assertEqual(400, answer.status_code, (url, answer.text))
            self.assertEqual('url', answer.json()['errors'][0]['field'], url)

        # A name that leads elsewhere later on is not followed there.
        trap = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(trap.close)
        trap.settimeout(0)
        engine = sa.create_engine(deployment.database.url)
        self.addCleanup(engine.dispose)
        with engine.begin() as connection:
            connection.execute(
                sa.text('UPDATE pod_managers SET url = :url, '
                        'generation = generation + 1 WHERE uuid = :uuid'),
                {'uuid': uuid,
                 'url': f'https://localhost:{trap.getsockname()[1]}'})
        ended = client.operation(client.post(
            f'/v1/pod_managers/{uuid}/sync')['operation']['uuid'])
        self.assertEqual('failed', ended['state'])
        self.assertIn('backend_address_denied', str(ended))
        self.assertRaises(BlockingIOError, trap.accept)


def _length(head):
    for line in head.lower().split(b'\r\n'):
        name, _, value = line.partition(b':')
        if name == b'content-length':
            return int(value)
    return 0
