# SPDX-License-Identifier: Apache-2.0
"""A real Barbican keeps the passwords of pod managers."""

import configparser
import json
import pathlib

import testtools

from valence.tests.functional import documents
from valence.tests.functional.barbican import Barbican
from valence.tests.functional.keystone import Keystone
from valence.tests.functional.processes import (
    Deployment,
    Simulator,
    wait_for,
)


class BarbicanTest(testtools.TestCase):

    def setUp(self):
        super().setUp()
        # Made outside of the fixtures, which cannot skip.
        keystone = Keystone(self)
        deployment = Deployment(self, broker=False)
        keystone = self.useFixture(keystone)
        keystone.add_project('service')
        # Who writes a secret, and who only reads it.
        keystone.add_user('operator', 'admin', 'service')
        keystone.add_user('valence', 'admin', 'service')
        self.barbican = self.useFixture(Barbican(keystone))
        self.deployment = self.useFixture(deployment)
        shown = self.shown()
        config = self.deployment.write_config('barbican.conf', **{
            **shown, 'key_manager': {
                **shown['key_manager'], 'auth_url': keystone.url,
                'password': 'valence'}})
        self.client = self.deployment.start_api(config, 'valence-standalone')

    def shown(self):
        """The configuration in the guide."""
        text = next(block.text for block in documents.blocks(
            'doc/source/admin/security.rst')
            if block.language == 'ini' and '[key_manager]' in block.text)
        parser = configparser.RawConfigParser()
        parser.read_string(text)
        return {group: dict(parser[group]) for group in parser.sections()}

    def authentication(self, pod, reference):
        return [{'type': 'basic', 'auth_items': {
            'username': pod.username, 'secret_ref': reference}}]

    def keep(self, pod):
        return self.barbican.keep(pod.password, 'operator', 'service')

    def refer(self, pod_manager, pod, reference):
        answer = self.client.request('PATCH', pod_manager, {
            'authentication': self.authentication(pod, reference)})
        self.assertEqual(200, answer.status_code, answer.text)

    def test_a_password_that_valence_does_not_have(self):
        client, pod = self.client, self.useFixture(Simulator())
        kept = self.keep(pod)
        self.assertTrue(kept.startswith(self.barbican.url))
        created = client.post('/v1/pod_managers', {
            'name': 'pod', 'url': pod.url,
            'authentication': self.authentication(pod, kept)})
        pod_manager = f'/v1/pod_managers/{created["uuid"]}'
        client.done(client.post(f'{pod_manager}/sync'))
        self.assertEqual('online', client.get(pod_manager)['status'])
        for file in pathlib.Path(self.deployment.directory).iterdir():
            self.assertNotIn(pod.password.encode(), file.read_bytes(), file)

        # A secret that is gone is said to be, and what waits for it goes on
        # when there is another.
        self.barbican.forget(kept, 'operator', 'service')
        self.refer(pod_manager, pod, kept)
        asked = client.post(f'{pod_manager}/sync')
        wait_for('it says that the secret is not to be had', lambda: (
            'the key manager does not give' in json.dumps(client.get(
                f'/v1/operations/{asked["operation"]["uuid"]}'))))
        self.refer(pod_manager, pod, self.keep(pod))
        client.done(asked)
        self.assertEqual('online', client.get(pod_manager)['status'])
        self.assertNotIn(pod.password, self.deployment.api.log)
