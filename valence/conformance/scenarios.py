# SPDX-License-Identifier: Apache-2.0
"""What are the mutations, and how is it seen whether one has happened?"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from valence.common.devices import DeviceState
from valence.conductor.operations.hardware import POWER_AFTER
from valence.conformance import inventory, values
from valence.conformance.case import Case
from valence.drivers import base


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One mutation that is about to be made.

    :param run: makes it by the given driver
    :param happened: whether it has, as a new process sees it; a DriverError
        of a look that could not tell may come out
    :param clean: puts the backend back as it was
    :param go_on: finishes what was begun, as a successor does
    """

    name: str
    run: Callable[[base.Driver], base.Pending | base.Done]
    happened: Callable[[], bool]
    clean: Callable[[], None]
    go_on: Callable[[], None]
    #: Whether "it has not happened" is a promise for the future.
    final: bool = False


class Scenarios(Case):
    """Makes a scenario of each mutation that the driver promises."""

    def some_system(self) -> base.Handle:
        """A composed node, or a whole system where nothing is composed."""
        if self.driver.capabilities.compose and self.able.compose:
            return self.compose()
        systems = self.connect().discover().systems
        if not systems:
            self.skipTest('the backend under test has no system')
        return base.Handle(systems[0].resource_path)

    def look(self, handle: base.Handle) -> base.NodeHardware:
        found = self.connect().observe(values.restored(handle))
        if found is None:
            self.violated('observe', 'observe gave None of a system that is '
                          'there')
        for flaw in inventory.hardware_flaws(found):
            self.violated('inventory_fits', flaw)
        return found

    def other_device(self, handle: base.Handle) -> str:
        """A free device that can be attached to a node."""
        found = self.connect().discover()
        parts = set(self.look(handle).device_paths)
        zones = {zone for one in found.devices
                 if one.resource_path in parts for zone in one.zone_paths}
        fits = [one.resource_path for one in found.devices
                if one.pooled and one.state == DeviceState.FREE
                and one.type != 'compute'
                and (not zones or zones & set(one.zone_paths))]
        if not fits:
            self.violated('vocabulary', 'no free pooled device is in a zone '
                          'of the node; give a larger backend, or override '
                          'other_device')
        return fits[0]

    def scenarios(self, name: str) -> Iterator[Scenario]:
        """Fresh scenarios of one mutation, one after the other."""
        make: dict[str, tuple[str, Callable[[], Scenario]]] = {
            'compose': ('compose', self._compose),
            'release': ('compose', self._release),
            'set_power': ('reset_types', self._set_power),
            'set_boot': ('boot_targets', self._set_boot),
            'attach': ('attach', self._attach),
            'detach': ('attach', self._detach),
        }
        capability, maker = make[name]
        self.need(capability)
        while True:
            yield maker()

    def _drop(self, handle: base.Handle | None) -> None:
        if handle is not None and self.able.compose:
            self.release(handle)

    def _compose(self) -> Scenario:
        spec = self.new_spec()

        def go_on() -> None:
            found = self.look(self.go_on(spec))
            if (spec.device_paths and set(found.device_paths)
                    != set(spec.device_paths)):
                self.violated('resume', 'a successor that went on with the '
                              f'composition got {found.device_paths}')

        return Scenario(
            'compose', lambda driver: driver.compose(spec),
            lambda: self.locate(spec) is not None,
            lambda: self._drop(self.locate(spec)), go_on, final=True)

    def _again(self, name: str, run: Callable[[base.Driver], Any],
               happened: Callable[[], bool],
               handle: base.Handle) -> Scenario:
        """A mutation that a successor makes once more if it did not happen.
        """
        def go_on() -> None:
            if not happened():
                self.must('at_most_once', f'{name} by a successor',
                          lambda: self.finish(run(self.connect())))

        return Scenario(name, run, happened, lambda: self._drop(handle),
                        go_on)

    def _release(self) -> Scenario:
        handle = self.compose()
        return self._again(
            'release', lambda driver: driver.release(handle),
            lambda: self.connect().observe(handle) is None,
            handle)

    def _set_power(self) -> Scenario:
        handle = self.some_system()
        found = self.look(handle)
        resets = [reset for reset in ('On', 'ForceOff', 'ForceOn')
                  if reset in (found.allowed_resets or self.able.reset_types)
                  and POWER_AFTER[reset] != found.power_state]
        if not resets:
            self.skipTest('no reset that can be seen is promised')
        return self._again(
            'set_power', lambda driver: driver.set_power(handle, resets[0]),
            lambda: self.look(handle).power_state == POWER_AFTER[resets[0]],
            handle)

    def _set_boot(self) -> Scenario:
        handle = self.some_system()
        found = self.look(handle)
        targets = [one for one in (found.allowed_boot_targets
                                   or self.able.boot_targets)
                   if one not in ('None', found.boot_target)]
        if not targets:
            self.skipTest('no boot target that can be seen is promised')
        return self._again(
            'set_boot',
            lambda driver: driver.set_boot(handle, targets[0], 'Once'),
            lambda: self.look(handle).boot_target == targets[0],
            handle)

    def _attach(self) -> Scenario:
        handle = self.some_system()
        path = self.other_device(handle)
        return self._again(
            'attach', lambda driver: driver.attach(handle, path),
            lambda: path in self.look(handle).device_paths,
            handle)

    def _detach(self) -> Scenario:
        handle = self.some_system()
        path = self.other_device(handle)
        self.finish(self.connect().attach(handle, path))
        return self._again(
            'detach', lambda driver: driver.detach(handle, path),
            lambda: path not in self.look(handle).device_paths,
            handle)
