# SPDX-License-Identifier: Apache-2.0
"""valence-conductor: runs operations on hardware."""

from collections.abc import Sequence

from oslo_service import service

from valence.cmd import common
from valence.conductor import connection
from valence.conductor.service import ConductorService

PROG = 'valence-conductor'


@common.command(PROG)
def main(argv: Sequence[str]) -> int:
    conf = common.configure(argv, PROG)
    # What cannot work is said here, once, rather than by every worker.
    common.check_database(conf)
    try:
        connection.Drivers(conf.drivers.enabled_drivers)
    except connection.DriverNotLoaded as error:
        raise common.CannotStart(str(error)) from error
    common.log_startup(conf, PROG)
    launcher = service.launch(conf, ConductorService(conf),
                              workers=conf.conductor.workers,
                              restart_method='mutate')
    launcher.wait()
    return 0
