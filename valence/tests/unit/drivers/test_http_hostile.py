# SPDX-License-Identifier: Apache-2.0
"""What does the transport do with a backend that means harm, or is sick?"""

import gzip
import json
import logging
import os
import socket
import threading
import time
import tracemalloc
from unittest import mock

import fixtures
import testtools

from valence.common import deadline
from valence.drivers import base, http
from valence.drivers.redfish.session import SessionAuth
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.server import reply

ROOT = '/redfish/v1'
THING = ROOT + '/Thing'
MEMORY = 32 * 1024 * 1024
#: Seconds; what ends by no deadline of its own does not end in so many.
IN_TIME = 15.0


class HostileCase(testtools.TestCase):
    """One client, with Basic credentials, one server, an other host."""

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.other = self.useFixture(server.Server(lambda _: reply(200, {})))

    def serve(self, handler, **limits):
        if isinstance(handler, bytes):
            answer = handler
            handler = lambda _: answer              # noqa: E731
        self.server = self.useFixture(server.Server(handler))
        endpoint = server.endpoint(self.server.url, limits=limits)
        self.client = http.Client(endpoint, ROOT)
        self.client.auth = SessionAuth(self.client, endpoint, 'basic')
        self.addCleanup(self.client.close)

    def assertFails(self, kind, call):
        """``call`` raises exactly ``kind``, in time, telling no secret.

        It takes less than 32 MiB, and sends nothing twice that changes
        anything.
        """
        sent = len(self.server.requests)
        tracemalloc.start()
        try:
            started = time.monotonic()
            error = self.assertRaises(kind, call)
            self.assertLess(time.monotonic() - started, IN_TIME)
            self.assertLess(tracemalloc.get_traced_memory()[1], MEMORY)
        finally:
            tracemalloc.stop()
        self.assertIs(kind, type(error), repr(error))
        self.assertLessEqual(len([
            one for one in self.server.requests[sent:]
            if one.method != 'GET']), 1)
        for secret in (server.PASSWORD, 'Traceback'):
            self.assertNotIn(secret, f'{error!r} {error}')
        self.assertNotIn(server.PASSWORD, self.log.output)
        self.assertEqual([], self.other.requests)
        return error

    def get(self):
        return self.client.get(THING)

    def post(self):
        return self.client.send('POST', THING, {'a': 1})


