# SPDX-License-Identifier: Apache-2.0
"""How does an error leave the API? Always in the one shape.

    {"errors": [{"status": 404, "title": "Not Found", "code": "not_found",
                 "detail": "...", "request_id": "req-...", "field": "..."}]}
"""

import logging
import re
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import orjson
import sqlalchemy as sa
from oslo_context import context as oslo_context
from oslo_db import exception as db_exc

from valence.api import versions
from valence.api.request import Reply
from valence.common import errors
from valence.common.context import RequestContext

LOG = logging.getLogger(__name__)

_REQUEST_ID = re.compile(
    r'req-[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}')

_RETRY_SOON = {'Retry-After': '5'}

# Of SQLite, MariaDB (1021, 1114) and PostgreSQL (53100).
_NO_SPACE = re.compile(
    r'database or disk is full|\b1021\b|\b1114\b|DiskFull|'
    r'No space left on device', re.IGNORECASE)
_AWAY = re.compile(
    r'disk I/O error|readonly database|unable to open database file|'
    r'database is locked|too many connections|TooManyConnections',
    re.IGNORECASE)


class RequestScope:
    """Gives each request its id and version, and each error its shape.

    Nothing behind it starts an answer before it is complete, so an exception
    always finds the answer still to be made.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any],
                 start_response: Callable[..., Any]) -> Iterable[bytes]:
        began = time.monotonic()
        sent = environ.get('HTTP_X_OPENSTACK_REQUEST_ID', '')
        context = RequestContext(
            request_id=oslo_context.generate_request_id(),
            global_request_id=sent if _REQUEST_ID.fullmatch(sent) else None)
        environ['valence.context'] = context
        environ['valence.version'] = versions.OLDEST

        def start(status: str, headers: list[tuple[str, str]],
                  exc_info: Any = None) -> Any:
            headers.append(('x-openstack-request-id', context.request_id))
            headers += versions.headers(environ['valence.version'])
            # Reads are many; what may change something is worth a line.
            method = environ['REQUEST_METHOD']
            level = (logging.DEBUG if method in ('GET', 'HEAD')
                     else logging.INFO)
            if LOG.isEnabledFor(level):
                LOG.log(level, '%s %s %s in %.1f ms',
                        method if method.isalpha() else '?', _shown(environ),
                        status[:3], (time.monotonic() - began) * 1000)
            return start_response(status, headers)

        try:
            environ['valence.version'] = versions.wanted(
                environ.get('HTTP_OPENSTACK_API_VERSION'))
            return self._application(environ, start)
        except Exception as error:
            problem = understand(error)
            if problem is None:
                # Of the chain only the code's own lines are logged; they
                # have no values in them.
                LOG.exception('unexpected error at %s %s',
                              environ['REQUEST_METHOD'], _shown(environ))
                problem = errors.ValenceError(
                    'an unexpected error happened; the log has it under '
                    'this request id')
            elif problem.status >= 500:
                LOG.error('refused %s %s: %s', environ['REQUEST_METHOD'],
                          _shown(environ), _words(error))
            return _reply(problem, context.request_id)(environ, start)


def understand(error: Exception) -> errors.ValenceError | None:
    """What ``error`` means to a user; None where nobody knows."""
    if isinstance(error, errors.ValenceError):
        return error
    if isinstance(error, db_exc.DBNonExistentTable):
        return errors.Unavailable(
            'the database has not been set up; an operator has to run '
            '"valence-manage db upgrade"', headers=_RETRY_SOON)
    if isinstance(error, (db_exc.DBConnectionError, db_exc.DBDeadlock,
                          sa.exc.TimeoutError)):
        return _database_away()
    if isinstance(error, (db_exc.DBError, sa.exc.DBAPIError)):
        words = _words(error)
        if _NO_SPACE.search(words):
            return errors.InsufficientStorage(
                'the database has no space left; nothing was accepted')
        if _AWAY.search(words):
            return _database_away()
    return None


def _words(error: Exception) -> str:
    """The database driver's own words, without statement and values."""
    text = str(getattr(error, 'inner_exception', None) or error)
    return ' '.join(text.partition('[SQL')[0].split())


def _database_away() -> errors.Unavailable:
    return errors.Unavailable(
        'the database cannot be reached; ask again, with the same '
        'Idempotency-Key if the request has one',
        headers=_RETRY_SOON)


def _reply(problem: errors.ValenceError, request_id: str) -> Reply:
    entry = {
        'status': problem.status,
        'title': problem.title,
        'detail': str(problem),
        'code': problem.code,
        'request_id': request_id,
    }
    if problem.field is not None:
        entry['field'] = problem.field
    return Reply(f'{problem.status} {problem.title}',
                 orjson.dumps({'errors': [entry]}),
                 problem.headers.items())


def _shown(environ: dict[str, Any]) -> str:
    # Quoted, so that a path cannot forge a line of the log.
    path = environ.get('PATH_INFO', '')
    return quote(path.encode('latin-1', 'replace')[:512])
