# SPDX-License-Identifier: Apache-2.0
"""What a load balancer learns from a real process."""

import sqlalchemy as sa
import testtools

from valence.tests.functional import backends, canary
from valence.tests.functional.processes import Client, Deployment, wait_for


class Gate(canary.Recorder):
    """A relay that can be shut: nothing answers, or nobody listens."""

    def shut(self):
        self._close()


class Healthcheck(testtools.TestCase):

    def ask(self, client, method='GET', **headers):
        # Nobody's credentials.
        return Client(client.url).request(method, '/healthcheck',
                                          headers=headers)

    def gate(self, url):
        """A relay in front of a service, and the URL through it."""
        url = sa.engine.make_url(url)
        gate = self.useFixture(Gate(url.host, url.port))
        return gate, url.set(host='127.0.0.1', port=gate.port
                             ).render_as_string(hide_password=False)

    def test_database_and_broker(self):
        backends.require(self, 'rabbitmq')
        vhost = self.useFixture(backends.TemporaryVhost())
        broker, transport_url = self.gate(vhost.url)
        deployment = self.useFixture(Deployment(
            self, 'mysql', transport_url=transport_url))
        database, url = self.gate(deployment.database.url)
        client = deployment.start_api(deployment.write_config(
            'gated.conf', database={'connection': url}, healthcheck={
                'detailed': True, 'backends': 'disable_by_file',
                'disable_by_file_path': f'{deployment.directory}/drain'}))

        # Who takes seconds to answer counts as away.
        answer = wait_for('both are there', lambda: (
            answer := self.ask(client)).text.startswith(
                'database: OK\nbroker: OK\n') and answer)
        self.assertEqual(200, answer.status_code)
        # The address of a stranger is worth no details, whatever is set.
        for accept in ('application/json', 'text/html'):
            answer = self.ask(client, Accept=accept)
            self.assertTrue(answer.headers['content-type'].startswith(accept))
            for word in ('ython', 'thread', 'ost', deployment.directory):
                self.assertNotIn(word, answer.text)
        answer = wait_for('HEAD is answered', lambda: (
            answer := self.ask(client, 'HEAD')).ok and answer)
        self.assertEqual((200, ''), (answer.status_code, answer.text))
        self.assertNotEqual('0', answer.headers['content-length'])

        # Without the broker all works, later.
        broker.shut()
        wait_for('the broker is away, and that is no failure', lambda: (
            'broker: away' in (answer := self.ask(client)).text
            and answer.status_code == 200))

        # An operator takes it out of service.
        drain = f'{deployment.directory}/drain'
        with open(drain, 'w'):
            self.assertEqual(503, self.ask(client).status_code)

        database.shut()
        wait_for('the database is away', lambda: (
            'database: away' in self.ask(client).text))
        answer = self.ask(client)
        self.assertEqual(503, answer.status_code)
        self.assertIn('x-openstack-request-id', answer.headers)
        for word in ('Error', url, 'mysql', str(database.port)):
            self.assertNotIn(word, answer.text)
