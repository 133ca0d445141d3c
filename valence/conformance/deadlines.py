# SPDX-License-Identifier: Apache-2.0
"""Does every call end in time, whatever the backend does?

A conductor's calls have to end before its lease does: a call that outlasts
it could change hardware that a successor already works on.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

from valence.common import deadline
from valence.conformance.case import SHORT, SLACK
from valence.conformance.proxy import Fate, Request
from valence.conformance.scenarios import Scenarios
from valence.drivers import base


class DeadlineTests(Scenarios):

    def test_a_silent_backend_and_the_drivers_own_limits(self) -> None:
        proxy = self.proxy()
        endpoint = self.through(proxy, call_timeout=SHORT,
                                discovery_timeout=SHORT)
        proxy.decide = lambda request: Fate.SILENT
        for name in ('identify', 'discover'):
            self._in_time(f'{name} of a silent backend (Endpoint.limits)',
                          getattr(self.connect(endpoint), name))

    def test_a_silent_backend_and_the_deadline_of_the_caller(self) -> None:
        proxy = self.proxy()
        endpoint = self.through(proxy)
        calls: dict[str, Callable[[base.Driver], Any]] = {
            'identify': lambda driver: driver.identify(),
            'discover': lambda driver: driver.discover()}
        calls.update(self._more_calls())
        for name, call in calls.items():
            driver = self.connect(endpoint)
            proxy.decide = lambda request: Fate.PASSED
            driver.identify()
            proxy.decide = lambda request: Fate.SILENT

            def within(call: Any = call, driver: Any = driver) -> Any:
                with deadline.limit(SHORT):
                    return call(driver)

            self._in_time(f'{name} of a silent backend', within)
        proxy.decide = lambda request: Fate.PASSED

    def test_a_backend_that_drips(self) -> None:
        proxy = self.proxy()
        endpoint = self.through(proxy, call_timeout=SHORT,
                                discovery_timeout=SHORT)
        proxy.decide = lambda request: Fate.DRIPPED
        for name in ('identify', 'discover'):
            self._in_time(f'{name} of a backend that sends a byte now and '
                          'then', getattr(self.connect(endpoint), name))

    def test_a_backend_that_falls_silent_in_a_scan(self) -> None:
        proxy = self.proxy()
        driver = self.connect(self.through(proxy, call_timeout=SHORT,
                                           discovery_timeout=2 * SHORT))
        driver.identify()
        before = len(proxy.requests)
        driver.discover()
        middle = len(proxy.requests) - before
        count = 0

        def decide(request: Request) -> Fate:
            nonlocal count
            count += 1
            return Fate.SILENT if count > middle // 2 else Fate.PASSED

        proxy.decide = decide
        driver = self.connect(driver.endpoint)
        started = time.monotonic()
        found = self.tries(driver.discover)
        self._took('discover', started, 2 * SHORT)
        proxy.decide = lambda request: Fate.PASSED
        if isinstance(found, base.Inventory) and found.complete:
            self.violated('complete', 'the scan claims to be complete, but '
                          'half of the answers never came')

    def test_no_time_is_left_at_all(self) -> None:
        proxy = self.proxy()
        driver = self.connect(self.through(proxy))
        driver.identify()
        before = len(proxy.requests)
        for name, call in self._more_calls().items():
            started = time.monotonic()
            with deadline.limit(-1.0):
                self.raises('deadline', f'{name} without any time left',
                            functools.partial(call, driver),
                            base.Unreachable, base.Ambiguous)
            self._took(name, started, 0.0)
        for request in proxy.requests[before:]:
            if self.changes(request):
                self.violated('deadline', f'{request} was sent after the '
                              'deadline')

    def _more_calls(self) -> dict[str, Callable[[base.Driver], Any]]:
        """Calls on what is there, as far as they are promised."""
        calls: dict[str, Callable[[base.Driver], Any]] = {}
        if not (self.driver.capabilities.compose and self.able.compose):
            return calls
        handle, spec = self.compose(), self.new_spec()
        calls['observe'] = lambda driver: driver.observe(handle)
        calls['compose'] = lambda driver: driver.compose(spec)
        if self.able.tags:
            calls['find'] = lambda driver: driver.find(spec.tag)
        if self.able.reset_types:
            calls['set_power'] = lambda driver: driver.set_power(
                handle, self.able.reset_types[0])
        if self.able.boot_targets:
            calls['set_boot'] = lambda driver: driver.set_boot(
                handle, self.able.boot_targets[0], 'Once')
        calls['release'] = lambda driver: driver.release(handle)
        return calls

    def _in_time(self, what: str, call: Callable[[], Any]) -> None:
        started = time.monotonic()
        self.raises('deadline', what, call, base.Unreachable, base.Ambiguous)
        self._took(what, started, SHORT)

    def _took(self, what: str, started: float, allowed: float) -> None:
        seconds = time.monotonic() - started
        if seconds > allowed + SLACK:
            self.violated('deadline', f'{what} took {seconds:.1f} s; it had '
                          f'{allowed:.1f}')
