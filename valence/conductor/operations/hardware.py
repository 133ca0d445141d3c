# SPDX-License-Identifier: Apache-2.0
"""What do the operations on a node's hardware have in common?"""

from collections.abc import Collection
from typing import Any

from valence.conductor import comparison
from valence.conductor.operations.base import (
    REDO,
    Failed,
    NotYet,
    Outcome,
    Task,
    jsonable,
)
from valence.db import operations
from valence.drivers.base import Done, Handle, NodeHardware, Pending, Safety

#: Where a reset leads, by Redfish ResetType (DSP0268). Those that are not
#: named here leave the system in the state that they found it in, so nobody
#: can tell from outside whether they happened.
POWER_AFTER = {
    'On': 'On', 'ForceOn': 'On', 'ForceOff': 'Off',
    'GracefulShutdown': 'Off',
}


def tag(task: Task) -> str:
    """What a node's composition carries on its backend: unique, for ever."""
    return comparison.tag_of(task.operation['node_uuid'])


def _known(task: Task) -> Handle | None:
    """The node's composition, as it was written down last."""
    recorded = operations.recorded_handle(task.results)
    return Handle(**recorded) if recorded else task.handle()


def locate(task: Task) -> Handle | None:
    """The node's composition, recorded, prepared or found by its tag."""
    known = _known(task)
    if known is None and task.pod_can('tags'):
        known = task.driver.find(tag(task))
    return known


def whereabouts(task: Task) -> Handle | None:
    """The node's composition where its backend has it by now.

    Some backends move what they have, and give its place to another.
    """
    return current(task, tag(task), _known(task))


def current(task: Task, tag: str, recorded: Handle | None
            ) -> Handle | None:
    """The composition as the backend has it now, wherever that is."""
    if recorded and not task.driver.tagged(recorded):
        return recorded
    if task.pod_can('tags'):
        return task.driver.find(tag)
    return recorded


def difference(wanted: Collection[str], joined: Collection[str]) -> str:
    """What is wrong with the devices of a system; empty if nothing is."""
    lacking = sorted(set(wanted) - set(joined))
    foreign = sorted(set(joined) - set(wanted))
    if not lacking and not foreign:
        return ''
    return (f'lacking: {", ".join(lacking) or "none"}; '
            f'not asked for: {", ".join(foreign) or "none"}')


def unfinished(found: NodeHardware) -> str:
    """Why a system is not whole; empty if it is."""
    return (f'the pod manager calls it {found.unfinished}'
            if found.unfinished else '')


def require(found: NodeHardware, wanted: Collection[str]) -> None:
    """See that a system is whole and has exactly these devices.

    :raises Failed: it is not
    """
    wrong = unfinished(found) or difference(wanted, found.device_paths)
    if wrong:
        raise Failed('hardware_mismatch',
                     f'the system is not as it should be ({wrong})')


def done(result: Pending | Done) -> Outcome | Pending:
    """The result of a driver's mutation as a step's outcome."""
    if isinstance(result, Pending):
        return result
    return {'handle': jsonable(result.handle)} if result.handle else {}


def is_safe_to_repeat(task: Task, mutation: str) -> bool:
    return task.driver.safety[mutation] == Safety.IDEMPOTENT


def may_prepare(task: Task) -> bool:
    """Whether nodes of the pod may be told by what is written down ahead."""
    return not task.pod_can('tags') or task.pod_can('expand')


def was_prepared(task: Task) -> bool:
    """Whether the node is told by what was written down ahead.

    Then to compose it, to attach and to detach goes on where it was left,
    and what the driver says of it has to be kept.
    """
    handle = _known(task)
    return handle is not None and not task.driver.tagged(handle)


def observe(task: Task, handle: Handle) -> NodeHardware:
    """Read a node back.

    :raises Failed: it is gone
    """
    hardware = task.driver.observe(handle)
    if hardware is None:
        raise Failed('hardware_gone',
                     f'{handle.resource_path} does not exist any more')
    return hardware


def release(task: Task) -> Outcome | Pending:
    handle = whereabouts(task)
    if handle is None:
        return {}
    return done(task.driver.release(handle))


def look_first(task: Task, intent: Outcome) -> Any:
    """For a call that may be sent again: it looks first, or says a state."""
    return REDO


def notes(task: Task, step: str) -> dict[str, Any]:
    """What a driver wants said of a step that it carried out."""
    handle = task.results.get(step, {}).get('handle') or {}
    told = (handle.get('extra') or {}).get('notes')
    return {'notes': told} if told else {}


def poll(task: Task, pending: Pending) -> Outcome | Pending:
    return done(task.driver.poll(pending))


def absent(task: Task) -> Outcome:
    """Read back that nothing of the node is left, wherever it was."""
    handle = whereabouts(task)
    if handle is None or task.driver.observe(handle) is None:
        return {}
    raise NotYet(f'{handle.resource_path} still exists')


def columns(hardware: NodeHardware) -> dict[str, Any]:
    """What a read-back says, as columns of the nodes table."""
    return {
        'resource_path': hardware.handle.resource_path,
        'handle': jsonable(hardware.handle),
        'power_state': hardware.power_state,
        'boot_target': hardware.boot_target,
        'boot_enabled': hardware.boot_enabled,
        'processor_cores': hardware.processor_cores,
        'processor_model': hardware.processor_model,
        'memory_mib': hardware.memory_mib,
        'details': dict(hardware.details),
    }
