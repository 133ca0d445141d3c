# SPDX-License-Identifier: Apache-2.0
"""Options that all services share."""

import socket

from oslo_config import cfg

GROUP = 'DEFAULT'

OPTS = (
    cfg.StrOpt(
        'state_path', default='/var/lib/valence',
        help='The directory of what a service keeps on this host, such as '
             'the embedded SQLite database.'),
    cfg.HostAddressOpt(
        'host', default=socket.gethostname(), sample_default='localhost',
        help='The name of this host, as shown by GET /v1/conductors.'),
)


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS)
