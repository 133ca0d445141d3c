# SPDX-License-Identifier: Apache-2.0
"""How does a test run services whose fault points it arms as they run?

The services are those of :mod:`valence.tests.functional.armed`. A process
that stopped itself at a point is woken some time later, and an API that was
killed is asked again, as users do.
"""

import itertools
import os
import signal
import sys
import threading
import time
from typing import Any

import requests
import testtools

from valence.tests.functional import armed, oracle
from valence.tests.functional.processes import (
    PATIENCE,
    Client,
    Deployment,
    Process,
    Simulator,
    living,
    wait_for,
)

#: Seconds that an operation is owned by whoever died with it.
LEASE = 3.0
#: Seconds after which a stopped conductor, or API, is woken: the former when
#: its lease is over and somebody else may have gone on.
SLEEP = {'conductor': LEASE + 0.7, 'api': 0.7}
_API_POINTS = ('K0', 'K1', 'K2')
#: Seconds until a request without an answer is sent again.
_ANSWER = PATIENCE / 3


class PatientClient(Client):
    """Asks again where the API broke off, with the key of the request."""

    def __init__(self, url: str, deployment: 'ArmedDeployment') -> None:
        super().__init__(url)
        self._deployment = deployment
        self._numbers = itertools.count()
        #: The operations that were accepted.
        self.accepted: list[str] = []
        #: What came back beside an answer, and was asked again.
        self.broken = 0

    def request(self, method: str, path: str, body: Any = None,
                **more: Any) -> requests.Response:
        headers = {'Idempotency-Key': f'key-{id(self)}-{next(self._numbers)}'}
        end = time.monotonic() + PATIENCE
        while True:
            try:
                answer = self.session.request(
                    method, self.url + path, json=body, timeout=_ANSWER,
                    headers=headers if method != 'GET' else {}, **more)
                # An error that was raised at a fault point is the API's
                # only reason for a 5xx.
                if answer.status_code < 500 or not self._deployment.excuse():
                    break
            except requests.RequestException:
                if time.monotonic() > end:
                    raise
            self.broken += 1
            self._deployment.revive()
        if answer.status_code == 202:
            self.accepted.append(answer.json()['operation']['uuid'])
        return answer


class ArmedDeployment(Deployment):
    """Pods, an API and conductors, all registered and read.

    :param pods: the arguments of each simulator, by the name of the pod
    :param processes: conductors
    :param workers: of each conductor
    :param wakes: whether who stopped at a point is woken again
    """

    def __init__(self, test: testtools.TestCase, database: str,
                 pods: dict[str, tuple[str, ...]], processes: int = 1,
                 workers: int = 1, api_workers: int = 1,
                 wakes: bool = True) -> None:
        super().__init__(
            test, database, DEFAULT={'debug': False},
            drivers={'call_timeout': 2}, api={'workers': api_workers},
            conductor={'lease': LEASE, 'poll_interval': 0.3,
                       'workers': workers, 'threads_per_pod': 8})
        self._test = test
        self._pods = pods
        self._count = processes
        self._workers = workers
        self._wakes = wakes
        self._excused = 0
        self._ended: dict[str, dict[str, Any]] = {}

    def _setUp(self) -> None:
        super()._setUp()
        self.faults = armed.Faults(os.path.join(self.directory, 'faults'))
        self.pods = {name: self.useFixture(Simulator(*arguments))
                     for name, arguments in self._pods.items()}
        self._start_api()
        self.client = PatientClient(f'http://127.0.0.1:{self.port}', self)
        wait_for('the API answers', lambda: self.client.request(
            'GET', '/').ok)
        self.conductors = [self.start_conductor()
                           for _ in range(self._count)]
        wait_for('the conductors are up', lambda: len(
            living(self.client)) == self._count * self._workers)
        self.uuids = {
            name: self.client.register(pod, name)['uuid']
            for name, pod in self.pods.items()}
        self._over = threading.Event()
        if not self._wakes:
            return
        waker = threading.Thread(target=self._wake, daemon=True)
        waker.start()
        self.addCleanup(waker.join)
        self.addCleanup(self._over.set)

    def _run(self, service: str, **environment: str) -> Process:
        return self.useFixture(Process(
            service, sys.executable, '-m', armed.__name__, service,
            '--config-file', self.config,
            **{armed.VARIABLE: self.faults.directory, **environment}))

    def _start_api(self) -> None:
        self.api = self._run('api')

    def start_conductor(self, guards_off: str = '') -> Process:
        return self._run('conductor', **{armed.GUARDS: guards_off})

    def revive(self) -> None:
        """Start the API anew if it gave up, as an init system does."""
        if not self.api.alive():
            self._start_api()
        time.sleep(0.05)

    def excuse(self) -> bool:
        """Whether a 5xx may be what was raised at a fault point."""
        self._excused += 1
        return self._excused <= sum(
            entry['action'] == 'raise' and entry['point'] in _API_POINTS
            for entry in self.faults.trace())

    def _wake(self) -> None:
        woken: set[tuple[int, float]] = set()
        while not self._over.wait(0.1):
            for entry in self.faults.trace():
                who = entry['pid'], entry['time']
                service = ('api' if entry['point'] in _API_POINTS
                           else 'conductor')
                if (entry['action'] == 'stop' and who not in woken
                        and time.time() - entry['time'] > SLEEP[service]):
                    woken.add(who)
                    try:
                        os.kill(entry['pid'], signal.SIGCONT)
                    except ProcessLookupError:
                        pass

    # What happened

    def settle(self) -> dict[str, dict[str, Any]]:
        """All operations that were ever accepted, once all is quiet."""
        self._ended |= oracle.settle(
            self.client, [uuid for uuid in self.client.accepted
                          if uuid not in self._ended])
        return self._ended

    def violations(self, refusals: bool = False) -> list[str]:
        """See :func:`oracle.violations`; waits for quiet."""
        return self.broken_promises(self.settle(), refusals)

    def broken_promises(self, operations: dict[str, dict[str, Any]],
                        refusals: bool = False) -> list[str]:
        pods = {self.uuids[name]: pod for name, pod in self.pods.items()}
        return [
            *oracle.violations(pods, oracle.nodes(self.client), operations,
                               self.faults.trace(), refusals),
            *oracle.leaks(pods.values(), [
                process.log for process in (self.api, *self.conductors)])]

    def say(self, **more: Any) -> None:
        """Attach all that is known to the test."""
        oracle.attach_details(
            self._test, self.client, self.pods.values(),
            trace=self.faults.trace(), **more)
