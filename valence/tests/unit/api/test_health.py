# SPDX-License-Identifier: Apache-2.0
import threading
import time
import unittest

from valence.api import app, health, settings
from valence.common import policy
from valence.tests.unit.api import base


class HealthcheckTest(base.ApiTest):

    def setUp(self):
        super().setUp()
        probes = {'database': health.database_probe(self.database)}
        self.client = base.Client(app.make_app(
            settings.Settings(auth_strategy='noauth'), self.database,
            self.rung.append, vault=self.vault,
            policy=policy.Policy(policy.get_enforcer(self.conf), ttl=0),
            health=lambda inner: health.Healthcheck(
                inner, self.conf, probes)))

    def test_methods(self):
        get = self.client.get('/healthcheck')
        self.assertEqual((200, b'database: OK\nbroker: none needed'),
                         (get.status, get.body))
        head = self.client.request('HEAD', '/healthcheck')
        self.assertEqual((200, b''), (head.status, head.body))
        self.assertEqual(get.headers['content-length'],
                         head.headers['content-length'])
        options = self.client.request('OPTIONS', '/healthcheck')
        self.assertEqual((204, b'', 'GET, HEAD, OPTIONS'), (
            options.status, options.body, options.headers['allow']))
        for method in ('POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'get'):
            answer = self.client.request(method, '/healthcheck')
            self.assert_error(answer, 405, 'method_not_allowed')
            self.assertEqual('GET, HEAD, OPTIONS', answer.headers['allow'])
        # All of them with an id.
        for answer in (get, head, options):
            self.assertIn('x-openstack-request-id', answer.headers)


class ProbeTest(unittest.TestCase):

    def test_what_hangs_is_away_and_asked_once(self):
        release, begun = threading.Event(), []
        self.addCleanup(release.set)

        def look():
            begun.append(1)
            release.wait(30)

        probe = health.Probe('part', look, patience=0.05, keep=60)
        before = time.monotonic()
        self.assertEqual([False] * 5, [probe.answers() for _ in range(5)])
        self.assertLess(time.monotonic() - before, 10)
        self.assertEqual([1], begun)
        release.set()
        # Once it has answered, that is what is said.
        deadline = time.monotonic() + 30
        while not probe.answers() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertTrue(probe.answers())
        self.assertEqual([1], begun)

    def test_an_outcome_is_kept_for_a_while(self):
        looks = []

        def look():
            looks.append(1)
            if len(looks) > 1:
                raise ConnectionError('gone')

        probe = health.Probe('part', look, patience=60, keep=60)
        self.assertEqual([True] * 3, [probe.answers() for _ in range(3)])
        self.assertEqual([1], looks)
        probe = health.Probe('part', look, patience=60, keep=0)
        self.assertFalse(probe.answers())
        self.assertFalse(probe.answers())
        self.assertEqual(3, len(looks))
