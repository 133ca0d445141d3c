# SPDX-License-Identifier: Apache-2.0
"""What does the transport keep of its promises, without a driver's care?

A reader that follows each link that it is given stands for any driver that
may yet be written, also for one that trusts its backend.
"""

from typing import Any

from valence.common import deadline
from valence.drivers import base, http
from valence.drivers.redfish.session import SessionAuth
from valence.tests.unit.drivers.hostile_pods import SESSIONS, Redfish
from valence.tests.unit.drivers.pod import ROOT


class Transport(Redfish):
    """The same pod, and nothing of Redfish but the links."""

    changing = ('change',)

    def connect(self, endpoint: base.Endpoint) -> Any:
        return Reader(endpoint)

    def calls(self) -> Any:
        return {'read': self.driver.read, 'change': lambda: self.driver.send(
            *(key for key in self.changes if key[0] != 'GET'
              and key[1] != SESSIONS))}


class Reader:
    """What follows each link that it is given, as far as it may."""

    def __init__(self, endpoint: base.Endpoint) -> None:
        self.endpoint = endpoint
        self._client = http.Client(endpoint, ROOT)
        self._auth = SessionAuth(self._client, endpoint, 'auto')
        self._client.auth = self._auth

    def close(self) -> None:
        self._auth.close()
        self._client.close()

    def read(self) -> int:
        """Everything from the root on; the first error once that is done."""
        errors: list[base.DriverError] = []
        wanted, seen = [ROOT + '/'], set()
        with deadline.limit(self.endpoint.limits.call_timeout):
            while wanted and len(seen) < self.endpoint.limits.max_members:
                path = wanted.pop()
                seen.add(path)
                try:
                    body = self._client.get(path).body
                except base.DriverError as error:
                    errors.append(error)
                    if deadline.remaining(1.0) <= 0:
                        break
                else:
                    wanted += set(self._linked(body, errors)) - seen - set(
                        wanted)
        if errors:
            raise errors[0]
        return len(seen)

    def send(self, *changes: tuple[str, str]) -> None:
        """Send each change once."""
        errors = []
        with deadline.limit(self.endpoint.limits.call_timeout):
            for method, path in changes:
                try:
                    self._client.location(self._client.send(
                        method, path, {'Boot': {}}))
                except base.DriverError as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    def _linked(self, value: Any, errors: list[base.DriverError]) -> Any:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in ('@odata.id', 'target', 'Members@odata.nextLink'):
                    try:
                        path = self._client.origin.path(inner, query=True)
                    except base.BadAnswer as error:
                        errors.append(error)
                    else:
                        if key != 'target':
                            yield path
                yield from self._linked(inner, errors)
        elif isinstance(value, list):
            for inner in value:
                yield from self._linked(inner, errors)
