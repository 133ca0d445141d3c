# SPDX-License-Identifier: Apache-2.0
"""No request that the document allows, or nearly, finds a hole in the API."""

import collections
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import bcrypt
import testtools

from valence.tests.functional.processes import (
    PATIENCE,
    Deployment,
    Simulator,
    script,
)

_CONFIG = pathlib.Path(__file__).with_name('schemathesis.toml')
_CHECKS = pathlib.Path(__file__).with_name('fuzz_checks.py')
_PASSWORD = 'correct horse'

#: In the phase coverage an operation has some sixty cases more that follow
#: from its schemas. Who may do next to nothing mostly hears 403. The
#: administrator, who may remove the pod manager, comes last.
PERSONAS = {'nobody': 'fuzzing', 'reader': 'fuzzing',
            'member': 'examples,coverage,fuzzing',
            'admin': 'examples,coverage,fuzzing'}

#: Seconds that one run may take, and more for each case.
_LEAST, _EACH = 1800, 10

#: How often more may be drawn until no link is left out, nor any case.
_ROUNDS = 20


class Schemathesis(testtools.TestCase):
    """Every operation, by everybody, against a real process.

    VALENCE_TEST_FUZZ=1000 makes it that many random cases for each
    operation instead of 100, all personas together;
    VALENCE_TEST_FUZZ_SEED=N draws others than usual;
    VALENCE_TEST_FUZZ_REPORT names a file for the figures.
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
        # More than scenarios use up, which seldom give anything back.
        self.pod = self.useFixture(Simulator('--compute', '400'))
        self.client.register(self.pod)
        self.client.post('/v1/flavors', {'name': 'small', 'properties': {
            'processor': {'total_cores': 1}}})
        document = self.client.get('/v1/openapi.json')
        # What it had from the API itself, it would not ask for again.
        self.document = directory / 'openapi.json'
        self.document.write_text(json.dumps(document))
        #: Where the links of each operation lead.
        self.links = {
            operation['operationId']: {
                link['operationId']
                for answer in operation['responses'].values()
                for link in answer.get('links', {}).values()}
            for path in document['paths'].values()
            for operation in path.values()}
        self.seed = int(os.environ.get('VALENCE_TEST_FUZZ_SEED', 1))
        self.runs: list[dict[str, Any]] = []
        self.counted: dict[str, Any] = collections.defaultdict(
            collections.Counter)

    def fuzz(self, user: str, cases: int, phases: str,
             *options: str) -> None:
        """One run as one persona; what it counted is added up."""
        report, figures = (
            pathlib.Path(self.deployment.directory, f'{user}.{kind}')
            for kind in ('report', 'figures'))
        done = subprocess.run(
            [script('st'), '--config-file', str(_CONFIG), '--no-color',
             'run', str(self.document), '--url', self.client.url,
             '--auth', f'{user}:{_PASSWORD}', '--checks', 'all',
             '--phases', phases, '--request-timeout', str(PATIENCE),
             # Python 3.11 cannot compile in several threads at a time.
             '--max-examples', str(cases), '--workers', '1', '--no-shrink',
             '--seed', str(self.seed + len(self.runs)),
             '--warnings', 'off', '--generation-database', 'none',
             '--report', 'json', '--report-json-path', str(report),
             *options],
            cwd=self.deployment.directory,
            timeout=_LEAST + cases * _EACH, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, 'NO_PROXY': '127.0.0.1',
                 'SCHEMATHESIS_HOOKS': str(_CHECKS),
                 'VALENCE_FUZZ_FIGURES': str(figures),
                 'VALENCE_FUZZ_POD': self.pod.url})
        if done.returncode:
            raise AssertionError(f'as {user}:\n{done.stdout}')
        summary = json.loads(report.read_text())
        self.assertEqual('completed', summary['stop_reason'])
        counted: dict[str, dict[str, int]] = json.loads(figures.read_text())
        for name, counts in counted.items():
            self.counted[name].update(counts)
        self.runs.append({
            'persona': user, 'phases': phases,
            'cases': sum(counted['cases'].values()),
            'seconds': round(summary['running_time'], 1)})

    def follow_links(self, scenarios: int) -> None:
        """Scenarios, until each link has been followed.

        That is, what it leads to was found by an id that an answer had.
        """
        missing = set().union(*self.links.values())
        for _ in range(_ROUNDS):
            names = missing | {name for name, links in self.links.items()
                               if links & missing}
            self.fuzz('admin', scenarios, 'stateful', *(
                option for name in sorted(names)
                for option in ('--include-operation-id', name)))
            missing -= set(self.counted['followed'])
            if not missing:
                return
        raise AssertionError(f'no link was followed to {missing}')

    def make_up(self, least: int) -> None:
        """More cases of what had too few, as many draws are the same."""
        for _ in range(_ROUNDS):
            lacking = [name for name in self.links
                       if self.counted['cases'][name] < least]
            if not lacking:
                return
            self.fuzz('admin', least // len(PERSONAS), 'fuzzing', *(
                option for name in lacking
                for option in ('--include-operation-id', name)))
        raise AssertionError(f'not {least} cases of {lacking}')

    def test_every_persona(self) -> None:
        least = int(os.environ.get('VALENCE_TEST_FUZZ', 100))
        self.follow_links(least // 2)
        for user, phases in PERSONAS.items():
            self.fuzz(user, -(-least // len(PERSONAS)), phases)
        self.make_up(least)
        for process in (self.deployment.api, self.conductor):
            self.assertTrue(process.alive(), process.log)
            self.assertNotIn('Traceback', process.log)
        target = os.environ.get('VALENCE_TEST_FUZZ_REPORT')
        if target:
            pathlib.Path(target).write_text(json.dumps({
                'python': sys.version.split()[0], 'asked_for': least,
                'seed': self.seed,
                'total': sum(self.counted['cases'].values()),
                'runs': self.runs,
                **self.counted}, indent=1) + '\n')
