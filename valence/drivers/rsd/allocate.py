# SPDX-License-Identifier: Apache-2.0
"""How are a node's requirements put to a PODM?

It chooses the resources itself: least totals for the whole system, and one
entry for each part that there has to be. What the versions differ in: 2.2
adds ``ProcessorType``, 2.4 adds ``MemoryType``.
"""

from collections.abc import Mapping
from typing import Any

from valence.common.devices import DeviceType
from valence.drivers import base
from valence.drivers.redfish import values
from valence.drivers.rsd.service import Version

Body = dict[str, Any]

_PROCESSORS = {DeviceType.GPU: 'GPU', DeviceType.FPGA: 'FPGA',
               DeviceType.ACCELERATOR: 'Accelerator'}
_DRIVES: Mapping[DeviceType, Body] = {
    DeviceType.NVME: {'Type': 'SSD', 'Interface': 'NVMe'},
    DeviceType.SSD: {'Type': 'SSD'},
    DeviceType.HDD: {'Type': 'HDD'},
    DeviceType.STORAGE: {},
}
#: Values of ``MemoryType``; all others are of ``MemoryDeviceType``.
_MEMORY = ('DRAM', 'NVDIMM_N', 'NVDIMM_F', 'NVDIMM_P', 'IntelOptane')


def request(spec: base.Spec, version: Version) -> Body:
    """The body that asks for ``spec``'s node, which carries its tag.

    :raises Unsupported: if this version has no words for a requirement.
    """
    wanted = spec.requirements
    body: Body = {'Name': spec.tag,
                  'Description': f'{spec.tag} {spec.name}'.strip()}
    processor = values.obj(wanted.get('processor'))
    memory = values.obj(wanted.get('memory'))
    if processor.get('total_cores'):
        body['TotalSystemCoreCount'] = processor['total_cores']
    if memory.get('capacity_mib'):
        body['TotalSystemMemoryMiB'] = memory['capacity_mib']
    processors = []
    if processor.get('model'):
        processors.append({'Model': processor['model']})
    if memory.get('type'):
        body['Memory'] = [_memory(str(memory['type']), version)]
    for name in values.texts(values.obj(wanted.get('pci_device')).get(
            'type')):
        kind = DeviceType(name)
        if kind in _PROCESSORS:
            if version < (2, 2):
                raise base.Unsupported(
                    f'RSD API {version[0]}.{version[1]} has no way to ask '
                    f'for a {kind}')
            processors.append({'ProcessorType': _PROCESSORS[kind]})
        elif kind in _DRIVES:
            body.setdefault('LocalDrives', []).append(dict(_DRIVES[kind]))
        elif kind == DeviceType.NIC:
            body.setdefault('EthernetInterfaces', []).append({})
        else:
            raise base.Unsupported(f'the RSD API has no way to ask for a '
                                   f'{kind}')
    if processors:
        body['Processors'] = processors
    return body


def _memory(kind: str, version: Version) -> Body:
    for known in _MEMORY:
        if kind.lower() == known.lower():
            if version < (2, 4):
                raise base.Unsupported(
                    f'RSD API {version[0]}.{version[1]} has no way to ask '
                    f'for {known} memory')
            return {'MemoryType': known}
    return {'MemoryDeviceType': kind}
