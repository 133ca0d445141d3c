# SPDX-License-Identifier: Apache-2.0
"""Hosts' clocks are wrong by ten minutes, and nobody notices.

What expires does so by the database's clock; what a process waits for, it
measures on its monotonic clock.
"""

import ast
import os
import pathlib

import testtools

import valence
from valence.tests.functional.load import LEASE, POD, Load
from valence.tests.functional.processes import Deployment, Simulator

#: What each process of a host with such a clock imports before all else.
SHIFTED = '''
import time
real = time.time
time.time = lambda: real() + {}
'''
#: Where a host's clock would be a mistake, and its readings.
PACKAGES = ('api', 'conductor', 'db', 'scheduler')
READINGS = {('time', 'time'), ('time', 'time_ns'), ('time', 'localtime'),
            ('time', 'gmtime'), ('datetime', 'now'), ('datetime', 'utcnow'),
            ('datetime', 'today'), ('date', 'today'),
            ('timeutils', 'utcnow')}


class Clocks(testtools.TestCase):

    def test_nobody_looks_at_the_hosts_clock(self):
        root = pathlib.Path(valence.__file__).parent
        found = [
            f'{path.relative_to(root)}:{node.lineno}'
            for path in (*(file for name in PACKAGES
                           for file in (root / name).rglob('*.py')),
                         root / 'requests.py')
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute) and (
                getattr(node.value, 'attr', getattr(node.value, 'id', None)),
                node.attr) in READINGS]
        self.assertEqual([], found)

    def test_a_fast_and_a_slow_conductor(self):
        deployment = self.useFixture(Deployment(
            self, 'mysql', conductor={
                'lease': LEASE, 'poll_interval': 0.5}))
        pod = self.useFixture(Simulator(*POD))
        client = deployment.start_api()

        def start(seconds):
            conductor, = deployment.start_conductors(
                client, 1, **self.shifted(deployment, seconds))
            return conductor

        slow, fast = start(-600), start(600)
        client.register(pod)
        with Load(self, client, pod, self.id()) as load:
            load.wait_for(10)
            # Its work is taken over by who thinks it long expired, or not
            # for a long time.
            slow.kill()
            load.wait_for(5)
            start(-600)
            fast.kill()
            load.wait_for(5)
        load.check('succeeded')

    def shifted(self, deployment, seconds):
        path = pathlib.Path(deployment.directory, f'clock{seconds}')
        path.mkdir(exist_ok=True)
        (path / 'sitecustomize.py').write_text(SHIFTED.format(seconds))
        return {'PYTHONPATH': os.pathsep.join(
            [str(path), os.environ.get('PYTHONPATH', '')])}
