# SPDX-License-Identifier: Apache-2.0
"""How does a request get a thread? Only once all of it has arrived.

Of the server's interfaces, WSGI gives a request its thread when the headers
are there, and whoever sends the body a byte at a time keeps it: eight such
clients would end the service. So bodies are received in the event loop (the
server's RSGI interface), within limits of time and memory, and the WSGI
application is called with what came. Against the WSGI interface that costs
40 to 60 us of processor time for a request under 16 clients, and twice to
four times that for a single client, whose thread is always asleep (measured).
"""

import asyncio
import collections
import io
import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

LOG = logging.getLogger(__name__)

#: Bytes of all bodies under way in one process.
_MOST_HELD = 64 * 1024 * 1024

#: Seconds until what was answered is tidied up at the latest.
_TIDY = 0.5


class Bridge:
    """A WSGI application as one for RSGI.

    :param threads: how many requests the application works on at a time
    :param max_body: bytes of a body that are received; of a larger one only
        so many that the application can see that it is larger
    :param timeout: seconds within which a body has to arrive
    """

    def __init__(self, application: Callable[..., Iterable[bytes]],
                 threads: int, max_body: int, timeout: float) -> None:
        self._application = application
        self._max_body = max_body
        self._timeout = timeout
        self._held = 0
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._answered: collections.deque[asyncio.Future[None]] = (
            collections.deque())
        for number in range(threads):
            threading.Thread(target=self._work, daemon=True,
                             name=f'request-{number}').start()

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tidy()

    def _tidy(self) -> None:
        self._end_answered()
        self._loop.call_later(_TIDY, self._tidy)

    def _end_answered(self) -> None:
        while self._answered:
            done = self._answered.popleft()
            if not done.done():
                done.set_result(None)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        try:
            await self._serve(scope, protocol)
        except asyncio.CancelledError:
            # The process ends.
            return

    async def _serve(self, scope: Any, protocol: Any) -> None:
        self._end_answered()
        environ = _environ(scope)
        length = environ.get('CONTENT_LENGTH')
        held = 0
        if length or 'HTTP_TRANSFER_ENCODING' in environ:
            environ['wsgi.input'], held = await self._body(length, protocol)
        done = self._loop.create_future()
        self._queue.put((environ, protocol, done))
        try:
            # The thread answers; a protocol that is let go before answers
            # by itself. To wake the loop only for this end would cost a
            # third of the time, so the next request brings it, or the clock.
            await done
        finally:
            self._held -= held

    async def _body(self, length: str | None, protocol: Any
                    ) -> tuple[Any, int]:
        """What the application can read, and how much is held for it."""
        if length and (not length.isdigit()
                       or len(length) > 9 or int(length) > self._max_body):
            # The application refuses it by its length.
            return io.BytesIO(), 0
        parts: list[bytes] = []
        size = ends = 0
        try:
            async with asyncio.timeout(self._timeout):
                async for part in protocol:
                    if self._held + len(part) > _MOST_HELD:
                        raise MemoryError
                    size += len(part)
                    self._held += len(part)
                    parts.append(part)
                    ends += not part
                    if size > self._max_body:
                        break
            # A body ends with an empty part. The server has one more for
            # what it cannot read: a malformed chunk, a client that hung up
            # (and trailers, which are refused with them).
            if ends > 1:
                raise EOFError
        except BaseException as error:
            self._held -= size
            if not isinstance(error, Exception):
                raise
            if not isinstance(error, (TimeoutError, MemoryError)):
                error = EOFError(str(error))
            return _Missing(error), 0
        return io.BytesIO(b''.join(parts)), size

    def _work(self) -> None:
        while True:
            environ, protocol, done = self._queue.get()
            try:
                self._answer(environ, protocol)
            except Exception:
                LOG.exception('a request has no answer')
            finally:
                self._answered.append(done)

    def _answer(self, environ: dict[str, Any], protocol: Any) -> None:
        started: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]],
                  exc_info: Any = None) -> None:
            started[:] = int(status[:3]), headers

        body = b''.join(self._application(environ, start))
        status, headers = started
        headers = [(name.lower(), value) for name, value in headers]
        if body:
            protocol.response_bytes(status, headers, body)
        else:
            protocol.response_empty(status, headers)


class _Missing:
    """A body that did not come; reading it says why."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int = -1) -> bytes:
        raise self._error


def _environ(scope: Any) -> dict[str, Any]:
    """The WSGI environment (PEP 3333) of a request without its body."""
    host, _, port = scope.server.rpartition(':')
    environ: dict[str, Any] = {
        'REQUEST_METHOD': scope.method,
        'SCRIPT_NAME': '',
        'PATH_INFO': scope.path.encode('utf-8', 'surrogateescape').decode(
            'latin-1'),
        'QUERY_STRING': scope.query_string,
        'SERVER_NAME': host,
        'SERVER_PORT': port,
        'SERVER_PROTOCOL': f'HTTP/{scope.http_version}',
        'REMOTE_ADDR': scope.client.rpartition(':')[0],
        'wsgi.version': (1, 0),
        'wsgi.url_scheme': scope.scheme,
        'wsgi.input': io.BytesIO(),
        'wsgi.errors': sys.stderr,
        'wsgi.multithread': True,
        'wsgi.multiprocess': True,
        'wsgi.run_once': False,
    }
    headers = list(scope.headers.items())
    # The server names a header that is not ASCII, and keeps its value to
    # itself. Without it a condition such as If-Match would be lost; this
    # value no header understands.
    headers += [(name, '\xff') for name in
                set(scope.headers.keys()).difference(dict(headers))]
    for name, value in headers:
        # X_Roles would otherwise be taken for X-Roles, which a proxy in
        # front may have taken care of.
        if '_' in name:
            continue
        key = name.upper().replace('-', '_')
        if key not in ('CONTENT_TYPE', 'CONTENT_LENGTH'):
            key = f'HTTP_{key}'
        environ[key] = (f'{environ[key]},{value}' if key in environ
                        else value)
    return environ
