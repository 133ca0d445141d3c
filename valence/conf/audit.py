# SPDX-License-Identifier: Apache-2.0
"""Options about the audit trail."""

from oslo_config import cfg

GROUP = 'audit'

OPTS = (
    cfg.BoolOpt(
        'enabled', default=False,
        help='Log an event in the shape of CADF for each request that may '
             'change something or is refused for its credentials, and for '
             'the end of each operation: one line of JSON at level INFO, '
             'through the logger valence.audit.'),
)


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, GROUP)
