# SPDX-License-Identifier: Apache-2.0
"""What becomes of work when a part of Valence or of the pod fails.

What happened is read from the simulator's ledger, never from Valence.
"""

import json
import pathlib
import signal
import threading

import fixtures
import requests
import testtools

from valence.tests.functional import oracle
from valence.tests.functional.processes import (
    Deployment,
    Simulator,
    free_port,
    living,
    wait_for,
)

SMALL = {'processor': {'total_cores': 1}}
BLOCKS = '/redfish/v1/CompositionService/ResourceBlocks'


class _Failures(testtools.TestCase):

    database = 'mysql'

    def deploy(self, conductors: int, *pod: str, **options):
        self.deployment = self.useFixture(Deployment(
            self, self.database, **options))
        directory = self.useFixture(fixtures.TempDir()).path
        self.request_log = pathlib.Path(directory, 'requests')
        self.pod = self.useFixture(Simulator(
            '--request-log', str(self.request_log), *pod))
        self.client = self.deployment.start_api()
        self.conductors = self.deployment.start_conductors(
            self.client, conductors)
        self.client.register(self.pod)

    def wait_for_request(self, method: str, path: str) -> None:
        def seen() -> bool:
            return any(
                (entry := json.loads(line))['method'] == method
                and entry['path'].startswith(path)
                for line in self.request_log.read_text().splitlines())
        wait_for(f'{method} {path} at the pod', seen, interval=0.01)

    def conductor_of(self, operation: str):
        """The process that works on an operation."""
        owner = wait_for('somebody owns the operation', lambda: (
            self.client.get(f'/v1/operations/{operation}')['conductor']))
        record, = [one for one in living(self.client)
                   if one['uuid'] == owner]
        worker = record['pid']
        parents = {process.pid: process for process in self.conductors}
        status = pathlib.Path(f'/proc/{worker}/status').read_text()
        parent = next(int(line.split()[1]) for line in status.splitlines()
                      if line.startswith('PPid:'))
        return parents.get(worker) or parents[parent]


class ConductorFailures(_Failures):

    def test_killed_after_the_call_was_sent(self):
        self.deploy(2, '--latency', '0.6')
        composed = self.client.post('/v1/nodes', {
            'name': 'n1', 'properties': SMALL})
        uuid = composed['operation']['uuid']
        self.wait_for_request('POST', '/redfish/v1/Systems')
        self.conductor_of(uuid).kill()
        ended = self.client.done(composed)
        self.assertEqual(2, ended['attempts'])
        self.assertEqual('active', self.client.get('/v1/nodes/n1')['state'])
        self.assertEqual(1, len(self.pod.ledger('compose')))
        self.assertEqual([], self.pod.ledger('refused'))

    def test_killed_while_the_backend_works(self):
        self.deploy(2, '--tasks', '--task-delay', '3')
        composed = self.client.post('/v1/nodes', {
            'name': 'n1', 'properties': SMALL})
        self.wait_for_request('POST', '/redfish/v1/Systems')
        self.conductors[0].kill()
        self.client.done(composed)
        self.assertEqual(1, len(self.pod.ledger('compose')))

    def test_sigterm_ends_at_a_safe_point(self):
        self.deploy(2, '--latency', '0.6')
        composed = self.client.post('/v1/nodes', {
            'name': 'n1', 'properties': SMALL})
        uuid = composed['operation']['uuid']
        self.wait_for_request('POST', '/redfish/v1/Systems')
        process = self.conductor_of(uuid)
        process.signal(signal.SIGTERM)
        self.assertEqual(0, process.wait())
        ended = self.client.done(composed)
        # The answer of the call was awaited: nobody had to look for it.
        self.assertEqual([1, 1], [
            step['attempts'] for step in ended['steps']])
        self.assertEqual(1, len(self.pod.ledger('compose')))


