# SPDX-License-Identifier: Apache-2.0
"""How does a living node get another device, and give one back?

The claim is taken with the request to attach, and freed once a detach was
read back. A successor that finds either unfinished looks at the node.
"""

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
)
from valence.db import inventory, nodes
from valence.drivers.base import Pending


def _path(task: Task) -> str:
    return str(task.params['device_path'])


def _has(task: Task) -> bool:
    found = hardware.observe(task, task.need_handle())
    task.found['hardware'] = found
    return _path(task) in found.device_paths


def _attach(task: Task) -> Outcome | Pending:
    return hardware.done(
        task.driver.attach(task.need_handle(), _path(task)))


def _detach(task: Task) -> Outcome | Pending:
    if not _has(task):
        return {}
    return hardware.done(
        task.driver.detach(task.need_handle(), _path(task)))


def _recover_attach(task: Task, intent: Outcome) -> Any:
    return {} if _has(task) else REDO


def _recover_detach(task: Task, intent: Outcome) -> Any:
    return REDO if _has(task) else {}


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
    nodes.end(conn, task.node['uuid'], task.operation['uuid'], 'attach',
              states.FAILED, state_reason=message)


def _free(conn: sa.Connection, task: Task) -> None:
    node = task.need_node()
    nodes.unclaim(conn, node['id'], [_path(task)])
    inventory.set_device_states(conn, node['pod_manager_id'],
                                [_path(task)], 'free')


ATTACH = Kind(
    name='attach',
    steps=(
        Step('attach', _attach, poll=hardware.poll, recover=_recover_attach,
             intent=_intent),
        Step('verify', _attached, volatile=True),
    ),
    undo=(
        Step('undo:detach', _detach, poll=hardware.poll,
             recover=_recover_detach, intent=_intent, tries=20),
        Step('undo:verify', _detached, tries=20),
    ),
    finish=_finish_attach, fail=_fail_attach)

DETACH = Kind(
    name='detach',
    steps=(
        Step('detach', _detach, poll=hardware.poll, recover=_recover_detach,
             intent=_intent),
        Step('verify', _detached, volatile=True),
    ),
    finish=_finish_detach, fail=power.let_go)
