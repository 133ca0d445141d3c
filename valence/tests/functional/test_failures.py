# SPDX-License-Identifier: Apache-2.0
"""What becomes of work when a part of Valence or of the pod fails.

What happened is read from the simulator's ledger, never from Valence.
"""

import json
import os
import pathlib
import signal
import threading

import fixtures
import requests
import testtools

from valence.tests.functional import oracle
from valence.tests.functional.processes import (
    PATIENCE,
    Deployment,
    Simulator,
    free_port,
    parent,
    stopped,
    wait_for,
    waiting_signals,
)

SMALL = {'processor': {'total_cores': 1}}
BLOCKS = '/redfish/v1/CompositionService/ResourceBlocks'
#: A conductor stops itself where it has sent a change and reads no answer.
SENT = 'K6:1:stop'


class _Failures(testtools.TestCase):

    database = 'mysql'

    def deploy(self, conductors: int, *pod: str, fault: str = '',
               **options):
        """:param fault: what the conductors are to meet, see faultpoints"""
        self.deployment = self.useFixture(Deployment(
            self, self.database, **options))
        directory = self.useFixture(fixtures.TempDir()).path
        self.request_log = pathlib.Path(directory, 'requests')
        self.pod = self.useFixture(Simulator(
            '--request-log', str(self.request_log), *pod))
        self.client = self.deployment.start_api()
        self.conductors = self.deployment.start_conductors(
            self.client, conductors, VALENCE_FAULT=fault)
        self.client.register(self.pod)

    def wait_for_request(self, method: str, path: str) -> None:
        def seen() -> bool:
            return any(
                (entry := json.loads(line))['method'] == method
                and entry['path'].startswith(path)
                for line in self.request_log.read_text().splitlines())
        wait_for(f'{method} {path} at the pod', seen, interval=0.01)

    def stopped(self):
        """The worker that has stopped itself, and its conductor."""
        worker = wait_for('a conductor has stopped itself',
                          lambda: stopped(self.client))[0]
        return worker, next(process for process in self.conductors
                            if process.pid in (worker, parent(worker)))


class ConductorFailures(_Failures):

    def test_killed_after_the_call_was_sent(self):
        self.deploy(1, '--latency', '0.6', fault=SENT)
        composed = self.client.post('/v1/nodes', {
            'name': 'n1', 'properties': SMALL})
        self.wait_for_request('POST', '/redfish/v1/Systems')
        _, process = self.stopped()
        process.kill()
        self.deployment.start_conductors(self.client, 1)
        ended = self.client.done(composed)
        self.assertGreaterEqual(ended['attempts'], 2)
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
        # It has all the time in the world, so that nobody goes on instead.
        self.deploy(2, '--latency', '0.6', fault=SENT,
                    conductor={'lease': 3600, 'poll_interval': 1},
                    drivers={'call_timeout': 600})
        composed = self.client.post('/v1/nodes', {
            'name': 'n1', 'properties': SMALL})
        worker, process = self.stopped()
        process.signal(signal.SIGTERM)
        wait_for('its worker is to stop', lambda: (
            waiting_signals(worker) & 1 << signal.SIGTERM - 1))
        os.kill(worker, signal.SIGCONT)
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
            auth=(self.pod.username, self.pod.password), timeout=PATIENCE,
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
        self.assertIn('(pod: offline)', answer.text)

    def test_delete_while_composing(self):
        # Longer than anybody waits: it has to be given up.
        self.deploy(1, '--tasks', '--task-delay', '600')
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
        self.assertEqual([], self.pod.ledger('compose', 'decompose'))
        self.assertEqual([], oracle.systems(self.pod))

    def test_one_device_and_many_clients(self):
        self.deploy(1, '--compute', '2', '--zones', '1')
        statuses = []

        def compose(number: int) -> None:
            statuses.append(requests.post(
                f'{self.client.url}/v1/nodes', timeout=PATIENCE,
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
