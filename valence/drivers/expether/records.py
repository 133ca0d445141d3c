# SPDX-License-Identifier: Apache-2.0
"""What does the ExpEther Manager say of one of its devices?

An EESV is the server's side of a node, an EEIO a pooled PCIe device. They
are joined by having the same group id.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from valence.drivers import base
from valence.drivers.http_links import printable

#: The group id of an EEIO that nobody uses, and of an EESV without a group.
FREE_EEIO = '4093'
FREE_EESV = '4094'
#: The group ids that can be given, both ends included.
GROUPS = range(16, 4093)

_ID = re.compile(r'[0-9A-Za-z][0-9A-Za-z._\-]{0,63}')
_DIGITS = re.compile(r'[0-9]{1,20}')


@dataclass(frozen=True, slots=True)
class Record:
    """One device as last read.

    ``group_id`` is decimal text whatever the wire had, empty where it had
    nothing usable. ``update_time`` (ms) is as it was on the wire, text or
    number, as it is sent back. ``body`` is all that the manager said.
    """

    path: str
    id: str
    is_eesv: bool
    group_id: str
    up: bool
    enabled: bool
    update_time: str | int | None
    max_eeio_count: int | None
    body: Mapping[str, Any] = field(repr=False)

    @property
    def kind(self) -> str:
        return 'EESV' if self.is_eesv else 'EEIO'

    @property
    def free(self) -> bool:
        return self.group_id == (FREE_EESV if self.is_eesv else FREE_EEIO)

    @property
    def grouped(self) -> bool:
        """Whether it is in a group that can have other members."""
        return is_group(self.group_id)

    @property
    def usable(self) -> bool:
        return self.up and self.enabled

    def text(self, name: str, length: int = 255) -> str | None:
        """One line of text; None where there is none."""
        return text(self.body.get(name), length)


def parse(body: Any, root: str) -> Record:
    """The record in ``body``; its path is under ``root``.

    :raises BadAnswer: if it does not say which device it is about.
    """
    if not isinstance(body, dict):
        raise base.BadAnswer('the ExpEther Manager answered a device that is '
                             'no object')
    name, status = body.get('id'), body.get('status')
    if not isinstance(name, str) or _ID.fullmatch(name) is None:
        raise base.BadAnswer('the ExpEther Manager answered a device without '
                             'a usable id')
    if status not in ('eesv', 'eeio'):
        raise base.BadAnswer(f'the ExpEther Manager answered that {name} is '
                             'neither an EESV nor an EEIO')
    count = decimal(body.get('max_eeio_count'))
    return Record(
        path=f'{root}/devices/{name}', id=name, is_eesv=status == 'eesv',
        group_id=decimal(body.get('group_id')),
        up=_first(body.get('notification_status0')) != 'down',
        enabled=all(body.get(which) in (None, 'enabled') for which in
                    ('admin_status', 'monitoring_status')),
        update_time=update_time(body.get('update_time')),
        max_eeio_count=int(count) if count else None, body=body)


def is_id(name: str) -> bool:
    return _ID.fullmatch(name) is not None


def is_group(group_id: str) -> bool:
    return group_id.isdecimal() and int(group_id) in GROUPS


def decimal(value: Any) -> str:
    """A number or its text as decimal text without leading zeros."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or _DIGITS.fullmatch(value) is None:
        return ''
    return str(int(value))


def update_time(value: Any) -> str | int | None:
    return value if decimal(value) else None


def text(value: Any, length: int = 255) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    return printable(value, length) or None


def compact(**values: Any) -> dict[str, Any]:
    """A dict of those that say something."""
    return {key: value for key, value in values.items()
            if value not in (None, '', [], {})}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None
