# SPDX-License-Identifier: Apache-2.0
"""What becomes of a node whose hardware may have been changed?"""

import dataclasses

import fixtures
import sqlalchemy as sa

from valence import remedies, requests
from valence.conductor import runner
from valence.conductor.operations import KINDS
from valence.conductor.operations.base import Settings
from valence.db import models, operations
from valence.drivers import base
from valence.tests.unit.conductor.fakes import REQUESTER, EngineTest

AWAY = base.Unreachable('away')
LOST = base.Ambiguous('the answer was lost')
REFUSED = base.Refused('no', 409)


class _Doubt(EngineTest):

    def setUp(self):
        super().setUp()
        _, self.driver = self.pod()
        self.useFixture(fixtures.MockPatchObject(
            runner, 'BACKOFF', (0.01,)))
        self.running = self.engine(Settings(breaker_tolerance=10**6))

    def composed(self):
        node, operation = self.compose()
        self.assertEqual('succeeded', self.end(operation)['state'])
        self.driver.calls.clear()
        return node

    def end(self, operation):
        self.running.ring(operation)
        return self.ended(operation)

    def ask(self, function, *args):
        return self.end(self.database.run(function, REQUESTER, *args))

    def with_device(self, function, node):
        with self.database.read() as conn:
            device = conn.scalar(sa.select(models.Device.uuid).where(
                models.Device.resource_path == '/n/1'))
        return self.ask(function, node, device)

    def declare(self, mutation, safety):
        self.driver.safety = {**self.driver.safety, mutation: safety}

    def after(self, name, error):
        """What happens, and is then answered by an error."""
        def action(*args):
            del self.driver.script[name]
            getattr(self.driver, name)(*args)
            self.driver.calls.pop()
            raise error
        return action

    def assert_node(self, node, state, *told):
        row = self.row(models.Node, node)
        self.assertEqual((state, None), (row['state'],
                                         row['operation_uuid']))
        for one in told:
            self.assertIn(one, row['state_reason'])

    def reset(self, node):
        self.assertEqual('succeeded', self.ask(remedies.verify,
                                               node)['state'])
        self.assert_node(node, 'active')


