# SPDX-License-Identifier: Apache-2.0
"""What does a backend look like that does as the test says?

:class:`Server` listens on loopback and gives each request to ``handler``.
What that returns is sent as it is, so an answer may break HTTP; a callable
is given the socket instead, and may do anything with it.
"""

import contextlib
import datetime
import ipaddress
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import fixtures
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from valence.common.secret import Secret
from valence.drivers import base

USERNAME = 'operator'
PASSWORD = 'correct-horse-battery'

Reply = bytes | Callable[[socket.socket], None]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


def reply(status: int, body: Any = b'', headers: Mapping[str, str] = {},
          ) -> bytes:
    """An HTTP answer; ``body`` is bytes as they are, or made JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {'Content-Type': 'application/json',
             'Content-Length': str(len(data)), **headers}
    head = [f'HTTP/1.1 {status} Something',
            *(f'{name}: {value}' for name, value in lines.items()), '', '']
    return '\r\n'.join(head).encode('latin-1') + data


def reset(sock: socket.socket) -> None:
    """Hang up in the rudest way, with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack('ii', 1, 0))
    sock.close()


class Server(fixtures.Fixture):
    """A server for the time of a test. ``requests`` is what it was sent."""

    def __init__(self, handler: Callable[[Request], Reply],
                 tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.handler = handler
        self.requests: list[Request] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._tls = tls

    def _setUp(self) -> None:
        self._listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        scheme = 'https' if self._tls else 'http'
        self.url = f'{scheme}://127.0.0.1:{self.port}'
        self._open: set[socket.socket] = set()
        self.addCleanup(self.stop)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Hang up on everybody, and take nobody any more."""
        self.stopping.set()
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def endless(self, sock: socket.socket, piece: bytes,
                pause: float = 0.0) -> None:
        """Send ``piece`` again and again until somebody has enough."""
        with contextlib.suppress(OSError):
            while not self.stopping.wait(pause):
                sock.sendall(piece)

    def hang(self, sock: socket.socket) -> None:
        """Say nothing until the test is over."""
        self.stopping.wait(60)

    def paths(self, method: str = 'GET') -> list[str]:
        return [one.path for one in self.requests if one.method == method]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,),
                             daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        plain = sock
        try:
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._open.add(sock)
            with sock, sock.makefile('rb') as lines:
                while request := self._read(lines):
                    self.requests.append(request)
                    answer = self.handler(request)
                    if callable(answer):
                        answer(sock)
                        return
                    sock.sendall(answer)
        except (OSError, ValueError):
            pass
        finally:
            self._open.discard(plain)
            self._open.discard(sock)
            sock.close()

    @staticmethod
    def _read(lines: Any) -> Request | None:
        first = lines.readline().decode('latin-1').split()
        if len(first) != 3:
            return None
        headers = {}
        while line := lines.readline().decode('latin-1').strip():
            name, _, value = line.partition(':')
            headers[name.lower()] = value.strip()
        body = lines.read(int(headers.get('content-length', 0)))
        return Request(first[0], first[1], headers, body)


class Tree:
    """A handler that serves resources out of a dict, path to body.

    ``replies`` is looked at first: (method, path) to an answer, a list of
    answers used up one by one (the last stays), or a callable.
    """

    def __init__(self, resources: Mapping[str, Any],
                 replies: Mapping[tuple[str, str], Any] = {}) -> None:
        self.resources = dict(resources)
        self.replies = dict(replies)

    def __call__(self, request: Request) -> Reply:
        path = request.path.partition('?')[0]
        for key in ((request.method, request.path), (request.method, path)):
            if key in self.replies:
                found = self.replies[key]
                if isinstance(found, list):
                    found = found.pop(0) if len(found) > 1 else found[0]
                if callable(found) and not isinstance(found, bytes):
                    return found(request)
                return found
        body = self.resources.get(path)
        if body is None:
            body = self.resources.get(path.rstrip('/'))
        if request.method != 'GET':
            return reply(405, error('not allowed'))
        return reply(404, error('no such thing')) if body is None else reply(
            200, body)


def error(text: str, name: str = 'Base.1.0.GeneralError') -> dict[str, Any]:
    """A Redfish error body."""
    return {'error': {'code': name, 'message': text,
                      '@Message.ExtendedInfo': [
                          {'MessageId': name, 'Message': text}]}}


def endpoint(url: str, **changes: Any) -> base.Endpoint:
    """An endpoint on loopback, with short limits unless changed."""
    limits = {'allow_http': True, 'allowed_networks': ('127.0.0.0/8',),
              'call_timeout': 5.0, **changes.pop('limits', {})}
    settings: dict[str, Any] = {
        'username': USERNAME, 'password': Secret(PASSWORD), **changes}
    return base.Endpoint(url, limits=base.Limits(**limits), **settings)


class Authority:
    """A certificate authority that exists for one test."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name('Test authority')
        self.certificate = self._sign(
            self._name, self._key.public_key(),
            x509.BasicConstraints(ca=True, path_length=0), critical=True)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(
            serialization.Encoding.PEM).decode()

    def issue(self, address: str = '127.0.0.1') -> tuple[bytes, bytes]:
        """(certificate, key) in PEM for an IP address."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(
            _name('Test backend'), key.public_key(),
            x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address(address))]))
        return (certificate.public_bytes(serialization.Encoding.PEM),
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption()))

    def write(self, directory: Any, address: str = '127.0.0.1'
              ) -> tuple[str, str]:
        """The same as files: their paths."""
        paths = (f'{directory}/certificate.pem', f'{directory}/key.pem')
        for path, pem in zip(paths, self.issue(address), strict=True):
            with open(path, 'wb') as file:
                file.write(pem)
        return paths

    def _sign(self, name: x509.Name, key: Any, extension: Any,
              critical: bool = False) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        public = self._key.public_key()
        return (x509.CertificateBuilder()
                .subject_name(name).issuer_name(self._name)
                .public_key(key).serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(days=1))
                .not_valid_after(now + datetime.timedelta(days=1))
                .add_extension(extension, critical)
                .add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(
                        public), critical=False)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(
                    key), critical=False)
                .sign(self._key, hashes.SHA256()))


def server_tls(authority: Authority, directory: Any,
               address: str = '127.0.0.1') -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.write(directory, address))
    return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
