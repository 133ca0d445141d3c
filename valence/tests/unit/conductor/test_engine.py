# SPDX-License-Identifier: Apache-2.0
"""What the engine makes of drivers that fail at a certain moment."""

import dataclasses
import threading
import time

import fixtures
import sqlalchemy as sa
from oslo_db import exception as db_exc

from valence import remedies, requests
from valence.common import audit, deadline, errors
from valence.conductor import engine, runner
from valence.conductor.lease import HeldLease
from valence.conductor.operations import KINDS
from valence.conductor.operations.base import Settings, Task
from valence.db import models, operations
from valence.db.engine import Database
from valence.db.types import utcnow
from valence.drivers import base
from valence.tests.unit.conductor.fakes import REQUESTER, EngineTest


class Compose(EngineTest):

    def setUp(self):
        super().setUp()
        _, self.driver = self.pod()

    def run_compose(self, **script):
        self.driver.script = script
        node, operation = self.compose()
        self.engine().ring(operation)
        return node, self.ended(operation)

    def lost_answer(self, spec):
        self.driver.apply(spec)
        raise base.Ambiguous('the answer was lost')

    def test_active_after_the_read_back(self):
        node, ended = self.run_compose()
        self.assertEqual('succeeded', ended['state'])
        self.assertEqual('active', self.row(models.Node, node)['state'])
        self.assertEqual(['compose', 'observe'], self.driver.calls)
        self.assertEqual({'compose': 'done', 'verify': 'done'}, {
            name: step['state']
            for name, step in self.journal(ended['uuid']).items()})

    def test_a_lost_answer_is_looked_for_and_not_sent_again(self):
        node, ended = self.run_compose(compose=[self.lost_answer])
        self.assertEqual('succeeded', ended['state'])
        self.assertEqual(1, self.driver.count('compose'))
        self.assertEqual('active', self.row(models.Node, node)['state'])

    def test_a_lost_request_is_sent_again(self):
        _, ended = self.run_compose(
            compose=[base.Ambiguous('no idea'), base.Unreachable('away')])
        self.assertEqual('succeeded', ended['state'])
        self.assertEqual(3, self.driver.count('compose'))

    def test_refused(self):
        node, ended = self.run_compose(
            compose=[base.Refused('it is taken', 409)])
        self.assertEqual(('failed', 'backend_refused', 'it is taken'), (
            ended['state'], ended['error_code'], ended['error']))
        self.assertEqual('error', self.row(models.Node, node)['state'])
        self.assertEqual([], self.claims())

    def test_a_mismatch_is_taken_apart(self):
        def other(spec):
            self.driver.systems[spec.tag] = ('/d/9',)
            return base.Done(base.Handle('/s/' + spec.tag))

        _node, ended = self.run_compose(compose=[other])
        self.assertEqual('hardware_mismatch', ended['error_code'])
        self.assertIn('/d/9', ended['error'])
        self.assertEqual({}, self.driver.systems)
        self.assertEqual([], self.claims())

    def test_what_is_not_whole_is_taken_apart(self):
        self.driver.unfinished = 'Assembling'
        node, ended = self.run_compose()
        self.assertEqual('hardware_mismatch', ended['error_code'])
        self.assertIn('Assembling', ended['error'])
        self.assertEqual('error', self.row(models.Node, node)['state'])
        self.assertEqual(({}, []), (self.driver.systems, self.claims()))

    def test_what_cannot_be_undone_keeps_its_claims(self):
        self.driver.script = {
            'compose': [self.lost_answer],
            'observe': [base.Refused('broken', 400)],
            'release': [base.Refused('cannot let go', 400)]}
        node, operation = self.compose()
        self.engine().ring(operation)
        ended = self.ended(operation)
        self.assertEqual('failed', ended['state'])
        self.assertIn('could not be undone: cannot let go', ended['error'])
        self.assertEqual(1, len(self.claims()))
        self.assertEqual('error', self.row(models.Node, node)['state'])

    def test_a_fault_in_the_driver_ends_and_is_undone(self):
        def applied_then_broken(spec):
            self.driver.apply(spec)
            raise TypeError('a bug')

        _, ended = self.run_compose(compose=[applied_then_broken])
        self.assertEqual('internal_error', ended['error_code'])
        self.assertNotIn('a bug', ended['error'])
        self.assertEqual({}, self.driver.systems)
        self.assertEqual([], self.claims())

    def test_pending_is_polled_without_a_thread(self):
        pending = base.Pending({'task': 1}, 0.05)

        def poll(given):
            self.assertEqual({'task': 1}, given.monitor)
            return pending

        def last(given):
            tag = f'valence-{node}'
            self.driver.systems[tag] = tuple(self.claims())
            return base.Done(base.Handle('/s/' + tag))

        self.driver.script = {'compose': [lambda spec: pending],
                              'poll': [poll, poll, last]}
        node, operation = self.compose()
        self.engine().ring(operation)
        self.assertEqual('succeeded', self.ended(operation)['state'])
        self.assertEqual(1, self.driver.count('compose'))

    def test_a_delete_waits_for_what_the_backend_works_on(self):
        pending = base.Pending({}, 0.05)
        go_on = threading.Event()

        def poll(given):
            if not go_on.is_set():
                return pending
            tag = f'valence-{node}'
            self.driver.systems[tag] = tuple(self.claims())
            return base.Done(base.Handle('/s/' + tag))

        self.driver.script = {'compose': [lambda spec: pending],
                              'poll': [poll] * 1000}
        node, operation = self.compose()
        engine = self.engine()
        engine.ring(operation)
        self.until('it is polled', lambda: self.driver.count('poll'))
        self.assertEqual(operation, self.database.run(
            requests.release, REQUESTER, node))
        engine.ring(operation)
        self.until('it waits', lambda: self.driver.count('poll') > 20)
        self.assertEqual(1, self.driver.count('cancel'))
        go_on.set()
        self.assertEqual('cancelled', self.ended(operation)['state'])
        self.assertIsNone(self.row(models.Node, node))
        self.assertEqual(({}, []), (self.driver.systems, self.claims()))

    def test_what_is_overdue_at_the_backend_is_cancelled_there(self):
        pending = base.Pending({'task': 1}, 1000.0)
        self.driver.script = {
            'compose': [lambda spec: pending],
            'poll': [lambda given: pending],
            'cancel': [base.Unsupported('cannot')]}
        _node, operation = self.compose()
        engine = self.engine()
        engine.ring(operation)
        self.until('it waits', lambda: self.row(
            models.Operation, operation)['not_before'])
        with self.database.write() as conn:
            conn.execute(sa.update(operations.OPERATIONS).values(
                deadline_at=utcnow(-operations.UNDO_GRACE - 1),
                not_before=None))
        engine.ring(operation)
        ended = self.ended(operation)
        self.assertEqual('timeout', ended['error_code'])
        self.assertIn('still works on compose', ended['error'])
        self.assertEqual(['compose', 'cancel', 'poll'], self.driver.calls)
        self.assertEqual(1, len(self.claims()))

    def test_an_overdue_operation_ends(self):
        _node, operation = self.compose()
        with self.database.write() as conn:
            conn.execute(sa.update(operations.OPERATIONS).values(
                deadline_at=utcnow(-1)))
        self.engine().ring(operation)
        self.assertEqual('timeout', self.ended(operation)['error_code'])
        self.assertEqual([], self.driver.calls)
        self.assertEqual([], self.claims())


