# SPDX-License-Identifier: Apache-2.0
"""Does a node come to be, show what it is, and go without a rest?

Every call is made by a new instance, as a process would that has just
started; what is pending goes through JSON between two polls.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from valence.common.devices import DeviceState
from valence.conformance import inventory, values
from valence.conformance.case import Case
from valence.drivers import base

#: What says no: and not that nobody knows.
NO = (base.Refused, base.Busy, base.Unsupported)


class LifetimeTests(Case):

    def test_compose_observe_find_release(self) -> None:
        self.need('compose')
        before = self.connect().discover()
        effects = self.effects()
        spec = self.new_spec()
        self._not_found(spec.tag)
        handle = self.compose(spec)
        self.check_observed(spec, handle)
        self.check_found(spec, handle)
        self.check_inventory(spec, handle)
        if effects is not None and self.effects() == effects:
            self.violated('compose', 'compose was Done, but the backend saw '
                          'no change')

        effects = self.effects()
        self.release(handle)
        self.until('release', 'observe gives None after the release',
                   lambda: self.connect().observe(handle) is None)
        self._not_found(spec.tag)
        if effects is not None and self.effects() == effects:
            self.violated('release', 'release was Done, but the backend saw '
                          'no change')
        after = self.connect().discover()
        if after != before:
            self.violated('release', 'the inventory after the release is not '
                          'that before the compose')

    def test_any_call_may_be_the_first(self) -> None:
        self.need('compose')
        spec = self.new_spec()
        used = self.connect()
        done = self.finish(used.compose(spec), used)
        handle = done.handle
        if handle is None:
            self.violated('compose', 'compose ended as Done without a handle')
        calls: dict[str, Callable[[base.Driver], Any]] = {
            'identify': lambda driver: driver.identify(),
            'discover': lambda driver: driver.discover(),
            'observe': lambda driver: driver.observe(handle)}
        if self.able.tags:
            calls['find'] = lambda driver: driver.find(spec.tag)
        for name, call in calls.items():
            mine = self.tries(functools.partial(call, used))
            first = self.tries(functools.partial(call, self.connect()))
            if mine != first:
                self.violated('no_state', f'{name} gave {first!r:.300} to a '
                              'new instance, and to the one that composed '
                              f'the node {mine!r:.300}')
        self.release(handle)

    def test_prepare_changes_nothing(self) -> None:
        self.need('compose')
        effects = self.effects()
        proxy = self.proxy()
        spec = dataclasses.replace(self.new_spec(), prepared=None)
        driver = self.connect(self.through(proxy))
        driver.identify()
        before = len(proxy.requests)
        handle = driver.prepare(spec)
        for request in proxy.requests[before:]:
            if self.changes(request):
                self.violated('prepare', f'prepare sent {request}')
        if handle is None:
            return
        self.check(handle)
        if self.connect().observe(values.restored(handle)) is not None:
            self.violated('prepare', 'observe sees a node that was only '
                          'prepared')
        self.release(handle)
        if self.effects() != effects:
            self.violated('prepare', 'the release of a node that was only '
                          'prepared changed the backend')

    def test_a_composition_that_was_found_is_gone_on_with(self) -> None:
        """Its maker died after the backend said that it was done."""
        self.need('compose')
        spec = self.new_spec()
        self.compose(spec)
        effects = self.effects()
        handle = self.go_on(spec)
        self.check_observed(spec, handle)
        if self.effects() != effects:
            self.violated('resume', 'to go on with what was whole changed '
                          'the backend')
        self.release(handle)

    def test_a_composition_is_cancelled_or_whole(self) -> None:
        """And to cancel what has ended changes nothing."""
        self.need('compose')
        before = self.connect().discover()
        spec = self.new_spec()
        outcome = self.connect().compose(spec)
        pending: Any = outcome if isinstance(
            outcome, base.Pending) else self.skipTest(
                'the backend under test composes at once')
        self._cancel(pending)
        ended = self.tries(lambda: self.finish(pending))
        handle = self.locate(spec)
        if isinstance(ended, base.Done) and handle is None:
            self.violated('cancel', 'the composition ended as Done after a '
                          'cancel, but there is no node')
        if handle is not None:
            effects = self.effects()
            self._cancel(pending)
            if self.effects() != effects or (
                    self.connect().observe(values.restored(handle)) is None):
                self.violated('cancel', 'to cancel what had ended changed '
                              'the backend')
            self.release(handle)
        self.until(
            'cancel', 'the inventory after a composition that was cancelled '
            f'({ended!r:.200}) is that before it',
            lambda: self.connect().discover() == before)

    def test_release_again_changes_nothing(self) -> None:
        self.need('compose')
        handle = self.compose()
        self.release(handle)
        effects = self.effects()
        self.release(handle)
        if self.effects() != effects:
            self.violated('release', 'the second release changed the backend')

    def test_no_tag_is_found_that_is_not_there(self) -> None:
        self.need('tags')
        self._not_found('valence-00000000-0000-4000-8000-000000000000')
        if not self.driver.capabilities.compose or not self.able.compose:
            return
        spec = self.new_spec()
        handle = self.compose(spec)
        for tag in (spec.tag[:-1], spec.tag + 'x', spec.tag.upper()):
            self._not_found(tag)
        self.release(handle)

    def test_two_nodes_are_told_apart(self) -> None:
        self.need('compose')
        first = self.new_spec()
        handle = self.compose(first)
        second = self.new_spec()
        other = self.compose(second)
        if handle.resource_path == other.resource_path:
            self.violated('compose', 'two nodes have one resource path')
        self.check_found(first, handle)
        self.check_found(second, other)
        self.release(handle)
        self.check_observed(second, other)
        self.release(other)

    def test_a_used_device_is_refused(self) -> None:
        self.need('compose')
        self._need_choice()
        spec = self.new_spec()
        handle = self.compose(spec)
        other = dataclasses.replace(spec, tag=f'{spec.tag[:-4]}othr')
        self._refused(other, 'compose of devices in use')
        self.check_observed(spec, handle)
        self.release(handle)

    def test_an_unknown_device_is_refused(self) -> None:
        self.need('compose')
        self._need_choice()
        spec = self.new_spec()
        path = spec.device_paths[0] + '-no-such'
        self._refused(dataclasses.replace(
            spec, device_paths=(*spec.device_paths, path)),
            'compose with a device that does not exist')
        for one in self.connect().discover().devices:
            if (one.resource_path in spec.device_paths
                    and one.state != DeviceState.FREE):
                self.violated('refused', f'{one.resource_path} is {one.state}'
                              ' after a compose that was refused')

    def test_any_name_of_a_node(self) -> None:
        """The name is the user's: up to 255 characters of any kind."""
        self.need('compose')
        for name in ('x' * 255,
                     'Kn\u00f6chel \u7bc0\u70b9 "<&>\'\\ \U0001f41d'):
            spec = self.new_spec(name=name)
            outcome = self.tries(functools.partial(self._composed, spec))
            if isinstance(outcome, base.Handle):
                self.release(outcome)
            elif not isinstance(outcome, base.Refused):
                self.violated('compose', f'a node named {name!r:.60} raised '
                              f'{outcome!r}')

    def test_what_is_not_composed_is_not_released(self) -> None:
        self.need('compose')
        whole = [one for one in self.connect().discover().systems
                 if not one.composed]
        if not whole:
            self.skipTest('the backend under test has no whole system')
        effects = self.effects()
        handle = base.Handle(whole[0].resource_path)
        self.raises('release', 'the release of a whole system',
                    lambda: self.finish(self.connect().release(handle)),
                    *NO)
        if self.effects() != effects:
            self.violated('release', 'the refused release of a whole system '
                          'changed the backend')

    def test_what_is_not_there_is_not_observed(self) -> None:
        self.need('compose')
        handle = self.compose()
        self.release(handle)
        found = self.connect().observe(handle)
        if found is not None:
            self.violated('observe', f'observe gave {found!r} of a system '
                          'that is gone')

    # What the tests look at; an author may override

    def check_observed(self, spec: base.Spec, handle: base.Handle) -> None:
        """A node is made of what was asked for."""
        found = self.connect().observe(values.restored(handle))
        if found is None:
            self.violated('observe', 'observe gave None of a composed node')
        for flaw in inventory.hardware_flaws(found):
            self.violated('inventory_fits', flaw)
        if found.unfinished:
            self.violated('observe', 'observe calls a composed node '
                          f'{found.unfinished}: it would be taken apart')
        self.check(found.handle)
        if found.handle.resource_path != handle.resource_path:
            self.violated('observe', f'observe of {handle.resource_path} has '
                          f'the handle of {found.handle.resource_path}')
        if self.connect().observe(values.restored(found.handle)) is None:
            self.violated('observe', 'the handle that observe gave is '
                          'not found; the conductor goes on with that one')
        joined = set(found.device_paths)
        wanted = set(spec.device_paths)
        if (self.able.allocation == base.Allocation.VALENCE
                and joined != wanted):
            self.violated('compose', f'the node has {sorted(joined)}, not '
                          f'{sorted(wanted)}')

    def check_found(self, spec: base.Spec, handle: base.Handle) -> None:
        """The tag leads to the node."""
        if not self.able.tags:
            return
        found = self.connect().find(spec.tag)
        if found is None:
            self.violated('tag', f'find({spec.tag!r}) gave None of a node '
                          'that was composed with it')
        self.check(found)
        if found.resource_path != handle.resource_path:
            self.violated('tag', f'find gave {found.resource_path}, compose '
                          f'{handle.resource_path}')
        if self.connect().observe(values.restored(found)) is None:
            self.violated('tag', 'the handle that find gave is not found')

    def check_inventory(self, spec: base.Spec, handle: base.Handle) -> None:
        """The inventory shows the node and that its devices are in use."""
        found = self.connect().discover()
        hardware = self.connect().observe(handle)
        parts = set(hardware.device_paths if hardware else ())
        for device in found.devices:
            if device.resource_path in parts and (
                    device.state != DeviceState.USED):
                self.violated('vocabulary', f'{device.resource_path} is part '
                              f'of a node but {device.state}, not used')
        for system in found.systems:
            if system.resource_path != handle.resource_path:
                continue
            if not system.composed:
                self.violated('vocabulary', 'the system of the node is not '
                              'composed=True')
            if set(system.device_paths) != parts:
                self.violated('vocabulary', 'the system of the node has '
                              f'{system.device_paths}, observe '
                              f'{sorted(parts)}')
            if self.able.tags and system.tag != spec.tag:
                self.violated('tag', f'the system of the node has the tag '
                              f'{system.tag!r}, compose was given '
                              f'{spec.tag!r}')
            return
        self.violated('complete', f'{handle.resource_path} is not among the '
                      'systems of the inventory')

    # Helpers

    def _not_found(self, tag: str) -> None:
        if not self.able.tags:
            return
        found = self.connect().find(tag)
        if found is not None:
            self.violated('tag', f'find({tag!r}) gave {found!r}, which does '
                          'not carry that tag')

    def _cancel(self, pending: base.Pending) -> None:
        """As a new process does; that it was not asked is no fault."""
        self.tries(lambda: self.connect().cancel(values.restored(pending)))

    def _composed(self, spec: base.Spec) -> base.Handle | None:
        return self.finish(self.connect().compose(spec)).handle

    def _need_choice(self) -> None:
        if self.able.allocation == base.Allocation.BACKEND:
            self.skipTest('this backend chooses the devices itself')

    def _refused(self, spec: base.Spec, what: str) -> None:
        effects = self.effects()
        spec = dataclasses.replace(spec, prepared=None)
        self.raises('refused', what, lambda: self.finish(
            self.connect().compose(self.prepared(spec))), *NO)
        if self.effects() != effects:
            self.violated('refused', f'{what} was refused, but the backend '
                          'saw a change')
        self._not_found(spec.tag)
