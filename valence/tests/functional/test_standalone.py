# SPDX-License-Identifier: Apache-2.0
"""The commands, as a user meets them."""

import pathlib
import re
import signal
import socket
import subprocess

import bcrypt
import testscenarios
import testtools

from valence.db import pod_managers
from valence.db.engine import Database
from valence.tests.functional.processes import (
    PATIENCE,
    Deployment,
    Process,
    Simulator,
    free_port,
    script,
    wait_for,
)

COMMANDS = ('valence-api', 'valence-conductor', 'valence-standalone',
            'valence-manage', 'valence-status', 'valence-simulator')


def run(*command):
    return subprocess.run([script(command[0]), *command[1:]], text=True,
                          capture_output=True, timeout=PATIENCE)


class Commands(testscenarios.WithScenarios, testtools.TestCase):

    scenarios = [(name, {'command': name}) for name in COMMANDS]

    def test_help_and_version(self):
        for option in ('--help', '--version'):
            done = run(self.command, option)
            self.assertEqual((0, ''), (done.returncode, done.stderr))
            self.assertNotEqual('', done.stdout)


class CannotStart(testtools.TestCase):
    """One sentence, an exit code, and no traceback."""

    def setUp(self):
        super().setUp()
        self.deployment = self.useFixture(Deployment(self, broker=False))

    def refused(self, command, *words, config=None, more=()):
        done = run(command, '--config-file', config or
                   self.deployment.config, *more)
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertNotIn('hunter2', done.stderr)
        last = done.stderr.strip().splitlines()[-1]
        self.assertThat(last, testtools.matchers.StartsWith(f'{command}: '))
        for word in words:
            self.assertIn(word, last)
        self.assertNotIn('Traceback', done.stderr)

    def changed(self, **overrides):
        return self.deployment.write_config('changed.conf', **overrides)

    def test_no_such_file(self):
        self.refused('valence-api', 'cannot read', '/nowhere',
                     config='/nowhere')

    def test_no_schema(self):
        path = self.deployment.directory + '/empty.sqlite'
        config = self.changed(database={'connection': f'sqlite:///{path}'})
        for command in ('valence-api', 'valence-conductor',
                        'valence-standalone'):
            self.refused(command, 'valence-manage db upgrade',
                         config=config)

    def test_no_database_server(self):
        config = self.changed(database={
            'connection': 'postgresql+psycopg://postgres@127.0.0.1:1/x'})
        self.refused('valence-standalone', 'cannot use the database',
                     '[database] connection', config=config)

    def test_no_key(self):
        config = self.changed(secrets={'key_file': '/nowhere/key'})
        self.refused('valence-conductor', '/nowhere/key', 'create-key',
                     config=config)

    def test_no_such_driver(self):
        config = self.changed(drivers={'enabled_drivers': 'redfish,acme'})
        for command in ('valence-conductor', 'valence-standalone'):
            self.refused(command, 'acme', 'enabled_drivers', config=config)

    def test_the_port_is_taken(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            config = self.changed(api={'bind_port': taken.getsockname()[1]})
            for command in ('valence-api', 'valence-standalone'):
                self.refused(command, 'cannot listen on 127.0.0.1',
                             config=config)

    def test_everybody_an_administrator_on_a_public_address(self):
        config = self.changed(api={'bind_host': '0.0.0.0'})
        self.refused('valence-api', 'noauth', 'loopback', config=config)

    def test_a_wrong_value(self):
        config = self.changed(conductor={'workers': 'many'})
        self.refused('valence-conductor', '[conductor] workers', 'changed',
                     config=config)

    def test_a_network_that_is_none(self):
        for option in ('allowed_networks', 'denied_networks'):
            config = self.changed(pod_managers={
                option: '10.0.0.0/8,banana'})
            for command in ('valence-api', 'valence-conductor'):
                self.refused(command, f'[pod_managers] {option}',
                             "'banana'", '10.20.0.0/16', config=config)

    def test_a_file_that_is_none(self):
        directory = self.deployment.directory
        self.refused('valence-conductor', directory, '--config-file',
                     config=directory)
        path = pathlib.Path(directory, 'latin1.conf')
        path.write_bytes('# für'.encode('latin1'))
        self.refused('valence-standalone', 'utf-8', '--config-file',
                     config=str(path))
        self.refused('valence-status', 'utf-8', '--config-file',
                     config=str(path), more=['upgrade', 'check'])

    def test_a_log_that_cannot_be_written(self):
        config = self.changed(DEFAULT={'log_file': '/nowhere/log'})
        self.refused('valence-conductor', '/nowhere/log', 'log_file',
                     config=config)
        config = self.changed(DEFAULT={'log_config_append': '/etc/passwd'})
        self.refused('valence-manage', '/etc/passwd', 'log_config_append',
                     config=config, more=['db', 'version'])

    def test_a_database_without_a_driver(self):
        for begins, cure in (('mysql', 'mysql+pymysql:'),
                             ('mariadb+pymysql', 'mysql+pymysql:'),
                             ('postgresql+asyncpg', 'postgresql+psycopg:'),
                             ('oracle', 'mysql+pymysql:')):
            config = self.changed(database={
                'connection': f'{begins}://u:hunter2@127.0.0.1/x'})
            self.refused('valence-manage', '[database] connection',
                         f'{begins}:', cure, config=config,
                         more=['db', 'version'])
        config = self.changed(database={
            'connection': 'mysql+pymysql://u:hunter2@host:port/x'})
        self.refused('valence-conductor', 'is no URL', config=config)
        config = self.changed(database={
            'connection': 'mysql+pymysql://u:hunter2@127.0.0.1:1/x?foo=1'})
        self.refused('valence-api', '[database] connection', config=config)

    def test_a_message_bus_that_nobody_knows(self):
        for url in ('nonsense', 'foo://u:hunter2@x',
                    'rabbit://u:hunter2@x:port/'):
            config = self.changed(DEFAULT={'transport_url': url})
            for command in ('valence-api', 'valence-conductor'):
                self.refused(command, '[DEFAULT] transport_url',
                             'rabbit://USER', config=config)

    def test_a_wrong_value_of_the_message_bus(self):
        config = self.changed(oslo_messaging_rabbit={'ssl': 'perhaps'})
        for command in ('valence-api', 'valence-conductor'):
            self.refused(command, '[oslo_messaging_rabbit] ssl',
                         config=config)

    def test_a_policy_that_is_none(self):
        path = pathlib.Path(self.deployment.directory, 'policy.yaml')
        config = self.changed(oslo_policy={'policy_file': path})
        self.refused('valence-api', str(path), '[oslo_policy] policy_file',
                     config=config)
        for text in ('"valence:nodes:list": [', '- a list'):
            path.write_text(text)
            for command in ('valence-api', 'valence-standalone'):
                self.refused(command, str(path), '[oslo_policy]',
                             config=config)

    def test_a_key_file_without_a_key(self):
        path = pathlib.Path(self.deployment.directory, 'no-key')
        config = self.changed(secrets={'key_file': path})
        for text in ('', 'not a key'):
            path.write_text(text)
            self.refused('valence-conductor', str(path),
                         '[secrets] key_file', 'create-key', config=config)

    def test_no_file_of_users(self):
        config = self.changed(api={'auth_strategy': 'http_basic'})
        self.refused('valence-api', 'htpasswd_file', '[api]', config=config)

    def test_no_castellan_key_manager(self):
        config = self.changed(secrets={'backend': 'castellan'},
                              key_manager={'backend': 'acme'})
        self.refused('valence-conductor', '[key_manager]', config=config)


class Manage(testtools.TestCase):

    def test_db_and_secrets(self):
        deployment = self.useFixture(Deployment(self, broker=False))
        self.assertRegex(deployment.manage('db', 'version'),
                         r'^(\w+) \(needed: \1\)$')
        self.assertEqual('the schema is at version 001\n',
                         deployment.manage('db', 'upgrade'))
        self.assertEqual('0 finished operation(s) forgotten\n',
                         deployment.manage('db', 'purge', '--days', '0'))
        for days in ('-5', 'nan', 'inf'):
            done = run('valence-manage', '--config-file', deployment.config,
                       'db', 'purge', '--days', days)
            self.assertEqual(
                (1, 'valence-manage: --days has to be from 0 to 36500, and '
                 f'is {days}\n'), (done.returncode, done.stderr))
        again = run('valence-manage', '--config-file', deployment.config,
                    'secrets', 'create-key')
        self.assertEqual(1, again.returncode)
        self.assertIn('left alone', again.stderr)

    def test_upgrade_check(self):
        deployment = self.useFixture(Deployment(self, broker=False))
        done = run('valence-status', '--config-file', deployment.config,
                   'upgrade', 'check')
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        broken = deployment.write_config(
            'broken.conf', drivers={'enabled_drivers': 'acme'})
        done = run('valence-status', '--config-file', broken,
                   'upgrade', 'check')
        self.assertEqual(2, done.returncode)
        self.assertIn('no driver acme is installed',
                      ' '.join(done.stdout.replace('|', '').split()))

    def test_records_whose_driver_is_gone_are_named(self):
        deployment = self.useFixture(Deployment(self, broker=False))
        database = Database(deployment.database.url)
        self.addCleanup(database.close)
        for name, driver in (('well', 'redfish'), ('orphan', 'acme')):
            database.run(pod_managers.create, {
                'name': name, 'url': f'https://{name}', 'driver': driver})
        done = run('valence-status', '--config-file', deployment.config,
                   'upgrade', 'check')
        self.assertEqual(2, done.returncode)
        said = ' '.join(done.stdout.replace('|', '').split())
        self.assertIn('not enabled here: orphan (acme)', said)
        self.assertNotIn('well', said)


class Standalone(testtools.TestCase):

    def test_main_job_with_passwords(self):
        deployment = self.useFixture(Deployment(self, broker=False))
        user, password = deployment.user
        htpasswd = pathlib.Path(deployment.directory, 'htpasswd')
        htpasswd.write_text('{}:{}\n'.format(user, bcrypt.hashpw(
            password.encode(), bcrypt.gensalt(4)).decode()))
        config = deployment.write_config('basic.conf', api={
            'auth_strategy': 'http_basic', 'htpasswd_file': htpasswd})
        pod = self.useFixture(Simulator('--tasks', '--task-delay', '0.2'))
        client = deployment.start_api(config, 'valence-standalone',
                                      auth=deployment.user)
        client.register(pod)
        client.session.auth = (user, 'wrong')
        self.assertEqual(
            401, client.request('GET', '/v1/pod_managers').status_code)
        client.session.auth = deployment.user

        client.done(client.post('/v1/nodes', {
            'name': 'n1', 'properties': {
                'processor': {'total_cores': 2},
                'pci_device': {'type': ['nic', 'nvme']}}}))
        client.done(client.post('/v1/nodes/n1/action',
                                {'Reset': {'Type': 'On'}}))
        client.done(client.request('DELETE', '/v1/nodes/n1').json())
        self.assertEqual(
            (1, 1), (len(pod.ledger('compose')),
                     len(pod.ledger('decompose'))))
        self.assertNotIn(pod.password, deployment.api.log)

        deployment.api.signal(signal.SIGTERM)
        self.assertEqual(0, deployment.api.wait())

    def test_every_line_of_a_sync_has_its_request(self):
        deployment = self.useFixture(Deployment(self, broker=False))
        pod = self.useFixture(Simulator())
        client = deployment.start_api(command='valence-standalone')
        client.register(pod)
        request_id = client.post('/v1/pod_managers/pod/sync')[
            'operation']['request_id']
        wait_for('the sync has ended', lambda: re.search(
            f'{request_id}.*sync.*succeeded', deployment.api.log))
        lines = [line for line in deployment.api.log.splitlines()
                 if ' valence.drivers.' in line or ' operation ' in line]
        self.assertEqual([], [line for line in lines
                              if ' [-] ' in line or 'req-' not in line])
        # Each resource is read by one of several threads.
        self.assertGreater(sum(request_id in line for line in lines
                               if ' valence.drivers.' in line), 5)

    def test_hangup_ends_nothing(self):
        deployment = self.useFixture(Deployment(self, broker=False))
        client = deployment.start_api(command='valence-standalone')
        deployment.api.signal(signal.SIGHUP)
        wait_for('it says so', lambda: (
            'SIGHUP is ignored' in deployment.api.log))
        client.get('/v1/nodes')
        deployment.api.signal(signal.SIGTERM)
        self.assertEqual(0, deployment.api.wait())

    def test_killed_and_started_again(self):
        deployment = self.useFixture(Deployment(self, broker=False))
        pod = self.useFixture(Simulator('--tasks', '--task-delay', '2'))
        client = deployment.start_api(command='valence-standalone')
        client.register(pod)
        composed = client.post('/v1/nodes', {
            'name': 'n1', 'properties': {'processor': {'total_cores': 1}}})
        path = f'/v1/operations/{composed["operation"]["uuid"]}'
        wait_for('the backend works on it, or has done so', lambda: (
            (found := client.get(path))['state'] == 'succeeded'
            or 'pending' in [step['state'] for step in found['steps']]))
        deployment.api.kill()
        client = deployment.start_api(command='valence-standalone')
        client.done(composed)
        self.assertEqual(1, len(pod.ledger('compose')))


class SushyEmulator(testtools.TestCase):
    """A Redfish service that nobody of Valence wrote, over TLS."""

    def test_register_sync_list_and_a_clean_refusal(self):
        from valence.tests.unit.drivers import server

        deployment = self.useFixture(Deployment(self, broker=False))
        directory = pathlib.Path(deployment.directory)
        authority = server.Authority()
        certificate, key = authority.write(directory)
        htpasswd = directory / 'emulator.htpasswd'
        htpasswd.write_text('admin:' + bcrypt.hashpw(
            b'password', bcrypt.gensalt(4)).decode() + '\n')
        config = directory / 'emulator.conf'
        config.write_text(f'SUSHY_EMULATOR_AUTH_FILE = {str(htpasswd)!r}\n')
        port = free_port()
        self.useFixture(Process(
            'sushy-emulator', script('sushy-emulator'), '--fake',
            '--port', str(port), '--interface', '127.0.0.1',
            '--ssl-certificate', str(certificate), '--ssl-key', str(key),
            '--config', str(config)))
        client = deployment.start_api(command='valence-standalone')
        client.post('/v1/pod_managers', {
            'name': 'plain', 'url': f'https://127.0.0.1:{port}',
            'ca_certificates': authority.pem,
            'authentication': [{'type': 'basic', 'auth_items': {
                'username': 'admin', 'password': 'password'}}]})

        def synced():
            answer = client.post('/v1/pod_managers/plain/sync')
            return client.operation(answer['operation']['uuid'])[
                'state'] == 'succeeded'

        wait_for('the emulator is up and read', synced, interval=0.5)
        found = client.get('/v1/pod_managers/plain')
        self.assertEqual('online', found['status'])
        self.assertFalse(found['capabilities']['compose'])
        systems = client.get('/v1/systems')['systems']
        self.assertNotEqual([], systems)
        self.assertEqual({False}, {one['composed'] for one in systems})
        answer = client.request('POST', '/v1/nodes', {
            'name': 'n1', 'pod_manager': 'plain',
            'properties': {'processor': {'total_cores': 1}}})
        self.assertEqual(400, answer.status_code)
        error, = answer.json()['errors']
        self.assertEqual('unsupported', error['code'])
        self.assertIn('driver redfish', error['detail'])
        self.assertEqual([], client.get('/v1/operations?kind=compose')[
            'operations'])