class Takeover(EngineTest):

    def take_over(self, state, applied):
        """A conductor died at a compose's first step, long ago."""
        _, driver = self.pod()
        node, operation = self.compose()
        lease, _ = self.database.run(operations.acquire, operation,
                                     'dead', -1.0)
        spec = base.Spec(f'valence-{node}', 'n', tuple(self.claims()))
        with self.database.write() as conn:
            operations.write_intent(conn, lease, 'compose', 0,
                                    {'tag': spec.tag}, again=False)
            if state == 'done':
                operations.write_outcome(
                    conn, lease, 'compose', 'done',
                    {'handle': {'resource_path': '/s/' + spec.tag,
                                'extra': {}}})
        if applied:
            driver.apply(spec)
        self.engine().ring(operation)
        self.assertEqual('succeeded', self.ended(operation)['state'])
        self.assertEqual([spec.tag], list(driver.systems))
        return driver

    def test_before_the_call(self):
        driver = self.take_over('intent', applied=False)
        self.assertEqual(['find', 'compose', 'observe'], driver.calls)

    def test_after_the_call(self):
        driver = self.take_over('intent', applied=True)
        self.assertEqual(['find', 'observe'], driver.calls)

    def test_after_the_outcome(self):
        driver = self.take_over('done', applied=True)
        self.assertEqual(['observe'], driver.calls)


