# SPDX-License-Identifier: Apache-2.0
"""Does a node survive whatever happens while it is made or taken apart?

Every change is cut off once, and at every point a stranger comes by.
"""

from valence.drivers import base
from valence.tests.unit.drivers.test_expether_compose import Case


class Crashes(Case):
    """At every change: it took effect or not, and nobody was told."""

    def points(self):
        for number in range(1, 5):
            for fault in ('lost', 'never'):
                with self.subTest(number=number, fault=fault):
                    self.start()
                    yield number, fault

    def crash(self, number, fault):
        """Begin a node, and be cut off at one change; the spec."""
        spec = self.prepare()
        self.manager.faults[number] = fault
        self.assertRaises(base.Ambiguous, self.driver.compose, spec)
        self.assertEqual(number, len(self.sent()))
        self.successor()
        return spec

    def test_a_successor_goes_on(self):
        for number, fault in self.points():
            spec = self.crash(number, fault)
            handle = self.driver.compose(spec).handle
            self.assertEqual(dict.fromkeys(spec.device_paths, 16),
                             self.manager.taken())
            self.assertEqual(set(spec.device_paths), self.paths(handle))
            # Each device was moved once, whatever was said about it.
            self.assertEqual(4, len(self.manager.moves()))
            self.assertEqual(4, len(set(self.manager.moves())))

    def test_a_successor_undoes(self):
        for number, fault in self.points():
            spec = self.crash(number, fault)
            self.driver.release(spec.prepared)
            self.assertEqual({}, self.manager.taken())
            self.assertIsNone(self.driver.observe(spec.prepared))
            self.driver.release(spec.prepared)
            made = number - (fault == 'never')
            self.assertEqual(2 * made, len(self.manager.moves()))

    def test_it_is_seen_that_something_is_left(self):
        for number, fault in self.points():
            spec = self.crash(number, fault)
            made = number - (fault == 'never')
            self.assertEqual(made, len(self.paths(spec.prepared) or ()))

    def test_a_release_cut_off(self):
        for number, fault in self.points():
            handle = self.driver.compose(self.spec).handle
            self.manager.faults[4 + number] = fault
            self.assertRaises(base.Ambiguous, self.driver.release, handle)
            self.successor()
            left = 4 - number + (fault == 'never')
            self.assertEqual(left, len(self.paths(handle) or ()))
            self.driver.release(handle)
            self.assertEqual({}, self.manager.taken())
            self.assertIsNone(self.paths(handle))
            self.assertEqual(8, len(self.manager.moves()))

    def test_an_undo_cut_off(self):
        for number in range(1, 5):
            self.start()
            spec = self.prepare()
            self.driver.compose(spec)
            self.manager.faults[4 + number] = 'lost'
            self.assertRaises(base.Ambiguous, self.driver.release,
                              spec.prepared)
            self.successor()
            self.driver.release(spec.prepared)
            self.assertEqual({}, self.manager.taken())
            self.assertEqual(8, len(self.manager.moves()))

    def test_the_last_answer_was_lost_and_all_is_there(self):
        spec = self.crash(4, 'lost')
        self.driver.compose(spec)
        self.assertEqual(4, len(self.sent()))

    def test_a_board_that_went_down_after_all_was_done(self):
        spec = self.crash(4, 'lost')
        self.manager.service.change('status', {
            'device': self.eesv.rpartition('/')[2], 'up': False})
        self.driver.compose(spec)

    def test_attach_and_detach(self):
        for fault, moves in (('lost', 1), ('never', 0)):
            self.start()
            handle = self.driver.compose(self.spec).handle
            self.manager.faults = {5: fault, 7 - moves: fault}
            self.assertRaises(base.Ambiguous, self.driver.attach, handle,
                              self.eeios[3])
            self.successor()
            done = self.driver.attach(handle, self.eeios[3])
            self.assertIn(self.eeios[3], self.paths(handle))
            self.assertIn(self.eeios[3], done.handle.extra['devices'])
            self.assertRaises(base.Ambiguous, self.driver.detach, handle,
                              self.eeios[3])
            self.successor()
            done = self.driver.detach(handle, self.eeios[3])
            self.assertEqual(self.chosen, done.handle.extra['devices'])
            self.assertEqual(set(self.spec.device_paths),
                             self.paths(handle))
            self.assertEqual(6, len(self.manager.moves()))


