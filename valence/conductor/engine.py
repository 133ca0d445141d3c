# SPDX-License-Identifier: Apache-2.0
"""Which operation is worked on next, and by which thread of this process?

A doorbell (:meth:`Engine.ring`), a timer or the poll of the database names
an operation; a free worker thread tries to acquire it and carries it on. All
three are hints: what decides is :func:`valence.db.operations.acquire`. A hint
that is lost costs one poll interval.
"""

import collections
import dataclasses
import datetime
import heapq
import logging
import math
import threading
import time
from collections.abc import Mapping
from concurrent import futures
from typing import Any, NoReturn

import sqlalchemy as sa
from oslo_db import exception as db_exc

from valence import requests
from valence.common import audit, faultpoints, states
from valence.common import context as request_context
from valence.common.vault import VaultError
from valence.conductor import connection as connections
from valence.conductor.admission import Admission
from valence.conductor.lease import HeldLease, Renewer
from valence.conductor.operations import KINDS
from valence.conductor.operations.base import (
    Kind,
    Settings,
    Task,
    results,
    write_failure,
)
from valence.conductor.runner import (
    BACKOFF,
    FAULTY,
    MOST_FAULTS,
    OVERDUE,
    TOO_LATE,
    Parked,
    Runner,
    Stopping,
)
from valence.db import conductors, models, nodes, operations
from valence.db.engine import Database
from valence.db.operations import LeaseLost
from valence.db.types import utcnow
from valence.drivers.base import DriverError

LOG = logging.getLogger(__name__)

_PODS: Any = models.PodManager.__table__

#: The database is away or too busy: nobody's fault, and nothing can be
#: written down.
_DATABASE_AWAY = (db_exc.DBConnectionError, db_exc.DBDeadlock,
                  sa.exc.TimeoutError)

#: More hints than this are forgotten; the poll finds the operations again.
_MOST_HINTS = 10_000


@dataclasses.dataclass(frozen=True)
class Options:
    """Seconds, but for ``threads``: operations worked on at a time."""

    owner: str
    threads: int = 16
    threads_per_pod: int = 4
    lease: float = 20.0
    poll_interval: float = 5.0
    drain_timeout: float = 60.0


@dataclasses.dataclass(frozen=True)
class Job:
    """An operation that this process owns, as read when it was acquired."""

    held: HeldLease
    operation: Mapping[str, Any]
    journal: dict[str, Mapping[str, Any]]
    pod_manager: dict[str, Any] | None
    node: Mapping[str, Any] | None

    @property
    def uuid(self) -> str:
        return self.held.lease.operation_uuid

    @property
    def pod(self) -> str:
        return str(self.operation['pod_manager_uuid'])

    @property
    def hopeless(self) -> bool:
        """Whether it had all its time, for going on and for its undo."""
        return bool(self.operation['late'] and self.operation['undoing'])

    @property
    def silent(self) -> bool:
        return bool(self.pod_manager and self.pod_manager['failures'])


