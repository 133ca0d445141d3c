# SPDX-License-Identifier: Apache-2.0
"""What do the transport and each driver do with a backend that means harm?

All that a driver can be asked is tried against each case of one table, and
each call has to keep five promises: it ends within its deadline, takes less
than 32 MiB, sends no change twice, keeps the credentials between the driver
and its origin, and fails with nothing but a DriverError that an operator can
be shown.
"""

import base64
import collections
import logging
import threading
import time
import tracemalloc

import fixtures
import testtools
from testtools import content

from valence.drivers import base
from valence.tests.unit.drivers import (
    hostile_expether,
    hostile_lies,
    hostile_pods,
)
from valence.tests.unit.drivers.hostile_cases import CASES
from valence.tests.unit.drivers.hostile_pods import SESSIONS, TOKEN
from valence.tests.unit.drivers.hostile_transport import Transport
from valence.tests.unit.drivers.server import PASSWORD, USERNAME

MEMORY = 32 * 1024 * 1024
SLACK = 10.0
AT_LEAST = 60
SECRETS = (PASSWORD, TOKEN, base64.b64encode(
    f'{USERNAME}:{PASSWORD}'.encode()).decode())

#: How often a change may be sent where the backend says that nothing was
#: done: 401, 409, 412 and 428 say that.
TWICE = ('nobody_is_logged_in', 'always_changed_by_somebody_else')


class Hostile(testtools.TestCase):

    #: What is before the driver.
    pod_class = hostile_pods.Pod

    def run_case(self, name):
        case = CASES[name]
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.pod = self.pod_class(self, case.limits)
        case.make(self.pod)
        outcomes = self.survive(2 if name in TWICE else 1)
        if name in EXPECTED:
            EXPECTED[name](self, outcomes)

    def survive(self, most):
        """Make every call; what came of each."""
        outcomes = {}
        self.asked = {}
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        limits = self.pod.driver.endpoint.limits
        for name, call in self.pod.calls().items():
            before = len(self.pod.server.requests)
            tracemalloc.reset_peak()
            memory = tracemalloc.get_traced_memory()[0]
            longest = SLACK + (limits.discovery_timeout if name == 'discover'
                               else limits.call_timeout)
            watch = threading.Timer(longest, self.pod.server.stop)
            watch.start()
            started = time.monotonic()
            try:
                outcomes[name] = call()
            except base.DriverError as error:
                outcomes[name] = error
                self.check_error(name, error)
            finally:
                watch.cancel()
            took = time.monotonic() - started
            grown = tracemalloc.get_traced_memory()[1] - memory
            self.assertLess(took, longest, name)
            self.assertLess(grown, MEMORY, name)
            requests = self.pod.server.requests[before:]
            self.asked[name] = [one.path for one in requests
                                if one.path not in self.pod.login]
            self.check_sent(name, requests, most)
        self.pod.driver.close()
        self.check_secrets()
        return outcomes

    def check_error(self, name, error):
        for text in (str(error), repr(error)):
            for secret in (*SECRETS, 'Traceback'):
                self.assertNotIn(secret, text, name)
        self.assertTrue(str(error).isprintable(), name)
        self.assertLess(len(str(error)), 1500, name)

    def check_sent(self, name, requests, most):
        """No change twice, unless the backend said that it did nothing."""
        sent = collections.Counter(
            (one.method, one.path, one.body) for one in requests
            if one.method != 'GET' and one.path != SESSIONS)
        for one, count in sent.items():
            self.assertLessEqual(count, most, (name, one))

    def check_secrets(self):
        self.assertEqual([], self.pod.other.requests)
        for secret in SECRETS:
            self.assertNotIn(secret, self.log.output)
        for one in self.pod.server.requests:
            self.assertNotIn('x-evil', one.headers)
            self.assertNotIn(PASSWORD, one.path)
            if one.path != SESSIONS:
                self.assertNotIn(PASSWORD.encode(), one.body)


class TransportTest(Hostile):
    pod_class = Transport


class RedfishTest(Hostile):
    pod_class = hostile_pods.Redfish


class RsdTest(Hostile):
    pod_class = hostile_pods.Rsd


class ExpEtherTest(Hostile):
    pod_class = hostile_pods.ExpEther


DRIVERS = (TransportTest, RedfishTest, RsdTest, ExpEtherTest)


def _test(name):
    def test(self):
        self.run_case(name)

    test.__name__ = f'test_{name}'
    test.__doc__ = CASES[name].make.__doc__
    return test