class BrokerFailures(_Failures):

    def test_no_broker_at_the_moment_of_the_cast(self):
        dead = f'rabbit://guest:guest@127.0.0.1:{free_port()}/'
        self.deploy(1)
        self.deployment.api.kill()
        self.client = self.deployment.start_api(
            self.deployment.write_config(
                'without-broker.conf', DEFAULT={'transport_url': dead}))
        self.client.done(self.client.post('/v1/nodes', {
            'name': 'n1', 'properties': SMALL}))
        self.assertEqual(1, len(self.pod.ledger('compose')))

    def test_no_broker_at_all(self):
        dead = f'rabbit://guest:guest@127.0.0.1:{free_port()}/'
        self.deploy(1, transport_url=dead)
        self.client.done(self.client.post('/v1/nodes', {
            'name': 'n1', 'properties': SMALL}))
        process, = self.conductors
        process.signal(signal.SIGTERM)
        self.assertEqual(0, process.wait())


class PodFailures(_Failures):

    database = 'postgresql'

    def compose_behind_valence(self, *blocks: str) -> None:
        requests.post(
            f'{self.pod.url}/redfish/v1/Systems',
            auth=(self.pod.username, self.pod.password), timeout=10,
            json={'Name': 'foreign', 'Links': {'ResourceBlocks': [
                {'@odata.id': f'{BLOCKS}/{block}'} for block in blocks]}}
        ).raise_for_status()

    def test_a_refused_compose_is_undone_and_explained(self):
        self.deploy(1, '--compute', '1', '--zones', '1')
        self.compose_behind_valence('compute-1')
        composed = self.client.post('/v1/nodes', {
            'name': 'n1', 'properties': SMALL})
        ended = self.client.operation(composed['operation']['uuid'])
        self.assertEqual('failed', ended['state'])
        self.assertEqual('backend_refused', ended['error']['code'])
        node = self.client.get('/v1/nodes/n1')
        self.assertEqual('error', node['state'])
        self.assertEqual(ended['error']['detail'], node['state_reason'])
        self.assertEqual([], node['devices'])
        self.assertEqual(['foreign'], [
            effect['name'] for effect in self.pod.ledger('compose')])
        self.client.done(self.client.request(
            'DELETE', '/v1/nodes/n1').json())
        self.assertEqual([], self.pod.ledger('decompose'))

    def test_a_pod_that_is_away(self):
        self.deploy(1)
        self.pod.process.kill()
        uuid = self.client.get('/v1/pod_managers/pod')['uuid']
        answer = self.client.post(f'/v1/pod_managers/{uuid}/sync')
        ended = self.client.operation(answer['operation']['uuid'])
        self.assertEqual('backend_unreachable', ended['error']['code'])
        found = self.client.get('/v1/pod_managers/pod')
        self.assertEqual('offline', found['status'])
        self.assertEqual(ended['error']['detail'], found['status_reason'])
        answer = self.client.request('POST', '/v1/nodes', {
            'name': 'n1', 'properties': SMALL})
        self.assertEqual(409, answer.status_code)
        self.assertIn('pod is offline', answer.text)

    def test_delete_while_composing(self):
        self.deploy(1, '--tasks', '--task-delay', '2')
        composed = self.client.post('/v1/nodes', {
            'name': 'n1', 'properties': SMALL})
        self.wait_for_request('POST', '/redfish/v1/Systems')
        answer = self.client.request('DELETE', '/v1/nodes/n1')
        self.assertEqual(202, answer.status_code)
        self.assertEqual(composed['operation']['uuid'],
                         answer.json()['operation']['uuid'])
        ended = self.client.operation(composed['operation']['uuid'])
        self.assertEqual('cancelled', ended['state'])
        self.assertEqual(
            404, self.client.request('GET', '/v1/nodes/n1').status_code)
        # The pod may have given the task up when it was asked to.
        self.assertEqual(len(self.pod.ledger('compose')),
                         len(self.pod.ledger('decompose')))
        self.assertEqual([], oracle.systems(self.pod))

    def test_one_device_and_many_clients(self):
        self.deploy(1, '--compute', '2', '--zones', '1')
        statuses = []

        def compose(number: int) -> None:
            statuses.append(requests.post(
                f'{self.client.url}/v1/nodes', timeout=60,
                json={'name': f'n{number}', 'properties': SMALL}
            ).status_code)

        threads = [threading.Thread(target=compose, args=(number,))
                   for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([202] * 2 + [409] * 10, sorted(statuses))
        wait_for('both nodes are active', lambda: [
            node['state'] for node in self.client.get('/v1/nodes')['nodes']
        ] == ['active'] * 2)
        self.assertEqual(2, len(self.pod.ledger('compose')))
        self.assertEqual([], self.pod.ledger('refused'))