class Engine:
    """Runs operations. ``start()`` and ``stop()`` once each."""

    def __init__(self, database: Database,
                 connection: connections.Connection, options: Options,
                 settings: Settings) -> None:
        self._database = database
        self._connection = connection
        self._options = options
        self._settings = settings
        self._renewer = Renewer(database, options.lease / 4)
        self._workers = futures.ThreadPoolExecutor(
            options.threads, thread_name_prefix='operation')
        self._wake = threading.Condition()
        self._hints: collections.deque[str] = collections.deque()
        self._hinted: set[str] = set()
        # Worked on, or acquired and waiting for a place at their pod; with
        # their leases, once they have them.
        self._running: dict[str, HeldLease | None] = {}
        self._busy = 0
        self._admission: Admission[Job] = Admission(options.threads_per_pod)
        self._timers: list[tuple[float, str]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._dispatch, name='dispatcher', daemon=True)

    def start(self) -> None:
        self._renewer.start()
        self._thread.start()

    def ring(self, uuid: str) -> None:
        """Say that an operation may be due. Never blocks, never raises."""
        with self._wake:
            if not self._stopping.is_set():
                self._hint(uuid)
                self._fill()

    def stop(self) -> None:
        """Let what runs reach a safe point, and give back the rest."""
        self._stopping.set()
        with self._wake:
            self._wake.notify_all()
        self._thread.join()
        deadline = time.monotonic() + self._options.drain_timeout
        with self._wake:
            for job in self._admission.send_away():
                self._workers.submit(self._step_back, job)
            while self._running and time.monotonic() < deadline:
                self._wake.wait(max(deadline - time.monotonic(), 0.0))
            left = sorted(self._running)
        if left:
            LOG.warning('stopping although operations %s are in the middle '
                        'of a step; another conductor takes them over',
                        ', '.join(left))
        self._workers.shutdown(wait=not left)
        self._renewer.stop()

    # Hints

    def _hint(self, uuid: str) -> None:
        if uuid not in self._hinted and len(self._hints) < _MOST_HINTS:
            self._hinted.add(uuid)
            self._hints.append(uuid)

    def _fill(self) -> None:
        """Give hints to free workers. Called with the condition held."""
        for _ in range(len(self._hints)):
            if self._busy >= self._options.threads:
                return
            uuid = self._hints.popleft()
            if uuid in self._running and not _is_lost(self._running[uuid]):
                # It may be parked just now: try again afterwards.
                self._hints.append(uuid)
                continue
            self._hinted.discard(uuid)
            self._running[uuid] = None
            self._busy += 1
            self._workers.submit(self._begin, uuid)

    def _dispatch(self) -> None:
        next_poll = 0.0
        while not self._stopping.is_set():
            now = time.monotonic()
            if now >= next_poll:
                next_poll = now + self._options.poll_interval
                self._poll()
            with self._wake:
                while self._timers and self._timers[0][0] <= now:
                    self._hint(heapq.heappop(self._timers)[1])
                self._fill()
                until = min([next_poll] + [at for at, _ in self._timers[:1]])
                if not self._stopping.is_set():
                    self._wake.wait(max(until - time.monotonic(), 0.0))

    def _poll(self) -> None:
        self._connection.drop_idle()
        try:
            self._database.run(conductors.beat, self._options.owner)
            self._database.run(_start_syncs, self._options.threads)
            with self._database.read() as conn:
                due = operations.due(conn, 2 * self._options.threads)
        except Exception as error:
            LOG.error('cannot look for due operations: %s', error)
            return
        with self._wake:
            for uuid in due:
                self._hint(uuid)

    # Work

    def _begin(self, uuid: str) -> None:
        """Acquire an operation; go on if its pod has a place."""
        job = None
        try:
            job = self._acquire(uuid)
        except Exception:
            LOG.exception('operation %s cannot be acquired', uuid)
        if job is None:
            self._end(uuid)
        elif job.hopeless:
            # No hardware is touched any more: no place is needed, and all
            # may be taken by what hangs.
            self._work(job)
        elif self._admit(job):
            self._work(job)

    def _acquire(self, uuid: str) -> Job | None:
        at = time.monotonic()
        acquired = self._database.run(
            _acquire, uuid, self._options.owner, self._options.lease)
        if acquired is None:
            return None
        if isinstance(acquired, float):
            with self._wake:
                self._remind(uuid, acquired)
            return None
        faultpoints.reach('K4')
        lease, operation, journal, pod, node = acquired
        held = HeldLease(lease, at, _seconds_left(operation))
        held.desired = operation['desired']
        held.context = request_context.detached(
            request_id=operation['request_id'] or f'req-{uuid}',
            user_id=operation['user_id'],
            project_id=operation['project_id'])
        with self._wake:
            self._running[uuid] = held
        if not held.late:
            self._renewer.keep(held)
        return Job(held, operation, journal, pod, node)

    def _admit(self, job: Job) -> bool:
        """Take a place at the pod, or wait for one without a thread."""
        with self._wake:
            if self._admission.enter(job, self._stopping.is_set()):
                return True
            self._busy -= 1
            self._fill()
        return False

    def _leave(self, job: Job) -> None:
        """Give the place at the pod to who waits for it."""
        with self._wake:
            for one in self._admission.leave(job):
                self._busy += 1
                self._workers.submit(self._work, one)

    def _work(self, job: Job) -> None:
        delay = None
        try:
            with request_context.of(job.held.context):
                delay = self._try(job)
        finally:
            self._renewer.let_go(job.held)
            if not job.hopeless:
                self._leave(job)
            self._end(job.uuid, delay, job.held)

    def _try(self, job: Job) -> float | None:
        try:
            return self._run(job)
        except Exception:
            # Nothing can be written, it seems. The lease runs out, and with
            # it anybody may try again.
            LOG.exception('operation %s met an unexpected error', job.uuid)
            return None

    def _step_back(self, job: Job) -> None:
        """The process stops before the job had its turn."""
        self._renewer.let_go(job.held)
        try:
            self._database.run(operations.park, job.held.lease, 0.0)
        except Exception as error:
            with request_context.of(job.held.context):
                LOG.warning('operation %s: %s', job.uuid, error)
        with self._wake:
            self._busy += 1
        self._end(job.uuid, held=job.held)

    def _end(self, uuid: str, delay: float | None = None,
             held: HeldLease | None = None) -> None:
        with self._wake:
            if self._running.get(uuid) is held:
                self._running.pop(uuid, None)
            self._busy -= 1
            if delay is not None:
                self._remind(uuid, delay)
            self._fill()
            self._wake.notify_all()

    def _remind(self, uuid: str, delay: float) -> None:
        heapq.heappush(self._timers, (time.monotonic() + delay, uuid))
        self._wake.notify_all()

    def _run(self, job: Job) -> float | None:
        """:returns: seconds until the operation is due again, if known"""
        operation = job.operation
        LOG.debug('operation %s (%s) acquired, epoch %d', job.uuid,
                  operation['kind'], job.held.lease.epoch)
        try:
            self._carry(job)
        except Parked as parked:
            return parked.delay
        except Stopping:
            self._database.run(operations.park, job.held.lease, 0.0)
        except LeaseLost:
            LOG.warning("operation %s is somebody else's now", job.uuid)
        return None

    def _carry(self, job: Job) -> None:
        operation = job.operation
        kind = KINDS.get(operation['kind'])
        if kind is None:
            # A newer API wrote it, for a newer conductor.
            self._leave_to_others(job, 'unknown_kind', 'the conductor that '
                                  'took it is too old for operations of kind '
                                  + operation['kind'])
            self._abandon(job, 'unknown_kind', 'no conductor could carry out '
                          f'operations of kind {operation["kind"]} in time')
            return
        if job.pod_manager is None:
            self._abandon(job, 'pod_manager_gone',
                          'the pod manager does not exist any more')
            return
        task = Task(operation, job.held, job.pod_manager, job.node,
                    self._settings, results=results(job.journal))
        if job.hopeless:
            self._give_up(
                job, kind, task, operation['error_code'],
                f'{operation["error"]}; and it could not be undone: '
                f'{TOO_LATE}' if job.journal else operation['error'],
                undone=not job.journal)
            return
        try:
            task.driver = self._connection.get(job.pod_manager)
            Runner(self._database, kind, task, job.journal,
                   self._stopping.is_set).run()
        except DriverError as error:
            self._give_up(job, kind, task, error.code, str(error))
        except (connections.DriverNotLoaded, VaultError) as error:
            # Another conductor may have the driver, or the key.
            self._leave_to_others(job, 'no_driver', str(error))
            self._give_up(job, kind, task, 'no_driver', str(error))
        except (Parked, Stopping, LeaseLost, *_DATABASE_AWAY):
            raise
        except Exception:
            LOG.exception('operation %s met an unexpected error', job.uuid)
            self._meet_fault(job, kind, task)

    def _meet_fault(self, job: Job, kind: Kind, task: Task) -> None:
        """What goes wrong again and again has to end all the same.

        :raises Parked: it is tried again
        """
        faults = job.operation['faults'] + 1
        if not job.operation['overdue'] and faults < 2 * MOST_FAULTS:
            delay = BACKOFF[faults - 1]
            self._put_off(job, delay, 'internal_error', FAULTY, faults=faults)
        self._give_up(job, kind, task, 'internal_error', FAULTY)

    def _give_up(self, job: Job, kind: Kind, task: Task, code: str,
                 message: str, undone: bool = False) -> None:
        """End it as its kind does where nothing more is tried."""
        try:
            self._database.run(_give_up, kind, task, code, message, undone)
        except (LeaseLost, *_DATABASE_AWAY):
            raise
        except Exception:
            LOG.exception('operation %s cannot be given up', job.uuid)
            self._abandon(job, code, message)
        else:
            audit.operation_ended(job.operation, 'failed', code)

    def _abandon(self, job: Job, code: str, message: str) -> None:
        self._database.run(_abandon, job.held.lease, job.operation, code,
                           message)
        audit.operation_ended(job.operation, 'failed', code)

    def _leave_to_others(self, job: Job, code: str, why: str) -> None:
        """Give back what this process cannot do, while there is time.

        :raises Parked: there is
        """
        LOG.error('operation %s: %s', job.uuid, why)
        if not job.operation['overdue']:
            self._put_off(job, self._options.poll_interval, code, why)

    def _put_off(self, job: Job, delay: float, code: str, why: str,
                 **values: Any) -> NoReturn:
        """Say what it waits for; an undo has its own reason already.

        :raises Parked: always
        """
        columns = operations.OPERATIONS.c
        values |= {
            column.name: sa.case((columns.undoing, column), else_=said)
            for column, said in ((columns.error_code, code),
                                 (columns.error, why))}
        self._database.run(operations.park, job.held.lease, delay, **values)
        raise Parked(delay)