class Lease(EngineTest):

    def test_no_call_without_one(self):
        """Paused between the intent and the call, for longer than it has."""
        _, driver = self.pod()
        node, operation = self.compose()
        lease, row = self.database.run(operations.acquire, operation, 'me',
                                       60.0)
        held = HeldLease(lease, time.monotonic())
        self.useFixture(fixtures.MockPatchObject(
            runner.faultpoints, 'reach',
            lambda point: held.lose() if point == 'K5' else None))
        task = Task(row, held, self.row(models.PodManager,
                                        row['pod_manager_uuid']),
                    self.row(models.Node, node), Settings())
        task.driver = driver
        self.assertRaises(operations.LeaseLost, runner.Runner(
            self.database, KINDS['compose'], task, {}, lambda: False).run)
        self.assertEqual([], driver.calls)
        self.assertEqual('intent', self.journal(operation)['compose'][
            'state'])

    def test_not_for_a_call_that_could_outlast_it(self):
        held = HeldLease(operations.Lease('o', 1, 1, 60.0),
                         time.monotonic() - 58.5)
        self.assertRaises(operations.LeaseLost, held.hardware().__enter__)
        with held.reading():
            pass
        held.renewed(time.monotonic())
        with held.hardware():
            self.assertLess(deadline.remaining(99.0), 60.0)


class Stop(EngineTest):

    def test_a_step_ends_and_the_rest_is_for_somebody_else_at_once(self):
        _, driver = self.pod()
        entered, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def compose(spec):
            entered.set()
            go_on.wait(self.patience)

        driver.script['compose'] = [compose]
        running = self.engine(lease=3600.0)
        _, operation = self.compose()
        running.ring(operation)
        self.assertTrue(entered.wait(self.patience))
        thread = threading.Thread(target=running.stop)
        thread.start()
        self.until('it is to stop', running._stopping.is_set)
        go_on.set()
        thread.join()
        row = self.row(models.Operation, operation)
        self.assertEqual(('running', None, None, None), (
            row['state'], row['owner'], row['lease_expires_at'],
            row['not_before']))
        self.assertEqual({'compose': 'done'}, {
            name: step['state']
            for name, step in self.journal(operation).items()})
        self.engine(owner='b' * 36)
        self.assertEqual('succeeded', self.ended(operation)['state'])
        self.assertEqual(1, driver.count('compose'))


class Unknown(EngineTest):

    def setUp(self):
        super().setUp()
        self.pod()
        self.node, self.operation = self.compose()
        self.change(kind='of the future')

    def change(self, **values):
        with self.database.write() as conn:
            conn.execute(sa.update(operations.OPERATIONS).values(**values))

    def test_left_to_a_newer_conductor(self):
        self.engine().ring(self.operation)
        waiting = self.until('it is put off', lambda: (
            row := self.row(models.Operation, self.operation)
            )['not_before'] and row)
        self.assertEqual(
            ('running', 'unknown_kind', True),
            (waiting['state'], waiting['error_code'],
             'of the future' in waiting['error']))
        self.change(kind='compose', not_before=None)
        ended = self.ended(self.operation)
        self.assertEqual(('succeeded', None, None), (
            ended['state'], ended['error_code'], ended['error']))

    def test_an_undo_keeps_its_reason(self):
        self.change(undoing=True, error_code='cancelled', error='on request')
        self.engine().ring(self.operation)
        waiting = self.until('it is put off', lambda: (
            row := self.row(models.Operation, self.operation)
            )['not_before'] and row)
        self.assertEqual(('cancelled', 'on request'), (
            waiting['error_code'], waiting['error']))

    def test_not_for_ever(self):
        self.change(deadline_at=utcnow(-1))
        self.engine()
        self.assertEqual('unknown_kind',
                         self.ended(self.operation)['error_code'])
        row = self.row(models.Node, self.node)
        self.assertEqual(('error', None), (row['state'],
                                           row['operation_uuid']))


