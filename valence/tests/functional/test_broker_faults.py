# SPDX-License-Identifier: Apache-2.0
"""The broker goes and comes back while users are busy.

It is a doorbell: what it loses costs a poll interval, and what it delivers
twice costs nothing.
"""

import random

import sqlalchemy as sa
import testtools
from testtools.content import text_content

from valence.tests.functional import backends
from valence.tests.functional.link_proxy import LinkProxy
from valence.tests.functional.load import POD, Load
from valence.tests.functional.processes import Deployment, Simulator, wait_for
from valence.tests.functional.servers import RabbitMQ


class _Broker(testtools.TestCase):

    def deploy(self, transport_url, seed):
        self.deployment = self.useFixture(Deployment(
            self, 'mysql', transport_url=transport_url,
            DEFAULT={'default_log_levels':
                     'oslo_messaging._drivers.amqpdriver=DEBUG'},
            oslo_messaging_rabbit={'kombu_reconnect_delay': 0.1}))
        self.pod = self.useFixture(Simulator(*POD))
        self.client = self.deployment.start_api()
        self.conductors = self.deployment.start_conductors(self.client, 2)
        self.client.register(self.pod)
        return Load(self, self.client, self.pod, seed)

    def heard(self):
        """How many messages the conductors took."""
        return sum(process.log.count('received message')
                   for process in self.conductors)


class StoppedAndStarted(_Broker):

    def test_nothing_is_lost(self):
        broker = self.useFixture(RabbitMQ(self))
        with self.deploy(broker.url, 1) as load:
            for _ in range(2):
                load.wait_for(8)
                broker.ctl('stop_app')
                load.wait_for(4)
                broker.ctl('start_app')
            before = self.heard()
            # It is in use again, and not only the poll.
            wait_for('a conductor hears the broker again',
                     lambda: self.heard() > before)
        load.check('succeeded')


class LinksAreCut(_Broker):
    """Mid-frame, in both directions, and all at once now and then."""

    def test_nothing_is_lost(self):
        seed = random.SystemRandom().randrange(10 ** 6)
        self.addDetail('seed', text_content(str(seed)))
        backends.require(self, 'rabbitmq')
        vhost = self.useFixture(backends.TemporaryVhost())
        url = sa.engine.make_url(vhost.url)
        proxy = self.useFixture(LinkProxy(url.port, seed))
        with self.deploy(url.set(port=proxy.port).render_as_string(
                hide_password=False), seed) as load:
            # A connection is made by some 2 KiB, a message is 1 KiB.
            proxy.budget, proxy.delay = 8192, 0.05
            for number in range(4):
                load.wait_for(8)
                proxy.down = number % 2 == 0
                proxy.cut()
                load.wait_for(2)
                proxy.down = False
            wait_for('a link is cut in the middle', lambda: proxy.cuts)
            proxy.budget = None
            before = self.heard()
            wait_for('a conductor hears the broker again',
                     lambda: self.heard() > before)
        self.addDetail('links', text_content(
            f'{proxy.links} links, {proxy.cuts} cut in the middle'))
        load.check('succeeded')
