# SPDX-License-Identifier: Apache-2.0
"""How does a living node get another device, and give one back?

The claim is taken with the request to attach, and freed once a detach was
read back. A successor that finds either unfinished looks at the node.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from valence.common import states
from valence.conductor.operations import hardware, power
from valence.conductor.operations.base import (
    REDO,
    Kind,
    NotYet,
    Outcome,
    Step,
    Task,
    jsonable,
)
from valence.db import inventory, nodes, operations
from valence.drivers.base import Done, Handle, Pending

_Change = Callable[[Handle, str], Pending | Done]


def _path(task: Task) -> str:
    return str(task.params['device_path'])


def _handle(task: Task) -> Handle:
    """The node's, as the last change that was made of it left it."""
    for step in ('undo:detach', 'detach', 'attach'):
        recorded = task.results.get(step, {}).get('handle')
        if recorded:
            return Handle(**recorded)
    return task.need_handle()


def _has(task: Task) -> bool:
    found = hardware.observe(task, _handle(task))
    task.found['hardware'] = found
    return _path(task) in found.device_paths


def _prepare(task: Task) -> Outcome:
    """What the node may have, before anything is sent.

    It is what is known if nobody ever learns how the call ended.
    """
    handle = task.driver.joined(task.need_handle(), _path(task))
    return {'handle': jsonable(handle)} if handle else {}


def _attach(task: Task) -> Outcome | Pending:
    return hardware.done(
        task.driver.attach(task.need_handle(), _path(task)))


def _detach(task: Task) -> Outcome | Pending:
    if not _has(task):
        return _told(task, task.driver.detach)
    return hardware.done(
        task.driver.detach(_handle(task), _path(task)))


def _told(task: Task, change: _Change) -> Outcome | Pending:
    """The outcome of a change that has happened.

    Where the handle says what there is of the node, its driver gives the
    new one if it is asked again.
    """
    if not hardware.was_prepared(task):
        return {}
    return hardware.done(change(_handle(task), _path(task)))


def _recover_attach(task: Task, intent: Outcome) -> Any:
    return _told(task, task.driver.attach) if _has(task) else REDO


def _recover_detach(task: Task, intent: Outcome) -> Any:
    return REDO if _has(task) else _told(task, task.driver.detach)


def _attached(task: Task) -> Outcome:
    if not _has(task):
        raise NotYet(f'{_path(task)} is not part of the system yet')
    return {}


def _detached(task: Task) -> Outcome:
    if _has(task):
        raise NotYet(f'{_path(task)} is still part of the system')
    return {}


def _intent(task: Task) -> Outcome:
    return {'device_path': _path(task)}


def _finish_attach(conn: sa.Connection, task: Task) -> Outcome:
    inventory.set_device_states(conn, task.need_node()['pod_manager_id'],
                                [_path(task)], 'used')
    power.write_back(conn, task)
    return {'attached': _path(task), **hardware.notes(task, 'attach')}


def _finish_detach(conn: sa.Connection, task: Task) -> Outcome:
    _free(conn, task)
    power.write_back(conn, task)
    return {'detached': _path(task)}


def _fail_attach(conn: sa.Connection, task: Task, code: str, message: str,
                 undone: bool) -> None:
    if task.node is None:
        return
    if undone:
        nodes.unclaim(conn, task.node['id'], [_path(task)])
        power.let_go(conn, task, code, message, undone)
        return
    # Nobody knows whether the device is part of the node: it keeps it.
    handle = operations.recorded_handle(task.results)
    nodes.end(conn, task.node['uuid'], task.operation['uuid'], 'attach',
              states.FAILED, state_reason=message,
              **({'handle': handle} if handle else {}))


def _free(conn: sa.Connection, task: Task) -> None:
    node = task.need_node()
    nodes.unclaim(conn, node['id'], [_path(task)])
    inventory.set_device_states(conn, node['pod_manager_id'],
                                [_path(task)], 'free')


ATTACH = Kind(
    name='attach',
    steps=(
        Step('prepare', _prepare, applies=hardware.may_prepare),
        Step('attach', _attach, poll=hardware.poll, recover=_recover_attach,
             mutation='attach', intent=_intent),
        Step('verify', _attached, volatile=True),
    ),
    undo=(
        Step('undo:detach', _detach, poll=hardware.poll,
             recover=_recover_detach, mutation='detach', intent=_intent,
             tries=20),
        Step('undo:verify', _detached, tries=20),
    ),
    finish=_finish_attach, fail=_fail_attach)

DETACH = Kind(
    name='detach',
    steps=(
        Step('detach', _detach, poll=hardware.poll, recover=_recover_detach,
             mutation='detach', intent=_intent),
        Step('verify', _detached, volatile=True),
    ),
    finish=_finish_detach, fail=power.let_go)
