# SPDX-License-Identifier: Apache-2.0
import threading
import time
import unittest

from valence.api import health


class ProbeTest(unittest.TestCase):

    def test_what_hangs_is_away_and_asked_once(self):
        release, begun = threading.Event(), []
        self.addCleanup(release.set)

        def look():
            begun.append(1)
            release.wait(30)

        probe = health.Probe('part', look, patience=0.05, keep=60)
        before = time.monotonic()
        self.assertEqual([False] * 5, [probe.answers() for _ in range(5)])
        self.assertLess(time.monotonic() - before, 10)
        self.assertEqual([1], begun)
        release.set()
        # Once it has answered, that is what is said.
        deadline = time.monotonic() + 30
        while not probe.answers() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertTrue(probe.answers())
        self.assertEqual([1], begun)

    def test_an_outcome_is_kept_for_a_while(self):
        looks = []

        def look():
            looks.append(1)
            if len(looks) > 1:
                raise ConnectionError('gone')

        probe = health.Probe('part', look, patience=60, keep=60)
        self.assertEqual([True] * 3, [probe.answers() for _ in range(3)])
        self.assertEqual([1], looks)
        probe = health.Probe('part', look, patience=60, keep=0)
        self.assertFalse(probe.answers())
        self.assertFalse(probe.answers())
        self.assertEqual(3, len(looks))
