# SPDX-License-Identifier: Apache-2.0
"""Pods of every vendor behind one REST API, over the in-tree drivers."""

import json
import pathlib
import sys

import fixtures
import requests
import testtools

from valence.tests.functional.processes import (
    PATIENCE,
    Deployment,
    Process,
    Simulator,
    wait_for,
)

PODS = {
    'redfish': ('redfish', ''),
    'rsd21': ('rsd', 'profile=2.1,'),
    'rsd23': ('rsd', 'profile=2.3,'),
    'rsd25': ('rsd', 'profile=2.5,'),
    'eem': ('expether', 'auth=basic,'),
}


class Vendors(testtools.TestCase):

    def setUp(self):
        super().setUp()
        deployment = self.useFixture(Deployment(self, broker=False))
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.ledgers = {name: directory / name for name in PODS}
        kinds = {'redfish': 'redfish', 'rsd': 'rsd', 'expether': 'eem'}
        process = self.useFixture(Process(
            'simulator', sys.executable, '-m', 'valence.simulator',
            '--password', Simulator.password,
            *(f'--pod={kinds[driver]},name={name},{options}'
              f'ledger={self.ledgers[name]}'
              for name, (driver, options) in PODS.items())))
        wait_for('the pods are up', lambda: (
            process.out.endswith('\n') or not process.alive()))
        urls = json.loads(process.out)['pods']
        self.client = deployment.start_api(command='valence-standalone')
        for name, (driver, _) in PODS.items():
            self.client.post('/v1/pod_managers', {
                'name': name, 'url': urls[name], 'driver': driver,
                'authentication': [{'type': 'basic', 'auth_items': {
                    'username': 'admin',
                    'password': Simulator.password}}]})
            self.client.done(self.client.post(
                f'/v1/pod_managers/{name}/sync'))

    def effects(self, name):
        return [json.loads(line) for line in
                self.ledgers[name].read_text().splitlines()]

    def compose(self, name, properties):
        self.client.done(self.client.post('/v1/nodes', {
            'name': name, 'pod_manager': name, 'properties': properties}))
        node = self.client.get(f'/v1/nodes/{name}')
        self.assertEqual('active', node['state'])
        return node

    def release(self, name):
        self.client.done(self.client.request(
            'DELETE', f'/v1/nodes/{name}').json())
        self.assertEqual(404, self.client.request(
            'GET', f'/v1/nodes/{name}').status_code)

    def test_compose_power_and_release(self):
        for name in PODS:
            with self.subTest(name):
                driver = PODS[name][0]
                wanted = ({'pci_device': {'type': ['gpu']}}
                          if driver == 'expether'
                          else {'processor': {'total_cores': 1}})
                node = self.compose(name, wanted)
                self.assertNotEqual([], node['devices'])
                if driver != 'expether':
                    self.client.done(self.client.post(
                        f'/v1/nodes/{name}/action',
                        {'Reset': {'Type': 'On'}}))
                    self.assertEqual('On', self.client.get(
                        f'/v1/nodes/{name}')['power_state'])
                self.release(name)
                self.assertNotEqual([], self.effects(name))

    def test_all_at_once(self):
        answers = {
            name: self.client.post('/v1/nodes', {
                'name': name, 'pod_manager': name, 'properties':
                {'pci_device': {'type': ['nic']}} if name == 'eem'
                else {'processor': {'total_cores': 1}}})
            for name in PODS}
        for answer in answers.values():
            self.client.done(answer)
        for name in PODS:
            self.release(name)

    def test_what_a_driver_cannot_do_is_refused_at_once(self):
        self.compose('eem', {'pci_device': {'type': ['gpu']}})
        before = len(self.effects('eem'))
        for action in ({'Reset': {'Type': 'On'}},
                       {'Boot': {'Enabled': 'Once', 'Target': 'Pxe'}}):
            answer = self.client.request('POST', '/v1/nodes/eem/action',
                                         action)
            self.assertEqual(400, answer.status_code)
            error, = answer.json()['errors']
            self.assertEqual('unsupported', error['code'])
            self.assertIn('driver expether', error['detail'])
        self.assertEqual([], self.client.get(
            '/v1/operations?kind=power')['operations'])
        self.assertEqual(before, len(self.effects('eem')))

    def test_devices_come_and_go(self):
        self.compose('eem', {'pci_device': {'type': ['gpu']}})
        free = self.client.get(
            '/v1/devices?pod_manager=eem&type=nic&state=free')['devices'][0]
        for verb, count in (('attach', 3), ('detach', 2)):
            self.client.done(self.client.post('/v1/nodes/eem/action', {
                verb: {'resource_id': free['uuid']}}))
            self.assertEqual(count, len(
                self.client.get('/v1/nodes/eem')['devices']))
        self.release('eem')


class Events(testtools.TestCase):
    """An event brings the next sync forward; it is not believed itself."""

    def test_a_change_is_seen_long_before_its_time(self):
        deployment = self.useFixture(Deployment(
            self, broker=False, conductor={
                'sync_interval': 3600, 'event_interval': 0,
                'poll_interval': 0.2, 'lease': 6}))
        config = deployment.write_config('events.conf', conductor={
            'event_url': f'http://127.0.0.1:{deployment.port}'})
        pod = self.useFixture(Simulator())
        client = deployment.start_api(config, 'valence-standalone')
        client.register(pod)
        auth = (pod.username, pod.password)
        subscriptions = requests.get(
            f'{pod.url}/redfish/v1/EventService/Subscriptions', auth=auth,
            timeout=PATIENCE).json()['Members']
        self.assertEqual(1, len(subscriptions))
        client.done(client.post('/v1/pod_managers/pod/sync'))
        self.assertEqual(1, len(requests.get(
            f'{pod.url}/redfish/v1/EventService/Subscriptions', auth=auth,
            timeout=PATIENCE).json()['Members']))

        blocks = '/redfish/v1/CompositionService/ResourceBlocks'
        requests.post(
            f'{pod.url}/redfish/v1/Systems', auth=auth, timeout=PATIENCE,
            json={'Name': 'foreign', 'Links': {'ResourceBlocks': [
                {'@odata.id': f'{blocks}/compute-1'}]}}).raise_for_status()
        wait_for('the foreign system is listed', lambda: [
            one for one in client.get('/v1/systems')['systems']
            if one['name'] == 'foreign'])

    def test_nobody_else_can_nudge(self):
        deployment = self.useFixture(Deployment(self, broker=False))
        client = deployment.start_api(command='valence-standalone')
        pod = '12345678-1234-1234-1234-123456789abc'
        for token, status in (('0' * 64, 404), ('x', 400)):
            self.assertEqual(status, client.request(
                'POST', f'/v1/events?pod_manager={pod}&token={token}',
                {'Events': []}).status_code)
