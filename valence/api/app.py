# SPDX-License-Identifier: Apache-2.0
"""What does a request pass on its way to a handler?"""

from collections.abc import Callable, Iterable
from typing import Any

from oslo_middleware import cors, http_proxy_to_wsgi

from valence.api import auth, faults, guard, proxies, routes, routing, trail
from valence.api.dispatch import Application
from valence.api.request import Services, Vault
from valence.api.settings import Settings
from valence.common.policy import Policy
from valence.db.engine import Database

WSGIApplication = Callable[..., Iterable[bytes]]
Layer = Callable[[Any], Any]


def make_app(settings: Settings, database: Database,
             ring: Callable[[str], None], *, vault: Vault, policy: Policy,
             health: Layer | None = None) -> WSGIApplication:
    """The API as a WSGI application.

    :param ring: tells the conductors that the operation with this uuid is
        due; must not raise
    :param health: what answers the health checks
    :raises ValueError: the settings cannot work, with a sentence why
    """
    router = routing.Router(routes.ROUTES)
    services = Services(settings=settings, database=database, ring=ring,
                        vault=vault, policy=policy)
    strategy = auth.strategy(settings)

    # From the outside inwards. What oslo.middleware has is taken from there,
    # but for the request id and the size limit: its own would answer errors
    # in another shape, and cost each request 60 us (measured).
    pipeline: list[Layer | None] = [
        # The true scheme, host and client, before anybody reads them.
        _proxy_headers if settings.enable_proxy_headers else None,
        # Browsers want their headers on errors too, and ask with OPTIONS,
        # without credentials.
        (lambda app: cors.CORS(app, settings.cors))
        if settings.cors else None,
        # What was asked for and what was answered, errors as well.
        trail.Trail,
        # The request id, and the shape of all errors: whatever happens
        # further in happens inside.
        faults.RequestScope,
        # What is out of proportion is not even looked at.
        guard.HeadGuard,
        # A load balancer has no credentials.
        health,
        # Nobody unknown makes us read a megabyte or parse anything.
        lambda app: auth.Authenticate(app, strategy, router.public),
        # Only checked JSON goes on.
        lambda app: guard.BodyGuard(app, settings.max_body_bytes,
                                    settings.max_body_depth),
    ]
    app: Any = Application(router, services)
    for layer in reversed(pipeline):
        if layer is not None:
            app = layer(app)
    return app


def _proxy_headers(app: WSGIApplication) -> Any:
    return proxies.Normalise(http_proxy_to_wsgi.HTTPProxyToWSGI(
        app, {'enable_proxy_headers_parsing': True}))
