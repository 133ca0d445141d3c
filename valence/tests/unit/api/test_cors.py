# SPDX-License-Identifier: Apache-2.0
"""May a script of another origin use the API from a browser?"""

import pathlib

from oslo_config import cfg

from valence.api import service
from valence.conf import opts
from valence.tests.unit.api import base

_OURS, _FOREIGN = 'https://ui.example', 'https://evil.example'


class CORSTest(base.ApiTest):

    def configured(self, text: str) -> base.Client:
        """A client of the API with ``text`` as the configuration."""
        path = pathlib.Path(self.directory, 'cors.conf')
        path.write_text(text)
        conf = cfg.ConfigOpts()
        opts.register(conf)
        conf(['--config-file', str(path)])
        return base.Client(self.make_app(
            auth_strategy='noauth', cors=service.settings(conf).cors))

    def allowing(self) -> base.Client:
        return self.configured(f'[cors]\nallowed_origin = {_OURS}')

    def preflight(self, client: base.Client, origin: str, method: str,
                  *names: str) -> dict[str, str]:
        return self.controls(client.request(
            'OPTIONS', '/v1/nodes', origin=origin,
            access_control_request_method=method,
            access_control_request_headers=', '.join(names)))

    def controls(self, response: base.Response) -> dict[str, str]:
        """What an answer tells a browser, in lower case."""
        return {name.removeprefix('access-control-'): value.lower()
                for name, value in response.headers.items()
                if name.startswith('access-control-')}

    def test_nobody_may_by_default(self):
        client = self.configured('')
        self.assertEqual({}, self.preflight(client, _OURS, 'GET'))
        self.assertEqual({}, self.controls(
            client.get('/v1/nodes', origin=_OURS)))

    def test_who_is_allowed_may_ask_for_everything(self):
        client = self.allowing()
        ours = {'authorization', 'content-type', 'idempotency-key',
                'if-match', 'if-none-match', 'openstack-api-version',
                'x-auth-token', 'x-openstack-request-id'}
        for method in ('GET', 'POST', 'PUT', 'PATCH', 'DELETE'):
            found = self.preflight(client, _OURS, method, *sorted(ours))
            self.assertEqual(
                (_OURS, method.lower(), ours),
                (found['allow-origin'], found['allow-methods'],
                 set(found['allow-headers'].split(','))))
        self.assertEqual({}, self.preflight(client, _OURS, 'GET', 'X-Roles'))

    def test_who_is_foreign_may_nothing(self):
        client = self.allowing()
        for origin in (_FOREIGN, f'{_OURS}.example', _OURS.upper(),
                       'http://ui.example', 'null'):
            self.assertEqual({}, self.preflight(client, origin, 'GET'))
            self.assertEqual({}, self.controls(
                client.get('/v1/nodes', origin=origin)))

    def test_what_a_script_sees_of_answers_and_of_errors(self):
        client = self.allowing()
        for path, status in (('/v1/nodes', 200), ('/v1/nodes/none', 404),
                             ('/v1/nodes?x=y', 400)):
            response = client.get(path, origin=_OURS)
            self.assertEqual(status, response.status)
            found = self.controls(response)
            self.assertEqual(_OURS, found['allow-origin'])
            self.assertEqual(
                {'etag', 'location', 'openstack-api-version', 'retry-after',
                 'x-openstack-request-id'},
                set(found['expose-headers'].split(',')))
            # A cache has to tell the origins apart, and the versions.
            self.assertEqual(
                {'openstack-api-version', 'origin'},
                set(response.headers['vary'].lower().split(',')))
            self.assertTrue(response.headers['x-openstack-request-id'])

    def test_who_is_not_a_browser_sees_nothing_of_it(self):
        self.assertEqual({}, self.controls(self.allowing().get('/v1/nodes')))
