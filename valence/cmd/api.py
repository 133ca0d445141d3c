# SPDX-License-Identifier: Apache-2.0
"""valence-api: serves the REST API, with one or more workers."""

import socket
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

from valence.api import service as api_service
from valence.cmd import common
from valence.common import policy

PROG = 'valence-api'

#: Bytes that the server holds of a request before the body. What is larger
#: has no answer but 431; see valence.api.guard for the limits with names.
_MAX_HEAD = 128 * 1024


@common.command(PROG)
def main(argv: Sequence[str]) -> int:
    # Granian was the fastest server that has threads (measured: three times
    # gunicorn's gthread).
    from granian import Granian
    from granian.constants import Interfaces

    conf = common.configure(argv, PROG)
    common.check_bus(conf)
    common.check_database(conf)
    check_api(conf)
    common.log_startup(conf, PROG)
    Granian('valence.rsgi:application', address=str(conf.api.bind_host),
            port=conf.api.bind_port, interface=Interfaces.RSGI,
            workers=conf.api.workers, process_name=PROG, log_enabled=True,
            respawn_failed_workers=True, workers_kill_timeout=30,
            **http_options(conf)).serve()
    return 0


def http_options(conf: cfg.ConfigOpts) -> dict[str, Any]:
    """What Granian needs to know of HTTP, in whichever process it runs."""
    from granian.constants import HTTPModes
    from granian.http import HTTP1Settings
    return {
        'http': HTTPModes.http1, 'websockets': False,
        'http1_settings': HTTP1Settings(
            header_read_timeout=int(1000 * conf.api.header_timeout),
            max_buffer_size=_MAX_HEAD),
        'backpressure': conf.api.max_connections,
    }


def _check_policy(conf: cfg.ConfigOpts) -> None:
    """Without its rules the API could answer nothing but 500."""
    enforcer = policy.get_enforcer(conf)
    name = conf.oslo_policy.policy_file
    try:
        enforcer.load_rules(force_reload=True)
    except Exception as error:
        why = ('it is no mapping of names to rules'
               if isinstance(error, (AttributeError, TypeError))
               else ' '.join(str(error).split()))
        raise common.CannotStart(
            f'the policy cannot be used ({why}); '
            f'mend {enforcer.policy_path or name}, or what is in '
            '[oslo_policy] policy_dirs') from error
    where = conf.get_location('policy_file', 'oslo_policy')
    if (enforcer.policy_path is None and where is not None
            and where.location is cfg.Locations.user):
        raise common.CannotStart(
            f'there is no policy file {name}; see [oslo_policy] policy_file')


def check_api(conf: cfg.ConfigOpts) -> None:
    """:raises CannotStart: the settings or the address cannot be used"""
    try:
        api_service.check(conf)
    except ValueError as error:
        said = str(error)
        raise common.CannotStart(
            said if '[' in said else f'{said}; see [api]') from error
    _check_policy(conf)
    host, port = str(conf.api.bind_host), conf.api.bind_port
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise common.CannotStart(
                f'cannot listen on {host} port {port} ({error.strerror}); '
                'see [api] bind_host and bind_port') from error
