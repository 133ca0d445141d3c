# SPDX-License-Identifier: Apache-2.0
"""What an operator can do about an operation, and about a node in error."""

import dataclasses
import threading

import sqlalchemy as sa

from valence import remedies, requests
from valence.common import errors
from valence.db import models, nodes, operations
from valence.drivers import base
from valence.tests.unit.conductor.fakes import EngineTest

ADMIN = requests.Requester('operators', 'alice', 'req-2')


class _Remedies(EngineTest):

    def setUp(self):
        super().setUp()
        self.uuid, self.driver = self.pod()
        self.running = self.engine(lease=3.0)

    def end(self, operation):
        self.running.ring(operation)
        return self.ended(operation)

    def ask(self, function, uuid):
        return self.database.run(function, ADMIN, uuid)

    def composed(self, name='n'):
        node, operation = self.compose(name)
        self.assertEqual('succeeded', self.end(operation)['state'])
        return node

    def node(self, uuid):
        return self.row(models.Node, uuid)

    def refused(self, code, function, uuid):
        error = self.assertRaises(errors.Conflict, self.ask, function, uuid)
        self.assertEqual(code, error.code)
        return error


class Retry(_Remedies):

    def failed_compose(self):
        self.driver.script['compose'] = [base.Refused('no', 400)]
        node, operation = self.compose()
        self.assertEqual('failed', self.end(operation)['state'])
        return node, operation

    def test_a_compose(self):
        node, operation = self.failed_compose()
        again = self.ask(remedies.retry, operation)
        self.assertNotEqual(operation, again)
        self.assertEqual('composing', self.node(node)['state'])
        self.assertEqual('succeeded', self.end(again)['state'])
        row = self.node(node)
        self.assertEqual(('active', None), (row['state'],
                                            row['state_reason']))
        self.assertEqual(self.driver.systems[f'valence-{node}'],
                         tuple(self.claims()))

    def test_a_compose_that_left_something(self):
        self.driver.script['release'] = [base.Refused('no', 400)]
        self.driver.script['observe'] = [base.Refused('broken', 400)]
        _, operation = self.compose()
        self.end(operation)
        self.assertNotEqual([], self.claims())
        self.refused('not_retryable', remedies.retry, operation)

    def test_a_release(self):
        node = self.composed()
        self.driver.script['release'] = [base.Refused('no', 400)]
        operation = self.ask(requests.release, node)
        self.assertEqual('failed', self.end(operation)['state'])
        self.end(self.ask(remedies.retry, operation))
        self.assertIsNone(self.node(node))
        self.assertEqual([], self.claims())

    def test_actions(self):
        node = self.composed()
        for ask, name, args in ((requests.power, 'set_power', ('On',)),
                                (requests.boot, 'set_boot',
                                 ('Pxe', 'Once'))):
            self.driver.script[name] = [base.Refused('no', 400)]
            operation = self.database.run(ask, ADMIN, node, *args)
            self.assertEqual('failed', self.end(operation)['state'])
            again = self.row(models.Operation,
                             self.ask(remedies.retry, operation))
            first = self.row(models.Operation, operation)
            self.assertEqual((first['kind'], first['params']),
                             (again['kind'], again['params']))
            self.end(again['uuid'])

    def test_devices(self):
        node = self.composed()
        with self.database.read() as conn:
            device = conn.scalar(sa.select(models.Device.uuid).where(
                models.Device.resource_path == '/n/1'))
        for ask in (requests.attach, requests.detach):
            self.driver.script[ask.__name__] = [base.Refused('no', 400)]
            operation = self.database.run(ask, ADMIN, node, device)
            self.assertEqual('failed', self.end(operation)['state'])
            self.assertEqual('succeeded', self.end(self.ask(
                remedies.retry, operation))['state'])

    def test_a_sync(self):
        self.driver.script['identify'] = [base.Unauthorized('no')]
        operation = self.ask(requests.sync, self.uuid)
        self.assertEqual('failed', self.end(operation)['state'])
        self.assertEqual('succeeded', self.end(
            self.ask(remedies.retry, operation))['state'])

    def test_one_that_waits_goes_on_now(self):
        self.driver.script['compose'] = [base.Busy('later', 500)]
        _, operation = self.compose()
        self.running.ring(operation)
        self.until('it waits', lambda: self.row(
            models.Operation, operation)['not_before'])
        self.assertEqual(operation, self.ask(remedies.retry, operation))
        self.assertEqual('succeeded', self.end(operation)['state'])

    def test_what_cannot_be_done_again(self):
        node, operation = self.failed_compose()
        self.end(self.ask(requests.release, node))
        self.refused('node_gone', remedies.retry, operation)
        _, operation = self.compose()
        self.end(operation)
        self.refused('operation_ended', remedies.retry, operation)


