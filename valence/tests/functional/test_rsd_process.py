# SPDX-License-Identifier: Apache-2.0
"""Does the RSD driver work with pods in a process of their own?"""

import json
import sys
import threading
import time

import fixtures
import testtools

from valence.drivers import base
from valence.drivers.rsd import RsdDriver
from valence.tests.functional.test_redfish_driver import Process
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.server import PASSWORD, USERNAME

PATIENCE = 180.0
VERSIONS = ('2.1', '2.3', '2.5')


class Pods(testtools.TestCase):

    def start(self, *pods):
        process = self.useFixture(Process(
            sys.executable, '-m', 'valence.simulator', '--username',
            USERNAME, '--password', PASSWORD,
            *(f'--pod={one}' for one in pods)))
        line = process.first_line(lambda line: line.startswith('{'))
        return json.loads(line)['pods']

    def connect(self, url):
        driver = RsdDriver(server.endpoint(url))
        self.addCleanup(driver.close)
        return driver

    def finish(self, driver, outcome):
        until = time.monotonic() + PATIENCE
        while isinstance(outcome, base.Pending):
            self.assertLess(time.monotonic(), until, outcome)
            threading.Event().wait(min(outcome.delay, 0.1))
            outcome = driver.poll(outcome)
        return outcome

    def test_each_version_in_one_process(self):
        ledger = self.useFixture(fixtures.TempDir()).join('ledger')
        urls = self.start(*(
            f'rsd,name=rsd-{version},profile={version},absolute-location='
            f'true,ledger={ledger}-{version}' for version in VERSIONS))
        for version in VERSIONS:
            driver = self.connect(urls[f'rsd-{version}'])
            self.assertEqual(version + '.0', driver.identify().version)
            before = driver.discover()
            self.assertTrue(before.complete, before.problems)
            handle = self.finish(driver, driver.compose(base.Spec(
                'tag-1', 'web', requirements={
                    'processor': {'total_cores': 16}}))).handle
            self.assertEqual(handle, driver.find('tag-1'))
            driver.set_power(handle, 'On')
            until = time.monotonic() + PATIENCE
            while driver.observe(handle).power_state != 'On':
                self.assertLess(time.monotonic(), until)
            self.assertEqual(base.Done(), driver.release(handle))
            self.assertEqual(before, driver.discover())
            with open(f'{ledger}-{version}') as file:
                effects = [json.loads(line)['effect'] for line in file]
            self.assertEqual(
                ['allocate', 'state', 'assemble', 'state', 'reset', 'reset',
                 'delete'], [one for one in effects if one != 'login'])
