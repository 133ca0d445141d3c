# SPDX-License-Identifier: Apache-2.0
"""The table of a node's states, and that nobody gets past it."""

import itertools
import os

import fixtures
import testtools

from valence.common import states
from valence.conductor.operations import KINDS
from valence.db import migration, nodes, pod_managers
from valence.db.engine import Database

STATES = {states.COMPOSING, states.ACTIVE, states.RELEASING, states.ERROR}


class Table(testtools.TestCase):

    def test_each_event_leads_to_one_state(self):
        for source, kind, event, target in states.TRANSITIONS:
            self.assertIn(source, {*STATES, states.NONE})
            if target == states.NONE:
                continue
            self.assertEqual(target, states.after(
                kind, event, source if source == states.NONE else None))
            self.assertIn(source, states.before(kind, event, target))

    def test_no_way_is_a_dead_end(self):
        ways = {(source, target) for source, _, _, target
                in states.TRANSITIONS}
        reached = {states.ERROR}
        for _ in STATES:
            reached |= {target for source, target in ways
                        if source in reached}
        self.assertEqual({*STATES, states.NONE}, reached)
        # Whatever holds a node can be ended.
        self.assertEqual(STATES, set(states.before(
            states.ANY, states.ABANDONED)))

    def test_every_kind_is_known(self):
        kinds = {kind for _, kind, _, _ in states.TRANSITIONS}
        self.assertEqual({*KINDS, 'quarantine'} - {'sync'},
                         kinds - {states.ANY})

    def test_active_is_read_back(self):
        """Only these end with a look at the hardware (promise I6)."""
        self.assertEqual(
            {('compose', states.SUCCEEDED), ('verify', states.SUCCEEDED),
             ('reconcile', states.SUCCEEDED)},
            {(kind, event) for source, kind, event, target
             in states.TRANSITIONS
             if target == states.ACTIVE != source})


class Nodes(testtools.TestCase):

    def setUp(self):
        super().setUp()
        directory = self.useFixture(fixtures.TempDir()).path
        self.database = Database(
            'sqlite:///' + os.path.join(directory, 'v.sqlite'))
        self.addCleanup(self.database.close)
        migration.upgrade(self.database)
        self.database.run(pod_managers.create, {
            'name': 'p', 'url': 'https://p', 'driver': 'fake'})
        self.database.run(
            nodes.insert, uuid='n', name='n', project_id='p',
            pod_manager_id=1, requirements={}, operation_uuid='o')

    def node(self):
        with self.database.read() as conn:
            return nodes.get(conn, 'n')

    def put(self, state, holder):
        with self.database.write() as conn:
            conn.execute(nodes.NODES.update().values(
                state=state, operation_uuid=holder))

    def test_nothing_else_is_possible(self):
        kinds = sorted({row[1] for row in states.TRANSITIONS})
        for state, kind, event in itertools.product(
                sorted(STATES), kinds, (states.SUCCEEDED, states.FAILED)):
            self.put(state, 'o')
            try:
                moved = self.database.run(nodes.end, 'n', 'o', kind, event)
            except ValueError:
                self.assertEqual((), states.before(kind, event, state))
                continue
            row = self.node()
            if moved:
                self.assertIn((state, kind, event, row['state']),
                              states.TRANSITIONS)
                self.assertIsNone(row['operation_uuid'])
            else:
                self.assertEqual((state, 'o'),
                                 (row['state'], row['operation_uuid']))

    def test_taken_by_one_at_a_time(self):
        for state in STATES:
            self.put(state, None)
            for kind in ('release', 'power', 'verify'):
                taken = self.database.run(nodes.take, 'n', kind, kind)
                self.assertEqual(
                    state in states.before(kind, states.ACCEPTED), taken)
                if taken:
                    self.assertFalse(self.database.run(
                        nodes.take, 'n', 'other', kind))
                    self.put(state, None)

    def test_since_when(self):
        self.put(states.ACTIVE, None)
        since = self.node()['state_since']
        self.database.run(nodes.take, 'n', 'o', 'power')
        self.assertEqual(since, self.node()['state_since'])
        self.database.run(nodes.end, 'n', 'o', 'power', states.FAILED)
        self.assertLess(since, self.node()['state_since'])

    def test_a_move_needs_the_node_as_it_was(self):
        self.put(states.ACTIVE, 'o')
        generation = self.node()['generation']
        for holder, given, moved in (('o', generation, False),
                                     (None, generation + 1, False),
                                     (None, generation, True)):
            self.put(states.ACTIVE, holder)
            self.assertEqual(moved, self.database.run(
                nodes.move, 'n', given, 'quarantine', states.ACCEPTED))

    def test_change_is_not_for_states(self):
        self.assertRaises(ValueError, self.database.run, nodes.change, 'n',
                          'o', state='active')
