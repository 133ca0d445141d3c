# SPDX-License-Identifier: Apache-2.0
"""No request that the document allows, or nearly, finds a hole in the API."""

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import bcrypt
import testtools

from valence.tests.functional.processes import (
    Deployment,
    Simulator,
    script,
)

_CONFIG = pathlib.Path(__file__).with_name('schemathesis.toml')
_PASSWORD = 'correct horse'

_ALL = 'examples,coverage,fuzzing,stateful'

#: Random cases for each operation, and the phases, by persona. In the phase
#: coverage an operation has some sixty more that follow from its schemas.
#: Who may do next to nothing mostly hears 403. The administrator, who may
#: remove the pod manager, comes last.
PERSONAS = {'nobody': (15, 'fuzzing'), 'reader': (15, 'fuzzing,stateful'),
            'member': (25, _ALL), 'admin': (25, _ALL)}

#: Seconds that one persona may take, and more for each case.
_PATIENCE, _EACH = 600, 10


class Schemathesis(testtools.TestCase):
    """Every operation, by everybody, against a real process.

    VALENCE_TEST_FUZZ=1000 makes it that many cases for each operation and
    persona; VALENCE_TEST_FUZZ_REPORT names a file for the figures.
    """

    def setUp(self) -> None:
        super().setUp()
        self.deployment = self.useFixture(Deployment(
            self, api={'auth_strategy': 'http_basic'}))
        directory = pathlib.Path(self.deployment.directory)
        password = bcrypt.hashpw(
            _PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        (directory / 'users').write_text(''.join(
            f'{user}:{password}\n' for user in PERSONAS))
        (directory / 'roles').write_text(''.join(
            f'{user}:fuzz:{user}\n' for user in PERSONAS if user != 'nobody'))
        config = self.deployment.write_config('fuzz.conf', api={
            'auth_strategy': 'http_basic',
            'htpasswd_file': directory / 'users',
            'roles_file': directory / 'roles'})
        self.client = self.deployment.start_api(
            config, auth=('admin', _PASSWORD))
        self.conductor, = self.deployment.start_conductors(self.client, 1)
        self.client.register(self.useFixture(Simulator()))
        self.client.post('/v1/flavors', {'name': 'small', 'properties': {
            'processor': {'total_cores': 1}}})

    def fuzz(self, user: str, cases: int, phases: str) -> dict[str, Any]:
        """One persona's run; its summary."""
        report = pathlib.Path(self.deployment.directory, f'{user}.json')
        done = subprocess.run(
            [script('st'), '--config-file', str(_CONFIG), '--no-color',
             'run', f'{self.client.url}/v1/openapi.json',
             '--auth', f'{user}:{_PASSWORD}', '--checks', 'all',
             '--phases', phases,
             # Python 3.11 cannot compile in several threads at a time.
             '--max-examples', str(cases), '--workers', '1', '--no-shrink',
             '--warnings', 'off', '--generation-database', 'none',
             '--report', 'json', '--report-json-path', str(report)],
            cwd=self.deployment.directory,
            timeout=_PATIENCE + cases * _EACH, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, 'NO_PROXY': '127.0.0.1'})
        if done.returncode:
            raise AssertionError(f'as {user}:\n{done.stdout}')
        summary = json.loads(report.read_text())
        self.assertEqual('completed', summary['stop_reason'])
        self.assertEqual(summary['operations']['total'],
                         summary['operations']['tested'])
        return {'persona': user, 'cases_asked_for': cases,
                'operations': summary['operations']['tested'],
                'cases': summary['test_cases']['generated'],
                'seconds': round(summary['running_time'], 1)}

    def test_every_persona(self) -> None:
        more = int(os.environ.get('VALENCE_TEST_FUZZ', 0))
        figures = [self.fuzz(user, more or cases, _ALL if more else phases)
                   for user, (cases, phases) in PERSONAS.items()]
        for process in (self.deployment.api, self.conductor):
            self.assertTrue(process.alive(), process.log)
            self.assertNotIn('Traceback', process.log)
        # Each operation had a hundred, all personas together.
        self.assertLessEqual(100, sum(
            one['cases'] for one in figures) / figures[0]['operations'])
        target = os.environ.get('VALENCE_TEST_FUZZ_REPORT')
        if target:
            pathlib.Path(target).write_text(json.dumps({
                'python': sys.version.split()[0], 'personas': figures},
                indent=2) + '\n')
