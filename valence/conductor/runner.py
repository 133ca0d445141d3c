# SPDX-License-Identifier: Apache-2.0
"""How is one operation carried forward, or undone, by its owner?

See :mod:`valence.conductor.operations.base` for the rules of the journal.
Whatever ends this code early (a kill, a lost lease, the database away)
leaves a journal that the next owner goes on with.
"""

import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any, NoReturn

import sqlalchemy as sa

from valence.common import audit, faultpoints
from valence.conductor.lease import HeldLease
from valence.conductor.operations.base import (
    REDO,
    Failed,
    Kind,
    NotYet,
    Step,
    Task,
    is_known,
    results,
    write_failure,
)
from valence.db import operations, pod_managers
from valence.db.engine import Database
from valence.drivers.base import (
    Ambiguous,
    Busy,
    DriverError,
    Pending,
    Refused,
    Safety,
    Unreachable,
)

LOG = logging.getLogger(__name__)

#: Seconds between tries of a step against a backend that is away, and of an
#: operation that met an unexpected error.
BACKOFF = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
#: The longest that an undo waits between two tries, whatever the backend
#: advises: the time for it is bounded.
LONGEST_UNDO_WAIT = 60.0
#: So many unexpected errors forward, and the operation is undone; so many
#: more, and it ends as it is.
MOST_FAULTS = 3
#: What is said of them.
FAULTY = ('an unexpected error kept coming back; the log of the conductor '
          'has more')
#: What is said where the time for an operation, or for its undo, is over.
OVERDUE = 'the operation did not end in time'
TOO_LATE = 'the time for it is over'


class Parked(Exception):
    """The lease was given back; go on after ``delay`` seconds."""

    def __init__(self, delay: float) -> None:
        super().__init__(delay)
        self.delay = delay


class Stopping(Exception):
    """The process stops; the operation is for somebody else now."""


class _Undo(Exception):
    """Forward is over: ``code`` and sentence say why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _OutOfTime(_Undo):
    """What would have to be waited for is given up."""


class _Untold(_Undo):
    """Nobody can tell what there is to be undone."""


class _Unexpected(Failed):
    """A fault of ours, or of a driver's."""


def _cancel(task: Task, pending: Pending) -> None:
    task.driver.cancel(pending)


