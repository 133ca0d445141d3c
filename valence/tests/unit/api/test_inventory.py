# SPDX-License-Identifier: Apache-2.0
import itertools
from urllib.parse import parse_qs, urlsplit

from valence.db import models
from valence.db.types import utcnow
from valence.tests.unit.api import base


def joined(pages):
    return list(itertools.chain(*pages))


class PagingTest(base.ApiTest):

    def setUp(self):
        super().setUp()
        self.pod = self.pod_manager()
        self.uuids = [self.device(self.pod) for _ in range(10)]

    def follow(self, url):
        pages = []
        while url:
            response = self.client.get(url)
            self.assertEqual(200, response.status, response.body)
            pages.append([device['uuid']
                          for device in response.json['devices']])
            url = response.json['next']
        return pages

    def test_pages(self):
        for limit, lengths in ((1, [1] * 10), (3, [3, 3, 3, 1]),
                               (5, [5, 5]), (10, [10]), (11, [10])):
            pages = self.follow(f'/v1/devices?limit={limit}')
            self.assertEqual(lengths, [len(page) for page in pages])
            self.assertEqual(self.uuids, joined(pages))

    def test_pages_that_sqlite_packs(self):
        self.uuids += [self.device(self.pod) for _ in range(195)]
        for query in ('', '&fields=uuid'):
            pages = self.follow(f'/v1/devices?limit=100{query}')
            self.assertEqual([100, 100, 5], [len(page) for page in pages])
            self.assertEqual(self.uuids, joined(pages))
        self.assertEqual({'devices': [], 'next': None}, self.client.get(
            '/v1/devices?limit=100&name=nothing').json)

    def test_default_limit(self):
        self.client = base.Client(self.make_app(default_limit=4))
        self.assertEqual([4, 4, 2], [
            len(page) for page in self.follow('/v1/devices')])

    def test_empty(self):
        self.assertEqual({'devices': [], 'next': None}, self.client.get(
            '/v1/devices?name=nothing').json)

    def test_next_keeps_all_parameters(self):
        for _ in range(2):
            self.device(self.pod, name='a&b=c d', model='ü?#')
        url = ('/v1/devices?name=a%26b%3Dc+d&limit=1&model=%C3%BC%3F%23'
               '&pooled=TRUE')
        following = self.client.get(url).json['next']
        parts = urlsplit(following)
        self.assertEqual(('http', 'api', '/v1/devices'), parts[:3])
        query = parse_qs(parts.query)
        self.assertEqual(
            {'name': ['a&b=c d'], 'limit': ['1'], 'model': ['ü?#'],
             'pooled': ['TRUE']},
            {name: value for name, value in query.items()
             if name != 'marker'})
        self.assertEqual([1, 1], [len(page) for page in self.follow(url)])

    def test_inserts_neither_repeat_nor_hide(self):
        first = self.client.get('/v1/devices?limit=5').json
        added = self.device(self.pod)
        rest = self.follow(first['next'])
        self.assertEqual([*self.uuids[5:], added], joined(rest))

    def test_unknown_marker(self):
        self.assert_error(
            self.client.get(f'/v1/devices?marker={self.pod}'), 400,
            'marker_not_found', 'marker')

    def test_marker_in_capitals(self):
        url = f'/v1/devices?marker={self.uuids[-2].upper()}'
        self.assertEqual([[self.uuids[-1]]], self.follow(url))


    def test_no_phantom_last_page(self):
        for limit in (5, 10):
            last = self.follow(f'/v1/devices?limit={limit}')[-1]
            self.assertEqual(limit, len(last))

    def test_backwards(self):
        pages = self.follow('/v1/devices?limit=4&sort_dir=desc')
        self.assertEqual([4, 4, 2], [len(page) for page in pages])
        self.assertEqual(self.uuids[::-1], joined(pages))

    def test_sorted_with_many_alike(self):
        kinds = ('gpu', 'nvme', 'gpu', 'fpga', 'nic')
        for number, uuid in enumerate(self.uuids):
            self.update(models.Device, uuid, type=kinds[number % 5],
                        name='alike' if number % 2 else f'n{number}')
        for key in ('type', 'name'):
            for direction in ('asc', 'desc'):
                wanted = self.client.get(
                    f'/v1/devices?sort_key={key}&sort_dir={direction}'
                ).json['devices']
                values = [device[key] for device in wanted]
                self.assertEqual(sorted(
                    values, reverse=direction == 'desc'), values)
                for limit in (1, 2, 3, 7):
                    pages = self.follow(
                        f'/v1/devices?sort_key={key}&sort_dir={direction}'
                        f'&limit={limit}')
                    self.assertEqual([device['uuid'] for device in wanted],
                                     joined(pages), (key, direction, limit))

    def test_sorted_while_others_insert(self):
        for number, uuid in enumerate(self.uuids):
            self.update(models.Device, uuid, name=f'n{number}')
        first = self.client.get('/v1/devices?limit=5&sort_key=name').json
        self.device(self.pod, name='n0')
        behind = self.device(self.pod, name='n7')
        rest = joined(self.follow(first['next']))
        self.assertEqual(
            [*self.uuids[5:8], behind, *self.uuids[8:]], rest)

    def test_only_what_can_be_sorted_by(self):
        for query, field in (('sort_key=details', 'sort_key'),
                             ('sort_key=uuid', 'sort_key'),
                             ('sort_key=state;--', 'sort_key'),
                             ('sort_dir=up', 'sort_dir'),
                             ('limit=1001', 'limit'), ('limit=0', 'limit'),
                             ('fields=', 'fields.0'),
                             ('fields=uuid,secret', 'fields.1'),
                             ('fields=uuid,uuid', 'fields')):
            self.assert_error(self.client.get(f'/v1/devices?{query}'), 400,
                              'invalid_request', field)

    def test_fields(self):
        body = self.client.get('/v1/devices?limit=3&fields=type,uuid').json
        self.assertEqual([{'links', 'type', 'uuid'}] * 3,
                         [set(device) for device in body['devices']])
        body = self.client.get('/v1/devices?limit=3&fields=type').json
        self.assertEqual([['type', 'links']] * 3,
                         [list(device) for device in body['devices']])
        # The next page is found although the uuid is not asked for.
        self.assertIn('fields=type', body['next'])
        self.assertEqual(200, self.client.get(body['next']).status)

    def test_every_field_of_a_list_can_be_chosen(self):
        self.conductor()
        self.operation()
        self.node(self.pod)
        for name in ('devices', 'pod_managers', 'nodes', 'operations',
                     'conductors'):
            whole = self.client.get(f'/v1/{name}?limit=1').json[name][0]
            for field in set(whole) - {'links'}:
                one = self.client.get(
                    f'/v1/{name}?limit=1&fields={field}').json[name][0]
                self.assertEqual({field: whole[field],
                                  'links': whole['links']}, one)


