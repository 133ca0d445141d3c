# SPDX-License-Identifier: Apache-2.0
"""How is the API put together from the configuration of a process?"""

import ipaddress
from collections.abc import Callable
from typing import Any

from oslo_middleware import cors

from valence.api import app, auth, health
from valence.api.settings import Settings
from valence.common.addresses import AddressPolicy
from valence.common.policy import Policy, get_enforcer
from valence.common.vault import Vault
from valence.db.engine import Database

#: What a script of another origin may send, and see.
_CORS_REQUEST = [
    'Authorization', 'Content-Type', 'Idempotency-Key', 'If-Match',
    'If-None-Match', 'OpenStack-API-Version', 'X-Auth-Token',
    'X-OpenStack-Request-ID']
_CORS_ANSWER = [
    'ETag', 'Location', 'OpenStack-API-Version', 'Retry-After',
    'X-OpenStack-Request-ID']


def build(conf: Any, database: Database | None = None,
          ring: Callable[[str], None] | None = None) -> app.WSGIApplication:
    """The WSGI application of a process that has parsed ``conf``.

    To be called in the process that serves, after any fork.

    :param database: by default the one that ``conf`` names
    :param ring: by default a cast over oslo.messaging
    :raises ValueError: a setting cannot work, with a sentence why
    :raises valence.common.vault.VaultError: there is no key
    """
    database = database or Database.from_conf(conf)
    probes = {'database': health.database_probe(database)}
    if ring is None:
        # Not needed, and not imported, where both are in one process.
        from valence.conductor import rpcapi
        ring = rpcapi.Doorbell(conf).ring
        probes['broker'] = health.Probe(
            'broker', lambda: rpcapi.look_for_broker(conf), keep=5.0)
    return app.make_app(
        settings(conf), database, ring,
        vault=Vault.from_file(conf.secrets.key_file),
        policy=Policy(get_enforcer(conf)),
        health=lambda inner: health.Healthcheck(inner, conf, probes))


def check(conf: Any) -> None:
    """Be sure of the settings before any worker starts.

    :raises ValueError: with a sentence for the operator
    """
    auth.strategy(settings(conf))
    if (conf.api.auth_strategy == 'noauth'
            and not conf.api.allow_noauth_everywhere
            and not _is_loopback(str(conf.api.bind_host))):
        raise ValueError(
            f'auth_strategy noauth on {conf.api.bind_host} would make '
            'everybody who reaches it an administrator; set [api] bind_host '
            'to a loopback address, or allow_noauth_everywhere')


def settings(conf: Any) -> Settings:
    """What the API needs to know, from all groups of ``conf``."""
    cors.set_defaults(allow_headers=_CORS_REQUEST,
                      expose_headers=_CORS_ANSWER,
                      allow_methods=['GET', 'POST', 'PUT', 'PATCH',
                                     'DELETE'])
    conf.register_opts(cors.OPTS, 'cors')
    return Settings.from_conf(
        conf,
        cors=conf if conf.cors.allowed_origin else None,
        event_interval=conf.conductor.event_interval,
        conductor_timeout=conf.conductor.alive_timeout,
        address_policy=AddressPolicy(
            conf.pod_managers.allowed_networks,
            conf.pod_managers.denied_networks),
        allow_secret_ref=conf.secrets.backend == 'castellan',
        allow_http=conf.pod_managers.allow_http,
        allow_insecure_tls=conf.pod_managers.allow_insecure_tls,
        quotas=dict(conf.quota))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'
