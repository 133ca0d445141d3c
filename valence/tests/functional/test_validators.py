# SPDX-License-Identifier: Apache-2.0
"""Does the simulator's Redfish pod pass DMTF's own validators?

redfish-service-validator compares every resource with DMTF's schemas, which
are not part of Valence: they are looked for in the directory that
VALENCE_TEST_DATA names. redfish-protocol-validator tries the protocol.

What fails is compared with the lists in validator_baseline/, which may only
shrink: a failure that is not listed fails the test, and so does one that is
listed and no longer happens.
"""

import csv
import glob
import json
import os
import re
import subprocess
import sys

import fixtures
import requests
import testtools

from valence.tests.functional import backends
from valence.tests.unit.drivers import server

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(os.path.join(HERE, *['..'] * 3))
USER, PASSWORD = 'admin', 'Sesame-0pen'
ROOT = '/redfish/v1'
BLOCKS = f'{ROOT}/CompositionService/ResourceBlocks'
PATIENCE = 600
# Everything the pod can do, in a size that is walked in seconds.
POD = ('--compute', '3', '--nvme', '4', '--gpu', '2', '--nic', '2',
       '--systems', '1', '--expandable', '--attach', 'action,patch,put',
       '--composition-styles', 'specific,constrained,manifest', '--pools',
       '--sharing', '2')
# Numbers and UUIDs that differ from run to run.
CHANGING = re.compile(r'(?<=/)(\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})'
                      r'(?=/|$|[ ])')


def links(*blocks):
    return {'ResourceBlocks': [
        {'@odata.id': f'{BLOCKS}/{block}'} for block in blocks]}


class Validators(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        authority = server.Authority()
        certificate, key = authority.write(self.directory)
        self.bundle = os.path.join(self.directory, 'bundle.pem')
        with open(self.bundle, 'w') as file:
            file.write(authority.pem)
        self.environment = {
            name: value for name, value in os.environ.items()
            if name not in ('REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE')
            and not name.lower().endswith('_proxy')}
        path = os.pathsep.join(filter(None, (
            TOP, os.environ.get('PYTHONPATH'))))
        pod = subprocess.Popen(
            [sys.executable, '-m', 'valence.simulator', '--username', USER,
             '--password', PASSWORD, '--tls-cert', certificate,
             '--tls-key', key, *POD],
            stdout=subprocess.PIPE, text=True,
            env={**self.environment, 'PYTHONPATH': path})
        self.addCleanup(pod.communicate)
        self.addCleanup(pod.terminate)
        self.url = json.loads(pod.stdout.readline())['url']
        self.inhabit()

    def inhabit(self):
        """One of everything that a pod only has once it is used."""
        self.post(f'{ROOT}/Systems', {
            'Name': 'node', 'Links': links('compute-1', 'nvme-1', 'nic-1')})
        self.post(f'{ROOT}/CompositionService/Actions/'
                  'CompositionService.Compose', {
                      'RequestFormat': 'Manifest',
                      'RequestType': 'PreviewReserve',
                      'Manifest': {'Stanzas': [{
                          'StanzaType': 'ComposeSystem', 'StanzaId': '1',
                          'Request': {'Name': 'later', 'Links': links(
                              'compute-2')}}]}})
        self.post(f'{ROOT}/EventService/Subscriptions', {
            'Destination': 'https://127.0.0.1:9/', 'Protocol': 'Redfish',
            'Context': 'validators'})

    def post(self, path, body):
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(self.url + path, json=body, auth=(
                USER, PASSWORD), verify=self.bundle, timeout=PATIENCE)
        self.assertIn(answer.status_code, (200, 201), answer.text)

    def run_tool(self, name, *args):
        program = backends.program(self, name)
        done = subprocess.run(
            [program, '--rhost', self.url, '--user', USER, '--password',
             PASSWORD, *args], capture_output=True, text=True,
            cwd=self.directory, timeout=PATIENCE, env=self.environment)
        self.addDetail('output', testtools.content.text_content(
            done.stdout[-5000:] + done.stderr[-5000:]))
        return done.stdout

    def compare(self, name, found):
        with open(os.path.join(HERE, 'validator_baseline', name)) as file:
            known = {line.rstrip('\n') for line in file
                     if line.strip() and not line.startswith('#')}
        found = {CHANGING.sub('*', line) for line in found}
        self.assertEqual(set(), found - known, 'new failures')
        self.assertEqual(set(), known - found, 'no longer fail: take them '
                         f'out of validator_baseline/{name}')

    def test_service(self):
        schemas = backends.data(self, 'redfish-schemas')
        output = self.run_tool(
            'rf_service_validator', '--authtype', 'Basic', '--skipschema',
            '--schema_directory', schemas, '--logdir', self.directory)
        counts = re.findall(r'^\|((?: +\d+ +\|){4})$', output, re.M)
        self.assertEqual(1, len(counts), output[-2000:])
        passed, warned, failed, _ = (
            int(cell) for cell in re.findall(r'\d+', counts[0]))
        self.assertGreater(passed, 1000)
        self.assertEqual(0, warned)
        log, = glob.glob(os.path.join(self.directory, '*', '*Debug*.log'))
        failures, uri = [], ''
        with open(log) as file:
            for line in file:
                start = re.search(r'Validating (/\S+)\.\.\.', line)
                if start:
                    uri = start[1]
                elif ' - FAIL - ' in line:
                    failures.append(
                        f'{uri} {line.split(" - FAIL - ")[1].strip()}')
        self.assertEqual(failed, len(failures))
        self.compare('service.txt', failures)

    def test_protocol(self):
        self.run_tool(
            'rf_protocol_validator', '--ca-bundle', self.bundle,
            '--avoid-http-redirect', '--report-type', 'tsv',
            '--report-dir', self.directory)
        report, = glob.glob(os.path.join(self.directory, '*.tsv'))
        with open(report, newline='') as file:
            rows = [row for row in csv.reader(file, delimiter='\t')
                    if len(row) >= 5]
        results = [row[4] for row in rows]
        self.assertGreater(results.count('PASS'), 300)
        self.compare('protocol.txt', [
            ' '.join(row[:4]) for row in rows
            if row[4] in ('FAIL', 'WARN')])
