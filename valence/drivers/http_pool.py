# SPDX-License-Identifier: Apache-2.0
"""Which connection carries the next request, and how long may it take?

Each socket asks :func:`valence.common.deadline.remaining` before every
single read and write and sets its timeout to that. So one deadline holds for
the whole of an exchange, whatever the peer does: a peer that sends a byte
every second would hold an ordinary read timeout open for ever.

The TLS handshake is within it too: CPython bounds a handshake as a whole by
the socket's timeout.
"""

import contextlib
import logging
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from valence.common import addresses, deadline
from valence.drivers import base, http_address
from valence.drivers.http_links import Origin

#: An idle connection older than this (seconds) is not used again: servers
#: commonly close theirs after 5, and a request that meets that is lost.
MAX_IDLE = 4.0

_FOREVER = 3600.0


def _is_harmless(record: logging.LogRecord) -> bool:
    """What urllib3 says of headers that it cannot parse has them in it."""
    return 'header' not in str(record.msg)


# A backend may send back there what it was sent.
logging.getLogger('urllib3.connection').addFilter(_is_harmless)


class TlsFailure(base.Unreachable):
    """The TLS handshake failed; the certificate is the usual reason."""

    code = 'backend_tls_failed'
    retryable = False


class OutOfTime(TimeoutError):
    """The deadline of the exchange has passed."""


class _Deadlined:
    """Mixed into socket classes: the deadline holds for every operation."""

    def _arm(self) -> None:
        left = deadline.remaining(_FOREVER)
        if left <= 0:
            raise OutOfTime('the deadline has passed')
        self.settimeout(left)  # type: ignore[attr-defined]

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self._arm()
        count: int = super().recv_into(  # type: ignore[misc]
            *args, **kwargs)
        return count

    def sendall(self, data: Any, flags: int = 0) -> None:
        view = memoryview(data).cast('B')
        while view:
            self._arm()
            sent = super().send(view, flags)  # type: ignore[misc]
            view = view[sent:]


class _PlainSocket(_Deadlined, socket.socket):
    pass


class _TlsSocket(_Deadlined, ssl.SSLSocket):
    pass


#: The contexts in use, by what they trust: one takes from 60 kB to 700 kB.
_contexts: weakref.WeakValueDictionary[tuple[str | None, bool],
                                       ssl.SSLContext]
_contexts = weakref.WeakValueDictionary()
_contexts_lock = threading.Lock()


def tls_context(endpoint: base.Endpoint) -> ssl.SSLContext:
    """TLS 1.2 or later, trusting the endpoint's certificates only.

    They are authorities, or the backend's own.

    Shared by all endpoints that trust the same, for as long as there is one.

    :raises Misconfigured: if the endpoint's certificates cannot be read.
    """
    key = (endpoint.ca_certificates, endpoint.verify_tls)
    with _contexts_lock:
        context = _contexts.get(key)
        if context is None:
            context = _contexts[key] = _new_context(endpoint)
        return context


