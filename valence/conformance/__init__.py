# SPDX-License-Identifier: Apache-2.0
"""Does a driver keep the contract of ``valence.drivers.base``?

A suite for any driver, in Valence's tree or out of it, against a backend of
its author's choice: hardware in a laboratory or a simulator. It needs nothing
but Valence and a runner of ``unittest``::

    class AcmeConformance(conformance.DriverTests, unittest.TestCase):
        driver = AcmeDriver

        def new_backend(self):
            backend = start_a_simulator()
            self.addCleanup(backend.stop)
            return conformance.Backend(Endpoint(backend.url, ...))

What the driver does not promise is skipped, and the skip says so. A failure
quotes the sentence of the contract and says what to do. The hooks that an
author may override are the public methods of :class:`Case`; the doc's
"Writing a driver" has more.
"""

from valence.conformance.case import Backend, Case
from valence.conformance.changing import ChangingTests
from valence.conformance.credentials import CredentialTests
from valence.conformance.deadlines import DeadlineTests
from valence.conformance.declared import DeclaredTests
from valence.conformance.failures import FailureTests
from valence.conformance.lifetime import LifetimeTests
from valence.conformance.looking import LookingTests
from valence.conformance.proxy import Fate, Proxy, Request
from valence.conformance.reading import ReadingTests
from valence.conformance.rules import RULES, Rule

__all__ = ['RULES', 'Backend', 'Case', 'DriverTests', 'Fate', 'Proxy',
           'Request', 'Rule']


class DriverTests(DeclaredTests, ReadingTests, CredentialTests,
                  LifetimeTests, ChangingTests, LookingTests, FailureTests,
                  DeadlineTests):
    """The whole suite, to be mixed into a ``unittest.TestCase``."""