class UsageTest(base.ApiTest):

    def counts(self, query=''):
        return {(entry['pod_manager_name'], entry['type']): (
            entry['total'], entry['free'], entry['used'], entry['failed'])
            for entry in self.client.get(f'/v1/usage{query}').json['usage']}

    def test_counts(self):
        pod, other = self.pod_manager(), self.pod_manager('other')
        node = self.node(pod)
        for _ in range(2):
            self.device(pod)
        for values in ({'state': 'used'}, {'state': 'reserved'},
                       {'state': 'failed'}, {'state': 'unavailable'},
                       {'missing_since': 1}, {'pooled': False}):
            self.device(pod, **values)
        # Claimed: used, whatever the hardware says of them.
        for state in ('free', 'used', 'failed'):
            self.claim(node, self.device(pod, state=state))
        self.device(other, type='gpu')
        wanted = {('pod', 'nvme'): (10, 2, 5, 3), ('other', 'gpu'): (
            1, 1, 0, 0)}
        self.assertEqual(wanted, self.counts())
        self.assertEqual({('other', 'gpu')},
                         set(self.counts('?pod_manager=other')))
        self.assertEqual({('pod', 'nvme')}, set(self.counts('?type=nvme')))
        for total, *parts in wanted.values():
            self.assertEqual(total, sum(parts))