class HostileAnswers(HostileCase):

    def test_a_redirect_is_not_followed(self):
        for status in (301, 302, 307, 308):
            self.serve(reply(status, headers={
                'Location': self.other.url + THING}))
            self.assertFails(base.BadAnswer, self.get)
            self.assertFails(base.BadAnswer, self.post)

    def test_a_redirect_on_the_same_host_is_not_followed(self):
        self.serve(reply(302, headers={'Location': ROOT + '/Other'}))
        self.assertFails(base.BadAnswer, self.get)
        self.assertEqual([THING], self.server.paths())

    def test_a_proxy_in_the_environment_is_not_used(self):
        self.serve(reply(200, {'a': 1}))
        proxy = {'http_proxy': self.other.url, 'all_proxy': self.other.url,
                 'HTTP_PROXY': self.other.url, 'no_proxy': ''}
        with mock.patch.dict(os.environ, proxy):
            self.assertEqual({'a': 1}, self.get().body)
        self.assertEqual([], self.other.requests)

    def test_a_location_elsewhere_is_refused(self):
        for place in (self.other.url + THING, '//127.0.0.1' + THING,
                      '/elsewhere', ROOT + '/../../etc', 'javascript:1'):
            self.serve(reply(201, {}, {'Location': place}))
            answer = self.post()
            self.assertFails(base.BadAnswer,
                             lambda a=answer: self.client.location(a))

    def test_a_giant_body_is_cut_off(self):
        self.serve(lambda _: lambda sock: (
            sock.sendall(b'HTTP/1.1 200 OK\r\n\r\n'),
            self.server.endless(sock, b' ' * 65536)),
            max_body=1024 * 1024)
        self.assertFails(base.BadAnswer, self.get)

    def test_the_limit_is_exact(self):
        for size, fits in ((1000, True), (1001, False)):
            body = b'{"a":"' + b'x' * (size - 8) + b'"}'
            for length in ({}, {'Content-Length': str(size)}):
                head = ''.join(f'{name}: {value}\r\n'
                               for name, value in length.items())
                answer = f'HTTP/1.1 200 OK\r\n{head}\r\n'.encode() + body
                self.serve(lambda _, answer=answer: lambda sock:
                           sock.sendall(answer), max_body=1000)
                if fits:
                    self.assertEqual(size, self.get().size)
                else:
                    self.assertFails(base.BadAnswer, self.get)

    def test_an_announced_giant_is_not_read(self):
        self.serve(b'HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n')
        self.assertFails(base.BadAnswer, self.get)

    def test_gzip_is_refused_unread(self):
        bomb = gzip.compress(json.dumps({'a': 'b' * 10_000_000}).encode())
        for body in (bomb, b'{"a": 1}'):
            for name in ('gzip', 'deflate', 'br', 'zstd', 'x, gzip'):
                self.serve(reply(200, body, {'Content-Encoding': name}))
                self.assertIn('encoding', str(self.assertFails(
                    base.BadAnswer, self.get)))
        self.assertEqual('identity', self.server.requests[0].headers[
            'accept-encoding'])

    def test_a_dripping_body_meets_the_deadline(self):
        self.serve(lambda _: lambda sock: (
            sock.sendall(b'HTTP/1.1 200 OK\r\n\r\n'),
            self.server.endless(sock, b' ', 0.05)), call_timeout=0.6)
        self.assertFails(base.Unreachable, self.get)

    def test_dripping_headers_meet_the_deadline(self):
        self.serve(lambda _: lambda sock: (
            sock.sendall(b'HTTP/1.1 200 OK\r\nX: '),
            self.server.endless(sock, b'x', 0.05)), call_timeout=0.6)
        self.assertFails(base.Unreachable, self.get)

    def test_endless_interim_answers_meet_the_deadline(self):
        self.serve(lambda _: lambda sock: self.server.endless(
            sock, b'HTTP/1.1 100 Continue\r\n\r\n', 0.02), call_timeout=0.6)
        self.assertFails(base.Unreachable, self.get)

    def test_endless_headers_are_refused(self):
        self.serve(lambda _: lambda sock: (
            sock.sendall(b'HTTP/1.1 200 OK\r\n'),
            self.server.endless(sock, b'X-Y: z\r\n')))
        self.assertFails(base.Unreachable, self.get)

    def test_a_hang_meets_the_deadline(self):
        self.serve(lambda _: self.server.hang, call_timeout=0.5)
        self.assertFails(base.Unreachable, self.get)

    def test_the_deadline_of_the_caller_holds_too(self):
        self.serve(lambda _: self.server.hang, call_timeout=30.0)
        with deadline.limit(0.4):
            self.assertFails(base.Unreachable, self.get)

    def test_a_hang_of_the_tls_handshake_meets_the_deadline(self):
        self.serve(reply(200, {}))
        # It is in the kernel's queue, and nobody takes it from there.
        silent = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(silent.close)
        client = http.Client(server.endpoint(
            f'https://127.0.0.1:{silent.getsockname()[1]}', limits={
                'connect_timeout': 0.3, 'call_timeout': 0.5}), ROOT)
        self.assertFails(base.Unreachable, lambda: client.get(THING))

    def test_deep_json_is_refused(self):
        for depth in (33, 5000, 200_000):
            self.serve(reply(200, b'{"a":' + b'[' * depth + b']' * depth
                             + b'}'))
            self.assertFails(base.BadAnswer, self.get)

    def test_depth_within_the_limit_is_taken(self):
        self.serve(reply(200, b'{"a":' + b'[' * 31 + b']' * 31 + b'}'))
        self.assertIn('a', self.get().body)

    def test_a_million_empty_objects_are_refused(self):
        self.serve(reply(200, b'{"a":[' + b'{},' * 1_000_000 + b'{}]}'))
        self.assertFails(base.BadAnswer, self.get)

    def test_what_is_no_json_object_is_refused(self):
        for body in (b'', b'[]', b'200', b'null', b'<html></html>', b'{"a":',
                     b'\xff\xfe', b'{"a": NaN}', b'"text"'):
            self.serve(reply(200, body))
            self.assertFails(base.BadAnswer, self.get)

    def test_an_answer_that_is_no_http(self):
        self.serve(b'SSH-2.0-OpenSSH_9.2\r\n')
        self.assertFails(base.Unreachable, self.get)

    def test_an_error_in_html_gives_its_text(self):
        self.serve(reply(400, b'<html><style>p{}</style><body><p>No '
                         b'<b>way</b>\x00\x1b[31m</body></html>',
                         {'Content-Type': 'text/html'}))
        error = self.assertFails(base.Refused, self.get)
        self.assertIn('No way', str(error))
        self.assertTrue(str(error).isprintable())

    def test_odd_errors_are_errors_all_the_same(self):
        for body in (b'', b'{}', b'[]', b'{"error": null}',
                     b'{"error": "text"}', b'{"error": {"message": 5}}',
                     b'{"error": {"@Message.ExtendedInfo": {}}}',
                     b'{"error": {"@Message.ExtendedInfo": [1, null, []]}}'):
            self.serve(reply(400, body))
            self.assertEqual(400, self.assertFails(
                base.Refused, self.get).status)

    def test_an_error_of_a_megabyte_is_cut(self):
        self.serve(reply(409, server.error('x ' * 500_000)))
        self.assertLess(len(str(self.assertFails(
            base.Refused, self.get))), 700)

    def test_credentials_in_the_backends_words_are_hidden(self):
        self.serve(lambda request: reply(403, server.error(
            f'{"x" * 490} {server.PASSWORD} and '
            f'{request.headers["authorization"]} are wrong')))
        error = self.assertFails(base.Refused, self.get)
        self.assertNotIn(server.PASSWORD[:6], str(error))
        code = self.server.requests[0].headers['authorization'].split()[1]
        self.assertNotIn(code, str(error))

    def test_a_traceback_in_the_backends_words_is_cut(self):
        trace = 'Oops. Traceback (most recent call last): File "x.py"'
        for body in (trace.encode(), json.dumps(server.error(
                trace)).encode(), b'<pre>' + trace.encode() + b'</pre>'):
            self.serve(reply(500, body))
            self.assertIn('Oops.', str(self.assertFails(
                base.Unreachable, self.get)))

    def test_a_large_body_beyond_latin_1_is_refused(self):
        """One such character doubles what the whole text takes."""
        for text, fits in (('\u00fc', True), ('\u7bc0', False),
                           ('\U0001f41d', False)):
            for size in (10, 2_000_000):
                body = ('{"a": "' + text + 'x' * size + '"}').encode()
                self.serve(reply(200, body))
                if fits or size == 10:
                    self.assertEqual(len(body), self.get().size)
                else:
                    self.assertFails(base.BadAnswer, self.get)

    def test_large_and_small_bodies_are_parsed_alike(self):
        for filler in ('', ' ' * 1_100_000):
            for body, value in (
                    ('{"a": 1}', {'a': 1}), ('\ufeff{"a": 1}', {'a': 1}),
                    ('{"a": 1, "a": 2}', {'a': 2}), ('{"a": NaN}', None),
                    ('{"a": Infinity}', None), ('[1]', None), ('{', None),
                    ('{"a":' + '[' * 40 + ']' * 40 + '}', None)):
                self.serve(reply(200, (body + filler).encode()))
                if value is not None:
                    self.assertEqual(value, self.get().body)
                else:
                    self.assertFails(base.BadAnswer, self.get)

    def test_the_long_texts_of_a_large_body_are_cut(self):
        """However the quotes in and around them are written."""
        etag = 'W/"1"'
        for size in (130_000, 1_100_000):
            filler = ['y' * 95] * (size // 100)
            for text in ('x' * 2000, '"' * 2000, 'x' * 1000 + '"' * 1000,
                         '\\' * 2000, 'x' * 1023 + '\\"' + 'x' * 1023):
                self.serve(reply(200, {
                    'a': [{'b': text, text: etag}] * 3, 'c': filler}))
                cut = text[:1024]
                self.assertEqual(
                    {'a': [{'b': cut, cut: etag}] * 3, 'c': filler},
                    self.get().body)

    def test_large_bodies_wait_for_each_other(self):
        """And not for one that hangs, beyond their own deadline."""
        self.serve(lambda request: reply(200, b'{}' + b' ' * 300_000)
                   if request.path == THING else lambda sock: (
                       sock.sendall(b'HTTP/1.1 200 OK\r\n\r\n'
                                    + b' ' * 300_000),
                       self.server.hang(sock)), call_timeout=0.5)
        errors = []

        def get(path):
            try:
                self.client.get(path)
            except base.DriverError as error:
                errors.append(error)

        threads = [threading.Thread(target=get, args=(path,))
                   for path in (ROOT + '/Hang', THING, THING)]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertLess(time.monotonic() - started, IN_TIME)
        self.assertIn(base.Unreachable, [*map(type, errors)])
        self.assertEqual(300_002, self.get().size)

    def test_words_and_ids_of_the_backend_are_kept(self):
        self.serve(reply(409, server.error(
            'Block 1 is in use.', 'Composition.1.1.ResourceBlockInUse')))
        error = self.assertFails(base.Refused, self.post)
        self.assertIn('Block 1 is in use.', str(error))
        self.assertEqual(('Composition.1.1.ResourceBlockInUse',),
                         error.message_ids)

    def test_a_header_cannot_be_injected(self):
        self.serve(reply(200, {}))
        self.assertFails(base.BadAnswer, lambda: self.client.send(
            'PATCH', THING, {}, headers={'If-Match': '"x"\r\nX-Evil: 1'}))
        self.assertEqual([], self.server.requests)

    def test_a_path_outside_the_root_is_not_requested(self):
        self.serve(reply(200, {}))
        for path in ('/', '/admin', ROOT + '/../x', ROOT + 'x', '//evil/x',
                     ROOT + '/%2e%2e/x', ROOT + '/a b', ROOT + '/\r\nX: 1'):
            self.assertFails(base.BadAnswer,
                             lambda p=path: self.client.get(p))
        self.assertEqual([], self.server.requests)


class Repetition(HostileCase):
    """What is sent again, and what never."""

    def test_a_get_is_tried_three_times(self):
        answers = [server.reset, reply(503), reply(200, {'a': 1})]
        self.serve(lambda _: answers.pop(0))
        self.assertEqual({'a': 1}, self.get().body)

    def test_a_get_gives_up(self):
        for status in (502, 503, 504):
            self.serve(reply(status))
            self.assertFails(base.Unreachable, self.get)
            self.assertEqual(3, len(self.server.requests))

    def test_a_500_is_not_repeated(self):
        self.serve(reply(500, server.error('oops')))
        self.assertFails(base.Unreachable, self.get)
        self.assertEqual(1, len(self.server.requests))

    def test_a_get_waits_as_told(self):
        answers = [reply(429, headers={'Retry-After': '1'}), reply(200, {})]
        self.serve(lambda _: answers.pop(0))
        started = time.monotonic()
        self.get()
        self.assertGreaterEqual(time.monotonic() - started, 1.0)

    def test_too_long_a_wait_is_busy(self):
        self.serve(reply(503, headers={'Retry-After': '3600'}))
        error = self.assertFails(base.Busy, self.get)
        self.assertEqual(60.0, error.retry_after)

    def test_a_reset_before_the_answer_makes_a_mutation_ambiguous(self):
        self.serve(lambda _: server.reset)
        self.assertFails(base.Ambiguous, self.post)
        self.assertEqual(1, len(self.server.requests))

    def test_a_reset_in_the_answer_makes_a_mutation_ambiguous(self):
        self.serve(lambda _: lambda sock: (sock.sendall(
            b'HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{"a"'),
            server.reset(sock)))
        self.assertFails(base.Ambiguous, self.post)
        self.assertEqual(1, len(self.server.requests))

    def test_a_short_body_is_no_answer(self):
        self.serve(lambda _: lambda sock: sock.sendall(
            b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"a": 1}'))
        self.assertFails(base.Unreachable, self.get)
        self.assertFails(base.Ambiguous, self.post)

    def test_a_hang_makes_a_mutation_ambiguous(self):
        self.serve(lambda _: self.server.hang, call_timeout=0.4)
        self.assertFails(base.Ambiguous, self.post)
        self.assertEqual(1, len(self.server.requests))

    def test_a_5xx_makes_a_mutation_ambiguous(self):
        for status in (500, 502, 503, 504):
            self.serve(reply(status))
            self.assertFails(base.Ambiguous, self.post)
            self.assertEqual(1, len(self.server.requests))

    def test_a_mutation_that_was_put_off_is_busy(self):
        for status in (429, 503):
            self.serve(reply(status, headers={'Retry-After': '7'}))
            self.assertEqual(7.0, self.assertFails(
                base.Busy, self.post).retry_after)
            self.assertEqual(1, len(self.server.requests))

    def test_a_mutation_without_a_listener_is_unreachable(self):
        self.serve(reply(200, {}))
        client = http.Client(server.endpoint('http://127.0.0.1:1'), ROOT)
        self.assertFails(base.Unreachable,
                         lambda: client.send('POST', THING, {}))

    def test_a_mutation_is_carried_by_a_connection_of_its_own(self):
        """The server drops each idle connection the moment it is idle."""
        self.serve(lambda _: lambda sock: sock.sendall(reply(200, {})))
        for _ in range(20):
            self.get()
            self.post()
        self.assertEqual(20, len(self.server.paths('POST')))

    def test_a_mutation_that_worked_needs_no_usable_body(self):
        for body in (b'', b'200', b'POST request completed', b'[1]'):
            self.serve(reply(200, body))
            self.assertEqual({}, self.post().body)

    def test_statuses_have_their_errors(self):
        for status, kind in ((401, base.Unauthorized),
                             (403, base.Refused), (404, base.NotFound),
                             (410, base.NotFound), (405, base.Refused),
                             (412, base.Refused), (501, base.Refused)):
            self.serve(reply(status, server.error('no')))
            for call in (self.get, self.post):
                error = self.assertFails(kind, call)
                self.assertEqual(None if status == 401 else status,
                                 getattr(error, 'status', None))

    def test_connections_are_kept_and_bounded(self):
        self.serve(reply(200, {}), connections=2)
        threads = [threading.Thread(target=lambda: [
            self.get() for _ in range(10)]) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(60, len(self.server.requests))
        self.assertLessEqual(self.server.connections, 2)
