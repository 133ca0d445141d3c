# SPDX-License-Identifier: Apache-2.0
import base64
import os
import socket
import threading
import time
from unittest import mock

import bcrypt
from oslo_config import cfg

from valence.api import auth, htpasswd, roles, service, settings
from valence.common import errors
from valence.conf import opts
from valence.tests.unit.api import base


def basic(user, password):
    if isinstance(password, str):
        password = password.encode()
    token = base64.b64encode(user.encode() + b':' + password).decode()
    return {'authorization': f'Basic {token}'}


class _BasicTest(base.ApiTest):

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory, 'htpasswd')
        self.write(operator='right', other='pa:ss wörd')
        self.client = base.Client(self.make_app(
            auth_strategy='http_basic', htpasswd_file=self.path))

    def write(self, **users):
        with open(self.path + '~', 'w') as file:
            file.write('# users\n\n')
            for user, password in users.items():
                digest = bcrypt.hashpw(password.encode(),
                                       bcrypt.gensalt(4)).decode()
                file.write(f'{user}:{digest.replace("$2b$", "$2y$")}\n')
        os.replace(self.path + '~', self.path)

    def status(self, **headers):
        return self.client.get('/v1/flavors', **headers).status


class BasicTest(_BasicTest):

    def test_right(self):
        self.assertEqual(200, self.status(**basic('operator', 'right')))
        self.assertEqual(200, self.status(**basic('other', 'pa:ss wörd')))

    def test_wrong(self):
        for headers in (
                {}, {'authorization': ''}, {'authorization': 'Basic'},
                {'authorization': 'Basic !!!'},
                {'authorization': 'Bearer x'},
                {'authorization': 'Basic ' + 'A' * 5000},
                {'authorization': 'Basic ' + base64.b64encode(
                    b'operator').decode()},
                {'authorization': 'Basic ' + base64.b64encode(
                    b'\xff:x').decode()},
                basic('operator', 'wrong'), basic('operator', ''),
                basic('nobody', 'right'), basic('', ''),
                basic('operator', 'right\0'),
                basic('operator', 'right' + 'x' * 100),
                basic('# users', '')):
            with self.subTest(headers):
                response = self.client.get('/v1/flavors', **headers)
                self.assert_error(response, 401, 'unauthorized')
                self.assertIn('Basic', response.headers['www-authenticate'])

    def test_long_password_does_not_match_by_its_first_72_bytes(self):
        self.write(operator='x' * 72)
        self.client = base.Client(self.make_app(
            auth_strategy='http_basic', htpasswd_file=self.path))
        self.assertEqual(200, self.status(**basic('operator', 'x' * 72)))
        self.assertEqual(401, self.status(**basic('operator', 'x' * 73)))

    def test_changed_file(self):
        users = htpasswd.Htpasswd(self.path)
        self.assertTrue(users.check('operator', b'right'))
        self.write(operator='new')
        users._users._look_at = 0
        self.assertFalse(users.check('operator', b'right'))
        self.assertTrue(users.check('operator', b'new'))
        # A broken file changes nothing.
        with open(self.path, 'w') as file:
            file.write('operator:plain\n')
        users._users._look_at = 0
        with self.assertLogs('valence.api.reloaded', 'ERROR'):
            self.assertTrue(users.check('operator', b'new'))
        os.unlink(self.path)
        users._users._look_at = 0
        with self.assertLogs('valence.api.reloaded', 'ERROR'):
            self.assertTrue(users.check('operator', b'new'))

    def test_unusable_files(self):
        for text in ('', '# none\n', 'a\n', 'a:plain\n', ':' + 'x' * 60,
                     'a:{SHA}x\n'):
            with open(self.path, 'w') as file:
                file.write(text)
            with self.assertRaises(ValueError):
                htpasswd.Htpasswd(self.path)
        with self.assertRaisesRegex(ValueError, 'No such file'):
            htpasswd.Htpasswd('/nonexistent')
        with self.assertRaisesRegex(ValueError, 'htpasswd_file'):
            auth.strategy(settings.Settings())

    def test_unknown_users_cost_as_much_as_wrong_passwords(self):
        digest = bcrypt.hashpw(b'right', bcrypt.gensalt(10)).decode()
        with open(self.path, 'w') as file:
            file.write(f'operator:{digest}\n')
        users = htpasswd.Htpasswd(self.path)

        def work(user):
            """The rounds of bcrypt that an answer takes."""
            with mock.patch.object(bcrypt, 'checkpw',
                                   wraps=bcrypt.checkpw) as checked:
                self.assertFalse(users.check(user, b'wrong'))
            return [call.args[1][:7] for call in checked.call_args_list]

        self.assertEqual([b'$2b$10$'], work('operator'))
        self.assertEqual([b'$2b$10$'], work('nobody'))

    def test_remembered(self):
        digest = bcrypt.hashpw(b'right', bcrypt.gensalt(10)).decode()
        with open(self.path, 'w') as file:
            file.write(f'operator:{digest}\n')
        users = htpasswd.Htpasswd(self.path)
        self.assertTrue(users.check('operator', b'right'))
        with mock.patch.object(bcrypt, 'checkpw') as checked:
            for _ in range(100):
                self.assertTrue(users.check('operator', b'right'))
        checked.assert_not_called()
        self.assertFalse(users.check('operator', b'righ'))

    def test_limiter(self):
        users = htpasswd.Htpasswd(self.path, parallel=1, patience=0.01)
        entered, leave = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: (
            users._turns.acquire(), entered.set(), leave.wait(),
            users._turns.release()))
        thread.start()
        entered.wait()
        with self.assertRaises(errors.TooManyRequests):
            users.check('operator', b'right')
        leave.set()
        thread.join()
        self.assertTrue(users.check('operator', b'right'))


    def test_no_more_wait_than_work(self):
        deadline = time.monotonic() + 60
        users = htpasswd.Htpasswd(self.path, parallel=1, patience=60)
        entered, leave = threading.Event(), threading.Event()

        def check(password, digest):
            entered.set()
            leave.wait(60)
            return False

        with mock.patch.object(bcrypt, 'checkpw', check):
            threads = [threading.Thread(
                target=users.check, args=('nobody', b'x')) for _ in range(2)]
            for thread in threads:
                thread.start()
            entered.wait(60)
            # One works, one waits; as soon as it does, a third is refused.
            while users._places._free > 1:
                self.assertLess(time.monotonic(), deadline)
            with self.assertRaises(errors.TooManyRequests):
                users.check('operator', b'right')
            leave.set()
            for thread in threads:
                thread.join()

    def test_a_peer_that_guesses_leaves_room_for_others(self):
        users = htpasswd.Htpasswd(self.path, patience=60)
        leave, refused = threading.Event(), []
        guessing = threading.Semaphore(0)
        real = bcrypt.checkpw

        def check(password, digest):
            guessing.release()
            leave.wait(60)
            return real(password, digest)

        def guess(number):
            try:
                users.check('nobody', b'x', f'2001:db8::{number:x}')
            except errors.TooManyRequests:
                refused.append(number)

        with mock.patch.object(bcrypt, 'checkpw', check):
            threads = [threading.Thread(target=guess, args=(number,))
                       for number in range(12)]
            for thread in threads:
                thread.start()
            for _ in range(2):
                self.assertTrue(guessing.acquire(timeout=60))
            deadline = time.monotonic() + 60
            while len(refused) < 9:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            found = []
            others = [threading.Thread(target=lambda peer=peer: found.append(
                users.check('operator', b'right', peer)))
                for peer in ('192.0.2.1', '2001:db8:0:1::1', '192.0.2.2')]
            for thread in others:
                thread.start()
            while users._places._free:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            leave.set()
            for thread in (*threads, *others):
                thread.join()
        self.assertEqual([True] * 3, found)
        self.assertEqual(9, len(refused))
        self.assertEqual((6, {}), (users._places._free,
                                   dict(users._places._held)))

    def test_one_peer(self):
        for peers in (('192.0.2.1', '::ffff:192.0.2.1', 'x, 192.0.2.1'),
                      ('2001:db8::1', '[2001:db8::2]', '"[2001:db8::3]:4"',
                       '2001:db8::4%eth0', '192.0.2.1, 2001:db8::5')):
            self.assertEqual(1, len(set(map(htpasswd._network, peers))))

    def test_hashes_of_different_cost(self):
        with open(self.path, 'w') as file:
            for cost in (6, 4):
                digest = bcrypt.hashpw(b'x', bcrypt.gensalt(cost)).decode()
                file.write(f'user{cost}:{digest}\n')
        with self.assertLogs('valence.api.htpasswd', 'WARNING'):
            users = htpasswd.Htpasswd(self.path)
        self.assertTrue(users._users.get().dummy.startswith(b'$2b$06$'))


