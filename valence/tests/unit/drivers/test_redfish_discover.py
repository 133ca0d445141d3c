# SPDX-License-Identifier: Apache-2.0
"""What does the Redfish driver see in a pod, however odd the answers?"""

import json
import random
import time

import fixtures
import testtools

from valence.drivers import base
from valence.tests.unit.drivers.pod import (
    BLOCKS,
    COMPOSED,
    ROOT,
    SERVICE,
    SYSTEMS,
    WHOLE,
    ZONES,
    PodMixin,
    collection,
    link,
    links,
)
from valence.tests.unit.drivers.server import reply

EXPAND = {'ExpandQuery': {'NoLinks': True, 'Levels': True, 'MaxLevels': 3}}


class DiscoverCase(testtools.TestCase, PodMixin):

    def setUp(self):
        super().setUp()
        self.start()

    def discover(self):
        self.inventory = self.driver.discover()
        self.devices = {one.resource_path: one
                        for one in self.inventory.devices}
        return self.inventory

    def block(self, name):
        self.discover()
        return self.devices[f'{BLOCKS}/{name}']

    def assertIncomplete(self, *paths):
        self.discover()
        self.assertFalse(self.inventory.complete)
        self.assertEqual(sorted(paths), sorted(
            {one.resource_path for one in self.inventory.problems}))