class Runner:
    """Carries one task through the steps of its kind.

    :param stopping: says whether the process wants to stop; asked between
        steps, which are the safe points.
    """

    def __init__(self, database: Database, kind: Kind, task: Task,
                 journal: dict[str, Mapping[str, Any]],
                 stopping: Any) -> None:
        self._database = database
        self._kind = kind
        self._task = task
        self._journal = dict(journal)
        self._stopping = stopping
        self._held: HeldLease = task.held
        self._lease = task.held.lease
        self._late = bool(task.operation['late'])
        self._undoing = bool(task.operation['undoing'])
        # Whether what the step at hand may meet now leaves nothing in doubt.
        self._known = True
        task.results.update(results(journal))

    def run(self) -> None:
        """Go as far as it goes.

        :raises Parked: the backend needs time
        :raises Stopping: the process stops
        :raises LeaseLost: somebody else owns the operation
        """
        operation = self._task.operation
        if operation['undoing']:
            self._backward(operation['error_code'], operation['error'])
            return
        try:
            if operation['overdue']:
                raise _Undo('timeout', OVERDUE)
            if operation['faults'] >= MOST_FAULTS:
                raise _Undo('internal_error', FAULTY)
            self._forward()
        except _Undo as error:
            self._write(undoing=True, error_code=error.code,
                        error=str(error))
            LOG.warning('operation %s (%s) failed: %s',
                        self._lease.operation_uuid, self._kind.name, error)
            self._backward(error.code, str(error), begins=True)

    def _forward(self) -> None:
        steps = self._kind.steps
        for number, step in enumerate(steps):
            if self._held.desired != 'done':
                raise _Undo('cancelled', 'cancelled on request')
            if step.applies(self._task):
                self._advance(step, number,
                              self._progress(number, len(steps)))
        self._end('succeeded', error_code=None, error=None)

    def _backward(self, code: str, message: str,
                  begins: bool = False) -> None:
        undone, self._undoing = True, True
        # Nothing was begun: nothing is to be undone.
        steps = self._kind.undo if self._journal else ()
        try:
            self._settle(begins)
            self._require_told()
            for number, step in enumerate(steps, len(self._kind.steps)):
                self._advance(step, number, None)
        except _Undo as error:
            # What cannot be undone is left as it is, and said.
            undone = False
            if isinstance(error, _Untold):
                code = error.code
            message = f'{message}; and it could not be undone: {error}'
            LOG.error('operation %s: %s', self._lease.operation_uuid,
                      message)
        state = 'cancelled' if code == 'cancelled' and undone else 'failed'
        self._end(state, error_code=code, error=message, undone=undone)

    def _settle(self, begins: bool) -> None:
        """Wait for what the backend still works on, having asked it to stop.

        Before it has ended there is nothing to see, and so nothing to undo.
        """
        for number, step in enumerate(self._kind.steps):
            entry = self._journal.get(step.name)
            if not (entry and entry['state'] == 'pending'):
                continue
            if begins:
                # Best effort: how it ended is looked at all the same.
                with contextlib.suppress(DriverError, Failed):
                    self._call(step, _cancel, Pending(**entry['outcome']))
            try:
                self._advance(step, number, None)
            except _OutOfTime:
                raise
            except _Undo:
                continue        # it has ended, and that is all that counts

    def _require_told(self) -> None:
        """See that the undo can find what there is to be undone.

        :raises _Untold: it cannot, by what the driver declares
        """
        for step in self._kind.steps if self._kind.undo else ():
            entry = self._journal.get(step.name)
            if (entry and self._safety(step) == Safety.UNSAFE
                    and entry['state'] in ('intent', 'failed')
                    and not is_known(entry)):
                raise _Untold('ambiguous', 'nobody can tell whether '
                              f'{step.mutation} took effect')

    @staticmethod
    def _progress(number: int, total: int) -> int:
        return 100 * number // total

    # One step

    def _advance(self, step: Step, ordinal: int,
                 progress: int | None) -> None:
        """Bring one step to its outcome.

        :raises _Undo: it failed for good
        """
        entry = self._journal.get(step.name)
        if entry and entry['state'] == 'done' and not step.volatile:
            return
        if entry and entry['state'] == 'failed':
            # The owner died between this entry and the turn to the undo.
            raise _Undo((entry['outcome'] or {}).get('code', 'failed'),
                        entry['error'] or 'the step failed')
        if self._stopping():
            raise Stopping
        try:
            outcome = self._attempt(step, ordinal, entry, progress)
        except (DriverError, NotYet, Failed) as error:
            self._meet(step, entry, error)
        if isinstance(outcome, Pending):
            self._park(step, outcome)
        self._task.results[step.name] = outcome
        self._record(step, 'done', outcome)

    def _safety(self, step: Step) -> Safety | None:
        return (self._task.driver.safety.get(step.mutation)
                if step.mutation else None)

    def _attempt(self, step: Step, ordinal: int,
                 entry: Mapping[str, Any] | None,
                 progress: int | None) -> Any:
        unsafe = self._safety(step) == Safety.UNSAFE
        # What an earlier try left in doubt stays so until it is looked at.
        self._known = self._task.unsent = (
            entry is None or entry['state'] not in ('intent', 'pending')
            or is_known(entry))
        if entry and entry['state'] == 'pending' and step.poll:
            try:
                outcome = self._call(step, step.poll,
                                     Pending(**entry['outcome']))
            except Refused:
                self._known = True
                raise
            except _Unexpected as error:
                return self._look_after(step, entry['intent'] or {}, error)
            if not isinstance(outcome, Pending):
                faultpoints.reach('K10')
            return outcome
        if entry and entry['state'] == 'intent' and unsafe:
            if not self._known:
                raise self._ambiguous(step, 'its conductor failed')
        elif entry and entry['state'] == 'intent' and step.recover:
            outcome = self._recover(step, entry['intent'] or {})
            if outcome is not REDO:
                return outcome
        if entry and entry['state'] == 'announced':
            # Written with the acquisition, and nothing was called yet.
            intent = entry['intent']
            self._journal[step.name] = {**entry, 'state': 'intent',
                                        'attempts': 1}
        else:
            intent = step.intent(self._task)
            self._intend(step, ordinal, intent, entry, progress)
        faultpoints.reach('K5')
        try:
            outcome = self._call(step, step.run)
            faultpoints.reach('K7')
            return outcome
        except Ambiguous as error:
            self._known = self._task.unsent = False
            if unsafe:
                raise self._ambiguous(step, str(error)) from error
            if not step.recover:
                raise
            LOG.warning('operation %s, step %s: %s; looking at the hardware',
                        self._lease.operation_uuid, step.name, error)
            outcome = self._recover(step, intent)
            if outcome is REDO:
                raise NotYet(str(error)) from error
            return outcome
        except _Unexpected as error:
            self._known = self._task.unsent = False
            return self._look_after(step, intent, error)

    @staticmethod
    def _ambiguous(step: Step, why: str) -> Failed:
        return Failed('ambiguous', f'{why}; whether {step.mutation} took '
                      'effect cannot be told from outside, so it is not sent '
                      'again: look at the hardware')

    def _recover(self, step: Step, intent: Any) -> Any:
        outcome = self._call(step, step.recover, intent)
        if outcome is REDO and self._safety(step) == Safety.VERIFY_FIRST:
            # It has looked. What is idempotent is just sent again.
            self._known = True
        return outcome

    def _look_after(self, step: Step, intent: Any, error: _Unexpected) -> Any:
        """Whether a call that met ``error`` had its effect all the same.

        It matters where nothing is undone.

        :raises _Unexpected: it had none, or the undo looks anyway
        """
        if self._safety(step) == Safety.UNSAFE:
            raise self._ambiguous(step, str(error)) from error
        if not self._kind.undo and step.recover:
            outcome = self._recover(step, intent)
            if outcome is not REDO:
                return outcome
        raise error

    def _call(self, step: Step, function: Any, *args: Any) -> Any:
        """Let a step at the hardware, within the time of the lease."""
        with (self._held.reading() if step.reads
              else self._held.hardware()):
            try:
                result = function(self._task, *args)
            except Unreachable:
                # Whoever slept past his lease has not waited for an answer.
                self._held.require()
                self._note_silence()
                raise
            except (DriverError, NotYet, Failed, operations.LeaseLost):
                raise
            except Exception as error:
                LOG.exception('operation %s: a step met an unexpected error',
                              self._lease.operation_uuid)
                raise _Unexpected(
                    'internal_error', f'unexpected {type(error).__name__}; '
                    'the log of the conductor has more') from error
        if self._task.pod_manager['failures']:
            self._held.require()
            self._database.run(pod_managers.note_answer,
                               self._task.pod_manager['uuid'])
            self._task.pod_manager['failures'] = 0
        return result

    def _note_silence(self) -> None:
        settings = self._task.settings
        self._database.run(
            pod_managers.note_silence, self._task.pod_manager['uuid'],
            settings.breaker_tolerance, settings.breaker_pause,
            settings.breaker_longest)
        self._task.pod_manager['failures'] += 1

    def _meet(self, step: Step, entry: Mapping[str, Any] | None,
              error: Any) -> NoReturn:
        """A step is not there yet, or never will be.

        :param error: a DriverError, NotYet or Failed
        """
        known = self._known if step.mutation else (
            isinstance(error, NotYet | Failed)
            and not isinstance(error, _Unexpected))
        attempts = (entry['attempts'] if entry else 0) + 1
        # What the backend works on goes on without being asked, so only the
        # time bounds it: before it has ended, nothing can be undone.
        pending = bool(entry and entry['state'] == 'pending' and step.poll)
        again = isinstance(error, NotYet) or (
            isinstance(error, DriverError) and error.retryable)
        if again and pending and self._late:
            self._give_up(step)
        if not again or self._late or (
                attempts >= step.tries and not pending):
            self._record(step, 'failed', {'code': error.code, 'known': known},
                         str(error), attempts=attempts)
            raise _Undo(error.code, str(error))
        delay = (error.delay if isinstance(error, NotYet) else
                 error.retry_after if isinstance(error, Busy) else
                 BACKOFF[min(attempts, len(BACKOFF)) - 1])
        values = {} if pending else {
            'outcome': {'known': True} if known else None}
        self._note(step, error=str(error), attempts=attempts, **values)
        raise self._parked(delay)

    @staticmethod
    def _give_up(step: Step) -> NoReturn:
        raise _OutOfTime('timeout',
                         f'the pod manager still works on {step.name}')

    # The journal

    def _write(self, **values: Any) -> None:
        at = time.monotonic()
        self._database.run(operations.guard, self._lease, **values)
        self._held.renewed(at)

    def _intend(self, step: Step, ordinal: int, intent: Any,
                entry: Mapping[str, Any] | None,
                progress: int | None) -> None:
        def write(conn: sa.Connection) -> str:
            desired = operations.renew(
                conn, self._lease,
                **({} if progress is None else {'progress': progress}))
            operations.write_intent(conn, self._lease, step.name, ordinal,
                                    intent, again=entry is not None)
            return desired

        at = time.monotonic()
        self._held.renewed(at, self._database.run(write))
        self._journal[step.name] = {
            'name': step.name, 'state': 'intent', 'intent': intent,
            'attempts': (entry['attempts'] if entry else 0) + 1}

    def _record(self, step: Step, state: str, outcome: Any = None,
                error: str | None = None, **values: Any) -> None:
        def write(conn: sa.Connection) -> None:
            operations.guard(conn, self._lease)
            operations.write_outcome(conn, self._lease, step.name, state,
                                     outcome, error, **values)

        at = time.monotonic()
        self._database.run(write)
        self._held.renewed(at)
        if step.name in self._journal:
            self._journal[step.name] = {
                **self._journal[step.name], 'state': state,
                'outcome': outcome}
        faultpoints.reach('K8')

    def _note(self, step: Step, **values: Any) -> None:
        def write(conn: sa.Connection) -> None:
            operations.guard(conn, self._lease)
            conn.execute(
                sa.update(operations.STEPS)
                .where(operations.STEPS.c.operation_id
                       == self._lease.operation_id,
                       operations.STEPS.c.name == step.name)
                .values(**values))

        self._database.run(write)

    def _park(self, step: Step, pending: Pending) -> NoReturn:
        delay = self._bounded(pending.delay)
        outcome = {'monitor': pending.monitor, 'delay': pending.delay}
        if self._late:
            self._record(step, 'pending', outcome)
            self._give_up(step)

        def write(conn: sa.Connection) -> None:
            operations.guard(conn, self._lease)
            operations.write_outcome(
                conn, self._lease, step.name, 'pending', outcome)
            operations.park(conn, self._lease, delay)

        self._database.run(write)
        faultpoints.reach('K9')
        raise Parked(delay)

    def _parked(self, delay: float) -> Parked:
        delay = self._bounded(delay)
        self._database.run(operations.park, self._lease, delay)
        return Parked(delay)

    def _bounded(self, delay: float) -> float:
        """No wait outlasts the deadline by which something else is due."""
        if self._undoing:
            return min(delay, LONGEST_UNDO_WAIT)
        # A little more, for the clock that counts is the database's.
        return min(delay, max(self._held.left, 0.0) + 0.5)

    def _end(self, state: str, undone: bool = True, **values: Any) -> None:
        def write(conn: sa.Connection) -> None:
            if operations.has_ended(conn, self._lease, state):
                return
            self._held.desired = operations.renew(conn, self._lease)
            if state == 'succeeded':
                if self._held.desired != 'done':
                    raise _Undo('cancelled', 'cancelled on request')
                try:
                    values['result'] = self._kind.finish(conn, self._task)
                except Failed as error:
                    raise _Undo(error.code, str(error)) from error
                values['progress'] = 100
            else:
                write_failure(conn, self._kind, self._task,
                              values['error_code'], values['error'], undone)
            operations.finish(conn, self._lease, state, **values)

        faultpoints.reach('K11')
        self._database.run(write)
        audit.operation_ended(self._task.operation, state,
                              values['error_code'])
        faultpoints.reach('K12')
        LOG.info('operation %s (%s) %s', self._lease.operation_uuid,
                 self._kind.name, state)