class Faults(EngineTest):
    """Errors that nobody expected, outside of the calls of a driver."""

    def setUp(self):
        super().setUp()
        self.uuid, self.driver = self.pod()
        self.useFixture(fixtures.MockPatchObject(
            engine, 'BACKOFF', (0.01,) * 9))
        self.running = self.engine()
        self.count = 0

    def break_(self, kind, *functions, times=99, error=None):
        """Make functions of a kind raise, so many times."""
        whole = KINDS[kind]

        def broken(name):
            def function(*args):
                self.count += 1
                if self.count <= times:
                    raise error or TypeError('a bug')
                return getattr(whole, name)(*args)
            return function

        KINDS[kind] = dataclasses.replace(
            whole, **{name: broken(name) for name in functions})
        self.addCleanup(KINDS.__setitem__, kind, whole)

    def end(self, operation):
        self.running.ring(operation)
        return self.ended(operation)

    def test_a_few_do_no_harm(self):
        self.break_('compose', 'finish', times=2)
        _, operation = self.compose()
        ended = self.end(operation)
        self.assertEqual(('succeeded', 2), (ended['state'], ended['faults']))
        self.assertEqual(1, self.driver.count('compose'))

    def test_an_undo_that_meets_one_keeps_its_reason(self):
        """Found by the matrix, seed 1: it was no longer cancelled."""
        self.break_('compose', 'fail', times=1)
        _, operation = self.compose()
        self.database.run(requests.cancel, REQUESTER, operation)
        ended = self.end(operation)
        self.assertEqual(('cancelled', 'cancelled', 1), (
            ended['state'], ended['error_code'], self.count - 1))

    def test_many_are_said_and_what_was_done_is_undone(self):
        self.break_('compose', 'finish')
        audit.enable(True)
        self.addCleanup(audit.enable, False)
        node, operation = self.compose()
        with self.assertLogs('valence.audit', 'INFO') as logs:
            ended = self.end(operation)
            self.until('it is in the audit log', lambda: logs.output)
        self.assertEqual(('failed', 'internal_error', 3), (
            ended['state'], ended['error_code'], self.count))
        self.assertNotIn('a bug', ended['error'])
        self.assertEqual(({}, []), (self.driver.systems, self.claims()))
        row = self.row(models.Node, node)
        self.assertEqual(('error', ended['error']), (
            row['state'], row['state_reason']))
        self.assertIn('internal_error', logs.output[0])
        # The way out, once the fault is mended.
        self.count = 99
        again = self.end(self.database.run(
            remedies.retry, REQUESTER, operation))
        self.assertEqual('succeeded', again['state'])
        self.assertEqual('active', self.row(models.Node, node)['state'])

    def test_not_even_its_failure_can_be_written(self):
        self.break_('compose', 'finish', 'fail')
        node, operation = self.compose()
        ended = self.end(operation)
        self.assertEqual('internal_error', ended['error_code'])
        row = self.row(models.Node, node)
        self.assertEqual(('error', None), (row['state'],
                                           row['operation_uuid']))

    def test_a_sync_lets_go_of_its_pod_manager(self):
        self.break_('sync', 'finish', 'fail')
        ended = self.end(self.database.run(requests.sync, REQUESTER,
                                           self.uuid))
        self.assertEqual('internal_error', ended['error_code'])
        self.assertIsNone(
            self.row(models.PodManager, self.uuid)['operation_uuid'])

    def test_an_intent(self):
        compose = KINDS['compose']
        self.break_('compose')
        KINDS['compose'] = dataclasses.replace(compose, steps=[
            dataclasses.replace(step, intent=lambda task: task.nothing)
            for step in compose.steps])
        _, operation = self.compose()
        self.assertEqual('internal_error', self.end(operation)['error_code'])
        self.assertEqual([], self.driver.calls)

    def test_a_database_that_is_away_is_none(self):
        for error in (db_exc.DBConnectionError(ConnectionError('away')),
                      sa.exc.TimeoutError('too busy')):
            self.running.stop()
            self.database = Database(self.database.url, max_retries=0)
            self.addCleanup(self.database.close)
            self.break_('compose', 'finish', times=1, error=error)
            self.running = self.engine(lease=60.0)
            _, operation = self.compose(str(error))
            self.running.ring(operation)
            self.until('it is left', lambda: (
                self.count and not self.running._running))
            row = self.row(models.Operation, operation)
            self.assertEqual(('running', 0), (row['state'], row['faults']))
            with self.database.write() as conn:
                conn.execute(sa.update(operations.OPERATIONS).values(
                    lease_expires_at=utcnow(-1)))
            self.assertEqual('succeeded', self.end(operation)['state'])
            self.count = 0


