# SPDX-License-Identifier: Apache-2.0
"""What does the ExpEther driver make of a manager's answers, and send?"""

import json

import testtools

from valence.common.devices import DeviceState, DeviceType
from valence.drivers import base
from valence.drivers.expether import ExpEtherDriver, pci
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.server import reply

ROOT = '/eem'
DEVICES = ROOT + '/devices'


def eesv(name='0xaa01', group='4094', **more):
    return {'id': name, 'status': 'eesv', 'type': '40g',
            'update_time': '1518999910510', 'group_id': group,
            'admin_status': 'enabled', 'monitoring_status': 'enabled',
            'notification_status0': ['up', 'down'],
            'notification_status1': ['down', 'down'],
            'mac_address': '8c:df:9d:00:aa:01', 'max_eeio_count': '2',
            'power_status': 'on', 'host_model': 'Express5800',
            'host_serial_number': '7', 'model': 'ExpEther Board (40G)',
            **more}


def eeio(name='0xbb01', group='4093', **more):
    return {'id': name, 'status': 'eeio', 'type': '40g',
            'update_time': 1518999910511, 'group_id': group,
            'notification_status0': ['up', 'up'],
            'mac_address': '8c:df:9d:00:bb:01',
            'pcie_vendor_id': '0x10de', 'pcie_device_id': '0x1db6',
            'pcie_class_code': '0x030200', **more}


def legacy(name, **more):
    """A 10g or 1g board: nothing of the PCIe device behind it."""
    return {name: value for name, value in eeio(name, **{
        'type': '10g', 'model': 'ExpEther Board (10G)', **more}).items()
            if not name.startswith('pcie_')}


class ManagerCase(testtools.TestCase):

    def start(self, *devices, credentials=False, properties=None, **limits):
        self.records = {one['id']: one for one in devices}
        self.replies = {}
        self.server = self.useFixture(server.Server(self.answer))
        changes = {} if credentials else {'username': None, 'password': None}
        self.driver = ExpEtherDriver(server.endpoint(
            self.server.url, limits=limits, properties=properties or {},
            **changes))
        self.addCleanup(self.driver.close)

    def answer(self, request):
        path = request.path.partition('?')[0]
        for key in ((request.method, request.path), (request.method, path)):
            if key in self.replies:
                return self.replies[key]
        if path == ROOT + '/api_version':
            return reply(200, {'version_number': 'v1.1'})
        if path == ROOT + '/groups':
            return reply(200, {'groups': []})
        if path == DEVICES + '/detail':
            return reply(200, {'devices': list(self.records.values()),
                               'timestamp': '1'})
        found = self.records.get(path.rpartition('/')[2])
        if found is None:
            return reply(404, {'code': '40400', 'message': 'Not found.'})
        return reply(200, {'device': found, 'timestamp': '1'})

    def discover(self, *devices, **options):
        self.start(*devices, **options)
        found = self.driver.discover()
        self.devices = {one.name: one for one in found.devices}
        return found


class Identify(ManagerCase):

    def test_who_and_what(self):
        self.start()
        identity = self.driver.identify()
        self.assertEqual(('NEC ExpEther Manager', 'v1.1', None), (
            identity.product, identity.version, identity.uuid))
        can = identity.capabilities
        self.assertTrue(can.compose and can.attach)
        self.assertFalse(can.tags or can.reset_types or can.boot_targets)
        self.assertEqual('valence', can.allocation)

    def test_no_io_before_the_first_call(self):
        self.start()
        self.assertEqual(0, self.server.connections)

    def test_basic_credentials(self):
        self.start(credentials=True)
        self.driver.identify()
        self.assertEqual({'Basic b3BlcmF0b3I6Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5'},
                         {one.headers.get('authorization')
                          for one in self.server.requests})

    def test_no_credentials(self):
        self.start()
        self.driver.identify()
        self.assertNotIn('authorization', self.server.requests[0].headers)

    def test_wrong_credentials_even_if_anybody_may_see_the_version(self):
        self.start(credentials=True)
        self.replies['GET', ROOT + '/groups'] = reply(
            401, {'code': '40100', 'message': 'No.'})
        self.assertRaises(base.Unauthorized, self.driver.identify)

    def test_something_else(self):
        self.start()
        self.replies['GET', ROOT + '/api_version'] = reply(200, {'a': 1})
        self.assertRaises(base.BadAnswer, self.driver.identify)

    def test_power_and_boot_are_unsupported(self):
        self.start()
        handle = base.Handle(DEVICES + '/0xaa01')
        self.assertRaises(base.Unsupported, self.driver.set_power, handle,
                          'On')
        self.assertRaises(base.Unsupported, self.driver.set_boot, handle,
                          'Pxe', 'Once')
        self.assertEqual([], self.server.requests)


