# SPDX-License-Identifier: Apache-2.0
"""Route by persona: nobody reaches what is not theirs."""

import importlib
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest
from unittest import mock

import bcrypt

from valence.api import routes
from valence.common import policy
from valence.common.context import RequestContext
from valence.db import models
from valence.tests.unit.api import base

TOOL = pathlib.Path(__file__).resolve().parents[4] / 'tools/rbac_matrix.py'

# Whom the columns stand for, as headers.
PERSONAS = {
    'admin': {'x_roles': 'admin'},
    'system reader': {'x_roles': 'reader', 'x_system_scope': 'all'},
    'service': {'x_roles': 'service'},
    'manager': {'x_roles': 'manager'},
    'member': {'x_roles': 'member'},
    'reader': {'x_roles': 'reader'},
    'no role': {'x_roles': 'other'},
}

# What they may do: everything, what their project owns, or nothing. Said
# here once more, by itself, and in this order of personas.
EVERYBODY = 'yes yes yes yes yes yes yes'
OPERATES = 'yes - - - - - -'
LOOKS = 'yes yes yes - - - -'
ANYBODY = 'yes yes yes yes yes yes -'
SEES = 'yes yes yes own own own -'
WORKS = 'yes - - own own - -'
CREATES = 'own - - own own - -'
ITS_OWN = 'own - own own own own -'

EXPECTED = {
    EVERYBODY: (
        'GET /', 'GET /v1', 'GET /v1/openapi.json', 'POST /v1/events'),
    OPERATES: (
        'POST /v1/pod_managers',
        'PATCH /v1/pod_managers/{pod_manager}',
        'DELETE /v1/pod_managers/{pod_manager}',
        'POST /v1/pod_managers/{pod_manager}/sync',
        'POST /v1/devices/sync',
        'POST /v1/pod_managers/{pod_manager}/drain',
        'POST /v1/flavors',
        'PATCH /v1/flavors/{flavor}',
        'DELETE /v1/flavors/{flavor}',
        'POST /v1/nodes/{node}/action (reset_state)',
        'POST /v1/operations/{operation}/abandon',
        'PUT /v1/quotas/{project_id}',
        'DELETE /v1/quotas/{project_id}'),
    LOOKS: (
        'GET /v1/pod_managers', 'GET /v1/pod_managers/{pod_manager}',
        'GET /v1/racks', 'GET /v1/racks/{rack}',
        'GET /v1/systems', 'GET /v1/systems/{system}',
        'GET /v1/devices', 'GET /v1/devices/{device}',
        'GET /v1/zones', 'GET /v1/zones/{zone}', 'GET /v1/usage',
        'GET /v1/drift', 'GET /v1/drift/{drift}',
        'GET /v1/drivers', 'GET /v1/drivers/{driver}',
        'GET /v1/conductors', 'GET /v1/conductors/{conductor}'),
    ANYBODY: ('GET /v1/flavors', 'GET /v1/flavors/{flavor}'),
    SEES: (
        'GET /v1/nodes', 'GET /v1/nodes/{node}',
        'GET /v1/operations', 'GET /v1/operations/{operation}',
        'GET /v1/quotas/{project_id}'),
    WORKS: (
        'PATCH /v1/nodes/{node}', 'DELETE /v1/nodes/{node}',
        'POST /v1/nodes/{node}/action',
        'DELETE /v1/operations/{operation}',
        'POST /v1/operations/{operation}/retry'),
    CREATES: ('POST /v1/nodes',),
    ITS_OWN: ('GET /v1/quotas',),
}

# Bodies that do what the row is about. Elsewhere one serves that is refused
# after the policy has spoken.
BODIES = {
    'PATCH /v1/nodes/{node}': {'description': 'new'},
    'POST /v1/nodes/{node}/action': {'Reset': {'Type': 'On'}},
    'POST /v1/nodes/{node}/action (reset_state)': {
        'reset-state': {'state': 'error'}},
    'PUT /v1/quotas/{project_id}': {'limits': {}},
}
REFUSED_BODY = {'x': 1}

# The lists of what belongs to projects.
LISTS = ('GET /v1/nodes', 'GET /v1/operations')

ROUTES = {(route.method, route.path): route for route in routes.ROUTES}


def expected():
    return {row: dict(zip(PERSONAS, cells.split(), strict=True))
            for cells, rows in EXPECTED.items() for row in rows}


def load_tool():
    with mock.patch.object(sys, 'path', [str(TOOL.parent), *sys.path]):
        return importlib.import_module('rbac_matrix')


@unittest.skipUnless(TOOL.exists(), 'not run from a source tree')
class PageTest(unittest.TestCase):

    maxDiff = None

    def test_the_policy_is_what_it_should_be(self):
        """A route that :data:`EXPECTED` does not list is found here."""
        self.assertEqual(expected(), load_tool().matrix())

    def test_the_page_is_up_to_date(self):
        done = subprocess.run([sys.executable, TOOL, '--check'], text=True,
                              capture_output=True)
        self.assertEqual((0, ''), (done.returncode, done.stderr))


