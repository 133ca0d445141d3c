# SPDX-License-Identifier: Apache-2.0
"""How is a node powered on, off, or reset?

Where a reset leads to a known power state, a successor that finds it
unfinished looks at that state. A restart leaves the state as it was, so
whether it happened cannot be told, and it is not sent twice: the operation
fails and says so, and the node is in error until somebody has looked.
"""

from typing import Any

import sqlalchemy as sa

from valence.common import states
from valence.conductor.operations import hardware
from valence.conductor.operations.base import (
    REDO,
    Failed,
    Kind,
    NotYet,
    Outcome,
    Step,
    Task,
)
from valence.db import nodes
from valence.drivers.base import Pending

#: What an operation is known by, of its parameters.
_TOLD = ('reset_type', 'target', 'enabled', 'device_path')


def _target(task: Task) -> str | None:
    return hardware.POWER_AFTER.get(task.params['reset_type'])


def _before(task: Task) -> Outcome:
    """What is there before the call, and whether a call is needed."""
    reset = task.params['reset_type']
    found = hardware.observe(task, task.need_handle())
    if found.allowed_resets and reset not in found.allowed_resets:
        raise Failed('unsupported', f'the system does not support {reset}; '
                     f'it supports {", ".join(found.allowed_resets)}')
    return {'power_state': found.power_state}


def _reset(task: Task) -> Outcome | Pending:
    if task.results['look']['power_state'] == _target(task):
        return {'sent': False}
    return hardware.done(task.driver.set_power(
        task.need_handle(), task.params['reset_type']))


def _recover(task: Task, intent: Outcome) -> Any:
    if hardware.is_safe_to_repeat(task, 'set_power'):
        return REDO
    target = _target(task)
    if target is None:
        if task.unsent:
            return REDO
        raise Failed('ambiguous', f'{task.params["reset_type"]} was sent, or '
                     'was about to be, when its conductor failed; look at '
                     'the node before sending it again')
    found = hardware.observe(task, task.need_handle())
    return {} if found.power_state == target else REDO


def _wait(task: Task) -> Outcome:
    found = hardware.observe(task, task.need_handle())
    target = _target(task)
    if target and found.power_state != target:
        raise NotYet(f'the system is {found.power_state}, not {target} yet',
                     delay=0.5)
    task.found['hardware'] = found
    return {'power_state': found.power_state}


def write_back(conn: sa.Connection, task: Task) -> Outcome:
    """The node as it was read back; the operation lets go of it."""
    node = task.need_node()
    nodes.change(conn, node['uuid'], task.operation['uuid'],
                 operation_uuid=None,
                 **hardware.columns(task.found['hardware']))
    found = task.found['hardware']
    return {'power_state': found.power_state,
            'boot_target': found.boot_target,
            'boot_enabled': found.boot_enabled}


def let_go(conn: sa.Connection, task: Task, code: str, message: str,
           undone: bool) -> None:
    """What fails and has changed nothing leaves the node as it is.

    It is in error where its hardware is gone, or may have been changed and
    was not read back.
    """
    if task.node is None:
        return
    uuid, operation = task.node['uuid'], task.operation
    if task.in_doubt and code != 'hardware_gone':
        what = ' '.join(str(task.params[name]) for name in _TOLD
                        if name in task.params)
        message = (f'{operation["kind"]} ({what}) may have taken effect, and '
                   f'was not read back: {message}')
    if code == 'hardware_gone' or task.in_doubt:
        nodes.end(conn, uuid, operation['uuid'], operation['kind'],
                  states.FAILED, state_reason=message)
    else:
        nodes.change(conn, uuid, operation['uuid'], operation_uuid=None)


KIND = Kind(
    name='power',
    steps=(
        Step('look', _before),
        Step('reset', _reset, poll=hardware.poll, recover=_recover,
             mutation='set_power',
             intent=lambda task: {'reset_type': task.params['reset_type'],
                                  **task.results['look']}),
        Step('wait', _wait, volatile=True, tries=120),
    ),
    finish=write_back, fail=let_go)