class Discover(ManagerCase):

    def test_a_server_is_a_system_and_a_device(self):
        found = self.discover(eesv())
        system, = found.systems
        self.assertEqual((DEVICES + '/0xaa01', '0xaa01', False, 'On', 'OK'), (
            system.resource_path, system.name, system.composed,
            system.power_state, system.health))
        self.assertEqual((DEVICES + '/0xaa01',), system.device_paths)
        device = self.devices['0xaa01']
        self.assertEqual((DeviceType.COMPUTE, True, DeviceState.FREE), (
            device.type, device.pooled, device.state))
        self.assertEqual(2, device.details['max_eeio_count'])
        self.assertEqual(((), ()), (found.racks, found.zones))
        self.assertTrue(found.complete)
        json.dumps([system.details, device.details])

    def test_types_by_class_code(self):
        codes = {'0x010802': 'nvme', '0x010601': 'storage', '0x20000': 'nic',
                 0x030200: 'gpu', '120000': 'accelerator', '0x0c0330':
                 'other', '0x0108': 'other', 'nonsense': 'other',
                 None: 'other', '-1': 'other', True: 'other'}
        self.discover(*(eeio(f'0x{number:02x}', pcie_class_code=code)
                        for number, code in enumerate(codes)))
        self.assertEqual(list(codes.values()), [
            self.devices[f'0x{number:02x}'].type
            for number in range(len(codes))])

    def test_states(self):
        cases = {
            'free': (eeio(), 'free'),
            'used': (eeio(group='20'), 'used'),
            'number': (eeio(group=4093), 'free'),
            'down': (eeio(notification_status0=['down', 'up']),
                     'unavailable'),
            'broken': (eeio(group='20', notification_status0=['down']),
                       'failed'),
            'disabled': (eeio(admin_status='disabled'), 'unavailable'),
            'unwatched': (eeio(monitoring_status='disabled'), 'unavailable'),
            'no group': (eeio(group=None), 'unavailable'),
            'odd group': (eeio(group='4094'), 'unavailable'),
            'wild group': (eeio(group='99999'), 'unavailable'),
            'server': (eesv(), 'free'),
            'busy server': (eesv(group='20'), 'used'),
            'odd server': (eesv(group='4093'), 'unavailable'),
            'dead server': (eesv(notification_status0=['down', 'down']),
                            'unavailable'),
        }
        self.discover(*({**one, 'id': name.replace(' ', '-')}
                        for name, (one, _) in cases.items()))
        self.assertEqual(
            {name: state for name, (_, state) in cases.items()},
            {name: self.devices[name.replace(' ', '-')].state
             for name in cases})

    def test_a_group_is_a_composed_system(self):
        found = self.discover(eesv(group='20'), eeio(group='20'),
                              eeio('0xbb02'), eesv('0xaa02'))
        self.assertEqual([True, False], [
            one.composed for one in found.systems])
        self.assertEqual((DEVICES + '/0xaa01', DEVICES + '/0xbb01'),
                         found.systems[0].device_paths)
        self.assertEqual(DEVICES + '/0xaa01',
                         self.devices['0xbb01'].system_path)
        self.assertIsNone(self.devices['0xbb02'].system_path)

    def test_old_boards_do_not_say_what_they_carry(self):
        self.discover(legacy('0xcc01'), legacy('0xcc02', model=None))
        device = self.devices['0xcc01']
        self.assertEqual((DeviceType.OTHER, DeviceState.FREE,
                          'ExpEther Board (10G)'),
                         (device.type, device.state, device.model))
        self.assertNotIn('pci', device.details)
        self.assertIsNone(self.devices['0xcc02'].model)

    def test_names_of_what_is_not_in_pci_ids(self):
        self.discover(eeio(pcie_vendor_id='0xfffe', pcie_device_id='0x1'))
        device = self.devices['0xbb01']
        self.assertEqual('fffe 0001', device.model)
        self.assertEqual({'class_code': '0x030200', 'vendor_id': '0xfffe',
                          'device_id': '0x0001'},
                         {name: value for name, value in
                          device.details['pci'].items()
                          if name.endswith(('_id', '_code'))})

    def test_what_cannot_be_understood_makes_the_scan_incomplete(self):
        for odd in (7, {}, eeio('../../x'), eeio('x' * 65),
                    eeio(status='switch'), eeio(name=7), eeio('a?b')):
            self.start()
            self.replies['GET', DEVICES + '/detail'] = reply(
                200, {'devices': [odd, eesv()]})
            found = self.driver.discover()
            self.assertEqual(1, len(found.devices))
            self.assertFalse(found.complete)
            self.assertEqual(1, len(found.problems))

    def test_the_same_device_twice_is_one(self):
        self.start()
        self.replies['GET', DEVICES + '/detail'] = reply(
            200, {'devices': [eesv(), eesv(group='17')]})
        self.assertEqual(['free'], [one.state for one in
                                    self.driver.discover().devices])

    def test_no_list_of_devices(self):
        for body in ({}, {'devices': 'none'}, {'devices': None}):
            self.start()
            self.replies['GET', DEVICES + '/detail'] = reply(200, body)
            self.assertRaises(base.BadAnswer, self.driver.discover)

    def test_too_large_an_answer_is_asked_for_in_halves(self):
        self.start(max_body=2000)
        self.replies = {
            ('GET', DEVICES + '/detail'): reply(200, {
                'devices': [eesv(f'0x{number}') for number in range(9)]}),
            ('GET', DEVICES + '/detail?status=eesv'): reply(
                200, {'devices': [eesv()]}),
            ('GET', DEVICES + '/detail?status=eeio'): reply(
                200, {'devices': [eeio(str(number)) for number in range(9)]})}
        found = self.driver.discover()
        self.assertEqual(['0xaa01'], [one.name for one in found.devices])
        self.assertFalse(found.complete)

    def test_more_than_the_bound(self):
        found = self.discover(eesv(), eeio(), max_members=1)
        self.assertEqual((1, False), (len(found.devices), found.complete))


