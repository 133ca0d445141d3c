# SPDX-License-Identifier: Apache-2.0
"""A small composable pod as a dict of resources, to be bent by a test."""

import copy
from typing import Any

from valence.drivers.redfish import RedfishDriver
from valence.tests.unit.drivers import server

ROOT = '/redfish/v1'
SYSTEMS = ROOT + '/Systems'
SERVICE = ROOT + '/CompositionService'
BLOCKS = SERVICE + '/ResourceBlocks'
ZONES = SERVICE + '/ResourceZones'
COMPOSED = SYSTEMS + '/node'
WHOLE = SYSTEMS + '/whole'
RESET = COMPOSED + '/Actions/ComputerSystem.Reset'
TASK = ROOT + '/TaskService/Tasks/1'
MONITOR = ROOT + '/TaskService/TaskMonitors/1'


def link(path: str) -> dict[str, str]:
    return {'@odata.id': path}


def links(*paths: str) -> list[dict[str, str]]:
    return [link(path) for path in paths]


def collection(path: str, *names: str) -> dict[str, Any]:
    members = links(*(f'{path}/{name}' for name in names))
    return {**link(path), 'Name': 'Collection', 'Members': members,
            'Members@odata.count': len(members)}


def block(name: str, kind: str, state: str = 'Unused',
          **more: Any) -> dict[str, Any]:
    return {**link(f'{BLOCKS}/{name}'), 'Id': name, 'Name': f'Block {name}',
            'ResourceBlockType': [kind],
            'Status': {'State': 'Enabled', 'Health': 'OK'},
            'CompositionStatus': {'CompositionState': state,
                                  'Reserved': False},
            'Links': {'Chassis': links(ROOT + '/Chassis/sled'),
                      'Zones': links(ZONES + '/1')}, **more}


