# SPDX-License-Identifier: Apache-2.0
"""How is a node told what to boot from?

A boot override says the same thing however often it is sent.
"""

from valence.conductor.operations import hardware, power
from valence.conductor.operations.base import Failed, Kind, Outcome, Step, Task
from valence.drivers.base import Pending


def _set(task: Task) -> Outcome | Pending:
    return hardware.done(task.driver.set_boot(
        task.need_handle(), task.params['target'], task.params['enabled']))


def _verify(task: Task) -> Outcome:
    found = hardware.observe(task, task.need_handle())
    wanted = task.params['target'], task.params['enabled']
    if (found.boot_enabled != wanted[1]
            or (wanted[1] != 'Disabled' and found.boot_target != wanted[0])):
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
             recover=hardware.look_first,
             intent=lambda task: dict(task.params)),
        Step('verify', _verify, volatile=True),
    ),
    finish=power.write_back, fail=power.let_go)
