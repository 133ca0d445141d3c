# SPDX-License-Identifier: Apache-2.0
"""valence-conductor: runs operations on hardware."""

from collections.abc import Sequence

from oslo_config import cfg

from valence.cmd import common
from valence.conductor import workers

PROG = 'valence-conductor'


@common.command(PROG)
def main(argv: Sequence[str]) -> int:
    conf = common.configure(argv, PROG)
    # What cannot work is said here, once, rather than by every worker.
    check(conf)
    common.log_startup(conf, PROG)

    def refusal() -> str | None:
        return _refusal(argv)

    workers.launch(conf, refusal).wait()
    return 0


def check(conf: cfg.ConfigOpts) -> None:
    """:raises Exception: for which common.sentence() has a sentence"""
    common.check_conductor(conf)
    common.check_bus(conf)
    common.check_database(conf)


def _refusal(argv: Sequence[str]) -> str | None:
    """Why a conductor would not start with the files as they are now."""
    # Read apart, so that what is in use stays as it is.
    conf = cfg.ConfigOpts()
    try:
        common.read(conf, argv, PROG)
        check(conf)
    except Exception as error:
        return common.sentence(error) or repr(error)
    return None
