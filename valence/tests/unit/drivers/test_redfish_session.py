# SPDX-License-Identifier: Apache-2.0
"""How does the Redfish driver log in, and out?"""

import base64
import logging
import threading

import fixtures
import testtools

from valence.drivers import base
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.pod import ROOT, SYSTEMS, PodMixin, link
from valence.tests.unit.drivers.server import PASSWORD, USERNAME, reply

SESSIONS = ROOT + '/SessionService/Sessions'
BASIC = 'Basic ' + base64.b64encode(
    f'{USERNAME}:{PASSWORD}'.encode()).decode()


class Sessions(testtools.TestCase, PodMixin):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.start(credentials=True)
        self.change(ROOT, Links={'Sessions': link(SESSIONS)})
        self.tokens = set()
        self.pod.replies['POST', SESSIONS] = self.log_in
        self.server.handler = self.guard
        self.addCleanup(self.check_log)

    def check_log(self):
        for secret in (PASSWORD, BASIC.split()[1], 'secret-token'):
            self.assertNotIn(secret, self.log.output)

    def log_in(self, request):
        if request.json != {'UserName': USERNAME, 'Password': PASSWORD}:
            return reply(401, server.error(f'{PASSWORD} is wrong'))
        token = f'secret-token-{len(self.server.paths("POST"))}'
        self.tokens.add(token)
        return reply(201, {}, {'X-Auth-Token': token,
                               'Location': SESSIONS + '/1'})

    def guard(self, request):
        """Only the root and the login are open to everybody."""
        known = (request.headers.get('x-auth-token') in self.tokens
                 or request.headers.get('authorization') == BASIC)
        if known or request.path in (ROOT + '/', SESSIONS):
            return self.pod(request)
        return reply(401, server.error(f'who is {PASSWORD}?'))

    def sent(self, name):
        return [one.headers.get(name) for one in self.server.requests
                if one.path == SYSTEMS]

    def test_a_session_is_made_once_and_ended(self):
        self.pod.replies['DELETE', SESSIONS + '/1'] = reply(204)
        threads = [threading.Thread(target=self.driver.find, args=('x',))
                   for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([SESSIONS], self.server.paths('POST'))
        self.assertEqual(8, len(self.sent('x-auth-token')))
        self.assertEqual({None}, set(self.sent('authorization')))
        self.driver.close()
        self.assertEqual([SESSIONS + '/1'], self.server.paths('DELETE'))

    def test_the_password_goes_nowhere_but_to_the_login(self):
        self.driver.identify()
        self.driver.discover()
        for request in self.server.requests:
            if request.path != SESSIONS:
                self.assertNotIn(PASSWORD.encode(), request.body)
                self.assertNotIn('authorization', request.headers)

    def test_an_expired_session_is_renewed(self):
        self.driver.identify()
        self.tokens.clear()
        self.driver.find('x')
        self.assertEqual(2, len(self.server.paths('POST')))

    def test_an_expired_session_is_renewed_for_a_mutation_too(self):
        self.driver.identify()
        self.pod.replies['POST', SYSTEMS] = reply(
            201, {}, {'Location': SYSTEMS + '/new'})
        before = self.pod

        def expire_then_guard(request):
            if request.method == 'POST' and request.path == SYSTEMS:
                self.server.handler = self.guard
                self.tokens.clear()
            return self.guard(request)

        self.server.handler = expire_then_guard
        self.assertIs(before, self.pod)
        done = self.driver.compose(base.Spec('t', 'n'))
        self.assertEqual(SYSTEMS + '/new', done.handle.resource_path)
        self.assertEqual(2, self.server.paths('POST').count(SYSTEMS))
        self.assertEqual(2, self.server.paths('POST').count(SESSIONS))

    def test_a_session_that_expires_in_the_middle_of_a_scan(self):
        plain = self.driver.discover()
        count = 0

        def forgetful(request):
            nonlocal count
            count += 1
            if count == 15:
                self.tokens.clear()
            return self.guard(request)

        self.server.handler = forgetful
        again = self.driver.discover()
        self.assertEqual(plain, again)
        self.assertTrue(again.complete)
        self.assertEqual(2, len(self.server.paths('POST')))

    def test_a_session_that_never_works_is_unauthorized(self):
        self.pod.replies['POST', SESSIONS] = reply(
            201, {}, {'X-Auth-Token': 'no-good', 'Location': SESSIONS + '/1'})
        error = self.assertRaises(base.Unauthorized, self.driver.identify)
        self.assertNotIn(PASSWORD, str(error))
        self.assertEqual(2, len(self.server.paths('POST')))

    def test_a_wrong_password_is_tried_once(self):
        """Not once per thread: that would lock the account."""
        self.pod.replies['POST', SESSIONS] = reply(401, server.error(
            f'{PASSWORD} is wrong'))
        errors = []

        def search():
            try:
                self.driver.find('x')
            except base.DriverError as error:
                errors.append(error)

        threads = [threading.Thread(target=search) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([base.Unauthorized] * 8, [*map(type, errors)])
        self.assertNotIn(PASSWORD, str(errors))
        self.assertEqual(1, len(self.server.paths('POST')))

    def test_no_session_service(self):
        self.change(ROOT, Links={})
        self.driver.identify()
        self.assertEqual({BASIC}, set(self.sent('authorization')))
        self.assertEqual([], self.server.paths('POST'))

    def test_a_session_service_that_does_nothing(self):
        for status in (404, 405, 501):
            self.pod.replies['POST', SESSIONS] = reply(status)
            self.driver.identify()
            self.driver.close()
        self.assertEqual({BASIC}, set(self.sent('authorization')))

    def test_a_root_that_is_closed_to_strangers(self):
        def closed(request):
            if request.headers.get('authorization') == BASIC:
                return self.pod(request)
            return reply(401)

        self.server.handler = closed
        self.change(ROOT, Links={})
        self.assertEqual('Contoso Pod', self.driver.identify().product)

    def test_sessions_elsewhere(self):
        other = self.useFixture(server.Server(lambda _: reply(200, {})))
        self.change(ROOT, Links={'Sessions': link(other.url + SESSIONS)})
        self.assertRaises(base.BadAnswer, self.driver.find, 'x')
        self.assertEqual([], other.requests)

    def test_a_token_that_cannot_be_sent(self):
        self.pod.replies['POST', SESSIONS] = reply(
            201, {}, {'X-Auth-Token': 'caf\u00e9'})
        self.assertRaises(base.BadAnswer, self.driver.find, 'x')

    def test_a_lost_login_is_no_ambiguity(self):
        self.pod.replies['POST', SESSIONS] = lambda _: server.reset
        self.assertRaises(base.Unreachable, self.driver.find, 'x')
        self.assertEqual(1, len(self.server.paths('POST')))

    def test_nothing_printed_tells_a_secret(self):
        self.driver.identify()
        for thing in (self.driver, self.driver.__dict__,
                      self.driver.endpoint, self.server.requests and
                      self.driver._client.get(SYSTEMS)):
            for secret in (PASSWORD, 'secret-token'):
                self.assertNotIn(secret, repr(thing))

    def test_what_the_operator_chose(self):
        for mode, posts in (('basic', 0), ('session', 1)):
            self.start(credentials=True,
                       properties={'authentication': mode})
            self.change(ROOT, Links={'Sessions': link(SESSIONS)})
            self.pod.replies['POST', SESSIONS] = self.log_in
            self.server.handler = self.guard
            self.driver.identify()
            self.assertEqual(posts, len(self.server.paths('POST')))

    def test_a_session_is_demanded_but_there_is_none(self):
        self.start(credentials=True,
                   properties={'authentication': 'session'})
        self.assertRaises(base.Misconfigured, self.driver.identify)

    def test_close_does_not_raise(self):
        self.driver.identify()
        self.server.handler = lambda _: server.reset
        self.driver.close()
        self.driver.close()
