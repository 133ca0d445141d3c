# SPDX-License-Identifier: Apache-2.0
"""The disk of the embedded database is full, and then it is not.

The database is on a small tmpfs. Users are told so by a 507; what they were
promised before is kept, and everything goes on when there is space again.
"""

import functools
import itertools
import os
import pathlib
import subprocess

import fixtures
import testscenarios
import testtools

from valence.tests.functional.load import POD, PROPERTIES, Load
from valence.tests.functional.processes import Deployment, Simulator, wait_for


class SmallDisk(fixtures.Fixture):
    """A tmpfs at ``path``, that can be filled and emptied.

    Of 16 MiB, for SQLite's log alone takes 4 before it is emptied.
    """

    def __init__(self, test: testtools.TestCase) -> None:
        if os.geteuid() != 0:
            test.skipTest('only root may mount a tmpfs')

    def _setUp(self) -> None:
        self.path = self.useFixture(fixtures.TempDir()).path
        self._ballast = pathlib.Path(self.path, 'ballast')
        done = subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=16m,mode=0700', 'tmpfs',
             self.path], capture_output=True, text=True)
        self.refused = done.stderr.strip() if done.returncode else None
        if self.refused is None:
            self.addCleanup(subprocess.run, ['umount', '-l', self.path],
                            check=True)

    def fill(self) -> None:
        """Take what is left, to the last byte."""
        with self._ballast.open('ab', buffering=0) as ballast:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError:
                    pass

    def empty(self) -> None:
        self._ballast.unlink()


class DiskFull(testscenarios.WithScenarios, testtools.TestCase):

    scenarios = [('standalone', {'standalone': True}),
                 ('services', {'standalone': False})]

    def test_nothing_acknowledged_is_lost(self):
        disk = self.useFixture(SmallDisk(self))
        if disk.refused:
            self.skipTest(f'no tmpfs: {disk.refused}')
        deployment = self.useFixture(Deployment(
            self, broker=not self.standalone,
            database_url=f'sqlite:///{disk.path}/valence.sqlite'))
        pod = self.useFixture(Simulator(*POD))
        if self.standalone:
            client = deployment.start_api(command='valence-standalone')
        else:
            client = deployment.start_api()
            deployment.start_conductors(client, 1)
        client.register(pod)
        with Load(self, client, pod, self.id(), users=3) as load:
            load.wait_for(6)
            disk.fill()
            try:
                # There may be room in what the file has already.
                status, text = wait_for(
                    'a request is refused', functools.partial(
                        self.refused, client, itertools.count()), interval=0)
                # What can be read is read all the same.
                self.assertEqual([], client.get('/v1/flavors?name=none')[
                    'flavors'])
            finally:
                disk.empty()
            load.wait_for(6)
        self.assertEqual(507, status)
        self.assertIn('"code":"insufficient_storage"', text)
        load.check('succeeded')

    def refused(self, client, numbers):
        answer = client.request('POST', '/v1/flavors', {
            'name': f'f{next(numbers)}', 'properties': PROPERTIES})
        return (None if answer.status_code == 201
                else (answer.status_code, answer.text))