class Actions(_Doubt):
    """Of those that are not undone."""

    def setUp(self):
        super().setUp()
        self.node = self.composed()

    def attached(self):
        self.with_device(requests.attach, self.node)
        self.driver.calls.clear()

    def test_a_detach_that_nobody_can_read_back(self):
        """Seen: the node stayed active, and claimed what it had lost."""
        self.attached()
        # The look ahead of it, and then none any more.
        self.driver.script = {
            'observe': [None] + [AWAY] * 99,
            'detach': [self.gone]}
        ended = self.with_device(requests.detach, self.node)
        self.assertEqual('backend_unreachable', ended['error_code'])
        self.assert_node(self.node, 'error',
                         'detach (/n/1) may have taken effect')
        self.assertIn('/n/1', self.claims())
        # To do it again is no way out; to take it apart is.
        self.driver.script = {}
        self.assertEqual('succeeded', self.ask(
            requests.release, self.node)['state'])
        self.assertEqual([], self.claims())

    def gone(self, handle, path):
        tag, = self.driver.systems
        self.driver.systems[tag] = tuple(
            one for one in self.driver.systems[tag] if one != path)
        raise LOST

    def test_a_detach_that_was_never_sent(self):
        self.attached()
        self.driver.script = {'observe': [AWAY] * 8}
        ended = self.with_device(requests.detach, self.node)
        self.assertEqual('backend_unreachable', ended['error_code'])
        self.assertEqual(0, self.driver.count('detach'))
        self.assert_node(self.node, 'active')

    def test_a_detach_that_was_looked_for(self):
        """Lost, and seen not to have happened; then the pod refuses."""
        self.attached()
        self.driver.script = {'detach': [LOST, AWAY, REFUSED]}
        ended = self.with_device(requests.detach, self.node)
        self.assertEqual('backend_refused', ended['error_code'])
        self.assert_node(self.node, 'active')

    def test_a_detach_that_is_refused_in_the_end(self):
        self.attached()
        self.driver.script = {
            'detach': [lambda: base.Pending({}, 0.01)], 'poll': [REFUSED]}
        self.driver.detach = lambda *args: self.driver._call('detach')
        self.with_device(requests.detach, self.node)
        self.assert_node(self.node, 'active')

    def test_a_detach_whose_end_cannot_be_asked_for(self):
        self.attached()
        self.driver.script = {
            'detach': [lambda: base.Pending({}, 0.01)],
            'poll': [base.BadAnswer('no JSON')]}
        self.driver.detach = lambda *args: self.driver._call('detach')
        self.with_device(requests.detach, self.node)
        self.assert_node(self.node, 'error', 'no JSON')
        self.reset(self.node)

    def test_a_detach_that_is_not_written_down(self):
        """It has happened, and the claim was not freed."""
        self.attached()
        whole = KINDS['detach']

        def broken(*args):
            raise TypeError('a bug')

        KINDS['detach'] = dataclasses.replace(whole, finish=broken)
        self.addCleanup(KINDS.__setitem__, 'detach', whole)
        ended = self.with_device(requests.detach, self.node)
        self.assertEqual('internal_error', ended['error_code'])
        self.assert_node(self.node, 'error')
        self.assertIn('/n/1', self.claims())

    def test_a_reset_that_nobody_can_read_back(self):
        self.driver.script = {'observe': [None] + [AWAY] * 500}
        self.replace_tries('power', 'wait', 3)
        ended = self.ask(requests.power, self.node, 'On')
        self.assertEqual('backend_unreachable', ended['error_code'])
        self.assertEqual(1, self.driver.count('set_power'))
        self.assert_node(self.node, 'error', 'power (On) may have')
        self.driver.script = {}
        self.reset(self.node)

    def replace_tries(self, kind, name, tries):
        whole = KINDS[kind]
        KINDS[kind] = dataclasses.replace(whole, steps=tuple(
            dataclasses.replace(step, tries=tries) if step.name == name
            else step for step in whole.steps))
        self.addCleanup(KINDS.__setitem__, kind, whole)

    def test_a_reset_that_is_seen_not_to_happen(self):
        """It may be sent again, in another way."""
        self.driver.set_power = lambda handle, reset_type: base.Done()
        self.replace_tries('power', 'wait', 2)
        self.assertEqual('timeout', self.ask(
            requests.power, self.node, 'On')['error_code'])
        self.assert_node(self.node, 'active')

    def test_a_reset_that_nobody_needed(self):
        self.driver.power = 'On'
        self.driver.script = {'observe': [None, base.BadAnswer('no JSON')]}
        self.ask(requests.power, self.node, 'On')
        self.assert_node(self.node, 'active')

    def test_a_boot_override(self):
        for answers, state in (
                ([REFUSED], 'active'),
                ([AWAY, REFUSED], 'active'),
                ([self.after('set_boot', TypeError('a bug'))], 'error'),
                # It is sent again without a look.
                ([LOST, REFUSED], 'error')):
            self.driver.script = {'set_boot': answers}
            ended = self.ask(requests.boot, self.node, 'Pxe', 'Once')
            self.assertEqual('failed', ended['state'])
            self.assert_node(self.node, state)
            if state == 'error':
                self.reset(self.node)

    def test_a_boot_override_that_is_not_to_be_repeated(self):
        self.declare('set_boot', base.Safety.VERIFY_FIRST)
        self.driver.script = {'set_boot': [self.after('set_boot', LOST)]}
        self.assertEqual('succeeded', self.ask(
            requests.boot, self.node, 'Pxe', 'Once')['state'])
        self.assertEqual(1, self.driver.count('set_boot'))