class Contents(DiscoverCase):

    def test_everything_is_there(self):
        inventory = self.discover()
        self.assertTrue(inventory.complete)
        self.assertEqual((), inventory.problems)
        self.assertEqual([ROOT + '/Chassis/rack', ROOT + '/Chassis/sled'],
                         [one.resource_path for one in inventory.racks])
        self.assertEqual(
            [f'{BLOCKS}/{name}' for name in ('c1', 'c2', 'd1', 'g1', 'n1')]
            + [WHOLE + '/Storage/1/Drives/1'], list(self.devices))
        self.assertEqual([COMPOSED, WHOLE], [
            one.resource_path for one in inventory.systems])

    def test_nothing_is_read_twice(self):
        self.discover()
        paths = self.server.paths()
        self.assertEqual(len(set(paths)), len(paths))

    def test_no_connection_is_left_behind(self):
        self.discover()
        self.assertEqual([], self.driver._client._pool._idle)
        self.driver.find('tag-1')
        self.assertLessEqual(len(self.driver._client._pool._idle), 2)

    def test_the_tag_of_a_composed_system(self):
        tag = 'valence-01234567-89ab-4cde-8f01-23456789abcd'
        for name, kind, told in (
                (tag, 'Composed', tag), (tag, 'Physical', None),
                (tag.upper(), 'Composed', None), (tag + '0', 'Composed', None),
                (f'my {tag}', 'Composed', None), ('web', 'Composed', None),
                (None, 'Composed', None), ([tag], 'Composed', None)):
            self.change(COMPOSED, Name=name, SystemType=kind)
            found = {one.resource_path: one.tag
                     for one in self.discover().systems}
            self.assertEqual({COMPOSED: told, WHOLE: None}, found, name)

    def test_types_and_totals_of_blocks(self):
        self.discover()
        seen = {name: self.devices[f'{BLOCKS}/{name}'] for name in (
            'c1', 'd1', 'g1', 'n1')}
        self.assertEqual(
            {'c1': 'compute', 'd1': 'nvme', 'g1': 'gpu', 'n1': 'nic'},
            {name: one.type.value for name, one in seen.items()})
        self.assertEqual((8, 4096, 'DDR5', 'Xeon'), (
            seen['c1'].processor_cores, seen['c1'].memory_mib,
            seen['c1'].memory_type, seen['c1'].model))
        self.assertEqual(1024, seen['d1'].capacity_gib)
        self.assertEqual(25000, seen['n1'].speed_mbps)
        self.assertEqual((None, 'V2'), (
            seen['g1'].processor_cores, seen['g1'].model))
        self.assertEqual((ZONES + '/1',), seen['c1'].zone_paths)
        self.assertEqual(ROOT + '/Chassis/rack', seen['c1'].rack_path)

    def test_media_of_storage_blocks(self):
        drive = BLOCKS + '/d1/Drives/1'
        for told, kind in (
                ({'Protocol': 'SAS', 'MediaType': 'SSD'}, 'ssd'),
                ({'Protocol': 'SAS', 'MediaType': 'HDD'}, 'hdd'),
                ({'Protocol': None, 'MediaType': 7}, 'storage'),
                ({'Protocol': 'NVMeOverFabrics'}, 'nvme')):
            self.change(drive, **told)
            self.assertEqual(kind, self.block('d1').type)

    def test_mixed_media_are_storage(self):
        other = BLOCKS + '/d1/Drives/2'
        self.pod.resources[other] = {'Name': 'x', 'MediaType': 'HDD'}
        self.change(BLOCKS + '/d1', Drives=links(
            BLOCKS + '/d1/Drives/1', other))
        self.assertEqual('storage', self.block('d1').type)

    def test_a_block_without_a_type_is_what_is_in_it(self):
        for name, kind in (('c1', 'compute'), ('d1', 'nvme'), ('g1', 'gpu'),
                           ('n1', 'nic'), ('c2', 'other')):
            self.change(f'{BLOCKS}/{name}', ResourceBlockType=None)
            self.assertEqual(kind, self.block(name).type)

    def test_states_of_blocks(self):
        for status, state in (
                ({'CompositionState': 'Unused'}, 'free'),
                ({'CompositionState': 'Unused', 'Reserved': 'false'},
                 'free'),
                ({'CompositionState': 'Unused', 'Reserved': True},
                 'reserved'),
                ({'CompositionState': 'Unused', 'Reserved': 'true'},
                 'reserved'),
                ({'CompositionState': 'Composing'}, 'used'),
                ({'CompositionState': 'Composed', 'Reserved': True}, 'used'),
                ({'CompositionState': 'ComposedAndAvailable',
                  'SharingEnabled': True}, 'used'),
                ({'CompositionState': 'Failed'}, 'failed'),
                ({'CompositionState': 'Unavailable'}, 'unavailable'),
                ({'CompositionState': 'New in 2030'}, 'unavailable'),
                ({'CompositionState': 5}, 'unavailable'),
                (None, 'unavailable')):
            self.change(BLOCKS + '/d1', CompositionStatus=status)
            self.assertEqual(state, self.block('d1').state, status)

    def test_counts_and_pools_tell_too(self):
        for changes, state in (
                ({'NumberOfCompositions': 1, 'MaxCompositions': 4}, 'used'),
                ({'NumberOfCompositions': '0', 'MaxCompositions': 4},
                 'free'),
                ({'MaxCompositions': 0}, 'unavailable'),
                ({'CompositionState': None}, 'unavailable')):
            self.change(BLOCKS + '/d1', CompositionStatus={
                'CompositionState': 'Unused', **changes})
            self.assertEqual(state, self.block('d1').state, changes)
        for pool, state in (('Free', 'free'), ('Active', 'used'),
                            ('Unassigned', 'unavailable')):
            self.change(BLOCKS + '/d1', CompositionStatus=None, Pool=pool)
            found = self.block('d1')
            self.assertEqual((state, pool), (found.state,
                                             found.details['pool']))

    def test_pools_instead_of_resource_blocks(self):
        before = self.discover()
        free, active = SERVICE + '/FreePool', SERVICE + '/ActivePool'
        for path, names in ((free, ('c2', 'd1', 'g1', 'n1')),
                            (active, ('c1',))):
            self.pod.resources[path] = {
                **link(path), 'Name': 'Pool',
                'Members': links(*(f'{BLOCKS}/{one}' for one in names))}
        self.change(SERVICE, FreePool=link(free), ActivePool=link(active))
        self.assertEqual(before, self.discover())
        self.assertNotIn(free, self.server.paths())
        self.change(SERVICE, ResourceBlocks=None)
        self.assertEqual(before, self.discover())
        self.assertTrue(self.driver.identify().capabilities.compose)

    def test_a_free_block_that_is_out_of_order(self):
        self.change(BLOCKS + '/d1', Status={'State': 'Disabled'})
        self.assertEqual('unavailable', self.block('d1').state)

    def test_a_block_that_a_system_claims_is_used(self):
        """One emulator leaves the blocks of a composed system Unused."""
        self.change(BLOCKS + '/c1', CompositionStatus={
            'CompositionState': 'Unused'})
        self.assertEqual('used', self.block('c1').state)

    def test_a_composed_system_is_its_blocks(self):
        system = self.discover().systems[0]
        self.assertTrue(system.composed)
        self.assertEqual((BLOCKS + '/c1',), system.device_paths)
        self.assertEqual((8, 4096, 'Xeon'), (
            system.processor_cores, system.memory_mib,
            system.processor_model))
        self.assertEqual(ROOT + '/Chassis/rack', system.rack_path)

    def test_a_whole_system_has_fixed_devices(self):
        system = self.discover().systems[1]
        self.assertFalse(system.composed)
        self.assertEqual((16, 64 * 1024), (
            system.processor_cores, system.memory_mib))
        disk = self.devices[WHOLE + '/Storage/1/Drives/1']
        self.assertEqual(('hdd', False, WHOLE, 4096), (
            disk.type.value, disk.pooled, disk.system_path,
            disk.capacity_gib))

    def test_a_physical_system_with_blocks_is_whole(self):
        self.change(WHOLE, Links={'ResourceBlocks': links(BLOCKS + '/d1')})
        system = self.discover().systems[1]
        self.assertFalse(system.composed)
        self.assertEqual((BLOCKS + '/d1',), system.device_paths)
        self.assertEqual('free', self.devices[BLOCKS + '/d1'].state)

    def test_a_system_without_a_type_is_told_by_its_blocks(self):
        self.change(COMPOSED, SystemType=None)
        self.assertTrue(self.discover().systems[0].composed)

    def test_limits_in_both_places(self):
        path = SYSTEMS + '/Capabilities'
        self.pod.resources[path] = {'@Redfish.ResourceBlockLimits': {
            'MinCompute': 1, 'MaxCompute': 1, 'MaxStorage': 8,
            'MinNetwork': 'x'}}
        told = {'Capabilities': [{
            'UseCase': 'ComputerSystemComposition',
            'CapabilitiesObject': link(path), 'Links': {
                'RelatedItem': links(ZONES + '/1')}}]}
        limits = {'compute': [1, 1], 'storage': [0, 8]}
        for place in (SYSTEMS, ZONES + '/1'):
            self.start()
            self.pod.resources[path] = {'@Redfish.ResourceBlockLimits': {
                'MinCompute': 1, 'MaxCompute': 1, 'MaxStorage': 8}}
            self.change(place, **{'@Redfish.CollectionCapabilities': told})
            self.assertEqual(limits, self.discover().zones[0].limits, place)
        self.change(SYSTEMS, **{'@Redfish.CollectionCapabilities': told})
        self.server.requests.clear()
        self.assertEqual(limits, self.discover().zones[0].limits)
        self.assertEqual(1, self.server.paths().count(path))

    def test_members_under_links(self):
        body = self.pod.resources[BLOCKS]
        self.pod.resources[BLOCKS] = {'Name': 'x', 'Links': {
            'Members': body['Members'], 'Members@odata.count': 5}}
        self.assertTrue(self.discover().complete)
        self.assertEqual(6, len(self.devices))

    def test_chassis_that_contain_each_other(self):
        rack, sled = ROOT + '/Chassis/rack', ROOT + '/Chassis/sled'
        self.change(rack, Links={'ContainedBy': link(rack)})
        racks = self.discover().racks
        self.assertEqual([None, rack], [one.rack_path for one in racks])
        self.change(rack, Links={'ContainedBy': link(sled)})
        self.assertEqual([None, rack], [
            one.rack_path for one in self.discover().racks])

    def test_equal_hardware_gives_an_equal_inventory(self):
        first = self.discover()
        for path in (BLOCKS, SYSTEMS, ROOT + '/Chassis'):
            self.change(path, Members=self.pod.resources[path][
                'Members'][::-1])
        self.assertEqual(first, self.discover())

    def test_a_service_without_composition(self):
        del self.pod.resources[ROOT]['CompositionService']
        inventory = self.discover()
        self.assertTrue(inventory.complete)
        self.assertEqual(2, len(inventory.systems))
        self.assertEqual((), inventory.zones)


