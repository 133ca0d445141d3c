# SPDX-License-Identifier: Apache-2.0
"""What does a handler get, and what does it give back?"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from valence.api import links
from valence.api.settings import Settings
from valence.common.context import RequestContext
from valence.common.policy import Policy
from valence.db.engine import Database

_JSON = ('Content-Type', 'application/json')

_REASONS = {
    200: '200 OK', 201: '201 Created', 202: '202 Accepted',
    204: '204 No Content', 304: '304 Not Modified',
}


class Vault(Protocol):
    """Seals credentials for the database."""

    def encrypt(self, secrets: Mapping[str, str], /) -> tuple[str, str]:
        """The sealed text, and the fingerprint of the key."""

    def sign(self, text: str, /) -> str:
        """64 hexadecimal digits that only a holder of the key knows."""

    def has_signed(self, text: str, signature: str, /) -> bool:
        """Whether ``signature`` of ``text`` is by one of the keys."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the application works with; made once per process.

    ``ring`` tells the conductors that an operation is due. It never raises,
    for the conductors look into the database by themselves as well.
    """

    settings: Settings
    database: Database
    ring: Callable[[str], None]
    vault: Vault
    policy: Policy


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is for orjson, None is no body; no status is the route's."""

    body: Any = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Request:
    """One request, after routing, authorisation and validation.

    ``query`` holds the parameters in the types of the route's schema,
    ``query_pairs`` as they came; ``body`` is the parsed JSON, or None.
    """

    # Pecan sets ``pecan`` and ``context``; the latter is replaced.
    __slots__ = ('body', 'context', 'environ', 'method', 'pecan', 'query',
                 'query_pairs', 'services', 'url')

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.method: str = environ['REQUEST_METHOD']
        self.pecan: Any = None
        self.body: Any = None
        self.query: Mapping[str, Any] = {}
        self.query_pairs: list[tuple[str, str]] = []

    services: Services
    context: RequestContext
    #: What absolute links begin with, such as ``http://host:8181``.
    url: str

    def begin(self, services: Services) -> None:
        self.services = services
        self.context = self.environ['valence.context']
        self.url = links.base_url(self.environ,
                                  services.settings.public_endpoint)

    @property
    def database(self) -> Database:
        return self.services.database

    @property
    def settings(self) -> Settings:
        return self.services.settings

    def allowed(self, rule: str) -> bool:
        return self.services.policy.allows(rule, self.context)


class Reply:
    """An answer on its way out."""

    __slots__ = ('body', 'headers', 'status')

    def __init__(self, status: str = '200 OK', body: bytes | None = None,
                 headers: Iterable[tuple[str, str]] = ()) -> None:
        self.status = status
        self.body = body
        self.headers = list(headers)

    def __call__(self, environ: dict[str, Any],
                 start_response: Callable[..., Any]) -> list[bytes]:
        body = self.body
        if body is None:
            if not self.status.startswith(('204', '304')):
                self.headers.append(('Content-Length', '0'))
            start_response(self.status, self.headers)
            return []
        self.headers += [_JSON, ('Content-Length', str(len(body)))]
        start_response(self.status, self.headers)
        return [] if environ['REQUEST_METHOD'] == 'HEAD' else [body]


def dump(body: Any) -> bytes:
    """Serialise ``body``. Times are UTC and end with ``Z``."""
    return orjson.dumps(
        body, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)


def reply(answer: Answer, default_status: int) -> Reply:
    """Serialise ``answer``."""
    body = None if answer.body is None else dump(answer.body)
    return Reply(_REASONS[answer.status or default_status], body,
                 answer.headers)
