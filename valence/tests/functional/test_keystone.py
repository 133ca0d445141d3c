# SPDX-License-Identifier: Apache-2.0
"""A real Keystone says who somebody is."""

import configparser

import testtools

from valence.tests.functional import documents
from valence.tests.functional.keystone import Keystone
from valence.tests.functional.processes import Deployment, Simulator

_NODE = {'name': 'n', 'properties': {'processor': {'total_cores': 1}}}


class KeystoneTest(testtools.TestCase):

    def setUp(self):
        super().setUp()
        # Made outside of the fixtures, which cannot skip.
        keystone = Keystone(self)
        deployment = Deployment(self, broker=False)
        self.keystone = keystone = self.useFixture(keystone)
        for project in ('service', 'alpha', 'beta'):
            keystone.add_project(project)
        for name, role, project in (
                ('valence', 'service', 'service'),
                ('ironic', 'service', 'service'),
                ('manager', 'manager', 'alpha'),
                ('member', 'member', 'alpha'),
                ('reader', 'reader', 'alpha'),
                ('other', 'member', 'beta'),
                ('auditor', 'reader', None)):
            keystone.add_user(name, role, project)
        self.deployment = deployment = self.useFixture(deployment)
        config = deployment.write_config('keystone.conf', **{
            **self.shown(), 'keystone_authtoken': {
                **self.shown()['keystone_authtoken'],
                'www_authenticate_uri': keystone.url,
                'auth_url': keystone.url, 'password': 'valence'}})
        self.client = deployment.start_api(config, 'valence-standalone')
        keystone.add_service('valence', 'composable-hardware',
                             self.client.url)

    def shown(self):
        """The configuration in the guide, without a cache to share."""
        parser = configparser.RawConfigParser()
        for block in documents.blocks('doc/source/install/keystone.rst'):
            if block.language == 'ini':
                parser.read_string(block.text)
        groups = {group: dict(parser[group]) for group in parser.sections()}
        del groups['keystone_authtoken']['memcached_servers']
        return groups

    def status(self, token, path='/v1/nodes', method='GET', **headers):
        if token:
            headers['X-Auth-Token'] = token
        answer = self.client.request(
            method, path, headers={name.replace('_', '-'): value
                                   for name, value in headers.items()})
        self.assertNotIn('WWW-Authenticate',
                         {} if answer.status_code == 401 else answer.headers)
        if answer.status_code >= 400:
            self.assertEqual(['errors'], list(answer.json()))
        if answer.status_code == 401:
            self.assertEqual(f'Keystone uri="{self.keystone.url}"',
                             answer.headers['WWW-Authenticate'])
        return answer.status_code

    def use(self, user, scope=None, **kwargs):
        token = self.keystone.token(user, scope, **kwargs)
        self.client.session.headers['X-Auth-Token'] = token
        return token

    def test_who_somebody_is(self):
        # One test, for a Keystone takes longer to set up than to ask.
        self.check_personas()
        self.check_tokens()

    def check_personas(self):
        keystone, client = self.keystone, self.client
        pod = self.useFixture(Simulator())
        self.use('admin', project='admin')
        client.register(pod)
        self.use('member', project='alpha')
        answer = client.post('/v1/nodes', _NODE)
        client.done(answer)
        node = answer['node']['uuid']
        self.assertEqual(keystone.projects['alpha'],
                         client.get(f'/v1/nodes/{node}')['project_id'])
        self.assertEqual(
            keystone.users['member'],
            client.get('/v1/nodes')['nodes'][0]['user_id'])
        system = {'system': {'all': True}}
        for user, scope, project, own, all_nodes, delete, devices in (
                ('admin', None, 'admin', 200, 200, 400, 200),
                ('admin', system, None, 200, 200, 403, 200),
                ('auditor', system, None, 200, 200, 403, 200),
                ('ironic', None, 'service', 200, 200, 403, 200),
                ('manager', None, 'alpha', 200, 403, 400, 403),
                ('member', None, 'alpha', 200, 403, 400, 403),
                ('reader', None, 'alpha', 200, 403, 403, 403),
                ('other', None, 'beta', 404, 403, 400, 403)):
            token = keystone.token(user, scope, project)
            self.assertEqual(
                (own, all_nodes, delete, devices),
                (self.status(token, f'/v1/nodes/{node}'),
                 self.status(token, '/v1/nodes?all_projects=true'),
                 # A wrong query comes after the policy.
                 self.status(token, f'/v1/nodes/{node}?x=1', 'DELETE'),
                 self.status(token, '/v1/devices')), user)
        self.use('other', project='beta')
        self.assertEqual([], client.get('/v1/nodes')['nodes'])
        self.assertEqual([], client.get('/v1/operations')['operations'])
        self.assertEqual(404, client.request(
            'DELETE', f'/v1/nodes/{node}').status_code)
        self.use('manager', project='alpha')
        client.done(client.request('DELETE', f'/v1/nodes/{node}').json())
        del client.session.headers['X-Auth-Token']

    def check_tokens(self):
        keystone = self.keystone
        member = keystone.token('member', project='alpha')
        self.assertEqual(200, self.status(member))
        # Nobody reaches anything by saying who they are.
        faked = {'X_User_Id': 'x', 'X_Roles': 'admin', 'X_Project_Id': 'x',
                 'X_Identity_Status': 'Confirmed',
                 'OpenStack_System_Scope': 'all'}
        self.assertEqual(401, self.status(None, **faked))
        self.assertEqual(403, self.status(member, '/v1/devices', **faked))
        for token in (None, 'garbage', member[:-4] + 'AAAA', '\xe9\xe8',
                      'x' * 20000, 'a\tb'):
            self.assertEqual(401, self.status(token), token)
        for path in ('/', '/v1'):
            self.assertEqual(200, self.status(None, path))
        # A token without a scope has no roles.
        self.assertEqual(403, self.status(keystone.token('member')))
        revoked = keystone.token('reader', project='alpha')
        keystone.revoke(revoked)
        self.assertEqual(401, self.status(revoked))

        # Another service may finish what a user began, with its own token.
        service = keystone.token('ironic', project='service')
        expired = keystone.expired_token('member', 'alpha')
        self.assertEqual(401, self.status(expired))
        self.assertEqual(200, self.status(expired, X_Service_Token=service))
        self.assertEqual(401, self.status(expired, X_Service_Token=member))
        self.assertEqual(401, self.status(member, X_Service_Token=member))
        self.assertEqual(401, self.status(member, X_Service_Token='garbage'))
        # Its scope does not become the user's.
        keystone.add_user('wide', 'service')
        self.assertEqual(403, self.status(
            keystone.token('reader', project='alpha'), '/v1/devices',
            X_Service_Token=keystone.token('wide', {'system': {
                'all': True}})))

        restricted = keystone.restricted_token('member', 'alpha', {
            'service': 'composable-hardware', 'method': 'GET',
            'path': '/v1/nodes'})
        self.assertEqual(200, self.status(restricted))
        self.assertEqual(401, self.status(restricted, '/v1/operations'))
        self.assertEqual(401, self.status(restricted, '/v1/%ff'))

        # Keystone is gone: what was known is known, and of nothing else can
        # be said whether it is right.
        fresh = keystone.token('other', project='beta')
        keystone.process.kill()
        self.assertEqual(503, self.status(fresh))
        self.assertEqual(200, self.status(member))
        self.assertEqual(401, self.status(None))
