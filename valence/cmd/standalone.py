# SPDX-License-Identifier: Apache-2.0
"""valence-standalone: the API and one conductor in a single process.

For a laptop, a demonstration, or one rack. The doorbell is a function call;
everything else is the same code as in the separate services.
"""

import asyncio
import logging
import signal
from collections.abc import Sequence
from typing import Any

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from valence.api import service as api_service
from valence.api.bridge import Bridge
from valence.cmd import common
from valence.cmd.api import check_api, http_options
from valence.conductor.service import Conductor
from valence.db.engine import Database

LOG = logging.getLogger(__name__)

PROG = 'valence-standalone'

#: Seconds that requests under way have when the process is told to stop.
_PATIENCE = 10

#: The server's messages go where all others go, and nothing that is set up
#: already is set up anew.
_LOGGING = {'incremental': True, 'formatters': {}, 'handlers': {},
            'loggers': {}}


@common.command(PROG)
def main(argv: Sequence[str]) -> int:
    conf = common.configure(argv, PROG)
    common.check_database(conf)
    check_api(conf)
    kept = Database.from_conf(conf)
    conductor = Conductor(conf, kept)
    application = Bridge(
        api_service.build(conf, kept, conductor.ring),
        threads=conf.api.threads, max_body=conf.api.max_body_bytes,
        timeout=conf.api.body_timeout)
    common.log_startup(conf, PROG)
    signal.signal(signal.SIGHUP, lambda *_: LOG.warning(
        'SIGHUP is ignored; to read the configuration again, start anew'))
    conductor.start()
    try:
        asyncio.run(_serve(conf, application))
    finally:
        conductor.stop()
        kept.close()
    return 0


async def _serve(conf: Any, application: Bridge) -> None:
    """Answer until SIGTERM or SIGINT; then end the requests under way."""
    server = Server(
        application, address=str(conf.api.bind_host),
        port=conf.api.bind_port, interface=Interfaces.RSGI, backlog=1024,
        log_level=LogLevels.error, log_dictconfig=_LOGGING,
        **http_options(conf))
    server.on_startup(lambda: LOG.info(
        'listening on %s port %d', conf.api.bind_host, conf.api.bind_port))
    loop = asyncio.get_running_loop()
    serving = loop.create_task(server.serve())

    def stop() -> None:
        server.stop()
        loop.call_later(_PATIENCE, serving.cancel)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await asyncio.wait((serving,))
    if serving.cancelled():
        LOG.warning('requests under way are given up')
    else:
        serving.result()
    if not server.interrupt_signal:
        raise common.CannotStart('the HTTP server has ended by itself')
