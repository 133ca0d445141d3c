# SPDX-License-Identifier: Apache-2.0
"""How does a node go? Power it off, take it apart, read back that it is gone.

Only that read-back frees the claims.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from valence.common import states
from valence.conductor.operations import hardware
from valence.conductor.operations.base import (
    REDO,
    Kind,
    NotYet,
    Outcome,
    Step,
    Task,
)
from valence.db import inventory, nodes
from valence.drivers.base import Done, Pending, Refused, Unsupported


def _look(task: Task) -> Outcome:
    """The power state, and what would switch it off; both may be None."""
    handle = hardware.whereabouts(task)
    found = task.driver.observe(handle) if handle else None
    if found is None:
        return {'power_state': None, 'reset': None}
    resets = found.allowed_resets or task.driver.capabilities.reset_types
    return {'power_state': found.power_state,
            'reset': 'ForceOff' if 'ForceOff' in resets else None}


def _power_off(task: Task) -> Outcome | Pending:
    """Not every backend takes a running system apart.

    Nor can every system be switched off; then the backend has to decide.
    """
    looked = task.results['look']
    handle = (hardware.whereabouts(task)
              if looked['power_state'] == 'On' and looked['reset'] else None)
    if handle is None:
        return {}
    return _if_allowed(lambda: task.driver.set_power(
        handle, looked['reset']))


def _poll_power_off(task: Task, pending: Pending) -> Outcome | Pending:
    return _if_allowed(lambda: task.driver.poll(pending))


def _if_allowed(call: Callable[[], Pending | Done]) -> Outcome | Pending:
    try:
        told = call()
    except (Refused, Unsupported) as error:
        return {'refused': str(error)}
    return told if isinstance(told, Pending) else {'sent': True}


def _recover_power_off(task: Task, intent: Outcome) -> Any:
    return REDO if _look(task)['power_state'] == 'On' else {}


def _wait_off(task: Task) -> Outcome:
    if (task.results['power_off'].get('sent')
            and _look(task)['power_state'] == 'On'):
        raise NotYet('the system is not off yet', delay=0.5)
    return {}


def _finish(conn: sa.Connection, task: Task) -> Outcome | None:
    if task.node is None:
        return None
    paths = nodes.unclaim(conn, task.node['id'])
    inventory.set_device_states(conn, task.node['pod_manager_id'], paths,
                                'free')
    nodes.delete(conn, task.node['uuid'], task.operation['uuid'], 'release',
                 states.SUCCEEDED)
    return {'released': paths}


def _fail(conn: sa.Connection, task: Task, code: str, message: str,
          undone: bool) -> None:
    if task.node is not None:
        nodes.end(conn, task.node['uuid'], task.operation['uuid'], 'release',
                  states.FAILED, state_reason=message)


KIND = Kind(
    name='release',
    steps=(
        Step('look', _look),
        Step('power_off', _power_off, poll=_poll_power_off,
             recover=_recover_power_off, mutation='set_power'),
        Step('wait_off', _wait_off, tries=60),
        # A release is repeated safely: it looks for the composition first.
        Step('release', hardware.release, poll=hardware.poll,
             recover=hardware.look_first, mutation='release'),
        Step('verify', hardware.absent, tries=20),
    ),
    finish=_finish, fail=_fail)
