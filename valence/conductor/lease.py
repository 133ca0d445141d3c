# SPDX-License-Identifier: Apache-2.0
"""Does this process still own the operation it works on?

A conductor owns an operation by a lease in the database, on the database's
clock. Here is the process's side of it, on its own monotonic clock and on
the careful side: the lease is counted from *before* the statement that
renewed it was sent. No hardware call may start that could outlast it, so a
successor, who waits until the lease is over, never meets an old call.
"""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Iterator
from typing import Any

from valence.common import context as request_context
from valence.common import deadline
from valence.db import operations
from valence.db.engine import Database
from valence.db.operations import LeaseLost

LOG = logging.getLogger(__name__)

#: A hardware call gets less than the rest of the lease by this many seconds:
#: the time an answer may need to be noticed.
MARGIN = 1.0


class HeldLease:
    """A lease with the time it still has. Safe for several threads.

    :param acquired_at: before the statement that acquired it was sent
    :param left: seconds that its operation had then until its deadline
    """

    def __init__(self, lease: operations.Lease, acquired_at: float,
                 left: float = math.inf) -> None:
        self.lease = lease
        self.desired = 'done'
        #: Of the request that the operation is from, for the log lines.
        self.context: Any = None
        self._ends_at = acquired_at + lease.seconds
        self._deadline = acquired_at + left
        self._lost = threading.Event()

    def renewed(self, at: float, desired: str | None = None) -> None:
        """The database renewed it by a statement sent at ``at``."""
        self._ends_at = max(self._ends_at, at + self.lease.seconds)
        self.desired = desired or self.desired

    def lose(self) -> None:
        self._lost.set()

    @property
    def remaining(self) -> float:
        return (0.0 if self._lost.is_set()
                else self._ends_at - time.monotonic())

    @property
    def left(self) -> float:
        """Seconds until the deadline of the operation; less than 0 after."""
        return self._deadline - time.monotonic()

    @property
    def late(self) -> bool:
        """Whether even the time for an undo is over."""
        return self.left < -operations.UNDO_GRACE

    @contextlib.contextmanager
    def hardware(self, at_least: float = 1.0) -> Iterator[None]:
        """Allow calls to hardware, each to end before the lease does.

        What is left counts anew for each call: renewals give more time.

        :raises LeaseLost: there is no time left for a sensible call
        """
        self.require(at_least + MARGIN)
        with deadline.limit_by(lambda: self.remaining - MARGIN):
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Allow calls that only read, for as long as the lease is kept.

        :raises LeaseLost: it is over already
        """
        self.require()
        with deadline.limit_by(
                lambda: math.inf if self.remaining > 0 else 0.0):
            yield

    def require(self, at_least: float = 0.0) -> None:
        """:raises LeaseLost: less than so many seconds are left"""
        if self.remaining <= at_least:
            raise LeaseLost(self.lease.operation_uuid)


class Renewer:
    """One thread that keeps all leases of a process.

    But not for ever: a thread that hangs would keep its operation from all
    who could end it. Once an operation is late nothing renews its lease but
    what is written for it.
    """

    def __init__(self, database: Database, interval: float) -> None:
        self._database = database
        self._interval = interval
        self._held: dict[str, HeldLease] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name='lease-renewer', daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def keep(self, held: HeldLease) -> None:
        with self._lock:
            self._held[held.lease.operation_uuid] = held

    def let_go(self, held: HeldLease) -> None:
        with self._lock:
            if self._held.get(held.lease.operation_uuid) is held:
                del self._held[held.lease.operation_uuid]

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            with self._lock:
                held = list(self._held.values())
            for one in held:
                with request_context.of(one.context):
                    self._renew(one)

    def _renew(self, held: HeldLease) -> None:
        if held.late:
            LOG.error('operation %s should have ended long ago and is still '
                      'at work; its lease is not renewed any more',
                      held.lease.operation_uuid)
            self.let_go(held)
            return
        at = time.monotonic()
        try:
            desired = self._database.run(operations.renew, held.lease)
        except LeaseLost:
            # Either it ended in the meantime, or somebody took it.
            held.lose()
        except Exception:
            LOG.exception('cannot renew the lease of operation %s; it runs '
                          'out in %.1f s', held.lease.operation_uuid,
                          held.remaining)
        else:
            held.renewed(at, desired)