class Abandon(_Remedies):

    def hang(self, name):
        entered, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def hang(*args):
            entered.set()
            go_on.wait(30)

        self.driver.script[name] = [hang]
        return entered, go_on

    def test_its_owner_writes_nothing_more(self):
        entered, go_on = self.hang('compose')
        node, operation = self.compose()
        self.running.ring(operation)
        entered.wait(60)
        self.ask(remedies.abandon, operation)
        row = self.row(models.Operation, operation)
        self.assertEqual(('failed', 'abandoned', 2), (
            row['state'], row['error_code'], row['epoch']))
        held = self.node(node)
        self.assertEqual(('error', None, None), (
            held['state'], held['operation_uuid'], held['state_deadline']))
        self.assertIn('step compose was begun', held['state_reason'])
        self.assertIn('alice', held['state_reason'])
        self.assertEqual(1, len(self.claims()))
        go_on.set()
        self.until('the owner gives up', lambda: not self.running._running)
        self.assertEqual(row, self.row(models.Operation, operation))
        self.assertEqual(held, self.node(node))
        # Its last call may run on within its lease: that is waited for.
        release = self.ask(requests.release, node)
        self.assertEqual(row['lease_expires_at'], self.row(
            models.Operation, release)['not_before'])
        self.ask(remedies.retry, release)
        self.assertEqual(row['lease_expires_at'], self.row(
            models.Operation, release)['not_before'])
        self.end(release)
        self.assertEqual(({}, []), (self.driver.systems, self.claims()))

    def test_a_sync_lets_go_of_its_pod_manager(self):
        operation = self.ask(requests.sync, self.uuid)
        self.ask(remedies.abandon, operation)
        self.assertIsNone(
            self.row(models.PodManager, self.uuid)['operation_uuid'])

    def test_what_was_prepared_can_be_taken_apart(self):
        self.running.stop()
        node, operation = self.compose()
        lease, _ = self.database.run(operations.acquire, operation, 'x', 9.0)
        handle = {'resource_path': '/s/1', 'extra': {'devices': [1]}}
        with self.database.write() as conn:
            operations.write_intent(conn, lease, 'prepare', 0, {},
                                    again=False)
            operations.write_outcome(conn, lease, 'prepare', 'done',
                                     {'handle': handle})
        self.ask(remedies.abandon, operation)
        self.assertEqual(handle, self.node(node)['handle'])

    def test_what_is_over_cannot_be_abandoned(self):
        _, operation = self.compose()
        self.end(operation)
        self.refused('operation_ended', remedies.abandon, operation)


class ResetState(_Remedies):

    def test_to_error_and_back(self):
        node = self.composed()
        operation = self.row(models.Operation,
                             self.ask(remedies.quarantine, node))
        self.assertEqual(('quarantine', 'succeeded', 'alice'), (
            operation['kind'], operation['state'], operation['user_id']))
        row = self.node(node)
        self.assertEqual(('error', 'put in error by alice'),
                         (row['state'], row['state_reason']))
        self.assertEqual('succeeded', self.end(
            self.ask(remedies.verify, node))['state'])
        row = self.node(node)
        self.assertEqual(('active', None, None), (
            row['state'], row['state_reason'], row['operation_uuid']))

    def test_only_what_equals_its_claims_is_active_again(self):
        node = self.composed()
        self.ask(remedies.quarantine, node)
        tag = f'valence-{node}'
        whole = self.driver.systems[tag]
        for joined, code in (((*whole, '/n/1'), 'hardware_mismatch'),
                             ((), 'hardware_mismatch'),
                             (None, 'hardware_gone')):
            self.driver.systems.pop(tag, None)
            if joined is not None:
                self.driver.systems[tag] = joined
            ended = self.end(self.ask(remedies.verify, node))
            self.assertEqual(('failed', code),
                             (ended['state'], ended['error_code']))
            row = self.node(node)
            self.assertEqual(('error', ended['error'], None), (
                row['state'], row['state_reason'], row['operation_uuid']))
        self.assertEqual(list(whole), self.claims())

    def test_only_what_is_whole_is_active_again(self):
        node = self.composed()
        self.ask(remedies.quarantine, node)
        self.driver.unfinished = 'Failed'
        self.assertEqual('hardware_mismatch', self.end(
            self.ask(remedies.verify, node))['error_code'])
        row = self.node(node)
        self.assertEqual('error', row['state'])
        self.assertIn('calls it Failed', row['state_reason'])

    def test_a_recorded_place_is_corrected(self):
        node = self.composed()
        self.ask(remedies.quarantine, node)
        with self.database.write() as conn:
            conn.execute(sa.update(nodes.NODES).values(
                resource_path='/s/old', handle={
                    'resource_path': '/s/old', 'extra': {}}))
        self.end(self.ask(remedies.verify, node))
        self.assertEqual(f'/s/valence-{node}',
                         self.node(node)['handle']['resource_path'])

    def test_a_busy_node(self):
        node = self.composed()
        self.running.stop()
        power = self.database.run(requests.power, ADMIN, node, 'On')
        self.assertIsNotNone(self.node(node)['state_deadline'])
        for function in (remedies.quarantine, requests.release):
            error = self.refused('node_busy', function, node)
            row = self.row(models.Operation, power)
            for told in (power, '(power)',
                         f'{row["created_at"]:%Y-%m-%dT%H:%M:%SZ}',
                         f'{row["deadline_at"]:%Y-%m-%dT%H:%M:%SZ}'):
                self.assertIn(told, str(error))
            self.assertEqual({'Retry-After': '2'}, error.headers)

    def test_a_node_that_owns_nothing(self):
        self.driver.script['compose'] = [base.Refused('no', 400)]
        node, operation = self.compose()
        self.end(operation)
        self.refused('no_hardware', remedies.verify, node)

    def test_an_active_node_needs_no_look(self):
        error = self.refused('node_not_active', remedies.verify,
                             self.composed())
        self.assertIn('needs error', str(error))


class WithoutTags(_Remedies):

    def test_the_recorded_place_is_looked_at(self):
        with self.database.write() as conn:
            conn.execute(sa.update(models.PodManager).values(
                capabilities=dataclasses.replace(
                    self.driver.capabilities, tags=False).to_dict()))
        node = self.composed()
        self.ask(remedies.quarantine, node)
        self.end(self.ask(remedies.verify, node))
        self.assertEqual('active', self.node(node)['state'])
        self.assertEqual(0, self.driver.count('find'))
