# SPDX-License-Identifier: Apache-2.0
import datetime

from valence.db import models
from valence.tests.unit.api import base

#: All that JSON writes in another way than it is, and what it need not.
TEXT = 'a"b\\c/\b\f\n\r\t\x01\x1f\x7f\u2028 é漢😀 %s {} :x \\n\''
JSON = {'text': TEXT, TEXT: [1, -2.5, 1e300, 2 ** 60, True, None, {}, []]}
SECOND = datetime.datetime(2026, 1, 31, 12, 0, 0)
FRACTION = datetime.datetime(2026, 1, 31, 12, 0, 0, 120000)


class ViewsTest(base.ApiTest):
    """A list, which the database writes, says what a show says."""

    def test_lists_say_what_shows_say(self):
        # In one test, for other databases take their time to be made.
        for check in (self.pod_managers, self.devices, self.other_hardware,
                      self.nodes, self.operations,
                      self.flavors_drift_and_conductors):
            with self.subTest(check.__name__):
                check()

    def check(self, collection, uuid, *left_out, **expected):
        shown = self.client.get(f'/v1/{collection}/{uuid}').json
        self.assertEqual(expected, {name: shown[name] for name in expected})
        # With the one and the other number of rows SQLite is asked in
        # different ways.
        for limit in (1, 1000):
            listed, = (entry for entry in self.client.get(
                f'/v1/{collection}?limit={limit}&sort_dir=desc'
                ).json[collection] if entry['uuid'] == uuid)
            self.assertEqual({name: value for name, value in shown.items()
                              if name not in left_out}, listed)

    def behind(self, pod, **values):
        return {'pod_manager_id': self.row_id(models.PodManager, pod),
                'digest': '', 'name': TEXT, **values}

    def pod_managers(self):
        left_out = ('ca_certificates', 'connection_properties')
        self.check('pod_managers', self.pod_manager('pod'), *left_out,
                   authentication=[], breaker={
                       'state': 'closed', 'failures': 0, 'retry_at': None})
        self.check('pod_managers', self.pod_manager(
            'other', credentials='sealed', status_reason=TEXT, product=TEXT,
            retry_at=FRACTION, failures=3, draining=True,
            last_sync_at=SECOND, created_at=FRACTION), *left_out,
            status_reason=TEXT, authentication=[{'type': 'basic'}],
            last_sync_at='2026-01-31T12:00:00Z',
            created_at='2026-01-31T12:00:00.120000Z',
            breaker={'state': 'open', 'failures': 3,
                     'retry_at': '2026-01-31T12:00:00.120000Z'})

    def devices(self):
        pod = self.pod_manager('devices-pod')
        self.check('devices', self.device(pod, name=TEXT, model=TEXT),
                   'details', name=TEXT, available=True, missing=False)
        for values in ({'pooled': False}, {'state': 'used'},
                       {'missing_since': 1}):
            self.check('devices', self.device(pod, **values), 'details',
                       available=False)
        node = self.node(pod, 'owner')
        self.insert(models.Claim, node_id=self.row_id(models.Node, node),
                    pod_manager_id=self.row_id(models.PodManager, pod),
                    resource_path='/claimed', operation_uuid='')
        self.check('devices', self.device(pod, resource_path='/claimed'),
                   'details', available=False, node=node)

    def other_hardware(self):
        pod = self.pod_manager('other-pod')
        self.check('racks', self.insert(models.Rack, **self.behind(
            pod, resource_path='/c/1', chassis_type='Rack',
            location=JSON)), 'details', location=JSON, name=TEXT)
        self.check('systems', self.insert(models.System, **self.behind(
            pod, resource_path='/s/1', system_type='Composed',
            composed=True)), 'details', composed=True, node=None)
        self.check('zones', self.insert(models.Zone, **self.behind(
            pod, resource_path='/z/1', limits={'gpu': [0, 2]})), 'details',
            limits={'gpu': [0, 2]})

    def nodes(self):
        pod = self.pod_manager('nodes-pod')
        self.check('nodes', self.node(
            pod, description=TEXT, state_reason=TEXT, details=JSON,
            state_since=SECOND), 'details', 'devices', description=TEXT,
            details=JSON, state_since='2026-01-31T12:00:00Z')

    def operations(self):
        left_out = ('result', 'steps')
        self.check('operations', self.operation(), *left_out, error=None)
        for code, detail in ((None, TEXT), ('timeout', None),
                             ('timeout', TEXT)):
            self.check('operations', self.operation(
                error_code=code, error=detail, undoing=True), *left_out,
                undoing=True, error={'code': code, 'detail': detail})

    def flavors_drift_and_conductors(self):
        self.check('flavors', self.insert(
            models.Flavor, name='flavor', description=TEXT), description=TEXT)
        pod = self.pod_manager('flavors-pod')
        self.check('drift', self.insert(
            models.Drift, pod_manager_id=self.row_id(models.PodManager, pod),
            kind='orphan', resource_path='/s/1', details=JSON, state='seen',
            first_scan=1, last_scan=2), details=JSON)
        self.check('conductors', self.conductor(
            drivers={'rsd': {}, 'redfish': {}}), drivers=['redfish', 'rsd'],
            alive=True)
        self.check('conductors', self.conductor(
            drivers={}, host=TEXT, stopped_at=SECOND), drivers=[],
            alive=False, stopped_at='2026-01-31T12:00:00Z')

    def test_links_where_the_endpoint_needs_escapes(self):
        self.pod_manager()
        self.client.application = self.make_app(
            public_endpoint='https://api.example.org/a"b\\')
        pods = self.client.get('/v1/pod_managers').json['pod_managers']
        self.assertEqual(
            f'https://api.example.org/a"b\\/v1/pod_managers/'
            f'{pods[0]["uuid"]}', pods[0]['links'][0]['href'])
