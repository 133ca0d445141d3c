# SPDX-License-Identifier: Apache-2.0
"""valence-api: serves the REST API, with one or more workers."""

import socket
from collections.abc import Sequence

from valence.api import service as api_service
from valence.cmd import common

PROG = 'valence-api'

#: Bytes that the server holds of a request before the body. What is larger
#: has no answer but 431; see valence.api.guard for the limits with names.
_MAX_HEAD = 128 * 1024


@common.command(PROG)
def main(argv: Sequence[str]) -> int:
    # Granian was the fastest server that has threads (measured: three times
    # gunicorn's gthread).
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings

    conf = common.configure(argv, PROG)
    common.check_database(conf)
    check_api(conf)
    common.log_startup(conf, PROG)
    Granian('valence.rsgi:application', address=str(conf.api.bind_host),
            port=conf.api.bind_port, interface=Interfaces.RSGI,
            workers=conf.api.workers, http=HTTPModes.http1,
            websockets=False, http1_settings=HTTP1Settings(
                header_read_timeout=int(1000 * conf.api.header_timeout),
                max_buffer_size=_MAX_HEAD),
            backpressure=conf.api.max_connections,
            process_name=PROG, log_enabled=True, respawn_failed_workers=True,
            workers_kill_timeout=30).serve()
    return 0


def check_api(conf) -> None:  # type: ignore[no-untyped-def]
    """:raises CannotStart: the settings or the address cannot be used"""
    try:
        api_service.check(conf)
    except ValueError as error:
        raise common.CannotStart(str(error)) from error
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
