# SPDX-License-Identifier: Apache-2.0
"""What does a conductor process consist of?

``Conductor`` is the part without RPC: the engine, the drivers, the
heartbeat. ``valence-standalone`` runs just that. ``ConductorService`` adds
the RPC server and is what oslo.service forks, once a worker; all that holds
a socket or a thread is made in ``start()``, after the fork.
"""

import gc
import logging
import math
import os
import threading
import uuid as uuid_module
from typing import Any

from oslo_config import cfg
from oslo_service import service

from valence import version
from valence.common import keymanager
from valence.common.vault import Vault
from valence.conductor import connection as connections
from valence.conductor.engine import Engine, Options
from valence.conductor.operations.base import Settings
from valence.db import conductors
from valence.db.engine import Database
from valence.drivers import base

LOG = logging.getLogger(__name__)

#: Records of conductors silent for a day are removed.
_FORGET_AFTER = 86400.0

#: Seconds that the end of the RPC server is waited for.
_RPC_PATIENCE = 10.0

#: Seconds for what follows the drain: to log out of the pod managers, and
#: to say goodbye in the database.
_GOODBYE = 10.0


def patience(conf: cfg.ConfigOpts) -> int:
    """Seconds after which a stopping conductor may be cut off."""
    return math.ceil(_RPC_PATIENCE + conf.conductor.drain_timeout + _GOODBYE)


def limits(conf: cfg.ConfigOpts) -> base.Limits:
    """What the configuration lets a driver spend."""
    return base.Limits(
        connect_timeout=conf.drivers.connect_timeout,
        call_timeout=min(conf.drivers.call_timeout, conf.conductor.lease),
        discovery_timeout=conf.drivers.discovery_timeout,
        connections=conf.drivers.connections,
        allow_http=conf.pod_managers.allow_http,
        allowed_networks=tuple(conf.pod_managers.allowed_networks),
        denied_networks=tuple(conf.pod_managers.denied_networks))


def _settings(conf: cfg.ConfigOpts, vault: Vault) -> Settings:
    """What the operations need to know of the configuration."""
    url = conf.conductor.event_url

    def address(uuid: str) -> str:
        return (f'{url.rstrip("/")}/v1/events?pod_manager={uuid}'
                f'&token={vault.sign(f"events of {uuid}")}')

    return Settings(
        event_address=address if url else None,
        **{name: conf.conductor[name] for name in (
            'sync_interval', 'sync_retry_interval', 'breaker_tolerance',
            'breaker_pause', 'breaker_longest', 'adoption_project')})


class Conductor:
    """One conductor, in any process.

    :raises DriverNotLoaded: an enabled driver is missing or broken
    :raises VaultError: the key file cannot be read
    """

    def __init__(self, conf: cfg.ConfigOpts, database: Database) -> None:
        self.uuid = str(uuid_module.uuid4())
        self._database = database
        drivers = connections.Drivers(conf.drivers.enabled_drivers)
        vault = Vault.from_file(conf.secrets.key_file)
        self._connection = connections.Connection(
            drivers, limits(conf), keymanager.reader(conf, vault))
        options = Options(
            owner=self.uuid, threads=conf.conductor.threads,
            threads_per_pod=conf.conductor.threads_per_pod,
            lease=conf.conductor.lease,
            poll_interval=conf.conductor.poll_interval,
            drain_timeout=conf.conductor.drain_timeout)
        self._engine = Engine(
            database, self._connection, options, _settings(conf, vault))
        self._record = dict(uuid=self.uuid, host=conf.host, pid=os.getpid(),
                            version=version.string(),
                            drivers=drivers.describe())

    def start(self) -> None:
        self._database.run(conductors.forget, _FORGET_AFTER)
        self._database.run(conductors.register, **self._record)
        self._engine.start()
        # See valence.wsgi.
        gc.collect()
        gc.freeze()
        LOG.info('conductor %s is ready; drivers: %s', self.uuid,
                 ', '.join(sorted(self._record['drivers'])))

    def ring(self, operation_uuid: str) -> None:
        self._engine.ring(operation_uuid)

    def stop(self) -> None:
        """Let running steps end, give back the rest, say goodbye."""
        self._engine.stop()
        self._connection.close()
        try:
            self._database.run(conductors.stop, self.uuid)
        except Exception as error:
            LOG.warning('cannot say goodbye in the database: %s', error)
        LOG.info('conductor %s has stopped', self.uuid)


class ConductorService(service.Service):
    """A conductor with an RPC server, as a worker of oslo.service."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__()
        self._conf = conf
        self._conductor: Conductor | None = None
        self._rpc: Any = None

    def start(self) -> None:
        super().start()
        self._conductor = Conductor(self._conf, Database.from_conf(self._conf))
        self._conductor.start()
        # Without a broker the server waits for it here; the conductor does
        # not, it polls.
        threading.Thread(target=self._listen, name='rpc-start',
                         daemon=True).start()

    def _listen(self) -> None:
        import oslo_messaging

        from valence.conductor import manager, rpcapi

        assert self._conductor
        server = oslo_messaging.get_rpc_server(
            rpcapi.transport(self._conf),
            oslo_messaging.Target(topic=rpcapi.TOPIC, server=self._conf.host),
            [manager.ConductorManager(self._conductor.ring)],
            serializer=rpcapi.Serializer(),
            access_policy=oslo_messaging.DefaultRPCAccessPolicy)
        server.start()
        self._rpc = server
        LOG.info('listening for RPC')

    def _hang_up(self) -> None:
        # stop() alone stays subscribed until wait().
        self._rpc.stop()
        self._rpc.wait()

    def stop(self, graceful: bool = True) -> None:
        """Stop listening, drain, end. SIGTERM and SIGHUP come here."""
        if self._rpc is not None:
            # Without a broker this could take for ever.
            thread = threading.Thread(target=self._hang_up, name='rpc-stop',
                                      daemon=True)
            thread.start()
            thread.join(_RPC_PATIENCE)
        if self._conductor is not None:
            self._conductor.stop()
        super().stop(graceful=True)
