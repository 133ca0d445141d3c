# SPDX-License-Identifier: Apache-2.0
"""Options about which pod managers may be registered."""

import ipaddress
from typing import Any

from oslo_config import cfg, types

GROUP = 'pod_managers'


class Network(types.String):
    """A network in CIDR notation; the value stays as it is written."""

    def __init__(self) -> None:
        super().__init__(type_name='network')

    def __call__(self, value: Any) -> str:
        text: str = super().__call__(value)
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            # The list tries with what follows too, commas and all.
            raise ValueError(f'{text.partition(",")[0]!r} is no network in '
                             'CIDR notation, '
                             'such as 10.20.0.0/16') from None
        return text


OPTS = (
    cfg.BoolOpt(
        'allow_http', default=False,
        help='Accept pod managers without TLS. Their credentials and '
             'commands then travel in the clear.'),
    cfg.BoolOpt(
        'allow_insecure_tls', default=False,
        help='Accept verify_tls=false on a pod manager. Then anybody in the '
             'path can pose as it and take its credentials.'),
    cfg.ListOpt(
        'allowed_networks', default=[], item_type=Network(),
        help='Networks in CIDR notation that pod managers may be in although '
             'they would be refused otherwise, such as 127.0.0.0/8.'),
    cfg.ListOpt(
        'denied_networks', default=[], item_type=Network(),
        help='Networks in CIDR notation that pod managers must not be in. '
             'Loopback, link-local (with the metadata services of clouds), '
             'multicast and unspecified addresses are always refused, '
             'unless allowed_networks has a loopback network.'),
)


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, GROUP)
