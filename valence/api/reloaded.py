# SPDX-License-Identifier: Apache-2.0
"""What does a file say by now?"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

LOG = logging.getLogger(__name__)

T = TypeVar('T')

_LOOK_AGAIN = 1.0


class Reloaded(Generic[T]):
    """What ``load`` makes of a file, made again when the file changes.

    A file that cannot be read or used any more changes nothing.

    :param option: what the configuration calls the file
    :param load: makes a value of the text, or raises ValueError
    :raises ValueError: the file cannot be read or used
    """

    def __init__(self, option: str, path: str,
                 load: Callable[[str], T]) -> None:
        self._name = f'{option} {path}'
        self._path = path
        self._load = load
        self._lock = threading.Lock()
        self._look_at = 0.0
        self._seen = self._signature()
        self._value = self._read()

    def get(self) -> T:
        """The value; the file is looked at once a second."""
        now = time.monotonic()
        if now < self._look_at:
            return self._value
        with self._lock:
            self._look_at = now + _LOOK_AGAIN
            try:
                signature = self._signature()
                if signature != self._seen:
                    self._seen = signature
                    self._value = self._read()
                    LOG.info('read %s again', self._name)
            except ValueError as error:
                LOG.error('what it said remains: %s', error)
        return self._value

    def _read(self) -> T:
        try:
            with open(self._path, encoding='utf-8') as file:
                return self._load(file.read())
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(error) from error
        except ValueError as error:
            raise ValueError(f'{self._name}: {error}') from error

    def _signature(self) -> tuple[int, int, int]:
        try:
            status = os.stat(self._path)
        except OSError as error:
            raise self._unreadable(error) from error
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _unreadable(self, error: Exception) -> ValueError:
        reason = getattr(error, 'strerror', None) or 'not UTF-8'
        return ValueError(f'{self._name} cannot be read: {reason}')