class MatrixTest(base.ApiTest):
    """Each cell, over HTTP: one request for the own, one for a foreign."""

    settings = {'trust_identity_headers': True}

    def setUp(self):
        super().setUp()
        self.conductor()
        self.pod = self.pod_manager()

    def inventory(self, model, **values):
        number = next(self.numbers)
        return self.insert(model, **{
            'pod_manager_id': self.row_id(models.PodManager, self.pod),
            'resource_path': f'/{number}', 'name': str(number), 'digest': '',
            **values})

    def target(self, variable, project):
        """A new thing of that kind."""
        number = next(self.numbers)
        return {
            'pod_manager': lambda: self.pod_manager(f'pod{number}'),
            'rack': lambda: self.inventory(models.Rack, chassis_type='Rack'),
            'system': lambda: self.inventory(
                models.System, system_type='Physical'),
            'device': lambda: self.device(self.pod),
            'zone': lambda: self.inventory(models.Zone),
            'drift': lambda: self.insert(
                models.Drift, pod_manager_id=self.row_id(
                    models.PodManager, self.pod), kind='gone',
                resource_path=f'/{number}', state='seen', first_scan=1,
                last_scan=1),
            'driver': lambda: 'redfish',
            'conductor': lambda: self.conductor(),
            'flavor': lambda: self.insert(
                models.Flavor, name=f'flavor{number}', properties={}),
            'node': lambda: self.node(
                self.pod, f'node{number}', project_id=project),
            'operation': lambda: self.operation(
                kind='compose', project_id=project),
            'project_id': lambda: project,
        }[variable]()

    def ask(self, row, persona, project, query=''):
        method, path = row.split()[:2]
        url = path
        for variable in re.findall(r'{(\w+)}', path):
            url = url.replace(f'{{{variable}}}',
                              self.target(variable, project))
        body = [] if ROUTES[method, path].body is None else [
            BODIES.get(row, REFUSED_BODY)]
        return self.client.request(
            method, url + query, *body, x_project_id='mine',
            **PERSONAS[persona])

    def assert_done(self, response):
        self.assertIn(response.status, (200, 201, 202, 204, 400, 409),
                      response.body)

    def test_every_cell(self):
        for row, cells in expected().items():
            for persona, cell in cells.items():
                with self.subTest(f'{persona}: {row}'):
                    self.check_cell(row, persona, cell)

    def check_cell(self, row, persona, cell):
        if row == 'POST /v1/events':
            # Open to all; its own secret, which nobody has, is what it
            # asks for.
            return
        # In lists, what is others' has to be asked for.
        query = ('?all_projects=true' if cell == 'yes' and row in LISTS
                 else '')
        for project in ('mine', 'other'):
            response = self.ask(row, persona, project, query)
            if cell == '-':
                self.assert_error(response, 403, 'forbidden')
            elif (project == 'other' and cell == 'own' and '{' in row):
                self.assert_error(response, 404, 'not_found')
            else:
                self.assert_done(response)

    def test_lists_show_what_one_may_see(self):
        for collection, variable in (('nodes', 'node'),
                                     ('operations', 'operation')):
            here = {project: self.target(variable, project)
                    for project in ('mine', 'other')}
            for persona, cell in expected()[f'GET /v1/{collection}'].items():
                row = f'GET /v1/{collection}'
                with self.subTest(f'{persona}: {row}'):
                    everything = self.ask(row, persona, '',
                                          '?all_projects=true')
                    if cell != 'yes':
                        self.assert_error(everything, 403, 'forbidden')
                    else:
                        self.assertLessEqual(set(here.values()), {
                            one['uuid']
                            for one in everything.json[collection]})
                    if cell == '-' or persona == 'system reader':
                        continue
                    self.assertEqual([here['mine']], [
                        one['uuid'] for one in
                        self.ask(row, persona, '').json[collection]])

    def test_nobody_unknown_gets_past_the_door(self):
        path = os.path.join(self.directory, 'htpasswd')
        with open(path, 'w') as file:
            file.write('operator:'
                       + bcrypt.hashpw(b'x', bcrypt.gensalt(4)).decode())
        self.client = base.Client(self.make_app(
            auth_strategy='http_basic', htpasswd_file=path))
        for route in routes.ROUTES:
            row = f'{route.method} {route.path}'
            with self.subTest(row):
                status = self.ask(row, 'admin', 'mine').status
                self.assertEqual(route.policy is not None, status == 401)


