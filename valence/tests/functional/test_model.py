# SPDX-License-Identifier: Apache-2.0
"""Does Valence do what a model of a few lines says, whatever is asked of it?

Hypothesis draws requests, kills of conductors, answers of the pod that get
lost, and changes behind Valence's back. The model says how each request is
answered and what has become of the hardware when all is quiet again. Kills
make no difference to it. After lost answers it only asks that all promises
hold, and goes on from what is there.

VALENCE_TEST_EXAMPLES says how many sequences are drawn; with
VALENCE_TEST_MODEL_SEED they are others than always.
"""

import dataclasses
import os
from typing import Any

import hypothesis
import testtools
from hypothesis import stateful
from hypothesis import strategies as st
from testtools.content import text_content

from valence.simulator.admin_client import AdminClient
from valence.tests.functional import oracle
from valence.tests.functional.armed_deployment import ArmedDeployment

EXAMPLES = int(os.environ.get('VALENCE_TEST_EXAMPLES', '4'))
SEED = os.environ.get('VALENCE_TEST_MODEL_SEED')
STEPS = 14
COMPUTE, DRIVES = 3, 5
KINDS = ('compose', 'release', 'power', 'boot', 'attach', 'detach')
POINTS = ('K3', 'K4', 'K5', 'K6', 'K7', 'K8', 'K11', 'K12')
#: What becomes of the answer to a change, once.
LOST: tuple[dict[str, Any], ...] = (
    {'fault': 'reset', 'effect': False}, {'fault': 'reset', 'effect': True},
    {'fault': 'status', 'status': 500, 'effect': False},
    {'fault': 'status', 'status': 500, 'effect': True},
    {'fault': 'deny', 'status': 400}, {'fault': 'truncate'},
    {'fault': 'task', 'seconds': 0.3},
    {'fault': 'hang', 'seconds': 5, 'effect': True},
)
ANY_NODE = st.integers(0, 5)


@dataclasses.dataclass
class Node:
    """``claims``: drives, by their uuid; ``busy``: perhaps not yet so."""

    uuid: str
    claims: set[str]
    state: str = 'active'
    power: str = 'Off'
    boot: tuple[str, str] | None = None
    busy: bool = True
    #: The operation that composed it, or failed to.
    operation: str = ''


