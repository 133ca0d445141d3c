# SPDX-License-Identifier: Apache-2.0
"""Passwords that castellan keeps, by its own mock of a key manager."""

import sys
import threading
from unittest import mock

import fixtures
import testtools
from castellan.common.objects import passphrase
from castellan.tests.unit.key_manager import mock_key_manager
from cryptography import fernet
from oslo_config import cfg

from valence.common import keymanager
from valence.common.vault import Vault, VaultError
from valence.conf import secrets
from valence.tests.unit.api import base

MOCK = ('castellan.tests.unit.key_manager.mock_key_manager.'
        'MockKeyManager')


class KeyManagers(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.conf = cfg.ConfigOpts()
        secrets.register(self.conf)
        self.conf([], project='valence', default_config_files=[])
        self.conf.set_override('backend', 'castellan', 'secrets')
        from castellan import key_manager
        self.conf.register_opts(key_manager.key_manager_opts, 'key_manager')
        self.conf.set_override('backend', MOCK, 'key_manager')
        self.vault = Vault([fernet.Fernet.generate_key().decode()])
        self.kept = mock_key_manager.MockKeyManager()
        self.useFixture(fixtures.MonkeyPatch(MOCK, lambda **_: self.kept))

    def store(self, text):
        return self.kept.store(mock.sentinel.context,
                               passphrase.Passphrase(text.encode()))

    def token(self, **items):
        return self.vault.encrypt({'username': 'u', **items})[0]

    def test_by_id_and_by_url(self):
        read = keymanager.reader(self.conf, self.vault)
        ident = self.store('sp ace "ä漢')
        for reference in (ident, f'https://barbican.example/v1/secrets/'
                          f'{ident}', f'http://else.example/{ident}/'):
            self.assertEqual(
                {'username': 'u', 'password': 'sp ace "ä漢'},
                read(self.token(secret_ref=reference)))
        self.assertEqual({'username': 'u', 'password': 'p'},
                         read(self.token(password='p')))

    def test_what_is_not_there(self):
        read = keymanager.reader(self.conf, self.vault)
        error = self.assertRaises(VaultError, read,
                                  self.token(secret_ref='a/nowhere'))
        self.assertIn('does not give secret nowhere', str(error))

    def test_one_that_does_not_answer(self):
        asked, answer = threading.Event(), threading.Event()
        self.addCleanup(answer.set)

        def hang(*args):
            asked.set()
            answer.wait(60)

        self.useFixture(fixtures.MonkeyPatch(
            'valence.common.keymanager._MOST_WAITING', 1))
        read = keymanager.reader(self.conf, self.vault)
        token = self.token(secret_ref=self.store('p'))
        get, self.kept.get = self.kept.get, hang
        self.useFixture(fixtures.MonkeyPatch(
            'valence.common.keymanager.TIMEOUT', 0.05))
        error = self.assertRaises(VaultError, read, token)
        self.assertIn('no answer within', str(error))
        self.assertTrue(asked.wait(60))
        # It is not asked more and more.
        error = self.assertRaises(VaultError, read, token)
        self.assertIn('without an answer', str(error))
        self.kept.get = get
        answer.set()
        self.useFixture(fixtures.MonkeyPatch(
            'valence.common.keymanager.TIMEOUT', 60.0))
        self.assertEqual('p', read(token)['password'])

    def test_without_castellan(self):
        with mock.patch.dict(sys.modules, {'castellan': None}):
            error = self.assertRaises(VaultError, keymanager.reader,
                                      self.conf, self.vault)
            self.assertIn('pip install', str(error))
            # Nobody else needs it.
            self.conf.set_override('backend', 'database', 'secrets')
            read = keymanager.reader(self.conf, self.vault)
        self.assertEqual({'username': 'u', 'password': 'p'},
                         read(self.token(password='p')))
        error = self.assertRaises(VaultError, read,
                                  self.token(secret_ref='a'))
        self.assertIn('backend', str(error))


class References(base.ApiTest):

    BODY = {'name': 'pod', 'url': 'https://pod.example'}

    def setUp(self):
        super().setUp()
        self.conductor()

    def post(self, client, **items):
        return client.post('/v1/pod_managers', {
            **self.BODY, 'authentication': [{
                'type': 'basic', 'auth_items': {'username': 'u', **items}}]})

    def test_a_reference_is_kept_and_not_shown(self):
        client = base.Client(self.make_app(allow_secret_ref=True))
        response = self.post(client, secret_ref='https://b.example/v1/x-1')
        self.assertEqual(201, response.status, response.body)
        self.assertNotIn(b'x-1', response.body)
        with self.database.read() as conn:
            token = conn.exec_driver_sql(
                'SELECT credentials FROM pod_managers').scalar()
        self.assertEqual(
            {'username': 'u', 'secret_ref': 'https://b.example/v1/x-1'},
            self.vault.decrypt(token))

    def test_only_where_there_is_a_key_manager(self):
        self.assert_error(
            self.post(self.client, secret_ref='a'), 400, 'no_key_manager',
            'authentication.0.auth_items.secret_ref')

    def test_one_of_both(self):
        client = base.Client(self.make_app(allow_secret_ref=True))
        for items in ({}, {'password': 'p', 'secret_ref': 'a'}):
            self.assertEqual(400, self.post(client, **items).status, items)
        self.assertEqual(400, self.post(
            client, secret_ref='a b').status)
