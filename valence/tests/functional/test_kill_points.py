# SPDX-License-Identifier: Apache-2.0
"""Services are killed, stopped or fail at each named point of each operation.

Every cell of :mod:`valence.tests.functional.matrix` is tried with each of
the seeds in VALENCE_TEST_SEEDS ('0-2' as a default), and those of the slow
kinds if VALENCE_TEST_SLOW_KINDS is set. What happened is read from the
simulator's ledger and from the hardware, never from Valence's opinion of it.
"""

import itertools
import os
import pathlib
import time

import requests
import testscenarios
import testtools

from valence.conductor.operations import KINDS
from valence.simulator.admin_client import AdminClient
from valence.tests.functional import matrix, oracle
from valence.tests.functional.armed_deployment import ArmedDeployment
from valence.tests.functional.processes import (
    Deployment,
    Simulator,
    living,
    wait_for,
)

#: A system is composed out of one zone.
SHAPE = ('--zones', '1', '--power-delay', '0')
ONE = {'processor': {'total_cores': 1}, 'pci_device': {'type': ['nvme']}}
TWO = {'processor': {'total_cores': 1},
       'pci_device': {'type': ['nvme', 'nvme']}}

#: What a node is for. A node that was composed in one round is released in
#: the next; one of a pair gets a drive while the other gives one back.
ROLES = ('released', 'powered', 'booted', 'one', 'other')
SLOW_ROLES = ('verified', 'drifted')
TARGETS = ('Pxe', 'Hdd', 'Cd')
#: How often a point that was not reached is tried again, by itself.
TRIES = 6
#: Seconds that a request has before the next one is sent.
HEAD_START = 1.0


def seeds() -> list[int]:
    """VALENCE_TEST_SEEDS: a number, a range as in 0-24, or several."""
    found: list[int] = []
    for part in os.environ.get('VALENCE_TEST_SEEDS', '0-2').split(','):
        first, _, last = part.partition('-')
        found += range(int(first), int(last or first) + 1)
    return found


def slow() -> bool:
    """Whether the slow kinds have their turn, too."""
    return bool(os.environ.get('VALENCE_TEST_SLOW_KINDS'))


class ByTheEnvironment(testtools.TestCase):
    """The services as they are installed, armed when they start."""

    def test_a_conductor_and_the_api(self):
        deployment = self.useFixture(Deployment(
            self, 'postgresql', conductor={'lease': 3, 'poll_interval': 0.5}))
        pod = self.useFixture(Simulator(*SHAPE))
        client = deployment.start_api()
        conductor, = deployment.start_conductors(client, 1)
        client.register(pod)
        before = {one['uuid'] for one in living(client)}
        conductor.kill()
        deployment.api.kill()

        def once(point):
            path = pathlib.Path(deployment.directory, point)
            path.touch()
            return {'VALENCE_FAULT': f'{point}:1:kill',
                    'VALENCE_FAULT_ONCE': str(path)}

        client = deployment.start_api(**once('K1'))
        deployment.start('valence-conductor', **once('K7'))
        wait_for('the conductor is up', lambda: {
            one['uuid'] for one in living(client)} - before)
        asked = {'method': 'POST', 'path': '/v1/nodes',
                 'body': {'name': 'n1', 'properties': ONE},
                 'headers': {'Idempotency-Key': 'once'}}
        self.assertRaises(requests.RequestException, client.request, **asked)

        def again():
            try:
                return client.request(**asked).json()
            except requests.RequestException:
                return None

        ended = client.done(wait_for('the API is back', again))
        self.assertGreater(ended['attempts'], 1)
        self.assertEqual(1, len(pod.ledger('compose')))


class TheMatrix(testtools.TestCase):

    def test_every_kind_is_in_it(self):
        self.assertEqual(set(KINDS), {*matrix.KINDS, *matrix.SLOW_KINDS})

    def test_every_seed_has_every_cell(self):
        for seed, kinds in itertools.product(
                range(30), (matrix.KINDS, tuple(KINDS))):
            plan = matrix.plan(seed, kinds)
            asked = [ask for asked in plan.rounds for ask in asked]
            self.assertEqual(sorted(matrix.cells(kinds)), sorted(
                (fault.point, ask.kind)
                for ask in asked for fault in ask.faults))
            for ask in asked:
                if ask.pod == 'at-once':
                    self.assertEqual([], [
                        fault for fault in ask.faults
                        if fault.point in matrix.TASK_POINTS])


