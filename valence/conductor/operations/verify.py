# SPDX-License-Identifier: Apache-2.0
"""How does a node in error become active again? By a look at its hardware.

Nothing is changed on it. The node becomes active only if its system is whole
and has exactly the devices that it claims; else it stays in error, and says
what the difference is.
"""

import sqlalchemy as sa

from valence.common import states
from valence.conductor.operations import hardware
from valence.conductor.operations.base import Failed, Kind, Outcome, Step, Task
from valence.db import inventory, nodes


def _verify(task: Task) -> Outcome:
    handle = hardware.current(task, hardware.tag(task), task.handle())
    if handle is None:
        raise Failed('hardware_gone',
                     'the pod manager has no system of this node')
    found = hardware.observe(task, handle)
    hardware.require(found, task.params['device_paths'])
    task.found['hardware'] = found
    return {'power_state': found.power_state}


def _finish(conn: sa.Connection, task: Task) -> Outcome:
    node, found = task.need_node(), task.found['hardware']
    nodes.end(conn, node['uuid'], task.operation['uuid'], 'verify',
              states.SUCCEEDED, state_reason=None, **hardware.columns(found))
    inventory.set_device_states(conn, node['pod_manager_id'],
                                found.device_paths, 'used')
    return {'resource_path': found.handle.resource_path}


def _fail(conn: sa.Connection, task: Task, code: str, message: str,
          undone: bool) -> None:
    if task.node is not None:
        nodes.change(conn, task.node['uuid'], task.operation['uuid'],
                     state_reason=message, operation_uuid=None)


KIND = Kind(
    name='verify',
    steps=(Step('verify', _verify, volatile=True),),
    finish=_finish, fail=_fail)
