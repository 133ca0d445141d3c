# SPDX-License-Identifier: Apache-2.0
"""Is this where and how a pod manager can be reached?

Which addresses are contacted is decided where the connection is made, after
the name was resolved; what is clear before is refused here.
"""

import ipaddress
import re
from urllib.parse import urlsplit

from cryptography import x509

from valence.common import errors
from valence.common.addresses import AddressPolicy, look_up

_DEFAULT_PORTS = {'https': 443, 'http': 80}
#: DSP0266, "Protocol version": the same in all Redfish services.
_REDFISH_ROOT = '/redfish/v1'
#: Where drivers look if the URL has no path, as each of them says itself.
#: Their code is the conductors' and not imported here.
DEFAULT_ROOTS = {
    'redfish': _REDFISH_ROOT, 'rsd': _REDFISH_ROOT, 'expether': '/eem'}
#: Seconds that a resolver is waited for.
_DNS_PATIENCE = 3.0
_NETLOC = re.compile(r'(?:\[[^\]]+\]|[^\[\]:]+)(?::[0-9]+)?')
_LABEL = re.compile(r'(?!-)[a-z0-9_-]{1,63}(?<!-)')
_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*")


def normalise_url(text: str, allow_http: bool, driver: str = '') -> str:
    """The URL in the one form that is compared and stored.

    Scheme and host in lower case, no dot after the host, no default port, no
    slash at the end. The path is there only where it says something: not
    Redfish's own, but any other that ``driver`` would choose by itself.

    :raises BadRequest: with field ``url``
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _bad('is not a URL') from error
    scheme = parts.scheme
    if scheme not in _DEFAULT_PORTS:
        raise _bad('must begin with https://')
    if scheme == 'http' and not allow_http:
        raise _bad('must begin with https://; http is not allowed by the '
                   'configuration')
    if '@' in parts.netloc:
        raise _bad('must not hold a user name or password; they belong '
                   'into authentication')
    if '?' in text or '#' in text:
        raise _bad('must have no query and no fragment')
    if not text.isascii() or not text.isprintable() or ' ' in text:
        raise _bad('must be printable ASCII without spaces')
    if not host:
        raise _bad('has no host')
    if port == 0 or not _NETLOC.fullmatch(parts.netloc):
        raise _bad('has an impossible host or port')
    path = parts.path.rstrip('/')
    # Percent signs are refused with the rest: %2e and %2f are ways out.
    if (not _PATH.fullmatch(path) or '//' in path
            or any(part in ('.', '..') for part in path.split('/'))):
        raise _bad('has an impossible path')
    path = path or DEFAULT_ROOTS.get(driver, '')
    if path == _REDFISH_ROOT == DEFAULT_ROOTS.get(driver):
        path = ''
    netloc = _host(host)
    if port is not None and port != _DEFAULT_PORTS[scheme]:
        netloc += f':{port}'
    return f'{scheme}://{netloc}{path}'


def forms(text: str) -> set[str]:
    """What ``text`` is normalised to, by any of the drivers.

    :raises BadRequest: with field ``url``
    """
    return {normalise_url(text, True, driver)
            for driver in ('', *DEFAULT_ROOTS)}


def check_address(url: str, policy: AddressPolicy) -> None:
    """Be sure that a normalised URL does not lead to a denied address.

    A name that cannot be resolved here may be one that the conductors know;
    they look again in any case, at each connection.

    :raises BadRequest: with field ``url``
    """
    parts = urlsplit(url)
    try:
        found = look_up(str(parts.hostname), parts.port or 443, _DNS_PATIENCE)
    except (TimeoutError, LookupError):
        return
    if not any(policy.permits(str(address[0])) for _, address in found):
        raise errors.BadRequest(
            "'url' leads only to addresses that Valence must not connect to; "
            'see [pod_managers] allowed_networks', field='url',
            code='address_denied')


def origin(url: str) -> str:
    """Scheme, host and port of a normalised URL."""
    return '/'.join(url.split('/', 3)[:3])


def check_ca_certificates(text: str) -> None:
    """:raises BadRequest: it is not PEM with at least one certificate"""
    try:
        if x509.load_pem_x509_certificates(text.encode()):
            return
    except ValueError:
        pass
    raise errors.BadRequest(
        "'ca_certificates' must be one or more certificates in PEM",
        field='ca_certificates')


def _host(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # With a dot at the end it is the same host to TLS and HTTP.
        host = host.removesuffix('.')
        labels = host.split('.')
        if (len(host) > 253
                or not all(_LABEL.fullmatch(label) for label in labels)
                # What only looks like an address is one to some resolvers:
                # 127.1, 0x7f.0.0.1.
                or labels[-1].isdigit() or labels[-1].startswith('0x')):
            raise _bad('has an impossible host') from None
        return host
    if address.version == 6:
        if address.scope_id:
            raise _bad('must not name a zone of an address')
        return f'[{address.compressed}]'
    return str(address)


def _bad(problem: str) -> errors.BadRequest:
    return errors.BadRequest(f"'url' {problem}", field='url')