class SyncDevicesTest(base.ApiTest):

    def test_one_or_all(self):
        pods = [self.pod_manager('a'), self.pod_manager('b')]
        for body in ({'podm_id': pods[0]}, {'pod_manager': 'a'}):
            response = self.client.post('/v1/devices/sync', body)
            self.assertEqual(202, response.status, response.body)
            first, = response.json['operations']
            self.assertEqual(('sync', pods[0]), (
                first['kind'], first['pod_manager']))
        for body in (base.UNSET, {}):
            found = self.client.post('/v1/devices/sync', body).json[
                'operations']
            self.assertEqual(pods, [one['pod_manager'] for one in found])
            # What is under way is joined.
            self.assertEqual(first['uuid'], found[0]['uuid'])
        self.assertEqual({first['uuid'], found[1]['uuid']}, set(self.rung))

    def test_refused(self):
        self.assert_error(
            self.client.post('/v1/devices/sync', {'podm_id': 'x'}), 400,
            'unknown_pod_manager', 'pod_manager')
        self.assert_error(
            self.client.post('/v1/devices/sync', {'node': 'x'}), 400,
            'invalid_request', 'node')
        self.assertEqual(400, self.client.post('/v1/devices/sync', {
            'podm_id': 'x', 'pod_manager': 'x'}).status)


class ChangesSinceTest(base.ApiTest):

    def since(self, text):
        return self.client.get(f'/v1/operations?changes-since={text}')

    def test_what_has_changed(self):
        old = self.operation(updated_at=utcnow(-3600))
        new = self.operation()

        def found(text):
            return [one['uuid'] for one in self.since(text).json[
                'operations']]

        when = self.client.get(f'/v1/operations/{new}').json['updated_at']
        self.assertEqual([old, new], found('2020-01-01T00:00:00Z'))
        # A leap second.
        self.assertEqual([old, new], found('2016-12-31T23:59:60z'))
        self.assertEqual([new], found(when))
        # A plus sign is a space in a query unless it is encoded.
        self.assertEqual([], found('2222-01-01T00:00:00.123456%2B02:00'))
        self.update(models.Operation, old, state='running')
        self.assertEqual([old, new], found(when))

    def test_what_is_no_time(self):
        for text in ('yesterday', '', '2026-01-31', '2026-01-31T12:00:00',
                     '2026-02-31T12:00:00Z', '2026-01-31T12:00:00+02:00',
                     '20260131T120000Z', '2026-W01-1T00:00:00Z', '1',
                     '2026-01-31T12:60:00Z', '2026-01-31T12:60:60Z',
                     '2026-01-31T12:00:00%2B01:60',
                     '9999-12-31T23:59:59-12:00'):
            with self.subTest(text):
                self.assert_error(self.since(text), 400, 'invalid_request',
                                  'changes-since')


class DevicesTest(base.ApiTest):

    def setUp(self):
        super().setUp()
        self.pod = self.pod_manager()
        self.other = self.pod_manager('other')
        self.free = self.device(self.pod, name='free', health='OK')
        self.used = self.device(self.pod, name='used', type='gpu')
        self.fixed = self.device(
            self.other, name='fixed', pooled=False, system_path='/s/1',
            missing_since=3)
        self.hot = self.device(self.other, name='hot', state='failed')
        self.owner = self.node(self.pod)
        self.claim(self.owner, self.used)

    def names(self, query):
        response = self.client.get(f'/v1/devices?{query}')
        self.assertEqual(200, response.status, response.body)
        return [device['name'] for device in response.json['devices']]

    def test_filters(self):
        for query, names in (
                ('', ['free', 'used', 'fixed', 'hot']),
                ('pod_manager=other', ['fixed', 'hot']),
                (f'pod_manager={self.pod}', ['free', 'used']),
                ('type=gpu', ['used']),
                ('pooled=false', ['fixed']),
                ('state=failed', ['hot']),
                ('health=OK', ['free']),
                ('system_path=/s/1', ['fixed']),
                ('missing=true', ['fixed']),
                ('missing=false&type=nvme', ['free', 'hot']),
                (f'node={self.owner}', ['used']),
                ('claimed=true', ['used']),
                ('claimed=false&pooled=true', ['free', 'hot']),
                ('available=true', ['free']),
                ('available=false', ['used', 'fixed', 'hot']),
                ('name=free', ['free'])):
            with self.subTest(query):
                self.assertEqual(names, self.names(query))

    def test_show(self):
        body = self.client.get(f'/v1/devices/{self.used}').json
        self.assertEqual(
            (self.owner, False, self.pod, ['/zones/1'], 'gpu', False),
            (body['node'], body['available'], body['pod_manager'],
             body['zone_paths'], body['type'], body['missing']))
        self.assertIn('serial', body['details'])
        self.assertEqual(f'http://api/v1/devices/{self.used}',
                         body['links'][0]['href'])
        self.assertIs(True, self.client.get(
            f'/v1/devices/{self.free}').json['available'])

    def test_only_by_uuid(self):
        for ident in ('free', self.pod, 'x'):
            self.assert_error(self.client.get(f'/v1/devices/{ident}'), 404,
                              'not_found')


