# SPDX-License-Identifier: Apache-2.0
"""How is an answer lost on purpose? By a proxy before the backend.

It forwards HTTP/1.1 without TLS, keeps a record of every request, and gives
each the :class:`Fate` that the test decides on.
"""

import enum
import http.client
import http.server
import json
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Headers that carry a credential.
_CREDENTIALS = ('authorization', 'x-auth-token', 'x-api-key', 'cookie')
_HOP = ('connection', 'content-length', 'transfer-encoding', 'keep-alive')
#: Seconds between two bytes of an answer that drips.
_DRIP = 0.2


class Fate(enum.Enum):
    """What becomes of a request."""

    PASSED = 'passed'            # forwarded and answered
    REFUSED = 'refused'          # hung up before it was forwarded
    ERROR = 'error'              # not forwarded, answered 500
    SILENT = 'silent'            # not forwarded, never answered
    ECHOED = 'echoed'            # not forwarded, 400 that repeats it
    LOST = 'lost'                # forwarded, hung up instead of an answer
    HUNG = 'hung'                # forwarded, never answered
    CUT = 'cut'                  # forwarded, half of the answer
    GARBLED = 'garbled'          # forwarded, answered what is no HTTP
    FAILED = 'failed'            # forwarded, answered 500
    DRIPPED = 'dripped'          # forwarded, answered byte by byte


#: Those after which the backend has seen the request, but not the driver
#: its answer.
APPLIED = (Fate.LOST, Fate.HUNG, Fate.CUT, Fate.GARBLED, Fate.FAILED)


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def credentials(self) -> list[str]:
        """What the request proves its sender with."""
        return [value.partition(' ')[2] or value
                for name, value in self.headers
                if name.lower() in _CREDENTIALS]

    def __str__(self) -> str:
        return f'{self.method} {self.target}'


class Proxy:
    """A proxy before ``url``; ``decide`` gives each request its fate."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != 'http' or not parts.hostname:
            raise ValueError(f'{parts.scheme}: is not plain HTTP')
        self.upstream = (parts.hostname, parts.port or 80)
        self.decide: Callable[[Request], Fate] = lambda request: Fate.PASSED
        self.stopped = threading.Event()
        self._requests: list[Request] = []
        self._lock = threading.Lock()
        self._server = _Server(('127.0.0.1', 0), _Handler)
        self._server.proxy = self
        self.url = urllib.parse.urlunsplit(parts._replace(
            netloc=f'127.0.0.1:{self._server.server_address[1]}'))
        threading.Thread(target=self._server.serve_forever, args=(0.05,),
                         daemon=True, name='conformance-proxy').start()

    def stop(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def requests(self) -> list[Request]:
        """All that came so far."""
        with self._lock:
            return list(self._requests)

    def arrived(self, request: Request) -> Fate:
        """Note a request; says what to do with it."""
        with self._lock:
            self._requests.append(request)
            return self.decide(request)


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False
    proxy: Proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server: _Server

    def log_message(self, *args: Any) -> None:
        pass

    def _relay(self) -> None:
        length = int(self.headers.get('Content-Length') or 0)
        request = Request(self.command, self.path, self.rfile.read(length),
                          tuple(self.headers.items()))
        fate = self.server.proxy.arrived(request)
        if fate is Fate.REFUSED:
            self._hang_up()
        elif fate is Fate.SILENT:
            self._wait()
        elif fate is Fate.ERROR:
            self._answer(500, b'{}')
        elif fate is Fate.ECHOED:
            self._answer(400, json.dumps({'error': {'message': ' '.join((
                'bad request:', request.body.decode('utf-8', 'replace'),
                *request.credentials))}}).encode())
        else:
            self._forward(request, fate)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _relay
    do_OPTIONS = _relay

    def _forward(self, request: Request, fate: Fate) -> None:
        upstream = http.client.HTTPConnection(
            *self.server.proxy.upstream, timeout=60)
        try:
            upstream.request(
                request.method, request.target, request.body or None,
                {name: value for name, value in request.headers
                 if name.lower() not in ('connection', 'content-length')})
            answer = upstream.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            self._hang_up()
            return
        finally:
            upstream.close()
        if fate is Fate.LOST:
            self._hang_up()
        elif fate is Fate.HUNG:
            self._wait()
        elif fate is Fate.FAILED:
            self._answer(500, b'{}')
        elif fate is Fate.GARBLED:
            self._write(b'\x16\x03 this is no HTTP\r\n\r\n')
            self._hang_up()
        elif fate is Fate.CUT:
            self._write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n'
                        b'Content-Type: application/json\r\n\r\n{"')
            self._hang_up()
        else:
            self._answer(answer.status, data, answer.getheaders(),
                         fate is Fate.DRIPPED)

    def _answer(self, status: int, data: bytes,
                headers: list[tuple[str, str]] | None = None,
                drip: bool = False) -> None:
        lines = [f'HTTP/1.1 {status} X']
        if headers is None:
            lines.append('Content-Type: application/json')
        lines += [f'{name}: {value}' for name, value in headers or ()
                  if name.lower() not in _HOP]
        if status not in (204, 304):
            lines.append(f'Content-Length: {len(data)}')
        raw = '\r\n'.join([*lines, '', '']).encode('latin-1')
        if self.command != 'HEAD':
            raw += data
        if not drip:
            self._write(raw)
            return
        for number in range(len(raw)):
            if self.server.proxy.stopped.is_set():
                break
            self._write(raw[number:number + 1])
            time.sleep(_DRIP)

    def _write(self, data: bytes) -> None:
        try:
            self.wfile.write(data)
        except OSError:
            self.close_connection = True

    def _wait(self) -> None:
        self.server.proxy.stopped.wait(60)
        self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
