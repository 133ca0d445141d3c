# SPDX-License-Identifier: Apache-2.0
"""Which options does Valence have, and how do they get their values?

One module per group, each with ``GROUP``, ``OPTS`` and ``register(conf)``.
Options are read at the edges only (``valence.cmd``, ``valence.wsgi``) and
passed inwards as plain values.
"""

from collections.abc import Sequence
from typing import Any

from oslo_config import cfg
from oslo_log import log

from valence.common import audit as audit_log
from valence.conf import (
    api,
    audit,
    base,
    conductor,
    database,
    drivers,
    pod_managers,
    quota,
    secrets,
    upgrade_levels,
)

_MODULES = (base, api, audit, conductor, database, drivers, pod_managers,
            quota, secrets, upgrade_levels)


def list_opts() -> list[tuple[str, list[Any]]]:
    """For oslo-config-generator."""
    # What reaches Keystone; keystonemiddleware lists the rest of the group.
    from keystoneauth1 import loading

    return [*((module.GROUP, list(module.OPTS)) for module in _MODULES),
            ('keystone_authtoken',
             loading.get_auth_plugin_conf_options('password'))]


def set_defaults() -> None:
    """Valence's own defaults for options of the libraries.

    Imports oslo.messaging, so only what speaks RPC calls it (and the
    generator of the sample file).
    """
    from oslo_messaging._drivers import impl_rabbit

    # Quorum queues from the first run on: a queue cannot change its type
    # later (PRECONDITION_FAILED until the vhost is made anew).
    cfg.set_defaults(impl_rabbit.rabbit_opts, rabbit_quorum_queue=True)


def register(conf: cfg.ConfigOpts) -> None:
    """Make all options known to ``conf``; reads nothing yet."""
    for module in _MODULES:
        module.register(conf)


def parse(conf: cfg.ConfigOpts, argv: Sequence[str], *, prog: str,
          version: str, files: Sequence[str] | None = None) -> None:
    """Register, read the command line and the files, set up logging.

    May be called again, as in a worker that was forked.

    :raises cfg.Error: there is no such file, option or value
    :raises OSError: a file cannot be read, or a log not be written
    :raises UnicodeError: a file is not UTF-8
    :raises oslo_log.log.LogConfigError: by log_config_append
    """
    read(conf, argv, prog=prog, version=version, files=files)
    set_up_logging(conf)


def read(conf: cfg.ConfigOpts, argv: Sequence[str], *, prog: str,
         version: str, files: Sequence[str] | None = None) -> None:
    """Register, read the command line and the files, and no more.

    :raises: as parse()
    """
    conf.reset()
    log.register_options(conf)
    log.set_defaults(default_log_levels=[
        *log.get_default_log_levels(), 'alembic=WARN'])
    register(conf)
    # What a command prints is its own; its log goes beside it.
    conf.set_default('use_stderr', True)
    conf(list(argv), project='valence', prog=prog, version=version,
         default_config_files=list(files) if files is not None else None)


def set_up_logging(conf: cfg.ConfigOpts) -> None:
    """Log as ``conf`` says; also to be called when it says otherwise.

    :raises: as parse()
    """
    log.setup(conf, 'valence')
    audit_log.enable(conf.audit.enabled)
