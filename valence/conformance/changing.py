# SPDX-License-Identifier: Apache-2.0
"""Do power, boot and the devices of a running node change as told?"""

import functools
from typing import Any

from valence.common.devices import DeviceState
from valence.conductor.operations.hardware import POWER_AFTER
from valence.conformance.declared import METHODS
from valence.conformance.scenarios import Scenarios
from valence.drivers import base

_SAYS_NO = (base.Refused, base.Unsupported)


class ChangingTests(Scenarios):

    def test_power(self) -> None:
        self.need('reset_types')
        handle = self.some_system()
        tried = 0
        for reset in ('On', 'ForceOff', 'ForceOn', 'GracefulShutdown'):
            allowed = self.look(handle).allowed_resets
            if reset not in self.able.reset_types or (
                    allowed and reset not in allowed):
                continue
            tried += 1
            self.finish(self.connect().set_power(handle, reset))
            target = POWER_AFTER[reset]
            self.until('power', f'the system is {target} after {reset}',
                       functools.partial(self._is, handle, target))
        if not tried:
            self.skipTest('no reset with a known outcome is promised')

    def test_a_reset_that_there_is_not(self) -> None:
        self.need('reset_types')
        handle = self.some_system()
        self._says_no('power', lambda driver: driver.set_power(
            handle, 'Dance'), 'the reset Dance')

    def test_boot(self) -> None:
        self.need('boot_targets')
        handle = self.some_system()
        allowed = self.look(handle).allowed_boot_targets
        targets = [one for one in self.able.boot_targets
                   if one != 'None' and (not allowed or one in allowed)][:3]
        if not targets:
            self.skipTest('no boot target is promised and allowed')
        for target in targets:
            for _ in range(2):          # the same twice is the same
                self.finish(self.connect().set_boot(handle, target, 'Once'))
            found = self.look(handle)
            if (found.boot_target, found.boot_enabled) != (target, 'Once'):
                self.violated('boot', f'boot from {target} Once was Done, but '
                              f'the system shows {found.boot_target} '
                              f'{found.boot_enabled}')
        self.finish(self.connect().set_boot(handle, targets[0], 'Disabled'))
        if self.look(handle).boot_enabled != 'Disabled':
            self.violated('boot', 'the override was Disabled, but the system '
                          f'shows {self.look(handle).boot_enabled}')

    def test_a_boot_target_that_there_is_not(self) -> None:
        self.need('boot_targets')
        handle = self.some_system()
        self._says_no('boot', lambda driver: driver.set_boot(
            handle, 'Moon', 'Once'), 'boot from the Moon')

    def test_attach_and_detach(self) -> None:
        self.need('attach')
        handle = self.some_system()
        before = self.look(handle).device_paths
        path = self.other_device(handle)
        for turn in ('once', 'again'):
            self._idempotent(f'attach {turn}', turn == 'again',
                             lambda: self.connect().attach(handle, path))
            parts = self.look(handle).device_paths
            if sorted(parts) != sorted((*before, path)):
                self.violated('attach', f'after attach {turn} of {path} the '
                              f'node has {parts}')
        self._state(path, DeviceState.USED)
        for turn in ('once', 'again'):
            self._idempotent(f'detach {turn}', turn == 'again',
                             lambda: self.connect().detach(handle, path))
            parts = self.look(handle).device_paths
            if sorted(parts) != sorted(before):
                self.violated('attach', f'after detach {turn} of {path} the '
                              f'node has {parts}')
        self._state(path, DeviceState.FREE)

    def test_a_device_of_another_node_is_not_attached(self) -> None:
        self.need('attach')
        self.need('compose')
        handle, other = self.compose(), self.compose()
        theirs = self.look(other).device_paths
        self._says_no('refused', lambda driver: driver.attach(
            handle, theirs[-1]), 'attach of a device of another node',
            more=(base.Busy,))
        if self.look(other).device_paths != theirs:
            self.violated('refused', 'the other node lost its device')

    def test_a_system_that_is_not_there(self) -> None:
        calls: dict[str, Any] = {
            'reset_types': lambda driver, handle: driver.set_power(
                handle, (*self.able.reset_types, 'On')[0]),
            'boot_targets': lambda driver, handle: driver.set_boot(
                handle, (*self.able.boot_targets, 'Pxe')[0], 'Once')}
        self.need('compose')
        handle = self.compose()
        self.release(handle)
        for capability, call in calls.items():
            if getattr(self.able, capability):
                self._says_no('refused', functools.partial(
                    call, handle=handle), f'{METHODS[capability][0]} of a '
                    'system that is gone')

    def test_what_is_not_promised_is_unsupported(self) -> None:
        """And that before anything is sent that changes something."""
        proxy = self.proxy()
        driver = self.connect(self.through(proxy))
        driver.identify()
        before = len(proxy.requests)
        handle = base.Handle('/nothing')
        calls: dict[str, Any] = {
            'compose': (('compose', lambda: driver.compose(
                            base.Spec('valence-x', 'x', ('/nothing',)))),
                        ('release', lambda: driver.release(handle))),
            'tags': (('find', lambda: driver.find('valence-x')),),
            'attach': (('attach', lambda: driver.attach(handle, '/x')),
                       ('detach', lambda: driver.detach(handle, '/x'))),
            'reset_types': (('set_power', lambda: driver.set_power(
                handle, 'On')),),
            'boot_targets': (('set_boot', lambda: driver.set_boot(
                handle, 'Pxe', 'Once')),)}
        left_out = 0
        for capability, methods in calls.items():
            if getattr(self.driver.capabilities, capability):
                continue
            for name, call in methods:
                left_out += 1
                self.raises('unsupported', f'{name}, which is not promised,',
                            call, base.Unsupported)
        for request in proxy.requests[before:]:
            if self.changes(request):
                self.violated('unsupported', f'what is not promised sent '
                              f'{request}')
        if not left_out:
            self.skipTest('the driver promises everything')

    # Helpers

    def _is(self, handle: base.Handle, power_state: str) -> bool:
        return self.look(handle).power_state == power_state

    def _says_no(self, rule: str, call: Any, what: str,
                 more: tuple[type[base.DriverError], ...] = ()) -> None:
        effects = self.effects()

        def carry_out() -> Any:
            return self.finish(call(self.connect()))

        self.raises(rule, what, carry_out, *_SAYS_NO, *more)
        if self.effects() != effects:
            self.violated('refused', f'{what} was refused, but the backend '
                          'saw a change')

    def _idempotent(self, what: str, again: bool, call: Any) -> None:
        effects = self.effects()
        outcome = self.tries(lambda: self.finish(call()))
        if not isinstance(outcome, base.Done) and not (
                again and isinstance(outcome, base.Refused)):
            self.violated('attach', f'{what} raised {outcome!r}')
        if again and self.effects() != effects:
            self.violated('attach', f'{what} changed the backend once more')

    def _state(self, path: str, state: DeviceState) -> None:
        for one in self.connect().discover().devices:
            if one.resource_path == path and one.state != state:
                self.violated('attach', f'{path} is {one.state} in the '
                              f'inventory, not {state}')
