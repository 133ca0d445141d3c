# SPDX-License-Identifier: Apache-2.0
"""Rotation of the keys that stored credentials are encrypted with."""

import os
import stat

import sqlalchemy as sa

from valence.common import vault
from valence.db import credentials, models, pod_managers
from valence.tests.unit.api import base

SECRETS = {'username': 'ä', 'password': 'sp ace"\'{}'}


class Case(base.ApiTest):

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory, 'key')
        vault.create_key_file(self.path)
        self.kept = vault.Vault.from_file(self.path)

    def seal(self, name, by=None):
        token, key = (by or self.kept).encrypt(SECRETS)
        return self.pod_manager(name, credentials=token, credentials_key=key)

    def row(self, uuid):
        with self.database.read() as conn:
            return conn.execute(sa.select(models.PodManager.__table__).where(
                models.PodManager.uuid == uuid)).one()

    def promote(self):
        key = vault.new_key()
        vault.write_keys(self.path, [key, *vault.read_keys(self.path)])
        return vault.fingerprint(key)

    def rotate(self, by=None):
        return credentials.rotate(self.database, by or self.kept)


class Rotation(Case):

    def test_all_get_the_first_key_and_nothing_else_changes(self):
        uuids = [self.seal(f'pod{number}') for number in range(205)]
        bare = self.pod_manager('bare')
        before = self.row(uuids[0])
        new = self.promote()
        current = self.seal('current')

        self.assertEqual(credentials.Rotation(205, 1, ()), self.rotate())
        for uuid in (*uuids, current):
            row = self.row(uuid)
            self.assertEqual(new, row.credentials_key)
            self.assertEqual(SECRETS, self.kept.decrypt(row.credentials))
        after = self.row(uuids[0])
        self.assertNotEqual(before.credentials, after.credentials)
        sealed = {'credentials': '', 'credentials_key': ''}
        self.assertEqual({**before._mapping, **sealed},
                         {**after._mapping, **sealed})
        self.assertIsNone(self.row(bare).credentials)
        self.assertEqual({new: 206}, credentials.used_keys(self.database))
        # The old key alone opens nothing any more.
        only_new = vault.Vault(vault.read_keys(self.path)[:1])
        self.assertEqual(
            SECRETS, only_new.decrypt(self.row(uuids[7]).credentials))
        self.assertEqual(credentials.Rotation(0, 206, ()), self.rotate())

    def test_what_changes_meanwhile_is_not_overwritten(self):
        stale = vault.Vault(vault.read_keys(self.path))
        first, second, third = map(self.seal, ('a', 'b', 'c'))
        new = self.promote()
        case = self

        class Meddling(vault.Vault):
            """While the rows are worked on, users change two of them."""

            meddled = False

            def encrypt_anew(self, token):
                if not self.meddled:
                    self.meddled = True
                    for uuid, by in ((first, self), (second, stale)):
                        sealed, key = by.encrypt({'password': 'newer'})
                        case.database.run(
                            pod_managers.update, uuid, {
                                'credentials': sealed,
                                'credentials_key': key})
                return super().encrypt_anew(token)

        done = self.rotate(Meddling(vault.read_keys(self.path)))
        self.assertEqual((2, ()), (done.changed, done.lost))
        for uuid, text in ((first, {'password': 'newer'}),
                           (second, {'password': 'newer'}),
                           (third, SECRETS)):
            row = self.row(uuid)
            self.assertEqual(new, row.credentials_key)
            self.assertEqual(text, self.kept.decrypt(row.credentials))

    def test_what_cannot_be_read_is_named_and_left_alone(self):
        lost = self.seal('gone', vault.Vault([vault.new_key()]))
        before = self.row(lost)
        self.seal('kept')
        self.promote()
        self.assertEqual(credentials.Rotation(1, 0, ('gone',)),
                         self.rotate())
        self.assertEqual(before, self.row(lost))


class LostKeys(Case):

    def test_the_message_says_how_many_and_the_cure(self):
        credentials.require_keys(self.database, self.kept)
        uuids = [self.seal(f'pod{number}') for number in range(7)]
        credentials.require_keys(self.database, self.kept)
        lost = self.kept.fingerprint
        self.promote()
        credentials.require_keys(self.database, self.kept)

        other = vault.Vault([vault.new_key()])
        with self.assertRaises(vault.VaultError) as caught:
            credentials.require_keys(self.database, other)
        for words in ('7 pod manager(s)', 'pod0', lost, 'forget-lost'):
            self.assertIn(words, str(caught.exception))

        kept = self.seal('kept', other)
        self.assertEqual(
            [f'pod{number}' for number in range(7)],
            self.database.run(credentials.forget_lost, other.fingerprints))
        credentials.require_keys(self.database, other)
        row = self.row(uuids[0])
        self.assertEqual((None, None, 2), (
            row.credentials, row.credentials_key, row.generation))
        self.assertEqual(1, self.row(kept).generation)


class ReadAgain(Case):
    """A vault follows its file."""

    def test_a_changed_file(self):
        token, key = self.kept.encrypt(SECRETS)
        new = self.promote()
        self.assertNotEqual(key, new)
        self.assertEqual(new, self.kept.encrypt(SECRETS)[1])
        self.assertEqual(SECRETS, self.kept.decrypt(token))
        vault.write_keys(self.path, vault.read_keys(self.path)[:1])
        self.assertRaises(vault.VaultError, self.kept.decrypt, token)

    def test_a_broken_file_changes_nothing(self):
        token, key = self.kept.encrypt(SECRETS)
        for text in (b'', b'nonsense\n', b'\xff'):
            with open(self.path, 'wb') as file:
                file.write(text)
            self.assertEqual(SECRETS, self.kept.decrypt(token))
        os.unlink(self.path)
        self.assertEqual(key, self.kept.encrypt(SECRETS)[1])

    def test_the_file_stays_private(self):
        os.chmod(self.path, 0o640)
        self.promote()
        self.assertEqual(0o640, stat.S_IMODE(os.stat(self.path).st_mode))
        self.assertEqual(['key'], [name for name in os.listdir(
            self.directory) if 'key' in name])

    def test_signatures_survive_a_rotation(self):
        signature = self.kept.sign('text')
        self.promote()
        self.assertNotEqual(signature, self.kept.sign('text'))
        self.assertTrue(self.kept.has_signed('text', signature))
        self.assertFalse(self.kept.has_signed('texts', signature))
        self.assertFalse(self.kept.has_signed('text', 'ä'))
        vault.write_keys(self.path, vault.read_keys(self.path)[:1])
        self.assertFalse(self.kept.has_signed('text', signature))
