# SPDX-License-Identifier: Apache-2.0
"""Would the tests notice if one of Valence's guards were missing?

Each scene puts Valence into the situation that a guard is there for. With it
every promise holds; without it the oracle has to find one that is broken.
"""

import os
import signal
from collections.abc import Callable

import testtools

from valence.simulator.admin_client import AdminClient
from valence.tests.functional import oracle, unguarded
from valence.tests.functional.armed_deployment import ArmedDeployment
from valence.tests.functional.processes import living, wait_for

SMALL = {'processor': {'total_cores': 1}}
DRIVE = {**SMALL, 'pci_device': {'type': ['nvme']}}


class Guards(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.deployment = self.useFixture(ArmedDeployment(
            self, 'postgresql', {'pod': (
                '--zones', '1', '--power-delay', '0', '--attach', 'patch',
                '--admin-port', '0')}, processes=2, wakes=False))
        self.client = self.deployment.client
        self.faults = self.deployment.faults
        self.uuid = self.deployment.uuids['pod']
        self.admin = AdminClient(self.deployment.pods['pod'].admin)
        self.known: set[str] = set()
        #: What was broken before all was quiet.
        self.at_once: set[str] = set()
        self.count = 0

    def test_each_guard_is_missed(self):
        scenes: dict[str, Callable[[], None]] = {
            'epoch check': self.a_paused_owner_wakes_up,
            'intent before call': self.killed_when_the_call_was_answered,
            'read-back': self.a_pod_that_composes_something_else,
            'claim uniqueness': self.two_want_one_drive,
        }
        try:
            for name, scene in scenes.items():
                scene()
                self.assertEqual([], self.news(), f'with the {name}')
            for name, scene in scenes.items():
                self.without(name)
                scene()
                found = self.news()
                oracle.note(self, guard=name, broken=found)
                self.assertNotEqual([], found, f'without the {name}')
        except BaseException:
            self.deployment.say()
            raise

    def without(self, name):
        """Go on with conductors, or a database, that lack a guard."""
        off = name if name in unguarded.GUARDS else ''
        if not off:
            unguarded.without_unique_claims(self.deployment.database.url)
        for process in self.deployment.conductors:
            process.kill()
        before = {one['uuid'] for one in
                  self.client.get('/v1/conductors')['conductors']}
        self.deployment.conductors = [
            self.deployment.start_conductor(off) for _ in range(2)]
        wait_for('both conductors are up', lambda: len({
            one['uuid'] for one in living(self.client)} - before) == 2)

    def news(self):
        """The broken promises that were not broken before."""
        found = (set(self.deployment.violations()) | self.at_once) - (
            self.known)
        self.known |= found
        return sorted(found)

    # Scenes

    def a_paused_owner_wakes_up(self):
        """A conductor sleeps where it has read a node back. Meanwhile the
        node is taken apart and another conductor finds that out.
        """
        before = len(self.faults.fired())
        subject = f'compose@{self.uuid}'
        self.faults.arm('K11', subject, 1, 'stop')
        # Its successor, when it has acquired the operation.
        self.faults.arm('K4', subject, 2, 'stop')
        operation = self.compose(SMALL)
        asleep = wait_for('both sleep', lambda: (
            len(fired := self.faults.fired()[before:]) == 2
            and {entry['point']: entry['pid'] for entry in fired}))
        node = self.client.get(f'/v1/operations/{operation}')['node']
        ledger = self.deployment.pods['pod'].ledger('compose')
        system, = [one['system'] for one in ledger
                   if one['name'] == f'valence-{node}']
        self.admin.change('decompose', system=system)
        os.kill(asleep['K11'], signal.SIGCONT)
        wait_for('it steps back, or ends what is not its own', lambda: any(
            f"{operation} is somebody else's now" in process.log
            for process in self.deployment.conductors) or self.client.get(
                f'/v1/operations/{operation}')['state'] in oracle.ENDED)
        os.kill(asleep['K4'], signal.SIGCONT)
        self.client.operation(operation)

    def killed_when_the_call_was_answered(self):
        """A restart was sent; nobody can see from outside whether it was."""
        self.client.operation(self.compose(SMALL))
        # The passages are those of the steps: look, reset.
        self.faults.arm('K7', f'power@{self.uuid}', 2, 'kill')
        self.act({'Reset': {'Type': 'ForceRestart'}})
        wait_for('the conductor is killed', lambda: not self.faults.armed())

    def a_pod_that_composes_something_else(self):
        """A drive is asked for, and another device is what comes."""
        rule = self.admin.inject(
            'alter', method='POST', path='*/Systems', times=1,
            pattern='nvme-[0-9]+', replacement='gpu-1')
        self.client.operation(self.compose(DRIVE))
        self.admin.wait(rule)
        self.admin.remove(rule)

    def two_want_one_drive(self):
        """Two nodes ask for a drive before either of them has it."""
        for _ in range(2):
            self.client.operation(self.compose(SMALL))
        names = f'n{self.count - 1}', f'n{self.count}'
        drive = self.client.get(
            f'/v1/devices?type=nvme&available=true&pod_manager={self.uuid}'
        )['devices'][0]['uuid']
        pids = [one['pid'] for one in
                self.client.get('/v1/conductors')['conductors']
                if os.path.exists(f'/proc/{one["pid"]}')]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            statuses = [self.client.request(
                'POST', f'/v1/nodes/{name}/action',
                {'attach': {'resource_id': drive}}).status_code
                for name in names]
            self.at_once |= set(
                oracle.claimed_twice(oracle.nodes(self.client)))
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        self.assertEqual(202, statuses[0])
        self.assertIn(statuses[1], (202, 409))

    def compose(self, properties):
        """The operation that makes the next node."""
        self.count += 1
        return self.client.post('/v1/nodes', {
            'name': f'n{self.count}', 'properties': properties,
        })['operation']['uuid']

    def act(self, body):
        self.client.post(f'/v1/nodes/n{self.count}/action', body)