def resources() -> dict[str, Any]:
    """Five blocks in a zone, a composed system, a whole one, two chassis."""
    cpu, dimm = BLOCKS + '/c1/Processors/1', BLOCKS + '/c1/Memory/1'
    return copy.deepcopy({
        ROOT: {**link(ROOT + '/'), 'Id': 'Root', 'Name': 'Root',
               'Product': 'Pod', 'Vendor': 'Contoso', 'UUID': 'abc',
               'RedfishVersion': '1.20.0', 'Systems': link(SYSTEMS),
               'Chassis': link(ROOT + '/Chassis'),
               'CompositionService': link(SERVICE)},
        SERVICE: {**link(SERVICE), 'Id': 'CompositionService',
                  'ServiceEnabled': True, 'Status': {'State': 'Enabled'},
                  'ResourceBlocks': link(BLOCKS),
                  'ResourceZones': link(ZONES)},
        BLOCKS: collection(BLOCKS, 'c1', 'c2', 'd1', 'g1', 'n1'),
        BLOCKS + '/c1': block(
            'c1', 'Compute', 'Composed',
            Processors=links(cpu), Memory=links(dimm)),
        cpu: {**link(cpu), 'Id': '1', 'Name': 'CPU', 'TotalCores': 8,
              'ProcessorType': 'CPU', 'Model': 'Xeon'},
        dimm: {**link(dimm), 'Id': '1', 'Name': 'DIMM', 'CapacityMiB': 4096,
               'MemoryDeviceType': 'DDR5'},
        BLOCKS + '/c2': block('c2', 'Compute'),
        BLOCKS + '/d1': block('d1', 'Storage', Drives=links(
            BLOCKS + '/d1/Drives/1')),
        BLOCKS + '/d1/Drives/1': {
            **link(BLOCKS + '/d1/Drives/1'), 'Name': 'Drive',
            'Protocol': 'NVMe', 'CapacityBytes': 2 ** 40},
        BLOCKS + '/g1': block('g1', 'Processor', Processors=links(
            BLOCKS + '/g1/Processors/1')),
        BLOCKS + '/g1/Processors/1': {
            **link(BLOCKS + '/g1/Processors/1'), 'Name': 'GPU',
            'ProcessorType': 'GPU', 'TotalCores': 1024, 'Model': 'V2'},
        BLOCKS + '/n1': block('n1', 'Network', EthernetInterfaces=links(
            BLOCKS + '/n1/EthernetInterfaces/1')),
        BLOCKS + '/n1/EthernetInterfaces/1': {
            **link(BLOCKS + '/n1/EthernetInterfaces/1'), 'Name': 'NIC',
            'SpeedMbps': 25000, 'MACAddress': '00:11:22:33:44:55'},
        ZONES: collection(ZONES, '1'),
        ZONES + '/1': {
            **link(ZONES + '/1'), 'Id': '1', 'Name': 'Zone',
            'Links': {'ResourceBlocks': links(*(
                f'{BLOCKS}/{one}' for one in ('c1', 'c2', 'd1', 'g1',
                                              'n1')))}},
        SYSTEMS: collection(SYSTEMS, 'node', 'whole'),
        COMPOSED: {
            **link(COMPOSED), 'Id': 'node', 'Name': 'tag-1',
            'SystemType': 'Composed', 'PowerState': 'On',
            'Links': {'ResourceBlocks': links(BLOCKS + '/c1')},
            'Boot': {'BootSourceOverrideTarget': 'None',
                     'BootSourceOverrideEnabled': 'Disabled',
                     'BootSourceOverrideTarget@Redfish.AllowableValues': [
                         'None', 'Pxe', 'Hdd']},
            'Actions': {'#ComputerSystem.Reset': {
                'target': RESET, 'ResetType@Redfish.AllowableValues': [
                    'On', 'ForceOff']}}},
        WHOLE: {
            **link(WHOLE), 'Id': 'whole', 'Name': 'Whole server',
            'SystemType': 'Physical', 'PowerState': 'Off',
            'ProcessorSummary': {'CoreCount': 16, 'Model': 'Epyc'},
            'MemorySummary': {'TotalSystemMemoryGiB': 64},
            'Links': {'Chassis': links(ROOT + '/Chassis/sled')},
            'Storage': link(WHOLE + '/Storage')},
        WHOLE + '/Storage': collection(WHOLE + '/Storage', '1'),
        WHOLE + '/Storage/1': {
            **link(WHOLE + '/Storage/1'), 'Id': '1', 'Name': 'Controller',
            'Drives': links(WHOLE + '/Storage/1/Drives/1')},
        WHOLE + '/Storage/1/Drives/1': {
            **link(WHOLE + '/Storage/1/Drives/1'), 'Name': 'Disk',
            'MediaType': 'HDD', 'Protocol': 'SATA',
            'CapacityBytes': 4 * 2 ** 40},
        ROOT + '/Chassis': collection(ROOT + '/Chassis', 'rack', 'sled'),
        ROOT + '/Chassis/rack': {
            **link(ROOT + '/Chassis/rack'), 'Id': 'rack', 'Name': 'Rack',
            'ChassisType': 'Rack', 'Location': {'Placement': {
                'Row': 'A', 'Rack': '7'}}},
        ROOT + '/Chassis/sled': {
            **link(ROOT + '/Chassis/sled'), 'Id': 'sled', 'Name': 'Sled',
            'ChassisType': 'Sled', 'Links': {
                'ContainedBy': link(ROOT + '/Chassis/rack')}},
    })


class PodMixin:
    """For a test case: ``self.pod`` is served, ``self.driver`` drives it."""

    def start(self, credentials=False, properties=None, **limits):
        self.pod = server.Tree(resources())
        self.server = self.useFixture(server.Server(self.pod))
        changes = {} if credentials else {'username': None, 'password': None}
        self.driver = RedfishDriver(server.endpoint(
            self.server.url, limits=limits, properties=properties or {},
            **changes))
        self.addCleanup(self.driver.close)

    def change(self, path, **properties):
        self.pod.resources[path] = {
            **self.pod.resources[path], **properties}
