# SPDX-License-Identifier: Apache-2.0
"""The separate services over RabbitMQ, on each database of a production."""

import os
import pathlib
import re
import signal

import testtools

from valence.tests.functional.processes import (
    Deployment,
    Simulator,
    living,
    parent,
    wait_for,
)

FLAVOR = {'name': 'large', 'properties': {
    'memory': {'capacity_mib': '4096'}, 'processor': {'total_cores': 4},
    'pci_device': {'type': ['NVMe', 'GPU']}}}


class MainJob:
    """Register, sync, compose, power, boot, release: with real processes."""

    database: str

    def test_main_job(self):
        deployment = self.useFixture(Deployment(
            self, self.database, api={'workers': 2}))
        pod = self.useFixture(Simulator())
        client = deployment.start_api()
        conductors = deployment.start_conductors(client, 2)

        registered = client.register(pod)
        self.assertEqual('online', registered['status'])
        devices = client.get('/v1/devices?limit=1000')['devices']
        self.assertEqual(
            {'compute': 8, 'nvme': 16, 'gpu': 8, 'nic': 8},
            {kind: sum(d['type'] == kind for d in devices)
             for kind in {d['type'] for d in devices}})
        self.assertEqual(2, len(client.get('/v1/zones')['zones']))

        client.post('/v1/flavors', FLAVOR)
        composed = client.post('/v1/nodes', {'name': 'n1',
                                             'flavor': 'large'})
        client.done(composed)
        node = client.get('/v1/nodes/n1')
        self.assertEqual('active', node['state'])
        self.assertEqual(['compute', 'gpu', 'nvme'],
                         sorted(d['type'] for d in node['devices']))
        effect, = pod.ledger('compose')
        self.assertEqual(sorted(d['resource_path'] for d in node['devices']),
                         sorted(effect['blocks']))

        for action, key, value in (
                ({'Reset': {'Type': 'On'}}, 'power_state', 'On'),
                ({'Boot': {'Enabled': 'Once', 'Target': 'Pxe'}},
                 'boot_target', 'Pxe')):
            client.done(client.post('/v1/nodes/n1/action', action))
            self.assertEqual(value, client.get('/v1/nodes/n1')[key])

        answer = client.request('DELETE', '/v1/nodes/n1')
        self.assertEqual(202, answer.status_code)
        client.done(answer.json())
        self.assertEqual(
            404, client.request('GET', '/v1/nodes/n1').status_code)
        self.assertEqual(1, len(pod.ledger('decompose')))
        self.assertEqual([], client.get('/v1/systems?composed=true')[
            'systems'])

        for process in (*conductors, deployment.api):
            process.signal(signal.SIGTERM)
            self.assertEqual(0, process.wait())

        # The id of a request is on the lines of whoever worked on it.
        request_id = composed['operation']['request_id']
        self.assertRegex(request_id, '^req-')
        self.assertEqual(1, sum(
            re.search(f'{request_id}.*compose.*succeeded', process.log)
            is not None for process in conductors))


class MainJobOnMySQL(MainJob, testtools.TestCase):
    database = 'mysql'


class MainJobOnPostgreSQL(MainJob, testtools.TestCase):
    database = 'postgresql'


class ConductorProcess(testtools.TestCase):
    """What a conductor does with signals and with its workers."""

    def test_workers_and_reload(self):
        deployment = self.useFixture(Deployment(
            self, 'mysql', conductor={'workers': 2, 'poll_interval': 1,
                                      'lease': 6}))
        pod = self.useFixture(Simulator())
        client = deployment.start_api()
        process = deployment.start('valence-conductor')
        wait_for('both workers are alive',
                 lambda: len(living(client)) == 2)
        before = {one['uuid'] for one in living(client)}
        client.register(pod)

        process.signal(signal.SIGHUP)
        wait_for('SIGHUP has brought two new workers', lambda: (
            len(now := {one['uuid'] for one in living(client)}) == 2
            and not now & before))
        client.done(client.post('/v1/nodes', {
            'name': 'n1', 'properties': {'processor': {'total_cores': 1}}}))
        process.signal(signal.SIGTERM)
        self.assertEqual(0, process.wait())
        self.assertEqual([], living(client))

    def test_reload_takes_what_has_changed(self):
        deployment = self.useFixture(Deployment(self, 'sqlite'))
        client = deployment.start_api()
        process = deployment.start('valence-conductor')

        def now(count, *before):
            alive = [one for one in living(client)
                     if one['uuid'] not in before]
            return len(alive) == count == len(living(client)) and alive

        def reload(**changes):
            deployment.write_config('valence.conf', **changes)
            process.signal(signal.SIGHUP)

        def waits(seconds):
            return re.search(
                rf'graceful_shutdown_timeout +=  ?{seconds}\b', process.log)

        first, = wait_for('one worker is alive', lambda: now(1))
        self.assertIn('rsd', first['drivers'])
        # The default of drain_timeout, and 20 s for the rest.
        self.assertTrue(waits(80))

        reload(conductor={'workers': 2, 'drain_timeout': 70},
               drivers={'enabled_drivers': 'redfish'})
        two = wait_for('two workers with one driver are alive', lambda: now(
            2, first['uuid']))
        self.assertEqual([['redfish']] * 2, [
            sorted(one['drivers']) for one in two])
        self.assertTrue(waits(90))

        for changes, sentence in (
                ({'conductor': {'workers': 'many'}}, r'\[conductor\] workers'),
                ({'drivers': {'enabled_drivers': 'acme'}}, 'driver acme'),
                ({'secrets': {'key_file': '/nowhere'}}, '/nowhere')):
            reload(**changes)
            wait_for('it says why not', lambda sentence=sentence: re.search(
                f'ERROR.*stays as it was: .*{sentence}', process.log))
        os.rename(deployment.config, f'{deployment.config}.away')
        process.signal(signal.SIGHUP)
        wait_for('it says why not', lambda: re.search(
            'stays as it was: cannot read', process.log))
        self.assertEqual({one['uuid'] for one in two},
                         {one['uuid'] for one in living(client)})
        self.assertNotIn('Traceback', process.log)

        reload(conductor={'workers': 1})
        third, = wait_for('one worker is alive again', lambda: now(
            1, *(one['uuid'] for one in two)))
        self.assertIn('rsd', third['drivers'])
        wait_for('there is no other process of it', lambda: [
            third['pid']] == [
                int(path.name) for path in pathlib.Path('/proc').iterdir()
                if path.name.isdigit() and parent(path.name) == process.pid])
        process.signal(signal.SIGTERM)
        self.assertEqual(0, process.wait())
        self.assertEqual([], living(client))
