# SPDX-License-Identifier: Apache-2.0
"""What is known of a mutation whose answer was lost?

For each changing request of each mutation in turn: the backend carries it
out and the answer is lost, or it never arrives. The driver must say which,
must not send it twice, and a new process must see the truth.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from valence.conformance.case import SHORT
from valence.conformance.proxy import APPLIED, Fate, Proxy, Request
from valence.conformance.scenarios import Scenario, Scenarios
from valence.drivers import base

T = TypeVar('T')

#: No mutation has more changing requests than this.
_MOST = 10


class _Ambush:
    """Gives the ``number``-th changing request its fate, and notes it."""

    def __init__(self, case: Scenarios, number: int, fate: Fate) -> None:
        self._case = case
        self._number = number
        self._fate = fate
        self.sent: list[Request] = []
        self.victim: Request | None = None

    def __call__(self, request: Request) -> Fate:
        if not self._case.changes(request):
            return Fate.PASSED
        self.sent.append(request)
        if len(self.sent) != self._number:
            return Fate.PASSED
        self.victim = request
        return self._fate


class FailureTests(Scenarios):

    def test_lost_answer_of_compose(self) -> None:
        self.lose('compose', Fate.LOST)

    def test_lost_answer_of_release(self) -> None:
        self.lose('release', Fate.LOST)

    def test_lost_answer_of_set_power(self) -> None:
        self.lose('set_power', Fate.LOST)

    def test_lost_answer_of_set_boot(self) -> None:
        self.lose('set_boot', Fate.LOST)

    def test_lost_answer_of_attach(self) -> None:
        self.lose('attach', Fate.LOST)

    def test_lost_answer_of_detach(self) -> None:
        self.lose('detach', Fate.LOST)

    def test_no_answer_to_compose(self) -> None:
        self.lose('compose', Fate.HUNG)

    def test_no_answer_to_release(self) -> None:
        self.lose('release', Fate.HUNG)

    def test_half_an_answer_to_compose(self) -> None:
        self.lose('compose', Fate.CUT)

    def test_half_an_answer_to_release(self) -> None:
        self.lose('release', Fate.CUT)

    def test_garbage_for_an_answer_to_compose(self) -> None:
        self.lose('compose', Fate.GARBLED)

    def test_error_500_after_compose_took_effect(self) -> None:
        self.lose('compose', Fate.FAILED)

    def test_error_500_after_release_took_effect(self) -> None:
        self.lose('release', Fate.FAILED)

    def test_compose_that_does_not_arrive(self) -> None:
        self.lose('compose', Fate.REFUSED)

    def test_release_that_does_not_arrive(self) -> None:
        self.lose('release', Fate.REFUSED)

    def test_set_power_that_does_not_arrive(self) -> None:
        self.lose('set_power', Fate.REFUSED)

    def test_set_boot_that_does_not_arrive(self) -> None:
        self.lose('set_boot', Fate.REFUSED)

    def test_attach_that_does_not_arrive(self) -> None:
        self.lose('attach', Fate.REFUSED)

    def test_detach_that_does_not_arrive(self) -> None:
        self.lose('detach', Fate.REFUSED)

    def test_a_backend_that_went_away_before_compose(self) -> None:
        self.leave('compose')

    def test_a_backend_that_went_away_before_release(self) -> None:
        self.leave('release')

    def lose(self, mutation: str, fate: Fate) -> None:
        """One changing request after the other meets ``fate``."""
        scenarios = self.scenarios(mutation)
        proxy = self.proxy()
        total = self._count(proxy, next(scenarios))
        if not total:
            self.skipTest(f'{mutation} sends nothing that changes something;'
                          ' see Case.changes')
        if total > _MOST:
            self.violated('at_most_once', f'{mutation} sends {total} '
                          f'changing requests, more than {_MOST}')
        for number in range(1, total + 1):
            self._lose(proxy, next(scenarios), number, number == total, fate)

    def _count(self, proxy: Proxy, scenario: Scenario) -> int:
        """How many changing requests a mutation sends if all is well."""
        ambush = _Ambush(self, 0, Fate.PASSED)
        self._run(proxy, scenario, ambush, 6.0, lambda run: self.must(
            'unreachable', f'{scenario.name} of a healthy backend', run))
        # It may follow its answer by seconds; the next one begins after that.
        self.until('observe', f'{scenario.name} was Done, and a new process '
                   'sees it', scenario.happened)
        scenario.clean()
        return len(ambush.sent)

    def _run(self, proxy: Proxy, scenario: Scenario, ambush: _Ambush,
             seconds: float, judge: Callable[[Any], T]) -> T:
        """Make a mutation while ``ambush`` decides; it has logged in."""
        driver = self.connect(self.through(proxy, call_timeout=seconds))
        driver.identify()
        proxy.decide = ambush
        try:
            return judge(lambda: self.finish(scenario.run(driver), driver))
        finally:
            proxy.decide = lambda request: Fate.PASSED

    def _lose(self, proxy: Proxy, scenario: Scenario, number: int,
              last: bool, fate: Fate) -> None:
        effects = self.effects()
        ambush = _Ambush(self, number, fate)
        outcome = self._run(proxy, scenario, ambush,
                            SHORT if fate is Fate.HUNG else 6.0, self.tries)
        if ambush.victim is None:
            scenario.clean()        # it went another way this time
            return
        what = (f'when the answer to {ambush.victim} was lost '
                f'({fate.value}), {scenario.name}'
                if fate in APPLIED else
                f'when {ambush.victim} did not arrive, {scenario.name}')
        self._check_once(ambush, what)
        if fate in APPLIED:
            self._check_applied(scenario, outcome, what, last)
        else:
            self._check_unapplied(scenario, outcome, what, number, effects)
        scenario.clean()

    def leave(self, mutation: str) -> None:
        """Every request is turned away, from the first."""
        scenarios = self.scenarios(mutation)
        scenario = next(scenarios)
        proxy = self.proxy()
        endpoint = self.through(proxy, connect_timeout=SHORT)
        driver = self.connect(endpoint)
        driver.identify()
        proxy.decide = lambda request: Fate.REFUSED
        proxy.stop()
        self.raises('unreachable', f'{mutation} of a backend that is gone',
                    lambda: scenario.run(driver), base.Unreachable)
        if scenario.happened():
            self.violated('unreachable', f'{mutation} has happened')
        scenario.clean()

    def _check_once(self, ambush: _Ambush, what: str) -> None:
        victim = ambush.victim
        same = [one for one in ambush.sent if victim and (
            one.method, one.target, one.body) == (
            victim.method, victim.target, victim.body)]
        if len(same) > 1:
            self.violated('at_most_once', f'{what} sent it {len(same)} times')

    def _check_applied(self, scenario: Scenario, outcome: object, what: str,
                       last: bool) -> None:
        if not isinstance(outcome, base.Done | base.Ambiguous):
            self.violated('ambiguous', f'{what} raised {outcome!r}; it has '
                          'to be Ambiguous, or Done after a look')
        said_no = 0

        def happened() -> bool:
            nonlocal said_no
            truth = scenario.happened()
            said_no += not truth
            return truth

        rule = 'tag' if scenario.name == 'compose' else 'observe'
        if last or isinstance(outcome, base.Done):
            self.until(rule, f'{what} took effect, and a new process sees it',
                       happened)
        if said_no and scenario.final:
            self.violated('find_none', f'{what} had begun: a new process '
                          'found nothing, and then it was there after all')
        # A successor finishes what is there, be it half or whole.
        scenario.go_on()
        self.until(rule, f'{what}; a successor went on with it', happened)

    def _check_unapplied(self, scenario: Scenario, outcome: object,
                         what: str, number: int,
                         effects: int | None) -> None:
        if number > 1 and isinstance(outcome, base.Done):
            # It was none that the mutation depends on, if that is true.
            self.until('ambiguous', f'{what} was Done, and a new process '
                       'sees it', scenario.happened)
            return
        if not isinstance(outcome, base.Unreachable | base.Ambiguous):
            self.violated('ambiguous', f'{what} gave {outcome!r}; it has to '
                          'raise Ambiguous, or Unreachable if it is certain '
                          'that nothing was done')
        if number > 1:
            return
        end = time.monotonic() + self.settle
        while time.monotonic() < end:       # nor does it happen late
            if scenario.happened():
                self.violated('at_most_once', f'{what} happened all the same')
            time.sleep(0.2)
        if effects is not None and self.effects() != effects:
            self.violated('at_most_once', f'{what} still changed the backend')
