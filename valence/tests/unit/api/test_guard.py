# SPDX-License-Identifier: Apache-2.0
import io

from valence.tests.unit.api import base

JSON = 'application/json'


class GuardTest(base.ApiTest):

    def post(self, data, content_type=JSON, **kwargs):
        return self.client.post('/v1/flavors', data=data,
                                content_type=content_type, **kwargs)

    def test_not_json(self):
        for data in (
                b'{', b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e999}',
                b'{"a": -1e999}', b'\xff\xfe', b'{"a": "\xff"}',
                b'{"a": "\\ud800"}', b"{'a': 1}", b'{"a": 1,}', b'nul',
                b'\xef\xbb\xbf{}', b'{"a": 01}', b'{} {}', b' ', b'"',
                b'[' * 100_000, b'{"a":' * 100_000, b'\0',
                b'{"a": 1, "a": 2}', b'{"b": [{"a": 1, "a": 2}]}',
                b'{"a": 1, "\\u0061": 2}', b'{"a": "\\u0000"}',
                b'{"\\u0000": 1}', b'["\\u0000"]', b'{"a": [["\\u0000"]]}',
                b'[' * 26 + b']' * 26,
                b'{"a":' * 26 + b'1' + b'}' * 26):
            with self.subTest(data[:30]):
                self.assert_error(self.post(data), 400, 'invalid_json')

    def test_json_but_not_what_is_asked_for(self):
        for data in (
                b'null', b'1', b'"x"', b'[]', b'true', b'{}', b'{"a": 1}',
                b'[' * 25 + b']' * 25, b'{"name": null}',
                b'{"name": "a", "properties": []}',
                b'{"name": 1' + b'0' * 300 + b', "properties": {}}',
                b'{"name": "a", "properties": {"memory": '
                b'{"capacity_mib": 1' + b'0' * 300 + b'}}}',
                b'{"name": "a", "properties": {"memory": '
                b'{"capacity_mib": true}}}',
                b'{"name": "a\\n", "properties": {"memory": {"type": "a"}}}',
                b'{"name": {}, "properties": {}}'):
            with self.subTest(data[:50]):
                response = self.post(data)
                self.assertEqual(400, response.status, response.body)
                self.assertEqual('invalid_request', response.error['code'])

    def test_escaped_backslash_is_no_nul(self):
        self.assertEqual(201, self.post(
            b'{"name": "a\\\\u0000", "properties": {"memory": '
            b'{"type": "x"}}}').status)

    def test_content_types(self):
        for kind in ('', 'text/plain', 'application/x-www-form-urlencoded',
                     'multipart/form-data; boundary=x', 'application/xml',
                     'application/json; charset=latin-1', ';', 'json',
                     'application/merge-patch+json', 'application/jsonx'):
            with self.subTest(kind):
                self.assert_error(self.post(b'{}', kind), 415,
                                  'unsupported_media_type')
        for kind in ('application/json; charset=utf-8', 'Application/JSON',
                     'application/json;charset="UTF-8"'):
            self.assert_error(self.post(b'{}', kind), 400,
                              'invalid_request', 'name')

    def test_merge_patch_is_for_patch(self):
        response = self.client.patch(
            '/v1/flavors/x', {'name': 'a'},
            content_type='application/merge-patch+json')
        self.assert_error(response, 404, 'not_found')
        response = self.client.post(
            '/v1/flavors', {'name': 'a'},
            content_type='application/merge-patch+json')
        self.assert_error(response, 415, 'unsupported_media_type')
        self.assertEqual('application/json', response.headers['accept'])
        response = self.client.patch('/v1/flavors/x', {'name': 'a'},
                                     content_type='text/plain')
        self.assert_error(response, 415, 'unsupported_media_type')
        self.assertEqual(
            'application/json, application/merge-patch+json, '
            'application/json-patch+json', response.headers['accept-patch'])

    def test_too_large(self):
        class Endless(io.RawIOBase):
            taken = 0

            def read(self, size=-1):
                self.taken += size
                return b' ' * size

        stream = Endless()
        response = self.client.post('/v1/flavors', environ={
            'wsgi.input': stream, 'CONTENT_LENGTH': str(1 << 40)})
        self.assert_error(response, 413, 'body_too_large')
        self.assertEqual(0, stream.taken)
        # Without a length, and whatever the type says.
        response = self.client.post('/v1/flavors', environ={
            'wsgi.input': stream, 'HTTP_TRANSFER_ENCODING': 'chunked',
            'CONTENT_TYPE': 'text/plain'})
        self.assert_error(response, 413, 'body_too_large')
        self.assertLessEqual(stream.taken, (1 << 20) + 1)

    def test_largest(self):
        client = base.Client(self.make_app(max_body_bytes=2048))
        for size, status in ((2048, 201), (2049, 413)):
            data = (b'{"name": "a", "properties": {"memory": {"type": "x"}}}')
            response = client.post(
                '/v1/flavors', data=data + b' ' * (size - len(data)),
                content_type=JSON)
            self.assertEqual(status, response.status)

    def test_lengths(self):
        for length in ('-1', 'x', '1e3', '١', ' 1', '9' * 30):
            with self.subTest(length):
                self.assert_error(self.client.post('/v1/flavors', environ={
                    'CONTENT_LENGTH': length}), 400, 'invalid_request')
        self.assert_error(self.post(b'{}', environ={'CONTENT_LENGTH': '9'}),
                          400, 'invalid_request')

    def test_body_that_does_not_arrive_whole(self):
        class Broken(io.RawIOBase):
            def __init__(self, error):
                self.error = error

            def read(self, size=-1):
                raise self.error

        for error, status, code in (
                # Of a chunk's size, of a client that hung up.
                (ValueError("b'zz' is no number"), 400, 'invalid_request'),
                (ConnectionResetError(104, 'reset'), 400, 'invalid_request'),
                (EOFError(), 400, 'invalid_request'),
                (TimeoutError(), 408, 'request_timeout'),
                (MemoryError(), 503, 'service_unavailable')):
            response = self.client.post('/v1/devices/sync', environ={
                'wsgi.input': Broken(error),
                'HTTP_TRANSFER_ENCODING': 'chunked'})
            self.assert_error(response, status, code)
        self.assertEqual([], self.rung)

    def test_transfer_encodings(self):
        for coding in ('gzip, chunked', 'identity', 'chunked, chunked'):
            self.assert_error(self.client.post('/v1/devices/sync', environ={
                'HTTP_TRANSFER_ENCODING': coding}), 400, 'invalid_request')
        self.assertEqual(202, self.client.post('/v1/devices/sync', environ={
            'HTTP_TRANSFER_ENCODING': 'Chunked'}).status)

    def test_missing_body(self):
        self.assert_error(self.client.post('/v1/flavors'), 400,
                          'invalid_request')

    def test_body_where_none_is_taken(self):
        self.assert_error(self.client.delete('/v1/flavors/x', json={'a': 1}),
                          400, 'invalid_request')
        self.assert_error(self.client.post(
            '/v1/pod_managers/x/sync', {}), 404, 'not_found')

    def test_wide_bodies_are_answered_in_time(self):
        for data in (b'[' + b'[],' * 300_000 + b'[]]',
                     b'{"a":"' + b'\\"' * 500_000 + b'"}',
                     b'{' + b','.join(b'"%d":0' % n for n in range(90_000))
                     + b'}'):
            self.assert_error(
                self.post(data), 400, 'invalid_request',
                'a' if data[1:4] == b'"a"' else
                '0' if data[:1] == b'{' else None)
