# SPDX-License-Identifier: Apache-2.0
"""What is a kind of operation? A list of steps, and two ways to end.

A step is run between two journal entries: its intent, committed before, and
its outcome, after. A successor that finds

* no entry: runs the step;
* an outcome: goes on with the next step;
* ``pending``: polls the backend's monitor;
* an intent without an outcome: calls ``recover``, which looks at the
  hardware and either returns the outcome or :data:`REDO`.

The outcome of an intent may also be ``{'known': True}``: the call was made
and certainly changed nothing, or the look was made and showed that it is not
there yet. ``failed`` has ``{'code': ..., 'known': ...}``.

When a step fails for good the kind's ``undo`` steps run, under the same
rules and with journal entries of their own. But what may have been changed
by a call that the driver declares unsafe is left as it is.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

import sqlalchemy as sa

from valence.common.secret import Secret
from valence.conductor.lease import HeldLease
from valence.db import operations
from valence.drivers.base import Allocation, Driver, Handle, Pending

#: What ``recover`` says when the intended call certainly had no effect.
REDO: Final = object()

Outcome = Mapping[str, Any]


class NotYet(Exception):
    """The hardware is not there yet; look again after ``delay`` seconds.

    ``code`` is what to call it if it never is.
    """

    def __init__(self, message: str, delay: float = 1.0,
                 code: str = 'timeout') -> None:
        super().__init__(message)
        self.delay = delay
        self.code = code


class Failed(Exception):
    """The step failed for good, for a reason that Valence found itself."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the configuration says to the operations; times in seconds.

    ``sync_*``: from the end of a sync to the next, after good and bad ones.
    ``breaker_*``: see :func:`valence.db.pod_managers.note_silence`.
    ``event_address``: where the pod manager of this uuid posts its events.
    ``adoption_project``: whose a node is of which nothing is known.
    """

    sync_interval: float = 300.0
    sync_retry_interval: float = 60.0
    breaker_tolerance: int = 5
    breaker_pause: float = 5.0
    breaker_longest: float = 60.0
    event_address: Callable[[str], str] | None = None
    adoption_project: str = 'valence'


@dataclasses.dataclass
class Task:
    """All that a step may use."""

    operation: Mapping[str, Any]
    held: HeldLease
    #: As it was read, but for ``failures``: those are kept up to date.
    pod_manager: dict[str, Any]
    node: Mapping[str, Any] | None
    settings: Settings
    #: Set before the first step; ``fail`` must do without.
    driver: Driver = dataclasses.field(init=False)
    #: Whether all earlier tries of the step at hand, if there were any,
    #: certainly changed nothing.
    unsent: bool = False
    #: For ``fail``: whether the hardware may have been changed, and was not
    #: read back since.
    in_doubt: bool = False
    #: Outcomes of the steps that are done, by name.
    results: dict[str, Outcome] = dataclasses.field(default_factory=dict)
    #: What a step found out for ``finish`` to write; not in the journal.
    found: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def params(self) -> Mapping[str, Any]:
        params: Mapping[str, Any] = self.operation['params']
        return params

    def pod_can(self, capability: str) -> bool:
        """Whether the backend has it, by what its last sync found."""
        return bool((self.pod_manager['capabilities'] or {}).get(capability))

    def backend_chooses(self) -> bool:
        """Whether the backend, and not Valence, chooses the devices."""
        found = self.pod_manager['capabilities'] or {}
        return bool(found.get('allocation') == Allocation.BACKEND)

    def need_node(self) -> Mapping[str, Any]:
        if self.node is None:
            raise Failed('node_gone', 'the node does not exist any more')
        return self.node

    def handle(self) -> Handle | None:
        """How the backend calls the node, as far as it is recorded."""
        stored = self.need_node()['handle']
        return Handle(**stored) if stored else None

    def need_handle(self) -> Handle:
        handle = self.handle()
        if handle is None:
            raise Failed('no_hardware', 'the node has no hardware')
        return handle


@dataclasses.dataclass(frozen=True)
class Step:
    """One step. All functions may be called again by a successor.

    ``run`` makes the call; ``poll`` asks how far a pending one is;
    ``recover`` decides about an intent without an outcome (without it the
    step is simply run again, right for reads and idempotent calls).
    ``intent`` gives what the journal says ahead of the call. A step that is
    not there ``tries`` times in a row fails. ``mutation`` is the method of
    the driver by which it changes hardware, None where it only looks: where
    the driver declares that unsafe, ``recover`` is not asked.
    """

    name: str
    run: Callable[[Task], Outcome | Pending]
    mutation: str | None = None
    poll: Callable[[Task, Pending], Outcome | Pending] | None = None
    recover: Callable[[Task, Outcome], Any] | None = None
    intent: Callable[[Task], Outcome] = lambda task: {}
    #: Whether there is anything to do; without, there is no journal entry.
    #: Must do without the driver.
    applies: Callable[[Task], bool] = lambda task: True
    #: Only reads, and may take longer than the lease that is kept meanwhile.
    reads: bool = False
    #: Whether ``finish`` needs what the step left in ``Task.found``: then a
    #: successor runs it again even if the journal says done.
    volatile: bool = False
    #: How often it may meet a backend that is away, busy or not there yet.
    tries: int = 8


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of operation.

    ``finish`` writes the result in the transaction that ends the operation;
    ``fail`` writes what is left after the undo, given the error's code and
    sentence and whether the undo succeeded. :func:`write_failure` calls it.
    """

    name: str
    steps: tuple[Step, ...]
    finish: Callable[[sa.Connection, Task], Outcome | None]
    fail: Callable[[sa.Connection, Task, str, str, bool], None]
    undo: tuple[Step, ...] = ()


def is_known(entry: Mapping[str, Any]) -> bool:
    """Whether a step that was not done left nothing in doubt."""
    outcome = entry['outcome'] or {}
    if entry['state'] == 'failed':
        return bool(outcome.get('known', outcome.get('code') != 'ambiguous'))
    return entry['state'] == 'intent' and bool(outcome.get('known'))


def is_in_doubt(kind: Kind, journal: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether an operation that fails may have changed its hardware.

    It has not, by what was answered, or it was read back that it has not, or
    not any more.
    """
    doubt = False
    for step in (*kind.steps, *kind.undo):
        entry = journal.get(step.name)
        if entry is None:
            continue
        done = entry['state'] == 'done'
        if step.mutation:
            sent = not done or (entry['outcome'] or {}).get('sent', True)
            doubt = doubt or (sent and not is_known(entry))
        elif is_known(entry) or (done and step in kind.undo):
            doubt = False
    return doubt


def write_failure(conn: sa.Connection, kind: Kind, task: Task, code: str,
                  message: str, undone: bool) -> None:
    """Have ``fail`` write what is left, by what the journal says."""
    task.in_doubt = is_in_doubt(kind, operations.steps(
        conn, task.held.lease.operation_id))
    kind.fail(conn, task, code, message, undone)


def results(journal: Mapping[str, Mapping[str, Any]]) -> dict[str, Outcome]:
    """The outcomes of the steps that are done."""
    return {name: entry['outcome'] or {} for name, entry in journal.items()
            if entry['state'] == 'done'}


def jsonable(value: Any) -> Any:
    """A frozen dataclass of the driver contract as JSON values."""
    if isinstance(value, Secret):
        raise TypeError('a Secret must not reach the journal')
    return dataclasses.asdict(value)
