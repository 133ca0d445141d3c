# SPDX-License-Identifier: Apache-2.0
"""How long may the current work still take?

A deadline is set around a piece of work with :func:`limit` or
:func:`limit_by` and read wherever that work waits (the HTTP transport, a
retry loop) with :func:`remaining`. Deadlines nest: an inner one can only
shorten the outer one. They follow the thread they were set in (a context
variable), on the monotonic clock, so a stepped system clock changes nothing.
"""

import contextlib
import contextvars
import time
from collections.abc import Callable, Iterator

_left: contextvars.ContextVar[tuple[Callable[[], float], ...]] = (
    contextvars.ContextVar('valence_deadline', default=()))


@contextlib.contextmanager
def limit_by(left: Callable[[], float]) -> Iterator[None]:
    """Allow the body of the ``with`` as long as ``left()`` says.

    :param left: gives the seconds that are left; asked again and again, so
        a lease that is renewed meanwhile gives more
    """
    token = _left.set((*_left.get(), left))
    try:
        yield
    finally:
        _left.reset(token)


def limit(seconds: float) -> contextlib.AbstractContextManager[None]:
    """Allow at most ``seconds`` from now for the body of the ``with``."""
    end = time.monotonic() + seconds
    return limit_by(lambda: end - time.monotonic())


def remaining(default: float) -> float:
    """Seconds left, at most ``default``; zero or less once it has passed."""
    return min(default, *(left() for left in _left.get()), default)
