# SPDX-License-Identifier: Apache-2.0
"""How fast does a server answer one GET, again and again?

Requests go over kept connections from one thread that does hardly anything
itself: sixteen threads of Python would measure the client.
"""

import dataclasses
import selectors
import socket
import time
from collections.abc import Mapping

_TIMEOUT = 30.0


@dataclasses.dataclass(frozen=True)
class Target:
    """``headers`` are lines that end with CR and LF."""

    port: int
    path: str
    headers: str = ''

    def request(self) -> bytes:
        return (f'GET {self.path} HTTP/1.1\r\n'
                f'Host: 127.0.0.1:{self.port}\r\n'
                f'Accept: application/json\r\n{self.headers}\r\n').encode()


@dataclasses.dataclass
class Load:
    """What was seen; times in seconds, ``size`` in bytes of one body."""

    times: list[float] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    size: int = 0

    @property
    def rate(self) -> float:
        return len(self.times) / self.seconds

    def percentile(self, percent: float) -> float:
        ordered = sorted(self.times)
        return ordered[min(int(len(ordered) * percent / 100),
                           len(ordered) - 1)]


class _Connection:
    """One request after the other; reconnects if the server closed it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._request = target.request()
        self.socket = self._connect()

    def _connect(self) -> socket.socket:
        return socket.create_connection(
            ('127.0.0.1', self._target.port), timeout=_TIMEOUT)

    def send(self) -> None:
        self._head: bytes | None = None
        self._data = bytearray()
        self._close = False
        self.began = time.perf_counter()
        self.socket.sendall(self._request)

    def reconnect(self) -> None:
        self.socket.close()
        self.socket = self._connect()

    @property
    def closing(self) -> bool:
        return self._close

    def read(self) -> int | None:
        """The size of the body once the whole answer is there."""
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise ConnectionError(f'{self._target} closed the connection')
        self._data += piece
        if self._head is None:
            end = self._data.find(b'\r\n\r\n')
            if end < 0:
                return None
            self._head = bytes(self._data[:end]).lower()
            if b' 200 ' not in self._head[:16]:
                raise RuntimeError(f'{self._target}: {self._head!r}')
            self._close = b'connection: close' in self._head
            length = self._head.partition(b'content-length:')[2]
            self._size = int(length.partition(b'\r')[0])
            self._end = end + 4 + self._size
        return self._size if len(self._data) >= self._end else None


def load(target: Target, connections: int, seconds: float,
         into: Load) -> None:
    """Keep ``connections`` requests under way for ``seconds``."""
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            one = _Connection(target)
            selector.register(one.socket, selectors.EVENT_READ, one)
            one.send()
        began = time.perf_counter()
        under_way = connections
        while under_way:
            ready = selector.select(_TIMEOUT)
            if not ready:
                raise TimeoutError(f'{target} does not answer')
            for key, _ in ready:
                one = key.data
                size = one.read()
                if size is None:
                    continue
                now = time.perf_counter()
                into.times.append(now - one.began)
                into.size = size
                if one.closing:
                    selector.unregister(one.socket)
                    one.reconnect()
                    selector.register(one.socket, selectors.EVENT_READ, one)
                if now - began < seconds:
                    one.send()
                else:
                    under_way -= 1
                    selector.unregister(one.socket)
                    one.socket.close()
        into.seconds += time.perf_counter() - began


def in_turns(targets: Mapping[str, Target], connections: int,
             seconds: float, rounds: int) -> dict[str, Load]:
    """All targets in turns, after a warm-up that does not count."""
    for target in targets.values():
        load(target, connections, seconds / 4, Load())
    loads = {name: Load() for name in targets}
    for _ in range(rounds):
        for name, target in targets.items():
            load(target, connections, seconds, loads[name])
    return loads
