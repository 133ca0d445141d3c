# SPDX-License-Identifier: Apache-2.0
"""Users compose, power and release while conductors are killed at random.

Some are paused beyond their lease instead, and woken. Afterwards, when all is
quiet, every promise holds. VALENCE_TEST_CHAOS_SEED draws the same again,
VALENCE_TEST_CHAOS_KILLS makes it longer.
"""

import os
import pathlib
import random
import signal
import threading

import testtools
from testtools.content import text_content

from valence.tests.functional import oracle
from valence.tests.functional.armed_deployment import LEASE, ArmedDeployment
from valence.tests.functional.processes import Client, living, wait_for

KILLS = int(os.environ.get('VALENCE_TEST_CHAOS_KILLS', '8'))
SEED = int(os.environ.get('VALENCE_TEST_CHAOS_SEED',
                          random.SystemRandom().randrange(10 ** 6)))
USERS = 6
#: Of so many victims one is paused and not killed.
_PAUSES = 6


class User(threading.Thread):
    """Makes nodes and mostly deletes them, in no tidy order."""

    def __init__(self, url, number, stop):
        super().__init__()
        self.client = Client(url)
        self.number, self.stop = number, stop
        self.random = random.Random(f'{SEED} {number}')
        self.accepted: list[str] = []
        self.statuses: list[int] = []
        self.failed: BaseException | None = None

    def run(self):
        count = 0
        try:
            while not self.stop.is_set():
                count += 1
                self.use(f'u{self.number}-{count}')
        except BaseException as error:
            self.failed = error

    def use(self, name):
        composed = self.ask('POST', '/v1/nodes', {
            'name': name, 'properties': {
                'processor': {'total_cores': 1},
                'pci_device': {'type': ['nvme']}}})
        if composed is None:
            self.stop.wait(0.2)
            return
        if self.random.random() < 0.5:
            self.client.operation(composed['operation']['uuid'])
        if self.random.random() < 0.4:
            self.ask('POST', f'/v1/nodes/{name}/action',
                     {'Reset': {'Type': 'On'}})
        if self.random.random() < 0.9:
            wait_for(f'{name} is taken back', lambda: self.ask(
                'DELETE', f'/v1/nodes/{name}')
                or self.statuses[-1] == 404, interval=0.1)

    def ask(self, method, path, body=None):
        """What a 202 says, else None."""
        answer = self.client.request(method, path, body)
        self.statuses.append(answer.status_code)
        if answer.status_code != 202:
            return None
        self.accepted.append(answer.json()['operation']['uuid'])
        return answer.json()


class Chaos(testtools.TestCase):

    def test_nothing_is_lost_and_nothing_is_owned_twice(self):
        self.addDetail('seed', text_content(str(SEED)))
        deployment = self.useFixture(ArmedDeployment(self, 'postgresql', {
            'pod': ('--tasks', '--task-delay', '0.2', '--zones', '1',
                    '--compute', '12', '--nvme', '24',
                    '--power-delay', '0.05')}, processes=2))
        client = deployment.client
        stop = threading.Event()
        users = [User(client.url, number, stop) for number in range(USERS)]
        for user in users:
            user.start()
        try:
            try:
                kills, pauses = self.kill(client, random.Random(SEED))
            finally:
                stop.set()
                for user in users:
                    user.join()
            self.assertEqual(
                [], [user.failed for user in users if user.failed])
            client.accepted += [uuid for user in users
                                for uuid in user.accepted]
            ended = deployment.settle()
            found = deployment.broken_promises(ended)
            self.assertEqual([], found, f'seed {SEED}')
            statuses = {status for user in users for status in user.statuses}
            self.assertLessEqual(statuses, {202, 404, 409})
        except BaseException:
            deployment.say(seed=SEED)
            raise
        states = [operation['state'] for operation in ended.values()]
        oracle.note(
            self, seed=SEED, operations=len(ended), kills=kills,
            pauses=pauses, **{state: states.count(state)
                              for state in oracle.ENDED})

    def kill(self, client, choice):
        """Kill a conductor's worker now and then; its master brings another.

        :returns: how many were killed, and how many paused
        """
        kills = pauses = 0
        while kills < KILLS:
            threading.Event().wait(choice.uniform(0.3, 1.7))
            alive = [one['pid'] for one in living(client)
                     if pathlib.Path(f'/proc/{one["pid"]}').exists()]
            if not alive:
                continue
            victim = choice.choice(sorted(alive))
            try:
                if choice.randrange(_PAUSES):
                    os.kill(victim, signal.SIGKILL)
                    kills += 1
                else:
                    os.kill(victim, signal.SIGSTOP)
                    threading.Event().wait(LEASE + 0.7)
                    os.kill(victim, signal.SIGCONT)
                    pauses += 1
            except ProcessLookupError:
                continue
        return kills, pauses
