# SPDX-License-Identifier: Apache-2.0
"""Which versions of the API are there, and which does a request want?

A client says so by ``OpenStack-API-Version: composable-hardware X.Y``, or
``latest``; without that it gets the oldest. What a version changes is said
in :data:`HISTORY`, and which routes it has in the table of routes.
"""

import re
from typing import NamedTuple

from valence.common import errors

SERVICE = 'composable-hardware'
HEADER = 'OpenStack-API-Version'

_ENTRY = re.compile(
    r'\s*([A-Za-z][A-Za-z0-9_-]*)\s+'
    r'(?:latest|(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4}))\s*')


class Version(NamedTuple):
    major: int
    minor: int

    def __str__(self) -> str:
        return f'{self.major}.{self.minor}'


#: Each version with what is new in it, the oldest first.
HISTORY = (
    (Version(1, 0), 'The first version.'),
)
OLDEST = HISTORY[0][0]
NEWEST = HISTORY[-1][0]


def wanted(header: str | None) -> Version:
    """The version that the value of the header asks for.

    It may list versions of several services, separated by commas.

    :raises BadRequest: it cannot be understood
    :raises NotAcceptable: unknown_version, with those there are
    """
    if header is None:
        return OLDEST
    found = None
    for entry in header.split(','):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise _malformed()
        if match[1].lower() == SERVICE:
            if found is not None:
                raise _malformed()
            found = match
    if found is None:
        return OLDEST
    if found[2] is None:
        return NEWEST
    version = Version(int(found[2]), int(found[3]))
    if not OLDEST <= version <= NEWEST:
        raise errors.NotAcceptable(
            f'there is no version {version} of this API; there are '
            f'{OLDEST} to {NEWEST}', field=HEADER)
    return version


def headers(version: Version) -> list[tuple[str, str]]:
    """What an answer says about the version that it is of."""
    return [(HEADER, f'{SERVICE} {version}'), ('Vary', HEADER)]


def _malformed() -> errors.BadRequest:
    return errors.BadRequest(
        f'{HEADER} must be "{SERVICE} X.Y" or "{SERVICE} latest"',
        field=HEADER, code='invalid_version')