class BackendChooses(EngineTest):

    def setUp(self):
        super().setUp()
        self.uuid, self.driver = self.pod()
        self.driver.capabilities = dataclasses.replace(
            self.driver.capabilities, allocation=base.Allocation.BACKEND)
        with self.database.write() as conn:
            conn.execute(sa.update(models.PodManager).values(
                capabilities=self.driver.capabilities.to_dict()))
        self.running = self.engine()

    def choose(self, *paths):
        def compose(spec):
            self.assertEqual((), spec.device_paths)
            self.driver.systems[spec.tag] = paths
            return base.Done(base.Handle('/s/' + spec.tag))
        return compose

    def composed(self, name):
        node, operation = self.compose(name)
        self.running.ring(operation)
        return node, self.ended(operation)

    def test_what_it_chose_is_claimed(self):
        self.driver.script['compose'] = [self.choose('/d/1', '/x/unknown')]
        node, ended = self.composed('n')
        self.assertEqual('succeeded', ended['state'])
        self.assertEqual(['/d/1', '/x/unknown'], sorted(self.claims()))

    def test_what_may_be_left_is_not_composed_again(self):
        """The node has no claims yet that would say so."""
        self.driver.script['compose'] = [
            lambda spec: base.Pending({'task': 1}, 1000.0)]
        node, operation = self.compose()
        self.running.ring(operation)
        self.until('it waits', lambda: self.row(
            models.Operation, operation)['not_before'])
        self.database.run(remedies.abandon, REQUESTER, operation)
        error = self.assertRaises(
            errors.Conflict, self.database.run, remedies.retry, REQUESTER,
            operation)
        self.assertEqual('not_retryable', error.code)
        # It turns up after all.
        self.driver.systems[f'valence-{node}'] = ('/d/1',)
        release = self.database.run(requests.release, REQUESTER, node)
        self.running.ring(release)
        self.assertEqual('succeeded', self.ended(release)['state'])
        self.assertEqual({}, self.driver.systems)

    def test_what_belongs_to_another_node_is_given_back(self):
        self.driver.script['compose'] = [self.choose('/d/1'),
                                         self.choose('/d/1', '/d/2')]
        self.composed('n1')
        node, ended = self.composed('n2')
        self.assertEqual('device_in_use', ended['error_code'])
        self.assertEqual(['/d/1'], self.claims())
        self.assertEqual('error', self.row(models.Node, node)['state'])
        self.assertEqual(1, len(self.driver.systems))


class Power(EngineTest):

    def setUp(self):
        super().setUp()
        _, self.driver = self.pod()
        self.running = self.engine()
        self.node, operation = self.compose()
        self.running.ring(operation)
        self.ended(operation)
        self.driver.calls.clear()

    def power(self, reset_type):
        operation = self.database.run(requests.power, REQUESTER, self.node,
                                      reset_type)
        self.running.ring(operation)
        return self.ended(operation)

    def test_on(self):
        self.assertEqual('succeeded', self.power('On')['state'])
        self.assertEqual('On', self.row(models.Node,
                                        self.node)['power_state'])

    def test_what_is_so_already_is_not_sent(self):
        self.driver.power = 'On'
        self.assertEqual('succeeded', self.power('On')['state'])
        self.assertEqual(0, self.driver.count('set_power'))

    def test_an_ambiguous_restart_is_not_sent_again(self):
        self.driver.script['set_power'] = [base.Ambiguous('lost')]
        ended = self.power('ForceRestart')
        self.assertEqual('ambiguous', ended['error_code'])
        self.assertEqual(1, self.driver.count('set_power'))
        row = self.row(models.Node, self.node)
        self.assertEqual(('error', None), (row['state'],
                                           row['operation_uuid']))
        self.assertIn('power (ForceRestart) may have taken effect',
                      row['state_reason'])
        self.assertEqual(1, len(self.claims()))

    def test_a_restart_that_was_not_sent_is_sent_again(self):
        self.driver.script['set_power'] = [base.Unreachable('away')]
        self.assertEqual('succeeded', self.power('ForceRestart')['state'])
        self.assertEqual(2, self.driver.count('set_power'))

    def test_hardware_that_is_gone(self):
        self.driver.systems.clear()
        self.assertEqual('hardware_gone', self.power('On')['error_code'])
        self.assertEqual('error', self.row(models.Node, self.node)['state'])


