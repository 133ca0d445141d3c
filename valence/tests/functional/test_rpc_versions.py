# SPDX-License-Identifier: Apache-2.0
"""Services of two releases work side by side during an upgrade.

The next release is this one with a newer RPC interface: its message says
more, where the other side may be told so. Conductors poll so seldom here
that only a message that was understood gets an operation done in time.
"""

import os
import pathlib

import testtools

from valence.tests.functional.load import PROPERTIES
from valence.tests.functional.processes import Deployment, Simulator, wait_for

#: What each process of the next release imports before all else.
NEXT_RELEASE = '''
import valence.cmd
from valence.conductor import rpcapi

rpcapi.VERSION = '1.1'
from valence.conductor import manager


def cast(client, context, uuid):
    if client.can_send_version('1.1'):
        client.prepare(version='1.1').cast(
            context, 'run_operation', operation_uuid=uuid, urgent=True)
    else:
        client.prepare(version='1.0').cast(
            context, 'run_operation', operation_uuid=uuid)


def run_operation(self, context, operation_uuid, urgent=False):
    self._ring(operation_uuid)


rpcapi.Doorbell._cast = staticmethod(cast)
manager.ConductorManager.run_operation = run_operation
'''
#: Whoever loses a lease would have to be found by a poll.
SELDOM = {'poll_interval': 300, 'alive_timeout': 3600, 'lease': 300}

class Versions(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.deployment = self.useFixture(Deployment(
            self, 'mysql', conductor=SELDOM))
        path = pathlib.Path(self.deployment.directory, 'next')
        path.mkdir()
        (path / 'sitecustomize.py').write_text(NEXT_RELEASE)
        self.next = {'PYTHONPATH': os.pathsep.join(
            [str(path), os.environ.get('PYTHONPATH', '')])}
        self.pod = self.useFixture(Simulator())

    def conductor(self, config=None, **environment):
        process = self.deployment.start('valence-conductor', config,
                                        **environment)
        wait_for('it listens', lambda: 'listening for RPC' in process.log)
        return process

    def compose(self, client, name):
        client.done(client.post('/v1/nodes', {
            'name': name, 'properties': PROPERTIES}))

    def test_old_conductor_and_new_api_that_is_pinned(self):
        client = self.deployment.start_api(self.deployment.write_config(
            'pinned.conf', upgrade_levels={'conductor': '1.0'}), **self.next)
        self.conductor()
        client.register(self.pod)
        self.compose(client, 'n1')
        # The conductors are upgraded one by one; the pin stays.
        self.conductor(**self.next)
        for number in range(6):
            self.compose(client, f'm{number}')

    def test_new_conductor_and_old_api(self):
        client = self.deployment.start_api()
        self.conductor(**self.next)
        client.register(self.pod)
        self.compose(client, 'n1')
        self.deployment.api.kill()
        client = self.deployment.start_api(**self.next)
        self.compose(client, 'n2')

    def test_what_is_not_understood_changes_nothing(self):
        client = self.deployment.start_api(**self.next)
        conductor = self.conductor(self.deployment.write_config(
            'polls.conf', conductor={'poll_interval': 1}))
        client.register(self.pod)
        self.compose(client, 'n1')
        wait_for('the message is refused', lambda: (
            'UnsupportedVersion' in conductor.log))
        self.assertEqual(1, len(self.pod.ledger('compose')))

    def test_a_message_above_the_pin_is_not_sent(self):
        """The pin is what keeps it back, not the goodwill of the sender."""
        client = self.deployment.start_api(self.deployment.write_config(
            'low.conf', upgrade_levels={'conductor': '0.9'}))
        self.conductor(self.deployment.write_config(
            'polls.conf', conductor={'poll_interval': 1}))
        client.register(self.pod)
        wait_for('the message is kept back', lambda: (
            'cannot ring for operation' in self.deployment.api.log))