class OthersTest(base.ApiTest):

    def setUp(self):
        super().setUp()
        self.pod = self.pod_manager()

    def common(self, **values):
        return {'pod_manager_id': self.row_id(models.PodManager, self.pod),
                'digest': '', **values}

    def test_racks(self):
        uuid = self.insert(models.Rack, **self.common(
            resource_path='/c/1', name='rack', chassis_type='Rack',
            location={'row': 'A'}))
        self.assertEqual({'row': 'A'}, self.client.get(
            f'/v1/racks/{uuid}').json['location'])
        self.assertEqual(1, len(self.client.get(
            '/v1/racks?chassis_type=Rack').json['racks']))

    def test_systems(self):
        uuid = self.insert(models.System, **self.common(
            resource_path='/s/1', name='sys', composed=True,
            system_type='Composed', device_paths=['/b/1']))
        node = self.node(self.pod, resource_path='/s/1')
        body = self.client.get(f'/v1/systems/{uuid}').json
        self.assertEqual((node, True, ['/b/1']), (
            body['node'], body['composed'], body['device_paths']))
        self.assertEqual(1, len(self.client.get(
            f'/v1/systems?node={node}&composed=true').json['systems']))

    def test_zones(self):
        uuid = self.insert(models.Zone, **self.common(
            resource_path='/z/1', name='zone', limits={'gpu': [0, 2]}))
        self.assertEqual({'gpu': [0, 2]}, self.client.get(
            f'/v1/zones/{uuid}').json['limits'])
        self.assertEqual(1, len(self.client.get(
            '/v1/zones?pod_manager=pod').json['zones']))


class ConductorsTest(base.ApiTest):

    def test_conductors(self):
        alive = self.conductor()
        dead = self.conductor(host='two', heartbeat_at=utcnow(-3600))
        stopped = self.conductor(stopped_at=utcnow())
        bodies = self.client.get('/v1/conductors').json['conductors']
        self.assertEqual(
            [(alive, True), (dead, False), (stopped, False)],
            [(body['uuid'], body['alive']) for body in bodies])
        self.assertEqual(['redfish'], bodies[0]['drivers'])
        self.assertEqual([dead, stopped], [
            body['uuid'] for body in self.client.get(
                '/v1/conductors?alive=false').json['conductors']])
        self.assertEqual('two', self.client.get(
            f'/v1/conductors/{dead}').json['host'])

    def test_drivers(self):
        one = self.conductor()
        two = self.conductor(drivers={'redfish': {}, 'other': {
            'description': 'Other'}})
        self.conductor(drivers={'dead': {}}, heartbeat_at=utcnow(-3600))
        bodies = self.client.get('/v1/drivers').json['drivers']
        self.assertEqual(['other', 'redfish'],
                         [body['name'] for body in bodies])
        self.assertEqual({one, two}, set(bodies[1]['conductors']))
        self.assertEqual('Other', self.client.get(
            '/v1/drivers/other').json['description'])
        self.assert_error(self.client.get('/v1/drivers/dead'), 404,
                          'not_found')

    def test_pages_of_drivers(self):
        self.conductor(drivers={name: {} for name in 'cadb'})
        names, url = [], '/v1/drivers?limit=2&fields=name'
        while url:
            body = self.client.get(url).json
            for driver in body['drivers']:
                self.assertEqual({'name', 'links'}, set(driver))
                names.append(driver['name'])
            url = body['next']
            self.assertIn(url, (
                None, 'http://api/v1/drivers?limit=2&fields=name&marker=b'))
        self.assertEqual(list('abcd'), names)
        for query, found in (('sort_dir=desc&limit=1', 'd'),
                             ('sort_key=name&marker=b', 'cd'),
                             ('sort_dir=desc&marker=b', 'a'),
                             ('marker=d', '')):
            self.assertEqual(list(found), [
                driver['name'] for driver in self.client.get(
                    f'/v1/drivers?{query}').json['drivers']])
        self.assert_error(self.client.get('/v1/drivers?marker=x'), 400,
                          'marker_not_found', 'marker')
        self.assert_error(self.client.get('/v1/drivers?fields=x'), 400,
                          'invalid_request', 'fields.0')
