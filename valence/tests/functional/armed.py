# SPDX-License-Identifier: Apache-2.0
"""How does a test make running services fail, without starting new ones?

``python -m valence.tests.functional.armed conductor|api OPTION...`` is the
real command with two differences. Which fault points are armed is asked of
a directory each time one is passed, so that a test arms hundreds of them in
one deployment. And what is passed is written to a trace there.

A file ``POINT.SUBJECT.NTH.ACTION`` arms a point for the operations of a
subject, which is ``KIND@POD-MANAGER`` or ``any``; it is gone once it fired.
The trace has a line for each point that fired, with the process and the
operation, and one for each change that was sent to hardware, with the epoch
of its sender.

``VALENCE_TEST_GUARDS_OFF`` names guards of Valence that are left out, see
:mod:`valence.tests.functional.unguarded`.
"""

import dataclasses
import importlib
import json
import os
import pathlib
import sys
import threading
import time
from typing import Any

import sqlalchemy as sa

from valence.common import faultpoints

#: Where the faults are, and the trace.
VARIABLE = 'VALENCE_TEST_FAULTS'
GUARDS = 'VALENCE_TEST_GUARDS_OFF'
TRACE = 'trace'
#: What a worker of the API serves once it is armed.
_TARGET = 'VALENCE_TEST_TARGET'

_act = faultpoints.reach
_now_at = threading.local()


class Faults:
    """The directory, as the test sees it."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self._trace = pathlib.Path(directory, TRACE)
        self._trace.touch()
        self._lock = threading.Lock()
        self._read = 0
        self._entries: list[dict[str, Any]] = []

    def arm(self, point: str, subject: str = 'any', nth: int = 1,
            action: str = 'kill') -> None:
        pathlib.Path(self.directory,
                     f'{point}.{subject}.{nth}.{action}').touch()

    def armed(self) -> list[str]:
        """What did not fire yet."""
        return sorted(name for name in os.listdir(self.directory)
                      if name.count('.') == 3)

    def disarm(self) -> None:
        for name in self.armed():
            pathlib.Path(self.directory, name).unlink(missing_ok=True)

    def trace(self) -> list[dict[str, Any]]:
        """What happened so far, in order; a line half written is left out.
        """
        with self._lock, self._trace.open('rb') as trace:
            trace.seek(self._read)
            whole = trace.read().rpartition(b'\n')[0]
            self._entries += map(json.loads, whole.splitlines())
            self._read += len(whole) + 1 if whole else 0
            return list(self._entries)

    def fired(self) -> list[dict[str, Any]]:
        return [entry for entry in self.trace() if entry['action']]


@dataclasses.dataclass(frozen=True)
class _At:
    """The operation that a thread is at."""

    operation: str
    kind: str
    pod_manager: str
    epoch: int = 0


def _reach(point: str) -> None:
    at = getattr(_now_at, 'value', None)
    action = _taken(point, f'{at.kind}@{at.pod_manager}' if at else 'any')
    if not action and point != 'K6':
        return
    line = json.dumps({
        'time': time.time(), 'pid': os.getpid(), 'point': point,
        'action': action, **(dataclasses.asdict(at) if at else {})})
    with open(os.path.join(os.environ[VARIABLE], TRACE), 'a') as trace:
        trace.write(line + '\n')
    if action:
        faultpoints.arm(f'{point}:1:{action}')
        _act(point)


def _taken(point: str, subject: str) -> str | None:
    """The action, if this passage is the one that is meant."""
    directory = os.environ[VARIABLE]
    for name in sorted(os.listdir(directory)):
        if name.count('.') != 3:
            continue
        wanted, of, nth, action = name.split('.')
        if wanted != point or of not in ('any', subject):
            continue
        path = os.path.join(directory, name)
        try:
            # Of several processes one succeeds.
            if nth == '1':
                os.unlink(path)
                return action
            os.rename(path, os.path.join(
                directory, f'{point}.{of}.{int(nth) - 1}.{action}'))
        except FileNotFoundError:
            continue
        return None
    return None


def _note_operations() -> None:
    """Let each thread of a conductor know what it works on."""
    from valence.conductor import engine, manager

    acquire, work = engine._acquire, engine.Engine._work
    run_operation = manager.ConductorManager.run_operation

    def acquired(conn: sa.Connection, uuid: str, *args: Any) -> Any:
        found = acquire(conn, uuid, *args)
        if isinstance(found, tuple):
            lease, operation = found[:2]
            _now_at.value = _At(uuid, operation['kind'],
                                operation['pod_manager_uuid'], lease.epoch)
        return found

    def worked(self: engine.Engine, job: engine.Job) -> None:
        _now_at.value = _At(job.uuid, job.operation['kind'],
                            job.operation['pod_manager_uuid'],
                            job.held.lease.epoch)
        work(self, job)

    def rung(self: manager.ConductorManager, context: Any,
             operation_uuid: str) -> None:
        _now_at.value = _read(operation_uuid)
        run_operation(self, context, operation_uuid)

    engine._acquire = acquired
    engine.Engine._work = worked
    manager.ConductorManager.run_operation = rung


def _read(uuid: str) -> _At:
    from oslo_config import cfg

    from valence.db import operations

    engine = sa.create_engine(cfg.CONF.database.connection,
                              poolclass=sa.NullPool)
    with engine.connect() as connection:
        columns = operations.OPERATIONS.c
        row = connection.execute(
            sa.select(columns.kind, columns.pod_manager_uuid)
            .where(columns.uuid == uuid)).one()
    return _At(uuid, row.kind, row.pod_manager_uuid)


def _arm() -> None:
    faultpoints.reach = _reach
    guards = os.environ.get(GUARDS)
    if guards:
        from valence.tests.functional import unguarded

        for name in guards.split(','):
            unguarded.GUARDS[name]()


def conductor(arguments: list[str]) -> int:
    import cotyledon

    import valence.cmd.conductor

    # A worker that dies early is not replaced at once, to spare a machine
    # where they all do. Here they are meant to.
    cotyledon.ServiceManager._slowdown_respawn_if_needed = (
        lambda self: None)
    _arm()
    _note_operations()
    return valence.cmd.conductor.main(arguments)


def api(arguments: list[str]) -> int:
    import granian

    import valence.cmd.api

    server = granian.Granian

    def serve(target: str, **options: Any) -> granian.Granian:
        os.environ[_TARGET] = target
        return server(f'{__spec__.name}:application', **options)

    granian.Granian = serve
    _arm()
    return valence.cmd.api.main(arguments)


def __getattr__(name: str) -> Any:
    # A worker of the API imports this module, by the name above.
    if name != 'application':
        raise AttributeError(name)
    _arm()
    module, _, attribute = os.environ[_TARGET].partition(':')
    return getattr(importlib.import_module(module), attribute)


if __name__ == '__main__':
    sys.exit({'conductor': conductor, 'api': api}[sys.argv[1]](sys.argv[2:]))
