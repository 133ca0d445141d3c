# SPDX-License-Identifier: Apache-2.0
"""Options of the drivers that speak to pod managers."""

from oslo_config import cfg

GROUP = 'drivers'

OPTS = (
    cfg.ListOpt(
        'enabled_drivers', default=['redfish', 'rsd', 'expether'],
        help='Drivers that a conductor loads: entry points of the namespace '
             'valence.podmanager.driver. A conductor does not start when '
             'one of them is missing or broken.'),
    cfg.FloatOpt(
        'connect_timeout', default=5.0, min=0.1, max=60.0,
        help='Seconds to reach a pod manager.'),
    cfg.FloatOpt(
        'call_timeout', default=12.0, min=0.5, max=600.0,
        help='Seconds for one call to a pod manager, from the first byte '
             'sent to the last one read. Never more than what is left of '
             'the lease ([conductor] lease).'),
    cfg.FloatOpt(
        'discovery_timeout', default=300.0, min=1.0, max=3600.0,
        help='Seconds for one scan of a whole pod; what was not read by '
             'then makes the scan incomplete.'),
    cfg.IntOpt(
        'connections', default=32, min=1, max=128,
        help='Connections to one pod manager at the same time.'),
)


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, GROUP)
