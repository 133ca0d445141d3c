# SPDX-License-Identifier: Apache-2.0
"""What kind of PCI device is this, and what do people call it?

Kinds come from the class code (PCI Code and ID Assignment Specification:
base class, subclass and programming interface, a byte each), names from the
``pci.ids`` of the operating system. Where that file is not installed the
ids stay hexadecimal numbers, and the log says so once.
"""

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from oslo_log import log as logging

from valence.common.devices import DeviceType

LOG = logging.getLogger(__name__)

#: Where the packages hwdata (rpm) and pci.ids (deb) put the file.
FILES = ('/usr/share/hwdata/pci.ids', '/usr/share/misc/pci.ids')

_NVME = 0x0108          # base class and subclass

_KINDS = {
    0x01: DeviceType.STORAGE, 0x02: DeviceType.NIC, 0x03: DeviceType.GPU,
    0x12: DeviceType.ACCELERATOR,
}
_HEX = re.compile(r'(?:0[xX])?([0-9a-fA-F]{1,8})')
_ENTRY = re.compile(r'(\t?)([0-9a-fA-F]{4})\s+(\S.*)')


def number(value: Any) -> int | None:
    """An id or class code, a number or hexadecimal text with or without 0x."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    found = _HEX.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(found.group(1), 16) if found else None


def kind(class_code: int | None) -> DeviceType:
    """What a device of this class code (24 bits) is chosen for."""
    if class_code is None:
        return DeviceType.OTHER
    if class_code >> 8 == _NVME:
        return DeviceType.NVME
    return _KINDS.get(class_code >> 16, DeviceType.OTHER)


def names(vendor: int, device: int) -> tuple[str | None, str | None]:
    """What pci.ids calls a vendor and its device."""
    known = _installed()
    return known.get((vendor, None)), known.get((vendor, device))


def parse(lines: Iterable[str]) -> dict[tuple[int, int | None], str]:
    """The vendors, as (id, None), and devices, as (vendor, id), of pci.ids.

    Subsystems have two tabs in front. The classes follow the devices, with
    a capital C in front.
    """
    found: dict[tuple[int, int | None], str] = {}
    vendor = None
    for line in lines:
        if line.startswith('C '):
            break
        entry = _ENTRY.match(line)
        if entry is None:
            continue
        tab, number_text, name = entry.groups()
        if not tab:
            vendor = int(number_text, 16)
            found[vendor, None] = name.strip()
        elif vendor is not None:
            found[vendor, int(number_text, 16)] = name.strip()
    return found


@functools.cache
def _installed() -> Mapping[tuple[int, int | None], str]:
    """Read once in the life of a process: some 20,000 names."""
    for path in FILES:
        try:
            with open(path, encoding='utf-8', errors='replace') as file:
                return parse(file)
        except OSError:
            continue
    LOG.info('PCI devices have numbers for names, as there is neither of %s; '
             'install the package pci.ids (Debian) or hwdata and restart',
             ', '.join(FILES))
    return {}
