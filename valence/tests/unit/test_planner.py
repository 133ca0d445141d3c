# SPDX-License-Identifier: Apache-2.0

import testtools
from hypothesis import given
from hypothesis import strategies as st

from valence.common.devices import SATISFIED_BY, DeviceType
from valence.scheduler.planner import FreeDevice, Wanted, plan


def sled(name, cores=16, memory=65536, zones=('z1',), **more):
    return FreeDevice(name, DeviceType.COMPUTE, cores, memory,
                      zone_paths=zones, **more)


def part(name, kind, zones=('z1',), **more):
    return FreeDevice(name, DeviceType(kind), zone_paths=zones, **more)


def paths(properties, devices, limits=None):
    found = plan(Wanted.parse(properties), devices, limits or {})
    return None if found is None else list(found.device_paths)


class Plan(testtools.TestCase):

    def test_the_least_that_satisfies(self):
        devices = [sled('big', 64, 2 ** 20), sled('fit', 8, 8192),
                   sled('small', 4, 8192)]
        self.assertEqual(['fit'], paths(
            {'processor': {'total_cores': 8},
             'memory': {'capacity_mib': 8192}}, devices))

    def test_nothing_satisfies(self):
        self.assertIsNone(paths({'processor': {'total_cores': 17}},
                                [sled('a')]))
        self.assertIsNone(paths({'processor': {'total_cores': 1}}, []))

    def test_all_of_one_zone(self):
        devices = [sled('a', zones=('z1',)), part('n', 'nvme', ('z2',))]
        wanted = {'pci_device': {'type': ['nvme']}}
        self.assertIsNone(paths(wanted, devices))
        devices.append(sled('b', zones=('z2', 'z3')))
        self.assertEqual(['b', 'n'], paths(wanted, devices))

    def test_without_zones(self):
        self.assertEqual(['a', 'g'], paths(
            {'pci_device': {'type': ['gpu']}},
            [sled('a', zones=()), part('g', 'gpu', ())]))

    def test_as_many_as_asked_for(self):
        devices = [sled('a'), part('n1', 'nvme'), part('n2', 'nvme')]
        self.assertEqual(['a', 'n1', 'n2'], paths(
            {'pci_device': {'type': ['nvme', 'nvme']}}, devices))
        self.assertIsNone(paths({'pci_device': {'type': ['nvme'] * 3}},
                                devices))

    def test_the_choosy_choose_first(self):
        devices = [sled('a'), part('n', 'nvme'), part('h', 'hdd')]
        self.assertEqual(['a', 'h', 'n'], paths(
            {'pci_device': {'type': ['storage', 'nvme']}}, devices))

    def test_model_and_memory_type(self):
        devices = [sled('a', model='Xeon 1', memory_type='DDR4'),
                   sled('b', model='EPYC 2', memory_type='DDR5')]
        self.assertEqual(['b'], paths(
            {'processor': {'model': 'epyc'}}, devices))
        self.assertEqual(['a'], paths({'memory': {'type': 'ddr4'}}, devices))

    def test_pooled_memory_tops_up(self):
        devices = [sled('a', memory=1024),
                   part('m1', 'memory', memory_mib=2048),
                   part('m2', 'memory', memory_mib=512)]
        self.assertEqual(['a', 'm1'], paths(
            {'memory': {'capacity_mib': 3000}}, devices))
        self.assertIsNone(paths({'memory': {'capacity_mib': 4096}}, devices))

    def test_limits_of_a_zone(self):
        devices = [sled('a'), part('n1', 'nvme'), part('n2', 'nvme')]
        wanted = {'pci_device': {'type': ['nvme', 'nvme']}}
        self.assertIsNone(paths(wanted, devices, {
            'z1': {'storage': [0, 1]}}))
        self.assertIsNotNone(paths(wanted, devices, {
            'z1': {'storage': [0, None], 'compute': [1, 1]}}))

    def test_a_server_wants_another_device(self):
        server = sled('s', cores=8, memory=1024, server=True)
        devices = [server, part('n', 'nvme'),
                   part('m', 'memory', memory_mib=4096)]
        self.assertIsNone(paths({'processor': {'total_cores': 8}}, devices))
        self.assertIsNone(paths({'memory': {'capacity_mib': 1024}}, devices))
        self.assertEqual(['n', 's'], paths(
            {'memory': {'capacity_mib': 1024},
             'pci_device': {'type': ['nvme']}}, devices))
        self.assertEqual(['m', 's'], paths(
            {'memory': {'capacity_mib': 1025}}, devices))
        devices.append(sled('a'))
        self.assertEqual(['a'], paths({}, devices))

    @given(st.lists(st.builds(
        FreeDevice, resource_path=st.uuids().map(str),
        type=st.sampled_from(DeviceType),
        processor_cores=st.integers(0, 64),
        memory_mib=st.integers(0, 2 ** 20),
        zone_paths=st.lists(st.sampled_from(['z1', 'z2', 'z3']),
                            unique=True).map(tuple),
        server=st.booleans()),
        max_size=30, unique_by=lambda d: d.resource_path),
        st.integers(0, 64), st.integers(0, 2 ** 20),
        st.lists(st.sampled_from(['nvme', 'gpu', 'storage', 'nic']),
                 max_size=4))
    def test_a_plan_keeps_its_word(self, devices, cores, memory, pci):
        found = plan(Wanted.parse({
            'processor': {'total_cores': cores},
            'memory': {'capacity_mib': memory},
            'pci_device': {'type': pci}}), devices, {})
        if found is None:
            return
        known = {device.resource_path: device for device in devices}
        chosen = [known[path] for path in found.device_paths]
        self.assertEqual(len(set(found.device_paths)), len(chosen))
        for device in chosen:
            self.assertIn(found.zone_path, device.zone_paths or (None,))
        self.assertGreaterEqual(
            sum(d.processor_cores for d in chosen
                if d.type == DeviceType.COMPUTE), cores)
        self.assertGreaterEqual(
            sum(d.memory_mib for d in chosen
                if d.type in (DeviceType.COMPUTE, DeviceType.MEMORY)),
            memory)
        self.assertTrue(len(chosen) > 1 or not chosen[0].server)
        for kind in pci:
            self.assertGreaterEqual(
                sum(d.type in SATISFIED_BY[DeviceType(kind)]
                    for d in chosen), pci.count(kind))
