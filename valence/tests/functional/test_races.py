# SPDX-License-Identifier: Apache-2.0
"""Many users want what there is too little of, at the same moment.

Who wins gets it to himself, by the hardware and its ledger; who loses is
told so at once, and why. VALENCE_TEST_RACES makes it longer.
"""

import collections
import itertools
import os
import threading
import time

import testscenarios
import testtools

from valence.tests.functional import oracle
from valence.tests.functional.processes import Client, Deployment, Simulator

CLIENTS, RESOURCES = 32, 8
ATTEMPTS = int(os.environ.get('VALENCE_TEST_RACES', '1000'))
ONE = {'processor': {'total_cores': 1}}
#: What a loser may be told.
LOST = {'no_valid_resources'}


class User(threading.Thread):
    """Composes, and gives back what it got, until enough was tried.

    :param tries: the numbers of all users' attempts
    :param enough: whether so many attempts are enough
    """

    def __init__(self, url, number, tries, enough):
        super().__init__()
        self.client = Client(url)
        self.number, self.tries, self.enough = number, tries, enough
        self.accepted: list[str] = []
        self.told: collections.Counter[tuple[int, str]] = (
            collections.Counter())
        self.reasons: set[str] = set()
        self.failed: BaseException | None = None

    def run(self):
        try:
            while not self.enough(attempt := next(self.tries)):
                self.compose(f'u{self.number}-{attempt}')
        except BaseException as error:
            self.failed = error

    def compose(self, name):
        answer = self.client.request('POST', '/v1/nodes', {
            'name': name, 'properties': ONE})
        body = answer.json()
        if answer.status_code != 202:
            error, = body['errors']
            self.told[answer.status_code, error.get('code', '')] += 1
            self.reasons.add(error['detail'])
            return
        self.told[202, ''] += 1
        self.end(body)
        answer = self.client.request('DELETE', f'/v1/nodes/{name}')
        assert answer.status_code == 202, answer.text
        self.end(answer.json())

    def end(self, body):
        uuid = body['operation']['uuid']
        self.accepted.append(uuid)
        ended = self.client.operation(uuid)
        assert ended['state'] == 'succeeded', ended


class Races(testscenarios.WithScenarios, testtools.TestCase):

    scenarios = [
        ('postgresql', {'database': 'postgresql', 'attempts': ATTEMPTS}),
        ('standalone', {'database': 'sqlite', 'attempts': ATTEMPTS // 5}),
    ]

    def test_nothing_is_owned_twice(self):
        alone = self.database == 'sqlite'
        deployment = self.useFixture(Deployment(
            self, self.database, broker=not alone, api={'workers': 1},
            DEFAULT={'debug': False},
            conductor={'threads_per_pod': 8, 'lease': 20}))
        pod = self.useFixture(Simulator(
            '--zones', '1', '--power-delay', '0', '--compute',
            str(RESOURCES), '--nvme', '0', '--gpu', '0', '--nic', '0'))
        client = deployment.start_api(
            command='valence-standalone' if alone else 'valence-api')
        if not alone:
            deployment.start_conductors(client, 2)
        uuid = client.register(pod)['uuid']

        users: list[User] = []

        def enough(tried):
            # Who loses is told so sooner than a slow machine composes.
            return (any(user.failed for user in users)
                    or tried >= self.attempts and sum(
                        user.told[202, ''] for user in users) > RESOURCES)

        # next() on it is atomic.
        tries = itertools.count()
        users += [User(client.url, number, tries, enough)
                  for number in range(CLIENTS)]
        began = time.monotonic()
        for user in users:
            user.start()
        for user in users:
            user.join()
        seconds = time.monotonic() - began
        self.assertEqual([], [user.failed for user in users if user.failed])
        told = sum((user.told for user in users), collections.Counter())
        oracle.note(
            self, database=self.database, clients=CLIENTS,
            resources=RESOURCES, attempts=told.total(),
            composed_and_released=told[202, ''], seconds=round(seconds, 1),
            attempts_per_second=round(told.total() / seconds),
            lost={f'{status} {code}': count for (status, code), count
                  in told.items() if status != 202})
        accepted = [uuid for user in users for uuid in user.accepted]
        try:
            self.assertGreaterEqual(told.total(), self.attempts)
            self.assertGreater(told[202, ''], RESOURCES)
            self.assertEqual(
                set(), {(status, code) for status, code in told
                        if status != 202} - {(409, code) for code in LOST})
            self.assertEqual([], [
                reason for user in users for reason in user.reasons
                if not reason])
            ended = oracle.settle(client, accepted)
            self.assertEqual([], oracle.violations(
                {uuid: pod}, oracle.nodes(client), ended))
            self.assertEqual([], list(twice(pod.ledger())))
        except BaseException:
            oracle.attach_details(self, client, [pod])
            raise


def twice(ledger):
    """The blocks that were given away while they belonged to somebody."""
    owners: dict[str, str] = {}
    for entry in ledger:
        for block in entry.get('blocks', ()):
            if entry['effect'] == 'compose':
                if block in owners:
                    yield block, owners[block], entry['name']
                owners[block] = entry['name']
            elif entry['effect'] == 'decompose':
                owners.pop(block, None)
