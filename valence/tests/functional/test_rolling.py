# SPDX-License-Identifier: Apache-2.0
"""Conductors are replaced while users are busy.

One after the other by SIGTERM, as in an upgrade: no operation fails. And by
SIGKILL: another one takes over when the lease is over, and not before.
"""

import os
import signal

import testtools

from valence.tests.functional.load import POD, PROPERTIES, Load
from valence.tests.functional.processes import (
    Deployment,
    Simulator,
    living,
    parent,
    stopped,
    wait_for,
)


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
                process.signal(signal.SIGTERM)
                self.assertEqual(0, process.wait())
                self.deployment.start_conductors(self.client, 1)
            load.wait_for(6)
        load.check('succeeded')

    def test_takeover(self):
        # For as long as a test waits, nothing but the lease says that a
        # conductor is dead.
        self.deploy(conductors=1, conductor={
            'poll_interval': 0.5, 'alive_timeout': 3600})
        self.conductors[0].kill()
        # It stops itself where it owns an operation.
        owner, = self.deployment.start_conductors(
            self.client, 1, VALENCE_FAULT='K7:1:stop')
        other, = self.deployment.start_conductors(self.client, 1)
        worker = next(one['pid'] for one in living(self.client)
                      if parent(one['pid']) == other.pid)
        os.kill(worker, signal.SIGSTOP)
        composed = self.client.post('/v1/nodes', {
            'name': 'n1', 'properties': PROPERTIES})
        wait_for('it is in the midst of it',
                 lambda: len(stopped(self.client)) == 2)
        owner.kill()
        path = f'/v1/operations/{composed["operation"]["uuid"]}'
        before = self.client.get(path)
        os.kill(worker, signal.SIGCONT)
        ended = self.client.done(composed)
        self.assertGreater(ended['attempts'], before['attempts'])
        # All of them are the database's times.
        self.assertGreaterEqual(ended['acquired_at'],
                                before['lease_expires_at'])
        self.assertEqual(1, len(self.pod.ledger('compose')))