def _of(driver):
    """The names of the cases that the driver's dialect has words for."""
    return [name for name, one in CASES.items()
            if one.needs is None or one.needs in driver.pod_class.speaks]


for _driver in DRIVERS:
    for _name in _of(_driver):
        setattr(_driver, f'test_{_name}', _test(_name))


def _all_fail(self, outcomes):
    for name, outcome in outcomes.items():
        if name not in ('cancel', 'change'):    # only the status matters
            self.assertIsInstance(outcome, base.DriverError, name)


def _incomplete(self, outcomes):
    if 'discover' in outcomes:
        found = outcomes['discover']
        self.assertTrue(isinstance(found, base.DriverError)
                        or not found.complete)


def _not_followed(self, outcomes):
    _incomplete(self, outcomes)
    for path in self.pod.server.paths():
        for text in ('%2', '%5', '\\', '..'):
            self.assertNotIn(text, path.lower())


def _ambiguous(self, outcomes):
    for name in self.pod.changing:
        self.assertIs(base.Ambiguous, type(outcomes[name]), name)


def _in_time(self, outcomes):
    """Each answer takes 0.15 s of 0.4, so no fourth is asked for."""
    for name in ('read', 'change', 'identify', 'observe', 'prepare'):
        self.assertLessEqual(len(self.asked.get(name, ())), 3, name)


def _not_released(self, outcomes):
    if 'release' in outcomes:
        self.assertIsInstance(outcomes['release'], base.Refused)
        self.assertEqual([], [
            path for path in self.pod.server.paths('DELETE')
            if path == self.pod.NODE])


#: What besides the promises has to come out.
EXPECTED = {
    **dict.fromkeys((
        'silent', 'silent_at_the_login', 'drips_its_answers',
        'drips_its_headers', 'interim_answers_without_end',
        'half_an_answer', 'come_back_in_an_hour', 'giant_answers',
        'announced_giants', 'a_chunk_of_exabytes', 'gzip_bombs',
        'a_million_empty_objects', 'json_of_a_thousand_levels',
        'json_of_a_million_levels', 'headers_without_end',
        'a_header_of_a_megabyte', 'redirects_to_another_host',
        'redirects_of_the_login', 'sessions_at_another_host',
        'repeats_the_password_at_the_login', 'nobody_is_logged_in',
        'shows_a_traceback', 'no_http_at_all', 'two_lengths'), _all_fail),
    **dict.fromkeys((
        'silent_after_each_change', 'breaks_the_line_after_each_change',
        'gateway_errors_after_each_change'), _ambiguous),
    **dict.fromkeys((
        'members_without_end', 'pages_without_end', 'resources_without_end',
        'more_than_is_read_in_one_scan', 'pages_in_a_circle',
        'next_pages_at_another_host', 'links_to_another_host',
        'links_out_of_the_root', 'links_with_line_breaks',
        'links_of_a_megabyte'), _incomplete),
    **dict.fromkeys((
        'links_with_encoded_dots', 'links_with_encoded_slashes',
        'links_with_backslashes', 'links_with_encoded_backslashes'),
        _not_followed),
    'just_not_too_slow_each_time': _in_time,
    'a_node_that_is_somebody_elses': _not_released,
    'a_composed_system_that_is_a_server': _not_released,
}


class Count(testtools.TestCase):

    def test_there_are_enough_named_cases(self):
        for driver in DRIVERS:
            names = _of(driver)
            self.addDetail(driver.__name__, content.text_content(
                f'{len(names)}:\n' + '\n'.join(sorted(names))))
            self.assertGreaterEqual(len(names), AT_LEAST, driver.__name__)
        self.assertEqual(set(), set(EXPECTED) - set(CASES))
        self.assertEqual(set(), set(TWICE) - set(CASES))

    def test_each_case_is_for_some_driver(self):
        tried = {name for driver in DRIVERS for name in _of(driver)}
        self.assertEqual(set(), set(CASES) - tried)
        for module in (hostile_expether, hostile_lies):
            self.assertTrue(set(vars(module)) & set(CASES))

    def test_each_driver_works_while_nobody_is_hostile(self):
        """Or the cases would not reach what they are about."""
        self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        for driver in DRIVERS:
            pod = driver.pod_class(self, {})
            for name, call in pod.calls().items():
                try:
                    outcome = call()
                except base.DriverError as error:
                    outcome = error
                self.assertNotIsInstance(
                    outcome, base.DriverError,
                    f'{driver.__name__} {name}: {outcome!r}')