class Release(EngineTest):

    def test_its_place_may_be_anothers_at_once(self):
        """Found by the matrix, seed 1: a number was given again."""
        _, driver = self.pod()
        running = self.engine()
        node, operation = self.compose()
        running.ring(operation)
        self.ended(operation)
        look = driver.observe
        driver.observe = lambda handle: look(handle) or base.NodeHardware(
            handle, 'another', 'Off', 'OK', ())
        release = self.database.run(requests.release, REQUESTER, node)
        running.ring(release)
        self.assertEqual('succeeded', self.ended(release)['state'])
        self.assertEqual([], self.claims())
        self.assertIsNone(self.row(models.Node, node))


class Devices(EngineTest):

    def setUp(self):
        super().setUp()
        self.uuid, self.driver = self.pod()
        self.running = self.engine()
        self.node, operation = self.compose()
        self.running.ring(operation)
        self.ended(operation)
        self.driver.calls.clear()

    def device(self, path):
        with self.database.read() as conn:
            return conn.execute(sa.select(models.Device.__table__).where(
                models.Device.resource_path == path)).one()

    def ask(self, function, path):
        operation = self.database.run(function, REQUESTER, self.node,
                                      self.device(path).uuid)
        self.running.ring(operation)
        return self.ended(operation)

    def joined(self):
        return next(iter(self.driver.systems.values()))

    def test_attached_and_detached(self):
        self.assertEqual('succeeded',
                         self.ask(requests.attach, '/n/1')['state'])
        self.assertEqual(self.joined(), tuple(sorted(self.claims())))
        self.assertIn('/n/1', self.joined())
        self.assertEqual('used', self.device('/n/1').state)
        self.assertEqual('succeeded',
                         self.ask(requests.detach, '/n/1')['state'])
        self.assertNotIn('/n/1', self.claims())
        self.assertEqual('free', self.device('/n/1').state)
        self.assertEqual('active', self.row(models.Node, self.node)['state'])

    def test_a_lost_answer_is_looked_for(self):
        def lost(handle, path):
            self.driver.join(handle, path)
            raise base.Ambiguous('lost')

        self.driver.script['attach'] = [lost]
        self.assertEqual('succeeded',
                         self.ask(requests.attach, '/n/1')['state'])
        self.assertEqual(1, self.driver.count('attach'))

    def test_refused(self):
        self.driver.script['attach'] = [base.Refused('no', 409)]
        self.assertEqual('backend_refused',
                         self.ask(requests.attach, '/n/1')['error_code'])
        self.assertNotIn('/n/1', self.claims())
        row = self.row(models.Node, self.node)
        self.assertEqual(('active', None),
                         (row['state'], row['operation_uuid']))

    def test_a_refused_detach_keeps_the_claim(self):
        self.ask(requests.attach, '/n/1')
        self.driver.script['detach'] = [base.Refused('no', 409)]
        self.assertEqual('backend_refused',
                         self.ask(requests.detach, '/n/1')['error_code'])
        self.assertIn('/n/1', self.claims())

    def gone_then_broken(self, *args):
        tag, = self.driver.systems
        self.driver.systems[tag] = tuple(
            path for path in self.joined() if path != '/n/1')
        raise TypeError('a bug')

    def test_a_fault_after_a_detach_does_not_keep_the_claim(self):
        """Found by the matrix, seed 25: the node kept what it had lost."""
        self.ask(requests.attach, '/n/1')
        self.driver.script['detach'] = [self.gone_then_broken]
        self.assertEqual('succeeded',
                         self.ask(requests.detach, '/n/1')['state'])
        self.assertEqual(self.joined(), tuple(self.claims()))

    def test_a_fault_while_a_detach_is_polled_does_not_keep_the_claim(self):
        self.ask(requests.attach, '/n/1')
        self.driver.script['detach'] = [
            lambda *args: base.Pending({'task': 1}, 0.01)]
        self.driver.script['poll'] = [TypeError('a bug')]
        self.assertEqual('succeeded',
                         self.ask(requests.detach, '/n/1')['state'])
        self.assertEqual(self.joined(), tuple(self.claims()))

    def test_a_fault_before_a_detach_is_said(self):
        self.ask(requests.attach, '/n/1')
        self.driver.script['detach'] = [TypeError('a bug')]
        self.assertEqual('internal_error',
                         self.ask(requests.detach, '/n/1')['error_code'])
        self.assertEqual(self.joined(), tuple(self.claims()))

    def test_what_cannot_be_attached(self):
        for path, code in (('/n/2', 'other_zone'),
                           (self.claims()[0], 'device_in_use')):
            error = self.assertRaises(
                errors.Conflict, self.database.run, requests.attach,
                REQUESTER, self.node, self.device(path).uuid)
            self.assertEqual(code, error.code)
        error = self.assertRaises(
            errors.BadRequest, self.database.run, requests.attach,
            REQUESTER, self.node, self.node)
        self.assertEqual('unknown_device', error.code)
        self.assertIsNone(self.row(models.Node, self.node)['operation_uuid'])

    def test_what_cannot_be_detached(self):
        error = self.assertRaises(
            errors.BadRequest, self.database.run, requests.detach,
            REQUESTER, self.node, self.device(self.claims()[0]).uuid)
        self.assertEqual('unsupported', error.code)
        error = self.assertRaises(
            errors.Conflict, self.database.run, requests.detach,
            REQUESTER, self.node, self.device('/n/1').uuid)
        self.assertEqual('device_not_attached', error.code)


