# SPDX-License-Identifier: Apache-2.0
"""Does the driver read the whole backend, always the same, and only read?"""

import concurrent.futures
import dataclasses
import threading
import time
from typing import Any

from valence.conformance import inventory
from valence.conformance.case import SHORT, SLACK, Case
from valence.drivers import base

#: Threads of somebody else: the backends and proxies of the tests.
_FOREIGN = ('process_request_thread', 'serve_forever', 'conformance-proxy')
_THREADS = 8


class ReadingTests(Case):

    def test_identify_tells_who_is_there(self) -> None:
        identity = self.connect().identify()
        self.check(identity)
        for name, room in (('product', 255), ('version', 64)):
            if len(getattr(identity, name)) > room:
                self.violated('inventory_fits', f'identity.{name} has more '
                              f'than {room} characters')
        if not identity.product.strip():
            self.violated('vocabulary', 'identity.product is empty')

    def test_a_backend_can_do_no_more_than_its_driver(self) -> None:
        able, most = self.able, self.driver.capabilities
        for field in dataclasses.fields(able):
            mine = getattr(able, field.name)
            theirs = getattr(most, field.name)
            if field.name == 'allocation':
                continue        # no more and no less: the backend's own
            if isinstance(mine, tuple):
                good = set(mine) <= set(theirs)
            else:
                good = theirs or not mine
            if not good:
                self.violated('capabilities', f'identify says {field.name}='
                              f'{mine!r}, the class {theirs!r}')
        expected = self.backend.capabilities
        if expected is not None and able != expected:
            self.violated('capabilities', f'identify says {able!r}; this '
                          f'backend is known to have {expected!r}')

    def test_the_inventory_can_be_stored(self) -> None:
        found = self.connect().discover()
        for flaw in inventory.flaws(found):
            self.violated('inventory_fits', flaw)

    def test_the_inventory_is_complete(self) -> None:
        found = self.connect().discover()
        if not found.complete:
            self.violated('complete', 'the scan of a healthy backend is not '
                          f'complete: {found.problems[:3]!r}')
        wrong = inventory.dangling(found)
        if wrong:
            self.violated('vocabulary', wrong[0])
        counted = inventory.counts(found)
        for what, number in self.backend.holds.items():
            if counted.get(what, 0) != number:
                self.violated('complete', f'the backend holds {number} '
                              f'{what}, the inventory {counted.get(what, 0)}')

    def test_two_scans_are_equal(self) -> None:
        driver = self.connect()
        first = driver.discover()
        for what, other in (('the same instance', driver),
                            ('another instance', self.connect())):
            again = other.discover()
            if again != first:
                self.violated('same_scan', f'the scan of {what} differs: '
                              + _difference(first, again))

    def test_reads_send_nothing_that_changes(self) -> None:
        proxy = self.proxy()
        driver = self.connect(self.through(proxy))
        driver.identify()
        before, effects = len(proxy.requests), self.effects()
        driver.identify()
        driver.discover()
        if self.able.tags:
            driver.find('valence-nobody')
        for request in proxy.requests[before:]:
            if self.changes(request):
                self.violated('reads_change_nothing', f'a read sent '
                              f'{request}')
        if self.effects() != effects:
            self.violated('reads_change_nothing', 'the backend saw '
                          f'{self.effects()} changes instead of {effects}')

    def test_an_unreachable_backend(self) -> None:
        proxy = self.proxy()
        endpoint = self.through(proxy, connect_timeout=SHORT,
                                call_timeout=2.0)
        proxy.stop()                    # nobody listens there any more
        for name in ('identify', 'discover'):
            started = time.monotonic()
            error = self.raises(
                'unreachable', f'{name} of a backend that is not there',
                getattr(self.connect(endpoint), name), base.Unreachable)
            if not error.retryable:
                self.violated('unreachable', f'{error!r} is not retryable')
            if time.monotonic() - started > SLACK:
                self.violated('deadline', f'{name} of a backend that is not '
                              f'there took more than {SLACK:.0f} s')

    def test_one_instance_serves_many_threads(self) -> None:
        handle = self.compose() if self.may_compose() else None
        driver, other = self.connect(), self.connect()
        calls: dict[str, Any] = {'identify': driver.identify,
                                 'discover': driver.discover}
        expected: dict[str, Any] = {'identify': other.identify(),
                                    'discover': other.discover()}
        if handle is not None:
            calls['observe'] = lambda: driver.observe(handle)
            expected['observe'] = other.observe(handle)
        together = threading.Barrier(_THREADS)

        def work(number: int) -> None:
            together.wait(30)
            names = sorted(calls)
            for turn in range(len(names)):
                name = names[(number + turn) % len(names)]
                found = self.tries(calls[name])
                if isinstance(found, base.DriverError):
                    self.violated('threads', f'{name} in one of {_THREADS} '
                                  f'threads raised {found!r}')
                if found != expected[name]:
                    self.violated('threads', f'{name} in one of {_THREADS} '
                                  'threads gave something else')

        with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
            for one in [pool.submit(work, number)
                        for number in range(_THREADS)]:
                one.result(120)
        if handle is not None:
            self.release(handle)

    def test_no_thread_is_left_after_a_call(self) -> None:
        driver = self.connect()
        driver.identify()
        before = set(threading.enumerate())
        driver.discover()
        left: list[str] = []
        for _ in range(20):
            left = [one.name for one in threading.enumerate()
                    if one not in before
                    and not any(name in one.name for name in _FOREIGN)]
            if not left:
                return
            time.sleep(0.1)
        self.violated('no_threads', f'discover left threads: {left}')

    def test_close_may_be_called_again(self) -> None:
        for used in (False, True):
            driver = self.driver(self.backend.endpoint)
            if used:
                driver.identify()
            for _ in range(2):
                self._close(driver)
        # The conductor closes the driver of a changed record while other
        # threads may still have calls to make with it.
        self.tries(driver.identify)
        self._close(driver)

    def test_close_of_a_backend_that_is_gone(self) -> None:
        proxy = self.proxy()
        driver = self.driver(self.through(proxy))
        driver.identify()
        proxy.stop()
        started = time.monotonic()
        self._close(driver)
        if time.monotonic() - started > SLACK:
            self.violated('close', 'close took '
                          f'{time.monotonic() - started:.0f} s')

    def may_compose(self) -> bool:
        return self.driver.capabilities.compose and self.able.compose

    def _close(self, driver: base.Driver) -> None:
        try:
            driver.close()
        except Exception as error:  # noqa: BLE001 - nothing may come out
            self.violated('close', f'close raised {error!r}')




def _difference(one: base.Inventory, other: base.Inventory) -> str:
    for field in dataclasses.fields(one):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if left == right:
            continue
        if not isinstance(left, tuple):
            return f'{field.name} is {left!r}, then {right!r}'
        if sorted(map(repr, left)) == sorted(map(repr, right)):
            return f'the {field.name} come in another order'
        odd = [repr(item)[:300] for item in (*left, *right)
               if (item in left) != (item in right)][:2]
        return f'{field.name}: ' + ' and '.join(odd)
    return 'in no field'
