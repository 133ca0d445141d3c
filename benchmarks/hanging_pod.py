# SPDX-License-Identifier: Apache-2.0
"""What do operations on healthy pods notice of a pod that hangs?

Real processes: valence-api, valence-conductor, RabbitMQ, MariaDB or
PostgreSQL; four simulated pods. Three are healthy: on each one client turns
a node off and on, composes another and releases it, with pauses, and times
each operation from its POST until the API says that it succeeded. In every
second phase the fourth pod takes connections and never answers, while more
operations wait for it than the conductor has places for one pod
([conductor] threads_per_pod), and a scan.
"""

import collections
import contextlib
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

from benchmarks import common, processes
from valence.simulator.admin_client import AdminClient

_HEALTHY = ('healthy-1', 'healthy-2', 'healthy-3')
_HANGING = 'hanging'
_PROPERTIES = {'memory': {'capacity_mib': 16384, 'type': 'DDR4'},
               'processor': {'total_cores': 8}}
#: Mean of the pauses between two operations of one client, in seconds.
_PAUSE = 0.1


def _compose(api: processes.Api, pod: str, name: str) -> tuple[str, str]:
    """The new node's uuid and the operation's."""
    made = api.call('POST', '/v1/nodes', {
        'name': name, 'pod_manager': pod, 'properties': _PROPERTIES})
    return made['node']['uuid'], made['operation']['uuid']


def _power(api: processes.Api, node: str, kind: str) -> str:
    """The operation's uuid."""
    return str(api.call('POST', f'/v1/nodes/{node}/action', {
        'Reset': {'Type': kind}})['operation']['uuid'])


class _Client:
    """Operations on one healthy pod, one after the other."""

    def __init__(self, port: int, pod: str) -> None:
        self._api = processes.Api(port)
        self._pod = pod
        self._random = random.Random(pod)
        self._number = 0
        self._power = 'On'
        self._node, operation = _compose(self._api, pod, f'{pod}-0')
        self._api.finish(operation)

    def work(self, until: float, timings: common.Timings) -> None:
        while time.monotonic() < until:
            for name, seconds in self._round():
                timings[name].append(seconds)
                time.sleep(self._random.expovariate(1 / _PAUSE))

    def _round(self) -> Iterator[tuple[str, float]]:
        for _ in range(2):
            self._power = 'ForceOff' if self._power == 'On' else 'On'
            yield 'power', self._timed(
                lambda: _power(self._api, self._node, self._power))
        self._number += 1
        made = []

        def compose() -> str:
            node, operation = _compose(self._api, self._pod,
                                       f'{self._pod}-{self._number}')
            made.append(node)
            return operation

        yield 'compose', self._timed(compose)
        yield 'release', self._timed(lambda: self._api.call(
            'DELETE', f'/v1/nodes/{made[0]}')['operation']['uuid'])

    def _timed(self, start: Any) -> float:
        began = time.perf_counter()
        self._api.finish(start(), pause=0.005)
        return time.perf_counter() - began


class _Hanging:
    """The pod that hangs now and then, and who wants something of it."""

    def __init__(self, api: processes.Api, admin: AdminClient,
                 uuid: str, victims: int) -> None:
        """:param victims: its nodes, each of which is to be turned off"""
        self._api = api
        self._admin = admin
        self._uuid = uuid
        self._power = 'On'
        self._nodes = []
        for number in range(victims):
            node, operation = _compose(api, _HANGING, f'victim-{number}')
            api.finish(operation)
            self._nodes.append(node)
        self.calls = 0

    @contextlib.contextmanager
    def hangs(self, settle: bool) -> Iterator[None]:
        """:param settle: wait afterwards until nothing is left to do"""
        rule = self._admin.inject('hang')
        self._power = 'ForceOff' if self._power == 'On' else 'On'
        operations = [_power(self._api, node, self._power)
                      for node in self._nodes]
        operations.append(self._api.call(
            'POST', f'/v1/pod_managers/{self._uuid}/sync'
        )['operation']['uuid'])
        self._admin.wait(rule)
        yield
        self.calls += self._admin.rule(rule)['fired']
        self._admin.clear()
        for operation in operations if settle else ():
            self._api.end(operation, pause=0.1)


def _phase(clients: list[_Client], seconds: float,
           timings: common.Timings) -> None:
    until = time.monotonic() + seconds
    broken: list[BaseException] = []

    def work(client: _Client) -> None:
        try:
            client.work(until, timings)
        except Exception as error:      # noqa: BLE001 - said below
            broken.append(error)

    threads = [threading.Thread(target=work, args=(client,))
               for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]


def run(options: common.Options, report: common.Report) -> None:
    rounds, seconds = (1, 1.0) if options.quick else (4, 15.0)
    victims = 5 if options.quick else 12
    alone: common.Timings = collections.defaultdict(list)
    beside: common.Timings = collections.defaultdict(list)
    small = 'power-delay=0,compute=40,nvme=8,gpu=8,nic=8'
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(processes.directory())
        pods = stack.enter_context(processes.simulators(
            '--admin-port', '0', *(
                word for name in (*_HEALTHY, _HANGING)
                for word in ('--pod', f'redfish,name={name},{small}'))))
        admin = AdminClient(pods['admin'], pod=_HANGING)
        running = stack.enter_context(processes.services(options, work))
        # What hangs would have the conductor wait when it stops.
        stack.callback(admin.clear)
        api = running.api
        uuids = {name: api.register(url, name)['uuid']
                 for name, url in pods['pods'].items()}
        clients = [_Client(api.port, name) for name in _HEALTHY]
        hanging = _Hanging(api, admin, uuids[_HANGING], victims)
        _phase(clients, seconds / 5, collections.defaultdict(list))
        for number in range(rounds):
            _phase(clients, seconds, alone)
            with hanging.hangs(settle=number < rounds - 1):
                _phase(clients, seconds, beside)
    report.say(f'{options.database}, RabbitMQ; {len(_HEALTHY)} healthy pods '
               f'with a client each, {rounds} x {seconds:g} s without and '
               'with a hanging pod')
    rows = []
    ratios = []
    for name in (*alone, 'all'):
        one, other = ([value for kind in timings
                       if name in (kind, 'all') for value in timings[kind]]
                      for timings in (alone, beside))
        figures = [common.percentile(values, percent)
                   for percent in (50, 99) for values in (one, other)]
        ratios = [figures[1] / figures[0], figures[3] / figures[2]]
        rows.append((name, len(one), len(other),
                     *(f'{value * 1e3:.0f}' for value in figures[:2]),
                     f'{ratios[0]:.2f}',
                     *(f'{value * 1e3:.0f}' for value in figures[2:]),
                     f'{ratios[1]:.2f}'))
    report.table(('operation', 'without', 'with', 'p50 without, ms',
                  'p50 with, ms', 'ratio', 'p99 without, ms', 'p99 with, ms',
                  'ratio'), rows)
    report.say(f'The hanging pod had {victims} operations and a scan to do '
               f'each time, and took {hanging.calls} requests in all without '
               'an answer.')
    report.aim('p99 beside a hanging pod, times that without',
               ratios[1], 1.5)
    report.aim('the same at p50', ratios[0], 1.5)


if __name__ == '__main__':
    common.main(run)
