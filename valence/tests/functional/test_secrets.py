# SPDX-License-Identifier: Apache-2.0
"""Credentials stay secret, and their keys can be changed under way."""

import base64
import json
import os
import pathlib
import subprocess
import urllib.parse

import sqlalchemy as sa
import testtools

from valence.common import vault
from valence.tests.functional import backends, canary
from valence.tests.functional.processes import (
    PATIENCE,
    Deployment,
    Simulator,
    free_port,
    living,
    script,
    wait_for,
)


class Search(testtools.TestCase):
    """The search finds what it is meant to find."""

    def test_every_form_is_found(self):
        for name, secret in {**canary.SECRETS,
                             'token': canary.TOKEN}.items():
            for text in (
                    secret, f'a "{secret}"', repr(secret), f'{secret!r:>20}',
                    json.dumps({'a': [secret]}), urllib.parse.quote(secret),
                    urllib.parse.urlencode({'a': secret}),
                    base64.b64encode(f'user:{secret}'.encode()).decode(),
                    base64.b64encode(f'u:{secret}'.encode()).decode(),
                    base64.b64encode(f'us:{secret}'.encode()).decode(),
                    secret.encode().hex(), secret[:-1],
                    json.dumps(json.dumps(secret))):
                self.assertNotEqual(
                    [], canary.traces(text.encode()), (name, text))
        self.assertEqual([], canary.traces(b'nothing ' * 1000))


