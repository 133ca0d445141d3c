# SPDX-License-Identifier: Apache-2.0
"""Which network addresses may a pod manager have?

A pod manager's URL is given by an administrator, its name is resolved by a
DNS that anybody may run. The API refuses a URL that leads to a denied
address when it is registered; what protects is that a conductor judges each
address again, at each connection (:mod:`valence.drivers.http_address`).
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

from valence.common import aside

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Never dialled, whatever the configuration allows: cloud metadata services
#: (they hand out credentials), link-local, multicast, "this host".
ALWAYS_DENIED: tuple[_Network, ...] = tuple(
    ipaddress.ip_network(text) for text in (
        '0.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '255.255.255.255/32',
        '100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32',
        '::/128', 'fe80::/10', 'fec0::/10', 'ff00::/8',
        # Amazon (::254 instances, ::23 EKS), Google, Scaleway, Oracle.
        'fd00:ec2::/64', 'fd20:ce::254/128', 'fd00:42::42/128',
        'fd00:c1::a9fe:a9fe/128'))

#: IPv6 that ends with the IPv4 address that it stands for: compatible and
#: mapped (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052).
_ENDS_WITH_IPV4 = tuple(ipaddress.ip_network(text) for text in (
    '::/96', '::ffff:0:0/96', '::ffff:0:0:0/96', '64:ff9b::/96'))
_LOOPBACK = ipaddress.IPv6Address('::1')
_LOCAL_NAT64 = ipaddress.ip_network('64:ff9b:1::/48')
_THIS_HOST = ipaddress.ip_network('0.0.0.0/8')
#: The identifiers of ISATAP's interfaces (RFC 5214) begin with these.
_ISATAP = (0x00005efe, 0x02005efe)


class AddressPolicy:
    """Judges addresses by ``[pod_managers] allowed_networks``, and denied."""

    def __init__(self, allowed: Iterable[str], denied: Iterable[str]) -> None:
        """:raises ValueError: for a text that is no CIDR network."""
        self._allowed = _networks(allowed)
        self._denied = _networks(denied)

    def permits(self, address: str) -> bool:
        """Whether ``address`` (a literal without zone) may be dialled."""
        try:
            outer = ipaddress.ip_address(address.partition('%')[0])
        except ValueError:
            return False
        return all(self._permits(one) for one in _faces(outer))

    def _permits(self, address: IPAddress) -> bool:
        if any(address in network for network in ALWAYS_DENIED):
            return False
        if any(address in network for network in self._allowed):
            return True
        if address.is_loopback:
            return False
        return not any(address in network for network in self._denied)


def look_up(host: str, port: int, timeout: float) -> list[tuple[int, Any]]:
    """The ``(family, sockaddr)`` of ``host``, in DNS order.

    :param timeout: seconds that the resolver may take; the C library's own
        limit is per server and per try, so it is asked in a thread.
    :raises TimeoutError: the resolver did not answer in time
    :raises LookupError: the host has no address
    """
    def ask(flags: int = 0) -> list[tuple[int, Any]]:
        try:
            return [(int(family), sockaddr) for family, _, _, _, sockaddr
                    in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM,
                                          flags=flags)]
        except (OSError, UnicodeError):
            return []

    # A literal needs no DNS, no thread.
    answer = ask(socket.AI_NUMERICHOST) or aside.ask(
        'valence-dns', ask, timeout,
        f'the name {host} was not resolved in time')
    if not answer:
        raise LookupError(f'the name {host} cannot be resolved')
    return answer


def _networks(texts: Iterable[str]) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _faces(address: IPAddress) -> tuple[IPAddress, ...]:
    """``address`` and the IPv4 addresses that it stands for, if any."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    number = int(address)
    last = ipaddress.IPv4Address(number & 0xffffffff)
    if address.ipv4_mapped is not None:
        return (last,)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    if address.teredo is not None:
        return (address, *address.teredo)
    if address in _LOCAL_NAT64:
        return (address, *_translated(number))
    if (number >> 32) & 0xffffffff in _ISATAP or address != _LOOPBACK and any(
            address in network for network in _ENDS_WITH_IPV4):
        return (address, last)
    return (address,)


def _translated(number: int) -> list[IPAddress]:
    """What an address of RFC 8215 can stand for.

    Only its network knows how long the prefix is: each of RFC 6052, section
    2.2, is tried, in which bits 64 to 71 are left out. What is padding in
    the others begins with a zero.
    """
    without = number >> 64 << 56 | number & (1 << 56) - 1
    found = [ipaddress.IPv4Address(bits & 0xffffffff) for bits in (
        without >> 40, without >> 32, without >> 24, number)]
    return ([one for one in found if one not in _THIS_HOST]
            or [*found[-1:]])
