# SPDX-License-Identifier: Apache-2.0
"""Which address of a host does a driver connect to?

The name is resolved once per connection, each address is judged, and exactly
a judged address is dialled: there is no second look-up that could answer
differently.
"""

from typing import Any

from valence.common import addresses
from valence.drivers import base


class AddressDenied(base.Unreachable):
    """Every address of the host is one that Valence must not dial."""

    code = 'backend_address_denied'
    retryable = False


def resolve(host: str, port: int, policy: addresses.AddressPolicy,
            timeout: float) -> list[tuple[int, Any]]:
    """The permitted ``(family, sockaddr)`` of ``host``, in DNS order.

    :param timeout: seconds that the resolver may take
    :raises AddressDenied: if the host has addresses, but no permitted one.
    :raises Unreachable: if the host has no address.
    """
    try:
        found = addresses.look_up(host, port, timeout)
    except TimeoutError as error:
        raise base.Unreachable(f'{error}; see to the DNS of this '
                               'host') from None
    except LookupError as error:
        raise base.Unreachable(f'{error}; correct the URL or the '
                               'DNS') from None
    good = [(family, sockaddr) for family, sockaddr in found
            if policy.permits(str(sockaddr[0]))]
    if not good:
        raise AddressDenied(
            f'{host} resolves only to addresses that Valence must not '
            'connect to; correct the URL, or allow the network in the '
            'configuration of the drivers')
    return good