class Canary(testtools.TestCase):
    """Unusual secrets pass through everything and are found nowhere."""

    def setUp(self):
        super().setUp()
        backends.require(self, 'rabbitmq')
        vhost = self.useFixture(backends.TemporaryVhost())
        url = sa.engine.make_url(vhost.url)
        self.wire = self.useFixture(canary.Recorder(url.host, url.port))
        self.deployment = self.useFixture(Deployment(
            self, 'postgresql', transport_url=url.set(
                drivername='rabbit', host='127.0.0.1', port=self.wire.port
            ).render_as_string(hide_password=False),
            audit={'enabled': True}, conductor={
                'poll_interval': 1, 'lease': 6, 'threads': 24,
                'sync_retry_interval': 3600}))
        self.answers = []

    def start(self, conductor_fault, api_fault):
        self.client = self.deployment.start_api(VALENCE_FAULT=api_fault)
        self.client.session.hooks['response'] = lambda answer, **_: (
            self.answers.append(f'{answer.status_code} {answer.headers} '
                                .encode() + answer.content))
        self.conductor = self.deployment.start(
            'valence-conductor', VALENCE_FAULT=conductor_fault)
        wait_for('the conductor is alive', lambda: living(self.client))

    def body(self, secret, url, **more):
        return {'name': f'pod {len(self.answers)}', 'url': url,
                'authentication': [{'type': 'basic', 'auth_items': {
                    'username': f'admin {canary.CORE[::-1]}',
                    'password': secret}}], **more}

    def register(self, secret, url, **more):
        """A pod manager, and its first sync by request."""
        uuid = self.client.post(
            '/v1/pod_managers', self.body(secret, url, **more))['uuid']
        answer = self.client.request(
            'POST', f'/v1/pod_managers/{uuid}/sync')
        return uuid, answer

    def dump(self):
        """All rows of all tables."""
        engine = sa.create_engine(self.deployment.database.url)
        self.addCleanup(engine.dispose)
        tables = sa.MetaData()
        tables.reflect(engine)
        with engine.connect() as connection:
            return '\n'.join(
                f'{table.name} {dict(row)}' for table in
                tables.sorted_tables for row in
                connection.execute(sa.select(table)).mappings())

    def arguments(self):
        """The command lines and environments of all of our processes."""
        groups = {self.deployment.api.pid, self.conductor.pid}
        found = []
        for directory in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                if os.getpgid(int(directory.name)) in groups:
                    found.append((directory / 'cmdline').read_bytes()
                                 + (directory / 'environ').read_bytes())
            except OSError:
                continue
        return b'\n'.join(found)

    def test_a_secret_is_found_nowhere(self):
        # One request of each service ends in a traceback.
        self.start(conductor_fault='K7:2:raise', api_fault='K0:2:raise')
        good, bad, unreachable = {}, {}, free_port()
        for name, secret in canary.SECRETS.items():
            for mode in ('session', 'basic'):
                backend = self.useFixture(canary.Backend(secret, mode))
                good[backend] = self.register(secret, backend.url)
            for mode in ('json', 'html', 'header', 'login'):
                backend = self.useFixture(canary.Backend(secret, mode))
                bad[name, mode] = self.register(secret, backend.url)
            # The TLS handshake fails; nobody listens; a wrong password.
            plain = self.useFixture(canary.Backend(secret, 'basic'))
            bad[name, 'tls'] = self.register(
                secret, f'https://127.0.0.1:{plain.port}')
            bad[name, 'unreachable'] = self.register(
                secret, f'http://127.0.0.1:{unreachable}/{len(bad)}')
            wrong = self.useFixture(canary.Backend('another', 'session'))
            bad[name, 'wrong'] = self.register(secret, wrong.url)
            self.refused(secret)
        broken = [answer for _, answer in (*good.values(), *bad.values())
                  if answer.status_code != 202]
        self.assertEqual([500], [answer.status_code for answer in broken])
        for _, answer in (*good.values(), *bad.values()):
            if answer.status_code == 202:
                self.client.operation(answer.json()['operation']['uuid'])
        states = {uuid: self.client.get(f'/v1/pod_managers/{uuid}')
                  for uuid, _ in bad.values()}
        for key, (uuid, _) in bad.items():
            self.assertIn(states[uuid]['status'],
                          ('offline', 'error'), (key, states[uuid]))
        # The right ones arrived whole.
        for backend, (uuid, _) in good.items():
            self.assertEqual([], backend.wrong)
            self.assertGreater(backend.right, 0)
            self.client.done(self.client.post(
                f'/v1/pod_managers/{uuid}/sync'))
            self.assertEqual('online', self.client.get(
                f'/v1/pod_managers/{uuid}')['status'])
        uuid, _ = next(iter(good.values()))
        for path in ('/v1/pod_managers', '/v1/operations?limit=1000',
                     f'/v1/pod_managers/{uuid}'):
            self.client.get(path)

        database = self.dump()
        places = {
            'log of the API': self.deployment.api.log.encode(),
            'log of the conductor': self.conductor.log.encode(),
            'output': (self.deployment.api.out
                       + self.conductor.out).encode(),
            'broker': self.wire.seen,
            'database': database.encode(),
            'answers': b'\n'.join(self.answers),
            'arguments': self.arguments(),
        }
        # All this is what it is meant to be.
        for place, words in (
                ('log of the API', 'Traceback'), ('log of the API', 'DEBUG'),
                ('log of the conductor', 'Traceback'),
                ('log of the conductor', 'DEBUG'),
                ('log of the API', '"action":"create"'),
                ('log of the conductor', '"outcome":"failure"'),
                ('broker', 'run_operation'), ('broker', 'req-'),
                ('database', 'gAAAA'), ('answers', '***'),
                ('answers', uuid), ('arguments', 'valence-conductor'),
                ('arguments', 'valence-api')):
            self.assertTrue(words.encode() in places[place], (place, words))
        hits = {place: found for place, data in places.items()
                if (found := canary.traces(data))}
        self.assertEqual({}, hits)

    def refused(self, secret):
        """Requests with the secret where it does not belong."""
        items = {'username': 'admin', 'password': secret}
        url = 'https://pod.example'
        for body in (
                {'name': 'a', 'url': url, 'authentication': [
                    {'type': 'basic', 'auth_items': {
                        **items, 'password': [secret]}}]},
                {'name': 'a', 'url': url, 'authentication': [
                    {'type': 'basic', 'auth_items': {
                        **items, 'password': secret * 5000}}]},
                {'name': 'a', 'url': url, 'authentication': [
                    {'type': secret, 'auth_items': items}]},
                {'name': 'a', 'url': url, 'authentication': items},
                {'name': 'a', 'url': url, 'authentication': [
                    {'type': 'basic', 'auth_items': secret}]},
                {'name': 'a', 'authentication': [
                    {'type': 'basic', 'auth_items': items}]},
                {'name': 'a', 'url': 'https://admin:'
                 f'{urllib.parse.quote(secret)}@pod.example'},
                [secret]):
            answer = self.client.request('POST', '/v1/pod_managers', body)
            self.assertIn(answer.status_code, (400, 413), answer.text)
        for data in (json.dumps(items)[:-1], f'{{{secret}', secret):
            answer = self.client.session.post(
                f'{self.client.url}/v1/pod_managers', data=data.encode(),
                headers={'Content-Type': 'application/json'},
                timeout=PATIENCE)
            self.assertEqual(400, answer.status_code)


