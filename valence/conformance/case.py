# SPDX-License-Identifier: Apache-2.0
"""What does an author supply, and what do all tests of the suite use?

The public methods of :class:`Case` are hooks: a dialect that differs from
the usual overrides them.
"""

import base64
import contextlib
import dataclasses
import functools
import logging
import time
import traceback
import unittest
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from valence.common.devices import DeviceState
from valence.conformance import values
from valence.conformance.proxy import Proxy, Request
from valence.conformance.rules import RULES
from valence.drivers import base
from valence.scheduler import planner

# The suite is mixed into a TestCase, so that importing it collects nothing.
_Mixin: Any = unittest.TestCase if TYPE_CHECKING else object

T = TypeVar('T')

#: Seconds that one call may take, for tests that wait for its end.
SHORT = 1.0
#: Seconds over a deadline that are forgiven: a busy host, not a driver.
SLACK = 10.0

#: Classes of tests whose backends let no node change; asked once of each.
_NEVER_ATTACH: set[type] = set()


@dataclasses.dataclass(frozen=True)
class Backend:
    """A backend that no other test uses.

    :param endpoint: how the driver is built for it
    :param effects: an oracle: how many changes the backend has really made
        so far, counted by the backend itself (logins do not count)
    :param holds: how many of what the inventory has to show: 'racks',
        'systems', 'devices', 'zones', or a type of pooled device
    :param capabilities: what ``identify`` has to say of this backend
    """

    endpoint: base.Endpoint
    effects: Callable[[], int] | None = None
    holds: Mapping[str, int] = dataclasses.field(default_factory=dict)
    capabilities: base.Capabilities | None = None


