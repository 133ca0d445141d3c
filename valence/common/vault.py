# SPDX-License-Identifier: Apache-2.0
"""How are credentials kept at rest? As Fernet tokens, by keys from a file.

The key file has one Fernet key per line; the first encrypts, all decrypt. A
vault that was made from a file reads it again when it changes, so keys can
be rotated under running services.
"""

import dataclasses
import hashlib
import hmac
import json
import logging
import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence

from cryptography import fernet

LOG = logging.getLogger(__name__)


class VaultError(Exception):
    """The keys cannot be had, or do not fit; the message says the cure."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Keys:
    """What is made of the lines of a key file."""

    fernet: fernet.MultiFernet
    signing: tuple[bytes, ...]
    fingerprints: tuple[str, ...]

    @classmethod
    def parse(cls, keys: Sequence[str]) -> '_Keys':
        if not keys:
            raise VaultError('there is no key in it')
        try:
            ring = fernet.MultiFernet([fernet.Fernet(key) for key in keys])
        except ValueError as error:
            raise VaultError('it has a line that is no Fernet key'
                             ) from error
        return cls(ring,
                   tuple(hashlib.sha256(
                       b'valence signatures ' + key.encode()).digest()
                       for key in keys),
                   tuple(map(fingerprint, keys)))


class Vault:
    """Encrypts and decrypts small mappings of strings.

    :param path: where ``keys`` were read, and are read again
    :raises VaultError: there is no valid key
    """

    def __init__(self, keys: Sequence[str], path: str | None = None,
                 seen: tuple[int, ...] = ()) -> None:
        self._current = _Keys.parse(keys)
        self._path = path
        self._seen = seen

    @classmethod
    def from_file(cls, path: str) -> 'Vault':
        try:
            # Before it is read: a change meanwhile is then seen later.
            seen = _signature(path)
            return cls(read_keys(path), path, seen)
        except OSError as error:
            raise VaultError(
                f'cannot read the key file {path} ({error}); set [secrets] '
                'key_file, or make one with "valence-manage secrets '
                'create-key"') from error
        except VaultError as error:
            raise VaultError(
                f'cannot use the key file {path}: {error}; put the keys '
                'back into [secrets] key_file, or move it away and make one '
                'with "valence-manage secrets create-key"') from error

    @property
    def fingerprint(self) -> str:
        """What is stored beside a new token, to know its key by."""
        return self._keys().fingerprints[0]

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Those of all keys in the file, in its order."""
        return self._keys().fingerprints

    def encrypt(self, secrets: Mapping[str, str]) -> tuple[str, str]:
        """:returns: a token, and the fingerprint of the key that made it"""
        keys = self._keys()
        token = keys.fernet.encrypt(json.dumps(dict(secrets)).encode())
        return token.decode(), keys.fingerprints[0]

    def decrypt(self, token: str) -> dict[str, str]:
        """:raises VaultError: no key in the file made this token"""
        try:
            text = self._keys().fernet.decrypt(token.encode())
        except fernet.InvalidToken as error:
            raise _unfit() from error
        secrets: dict[str, str] = json.loads(text)
        return secrets

    def encrypt_anew(self, token: str) -> tuple[str, str]:
        """What is in ``token`` as the first key encrypts it.

        :raises VaultError: no key in the file made this token
        """
        keys = self._keys()
        try:
            return (keys.fernet.rotate(token.encode()).decode(),
                    keys.fingerprints[0])
        except fernet.InvalidToken as error:
            raise _unfit() from error

    def sign(self, text: str) -> str:
        """64 hexadecimal digits that only a holder of the key knows."""
        return _sign(self._keys().signing[0], text)

    def has_signed(self, text: str, signature: str) -> bool:
        """Whether ``signature`` is by the first key, or was while it was."""
        return any(hmac.compare_digest(_sign(key, text).encode(),
                                       signature.encode())
                   for key in self._keys().signing)

    def _keys(self) -> _Keys:
        """The keys of the file as it is now.

        Credentials are needed so seldom that the file's state can be looked
        at each time. What cannot be read leaves the keys as they were.
        """
        if self._path is not None:
            try:
                seen = _signature(self._path)
                if seen != self._seen:
                    self._current = _Keys.parse(read_keys(self._path))
                    self._seen = seen
                    LOG.info('read %d key(s) from %s',
                             len(self._current.fingerprints), self._path)
            except (OSError, VaultError) as error:
                LOG.error('the keys stay as they were: %s (%s)', error,
                          self._path)
        return self._current


def fingerprint(key: str) -> str:
    """What a key is known by; says nothing about it."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def read_keys(path: str) -> list[str]:
    """The lines of a key file.

    :raises OSError:
    :raises VaultError: they are no text
    """
    try:
        return pathlib.Path(path).read_text(encoding='ascii').split()
    except UnicodeDecodeError as error:
        raise VaultError('it has a line that is no Fernet key') from error


def create_key_file(path: str) -> None:
    """Write a new key file that only its owner can read.

    :raises FileExistsError: rather than replace a key
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(path, flags, 0o600), 'w') as file:
        file.write(new_key() + '\n')


def new_key() -> str:
    return fernet.Fernet.generate_key().decode()


def write_keys(path: str, keys: Sequence[str]) -> None:
    """Replace the keys in a file, at once; its owner and mode stay."""
    before = os.stat(path)
    directory, name = os.path.split(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=f'.{name}.', dir=directory)
    try:
        with os.fdopen(handle, 'w') as file:
            os.fchmod(handle, before.st_mode & 0o777)
            if (before.st_uid, before.st_gid) != (os.geteuid(),
                                                  os.getegid()):
                os.fchown(handle, before.st_uid, before.st_gid)
            file.write(''.join(f'{key}\n' for key in keys))
            file.flush()
            os.fsync(handle)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _sign(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _signature(path: str) -> tuple[int, ...]:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size, status.st_ino


def _unfit() -> VaultError:
    return VaultError('no key in the key file fits these credentials; put '
                      'the key back that encrypted them, or give the '
                      'credentials of the pod manager again')
