# SPDX-License-Identifier: Apache-2.0
"""What is true after users were busy while something broke?

:class:`Load` has users who compose, power and release nodes without a pause
and note every answer. Afterwards nothing may be lost and nothing done twice,
by the hardware and the simulator's ledger, never by Valence's own opinion.
"""

import collections
import random
import threading
import time

import requests
import testtools
from testtools.content import text_content

from valence.tests.functional.processes import (
    PATIENCE,
    Client,
    Simulator,
    wait_for,
)

#: A pod with room for the users, quick but not at once.
POD = ('--zones', '1', '--compute', '12', '--nvme', '24', '--gpu', '0',
       '--nic', '0', '--latency', '0.01', '--power-delay', '0')
PROPERTIES = {'processor': {'total_cores': 1},
              'pci_device': {'type': ['nvme']}}
#: Seconds that a conductor owns an operation. With less, a slow machine loses
#: it again and again between acquiring it and the call to the hardware.
LEASE = 10
#: After these a user asks again, and their codes.
UNAVAILABLE = {503: 'service_unavailable', 507: 'insufficient_storage'}
TERMINAL = ('succeeded', 'failed', 'cancelled')


class User(threading.Thread):
    """Makes nodes, turns some on, and deletes most, others only later."""

    def __init__(self, url: str, name: str, stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.client = Client(url)
        self.stop = stop
        self.random = random.Random(name)
        #: uuid of the operation and when it was accepted, of each 202.
        self.accepted: dict[str, float] = {}
        self.answers: collections.Counter[int] = collections.Counter()
        self.broken: list[str] = []
        #: Nodes that were not deleted.
        self.kept: list[str] = []
        self._keys = 0

    def run(self) -> None:
        count = 0
        try:
            while not self.stop.is_set():
                count += 1
                self._life(f'{self.name}-{count}')
        except Exception as error:
            self.broken.append(f'{self.name}: {error!r}')

    def _life(self, node: str) -> None:
        if not self.ask('POST', '/v1/nodes', {
                'name': node, 'properties': PROPERTIES}, ended=True):
            # However long this goes on, what is kept does not fill the pod.
            self.kept = [one for one in self.kept if not self.ask(
                'DELETE', f'/v1/nodes/{one}', ended=True)]
            self.stop.wait(0.1)
            return
        if self.random.random() < 0.4:
            self.ask('POST', f'/v1/nodes/{node}/action',
                     {'Reset': {'Type': 'On'}}, ended=True)
        if self.random.random() < 0.9:
            self.ask('DELETE', f'/v1/nodes/{node}',
                     ended=self.random.random() < 0.5)
        else:
            self.kept.append(node)

    def ask(self, method: str, path: str, body: object = None,
            ended: bool = False) -> bool:
        """Ask until there is an answer; whether that is a 202.

        :param ended: wait for the operation to end
        """
        self._keys += 1
        key = {'Idempotency-Key': f'{self.name} {self._keys}'}
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self.client.request(method, path, body, headers=key)
            self.answers[answer.status_code] += 1
            if answer.status_code not in UNAVAILABLE:
                break
            self._check_unavailable(answer)
            if time.monotonic() > deadline:
                raise AssertionError(f'{method} {path}: {answer.text}')
            time.sleep(0.1)
        if answer.status_code not in (202, 404, 409):
            self.broken.append(
                f'{method} {path}: {answer.status_code} {answer.text}')
        if answer.status_code != 202:
            return False
        uuid = answer.json()['operation']['uuid']
        self.accepted.setdefault(uuid, time.monotonic())
        if ended:
            wait_for(f'{uuid} ends', lambda: self._over(uuid),
                     interval=0.1)
        return True

    def _over(self, uuid: str) -> bool:
        answer = self.client.request('GET', f'/v1/operations/{uuid}')
        self.answers[answer.status_code] += 1
        if answer.status_code == 503:
            self._check_unavailable(answer)
            time.sleep(0.1)
            return False
        answer.raise_for_status()
        return answer.json()['state'] in TERMINAL

    def _check_unavailable(self, answer: requests.Response) -> None:
        status = answer.status_code
        if (answer.json()['errors'][0]['code'] != UNAVAILABLE[status]
                or status == 503
                and int(answer.headers.get('Retry-After', 0)) < 1):
            self.broken.append(f'{status} without words: {answer.text}')


class Load:
    """Users at work from the ``with`` on until its end."""

    def __init__(self, test: testtools.TestCase, client: Client,
                 pod: Simulator, seed: object, users: int = 4) -> None:
        self._test, self._client, self._pod = test, client, pod
        self._stop = threading.Event()
        self.users = [User(client.url, f's{seed}u{number}', self._stop)
                      for number in range(users)]

    def __enter__(self) -> 'Load':
        for user in self.users:
            user.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for user in self.users:
            user.join(2 * PATIENCE)

    @property
    def accepted(self) -> int:
        return sum(len(user.accepted) for user in self.users)

    def wait_for(self, more: int) -> None:
        """Until so many more requests were accepted."""
        enough = self.accepted + more
        wait_for(f'{more} more requests are accepted',
                 lambda: self.accepted >= enough)

    def check(self, *states: str) -> None:
        """Nothing was lost, nothing was done twice.

        :param states: how operations may have ended, by default any way
        """
        test = self._test
        answers = sum((user.answers for user in self.users),
                      collections.Counter())
        test.addDetail('load', text_content(
            f'{self.accepted} requests accepted; answers: '
            f'{dict(sorted(answers.items()))}'))
        test.assertEqual([], [words for user in self.users
                              for words in user.broken])
        test.assertEqual([], [user.name for user in self.users
                              if user.is_alive()])
        for user in self.users:
            for uuid in user.accepted:
                ended = self._client.operation(uuid)
                test.assertIn(ended['state'], states or TERMINAL, ended)
        # What nobody was told of was perhaps begun, and ends too.
        wait_for('all operations are over', lambda: not any(
            self._client.get(f'/v1/operations?state={state}')['operations']
            for state in ('pending', 'running')))
        test.assertEqual(self._owned(), self._hardware())
        resets = [entry for entry in self._pod.ledger('reset')
                  if entry['phase'] == 'requested'
                  and entry['reset_type'] == 'On']
        # Each node is composed, turned on and released once at most.
        for effects in (self._pod.ledger('compose'), resets,
                        self._pod.ledger('decompose')):
            names = [entry['name'] for entry in effects]
            test.assertNotEqual([], names)
            test.assertEqual(len(set(names)), len(names), effects)
        test.assertEqual([], self._pod.ledger('refused'))

    def _owned(self) -> dict[str, set[str]]:
        """The blocks of each node that has any, as Valence claims them."""
        nodes = (self._client.get(f'/v1/nodes/{node["uuid"]}') for node in
                 self._client.get('/v1/nodes?limit=1000')['nodes'])
        return {f'valence-{node["uuid"]}': {
            device['resource_path'] for device in node['devices']}
            for node in nodes if node['devices']}

    def _hardware(self) -> dict[str, set[str]]:
        """The systems that the pod has, with their blocks."""
        systems = requests.get(
            f'{self._pod.url}/redfish/v1/Systems?$expand=.($levels=1)',
            auth=(self._pod.username, self._pod.password),
            timeout=PATIENCE).json()['Members']
        return {one['Name']: {
            block['@odata.id'] for block in one['Links']['ResourceBlocks']}
            for one in systems}
