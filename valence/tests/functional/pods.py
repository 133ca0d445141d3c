# SPDX-License-Identifier: Apache-2.0
"""How does each of many tests get a simulated pod of its own, soon?

Out of a process that has many of them: starting it takes longer than all
else in a test of a driver. They share nothing but the process.
"""

import collections
import dataclasses
import json
import pathlib
import sys
from typing import Any

import fixtures

from valence import conformance
from valence.common.secret import Secret
from valence.drivers import base
from valence.tests.functional.processes import Process, wait_for

_USERNAME, _PASSWORD = 'admin', 'a secret of the pod'

#: Pods of one process.
_MANY = 12


@dataclasses.dataclass(frozen=True)
class Pod:
    """A simulated pod that no other test has."""

    url: str
    ledger: pathlib.Path

    def effects(self) -> list[dict[str, Any]]:
        """What its ledger says."""
        return [json.loads(line)
                for line in self.ledger.read_text().splitlines()]


class Pods(fixtures.Fixture):
    """Pods of one kind, each of which is given out once.

    :param kind: kind and options, as after the simulator's ``--pod``
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._free: collections.deque[Pod] = collections.deque()

    def take(self) -> Pod:
        if not self._free:
            self._free.extend(self._start())
        return self._free.popleft()

    def _start(self) -> list[Pod]:
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        names = [f'pod-{number}' for number in range(_MANY)]
        process = self.useFixture(Process(
            'simulator', sys.executable, '-m', 'valence.simulator',
            *(f'--pod={self._kind},name={name},password={_PASSWORD},'
              f'ledger={directory / name}' for name in names)))
        wait_for('the simulator prints its addresses', lambda: (
            process.out.endswith('\n') or not process.alive()))
        urls = json.loads(process.out)['pods']
        return [Pod(urls[name], directory / name) for name in names]


class Simulator(conformance.Case):
    """For the tests of a driver against Valence's simulator."""

    #: What pods, see :class:`Pods`.
    pod = ''
    properties: dict[str, Any] = {}
    username: str | None = _USERNAME
    holds: dict[str, int] = {}
    capabilities: base.Capabilities | None = None
    pods: Pods

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.pods = Pods(cls.pod)
        cls.pods.setUp()
        cls.addClassCleanup(cls.pods.cleanUp)

    def new_backend(self) -> conformance.Backend:
        pod = self.pods.take()
        return conformance.Backend(
            base.Endpoint(
                pod.url, self.username,
                Secret(_PASSWORD) if self.username else None,
                properties=self.properties,
                limits=base.Limits(allow_http=True,
                                   allowed_networks=('127.0.0.0/8',))),
            effects=lambda: self.count(pod.effects()), holds=self.holds,
            capabilities=self.capabilities)

    def count(self, entries: list[dict[str, Any]]) -> int:
        """How many of a ledger's entries are changes that were made."""
        raise NotImplementedError


class Simulated(Simulator, conformance.DriverTests):
    """The whole suite."""
