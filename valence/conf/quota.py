# SPDX-License-Identifier: Apache-2.0
"""Options about how much a project may have."""

from oslo_config import cfg

from valence.common import quotas

GROUP = 'quota'

OPTS = tuple(
    cfg.IntOpt(
        name, default=quotas.UNLIMITED, min=quotas.UNLIMITED,
        max=quotas.MOST,
        help=f'How many {what} a project may have that was given no limit '
             f'of its own (PUT /v1/quotas). {quotas.UNLIMITED} is no limit.')
    for name, what in (
        (name, name if name in (quotas.NODES, quotas.DEVICES)
         else f'devices of type {name}') for name in quotas.RESOURCES))


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, GROUP)