class Places(EngineTest):

    def test_a_hanging_pod_leaves_threads_to_the_others(self):
        sick, sick_driver = self.pod('sick', devices=8)
        well, _ = self.pod('well')
        hang = threading.Event()
        self.addCleanup(hang.set)
        sick_driver.script['compose'] = [lambda spec: hang.wait(30)
                                         and None] * 8
        engine = self.engine(threads=4, threads_per_pod=2)
        hanging = [self.compose(f's{number}', sick)[1]
                   for number in range(8)]
        for operation in hanging:
            engine.ring(operation)
        self.until('the sick pod has all its places', lambda: (
            sick_driver.count('compose') == 2))
        _, operation = self.compose('w', well)
        engine.ring(operation)
        self.assertEqual('succeeded', self.ended(operation)['state'])
        self.assertEqual(2, sick_driver.count('compose'))
        hang.set()
        for operation in hanging:
            self.assertEqual('succeeded', self.ended(operation)['state'])

    def test_silent_pods_leave_threads_to_the_others(self):
        go_on = threading.Event()

        def away(spec):
            go_on.wait(30)
            raise base.Unreachable('away')

        drivers, hanging = [], []
        for name in ('p1', 'p2', 'p3'):
            pod, driver = self.pod(name)
            drivers.append(driver)
            driver.script['compose'] = [away] * 99
            with self.database.write() as conn:
                conn.execute(sa.update(models.PodManager).values(failures=1)
                             .where(models.PodManager.uuid == pod))
            hanging += [self.compose(f'{name}-{number}', pod)[1]
                        for number in range(3)]
        well, _ = self.pod('well')
        engine = self.engine(threads=5, threads_per_pod=2)
        self.addCleanup(go_on.set)
        for operation in hanging:
            engine.ring(operation)
        self.until('each has its place', lambda: all(
            driver.count('compose') for driver in drivers))
        _, operation = self.compose('w', well)
        engine.ring(operation)
        self.assertEqual('succeeded', self.ended(operation)['state'])
        self.assertEqual([1, 1, 1], [
            driver.count('compose') for driver in drivers])

    def test_a_pod_that_answers_again_has_all_its_places(self):
        pod, driver = self.pod(devices=4)
        with self.database.write() as conn:
            conn.execute(sa.update(models.PodManager).values(failures=1))
        first, rest = threading.Event(), threading.Event()
        driver.script['compose'] = [
            lambda spec: first.wait(30) and None,
            *[lambda spec: rest.wait(30) and None] * 3]
        engine = self.engine(threads=4, threads_per_pod=4)
        self.addCleanup(first.set)
        self.addCleanup(rest.set)
        ids = [self.compose(f'n{number}', pod)[1] for number in range(4)]
        for uuid in ids:
            engine.ring(uuid)
        self.until('all are acquired', lambda: all(
            self.row(models.Operation, uuid)['owner'] for uuid in ids))
        self.assertEqual(1, driver.count('compose'))
        first.set()
        self.until('the others are at work together', lambda: (
            driver.count('compose') == 4))

    def test_a_stopping_process_gives_back_what_waits(self):
        _pod, driver = self.pod(devices=4)
        hang, calls = threading.Event(), []
        driver.script['compose'] = [lambda spec: hang.wait(30) and None] * 4
        engine = self.engine(threads=4, threads_per_pod=1)
        ids = [self.compose(f'n{number}')[1] for number in range(3)]
        for operation in ids:
            engine.ring(operation)
        self.until('all are acquired', lambda: all(
            self.row(models.Operation, uuid)['owner'] for uuid in ids))
        thread = threading.Thread(target=engine.stop)
        thread.start()
        self.until('two are given back', lambda: sum(
            self.row(models.Operation, uuid)['owner'] is None
            for uuid in ids) == 2)
        hang.set()
        thread.join()
        self.assertEqual([], calls)
        self.assertEqual(1, driver.count('compose'))
        self.engine(owner='b' * 36)
        for uuid in ids:
            self.assertEqual('succeeded', self.ended(uuid)['state'])
        self.assertEqual(3, driver.count('compose'))


