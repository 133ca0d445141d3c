# SPDX-License-Identifier: Apache-2.0
"""Which request's are the log lines of the conductor's threads?"""

import logging
import threading

import fixtures
import testtools
from oslo_context import context as oslo_context

# First of all: it tells oslo.service about its backend.
import valence.cmd  # noqa: F401
from valence.common import context as request_context
from valence.conductor import rpcapi
from valence.tests.unit.conductor import fakes


class Lines(logging.Handler, fixtures.Fixture):
    """The lines of a logger: a text, and the id of whose request it is."""

    def __init__(self, logger):
        logging.Handler.__init__(self)
        fixtures.Fixture.__init__(self)
        self._logger = logging.getLogger(logger)
        self.lines = []

    def _setUp(self):
        before = self._logger.level
        self._logger.addHandler(self)
        self._logger.setLevel(logging.DEBUG)
        self.addCleanup(self._logger.setLevel, before)
        self.addCleanup(self._logger.removeHandler, self)

    def emit(self, record):
        current = oslo_context.get_current()
        self.lines.append((record.getMessage(),
                           current.request_id if current else None))

    def of(self, text):
        return [request for line, request in self.lines if text in line]


class Contexts(testtools.TestCase):

    def test_a_thread_is_as_it_was_before(self):
        with request_context.of(None):
            one = request_context.detached(request_id='req-one')
            self.assertIsNone(oslo_context.get_current())
            with request_context.of(one):
                self.assertIs(one, oslo_context.get_current())
                with request_context.of(None):
                    self.assertIsNone(oslo_context.get_current())
                self.assertIs(one, oslo_context.get_current())
            self.assertIsNone(oslo_context.get_current())

    def test_carried_into_another_thread(self):
        seen = []

        def work():
            seen.append(oslo_context.get_current())

        one = request_context.detached(request_id='req-one')
        with request_context.of(one):
            thread = threading.Thread(target=request_context.carried(work))
        thread.start()
        thread.join()
        self.assertEqual([one], seen)


class Operations(fakes.EngineTest):

    def setUp(self):
        super().setUp()
        self.lines = self.useFixture(Lines('valence'))

    def test_the_next_operation_is_not_of_the_request_before(self):
        _, driver = self.pod()
        engine = self.engine(threads=1)
        _, operation = self.compose()
        engine.ring(operation)
        self.ended(operation)
        self.useFixture(fixtures.MonkeyPatch(
            'valence.conductor.engine._acquire', _broken))
        engine.ring('b' * 36)
        self.until('it says that it cannot', lambda: self.lines.of(
            'b' * 36 + ' cannot be acquired'))
        self.assertEqual({None}, set(self.lines.of('cannot be acquired')))
        self.assertEqual({fakes.REQUESTER.request_id}, set(
            self.lines.of(f'operation {operation} ')))

    def test_a_lease_that_cannot_be_renewed(self):
        _, driver = self.pod()
        go_on = threading.Event()
        driver.script = {'compose': [lambda spec: go_on.wait(60) and None]}
        self.useFixture(fixtures.MonkeyPatch(
            'valence.db.operations.renew', _broken))
        _, operation = self.compose()
        self.engine().ring(operation)
        self.until('it says that it cannot', lambda: self.lines.of(
            f'cannot renew the lease of operation {operation}'))
        go_on.set()
        self.assertEqual({fakes.REQUESTER.request_id}, set(
            self.lines.of('cannot renew')))


class Rings(testtools.TestCase):

    def test_a_ring_that_fails(self):
        lines = self.useFixture(Lines('valence.conductor.rpcapi'))
        self.useFixture(fixtures.MonkeyPatch(
            'valence.conductor.rpcapi.Doorbell._client', _broken))
        doorbell = rpcapi.Doorbell(None)
        with request_context.of(
                request_context.detached(request_id='req-one')):
            doorbell.ring('a')
        with request_context.of(None):
            doorbell.ring('b')
        doorbell.close()
        self.assertEqual((['req-one'], [None]), (
            lines.of('operation a '), lines.of('operation b ')))


def _broken(*args, **kwargs):
    raise ValueError('broken')
