# SPDX-License-Identifier: Apache-2.0
"""What is inside a system or a resource block?

Each function turns one resource (DSP0268: Processor, Memory, Drive,
SimpleStorage, EthernetInterface, NetworkInterface) into a small component:
a dict with ``resource_path``, ``type`` (a DeviceType), ``name`` and what of
``model``, ``health``, ``processor_cores``, ``memory_mib``, ``memory_type``,
``capacity_gib``, ``speed_mbps`` is known. :func:`gather` finds them all.
"""

from collections.abc import Callable
from typing import Any

from valence.common.devices import DeviceType
from valence.drivers.redfish import values
from valence.drivers.redfish.crawl import NOT_THERE, Crawl

Component = dict[str, Any]
Body = dict[str, Any]
Taker = Callable[[Component], None]

_PROCESSORS = {
    'CPU': DeviceType.PROCESSOR, 'GPU': DeviceType.GPU,
    'FPGA': DeviceType.FPGA, 'DSP': DeviceType.ACCELERATOR,
    'Accelerator': DeviceType.ACCELERATOR,
    'OEM': DeviceType.ACCELERATOR,
}
_NVME = ('NVMe', 'NVMeOverFabrics')
_MEDIA = {'SSD': DeviceType.SSD, 'HDD': DeviceType.HDD,
          'SMR': DeviceType.HDD, 'SSHD': DeviceType.HDD}


def gather(crawl: Crawl, body: Body, take: Taker) -> None:
    """Have ``take`` called with each component that ``body`` links to.

    A system links to collections, a resource block to arrays (DSP0268,
    ComputerSystem and ResourceBlock). Both are allowed in both, and any
    part may be missing.
    """
    def each(name: str, handler: Callable[[str, Body], None]) -> None:
        link = body.get(name)
        if not link:
            return
        if isinstance(link, dict):
            crawl.collection(link, handler, absent=NOT_THERE)
        else:
            for one in values.objects(link):
                crawl.want(one, handler, absent=NOT_THERE)

    def single(make: Callable[[str, Body], Component | None]
               ) -> Callable[[str, Body], None]:
        def handler(path: str, found: Body) -> None:
            component = None if values.absent(found) else make(path, found)
            if component is not None:
                take(component)
        return handler

    def storage(_: str, found: Body) -> None:
        for link in values.objects(found.get('Drives')):
            crawl.want(link, single(drive), absent=NOT_THERE)

    def simple(path: str, found: Body) -> None:
        for component in simple_storage(path, found):
            take(component)

    each('Processors', single(processor))
    each('Memory', single(memory))
    each('Drives', single(drive))
    each('Storage', storage)
    each('SimpleStorage', simple)
    each('EthernetInterfaces', single(ethernet))
    if not body.get('EthernetInterfaces'):
        each('NetworkInterfaces', single(network))


def processor(path: str, body: Body) -> Component | None:
    kind = values.text(body.get('ProcessorType')) or 'CPU'
    if kind in ('Core', 'Thread', 'Partition'):
        return None                     # a part of one that is listed too
    cores = values.integer(body.get('TotalCores'))
    return _component(
        path, body, _PROCESSORS.get(kind, DeviceType.ACCELERATOR),
        processor_cores=cores,
        speed_mhz=values.integer(body.get('MaxSpeedMHz')))


def memory(path: str, body: Body) -> Component:
    return _component(
        path, body, DeviceType.MEMORY,
        memory_mib=values.integer(body.get('CapacityMiB')),
        memory_type=(values.text(body.get('MemoryDeviceType'), 64)
                     or values.text(body.get('MemoryType'), 64)))


def drive(path: str, body: Body) -> Component:
    if values.text(body.get('Protocol')) in _NVME:
        kind = DeviceType.NVME
    else:
        kind = _MEDIA.get(values.text(body.get('MediaType')) or '',
                          DeviceType.STORAGE)
    return _component(path, body, kind, **_capacity(body))


def simple_storage(path: str, body: Body) -> list[Component]:
    """Its bays have no resource of their own, so a pointer names them."""
    return [
        _component(f'{path}#/Devices/{index}', bay, DeviceType.STORAGE,
                   **_capacity(bay))
        for index, bay in enumerate(values.objects(body.get('Devices')))
        if not values.absent(bay)]


def ethernet(path: str, body: Body) -> Component | None:
    if values.text(body.get('EthernetInterfaceType')) == 'Virtual':
        return None
    return _component(
        path, body, DeviceType.NIC,
        speed_mbps=values.integer(body.get('SpeedMbps')),
        mac=(values.text(body.get('MACAddress'), 64)
             or values.text(body.get('PermanentMACAddress'), 64)))


def network(path: str, body: Body) -> Component:
    return _component(path, body, DeviceType.NIC)


def _capacity(body: Body) -> dict[str, Any]:
    size = values.number(body.get('CapacityBytes'))
    if size is None:
        return {}
    return {'capacity_gib': values.integer(size / 2 ** 30)}


def _component(path: str, body: Body, kind: DeviceType,
               **rest: Any) -> Component:
    return {
        'resource_path': path, 'type': kind.value,
        'name': (values.text(body.get('Name'))
                 or values.text(body.get('Id')) or path.rpartition('/')[2]),
        **values.compact(
            model=values.text(body.get('Model')),
            manufacturer=values.text(body.get('Manufacturer')),
            health=values.health(body), **rest)}