class Case(_Mixin):
    """What an author overrides, and how the tests speak to the driver."""

    #: The driver under test.
    driver: type[base.Driver]
    #: The flavor's properties to compose by where the backend chooses.
    requirements: Mapping[str, Any] = {'processor': {'total_cores': 1}}
    #: Seconds that the backend may take for anything.
    patience: float = 15.0
    #: Seconds after which what has not happened will not happen any more.
    settle: float = 0.5

    # What an author gives

    def new_backend(self) -> Backend:
        """A fresh backend; called once for each test that needs one."""
        raise NotImplementedError('new_backend() has to give a Backend')

    def changes(self, request: Request) -> bool:
        """Whether a request changes more than a session does.

        Asked after the driver has logged in.
        """
        return request.method not in ('GET', 'HEAD', 'OPTIONS')

    def choose(self, inventory: base.Inventory
               ) -> tuple[tuple[str, ...], str | None]:
        """Free devices for one node, and their zone.

        By default what Valence's own planner takes for one core and, where
        there is another pooled type, one device of that.
        """
        free = [planner.FreeDevice(
                    one.resource_path, one.type, one.processor_cores or 0,
                    one.memory_mib or 0, one.capacity_gib or 0,
                    one.memory_type or '', one.model or '', one.zone_paths)
                for one in inventory.devices
                if one.pooled and one.state == DeviceState.FREE]
        limits = {zone.resource_path: zone.limits
                  for zone in inventory.zones}
        types = sorted({one.type.value for one in free
                        if one.type != 'compute'})
        plans = (planner.plan(planner.Wanted.parse({
                     'processor': {'total_cores': 1}, 'pci_device': wanted}),
                     free, limits)
                 for wanted in (*({'type': [one]} for one in types), {}))
        plan = next(filter(None, plans), None)
        if plan is None:
            self.violated(
                'vocabulary', "Valence's planner finds no node of one core "
                f'in the inventory, which has {len(free)} free pooled devices'
                f' (beside compute: {", ".join(types)}); it wants a free '
                'pooled device of type compute with processor_cores (or '
                'override choose)')
        return plan.device_paths, plan.zone_path

    def new_spec(self, tag: str | None = None,
                 name: str = 'conformance') -> base.Spec:
        """A node that can be composed now."""
        spec = base.Spec(tag or f'valence-{uuid.uuid4()}', name,
                         requirements=self.requirements)
        if self.able.allocation == base.Allocation.VALENCE:
            paths, zone = self.choose(self.connect().discover())
            spec = dataclasses.replace(spec, device_paths=paths,
                                       zone_path=zone)
        return self.prepared(spec)

    def prepared(self, spec: base.Spec) -> base.Spec:
        """The node with what tells it from others where no tag can."""
        if self.able.tags:
            return spec
        handle = self.connect().prepare(spec)
        if handle is None:
            self.violated('prepare', f'{self.driver.__name__} promises no '
                          'tags here, but prepare gave None')
        self.check(handle)
        return dataclasses.replace(spec, prepared=values.restored(handle))

    def locate(self, spec: base.Spec) -> base.Handle | None:
        """Where a composition of unknown outcome is, by a new process.

        By its tag, or by what was prepared and written down before. Busy,
        which a backend at work may be, is waited out.
        """
        return cast(base.Handle | None, self.until(
            'find_none', 'the look for a composition of unknown outcome',
            lambda: (self._look(spec),))[0])

    def _look(self, spec: base.Spec) -> base.Handle | None:
        if self.able.tags or spec.prepared is None:
            return self.connect().find(spec.tag)
        found = self.connect().observe(values.restored(spec.prepared))
        return None if found is None else found.handle

    def go_on(self, spec: base.Spec) -> base.Handle:
        """Finish a composition of unknown outcome, as a successor does."""
        handle = self.locate(spec) if self.able.tags else None
        driver = self.connect()
        done = self.finish(driver.compose(spec) if handle is None
                           else driver.resume(values.restored(handle)))
        if done.handle is None:
            self.violated('resume', 'a composition that was gone on with '
                          'ended as Done without a handle')
        return done.handle

    # Drivers

    @property
    def backend(self) -> Backend:
        """The backend of this test."""
        if '_backend' not in self.__dict__:
            self.__dict__['_backend'] = self.new_backend()
        backend: Backend = self.__dict__['_backend']
        return backend

    def connect(self, endpoint: base.Endpoint | None = None,
                **limits: Any) -> base.Driver:
        """The driver as a process has it that has just started."""
        endpoint = endpoint or self.backend.endpoint
        if limits:
            endpoint = dataclasses.replace(
                endpoint, limits=dataclasses.replace(
                    endpoint.limits, **limits))
        driver = self.driver(endpoint)
        self.addCleanup(driver.close)
        return cast(base.Driver, _Watched(driver, self.check_error))

    def proxy(self) -> Proxy:
        """A proxy before the backend; skips where there can be none."""
        try:
            proxy = Proxy(self.backend.endpoint.url)
        except ValueError as error:
            self.skipTest(f'the proxy that loses answers cannot read {error};'
                          ' give a backend without TLS')
        self.addCleanup(proxy.stop)
        return proxy

    def through(self, proxy: Proxy, **limits: Any) -> base.Endpoint:
        """The backend's endpoint, by way of the proxy."""
        endpoint = self.backend.endpoint
        return dataclasses.replace(
            endpoint, url=proxy.url, limits=dataclasses.replace(
                endpoint.limits, allow_http=True, allowed_networks=(
                    *endpoint.limits.allowed_networks, '127.0.0.0/8'),
                **limits))

    # What the tests do

    def need(self, capability: str) -> None:
        """Skip what the driver, or this backend, does not promise."""
        if capability == 'attach' and self.driver.capabilities.attach:
            self._ask_with_a_node()
        for who, able in (
                (f'{self.driver.__name__}.capabilities',
                 self.driver.capabilities),
                ('what identify says of this backend', self.able)):
            if not getattr(able, capability):
                self.skipTest(f'{capability} is not promised by {who}')

    @property
    def able(self) -> base.Capabilities:
        if '_able' not in self.__dict__:
            self.__dict__['_able'] = self.connect().identify().capabilities
        able: base.Capabilities = self.__dict__['_able']
        return able

    def _ask_with_a_node(self) -> None:
        """Some backends show on a node only that its devices may change."""
        able, kind = self.able, type(self)
        if able.attach or not able.compose or kind in _NEVER_ATTACH:
            return
        handle = self.compose()
        self.__dict__['_able'] = self.connect().identify().capabilities
        self.release(handle)
        if not self.able.attach:
            _NEVER_ATTACH.add(kind)

    def effects(self) -> int | None:
        """How many changes the backend made, None without an oracle."""
        return self.backend.effects() if self.backend.effects else None

    def compose(self, spec: base.Spec | None = None) -> base.Handle:
        """A composed node."""
        spec = spec or self.new_spec()
        done = self.must('compose', 'compose of free devices',
                         lambda: self.finish(self.connect().compose(spec)))
        if done.handle is None:
            self.violated('compose', 'compose ended as Done without a handle')
        self.check(done.handle)
        return done.handle

    def release(self, handle: base.Handle) -> None:
        """Take a node apart, whether it is there or not."""
        self.must('release', f'release of {handle.resource_path}',
                  lambda: self.finish(self.connect().release(
                      values.restored(handle))))

    def finish(self, outcome: base.Pending | base.Done,
               driver: base.Driver | None = None) -> base.Done:
        """Poll to the end, each time as a process that has just started.

        :param driver: poll by this one instead
        """
        end = time.monotonic() + self.patience
        while not isinstance(outcome, base.Done):
            if not isinstance(outcome, base.Pending):
                self.violated('vocabulary', f'a mutation gave {outcome!r}, '
                              'which is neither Pending nor Done')
            self.check(outcome)
            if outcome.delay < 0:
                self.violated('vocabulary', 'the delay of a Pending is '
                              f'{outcome.delay}')
            if time.monotonic() > end:
                self.violated('poll', f'{outcome!r} is still pending after '
                              f'{self.patience:.0f} s')
            time.sleep(min(outcome.delay, 0.05))
            outcome = (driver or self.connect()).poll(
                values.restored(outcome))
        self.check(outcome)
        return outcome

    def until(self, rule: str, what: str, condition: Callable[[], Any],
              patience: float | None = None) -> Any:
        """Wait until ``condition()`` is true; Busy is waited out."""
        end = time.monotonic() + (patience or self.patience)
        while True:
            value, busy = None, ''
            try:
                value = condition()
            except base.Busy as error:
                busy = f' (last: Busy: {error})'
            if value:
                return value
            if time.monotonic() > end:
                self.violated(rule, f'{what}: not within '
                              f'{patience or self.patience:.0f} s{busy}')
            time.sleep(0.05)

    def check(self, value: Any) -> None:
        """A value of the contract is plain."""
        for flaw in values.flaws(value):
            self.violated('plain_values', flaw)

    # Errors

    def raises(self, rule: str, what: str, call: Callable[[], Any],
               *kinds: type[base.DriverError]) -> base.DriverError:
        """The DriverError that ``call()`` has to raise, of one of ``kinds``.
        """
        names = ' or '.join(kind.__name__ for kind in kinds)
        outcome = self.tries(call)
        if not isinstance(outcome, base.DriverError):
            self.violated(rule, f'{what} gave {outcome!r:.300} instead of '
                          f'raising {names}')
        if not isinstance(outcome, kinds):
            self.violated(rule, f'{what} raised {_told(outcome)}, not '
                          f'{names}')
        return outcome

    def must(self, rule: str, what: str, call: Callable[[], T]) -> T:
        """What ``call()`` gives; no error may come out of it."""
        outcome = self.tries(call)
        if isinstance(outcome, base.DriverError):
            self.violated(rule, f'{what} raised {_told(outcome)}')
        return outcome

    def tries(self, call: Callable[[], T]) -> T | base.DriverError:
        """What ``call()`` gives, or the DriverError that it raises."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - it is judged here
            return self.check_error(error)

    def check_error(self, error: Exception) -> base.DriverError:
        """Only DriverErrors come out, with a sentence and no credential."""
        if not isinstance(error, base.DriverError):
            if isinstance(error, self.failureException | unittest.SkipTest):
                raise error
            self.violated('errors', f'{_told(error)} came out of the driver:'
                          '\n' + ''.join(traceback.format_exception(error)))
        text = str(error)
        if not text.strip() or '\n' in text or len(text) > 2000:
            self.violated('errors', f'{_told(error)} has no message of one '
                          'line that can be shown')
        if not isinstance(error.code, str) or not 0 < len(error.code) <= 64:
            self.violated('errors', f'{_told(error)} has code '
                          f'{error.code!r}, which is no word of up to 64 '
                          'characters')
        shown = ''.join(traceback.format_exception(error)) + repr(error)
        self.check_secrets('an error', shown)
        return error

    def secrets(self) -> list[str]:
        """Texts that must not be shown."""
        endpoint = self.backend.endpoint
        if endpoint.password is None or not endpoint.password.reveal():
            return []
        password = endpoint.password.reveal()
        pair = f'{endpoint.username}:{password}'.encode()
        return [password, base64.b64encode(pair).decode()]

    def check_secrets(self, where: str, text: str,
                      more: tuple[str, ...] = ()) -> None:
        for secret in (*self.secrets(), *more):
            if len(secret) > 3 and secret in text:
                self.violated('errors', f'{where} shows a credential: '
                              + text.replace(secret, '<HERE>')[:1000])

    @contextlib.contextmanager
    def logged(self) -> Iterator[list[str]]:
        """All that is logged meanwhile, at any level."""
        lines: list[str] = []

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                lines.append(logging.Formatter(
                    '%(name)s %(message)s').format(record))

        root, handler = logging.getLogger(), Handler()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            yield lines
        finally:
            root.setLevel(level)
            root.removeHandler(handler)

    def violated(self, rule: str, seen: str) -> NoReturn:
        """Fail, with the sentence of the contract and what to do."""
        told = RULES[rule]
        raise self.failureException(
            f'{self.driver.__name__}: {seen}\n'
            f'  {told.where}: "{told.sentence}"\n'
            f'  What to do: {told.advice}.')


class _Watched:
    """A driver of which every error is looked at."""

    def __init__(self, driver: base.Driver,
                 check: Callable[[Exception], Any]) -> None:
        self._driver = driver
        self._check = check

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._driver, name)
        if not callable(found):
            return found

        @functools.wraps(found)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return found(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - it is raised again
                raise self._check(error) from error.__cause__

        return call


def _told(error: BaseException) -> str:
    return f'{type(error).__name__}: {error}'
