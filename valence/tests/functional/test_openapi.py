# SPDX-License-Identifier: Apache-2.0
"""The document at /v1/openapi.json is all that a client has to know."""

import json
import os
import pathlib
import re
from typing import Any

import testtools

from valence.tests.functional import documents
from valence.tests.functional.processes import (
    Deployment,
    Simulator,
    wait_for,
)
from valence.tests.functional.stranger import Answer, Stranger

_SAMPLES = documents.ROOT / 'doc/source/reference/samples.json'


class OnlyTheDocument(testtools.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.deployment = self.useFixture(Deployment(self, broker=False))
        self.pod = self.useFixture(Simulator())
        client = self.deployment.start_api(command='valence-standalone')
        self.stranger = Stranger(f'{client.url}/v1/openapi.json')

    def ended(self, accepted: Answer) -> Answer:
        """What became of a 202."""
        self.assertEqual(202, accepted.status, accepted.body)

        def look() -> Answer | None:
            found = accepted.follow('show_operation')
            return None if found.body['state'] in (
                'pending', 'running') else found

        found = wait_for('the operation ends', look)
        self.assertEqual('succeeded', found.body['state'], found.body)
        return found

    def test_from_registration_to_release(self) -> None:
        call = self.stranger.call
        for name in ('list_versions', 'show_version'):
            self.assertEqual(200, call(name).status)
        # Where nothing can know the drivers yet, this says so.
        wait_for('a conductor is alive',
                 lambda: call('list_drivers').body['drivers'])
        created = call('create_pod_manager', {
            'name': 'pod', 'url': self.pod.url, 'authentication': [{
                'type': 'basic', 'auth_items': {
                    'username': self.pod.username,
                    'password': self.pod.password}}]})
        self.assertEqual(201, created.status, created.body)
        self.ended(created.follow('sync_pod_manager'))
        self.assertEqual('pod-1', created.follow(
            'update_pod_manager', body={'name': 'pod-1'}).body['name'])
        flavor = call('create_flavor', {
            'name': 'small', 'properties': {
                'processor': {'total_cores': 1}}})
        self.assertEqual(200, flavor.follow('update_flavor', body={
            'description': 'one core'}).status)
        composed = call('create_node', {'name': 'web', 'flavor': 'small'},
                        Idempotency_Key='a node for the web')
        self.ended(composed)
        node = composed.follow('show_node')
        self.assertEqual('active', node.body['state'])
        changed = composed.follow(
            'update_node', body={'description': 'behind the proxy'},
            If_Match=node.headers['ETag'])
        self.assertEqual(200, changed.status)
        self.assertEqual(412, composed.follow(
            'update_node', body={'description': None},
            If_Match=node.headers['ETag']).status)
        self.assertEqual(304, composed.follow(
            'show_node', If_None_Match=changed.headers['ETag']).status)
        self.ended(composed.follow(
            'action_node', body={'Reset': {'Type': 'On'}}))
        self.assertEqual(
            len(node.body['devices']),
            sum(entry['used'] for entry in call('list_usage').body['usage']))
        self.assertEqual(202, call(
            'sync_devices', {'pod_manager': 'pod-1'}).status)
        wait_for('it is read', lambda: not created.follow(
            'show_pod_manager').body['operation'])
        self.look_at_everything()
        self.ended(composed.follow('delete_node'))
        self.assertEqual(404, composed.follow('show_node').status)
        self.assertEqual(204, flavor.follow('delete_flavor').status)
        self.assertEqual(204, created.follow('delete_pod_manager').status)
        self.assertEqual(
            (1, 1), (len(self.pod.ledger('compose')),
                     len(self.pod.ledger('decompose'))))
        self.samples()

    def look_at_everything(self) -> None:
        """The lists, and the first resource of each."""
        document = self.stranger.document
        for path, methods in document['paths'].items():
            shown = f'{path}/{{'
            variable = next((re.findall(r'{(\w+)}$', other)[0]
                             for other in document['paths']
                             if other.startswith(shown)
                             and other.endswith('}')), None)
            if 'get' not in methods or '{' in path or variable is None:
                continue
            name = methods['get']['operationId']
            parameters = {parameter.get('name')
                          for parameter in methods['get']['parameters']}
            answer = self.stranger.call(
                name, **{'limit': 1} if 'limit' in parameters else {})
            entries = answer.body.get(path.rpartition('/')[2])
            if entries:
                entry = entries[0]
                self.stranger.call(f'show_{variable}', **{
                    variable: entry.get('uuid') or entry['name']})

    def samples(self) -> None:
        """Those in the reference are of the operations seen here."""
        found = {name: sample for name, sample
                 in self.stranger.samples.items() if name != 'get_openapi'}
        target = os.environ.get('VALENCE_TEST_SAMPLES')
        if target:
            pathlib.Path(target).write_text(json.dumps(
                self.scrubbed(found), indent=1, sort_keys=True) + '\n')
        if _SAMPLES.exists():
            self.assertEqual(set(json.loads(_SAMPLES.read_text())),
                             set(found))

    def scrubbed(self, samples: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(samples)
        for real, shown in (
                (f'127.0.0.1:{self.deployment.port}', '127.0.0.1:8181'),
                (self.pod.url, 'https://pod.example.org'),
                (self.pod.password, 'secret')):
            text = text.replace(real, shown)
        scrubbed: dict[str, Any] = json.loads(text)
        return scrubbed


class NoHeaderIsLost(testtools.TestCase):
    """What a server cannot read of a request must not look like nothing."""

    def test_headers_that_are_not_ascii(self) -> None:
        deployment = self.useFixture(Deployment(self))
        client = deployment.start_api()
        client.post('/v1/flavors', {'name': 'small', 'properties': {
            'memory': {'capacity_mib': 1}}})
        for method, header, status in (
                ('DELETE', 'If-Match', 412),
                ('GET', 'OpenStack-API-Version', 400)):
            self.assertEqual(status, client.request(
                method, '/v1/flavors/small', headers={
                    header: '"×"'.encode()}).status_code, header)
        self.assertEqual(400, client.request(
            'DELETE', '/v1/nodes/web',
            headers={'Idempotency-Key': '×'.encode()}).status_code)
