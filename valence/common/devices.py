# SPDX-License-Identifier: Apache-2.0
"""Which kinds of device are there, and which satisfies a request for which?

The names are those of the API (``devices.type``, ``pci_device.type``).
"""

import enum


class DeviceType(enum.StrEnum):
    COMPUTE = 'compute'          # a sled: processors and memory together
    PROCESSOR = 'processor'
    MEMORY = 'memory'
    NVME = 'nvme'
    SSD = 'ssd'
    HDD = 'hdd'
    STORAGE = 'storage'          # storage of mixed or unknown media
    NIC = 'nic'
    GPU = 'gpu'
    FPGA = 'fpga'
    ACCELERATOR = 'accelerator'
    OTHER = 'other'


class DeviceState(enum.StrEnum):
    """What the hardware says of a device; who owns it is in the claims."""

    FREE = 'free'
    USED = 'used'
    RESERVED = 'reserved'        # free, but hinted at by another client
    FAILED = 'failed'
    UNAVAILABLE = 'unavailable'


# A request for the key is satisfied by a device of any type in the value.
SATISFIED_BY: dict[DeviceType, frozenset[DeviceType]] = {
    **{kind: frozenset((kind,)) for kind in DeviceType},
    DeviceType.SSD: frozenset((DeviceType.SSD, DeviceType.NVME)),
    DeviceType.STORAGE: frozenset((
        DeviceType.STORAGE, DeviceType.NVME, DeviceType.SSD,
        DeviceType.HDD)),
    DeviceType.ACCELERATOR: frozenset((
        DeviceType.ACCELERATOR, DeviceType.GPU, DeviceType.FPGA)),
}

# The types that a request may ask for under ``pci_device``.
PCI_TYPES = tuple(
    kind.value for kind in DeviceType
    if kind not in (DeviceType.COMPUTE, DeviceType.PROCESSOR,
                    DeviceType.MEMORY, DeviceType.OTHER))