def _acquire(conn: sa.Connection, uuid: str, owner: str,
             lease_seconds: float) -> Any:
    """A lease and all that goes with it, or None.

    Where the pod manager is to be left alone for a while, the operation is
    given back until then, and the answer is the number of seconds.
    """
    won = operations.acquire(conn, uuid, owner, lease_seconds)
    if won is None:
        return None
    lease, operation = won
    if operation['late'] and not operation['undoing']:
        # It gets one try to undo. Who meets it again, because that hung,
        # ends it.
        operations.guard(conn, lease, undoing=True, error_code='timeout',
                         error=OVERDUE)
    found = conn.execute(
        sa.select(_PODS, utcnow().label('now')).where(
            _PODS.c.uuid == operation['pod_manager_uuid'])
    ).mappings().one_or_none()
    pod = dict(found) if found else None
    if pod and pod['retry_at'] and pod['retry_at'] > pod['now'] and (
            not operation['overdue']):
        delay = (pod['retry_at'] - pod['now']).total_seconds()
        operations.park(conn, lease, delay)
        return delay
    node = (nodes.get(conn, operation['node_uuid'])
            if operation['node_uuid'] else None)
    if lease.epoch > 1:
        journal = operations.steps(conn, lease.operation_id)
    else:
        journal = _announce(conn, lease, operation, pod, node)
    return lease, operation, journal, pod, node