class Breaker(EngineTest):

    def test_opens_and_closes(self):
        uuid, driver = self.pod()
        away = base.Unreachable('away')
        driver.script = {'compose': [away], 'find': [away] * 2}
        self.engine(Settings(breaker_tolerance=2, breaker_pause=0.3))
        _, operation = self.compose()
        opened = self.until('it opens', lambda: (
            row := self.row(models.PodManager, uuid))['retry_at'] and row)
        self.assertGreaterEqual(opened['failures'], 2)
        self.assertEqual('succeeded', self.ended(operation)['state'])
        closed = self.row(models.PodManager, uuid)
        self.assertEqual((0, None), (closed['failures'],
                                     closed['retry_at']))

    def test_nothing_is_sent_while_it_is_open(self):
        _uuid, driver = self.pod()
        with self.database.write() as conn:
            conn.execute(sa.update(models.PodManager).values(
                failures=9, retry_at=utcnow(1000)))
        engine = self.engine()
        _, operation = self.compose()
        engine.ring(operation)
        self.until('it is put off', lambda: self.row(
            models.Operation, operation)['not_before'])
        self.assertEqual([], driver.calls)


class Sync(EngineTest):

    def test_by_the_clock(self):
        uuid, _driver = self.pod()
        with self.database.write() as conn:
            conn.execute(sa.update(models.PodManager).values(
                next_sync_at=utcnow()))
        self.engine()
        row = self.until('it is synced', lambda: (
            row := self.row(models.PodManager, uuid))['last_sync_at']
            and row)
        self.assertEqual(('online', None), (row['status'],
                                            row['operation_uuid']))
        self.assertGreater(row['next_sync_at'], row['last_sync_at'])

    def test_a_bad_password(self):
        uuid, driver = self.pod()
        driver.script['identify'] = [base.Unauthorized('wrong password')]
        operation = self.database.run(requests.sync, REQUESTER, uuid)
        self.engine().ring(operation)
        self.assertEqual('backend_unauthorized',
                         self.ended(operation)['error_code'])
        row = self.row(models.PodManager, uuid)
        self.assertEqual(('error', 'wrong password'), (
            row['status'], row['status_reason']))