class Strangers(Case):
    """Somebody else works on the same manager, at every point."""

    def test_a_device_taken_between_the_look_and_the_change(self):
        for number, path in enumerate(self.chosen, 2):
            self.start()
            spec = self.prepare()
            self.manager.faults[number] = lambda path=path: (
                self.manager.take(path))
            error = self.assertRaises(base.Refused, self.driver.compose,
                                      spec)
            self.assertEqual(409, error.status)
            self.successor()
            self.driver.release(spec.prepared)
            self.assertEqual({path: 77}, self.manager.taken())
            self.assertIsNone(self.driver.observe(spec.prepared))

    def test_a_device_taken_while_nobody_looked(self):
        for number in range(1, 4):
            for path in self.chosen[number - 1:]:
                self.start()
                spec = self.prepare()
                self.manager.faults[number] = 'lost'
                self.assertRaises(base.Ambiguous, self.driver.compose, spec)
                self.manager.take(path)
                self.successor()
                error = self.assertRaises(base.Refused, self.driver.compose,
                                          spec)
                self.assertIn('group 77', str(error))
                self.driver.release(spec.prepared)
                self.assertEqual({path: 77}, self.manager.taken())
                self.assertIsNone(self.driver.observe(spec.prepared))

    def test_a_server_taken_between_the_look_and_the_change(self):
        self.manager.faults[1] = lambda: (
            self.manager.take(self.eesv), self.manager.take(self.eeios[5]))
        spec = self.prepare()
        self.assertRaises(base.Refused, self.driver.compose, spec)
        self.driver.release(spec.prepared)
        self.assertEqual({self.eesv: 77, self.eeios[5]: 77},
                         self.manager.taken())
        self.assertIsNone(self.driver.observe(spec.prepared))

    def test_a_server_taken_while_nobody_looked(self):
        spec = self.prepare()
        for path in (self.eesv, self.eeios[5]):
            self.manager.take(path)
        self.assertRaises(base.Refused, self.driver.compose, spec)
        self.driver.release(spec.prepared)
        self.assertEqual(2, len(self.manager.taken()))
        self.assertEqual([], self.sent())

    def test_a_stranger_in_a_half_made_node(self):
        spec = self.prepare()
        self.manager.faults[2] = 'lost'
        self.assertRaises(base.Ambiguous, self.driver.compose, spec)
        self.manager.take(self.eeios[5], 16)
        error = self.assertRaises(base.Refused, self.driver.compose, spec)
        self.assertIn(self.eeios[5].rpartition('/')[2], str(error))
        self.driver.release(spec.prepared)
        self.assertEqual({self.eesv: 16, self.eeios[5]: 16},
                         self.manager.taken())

    def test_what_joined_a_node_goes_with_it(self):
        handle = self.driver.compose(self.spec).handle
        self.manager.take(self.eeios[5], 16)
        self.assertEqual({*self.spec.device_paths, self.eeios[5]},
                         self.paths(handle))
        self.driver.release(handle)
        self.assertEqual({}, self.manager.taken())

    def test_a_second_server_in_the_group_keeps_what_it_brought(self):
        handle = self.driver.compose(self.spec).handle
        for path in (self.eesvs[1], self.eeios[5]):
            self.manager.take(path, 16)
        self.driver.release(handle)
        self.assertEqual({self.eesvs[1]: 16, self.eeios[5]: 16},
                         self.manager.taken())
        self.assertIsNone(self.paths(handle))

    def test_a_server_taken_away_from_its_node(self):
        handle = self.driver.compose(self.spec).handle
        self.manager.take(self.eesv)
        self.assertEqual(set(self.chosen), self.paths(handle))
        self.assertRaises(base.Refused, self.driver.attach, handle,
                          self.eeios[3])
        self.driver.release(handle)
        self.assertEqual({self.eesv: 77}, self.manager.taken())
        self.assertIsNone(self.paths(handle))

    def test_a_group_id_given_to_somebody_else_meanwhile(self):
        handle = self.driver.compose(self.spec).handle
        self.driver.release(handle)
        for path in (self.eesvs[1], self.chosen[0]):
            self.manager.take(path, 16)
        self.assertIsNone(self.paths(handle))
        self.driver.release(handle)
        self.assertEqual(2, len(self.manager.taken()))

    def test_a_device_of_a_node_taken_away(self):
        handle = self.driver.compose(self.spec).handle
        self.manager.take(self.chosen[0])
        self.assertNotIn(self.chosen[0], self.paths(handle))
        self.driver.detach(handle, self.chosen[0])
        self.driver.release(handle)
        self.assertEqual({self.chosen[0]: 77}, self.manager.taken())

    def test_a_node_that_others_made(self):
        for path in (self.eesv, self.eeios[4]):
            self.manager.take(path, 40)
        handle = base.Handle(self.eesv)
        self.assertEqual({self.eesv, self.eeios[4]}, self.paths(handle))
        known = self.driver.observe(handle).handle
        self.assertEqual({'group_id': '40', 'devices': [self.eeios[4]],
                          'notes': []}, known.extra)
        self.assertEqual({self.eesv, self.eeios[4]}, self.paths(known))
        self.assertIsNone(self.paths(base.Handle(self.eesvs[1])))
        self.assertIsNone(self.paths(base.Handle(
            '/eem/devices/0x1')))