def _announce(conn: sa.Connection, lease: operations.Lease,
              operation: Mapping[str, Any], pod: dict[str, Any] | None,
              node: Mapping[str, Any] | None
              ) -> dict[str, Mapping[str, Any]]:
    """Write the intent of the first step together with the acquisition.

    One commit less before the first call (measured: 1.5 to 2 ms of 13).
    """
    kind = KINDS.get(operation['kind'])
    if (kind is None or pod is None or operation['overdue']
            or operation['desired'] != 'done'):
        return {}
    task = Task(operation, HeldLease(lease, 0.0), pod, node, Settings())
    number, step = next((number, step) for number, step
                        in enumerate(kind.steps) if step.applies(task))
    try:
        intent = step.intent(task)
    except Exception:
        return {}           # the runner meets it again, and says so
    operations.write_intent(conn, lease, step.name, number, intent,
                            again=False)
    return {step.name: {'name': step.name, 'state': 'announced',
                        'intent': intent, 'attempts': 0}}


def _seconds_left(operation: Mapping[str, Any]) -> float:
    """Until its deadline, from when it was acquired."""
    if operation['deadline_at'] is None:
        return math.inf
    left: datetime.timedelta = (operation['deadline_at']
                                - operation['acquired_at'])
    return left.total_seconds()


def _is_lost(held: HeldLease | None) -> bool:
    """Whether a thread hangs with a lease that nothing renews any more."""
    return held is not None and held.late and held.remaining <= 0


def _give_up(conn: sa.Connection, kind: Kind, task: Task, code: str,
             message: str, undone: bool) -> None:
    if operations.has_ended(conn, task.held.lease, 'failed'):
        return
    operations.guard(conn, task.held.lease)
    write_failure(conn, kind, task, code, message, undone)
    operations.finish(conn, task.held.lease, 'failed', error_code=code,
                      error=message)


def _abandon(conn: sa.Connection, lease: operations.Lease,
             operation: Mapping[str, Any], code: str, message: str) -> None:
    """End what nobody could carry out; its node is left to its users."""
    if operations.has_ended(conn, lease, 'failed'):
        return
    operations.guard(conn, lease)
    if operation['node_uuid']:
        nodes.end(conn, operation['node_uuid'], operation['uuid'],
                  states.ANY, states.ABANDONED, state_reason=message)
    conn.execute(
        sa.update(_PODS).where(_PODS.c.operation_uuid == operation['uuid'])
        .values(operation_uuid=None))
    operations.finish(conn, lease, 'failed', error_code=code, error=message)


def _start_syncs(conn: sa.Connection, limit: int) -> None:
    """Write down the syncs whose time has come."""
    for uuid in list(conn.scalars(
            sa.select(_PODS.c.uuid)
            .where(_PODS.c.next_sync_at <= utcnow(),
                   _PODS.c.operation_uuid.is_(None)).limit(limit))):
        requests.sync(conn, requests.SYSTEM, uuid)
