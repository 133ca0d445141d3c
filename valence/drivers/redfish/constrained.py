# SPDX-License-Identifier: Apache-2.0
"""How is a service asked for a system whose blocks it picks itself?

DSP2050, "Constrained composition": POST to the collection of systems with
counted descriptions of processors, memory, drives and interfaces. A total
is asked for as one part of that size first; where the service has no match
as two halves, and so on: a refusal says that nothing was done.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from valence.common import deadline
from valence.common.devices import DeviceType
from valence.drivers import base
from valence.drivers.http import Answer
from valence.drivers.redfish import values
from valence.drivers.redfish.service import Service

Body = dict[str, Any]

_COUNT = '@Redfish.RequestedCount'
_MORE = '@Redfish.AllowOverprovisioning'
_AFFINITY = '@Redfish.ZoneAffinity'
#: In how many equal parts a total may come.
_PARTS = ((1, 1), (1, 2), (2, 1), (2, 2), (1, 4), (2, 4), (2, 8), (4, 4))
#: Messages of the Composition registry that say "not in this form".
_NO_MATCH = ('NoResourceMatch', 'ConstrainedResourceAlreadyReserved',
             'NonReservedResourceMatch')
_DRIVES: Mapping[DeviceType, Body] = {
    DeviceType.NVME: {'Protocol': 'NVMe'},
    DeviceType.SSD: {'MediaType': 'SSD'},
    DeviceType.HDD: {'MediaType': 'HDD'},
    DeviceType.STORAGE: {},
}
_PROCESSORS = {DeviceType.GPU: 'GPU', DeviceType.FPGA: 'FPGA',
               DeviceType.ACCELERATOR: 'Accelerator'}


def compose(service: Service, composition: Mapping[str, Any],
            spec: base.Spec, target: str) -> Answer:
    """POST until a form fits.

    :raises Refused: with the service's words to the last form.
    """
    if spec.device_paths:
        raise base.Refused('this backend picks the devices of a node itself '
                           'and cannot be given any')
    forms = list(requests(spec, composition))
    for number, body in enumerate(forms):
        try:
            return service.client.send('POST', target, body)
        except base.Refused as error:
            last = number + 1 == len(forms) or deadline.remaining(60.0) < 2.0
            if last or not _no_match(error):
                if error.status in (405, 501):
                    raise base.Unsupported(
                        f'this backend composes no systems: {error}'
                    ) from error
                raise
    raise AssertionError('there is at least one form')


def requests(spec: base.Spec, composition: Mapping[str, Any]
             ) -> Iterator[Body]:
    """The forms of a request, the plainest first.

    :raises Unsupported: if there are no words for a requirement.
    """
    seen = []
    for processors, modules in _PARTS:
        body = _request(spec, composition, processors, modules)
        if body not in seen:
            seen.append(body)
            yield body


def _request(spec: base.Spec, composition: Mapping[str, Any],
             sockets: int, modules: int) -> Body:
    more = values.flag(composition.get('AllowOverprovisioning')) or False
    body: Body = {'Name': spec.tag}
    if spec.name:
        body['Description'] = spec.name
    if spec.zone_path and values.flag(composition.get('AllowZoneAffinity')):
        body[_AFFINITY] = spec.zone_path.rstrip('/').rpartition('/')[2]
    cpu = values.obj(spec.requirements.get('processor'))
    memory = values.obj(spec.requirements.get('memory'))
    cores = values.integer(cpu.get('total_cores'))
    size = values.integer(memory.get('capacity_mib'))
    if cpu:
        _add(body, 'Processors', sockets if cores else 1, more,
             ProcessorType='CPU', TotalCores=_part(cores, sockets),
             Model=cpu.get('model'))
    if memory:
        _add(body, 'Memory', modules if size else 1, more,
             CapacityMiB=_part(size, modules),
             MemoryDeviceType=memory.get('type'))
    kinds = [DeviceType(name) for name in values.texts(values.obj(
        spec.requirements.get('pci_device')).get('type'))]
    for kind in sorted(set(kinds)):
        count = kinds.count(kind)
        if kind in _PROCESSORS:
            _add(body, 'Processors', count, more,
                 ProcessorType=_PROCESSORS[kind])
        elif kind in _DRIVES:
            _add(body, 'Drives', count, more, **_DRIVES[kind])
        elif kind == DeviceType.NIC:
            _add(body, 'EthernetInterfaces', count, more)
        else:
            raise base.Unsupported('constrained composition has no way to '
                                   f'ask for a {kind}')
    return body


def _add(body: Body, name: str, count: int, more: bool,
         **wanted: Any) -> None:
    entry: Body = {_COUNT: count, **values.compact(**wanted)}
    if more:
        entry[_MORE] = True
    body.setdefault(name, {'Members': []})['Members'].append(entry)


def _part(total: int | None, parts: int) -> int | None:
    return None if total is None else -(-total // parts)


def _no_match(error: base.Refused) -> bool:
    return any(name.rpartition('.')[2] in _NO_MATCH
               for name in error.message_ids)
