# SPDX-License-Identifier: Apache-2.0
"""How is a conductor told that there is work? By a doorbell.

Only an operation's uuid travels, with the context of the request for the
logs. A ring that is lost costs one poll interval, so nothing here is ever
waited for: rings are sent by one background thread, and dropped where the
broker is away.
"""

import importlib.metadata
import logging
import queue
import ssl
import threading
from typing import Any

import oslo_messaging
from kombu.connection import Connection
from oslo_config import cfg
from oslo_context import context as oslo_context

from valence.common import context as request_context
from valence.conf import opts

LOG = logging.getLogger(__name__)

TOPIC = 'valence-conductor'
#: The interface's versions. A message is sent as of the version that has
#: it first, so that conductors of older releases understand it.
#:
#: 1.0: run_operation(operation_uuid)
VERSION = '1.0'
#: What of a request's context a conductor needs for its log lines.
CONTEXT_KEYS = ('request_id', 'global_request_id', 'project_id', 'user_id')
#: Rings that wait for the broker; the oldest are forgotten beyond.
_MOST_WAITING = 1000


def transport(conf: cfg.ConfigOpts) -> Any:
    """The RPC transport, with Valence's exchange and quorum queues."""
    opts.set_defaults()
    oslo_messaging.set_transport_defaults(control_exchange='valence')
    return oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=[])


def check(conf: cfg.ConfigOpts) -> None:
    """Be sure that ``transport_url`` names a bus that is known.

    Registers the options of RabbitMQ, so that their values can be read.

    :raises ValueError: it does not, with a sentence for the operator
    """
    cure = '; write [DEFAULT] transport_url as rabbit://USER:PASSWORD@HOST/'
    oslo_messaging.set_transport_defaults(control_exchange='valence')
    try:
        url = oslo_messaging.TransportURL.parse(conf)
    except (oslo_messaging.InvalidTransportURL, ValueError) as error:
        # Its own words may have the password in them.
        raise ValueError('transport_url is no URL of a message bus'
                         + cure) from error
    kind = url.transport.partition('+')[0]
    drivers = importlib.metadata.entry_points(
        group='oslo.messaging.drivers', name=kind)
    if not drivers:
        raise ValueError(f'transport_url begins with {kind}:, and no '
                         f'message bus is known by that name{cure}')
    try:
        for driver in drivers:
            driver.load()
    except ImportError as error:
        raise ValueError(f'transport_url begins with {kind}:, and what '
                         f'speaks to it is not installed ({error}){cure}'
                         ) from error
    _register_rabbit(conf)


def look_for_broker(conf: cfg.ConfigOpts, patience: float = 2.0) -> None:
    """Log in at the broker and leave again.

    For brokers that speak AMQP 0-9-1; of others nothing is known.

    :param patience: seconds for each of its hosts
    :raises Exception: no host of it lets us in
    """
    url = oslo_messaging.TransportURL.parse(conf)
    if url.transport not in ('rabbit', 'kombu'):
        return
    failure: Exception | None = None
    for host in url.hosts:
        try:
            with Connection(
                    hostname=host.hostname, port=host.port,
                    userid=host.username, password=host.password,
                    virtual_host=url.virtual_host or '/',
                    ssl=_tls(conf), connect_timeout=patience) as connection:
                connection.connect()
                return
        except Exception as error:
            failure = error
    raise failure or ValueError('transport_url names no host')


def _tls(conf: cfg.ConfigOpts) -> dict[str, Any] | bool:
    """As [oslo_messaging_rabbit] says."""
    _register_rabbit(conf)
    group = conf.oslo_messaging_rabbit
    if not group.ssl:
        return False
    files = {'ca_certs': group.ssl_ca_file, 'certfile': group.ssl_cert_file,
             'keyfile': group.ssl_key_file}
    return {'cert_reqs': ssl.CERT_REQUIRED if group.ssl_ca_file
            else ssl.CERT_NONE,
            **{name: path for name, path in files.items() if path}}


def _register_rabbit(conf: cfg.ConfigOpts) -> None:
    """What the driver does with its first connection, which may be later."""
    from oslo_messaging._drivers import impl_rabbit

    conf.register_opts(impl_rabbit.rabbit_opts, 'oslo_messaging_rabbit')


class Serializer(oslo_messaging.NoOpSerializer):
    """Lets through what the log lines need of a context, and no more."""

    def serialize_context(self, context: Any) -> dict[str, Any]:
        return {key: context.get(key) for key in CONTEXT_KEYS}

    def deserialize_context(self, context: Any) -> Any:
        return oslo_context.RequestContext.from_dict(
            {key: context.get(key) for key in CONTEXT_KEYS})


class Doorbell:
    """Rings conductors over oslo.messaging.

    To be made after a fork; the connection opens with the first ring.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._waiting: queue.Queue[tuple[str, Any] | None] = (
            queue.Queue(_MOST_WAITING))
        self._thread = threading.Thread(
            target=self._send, name='doorbell', daemon=True)
        self._thread.start()

    def ring(self, operation_uuid: str) -> None:
        """Say that an operation waits. Never blocks, never raises."""
        try:
            self._waiting.put_nowait((operation_uuid,
                                      oslo_context.get_current()))
        except queue.Full:
            LOG.warning('the message broker is away; a conductor finds '
                        'operation %s by its poll', operation_uuid)

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join(timeout=5)

    def _send(self) -> None:
        client = None
        while True:
            item = self._waiting.get()
            if item is None:
                break
            uuid, context = item
            with request_context.of(context):
                try:
                    client = client or self._client()
                    self._cast(client, context.to_dict() if context else {},
                               uuid)
                except Exception as error:
                    LOG.warning('cannot ring for operation %s (%s); a '
                                'conductor finds it by its poll', uuid, error)

    @staticmethod
    def _cast(client: Any, context: dict[str, Any], uuid: str) -> None:
        client.prepare(version='1.0').cast(
            context, 'run_operation', operation_uuid=uuid)

    def _client(self) -> Any:
        return oslo_messaging.get_rpc_client(
            transport(self._conf), oslo_messaging.Target(topic=TOPIC),
            version_cap=self._conf.upgrade_levels.conductor,
            serializer=Serializer(), retry=1)