class RolesTest(_BasicTest):

    def setUp(self):
        super().setUp()
        self.write(**{name: name for name in (
            'boss', 'audit', 'alice', 'bob', 'nobody')})
        self.roles = os.path.join(self.directory, 'roles')
        self.assign('boss:ops:admin', '# none', '', 'audit:system:reader',
                    'alice:web:member,reader', 'bob:db:reader')
        self.client = base.Client(self.make_app(
            auth_strategy='http_basic', htpasswd_file=self.path,
            roles_file=self.roles))

    def assign(self, *lines):
        with open(self.roles, 'w') as file:
            file.write('\n'.join(lines) + '\n')

    def statuses(self, method, url, *body):
        return {user: self.client.request(
            method, url, *body, **basic(user, user)).status
            for user in ('boss', 'audit', 'alice', 'bob', 'nobody')}

    def test_who_may_do_what(self):
        node = self.node(self.pod_manager(), project_id='web')
        self.assertEqual(
            {'boss': 200, 'audit': 200, 'alice': 200, 'bob': 404,
             'nobody': 403}, self.statuses('GET', f'/v1/nodes/{node}'))
        self.assertEqual(
            {'boss': 200, 'audit': 200, 'alice': 403, 'bob': 403,
             'nobody': 403}, self.statuses('GET', '/v1/devices'))
        self.assertEqual(
            {'boss': 400, 'audit': 403, 'alice': 400, 'bob': 403,
             'nobody': 403}, self.statuses('POST', '/v1/nodes', {}))
        self.assertEqual(401, self.status(**basic('alice', 'bob')))

    def test_a_changed_file(self):
        subject = roles.Roles(self.roles)
        self.assertEqual(('reader',), subject.of('bob').roles)
        self.assign('bob:db:member')
        subject._assignments._look_at = 0
        self.assertEqual(('member',), subject.of('bob').roles)
        self.assertEqual((), subject.of('alice').roles)

    def test_unusable(self):
        for line in ('a', 'a:b', 'a:b:', 'a::reader', ':b:reader',
                     'a:b:king', 'a:b:reader:c', 'a:b c:reader',
                     'a:b:reader\na:c:reader'):
            self.assign(line)
            with self.assertRaisesRegex(ValueError, 'roles_file .* line'):
                roles.Roles(self.roles)
        with self.assertRaisesRegex(ValueError, 'No such file'):
            roles.Roles('/nonexistent')