class Unsafe(_Doubt):
    """Mutations of which nobody can tell from outside."""

    def fail(self, mutation, ended):
        self.assertEqual(('failed', 'ambiguous'), (
            ended['state'], ended['error_code']), ended['error'])
        self.assertIn('cannot be told', ended['error'])
        self.assertEqual(1, self.driver.count(mutation))
        self.assertEqual(mutation, self.driver.calls[-1])

    def arm(self, mutation, error=LOST):
        self.declare(mutation, base.Safety.UNSAFE)
        self.driver.script[mutation] = [self.after(mutation, error)]
        self.driver.calls.clear()

    def test_compose(self):
        self.arm('compose')
        node, operation = self.compose()
        ended = self.end(operation)
        self.fail('compose', ended)
        self.assertIn('could not be undone', ended['error'])
        self.assert_node(node, 'error', ended['error'])
        self.assertEqual(1, len(self.claims()))
        self.assertEqual(1, len(self.driver.systems))
        self.reset(node)

    def test_compose_that_was_deleted_meanwhile(self):
        def compose(spec):
            self.driver.apply(spec)
            self.database.run(requests.release, REQUESTER, node)
            raise LOST

        self.declare('compose', base.Safety.UNSAFE)
        self.driver.script['compose'] = [compose]
        node, operation = self.compose()
        self.fail('compose', self.end(operation))
        self.assert_node(node, 'error')
        self.assertEqual(1, len(self.claims()))
        self.ask(requests.release, node)
        self.assertEqual(({}, []), (self.driver.systems, self.claims()))

    def test_compose_by_a_fault(self):
        self.arm('compose', TypeError('a bug'))
        node, operation = self.compose()
        self.fail('compose', self.end(operation))
        self.assert_node(node, 'error')
        self.assertEqual(1, len(self.claims()))

    def test_compose_of_a_conductor_that_died(self):
        for desired in ('done', 'cancelled'):
            node, operation = self.compose(desired)
            lease, _ = self.database.run(operations.acquire, operation,
                                         'dead', -1.0)
            with self.database.write() as conn:
                operations.write_intent(
                    conn, lease, 'compose', 0, {'tag': f'valence-{node}'},
                    again=False)
                conn.execute(sa.update(operations.OPERATIONS).values(
                    desired=desired))
            self.declare('compose', base.Safety.UNSAFE)
            claims = self.claims()
            ended = self.end(operation)
            self.assertEqual(('failed', 'ambiguous'), (
                ended['state'], ended['error_code']))
            self.assert_node(node, 'error', ended['error'])
            self.assertEqual(claims, self.claims())
        self.assertEqual([], self.driver.calls)

    def test_what_was_not_sent_is_sent(self):
        self.declare('compose', base.Safety.UNSAFE)
        self.driver.script['compose'] = [AWAY, base.Busy('later', 0.01)]
        _, operation = self.compose()
        self.assertEqual('succeeded', self.end(operation)['state'])
        self.assertEqual(3, self.driver.count('compose'))
        self.assertEqual(0, self.driver.count('find'))

    def test_what_was_refused_is_undone(self):
        self.declare('compose', base.Safety.UNSAFE)
        self.driver.script['compose'] = [AWAY, REFUSED]
        _, operation = self.compose()
        self.assertEqual('backend_refused',
                         self.end(operation)['error_code'])
        self.assertEqual([], self.claims())

    def test_undo_of_a_compose(self):
        self.arm('release')
        self.driver.script['observe'] = [base.Refused('broken', 400)]
        node, operation = self.compose()
        ended = self.end(operation)
        self.assertEqual('backend_refused', ended['error_code'])
        self.assertIn('could not be undone: the answer was lost',
                      ended['error'])
        self.assert_node(node, 'error')
        self.assertEqual(1, len(self.claims()))
        self.assertEqual(1, self.driver.count('release'))

    def test_attach(self):
        node = self.composed()
        self.arm('attach')
        self.fail('attach', self.with_device(requests.attach, node))
        self.assert_node(node, 'error')
        self.assertIn('/n/1', self.claims())
        self.reset(node)

    def test_undo_of_an_attach(self):
        node = self.composed()
        self.arm('detach')
        self.driver.script['observe'] = [base.Refused('broken', 400)]
        ended = self.with_device(requests.attach, node)
        self.assertIn('could not be undone', ended['error'])
        self.assert_node(node, 'error')
        self.assertIn('/n/1', self.claims())
        self.assertEqual(1, self.driver.count('detach'))

    def test_detach(self):
        node = self.composed()
        self.with_device(requests.attach, node)
        self.arm('detach')
        self.fail('detach', self.with_device(requests.detach, node))
        self.assert_node(node, 'error', 'detach (/n/1) may have')
        self.assertIn('/n/1', self.claims())

    def test_set_power(self):
        node = self.composed()
        self.arm('set_power')
        self.fail('set_power', self.ask(requests.power, node, 'On'))
        self.assert_node(node, 'error', 'power (On) may have')
        self.reset(node)

    def test_set_boot(self):
        node = self.composed()
        self.arm('set_boot')
        self.fail('set_boot', self.ask(requests.boot, node, 'Pxe', 'Once'))
        self.assert_node(node, 'error', 'boot (Pxe Once) may have')
        self.reset(node)

    def test_release(self):
        node = self.composed()
        self.arm('release')
        ended = self.ask(requests.release, node)
        self.fail('release', ended)
        self.assert_node(node, 'error', 'cannot be told')
        self.assertEqual(1, len(self.claims()))
        # It is for the operator to send it again.
        self.ask(remedies.retry, ended['uuid'])
        self.assertIsNone(self.row(models.Node, node))
        self.assertEqual([], self.claims())

    def test_power_off_of_a_release(self):
        node = self.composed()
        self.driver.power = 'On'
        self.arm('set_power')
        self.fail('set_power', self.ask(requests.release, node))
        self.assert_node(node, 'error')
        self.assertEqual(0, self.driver.count('release'))
