# SPDX-License-Identifier: Apache-2.0
"""Which differences a scan shows, and which it does not."""

import testtools

from valence.conductor.comparison import Known, compare
from valence.drivers.base import System

A, B, C = (f'{letter * 8}-0000-0000-0000-000000000000' for letter in 'abc')


def known(uuid=A, devices=('/d/1',), path='/s/1', state='active',
          quiet=True):
    return Known(uuid, state, path, {'resource_path': path, 'extra': {}}, 7,
                 quiet, frozenset(devices))


def system(path='/s/1', devices=('/d/1',), tag=A, composed=True):
    return System(path, path, composed=composed, device_paths=devices,
                  tag=tag and f'valence-{tag}')


class Compare(testtools.TestCase):

    def found(self, systems, nodes, elsewhere=()):
        return [(one.kind, one.resource_path, one.node_uuid, bool(one.act))
                for one in compare(systems, nodes, elsewhere)]

    def test_equal(self):
        self.assertEqual([], compare([system()], [known()]))

    def test_other_devices(self):
        one, = compare([system(devices=('/d/2', '/d/3'))],
                       [known(devices=('/d/1', '/d/2'))])
        self.assertEqual(('mismatch', '/s/1', A), (
            one.kind, one.resource_path, one.node_uuid))
        self.assertEqual({
            'expected': ['/d/1', '/d/2'], 'found': ['/d/2', '/d/3'],
            'lacking': ['/d/1'], 'not_asked_for': ['/d/3'],
            'systems': ['/s/1']}, one.details)
        self.assertEqual({'handle': {'resource_path': '/s/1', 'extra': {}},
                          'generation': 7, 'expected': ['/d/1', '/d/2']},
                         one.act)

    def test_elsewhere_or_twice(self):
        self.assertEqual([('mismatch', '/s/1', A, True)], self.found(
            [system('/s/2')], [known()]))
        one, = compare([system(), system('/s/2')], [known()])
        self.assertEqual(['/s/1', '/s/2'], one.details['systems'])

    def test_gone(self):
        self.assertEqual([('gone', '/s/1', A, True)],
                         self.found([], [known()]))

    def test_not_gone_while_somebody_uses_its_devices(self):
        self.assertEqual(
            [('foreign', '/s/9', None, False), ('mismatch', '/s/1', A, True)],
            self.found([system('/s/9', tag=None)], [known()]))

    def test_a_node_in_error_is_only_reported(self):
        self.assertEqual([('gone', '/s/1', A, False)],
                         self.found([], [known(state='error')]))
        self.assertEqual([('mismatch', '/s/1', A, False)], self.found(
            [system(devices=())], [known(state='error')]))
        self.assertEqual([], self.found(
            [], [known(state='error', devices=())]))

    def test_who_is_busy_says_nothing(self):
        busy = known(quiet=False)
        for systems in ([], [system(devices=('/d/2',))],
                        [system('/s/9', tag=None)], [system('/s/9', tag=B)]):
            self.assertEqual([], compare(systems, [busy]))

    def test_without_tags_the_place_counts(self):
        self.assertEqual([], compare([system(tag=None)], [known()]))
        self.assertEqual([('foreign', '/s/2', None, False)], self.found(
            [system(tag=None), system('/s/2', ('/d/2',), None),
             system('/s/3', ('/d/3',), None, composed=False)], [known()]))

    def test_a_reused_place(self):
        self.assertEqual(
            [('mismatch', '/s/1', A, True), ('mismatch', '/s/1', B, True)],
            self.found([system(tag=B)], [known(), known(B, ('/d/2',))]))

    def test_orphans(self):
        one, = compare([system('/s/2', ('/d/2',), B)], [])
        self.assertEqual(('orphan', B, {'found': ['/d/2']}),
                         (one.kind, one.node_uuid, one.act))
        self.assertEqual([('orphan', '/s/2', B, False)], self.found(
            [system('/s/2', (), B)], []))

    def test_an_orphan_with_devices_of_a_node(self):
        orphan, node = compare([system('/s/2', ('/d/1',), B)], [known()])
        self.assertEqual(('orphan', {}, [A]), (
            orphan.kind, orphan.act, orphan.details['claimed_by']))
        self.assertEqual(('mismatch', ['/s/2']),
                         (node.kind, node.details['used_by']))

    def test_a_node_of_another_pod_manager(self):
        self.assertEqual([('foreign', '/s/2', B, False)], self.found(
            [system('/s/2', ('/d/2',), B)], [], {B}))