class NoauthTest(base.ApiTest):

    def test_headers_are_believed_only_where_configured(self):
        headers = {'x_roles': 'nobody'}
        self.assertEqual(200, self.client.get('/v1/nodes', **headers).status)
        client = base.Client(self.make_app(trust_identity_headers=True))
        self.assertEqual(403, client.get('/v1/nodes', **headers).status)

    def test_only_this_host(self):
        for address, status in (
                ('', 200), ('127.0.0.1', 200), ('127.0.0.9', 200),
                ('::1', 200), ('[::1]', 200), ('::ffff:127.0.0.1', 200),
                ('192.0.2.1', 403), ('2001:db8::1', 403), ('::12', 403),
                ('::ffff:192.0.2.1', 403)):
            for headers in (False, True):
                client = base.Client(self.make_app(
                    trust_identity_headers=headers))
                self.assertEqual(status, client.get('/v1/nodes', environ={
                    'REMOTE_ADDR': address}).status, address)
        client = base.Client(self.make_app(allow_noauth_everywhere=True))
        self.assertEqual(200, client.get('/v1/nodes', environ={
            'REMOTE_ADDR': '192.0.2.1'}).status)


class KeystoneTest(base.ApiTest):
    """What is said before any worker starts, and of a Keystone that hangs.

    That tokens are understood is tested with a real one.
    """

    good = {'auth_type': 'password', 'auth_url': 'http://127.0.0.1:1/v3',
            'www_authenticate_uri': 'http://keystone.example/v3',
            'username': 'u', 'password': 'p', 'user_domain_id': 'default'}

    def configure(self, **options):
        conf = cfg.ConfigOpts()
        opts.register(conf)
        path = os.path.join(self.directory, 'valence.conf')
        with open(path, 'w') as file:
            file.write('[api]\nauth_strategy = keystone\n'
                       '[keystone_authtoken]\n')
            for name, value in options.items():
                file.write(f'{name} = {value}\n')
        conf(['--config-file', path])
        service.check(conf)
        return conf

    def test_options(self):
        group = self.configure(**self.good).keystone_authtoken
        self.assertEqual((10, 1, True, 'composable-hardware'), (
            group.http_connect_timeout, group.http_request_max_retries,
            group.service_token_roles_required, group.service_type))
        self.assertEqual(3, self.configure(
            **self.good, http_connect_timeout=3
        ).keystone_authtoken.http_connect_timeout)
        for options in ({}, {**self.good, 'auth_type': ''},
                        {**self.good, 'auth_type': 'magic'},
                        {name: self.good[name] for name in self.good
                         if name != 'auth_url'}):
            with self.assertRaisesRegex(ValueError, 'keystone_authtoken'):
                self.configure(**options)

    def test_a_keystone_that_hangs(self):
        # Nobody accepts what connects to it.
        silent = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(silent.close)
        conf = self.configure(**{
            **self.good, 'http_connect_timeout': 1,
            'auth_url': f'http://127.0.0.1:{silent.getsockname()[1]}/v3'})
        client = base.Client(self.make_app(
            auth_strategy='keystone', keystone=conf))
        answer = client.get('/v1/nodes', x_auth_token='unknown')
        self.assert_error(answer, 503, 'service_unavailable')
        self.assertIn('retry-after', answer.headers)
        # What needs no look at a token is answered as ever.
        for token in ({}, {'x_auth_token': 'a\tb'},
                      {'x_auth_token': 'x' * 20000}):
            answer = client.get('/v1/nodes', **token)
            self.assert_error(answer, 401, 'unauthorized')
            self.assertEqual('Keystone uri="http://keystone.example/v3"',
                             answer.headers['www-authenticate'])
        self.assertEqual(200, client.get('/').status)
