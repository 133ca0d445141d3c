# SPDX-License-Identifier: Apache-2.0
"""Secrets, deadlines, keys at rest."""

import html
import json
import os
import pickle
import threading
import urllib.parse

import fixtures
import testtools

from valence.common import deadline
from valence.common.secret import LEFT_OUT, Secret, hide
from valence.common.vault import Vault, VaultError, create_key_file


class Secrets(testtools.TestCase):

    def test_not_printed(self):
        secret = Secret('hunter2')
        for text in (str(secret), repr(secret), f'{secret}', f'{secret:>9}',
                     repr({"password": secret})):
            self.assertNotIn('hunter2', text)
        self.assertEqual('hunter2', secret.reveal())

    def test_not_serialised(self):
        self.assertRaises(TypeError, json.dumps, Secret('hunter2'))
        self.assertRaises(TypeError, pickle.dumps, Secret('hunter2'))

    def test_equality(self):
        self.assertEqual(Secret('a'), Secret('a'))
        self.assertNotEqual(Secret('a'), Secret('b'))
        self.assertNotEqual(Secret('a'), 'a')


class Hidden(testtools.TestCase):
    """What a backend repeats of a secret."""

    def test_a_whole_one(self):
        for secret in ('abc', 'p@s w0"d', '<b>&\'', 'ä/ö', 'a\nb\tc'):
            for quoted in (secret, json.dumps(secret), html.escape(secret),
                           urllib.parse.quote(secret)):
                self.assertEqual('is *** wrong', hide(
                    f'is {quoted} wrong', [secret]).replace('"', ''))

    def test_a_part(self):
        secret = 'correct-horse-' + 'battery' * 10
        for text in (secret[:-1], secret[3:], 'correct', 'correct horse',
                     'battery' * 5, secret.upper()[:8]
                     + secret[8:]):
            self.assertEqual(LEFT_OUT, hide(f'is {text} wrong', [secret]))
        for text in ('corre', 'horse', 'nothing', ''):
            self.assertEqual(text, hide(text, [secret]))

    def test_what_is_too_short_to_know(self):
        self.assertEqual('an ab', hide('an ab', ['ab', '']))

    def test_many(self):
        self.assertEqual('*** and ***', hide(
            'first word and second', ['second', 'first word']))


class Deadlines(testtools.TestCase):

    def test_none(self):
        self.assertEqual(7.0, deadline.remaining(7.0))

    def test_the_inner_one_only_shortens(self):
        with deadline.limit(5), deadline.limit(100):
            self.assertLessEqual(deadline.remaining(50), 5)
            with deadline.limit(1):
                self.assertLessEqual(deadline.remaining(50), 1)
        self.assertEqual(50, deadline.remaining(50))

    def test_a_renewed_one_gives_more(self):
        left = [1.0]
        with deadline.limit_by(lambda: left[0]):
            self.assertEqual(1.0, deadline.remaining(50))
            left[0] = 9.0
            self.assertEqual(9.0, deadline.remaining(50))

    def test_other_threads_have_their_own(self):
        seen = []
        with deadline.limit(1):
            thread = threading.Thread(
                target=lambda: seen.append(deadline.remaining(50)))
            thread.start()
            thread.join()
        self.assertEqual([50], seen)


class Vaults(testtools.TestCase):

    def path(self):
        return os.path.join(self.useFixture(fixtures.TempDir()).path, 'key')

    def test_round_trip_and_rotation(self):
        old, new = self.path(), self.path()
        create_key_file(old)
        create_key_file(new)
        token, fingerprint = Vault.from_file(old).encrypt(
            {'username': 'ä', 'password': 'sp ace"\'{}'})
        with open(new, 'a') as file, open(old) as more:
            file.write(more.read())
        both = Vault.from_file(new)
        self.assertEqual({'username': 'ä', 'password': 'sp ace"\'{}'},
                         both.decrypt(token))
        self.assertNotEqual(fingerprint, both.fingerprint)

    def test_a_key_file_is_private_and_never_replaced(self):
        path = self.path()
        create_key_file(path)
        self.assertEqual(0o600, os.stat(path).st_mode & 0o777)
        self.assertRaises(FileExistsError, create_key_file, path)

    def test_what_is_wrong_is_said(self):
        path = self.path()
        error = self.assertRaises(VaultError, Vault.from_file, path)
        self.assertIn('create-key', str(error))
        for text in ('', 'nonsense'):
            with open(path, 'w') as file:
                file.write(text)
            self.assertRaises(VaultError, Vault.from_file, path)
        create_key_file(other := self.path())
        token, _ = Vault.from_file(other).encrypt({})
        os.unlink(path)
        create_key_file(path)
        self.assertRaises(VaultError, Vault.from_file(path).decrypt, token)
