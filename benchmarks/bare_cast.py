# SPDX-License-Identifier: Apache-2.0
"""The floor of the doorbell: a cast of oslo.messaging and nothing else.

Run as a program it is the server's side: it prints when each cast arrived.
"""

import sys
import time
from typing import Any

from oslo_service import backend

backend.init_backend(backend.BackendType.THREADING)

import oslo_messaging  # noqa: E402
from oslo_config import cfg  # noqa: E402
from oslo_messaging._drivers import impl_rabbit  # noqa: E402

TOPIC = 'valence-benchmark'


def transport(url: str) -> Any:
    cfg.set_defaults(impl_rabbit.rabbit_opts, rabbit_quorum_queue=True)
    oslo_messaging.set_transport_defaults(control_exchange=TOPIC)
    conf = cfg.CONF
    conf([], project=TOPIC, default_config_files=[])
    return oslo_messaging.get_rpc_transport(conf, url=url)


def client(to: Any) -> Any:
    return oslo_messaging.get_rpc_client(
        to, oslo_messaging.Target(topic=TOPIC))


class _Endpoint:
    def arrived(self, context: Any, operation_uuid: str) -> None:
        print(time.time(), flush=True)


def main() -> None:
    server = oslo_messaging.get_rpc_server(
        transport(sys.argv[1]),
        oslo_messaging.Target(topic=TOPIC, server='benchmark'),
        [_Endpoint()], access_policy=oslo_messaging.DefaultRPCAccessPolicy)
    server.start()
    print('ready', flush=True)
    server.wait()


if __name__ == '__main__':
    main()
