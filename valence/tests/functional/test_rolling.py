# SPDX-License-Identifier: Apache-2.0
"""Conductors are replaced while users are busy.

One after the other by SIGTERM, as in an upgrade: no operation fails. And by
SIGKILL: another one takes over within the lease and a poll.
"""

import signal
import time

import testtools

from valence.tests.functional.load import POD, PROPERTIES, Load
from valence.tests.functional.processes import (
    Deployment,
    Simulator,
    living,
    wait_for,
)

#: Seconds beside the lease and the poll until a dead conductor's work goes
#: on; they are the machine's, which may be busy.
LEEWAY = 5.0


class Rolling(testtools.TestCase):

    def deploy(self, *pod, conductors, **options):
        self.deployment = self.useFixture(Deployment(
            self, 'postgresql', **options))
        self.pod = self.useFixture(Simulator(*pod))
        self.client = self.deployment.start_api()
        self.conductors = self.deployment.start_conductors(
            self.client, conductors)
        self.client.register(self.pod)

    def test_restart_of_all_under_load(self):
        # Whatever a conductor leaves undone would show: nobody takes it
        # over within the time that users have here.
        self.deploy(*POD, '--tasks', '--task-delay', '0.2', conductors=2,
                    conductor={'lease': 300, 'poll_interval': 1})
        with Load(self, self.client, self.pod, self.id()) as load:
            for process in list(self.conductors):
                load.wait_for(6)
                before = {one['uuid'] for one in living(self.client)}
                process.signal(signal.SIGTERM)
                self.assertEqual(0, process.wait())
                self.deployment.start('valence-conductor')
                wait_for('its successor is alive', lambda before=before: {
                    one['uuid'] for one in living(self.client)} - before)
            load.wait_for(6)
        load.check('succeeded')

    def test_takeover_in_time(self):
        lease, poll = 3.0, 0.5
        self.deploy('--tasks', '--task-delay', '1', conductors=2,
                    conductor={'lease': lease, 'poll_interval': poll})
        composed = self.client.post('/v1/nodes', {
            'name': 'n1', 'properties': PROPERTIES})
        path = f'/v1/operations/{composed["operation"]["uuid"]}'
        owner = wait_for('a conductor works on it', lambda: (
            self.client.get(path)['conductor']), interval=0.005)
        record, = (one for one in living(self.client)
                   if one['uuid'] == owner)
        attempts = self.client.get(path)['attempts']
        self.conductor_of(record['pid']).kill()
        killed = time.monotonic()
        wait_for('another one goes on', lambda: (
            self.client.get(path)['attempts'] > attempts))
        self.assertLess(time.monotonic() - killed, lease + poll + LEEWAY)
        self.client.done(composed)
        self.assertEqual(1, len(self.pod.ledger('compose')))

    def conductor_of(self, worker):
        """The process whose worker has this pid."""
        with open(f'/proc/{worker}/stat', encoding='ascii') as file:
            parent = int(file.read().rpartition(')')[2].split()[1])
        return next(process for process in self.conductors
                    if process.pid in (worker, parent))