class PciIds(testtools.TestCase):

    LINES = ('# comment\n', '\n', '10de  NVIDIA Corporation\n',
             '\t1db6  GV100GL [Tesla V100 PCIe 32GB]\n',
             '\t\t10de 124a  A subsystem\n',
             '144d  Samsung Electronics Co Ltd\n', '\ta804  NVMe SSD\n',
             'C 02  Network controller\n', '\t00  Ethernet controller\n')

    def test_vendors_and_devices(self):
        self.assertEqual({
            (0x10de, None): 'NVIDIA Corporation',
            (0x10de, 0x1db6): 'GV100GL [Tesla V100 PCIe 32GB]',
            (0x144d, None): 'Samsung Electronics Co Ltd',
            (0x144d, 0xa804): 'NVMe SSD'}, pci.parse(self.LINES))

    def test_nonsense(self):
        self.assertEqual({}, pci.parse(['\t0001  orphan', 'garbage', '\0']))

    def test_without_the_file(self):
        self.patch(pci, 'FILES', ('/nowhere/pci.ids',))
        pci._installed.cache_clear()
        self.addCleanup(pci._installed.cache_clear)
        with self.assertLogs(pci.LOG.logger, 'INFO') as logged:
            for _ in range(2):
                self.assertEqual((None, None), pci.names(0x10de, 0x1db6))
        self.assertEqual(1, len(logged.output))
        self.assertIn('install the package pci.ids', logged.output[0])

    def test_with_it(self):
        import tempfile
        with tempfile.NamedTemporaryFile('w') as file:
            file.writelines(self.LINES)
            file.flush()
            self.patch(pci, 'FILES', ('/nowhere/pci.ids', file.name))
            pci._installed.cache_clear()
            self.addCleanup(pci._installed.cache_clear)
            self.assertEqual(('NVIDIA Corporation', None),
                             pci.names(0x10de, 0xffff))