class Machine(stateful.RuleBasedStateMachine):
    """One sequence, on a deployment that is used for all of them."""

    deployment: ArmedDeployment
    count = steps = sequences = lost = 0

    def __init__(self) -> None:
        super().__init__()
        self.client = self.deployment.client
        self.pod = self.deployment.pods['pod']
        self.uuid = self.deployment.uuids['pod']
        self.admin = AdminClient(self.pod.admin)
        self.nodes: dict[str, Node] = {}
        self.expected: dict[str, str] = {}
        self.last: tuple[str, str, str] | None = None
        self.kills = 0
        self.losses = 0

    # The rules

    @stateful.invariant()
    def counted(self) -> None:
        Machine.steps += 1

    @stateful.rule(drives=st.integers(0, 2), quietly=st.booleans())
    def compose(self, drives: int, quietly: bool) -> None:
        Machine.count += 1
        name = f'm{Machine.count}'
        answer = self.client.request('POST', '/v1/nodes', {
            'name': name, 'properties': {
                'processor': {'total_cores': 1},
                **({'pci_device': {'type': ['nvme'] * drives}}
                   if drives else {})}})
        # What is being given back may be free already.
        free = DRIVES - sum(len(node.claims) for node in self.nodes.values())
        known = not any(node.busy for node in self.nodes.values())
        if known:
            holders = [node for node in self.nodes.values()
                       if node.state != 'empty']
            fits = len(holders) < COMPUTE and free >= drives
            self.answered(answer, 202 if fits else 409,
                          'no_valid_resources')
        self.answered(answer, (202, 409), 'no_valid_resources')
        if answer.status_code == 202:
            body = answer.json()
            self.nodes[name] = Node(body['operation']['node'], {
                device['uuid'] for device in body['node']['devices']
                if device['type'] == 'nvme'},
                operation=body['operation']['uuid'])
            self.await_('compose', name, answer)
        if quietly:
            self.settle()

    @stateful.precondition(lambda self: self.nodes)
    @stateful.rule(index=ANY_NODE, quietly=st.booleans())
    def release(self, index: int, quietly: bool) -> None:
        name, node = self.pick(index)
        answer = self.client.request('DELETE', f'/v1/nodes/{name}')
        if self.sure(node, answer, 202, 'node_busy'):
            self.await_('release', name, answer)
            operation = answer.json()['operation']
            if operation['kind'] == 'compose':
                # It was composing: that is stopped, and undone.
                self.expected[operation['uuid']] = 'cancelled'
            node.state, node.busy = 'gone', True
        if quietly:
            self.settle()

    @stateful.precondition(lambda self: self.nodes)
    @stateful.rule(index=ANY_NODE, power=st.sampled_from(('On', 'Off')),
                   quietly=st.booleans())
    def switch(self, index: int, power: str, quietly: bool) -> None:
        name, node = self.pick(index)
        if self.act('power', name, {'Reset': {
                'Type': 'On' if power == 'On' else 'ForceOff'}}):
            node.power = power
        if quietly:
            self.settle()

    @stateful.precondition(lambda self: self.nodes)
    @stateful.rule(index=ANY_NODE, source=st.sampled_from(('Pxe', 'Hdd')),
                   quietly=st.booleans())
    def boot(self, index: int, source: str, quietly: bool) -> None:
        name, node = self.pick(index)
        if self.act('boot', name, {'Boot': {
                'Enabled': 'Continuous', 'Target': source}}):
            node.boot = 'Continuous', source
        if quietly:
            self.settle()

    @stateful.precondition(lambda self: self.nodes)
    @stateful.rule(index=ANY_NODE, drive=st.integers(0, DRIVES - 1),
                   kind=st.sampled_from(('attach', 'detach')),
                   quietly=st.booleans())
    def move(self, index: int, drive: int, kind: str, quietly: bool) -> None:
        self.settle()
        name, node = self.pick(index)
        uuid = self.drives()[drive]
        taken = any(uuid in one.claims for one in self.nodes.values())
        right = (uuid in node.claims) if kind == 'detach' else not taken
        code = ('node_not_active' if node.state != 'active' and (
            kind == 'attach' or right)
            else 'device_in_use' if kind == 'attach'
            else 'device_not_attached')
        answer = self.client.request('POST', f'/v1/nodes/{name}/action', {
            kind: {'resource_id': uuid}})
        self.answered(answer, 202 if right and node.state == 'active'
                      else 409, code)
        if answer.status_code == 202:
            self.await_(kind, name, answer)
            node.busy = True
            (node.claims.add if kind == 'attach'
             else node.claims.discard)(uuid)
            if kind == 'attach':
                self.last = (*self.last[:2], uuid)
        if quietly:
            self.settle()

    @stateful.precondition(lambda self: self.last)
    @stateful.rule()
    def cancel(self) -> None:
        """The last request is taken back, if it is not too late."""
        assert self.last
        uuid, name, drive = self.last
        kind = self.client.get(f'/v1/operations/{uuid}')['kind']
        answer = self.client.request('DELETE', f'/v1/operations/{uuid}')
        if kind not in ('compose', 'attach'):
            self.answered(answer, 409, 'not_cancellable')
            return
        self.answered(answer, (202, 409), 'operation_ended')
        if answer.status_code == 409:
            return
        if self.expected.get(uuid) == 'succeeded':
            self.expected[uuid] = 'cancelled'
            node = self.nodes[name]
            if kind == 'attach':
                node.claims.discard(drive)
            elif node.state != 'gone':
                node.state, node.claims = 'empty', set()

    @stateful.precondition(lambda self: self.last)
    @stateful.rule()
    def abandon(self) -> None:
        """Nobody waits for the last request any longer."""
        assert self.last
        answer = self.client.request(
            'POST', f'/v1/operations/{self.last[0]}/abandon')
        self.answered(answer, (202, 409), 'operation_ended')
        self.deployment.settle()
        self.learn()

    @stateful.precondition(lambda self: any(
        node.state == 'empty' and node.operation
        for node in self.nodes.values()))
    @stateful.rule()
    def compose_again(self) -> None:
        """A compose that was cancelled is done again."""
        self.settle()
        name = next(name for name, node in self.nodes.items()
                    if node.state == 'empty' and node.operation)
        answer = self.client.request(
            'POST', f'/v1/operations/{self.nodes[name].operation}/retry')
        self.answered(answer, (202, 409), 'no_valid_resources')
        if answer.status_code == 202:
            ended = self.client.operation(answer.json()['operation']['uuid'])
            assert ended['state'] == 'succeeded', ended
            self.deployment.settle()
            self.learn()
            assert self.nodes[name].state == 'active', self.nodes

    @stateful.precondition(lambda self: self.nodes)
    @stateful.rule(index=ANY_NODE)
    def reset_state(self, index: int) -> None:
        """An operator calls a node broken, and then looks again."""
        self.settle()
        name, node = self.pick(index)
        if node.state != 'active':
            return
        for state in ('error', 'active'):
            answer = self.client.request(
                'POST', f'/v1/nodes/{name}/action',
                {'reset-state': {'state': state}})
            self.answered(answer, 202)
            self.client.done(answer.json())
            shown = self.client.get(f'/v1/nodes/{name}')
            assert shown['state'] == state, shown

    @stateful.precondition(lambda self: self.kills < 2)
    @stateful.rule(kind=st.sampled_from(KINDS),
                   point=st.sampled_from(POINTS), nth=st.integers(1, 2))
    def kill(self, kind: str, point: str, nth: int) -> None:
        """A conductor dies at a point, should it come by."""
        self.kills += 1
        self.deployment.faults.arm(point, f'{kind}@{self.uuid}', nth)

    @stateful.precondition(lambda self: self.nodes and self.losses < 3)
    @stateful.rule(lost=st.sampled_from(LOST), index=ANY_NODE,
                   action=st.sampled_from(('On', 'ForceOff', 'boot',
                                           'release', 'compose')))
    def lose(self, lost: dict[str, Any], index: int, action: str) -> None:
        """The answer to a change goes wrong, with or without its effect."""
        self.settle()
        self.losses += 1
        Machine.lost += 1
        name, _ = self.pick(index)
        rule = self.admin.inject(**lost, times=1, method=[
            'POST', 'PATCH', 'DELETE'], path='*/Systems*')
        if action == 'compose':
            Machine.count += 1
            self.client.request('POST', '/v1/nodes', {
                'name': f'm{Machine.count}', 'properties': {
                    'processor': {'total_cores': 1}}})
        elif action == 'release':
            self.client.request('DELETE', f'/v1/nodes/{name}')
        else:
            self.client.request('POST', f'/v1/nodes/{name}/action', (
                {'Boot': {'Enabled': 'Continuous', 'Target': 'Cd'}}
                if action == 'boot' else {'Reset': {'Type': action}}))
        self.deployment.settle()
        self.admin.remove(rule)
        self.learn()

    @stateful.precondition(lambda self: self.nodes)
    @stateful.rule(index=ANY_NODE, power=st.sampled_from(('On', 'Off')))
    def switched_behind_our_back(self, index: int, power: str) -> None:
        self.settle()
        if not self.nodes:
            return
        _, node = self.pick(index)
        system = self.system(node)
        if system:
            self.admin.change(
                'power', system=system.path,
                reset_type='On' if power == 'On' else 'ForceOff')
            node.power = power

    @stateful.precondition(lambda self: self.nodes)
    @stateful.rule(index=ANY_NODE)
    def decomposed_behind_our_back(self, index: int) -> None:
        """Nobody says that a node without hardware is well."""
        self.settle()
        if not self.nodes:
            return
        name, node = self.pick(index)
        system = self.system(node)
        if not system or node.state != 'active':
            return
        self.admin.change('decompose', system=system.path)
        answer = self.client.request('POST', f'/v1/nodes/{name}/action', {
            'Reset': {'Type': 'On'}})
        if answer.status_code == 202:
            ended = self.client.operation(answer.json()['operation']['uuid'])
            assert ended['state'] == 'failed', ended
        self.deployment.settle()
        self.learn()
        assert name not in self.nodes or (
            self.nodes[name].state == 'error'), self.nodes

    @stateful.rule()
    def settle(self) -> None:
        """All is quiet, and as the model says."""
        ended = self.deployment.settle()
        self.promises(ended)
        for uuid, state in self.expected.items():
            assert ended[uuid]['state'] == state, (state, ended[uuid])
        self.expected.clear()
        self.last = None
        self.nodes = {name: node for name, node in self.nodes.items()
                      if node.state != 'gone'}
        shown = {node['name']: node for node in oracle.nodes(self.client)}
        assert shown.keys() == self.nodes.keys(), (shown, self.nodes)
        for name, node in self.nodes.items():
            node.busy = False
            what = shown[name], node
            state = 'error' if node.state == 'empty' else node.state
            assert shown[name]['state'] == state, what
            assert {device['uuid'] for device in shown[name]['devices']
                    if device['type'] == 'nvme'} == node.claims, what
            system = self.system(node)
            if node.state == 'active':
                assert system and system.power == node.power, (system, what)
                if node.boot:
                    assert system.boot == node.boot, (system, what)

    def teardown(self) -> None:
        """Leave an empty pod to the next sequence."""
        Machine.sequences += 1
        self.admin.clear()
        self.deployment.faults.disarm()
        for name in list(self.nodes):
            self.client.request('DELETE', f'/v1/nodes/{name}')
        self.deployment.settle()
        for node in oracle.nodes(self.client):
            self.client.request('DELETE', f'/v1/nodes/{node["uuid"]}')
        self.promises(self.deployment.settle())
        assert not oracle.nodes(self.client), 'every node can be released'
        assert not oracle.systems(self.pod), 'nothing is left behind'
        # What was changed behind its back is known again.
        self.client.done(self.client.post(
            f'/v1/pod_managers/{self.uuid}/sync'))

    # What they have in common

    def pick(self, index: int) -> tuple[str, Node]:
        if not self.nodes:
            hypothesis.reject()
        names = list(self.nodes)
        name = names[index % len(names)]
        return name, self.nodes[name]

    def act(self, kind: str, name: str, body: Any) -> bool:
        """Ask for an action; whether it was accepted."""
        node = self.nodes[name]
        answer = self.client.request('POST', f'/v1/nodes/{name}/action', body)
        code = 'node_not_active'
        if not self.sure(node, answer, 202 if node.state == 'active' else 409,
                         code):
            return False
        self.await_(kind, name, answer)
        node.busy = True
        return True

    def sure(self, node: Node, answer: Any, status: int, code: str) -> bool:
        """Judge an answer; whether it is 202.

        A node that somebody works on, or did until just now, may say so.
        """
        if node.busy:
            self.answered(answer, (202, 404, 409), 'node_busy',
                          'node_not_active', 'not_found')
        else:
            self.answered(answer, status, code)
        return bool(answer.status_code == 202)

    def answered(self, answer: Any, status: int | tuple[int, ...],
                 *codes: str) -> None:
        wanted = status if isinstance(status, tuple) else (status,)
        assert answer.status_code in wanted, (wanted, answer.text)
        if answer.status_code >= 400:
            error, = answer.json()['errors']
            assert error['code'] in codes and error['detail'], (codes, error)

    def await_(self, kind: str, name: str, answer: Any) -> None:
        uuid = answer.json()['operation']['uuid']
        self.expected[uuid] = 'succeeded'
        self.last = uuid, name, ''

    def promises(self, ended: dict[str, dict[str, Any]]) -> None:
        found = self.deployment.broken_promises(ended, refusals=True)
        assert not found, found

    def learn(self) -> None:
        """Go on from what is there, if all promises hold."""
        self.promises(self.deployment.settle())
        self.expected.clear()
        self.last = None
        self.nodes = {}
        for node in oracle.nodes(self.client):
            known = Node(node['uuid'], {
                device['uuid'] for device in node['devices']
                if device['type'] == 'nvme'}, busy=False)
            system = self.system(known)
            known.state = ('active' if node['state'] == 'active'
                           else 'error' if node['devices'] else 'empty')
            if system:
                known.power, known.boot = system.power, system.boot
            self.nodes[node['name']] = known

    def system(self, node: Node) -> oracle.System | None:
        found = [one for one in oracle.systems(self.pod)
                 if one.name == f'valence-{node.uuid}']
        return found[0] if found else None

    def drives(self) -> list[str]:
        return sorted(one['uuid'] for one in self.client.get(
            '/v1/devices?type=nvme&limit=100')['devices'])


class Model(testtools.TestCase):

    def test_valence_does_what_the_model_says(self):
        deployment = self.useFixture(ArmedDeployment(
            self, 'mysql', {'pod': (
                '--zones', '1', '--power-delay', '0', '--attach', 'patch',
                '--compute', str(COMPUTE), '--nvme', str(DRIVES),
                '--gpu', '0', '--nic', '0', '--admin-port', '0')},
            workers=2))
        Machine.deployment = deployment
        # Without a seed the sequences are always the same. A shorter one
        # that fails too would be sought for too long.
        settings = hypothesis.settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None,
            derandomize=SEED is None, database=None, print_blob=False,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck))
        machine: Any = Machine
        if SEED is not None:
            machine = hypothesis.seed(int(SEED))(Machine)
        self.addDetail('seed', text_content(str(SEED)))
        try:
            stateful.run_state_machine_as_test(machine, settings=settings)
        except BaseException:
            deployment.say()
            raise
        oracle.note(self, sequences=Machine.sequences, steps=Machine.steps,
                    kills=len(deployment.faults.fired()),
                    lost_answers=Machine.lost)
