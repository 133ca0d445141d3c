# SPDX-License-Identifier: Apache-2.0
"""valence-standalone: the API and one conductor in a single process.

For a laptop, a demonstration, or one rack. The doorbell is a function call;
everything else is the same code as in the separate services.
"""

import logging
import signal
import threading
from collections.abc import Sequence
from typing import Any

from cheroot import wsgi

from valence.api import service as api_service
from valence.cmd import common
from valence.cmd.api import check_api
from valence.conductor import connection
from valence.conductor.service import Conductor
from valence.db.engine import Database

LOG = logging.getLogger(__name__)

PROG = 'valence-standalone'


@common.command(PROG)
def main(argv: Sequence[str]) -> int:
    conf = common.configure(argv, PROG)
    common.check_database(conf)
    check_api(conf)
    kept = Database.from_conf(conf)
    try:
        conductor = Conductor(conf, kept)
    except connection.DriverNotLoaded as error:
        raise common.CannotStart(str(error)) from error
    server = wsgi.Server(
        (str(conf.api.bind_host), conf.api.bind_port),
        api_service.build(conf, kept, conductor.ring),
        numthreads=conf.api.threads, server_name=PROG, shutdown_timeout=10,
        # The default of 5 resets connections when many come at once.
        request_queue_size=1024)
    # The default of 10 resets the connections of the eleventh client.
    server.keep_alive_conn_limit = 1000
    server.prepare()
    common.log_startup(conf, PROG)
    conductor.start()
    _serve(server)
    conductor.stop()
    kept.close()
    return 0


def _serve(server: Any) -> None:
    """Answer until SIGTERM or SIGINT; then end the requests under way."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    thread = threading.Thread(target=server.serve, name='http')
    thread.start()
    LOG.info('listening on %s port %d', *server.bind_addr[:2])
    stop.wait()
    server.stop()
    thread.join()