class Rotation(testtools.TestCase):
    """Keys are changed while the services run."""

    def sync(self):
        self.client.done(self.client.post('/v1/pod_managers/pod/sync'))

    def give_again(self, pod):
        """The driver is made anew, with what is in the database."""
        answer = self.client.request('PATCH', '/v1/pod_managers/pod', {
            'authentication': [{'type': 'basic', 'auth_items': {
                'username': pod.username, 'password': pod.password}}]})
        self.assertEqual(200, answer.status_code, answer.text)

    def fails(self, command, *arguments):
        ended = subprocess.run(
            [script(command), '--config-file', self.deployment.config,
             *arguments], text=True, capture_output=True,
            timeout=PATIENCE)
        self.assertNotEqual(0, ended.returncode)
        self.assertNotIn('Traceback', ended.stderr)
        return ended.stdout + ended.stderr

    def test_services_follow_and_a_lost_key_is_refused(self):
        self.deployment = self.useFixture(Deployment(self, 'mysql'))
        manage, path = (self.deployment.manage,
                        f'{self.deployment.directory}/key')
        pod = self.useFixture(Simulator())
        self.client = self.deployment.start_api()
        conductor, = self.deployment.start_conductors(self.client, 1)
        self.client.register(pod)

        self.assertIn('2 keys', manage('secrets', 'add-key'))
        self.assertIn('1 pod manager(s) encrypted anew',
                      manage('secrets', 'rotate', '--promote'))
        self.assertIn('0 pod manager(s) encrypted anew, 1 had',
                      manage('secrets', 'rotate'))
        self.assertIn('1 key(s) dropped', manage('secrets', 'drop-keys'))
        old, = vault.read_keys(path)
        # Neither was restarted; the conductor's driver is from before, and
        # then a new one of what the API has encrypted since.
        self.sync()
        self.give_again(pod)
        self.sync()
        self.assertIn('read 1 key(s)', conductor.log)

        # A key that is needed is not dropped.
        manage('secrets', 'add-key')
        keys = vault.read_keys(path)
        vault.write_keys(path, keys[::-1])
        self.assertIn('1 pod manager(s) still need', self.fails(
            'valence-manage', 'secrets', 'drop-keys'))
        self.assertEqual(keys[::-1], vault.read_keys(path))

        # A key that is lost stops everything, and all say the same.
        vault.write_keys(path, [vault.new_key()])
        for command, *arguments in (
                ('valence-api',), ('valence-conductor',),
                ('valence-standalone',),
                ('valence-status', 'upgrade', 'check')):
            said = ' '.join(self.fails(command, *arguments)
                            .replace('|', ' ').split())
            for words in ('1 pod manager(s) (pod)', 'forget-lost',
                          vault.fingerprint(old)[:12]):
                self.assertIn(words, said, command)
        self.assertIn('1 cannot be read (pod)', self.fails(
            'valence-manage', 'secrets', 'rotate'))

        self.assertIn('1 pod manager(s) are forgotten',
                      manage('secrets', 'forget-lost'))
        self.give_again(pod)
        self.sync()
        self.deployment.start('valence-conductor')
        wait_for('another conductor is alive',
                 lambda: len(living(self.client)) == 2)
