# SPDX-License-Identifier: Apache-2.0
"""Options about services of two releases side by side."""

from oslo_config import cfg

GROUP = 'upgrade_levels'

OPTS = (
    cfg.StrOpt(
        'conductor', regex=r'^\d+\.\d+$',
        help='The newest version of the RPC interface of conductors that '
             'may be spoken to them, such as 1.0; by default that of this '
             'release. To be set in the API while conductors of an older '
             'release run. What a conductor does not understand is not '
             'lost: it finds the operation by its poll.'),
)


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, GROUP)
