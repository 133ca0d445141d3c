# SPDX-License-Identifier: Apache-2.0
"""How does a node come to be? Join its devices, read them back, say so.

The claims were taken with the request. A composition carries the node's tag
from its first moment, so whoever carries on after a crash can find it; what
can carry none is written down before anything is made of it.
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
    jsonable,
)
from valence.db import inventory, nodes, operations
from valence.drivers.base import Handle, Pending, Spec


def _spec(task: Task) -> Spec:
    node = task.need_node()
    prepared = task.results.get('prepare', {}).get('handle')
    return Spec(tag=hardware.tag(task), name=node['name'],
                device_paths=tuple(task.params['device_paths']),
                zone_path=task.params['zone_path'],
                requirements=node['requirements'],
                prepared=Handle(**prepared) if prepared else None)


def _prepare(task: Task) -> Outcome:
    handle = task.driver.prepare(_spec(task))
    return {'handle': jsonable(handle)} if handle else {}


def _compose(task: Task) -> Outcome | Pending:
    return hardware.done(task.driver.compose(_spec(task)))


def _recover(task: Task, intent: Outcome) -> Any:
    if (hardware.is_safe_to_repeat(task, 'compose')
            or hardware.was_prepared(task)):
        return REDO
    handle = task.driver.find(intent['tag'])
    return hardware.done(task.driver.resume(handle)) if handle else REDO


def _verify(task: Task) -> Outcome:
    handle = hardware.locate(task)
    if handle is None:
        raise Failed('hardware_gone', 'the pod manager said that it composed '
                     'the node, but has no such system')
    found = hardware.observe(task, handle)
    if found.unfinished:
        # Some backends call it done a little too soon.
        raise NotYet(f'the system is not whole ({hardware.unfinished(found)}'
                     ')', delay=0.5, code='hardware_mismatch')
    hardware.require(found, found.device_paths if task.backend_chooses()
                     else task.params['device_paths'])
    task.found['hardware'] = found
    return {'power_state': found.power_state,
            'device_paths': sorted(found.device_paths)}


def _finish(conn: sa.Connection, task: Task) -> Outcome:
    node = task.need_node()
    found = task.found['hardware']
    nodes.end(conn, node['uuid'], task.operation['uuid'], 'compose',
              states.SUCCEEDED, state_reason=None, **hardware.columns(found))
    _claim_what_the_backend_chose(conn, task)
    inventory.set_device_states(conn, node['pod_manager_id'],
                                found.device_paths, 'used')
    return {'resource_path': found.handle.resource_path,
            **hardware.notes(task, 'compose')}


def _claim_what_the_backend_chose(conn: sa.Connection, task: Task) -> None:
    if not task.backend_chooses():
        return
    node = task.need_node()
    try:
        nodes.claim(conn, node['pod_manager_id'], node['id'],
                    task.operation['uuid'],
                    task.found['hardware'].device_paths)
    except nodes.ClaimTaken as error:
        raise Failed('device_in_use', 'the pod manager chose '
                     f'{error}, which belongs to another node') from error


def _fail(conn: sa.Connection, task: Task, code: str, message: str,
          undone: bool) -> None:
    """Without a rest on the hardware the claims are free again."""
    if task.node is None:
        return
    uuid, operation = task.node['uuid'], task.operation['uuid']
    if undone:
        nodes.unclaim(conn, task.node['id'])
        if task.held.desired == 'deleted':
            nodes.delete(conn, uuid, operation, 'compose', states.FAILED)
            return
    # What is left can only be released by what is known of it now.
    handle = None if undone else operations.recorded_handle(task.results)
    nodes.end(conn, uuid, operation, 'compose', states.FAILED,
              state_reason=message, **({'handle': handle} if handle else {}))


KIND = Kind(
    name='compose',
    steps=(
        Step('prepare', _prepare, applies=hardware.may_prepare),
        Step('compose', _compose, poll=hardware.poll, recover=_recover,
             mutation='compose',
             intent=lambda task: jsonable(_spec(task))),
        Step('verify', _verify, volatile=True),
    ),
    undo=(
        Step('undo:release', hardware.release, poll=hardware.poll,
             mutation='release', recover=hardware.look_first, tries=20),
        Step('undo:verify', hardware.absent, tries=20),
    ),
    finish=_finish, fail=_fail)
