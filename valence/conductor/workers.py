# SPDX-License-Identifier: Apache-2.0
"""How many conductor processes run here, and by which configuration?

oslo.service forks the workers and starts those anew that end. On SIGHUP it
reads the configuration and replaces all workers; what it leaves to us is to
look first whether the new configuration can work, and to count anew.
"""

import logging
from collections.abc import Callable
from typing import Any

from oslo_config import cfg
from oslo_log import log
from oslo_service import opts as service_opts
from oslo_service import service

from valence.conductor.service import ConductorService, patience
from valence.conf import opts

LOG = logging.getLogger(__name__)


def launch(conf: cfg.ConfigOpts, refusal: Callable[[], str | None]) -> Any:
    """Start the workers that ``conf`` asks for.

    :param refusal: says why the configuration files as they are now cannot
        be used; None where they can
    :returns: a launcher of oslo.service, to ``wait()`` for
    """
    service_opts.register_service_opts(conf)
    _patient(conf)
    launcher = service.launch(conf, ConductorService(conf),
                              workers=conf.conductor.workers,
                              restart_method='reload')
    # It keeps to itself what supervises the processes.
    _count_anew(launcher._manager, conf, refusal)
    return launcher


def _patient(conf: cfg.ConfigOpts) -> None:
    """A worker that stops is not cut off before it had its time.

    What an operator has set is left as it is.
    """
    conf.set_default('graceful_shutdown_timeout', patience(conf))


def _count_anew(manager: Any, conf: cfg.ConfigOpts,
                refusal: Callable[[], str | None]) -> None:
    """Make SIGHUP look at the configuration before anything stops.

    :param manager: the cotyledon.ServiceManager of one service
    """
    reload, start_worker = manager._reload, manager._start_worker
    wanted, = manager._services.values()

    def look_first() -> None:
        why = refusal()
        if why is not None:
            LOG.error('SIGHUP: the configuration stays as it was: %s', why)
            return
        conf.reload_config_files()
        _patient(conf)
        try:
            opts.set_up_logging(conf)
        except (OSError, log.LogConfigError) as error:
            LOG.error('SIGHUP: the log stays as it was: %s', error)
        LOG.info('SIGHUP: the configuration is read again; workers: %d',
                 conf.conductor.workers)
        manager.reconfigure(wanted.service_id, conf.conductor.workers)
        reload()

    def start_wanted(service_id: Any, worker_id: int) -> None:
        # One that ended because it was one too many is not replaced;
        # otherwise it would be stopped and started for ever.
        if worker_id < wanted.workers:
            start_worker(service_id, worker_id)

    manager._reload = look_first
    manager._start_worker = start_wanted
