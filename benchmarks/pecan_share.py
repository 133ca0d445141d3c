# SPDX-License-Identifier: Apache-2.0
"""How much of a request is spent in Pecan and in what is put around it?

The same answer from the same place: one small resource, no authentication,
no database. The bare WSGI function is the floor; what is above it is the
framework's share.
"""

import inspect
from typing import Any

import orjson
import pecan
import pecan.core
import pecan.rest
import pecan.routing
import pecan.util

from benchmarks import common, data
from valence.api import routes, routing, versions
from valence.api.dispatch import Application
from valence.api.request import Answer, Request, Services
from valence.api.schemas import common as schemas
from valence.api.settings import Settings
from valence.common.context import RequestContext

_UUID = '6c5f1a0e-3f0b-4f0e-8a44-0f7c4f6b2f11'
_PATH = f'/v1/things/{_UUID}'


def _thing(uuid: str) -> dict[str, Any]:
    return {'uuid': uuid, 'name': 'a thing', 'state': 'active',
            'cores': 64, 'memory_mib': 262144}


def bare(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = orjson.dumps(_thing(environ['PATH_INFO'].rpartition('/')[2]))
    start_response('200 OK', [('Content-Type', 'application/json'),
                              ('Content-Length', str(len(body)))])
    return [body]


class _Things(pecan.rest.RestController):
    @pecan.expose('json')
    def get_one(self, uuid: str) -> dict[str, Any]:
        return _thing(uuid)


class _V1:
    things = _Things()


class _Root:
    v1 = _V1()


def stock() -> Any:
    """Pecan as its documentation has it."""
    return pecan.make_app(_Root(), debug=False)


def valence() -> Any:
    """Valence's dispatch, with one more route in the real table."""
    def show(request: Request, thing: str) -> Answer:
        return Answer(_thing(thing))

    none: Any = None
    table = (*routes.ROUTES, routing.Route(
        'GET', '/v1/things/{thing}', show, None, schemas.NO_QUERY, None,
        None, 200))
    return Application(routing.Router(table), Services(
        settings=Settings(), database=none, ring=none, vault=none,
        policy=none))


class _remembering:  # noqa: N801 - reads as a function
    """Stock Pecan with a getargspec that remembers, as others patch it."""

    _modules = (pecan.util, pecan.rest, pecan.core, pecan.routing)

    def __init__(self) -> None:
        self._original = original = pecan.util.getargspec
        seen: dict[Any, Any] = {}

        def getargspec(method: Any) -> Any:
            key = inspect.unwrap(getattr(method, '__func__', method))
            if key not in seen:
                seen[key] = original(method)
            return seen[key]

        self._getargspec = getargspec

    def __enter__(self) -> None:
        self._set(self._getargspec)

    def __exit__(self, *_: object) -> None:
        self._set(self._original)

    def _set(self, function: Any) -> None:
        for module in self._modules:
            if hasattr(module, 'getargspec'):
                module.getargspec = function


def run(options: common.Options, report: common.Report) -> None:
    known: dict[str, Any] = {
        'valence.version': versions.NEWEST,
        'valence.context': RequestContext(
            request_id='req-1', user_id='admin', project_id='default',
            roles=['admin'])}
    functions = {
        'bare WSGI': data.get(bare, _PATH),
        'Valence': data.get(valence(), _PATH, more=known),
        'stock Pecan': data.get(stock(), _PATH),
    }
    remembering, patch = data.get(stock(), _PATH), _remembering()

    def patched() -> bytes:
        with patch:
            return remembering()

    functions['stock Pecan, getargspec remembered'] = patched
    # The same answer from all of them.
    bodies = {name: orjson.loads(call()) for name, call in functions.items()}
    assert len({repr(body) for body in bodies.values()}) == 1, bodies
    rounds, calls = (5, 50) if options.quick else (200, 100)
    timings = common.in_turns(functions, rounds, calls)
    floor = common.median(timings['bare WSGI'])
    report.table(
        ('request', 'us', 'above bare WSGI, us'),
        [(name, f'{common.median(values) * 1e6:.1f}',
          f'{(common.median(values) - floor) * 1e6:.1f}')
         for name, values in timings.items()])
    shares = [
        (ours - least) / (theirs - least) for ours, theirs, least in zip(
            timings['Valence'], timings['stock Pecan'],
            timings['bare WSGI'], strict=True)]
    report.aim("share of Valence's dispatch to stock Pecan's",
               common.median(shares), 0.25)


if __name__ == '__main__':
    common.main(run)