class ProjectTest(base.ApiTest):

    settings = {'trust_identity_headers': True}

    def setUp(self):
        super().setUp()
        self.pod = self.pod_manager()
        self.own = self.node(self.pod, 'same', project_id='mine')
        self.foreign = self.node(self.pod, 'same', project_id='other')
        self.alien = self.node(self.pod, 'alien', project_id='other')
        self.operations = {
            project: self.operation(project_id=project)
            for project in ('mine', 'other', None)}
        self.member = {'x_project_id': 'mine', 'x_roles': 'member'}
        self.admin = {'x_project_id': 'mine', 'x_roles': 'admin'}

    def test_lists(self):
        for query in ('', '?limit=1', '?name=same', '?all_projects=false'):
            body = self.client.get(f'/v1/nodes{query}', **self.member).json
            self.assertEqual([self.own], [n['uuid'] for n in body['nodes']])
            self.assertIsNone(body['next'])
        body = self.client.get('/v1/operations', **self.member).json
        self.assertEqual([self.operations['mine']],
                         [o['uuid'] for o in body['operations']])
        for collection in ('nodes', 'operations'):
            self.assert_error(self.client.get(
                f'/v1/{collection}?all_projects=true', **self.member), 403,
                'forbidden')

    def test_a_foreign_thing_is_not_found(self):
        for method, url in (
                ('GET', f'/v1/nodes/{self.foreign}'),
                ('GET', '/v1/nodes/alien'),
                ('DELETE', f'/v1/nodes/{self.foreign}'),
                ('DELETE', '/v1/nodes/alien'),
                ('GET', f'/v1/operations/{self.operations["other"]}'),
                ('GET', f'/v1/operations/{self.operations[None]}')):
            self.assert_error(
                self.client.request(method, url, **self.member), 404,
                'not_found')
        self.assert_error(self.client.post(
            f'/v1/nodes/{self.foreign}/action', {'Reset': {'Type': 'On'}},
            **self.member), 404, 'not_found')
        # Nor is it a marker.
        self.assert_error(self.client.get(
            f'/v1/nodes?marker={self.foreign}', **self.member), 400,
            'marker_not_found', 'marker')

    def test_a_name_is_that_of_the_own_project(self):
        for headers, uuid in ((self.member, self.own), (self.admin, self.own),
                              ({**self.member, 'x_project_id': 'other'},
                               self.foreign)):
            self.assertEqual(uuid, self.client.get(
                '/v1/nodes/same', **headers).json['uuid'])

    def test_admin_reaches_others_by_uuid(self):
        self.assertEqual(1, len(self.client.get(
            '/v1/nodes', **self.admin).json['nodes']))
        self.assertEqual(3, len(self.client.get(
            '/v1/nodes?all_projects=true', **self.admin).json['nodes']))
        self.assertEqual(3, len(self.client.get(
            '/v1/operations?all_projects=true',
            **self.admin).json['operations']))
        self.assertEqual('other', self.client.get(
            f'/v1/nodes/{self.foreign}', **self.admin).json['project_id'])
        response = self.client.delete(f'/v1/nodes/{self.foreign}',
                                      **self.admin)
        self.assertEqual(202, response.status, response.body)

    def test_no_project(self):
        headers = {'x_roles': 'admin', 'x_system_scope': 'all'}
        for url in ('/v1/nodes', '/v1/operations'):
            self.assertEqual(403, self.client.get(url, **headers).status)


class DecisionsTest(base.ApiTest):

    def context(self, **values):
        return RequestContext(**{'user_id': 'u', 'project_id': 'p',
                                 'roles': ['reader'], **values})

    def write(self, check):
        path = os.path.join(self.directory, 'policy.yaml')
        with open(path, 'w') as file:
            file.write(f'"composable-hardware:nodes:get": "{check}"\n')
        later = time.time() + self.later
        os.utime(path, (later, later))
        self.later += 10

    later = 10

    def test_a_changed_file_works_at_once(self):
        self.write('role:reader')
        subject = policy.Policy(policy.get_enforcer(self.conf), ttl=0.05)
        rule = 'composable-hardware:nodes:get'
        self.assertTrue(subject.allows(rule, self.context()))
        self.write('!')
        time.sleep(0.06)
        self.assertFalse(subject.allows(rule, self.context()))

    def test_decisions_are_not_mixed_up(self):
        self.write('user_id:boss or project_id:rich or role:x')
        subject = policy.Policy(policy.get_enforcer(self.conf), ttl=60)
        rule = 'composable-hardware:nodes:get'
        for _ in range(2):
            for values, allowed in (
                    ({}, False), ({'user_id': 'boss'}, True),
                    ({'project_id': 'rich'}, True), ({'roles': ['x']}, True),
                    ({'roles': ['y']}, False)):
                self.assertEqual(allowed, subject.allows(
                    rule, self.context(**values)))

    def test_whatever_a_rule_can_look_at_tells_decisions_apart(self):
        # What nothing sets cannot differ.
        unset = {'is_admin_project', 'service_user_domain_id',
                 'service_project_id', 'service_project_domain_id'}
        base = self.context().credentials
        for name, value in self.context().to_policy_values().items():
            if name not in unset:
                other = ['x'] if isinstance(value, list) else 'x'
                self.assertNotEqual(
                    base, self.context(**{name: other}).credentials, name)

    def test_unknown_rules_deny(self):
        subject = policy.Policy(policy.get_enforcer(self.conf))
        self.assertFalse(subject.allows('no:such:rule', self.context(
            roles=['admin'])))
