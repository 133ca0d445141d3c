# SPDX-License-Identifier: Apache-2.0
"""Who gets a place at a pod, and when."""

import dataclasses

import testtools

from valence.conductor.admission import Admission


@dataclasses.dataclass
class Visitor:
    name: str
    pod: str = 'p'
    silent: bool = False


class Places(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.admission = Admission(2)
        self.some = [Visitor(name) for name in 'abcd']

    def enter(self, *visitors):
        return [self.admission.enter(one) for one in visitors]

    def test_the_rest_waits_in_order(self):
        a, b, c, d = self.some
        self.assertEqual([True, True, False, False], self.enter(*self.some))
        self.assertEqual([c], self.admission.leave(a))
        self.assertEqual([d], self.admission.leave(c))
        self.assertEqual([], self.admission.leave(b))
        self.assertEqual([], self.admission.leave(d))
        self.assertEqual([True, True, False], self.enter(a, b, c))

    def test_pods_do_not_share_them(self):
        self.enter(*self.some)
        self.assertEqual([True], self.enter(Visitor('e', 'other')))

    def test_one_at_a_silent_pod(self):
        a, b, c, d = self.some
        a.silent = b.silent = c.silent = d.silent = True
        self.assertEqual([True, False, False, False],
                         self.enter(*self.some))
        self.assertEqual([b], self.admission.leave(a))
        # It answers: all the places are there again.
        b.silent = False
        self.assertEqual([c, d], self.admission.leave(b))

    def test_silence_that_is_found_out(self):
        a, b, c, _ = self.some
        self.enter(a, b, c)
        a.silent = True
        self.assertEqual([], self.admission.leave(a))
        b.silent = True
        self.assertEqual([c], self.admission.leave(b))

    def test_who_must_not_wait_does_not(self):
        a, b, c, d = self.some
        self.enter(a, b, d)
        self.assertTrue(self.admission.enter(c, at_once=True))
        self.assertEqual([], self.admission.leave(a))
        self.assertEqual([d], self.admission.leave(b))

    def test_sent_away(self):
        a, b, c, d = self.some
        self.enter(*self.some)
        self.assertEqual([c, d], self.admission.send_away())
        self.assertEqual([], self.admission.leave(a))
        self.assertEqual([], self.admission.send_away())
