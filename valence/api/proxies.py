# SPDX-License-Identifier: Apache-2.0
"""What did the proxy in front say, so that oslo.middleware understands it?

Its HTTPProxyToWSGI takes each value as it stands. But RFC 7239 has quotes
around a host with a port, and a chain of proxies makes lists of the
X-Forwarded headers, where the first entry is what the client used.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any

# A pair of RFC 7239, 4, or none, and what ends it. Taken leniently: hosts
# with a port and without quotes are common.
_PAIR = re.compile(
    r'[ \t]*(?:([A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))[ \t]*)?'
    r'([;,]|$)')
#: The word of RFC 7239, 6.2.
_UNKNOWN = 'unknown'
_NOT_PLAIN = re.compile(r'[\s",;]')


class Normalise:
    """Leaves one plain value in each header that a proxy sets.

    To be followed by HTTPProxyToWSGI. What is not as it should be counts as
    never said, but for the client's address, which is then unknown.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any],
                 start_response: Callable[..., Any]) -> Iterable[bytes]:
        if 'HTTP_FORWARDED' in environ:
            environ['HTTP_FORWARDED'] = ';'.join(
                f'{name}={value}' for name, value
                in forwarded(environ['HTTP_FORWARDED']).items())
        for name, check in _CHECKS.items():
            key = f'HTTP_X_FORWARDED_{name.upper()}'
            if key in environ:
                environ[key] = check(environ[key].partition(',')[0].strip())
        return self._application(environ, start_response)


def forwarded(header: str) -> dict[str, str]:
    """The first element of a Forwarded header, names in small letters.

    Only ``proto``, ``host`` and ``for``; where the header is not as RFC 7239
    has it, the client is unknown.
    """
    found: dict[str, str] = {}
    position = 0
    while True:
        pair = _PAIR.match(header, position)
        if pair is None:
            return {'for': _UNKNOWN}
        name, quoted, plain, end = pair.groups(default='')
        check = _CHECKS.get(name.lower(), _nothing)
        if value := check(plain or re.sub(r'\\(.)', r'\1', quoted)):
            found[name.lower()] = value
        if end != ';':
            return found
        position = pair.end()


def _nothing(value: str) -> str:
    return ''


def _scheme(value: str) -> str:
    return value.lower() if value.lower() in ('http', 'https') else ''


def _host(value: str) -> str:
    return '' if _NOT_PLAIN.search(value) else value


def _address(value: str) -> str:
    """The IP address alone; proxies may add a port, or hide it.

    Never empty: the client of a proxy on this host is not on this host.
    """
    if value.startswith('['):
        value = value[1:].partition(']')[0]
    elif value.count(':') == 1:
        value = value.partition(':')[0]
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return _UNKNOWN


def _prefix(value: str) -> str:
    return (value if value.startswith('/') and not value.startswith('//')
            else '')


_CHECKS: dict[str, Callable[[str], str]] = {
    'proto': _scheme, 'host': _host, 'for': _address, 'prefix': _prefix}
