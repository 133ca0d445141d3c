# SPDX-License-Identifier: Apache-2.0
"""Are this user's name and password right?

bcrypt is slow on purpose (tens of milliseconds), so what was found right is
remembered for a while, under a MAC with a key that never leaves the process.
An unknown user costs as much time as a wrong password.
"""

import collections
import contextlib
import dataclasses
import hashlib
import hmac
import ipaddress
import logging
import re
import secrets
import threading
import time
from collections.abc import Iterator

import bcrypt

from valence.api.reloaded import Reloaded
from valence.common import errors

LOG = logging.getLogger(__name__)

_HASH = re.compile(r'\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}')
# What bcrypt looks at; the rest of a longer password would not matter.
_MAX_PASSWORD = 72
_REMEMBER = 300.0
_MAX_REMEMBERED = 1024


@dataclasses.dataclass(frozen=True, slots=True)
class _Users:
    """The hashes by user, one that no password has, and who was right."""

    hashes: dict[str, bytes]
    dummy: bytes
    # Until when, by MAC; gone with the file that it was right by.
    known: dict[bytes, float] = dataclasses.field(default_factory=dict)


class Htpasswd:
    """The users of one htpasswd file.

    :param path: a file of ``user:hash`` lines
    :param parallel: how many bcrypt computations may run at a time; twice
        as many may wait, so that guesses cannot occupy all threads
    :param patience: seconds to wait for one's turn
    :raises ValueError: the file cannot be read or used
    """

    def __init__(self, path: str, parallel: int = 2,
                 patience: float = 5.0) -> None:
        self._users = Reloaded('htpasswd_file', path, _load)
        self._patience = patience
        self._places = _Places(3 * parallel)
        self._turns = threading.BoundedSemaphore(parallel)
        self._key = secrets.token_bytes(32)

    def check(self, user: str, password: bytes, peer: str = '') -> bool:
        """Whether it is the user's password.

        :param peer: the address that the request comes from
        :raises TooManyRequests: too many guesses are being checked, or too
            many of the peer's
        """
        users = self._users.get()
        mac = hmac.digest(
            self._key, user.encode() + b'\0' + password, hashlib.sha256)
        expires = users.known.get(mac)
        if expires is not None and time.monotonic() < expires:
            return True
        if len(password) > _MAX_PASSWORD or b'\0' in password:
            return False
        expected = users.hashes.get(user)
        with self._places.one(peer):
            right = self._compare(password, expected or users.dummy)
        if expected is None or not right:
            return False
        if len(users.known) >= _MAX_REMEMBERED:
            users.known.clear()
        users.known[mac] = time.monotonic() + _REMEMBER
        return True

    def _compare(self, password: bytes, digest: bytes) -> bool:
        if not self._turns.acquire(timeout=self._patience):
            raise _too_many()
        try:
            return bcrypt.checkpw(password, digest)
        finally:
            self._turns.release()


class _Places:
    """For so many at a time, of which no peer can take all.

    A peer that has as many as are free gets no more: of six the first has
    three at most, the next two, and one is left for another.
    """

    def __init__(self, places: int) -> None:
        self._lock = threading.Lock()
        self._free = places
        # Only of peers that have any, so it is never larger than that.
        self._held: collections.Counter[str] = collections.Counter()

    @contextlib.contextmanager
    def one(self, peer: str) -> Iterator[None]:
        """:raises TooManyRequests: there is none for the peer"""
        peer = _network(peer)
        with self._lock:
            if self._held[peer] >= self._free:
                raise _too_many()
            self._held[peer] += 1
            self._free -= 1
        try:
            yield
        finally:
            with self._lock:
                self._held[peer] -= 1
                self._free += 1
                if not self._held[peer]:
                    del self._held[peer]


def _network(peer: str) -> str:
    """One name for all addresses that a single host has: IPv6 gives 2**64.

    :param peer: as a proxy may tell it: of several the last is its own word
    """
    peer = peer.rpartition(',')[2].strip(' "').removeprefix('[')
    try:
        address = ipaddress.IPv6Address(re.split('[]%]', peer)[0])
    except ValueError:
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f'{int(address) >> 64:x}::/64'


def _too_many() -> errors.TooManyRequests:
    return errors.TooManyRequests('too many log-ins at a time',
                                  headers={'Retry-After': '1'})


def _load(text: str) -> _Users:
    hashes, costs = {}, set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith('#'):
            continue
        user, _, digest = line.strip().partition(':')
        match = _HASH.fullmatch(digest)
        if not user or not match:
            raise ValueError(
                f'line {number} is not "user:hash" with a bcrypt hash '
                '(write it with "htpasswd -B")')
        costs.add(match[1])
        hashes[user] = digest.encode()
    if not hashes:
        raise ValueError('there is no user in it')
    if len(costs) > 1:
        LOG.warning('the hashes of htpasswd_file differ in cost, so by the '
                    'time of an answer some users can be told from unknown '
                    'ones; write all with the same "htpasswd -B -C"')
    return _Users(hashes, f'$2b${max(costs)}${"." * 53}'.encode())
