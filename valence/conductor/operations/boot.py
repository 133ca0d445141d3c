# SPDX-License-Identifier: Apache-2.0
"""How is a node told what to boot from?

A boot override says the same thing however often it is sent. Where the driver
does not want it repeated, a successor looks at what is set.
"""

from typing import Any

from valence.conductor.operations import hardware, power
from valence.conductor.operations.base import (
    REDO,
    Failed,
    Kind,
    Outcome,
    Step,
    Task,
)
from valence.drivers.base import NodeHardware, Pending


def _set(task: Task) -> Outcome | Pending:
    return hardware.done(task.driver.set_boot(
        task.need_handle(), task.params['target'], task.params['enabled']))


def _is_set(task: Task, found: NodeHardware) -> bool:
    target, enabled = task.params['target'], task.params['enabled']
    return found.boot_enabled == enabled and (
        enabled == 'Disabled' or found.boot_target == target)


def _recover(task: Task, intent: Outcome) -> Any:
    if hardware.is_safe_to_repeat(task, 'set_boot'):
        return REDO
    found = hardware.observe(task, task.need_handle())
    return {} if _is_set(task, found) else REDO


def _verify(task: Task) -> Outcome:
    found = hardware.observe(task, task.need_handle())
    if not _is_set(task, found):
        raise Failed('hardware_mismatch',
                     'the pod manager accepted the boot override, but the '
                     f'system says {found.boot_enabled} '
                     f'{found.boot_target}')
    task.found['hardware'] = found
    return {'target': found.boot_target, 'enabled': found.boot_enabled}


KIND = Kind(
    name='boot',
    steps=(
        Step('set', _set, poll=hardware.poll,
             recover=_recover, mutation='set_boot',
             intent=lambda task: dict(task.params)),
        Step('verify', _verify, volatile=True),
    ),
    finish=power.write_back, fail=power.let_go)
