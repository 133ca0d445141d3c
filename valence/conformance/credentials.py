# SPDX-License-Identifier: Apache-2.0
"""Are wrong credentials told, and right ones kept secret?"""

import dataclasses
import urllib.parse

from valence.common.secret import Secret
from valence.conformance.case import Case
from valence.conformance.proxy import Fate
from valence.drivers import base

_WRONG = 'conformance-wrong-password-8f41'


class CredentialTests(Case):

    def test_wrong_credentials(self) -> None:
        endpoint = self._with_credentials()
        wrong = dataclasses.replace(endpoint, password=Secret(_WRONG))
        for name in ('identify', 'discover'):
            with self.logged() as lines:
                error = self.raises(
                    'unauthorized', f'{name} with a wrong password',
                    getattr(self.connect(wrong), name), base.Unauthorized)
            self.check_secrets('an error', f'{error} {error!r}', (_WRONG,))
            self.check_secrets('the log', '\n'.join(lines), (_WRONG,))

    def test_no_credentials(self) -> None:
        endpoint = dataclasses.replace(
            self._with_credentials(), username=None, password=None)
        self.raises('unauthorized', 'identify without credentials',
                    self.connect(endpoint).identify, base.Unauthorized,
                    base.Misconfigured)

    def test_the_log_shows_no_credential(self) -> None:
        self._with_credentials()
        proxy = self.proxy()
        with self.logged() as lines:
            driver = self.connect(self.through(proxy))
            driver.identify()
            driver.discover()
            driver.close()
        self.check_secrets('the log', '\n'.join(lines), tuple(
            value for request in proxy.requests
            for value in request.credentials))

    def test_a_backend_that_repeats_credentials(self) -> None:
        """Some answer an error with all that they were sent."""
        self._with_credentials()
        proxy = self.proxy()
        driver = self.connect(self.through(proxy))
        driver.identify()
        proxy.decide = lambda request: Fate.ECHOED
        errors = [self.tries(driver.identify), self.tries(driver.discover),
                  self.tries(self.connect(self.through(proxy)).identify)]
        tokens = [value for request in proxy.requests
                  for value in request.credentials]
        # As it is in the body of a form or of JSON.
        tokens += [urllib.parse.quote(one) for one in self.secrets()]
        for error in errors:
            if isinstance(error, base.DriverError):
                self.check_secrets('an error', f'{error} {error!r}',
                                   tuple(tokens))

    def _with_credentials(self) -> base.Endpoint:
        endpoint = self.backend.endpoint
        if endpoint.username is None or endpoint.password is None:
            self.skipTest('the backend under test has no credentials')
        return endpoint
