# SPDX-License-Identifier: Apache-2.0
"""Does a look that fails say so, instead of "there is nothing"?

What the conductor decides after a crash rests on find and observe: None
there means that it may compose again, or that the claims are free. So each
request of a look is failed in turn.
"""

import functools
from collections.abc import Callable
from typing import Any

from valence.conformance import inventory
from valence.conformance.case import Case
from valence.conformance.proxy import Fate, Proxy, Request
from valence.drivers import base

#: At most so many of the requests of one look are failed in turn.
_MOST = 12
_WAYS = (Fate.REFUSED, Fate.ERROR)


class LookingTests(Case):

    def test_find_never_says_none_after_a_failed_read(self) -> None:
        self.need('tags')
        self.need('compose')
        spec = self.new_spec()
        handle = self.compose(spec)

        def judge(found: Any, which: str) -> None:
            if found is None:
                self.violated('find_none', f'find gave None when {which}')
            if isinstance(found, base.Handle) and (
                    found.resource_path != handle.resource_path):
                self.violated('tag', f'find gave {found!r} when {which}')

        self._fail_each(lambda driver: driver.find(spec.tag), judge)
        self.release(handle)

    def test_observe_never_says_none_after_a_failed_read(self) -> None:
        self.need('compose')
        handle = self.compose()
        whole = self.connect().observe(handle)

        def judge(found: Any, which: str) -> None:
            if found is None:
                self.violated('observe', f'observe gave None when {which}')
            if whole and isinstance(found, base.NodeHardware) and (
                    set(found.device_paths) != set(whole.device_paths)):
                self.violated('observe', f'observe gave {found.device_paths} '
                              f'when {which}; the node has '
                              f'{whole.device_paths}')

        self._fail_each(lambda driver: driver.observe(handle), judge)
        self.release(handle)

    def test_release_is_not_done_after_a_failed_read(self) -> None:
        self.need('compose')
        handle = self.compose()
        proxy = self.proxy()
        for way in _WAYS:
            driver = self._ready(proxy)
            proxy.decide = _always(way)
            outcome = self.tries(functools.partial(driver.release, handle))
            proxy.decide = _always(Fate.PASSED)
            if not isinstance(outcome, base.DriverError):
                self.violated('release', f'release gave {outcome!r} while '
                              f'the backend answered nothing ({way.value})')
            if self.connect().observe(handle) is None:
                self.violated('release', 'the node is gone')
        self.release(handle)

    def test_an_incomplete_scan_says_so(self) -> None:
        whole = self.connect().discover()

        def judge(found: Any, which: str) -> None:
            if not isinstance(found, base.Inventory):
                return
            for flaw in inventory.flaws(found):
                self.violated('inventory_fits', f'{flaw} when {which}')
            if found.complete and not found.problems and found != whole:
                self.violated('complete', 'the scan differs from the whole '
                              f'one but claims to be complete when {which}')

        self._fail_each(lambda driver: driver.discover(), judge)

    def test_an_absent_answer_is_no_absence(self) -> None:
        """200 with an answer that has nothing in it proves nothing."""
        self.need('compose')
        handle = self.compose()
        proxy = self.proxy()
        for way in (Fate.CUT, Fate.GARBLED, Fate.LOST):
            driver = self._ready(proxy)
            proxy.decide = _always(way)
            found = self.tries(functools.partial(driver.observe, handle))
            proxy.decide = _always(Fate.PASSED)
            if not isinstance(found, base.DriverError):
                self.violated('observe', f'observe gave {found!r} when every '
                              f'answer was {way.value}')
        self.release(handle)

    def _fail_each(self, call: Callable[[base.Driver], Any],
                   judge: Callable[[Any, str], None]) -> None:
        """Fail each request that ``call`` makes, for as long as it tries."""
        proxy = self.proxy()
        driver = self._ready(proxy)
        before = len(proxy.requests)
        call(driver)
        # The query is dropped: what tries without it is failed as well.
        targets = list(dict.fromkeys(
            request.target.partition('?')[0]
            for request in proxy.requests[before:]))
        step = -(-len(targets) // _MOST) or 1
        for number, target in enumerate(targets[::step]):
            way = _WAYS[number % len(_WAYS)]

            def decide(request: Request, target: str = target,
                       way: Fate = way) -> Fate:
                path = request.target.partition('?')[0]
                return way if path == target else Fate.PASSED

            driver = self._ready(proxy)
            proxy.decide = decide
            found = self.tries(functools.partial(call, driver))
            proxy.decide = _always(Fate.PASSED)
            judge(found, f'GET {target} was {way.value}')

    def _ready(self, proxy: Proxy) -> base.Driver:
        """A driver that has logged in."""
        driver = self.connect(self.through(proxy, call_timeout=5.0,
                                           discovery_timeout=10.0))
        driver.identify()
        return driver


def _always(fate: Fate) -> Callable[[Request], Fate]:
    return lambda request: fate
