# SPDX-License-Identifier: Apache-2.0
"""Which route does a request take?

The table in :mod:`valence.api.routes` is turned into a tree of path segments
once; matching walks it with one dictionary look-up per segment.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from valence.api import validation, versions
from valence.api.request import Answer
from valence.api.schemas import headers
from valence.api.versions import Version
from valence.common import errors

# No path has a NUL in it, so no segment is one of these.
_VARIABLE = '\0variable'
_METHODS = '\0methods'

_KNOWN = tuple(version for version, _ in versions.HISTORY)


class Route(NamedTuple):
    """One row of the table.

    ``policy`` None is for everybody, authenticated or not. ``query``,
    ``body`` and ``answer`` are JSON Schemas; without ``body`` the request
    has none, without ``answer`` the answer. ``status`` is that of a success.
    The versions of the API that have the row are ``since`` to ``until``.
    """

    method: str
    path: str
    handler: Callable[..., Answer]
    policy: str | None
    query: Mapping[str, Any]
    body: Mapping[str, Any] | None
    answer: Mapping[str, Any] | None
    status: int
    since: Version = versions.OLDEST
    until: Version = versions.NEWEST


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route, ready for use."""

    route: Route
    parse_query: Callable[
        [str], tuple[dict[str, Any], list[tuple[str, str]]]]
    check_body: Callable[[Any], None] | None
    check_answer: Callable[[Any], str | None]
    #: Whether its answers have an ETag.
    tagged: bool

    @classmethod
    def of(cls, route: Route) -> 'Endpoint':
        return cls(
            route, validation.compile_query(route.query),
            None if route.body is None
            else validation.compile_body(route.body),
            validation.compile_answer(route.answer),
            'ETag' in headers.answered(route))


class Router:
    """Finds endpoints by method, path and version of the API."""

    def __init__(self, routes: Iterable[Route],
                 known: Iterable[Version] = _KNOWN) -> None:
        self._trees: dict[Version, dict[str, Any]] = {
            version: {} for version in known}
        public = set()
        for route in routes:
            endpoint = Endpoint.of(route)
            for version, tree in self._trees.items():
                if route.since <= version <= route.until:
                    _plant(tree, endpoint)
            if route.policy is None:
                public.add(route.path)
        #: Paths that need no authentication.
        self.public = frozenset(public)

    def match(self, path: str, version: Version
              ) -> tuple[Mapping[str, Endpoint], list[str]]:
        """The endpoints at ``path`` by method, and the path's variables.

        :param path: PATH_INFO, in WSGI's encoding.
        :raises NotFound:
        """
        node = self._trees[version]
        variables: list[str] = []
        try:
            for segment in _segments(_decode(path)):
                if segment in node:
                    node = node[segment]
                else:
                    node = node[_VARIABLE]
                    variables.append(segment)
            return node[_METHODS], variables
        except KeyError:
            raise errors.NotFound('there is nothing at this path') from None


def _plant(tree: dict[str, Any], endpoint: Endpoint) -> None:
    route, node = endpoint.route, tree
    for segment in _segments(route.path):
        if segment.startswith('{'):
            segment = _VARIABLE
        node = node.setdefault(segment, {})
    methods = node.setdefault(_METHODS, {})
    if route.method in methods:
        raise ValueError(f'{route.method} {route.path} twice')
    methods[route.method] = endpoint


def select(endpoints: Mapping[str, Endpoint], method: str
           ) -> Endpoint | None:
    """The endpoint for ``method``; None for OPTIONS.

    :raises MethodNotAllowed: with the header Allow
    """
    endpoint = endpoints.get('GET' if method == 'HEAD' else method)
    if endpoint is None and method != 'OPTIONS':
        raise errors.MethodNotAllowed(
            'the method is not allowed at this path',
            headers={'Allow': allowed(endpoints)})
    return endpoint


def allowed(endpoints: Mapping[str, Endpoint]) -> str:
    """The value of the header Allow."""
    methods = {*endpoints, 'OPTIONS'}
    if 'GET' in methods:
        methods.add('HEAD')
    return ', '.join(sorted(methods))


def _decode(path: str) -> str:
    if path.isascii():
        text = path
    else:
        try:
            text = path.encode('latin-1').decode()
        except UnicodeError:
            raise errors.NotFound('there is nothing at this path') from None
    if '\0' in text:
        raise errors.NotFound('there is nothing at this path')
    return text


def _segments(path: str) -> list[str]:
    segments = path.removeprefix('/').split('/')
    # One slash at the end makes no difference.
    if len(segments) > 1 and segments[-1] == '':
        del segments[-1]
        if segments == ['']:
            raise errors.NotFound('there is nothing at this path')
    if len(segments) > 1 and '' in segments:
        raise errors.NotFound('there is nothing at this path')
    return segments