class Expansion(DiscoverCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.plain = self.discover()
        self.change(ROOT, ProtocolFeaturesSupported=EXPAND)
        self.server.requests.clear()

    def expand(self, request):
        body = dict(self.pod.resources[request.path.partition('?')[0]])
        body['Members'] = [self.pod.resources[one['@odata.id']]
                           for one in body['Members']]
        return reply(200, body)

    def test_honoured(self):
        for path in (BLOCKS, SYSTEMS, ZONES, ROOT + '/Chassis'):
            self.pod.replies['GET', path] = self.expand
        self.assertEqual(self.plain, self.discover())
        self.assertNotIn(BLOCKS + '/c1', self.server.paths())
        self.assertIn(BLOCKS + '?$expand=.($levels=2)', self.server.paths())

    def test_ignored(self):
        self.assertEqual(self.plain, self.discover())

    def test_promised_but_failing(self):
        for status in (400, 500, 501):
            for path in (BLOCKS, SYSTEMS):
                self.pod.replies['GET', path] = (
                    lambda request, status=status: reply(status)
                    if '?' in request.path else reply(
                        200, self.pod.resources[request.path]))
            self.assertEqual(self.plain, self.discover())

    def pages(self, most):
        """Serve blocks as $top and $skip say, at most ``most`` at a time."""
        body = self.pod.resources[BLOCKS]

        def page(request):
            query = dict(one.partition('=')[::2] for one in
                         request.path.partition('?')[2].split('&') if one)
            top, skip = (int(query.get(name, number)) for name, number in (
                ('$top', 99), ('$skip', 0)))
            if top > most:
                return reply(200, b' ' * 9_000_000)
            members = body['Members'][skip:skip + top]
            return reply(200, {**body, 'Members': [
                self.pod.resources[one['@odata.id']] for one in members]
                if '$expand' in query else members})

        self.change(ROOT, ProtocolFeaturesSupported={
            **EXPAND, 'TopSkipQuery': True})
        self.pod.replies['GET', BLOCKS] = page

    def asked(self):
        return [path for path in self.server.paths()
                if path.partition('?')[0] == BLOCKS]

    def test_page_by_page(self):
        self.useFixture(fixtures.MonkeyPatch(
            'valence.drivers.redfish.service.PAGES', (4, 2)))
        query = BLOCKS + '?$expand=.($levels=2)'
        for most, paths in (
                (4, ['&$top=4', '&$top=4&$skip=4']),
                (2, ['&$top=4', '&$top=2', '&$top=2&$skip=2',
                     '&$top=2&$skip=4'])):
            self.server.requests.clear()
            self.pages(most)
            self.assertEqual(self.plain, self.discover())
            self.assertEqual([query + path for path in paths], self.asked())
            self.assertNotIn(BLOCKS + '/c1', self.server.paths())

    def test_pages_that_end_too_early(self):
        self.useFixture(fixtures.MonkeyPatch(
            'valence.drivers.redfish.service.PAGES', (2,)))
        self.pages(2)
        self.change(BLOCKS, **{'Members@odata.count': 7})
        self.pages(2)
        self.assertIncomplete(BLOCKS)
        self.assertEqual(6, len(self.devices))
        self.assertEqual(4, len(self.asked()))

    def test_members_that_cannot_be_had_together_are_a_warning(self):
        self.pages(0)
        self.pod.replies['GET', BLOCKS] = (
            lambda request: reply(200, b' ' * 9_000_000)
            if '?' in request.path else reply(
                200, self.pod.resources[BLOCKS]))
        self.assertEqual(self.plain, self.discover())
        self.assertIn(f'members of {BLOCKS} are read one by one',
                      self.log.output)
        self.assertIn('more than 8388608 bytes', self.log.output)

    def test_too_large(self):
        self.pod.replies['GET', BLOCKS + '?$expand=.($levels=2)'] = reply(
            200, b'{"a":"' + b'x' * 9_000_000 + b'"}')
        self.assertEqual(self.plain, self.discover())


class Holes(DiscoverCase):

    def test_parts_that_are_not_there(self):
        for status in (404, 405, 410, 501):
            self.pod.replies['GET', WHOLE + '/Storage'] = reply(status)
            self.assertTrue(self.discover().complete)

    def test_parts_that_fail(self):
        self.pod.replies['GET', WHOLE + '/Storage'] = reply(500)
        self.assertIncomplete(WHOLE + '/Storage')
        self.assertEqual(2, len(self.inventory.systems))

    def test_a_member_that_is_gone(self):
        del self.pod.resources[BLOCKS + '/d1']
        self.assertIncomplete(BLOCKS + '/d1')
        self.assertEqual(5, len(self.devices))

    def test_a_collection_that_is_none(self):
        self.pod.resources[SYSTEMS] = {'Name': 'x', 'Members': 'none'}
        self.assertIncomplete(SYSTEMS)

    def test_a_member_elsewhere(self):
        self.change(BLOCKS, Members=[
            *links(BLOCKS + '/c1'), link('http://evil/redfish/v1/x'),
            {'@odata.id': 5}, {}, 'text', link(ROOT + '/../../etc')])
        self.discover()
        self.assertFalse(self.inventory.complete)
        self.assertEqual(2, len(self.devices))

    def test_fewer_members_than_announced(self):
        self.change(BLOCKS, **{'Members@odata.count': 6})
        self.assertIncomplete(BLOCKS)

    def test_pages(self):
        members = self.pod.resources[BLOCKS]['Members']
        for index, one in enumerate(members):
            self.pod.replies['GET', f'{BLOCKS}?$skip={index}'] = reply(200, {
                'Members': [one], 'Members@odata.count': 5,
                **({'Members@odata.nextLink': f'{BLOCKS}?$skip={index + 1}'}
                   if index < 4 else {})})
        self.change(BLOCKS, Members=[], **{
            'Members@odata.nextLink': BLOCKS + '?$skip=0'})
        self.assertTrue(self.discover().complete)
        self.assertEqual(6, len(self.devices))

    def test_pages_in_a_circle(self):
        self.change(BLOCKS, **{'Members@odata.nextLink': BLOCKS + '?$skip=5'})
        self.pod.replies['GET', BLOCKS + '?$skip=5'] = reply(200, {
            'Members': [], 'Members@odata.nextLink': BLOCKS})
        self.assertIncomplete(BLOCKS)
        self.assertEqual(2, len([one for one in self.server.paths()
                                 if one.partition('?')[0] == BLOCKS]))
        self.assertEqual(6, len(self.devices))

    def test_pages_without_end(self):
        self.start(max_pages=20)

        def page(request):
            skip = int((request.path.partition('=')[2]) or 0)
            return reply(200, {'Members': [], 'Members@odata.nextLink':
                               f'{BLOCKS}?$skip={skip + 1}'})

        self.pod.replies['GET', BLOCKS] = page
        self.assertIncomplete(BLOCKS)
        self.assertEqual(20, len([one for one in self.server.paths()
                                  if one.startswith(BLOCKS)]))

    def test_a_next_link_elsewhere(self):
        self.change(BLOCKS, **{'Members@odata.nextLink': 'http://evil/x'})
        self.assertIncomplete(BLOCKS)

    def test_too_many_members(self):
        self.start(max_members=3)
        self.assertIncomplete(BLOCKS)
        self.assertEqual(4, len(self.devices))

    def test_an_empty_root_is_no_empty_pod(self):
        self.pod.resources[ROOT] = {'Name': 'starting up'}
        self.assertRaises(base.BadAnswer, self.driver.discover)

    def test_nothing_at_all_can_be_read(self):
        for path in (SYSTEMS, SERVICE, ROOT + '/Chassis'):
            self.pod.replies['GET', path] = reply(401)
        self.assertRaises(base.Unauthorized, self.driver.discover)

    def test_a_hanging_part_ends_with_the_deadline(self):
        self.start(call_timeout=0.5, connections=4)
        self.pod.replies['GET', BLOCKS + '/d1'] = (
            lambda _: self.server.hang)
        started = time.monotonic()
        self.assertIncomplete(BLOCKS + '/d1')
        self.assertLess(time.monotonic() - started, 15.0)

    def test_odd_answers_raise_nothing_but_driver_errors(self):
        """Each seed puts wrong values into some properties of the pod."""
        odd = (None, True, 'false', '', -1, 1e300, 2 ** 80, 'x' * 5000, [],
               {}, [[]], [None], {'@odata.id': 5}, {'@odata.id': '//evil'},
               'a\r\nb\x00', link(ROOT), collection(BLOCKS, 'c1'))
        for seed in range(40):
            chance = random.Random(seed)
            self.start()
            for body in self.pod.resources.values():
                _disturb(body, chance, odd)
            try:
                inventory = self.driver.discover()
            except base.DriverError:
                continue
            for device in inventory.devices:
                self.assertLessEqual(len(device.name), 255)
                for number in (device.processor_cores, device.memory_mib,
                               device.capacity_gib, device.speed_mbps):
                    self.assertTrue(number is None or 0 <= number < 2 ** 31)
            for call in (self.driver.identify,
                         lambda: self.driver.find('tag-1'),
                         lambda: self.driver.observe(base.Handle(COMPOSED))):
                try:
                    call()
                except base.DriverError:
                    pass


def _disturb(body, chance, odd):
    for name, value in list(body.items()):
        if chance.random() < 0.07:
            body[name] = json.loads(json.dumps(chance.choice(odd)))
        elif isinstance(value, dict):
            _disturb(value, chance, odd)