class Matrix(testscenarios.WithScenarios, testtools.TestCase):

    scenarios = [(f'seed-{seed}', {'seed': seed}) for seed in seeds()]

    def setUp(self):
        super().setUp()
        self.nodes: dict[tuple[str, str], str] = {}
        self.coming: dict[tuple[str, str], str] = {}
        self.known: set[str] = set()
        self.deleted: set[str] = set()
        self.count = self.again = 0
        self.kinds, self.roles = matrix.KINDS, ROLES
        if slow():
            self.kinds += matrix.SLOW_KINDS
            self.roles += SLOW_ROLES

    def test_every_point_of_every_operation(self):
        plan = matrix.plan(self.seed, self.kinds)
        self.deployment = self.useFixture(ArmedDeployment(
            self, 'postgresql', {
                name: (*SHAPE, '--admin-port', '0', '--compute', '12',
                       '--nvme', '24', *arguments)
                for name, arguments in matrix.PODS.items()},
            processes=plan.conductors, api_workers=3))
        self.client = self.deployment.client
        self.faults = self.deployment.faults
        for number, asked in enumerate(plan.rounds):
            where = f'seed {self.seed}, round {number}'
            try:
                self.prepare()
                self.round(where, asked)
            except BaseException:
                self.deployment.say(plan={
                    'seed': self.seed, 'round': number, 'asked': asked,
                    'left': self.faults.armed()})
                raise
        fired = self.faults.fired()
        oracle.note(
            self, seed=self.seed, cells=len(matrix.cells(self.kinds)),
            asked_again=self.again, operations=len(self.known),
            deleted=len(self.deleted),
            **{action: sum(one['action'] == action for one in fired)
               for action in matrix.ACTIONS})

    # What there has to be

    def prepare(self):
        """Nodes for each role on each pod, made without faults."""
        shown = {node['name']: node for node in oracle.nodes(self.client)}
        for name, node in shown.items():
            if node['state'] == 'error':
                self.client.request('DELETE', f'/v1/nodes/{name}')
        for pod in matrix.PODS:
            first = ('one', pod) not in self.nodes
            for role in self.roles:
                name = self.nodes.get((role, pod))
                if name is None or name not in shown or (
                        shown[name]['state'] != 'active'):
                    self.nodes[role, pod] = self.compose(
                        pod, TWO if role == 'one' else ONE)
            if first:
                # Whether it can attach shows where something is composed.
                self.judge('prepared')
                self.act('sync', pod, 'prepared')
        self.judge('prepared')
        for pod in matrix.PODS:
            if max(len(self.drives(node)) for node in self.pair(pod)) < 2:
                self.act('attach', pod, 'prepared')
        self.judge('prepared')

    def compose(self, pod, properties):
        self.count += 1
        name = f'n{self.count}'
        answer = self.client.request('POST', '/v1/nodes', {
            'name': name, 'properties': properties, 'pod_manager': pod})
        self.assertEqual(202, answer.status_code, answer.text)
        return name

    def pair(self, pod):
        """The two that drives come and go of: the richer one first."""
        return sorted((self.client.get(f'/v1/nodes/{self.nodes[role, pod]}')
                       for role in ('one', 'other')),
                      key=lambda node: -len(self.drives(node)))

    def drives(self, node):
        return [device['uuid'] for device in node['devices']
                if device['type'] == 'nvme']

    # A round

    def round(self, where, asked):
        pairs = {pod: self.pair(pod) for pod in matrix.PODS}
        for ask in asked:
            self.arm(ask)
            name = self.act(ask.kind, ask.pod, where, pairs[ask.pod])
            if ask.rival and name:
                self.rival(ask.rival, name)
            self.give_time(ask)
        self.judge(where)
        # Another's kill may have led an operation past its point: the
        # message that a conductor died with is not taken again, say.
        for _ in range(TRIES):
            missed = [matrix.missed(ask, self.subject(ask),
                                    self.faults.armed()) for ask in asked]
            self.faults.disarm()
            if any(missed):
                self.prepare()
            for ask in filter(None, missed):
                self.again += 1
                self.arm(ask)
                name = self.act(ask.kind, ask.pod, where)
                if ask.rival and name:
                    self.rival(ask.rival, name)
                self.give_time(ask)
            self.judge(where)
        self.assertEqual([], self.faults.armed(), f'{where}: not reached')

    def give_time(self, ask):
        """Let a fault fire before the next request.

        Otherwise each kill is also that of all who wait for theirs.
        """
        end = time.monotonic() + HEAD_START
        while time.monotonic() < end and matrix.missed(
                ask, self.subject(ask), self.faults.armed()):
            time.sleep(0.02)

    def subject(self, ask):
        return f'{ask.kind}@{self.deployment.uuids[ask.pod]}'

    def arm(self, ask):
        for fault in ask.faults:
            self.faults.arm(
                fault.point, 'any' if fault.point in matrix.API_POINTS
                else self.subject(ask), fault.nth, fault.action)

    def judge(self, where):
        """All is quiet, and as it was promised."""
        ended = self.deployment.settle()
        self.assertEqual([], self.deployment.broken_promises(ended), where)
        # Work that is under way ends well, but for an error that nobody
        # can explain in the middle of a change.
        excused = {entry['operation'] for entry in self.faults.fired()
                   if entry['action'] == 'raise' and entry['point'] == 'K6'}
        self.assertEqual([], [
            operation for uuid, operation in ended.items()
            if operation['state'] != 'succeeded' and uuid not in excused
            and uuid not in self.known
            and not (operation['state'] == 'cancelled'
                     and uuid in self.deleted)], where)
        self.known |= set(ended)
        self.nodes |= self.coming
        self.coming.clear()

    def act(self, kind, pod, where, pair=()):
        """Ask for an operation; the name of its node."""
        if kind == 'compose':
            name = self.compose(pod, ONE)
            self.coming['released', pod] = name
            return name
        if kind == 'sync':
            self.accepted(self.client.request(
                'POST', f'/v1/pod_managers/{pod}/sync'), where)
            return None
        if kind == 'reconcile':
            self.drift(self.nodes['drifted', pod], pod)
            return None
        if kind == 'verify':
            name = self.nodes['verified', pod]
            for state in ('error', 'active'):
                self.accepted(self.client.request(
                    'POST', f'/v1/nodes/{name}/action',
                    {'reset-state': {'state': state}}), where)
            return None
        if kind == 'release':
            name = self.nodes['released', pod]
            self.accepted(self.client.request(
                'DELETE', f'/v1/nodes/{name}'), where)
            return name
        if kind in ('attach', 'detach'):
            rich, poor = pair or self.pair(pod)
            name = (poor if kind == 'attach' else rich)['name']
            self.move(kind, pod, name, where, self.drives(rich)[-1])
            return name
        role = {'power': 'powered', 'boot': 'booted'}[kind]
        name = self.nodes[role, pod]
        self.accepted(self.client.request(
            'POST', f'/v1/nodes/{name}/action', self.body(kind, name)),
            where)
        return name

    def drift(self, name, pod):
        """Take a node's drive away behind Valence's back, and scan until
        something is done about it.
        """
        node = self.client.get(f'/v1/nodes/{name}')
        admin = AdminClient(self.deployment.pods[pod].admin)
        admin.change('decompose', system=node['resource_path'])
        admin.change('reuse-ids')
        admin.change('compose', name=f'valence-{node["uuid"]}', blocks=[
            device['resource_path'] for device in node['devices']
            if device['type'] == 'compute'])
        path = ('/v1/operations?kind=reconcile&all_projects=true&limit=1000'
                f'&pod_manager={pod}')
        before = self.client.get(path)['operations']

        def reconciler():
            self.client.done(self.client.post(
                f'/v1/pod_managers/{pod}/sync'))
            return self.client.get(path)['operations'][len(before):]

        self.client.accepted += [one['uuid'] for one in wait_for(
            'there is a reconciler', reconciler)]

    def body(self, kind, name):
        """What the hardware is not like yet."""
        node = self.client.get(f'/v1/nodes/{name}')
        system, = [one for pod in self.deployment.pods.values()
                   for one in oracle.systems(pod)
                   if one.name == f'valence-{node["uuid"]}']
        if kind == 'power':
            return {'Reset': {
                'Type': 'ForceOff' if system.power == 'On' else 'On'}}
        return {'Boot': {'Enabled': 'Continuous', 'Target': next(
            target for target in TARGETS if target != system.boot[1])}}

    def move(self, kind, pod, name, where, drive):
        if kind == 'detach':
            self.accepted(self.client.request(
                'POST', f'/v1/nodes/{name}/action',
                {'detach': {'resource_id': drive}}), where)
            return
        for device in self.client.get(
                '/v1/devices?limit=1000&type=nvme&available=true'
                f'&pod_manager={pod}')['devices']:
            answer = self.client.request(
                'POST', f'/v1/nodes/{name}/action',
                {'attach': {'resource_id': device['uuid']}})
            if answer.status_code != 409 or 'device_in_use' not in (
                    answer.text):
                break
        self.accepted(answer, where)

    def rival(self, kind, name):
        """Somebody else wants something of the same node, just now."""
        if kind == matrix.DELETE:
            operation = self.client.accepted[-1]
            # Before that there is nothing to undo.
            wait_for('the pod works on it', lambda: any(
                step['state'] in ('pending', 'done') for step
                in self.client.get(f'/v1/operations/{operation}')['steps']))
            answer = self.client.request('DELETE', f'/v1/nodes/{name}')
            self.assertEqual(202, answer.status_code, answer.text)
            self.deleted.add(answer.json()['operation']['uuid'])
            return
        body = {'power': {'Reset': {'Type': 'On'}},
                'boot': {'Boot': {'Enabled': 'Continuous', 'Target': 'Pxe'}}}
        answer = self.client.request(
            'POST', f'/v1/nodes/{name}/action', body[kind])
        self.assertIn(answer.status_code, (202, 404, 409), answer.text)

    def accepted(self, answer, where):
        self.assertEqual(202, answer.status_code, f'{where}: {answer.text}')