def _new_context(endpoint: base.Endpoint) -> ssl.SSLContext:
    """Made by hand: ``create_default_context`` would obey SSLKEYLOGFILE."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _TlsSocket
    if not endpoint.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif endpoint.ca_certificates:
        try:
            context.load_verify_locations(cadata=endpoint.ca_certificates)
        except (ssl.SSLError, ValueError):
            raise base.Misconfigured(
                'the CA certificates of the pod manager cannot be read; '
                'give them as PEM text') from None
        # So the backend's own certificate can be given, and is a pin.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    else:
        context.load_default_certs()
    return context


def dial(host: str, port: int, policy: addresses.AddressPolicy,
         connect_timeout: float) -> socket.socket:
    """A TCP connection to a permitted address of ``host``.

    :raises Unreachable: when no address answers in time.
    """
    addresses = http_address.resolve(
        host, port, policy, deadline.remaining(connect_timeout))
    failure = 'no address answered'
    for family, address in addresses:
        sock = _PlainSocket(family, socket.SOCK_STREAM)
        try:
            left = deadline.remaining(connect_timeout)
            if left <= 0:
                raise OutOfTime('no time left')
            sock.settimeout(left)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError as error:
            sock.close()
            failure = error.strerror or str(error) or 'timed out'
    raise base.Unreachable(
        f'cannot connect to {host} port {port}: {failure}; see that the pod '
        'manager runs and that the URL is right')


class Pool:
    """At most ``Limits.connections`` connections to one origin.

    Safe for use by many threads; the last used is used first.
    """

    def __init__(self, origin: Origin, endpoint: base.Endpoint) -> None:
        limits = endpoint.limits
        try:
            policy = addresses.AddressPolicy(
                limits.allowed_networks, limits.denied_networks)
        except ValueError as error:
            raise base.Misconfigured(
                f'the networks in the configuration are wrong: {error}'
            ) from None
        tls = tls_context(endpoint) if origin.scheme == 'https' else None
        self._origin = origin
        self._tls = tls
        self._verify = endpoint.verify_tls

        def new_socket(_connection: Any) -> socket.socket:
            return dial(origin.host, origin.port, policy,
                        limits.connect_timeout)

        parent = HTTPSConnection if tls else HTTPConnection
        self._class: Any = type('Connection', (parent,),
                                {'_new_conn': new_socket})
        self._free = threading.BoundedSemaphore(limits.connections)
        self._idle: list[tuple[float, Any]] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextlib.contextmanager
    def connection(self, fresh: bool) -> Iterator[HTTPConnection]:
        """A connected connection, for the body of the ``with``.

        It is kept for another if the body leaves normally and its answer
        was read to the end. ``fresh``: connect anew, so that no timeout of
        an idle connection on the other side can hit this request.

        :raises Unreachable: nothing was sent.
        """
        if not self._free.acquire(timeout=max(
                deadline.remaining(_FOREVER), 0.0)):
            raise base.Unreachable('every connection to the pod manager is '
                                   'in use; try again later')
        try:
            connection = self._take(fresh)
            keep = False
            try:
                yield connection
                keep = True
            finally:
                if keep and connection.is_connected:
                    self._give_back(connection)
                else:
                    connection.close()
        finally:
            self._free.release()

    def rest(self, keep: int = 0) -> None:
        """Close the idle connections but the ``keep`` last used ones.

        For the end of what took many: before the next of these they are too
        old to be used again, and each costs memory, here and over there.
        """
        with self._lock:
            count = max(len(self._idle) - keep, 0)
            closing, self._idle = self._idle[:count], self._idle[count:]
        for _, connection in closing:
            connection.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self.rest()

    def _take(self, fresh: bool) -> Any:
        while True:
            with self._lock:
                if not self._idle:
                    break
                # The oldest goes when its slot is wanted for a fresh one.
                since, connection = self._idle.pop(0 if fresh else -1)
            if (not fresh and connection.is_connected
                    and time.monotonic() - since < MAX_IDLE):
                return connection
            connection.close()
            if fresh:
                break
        return self._connect()

    def _connect(self) -> Any:
        options = {}
        if self._tls is not None:
            options = {'ssl_context': self._tls,
                       'assert_hostname': None if self._verify else False}
        connection = self._class(self._origin.host, self._origin.port,
                                 **options)
        try:
            connection.connect()
        except base.DriverError:
            connection.close()
            raise
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            connection.close()
            raise base.Unreachable(
                f'{self._origin.host} hung up during the TLS handshake'
            ) from error
        except (ssl.SSLError, urllib3.exceptions.SSLError) as error:
            connection.close()
            raise self._tls_failure(error) from error
        except (OSError, urllib3.exceptions.HTTPError) as error:
            connection.close()
            raise base.Unreachable(
                f'cannot connect to {self._origin.host} port '
                f'{self._origin.port}: the connection broke or took too '
                'long') from error
        return connection

    def _tls_failure(self, error: Exception) -> TlsFailure:
        host = self._origin.host
        reason = getattr(error, 'verify_message', '') or getattr(
            error, 'reason', '') or 'handshake failed'
        return TlsFailure(
            f'no trusted TLS connection to {host}: {reason}; give the '
            'certificate of its authority as ca_certificates, and a URL '
            'with a name that is in its certificate')

    def _give_back(self, connection: Any) -> None:
        now = time.monotonic()
        closing = []
        with self._lock:
            while self._idle and now - self._idle[0][0] >= MAX_IDLE:
                closing.append(self._idle.pop(0)[1])
            if self._closed:
                closing.append(connection)
            else:
                self._idle.append((now, connection))
        for one in closing:
            one.close()
