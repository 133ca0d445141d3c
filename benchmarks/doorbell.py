# SPDX-License-Identifier: Apache-2.0
"""How long from POST /v1/nodes to the first request at the hardware?

Real processes: valence-api, valence-conductor, RabbitMQ with quorum queues,
MariaDB or PostgreSQL, a simulated pod that notes each request on arrival.
In each round also: a bare cast of oslo.messaging to a handler in another
process over the same broker, the cheapest request to the API, and one
committed UPDATE in the same database. A POST has a cast and a request in it,
and several statements and commits between them.
"""

import contextlib
import json
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from benchmarks import bare_cast, common, processes, traced_stages

_POD = ('--compute', '32', '--nvme', '64', '--gpu', '32', '--nic', '32')
_BODY = {'properties': {
    'memory': {'capacity_mib': 16384, 'type': 'DDR4'},
    'processor': {'total_cores': 8}}}


class _Bench:
    """The running services and what is asked of them."""

    def __init__(self, api: processes.Api, log: pathlib.Path, cast: Any,
                 server: Any, engine: sa.Engine) -> None:
        self.api = api
        self._log = log
        self._cast = cast
        self._server = server
        self._engine = engine
        self._number = 0
        self.began = 0.0
        self.arrived = 0.0

    def compose(self) -> tuple[float, float]:
        """Seconds from the POST to the hardware, and to its answer."""
        self._number += 1
        seen = self._log.stat().st_size
        body = {'name': f'node-{self._number}', **_BODY}
        self.began = time.time()
        made = self.api.call('POST', '/v1/nodes', body)
        answered = time.time()
        self.api.finish(made['operation']['uuid'])
        with open(self._log, 'rb') as file:
            file.seek(seen)
            self.arrived = json.loads(file.readline())['time']
        gone = self.api.call('DELETE', f'/v1/nodes/{made["node"]["uuid"]}')
        self.api.finish(gone['operation']['uuid'])
        return self.arrived - self.began, answered - self.began

    def round(self) -> tuple[float, ...]:
        """Seconds of each of the things that are measured, once."""
        return (*self.compose(), self.cast(), self.get(), self.commit())

    def cast(self) -> float:
        began = time.time()
        self._cast.cast({}, 'arrived', operation_uuid=36 * 'x')
        return float(self._server.stdout.readline()) - began

    def get(self) -> float:
        began = time.time()
        self.api.call('GET', '/')
        return time.time() - began

    def commit(self) -> float:
        began = time.time()
        with self._engine.begin() as connection:
            connection.execute(sa.text(
                'UPDATE benchmark SET value = value + 1 WHERE id = 1'))
        return time.time() - began


@contextlib.contextmanager
def _services(options: common.Options, trace: pathlib.Path | None = None
              ) -> Iterator[_Bench]:
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        directory = enter(processes.directory())
        log = directory / 'requests'
        pod = enter(processes.simulator(*_POD, '--request-log', str(log)))
        running = enter(processes.services(options, directory, trace))
        server = enter(processes.process(
            [sys.executable, '-m', 'benchmarks.bare_cast', running.broker]))
        assert server.stdout
        if server.stdout.readline() != 'ready\n':
            raise RuntimeError('the bare server did not start')
        engine = sa.create_engine(running.database)
        stack.callback(engine.dispose)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                'CREATE TABLE benchmark (id INTEGER PRIMARY KEY, '
                'value INTEGER NOT NULL)')
            connection.exec_driver_sql(
                'INSERT INTO benchmark (id, value) VALUES (1, 0)')
        transport = bare_cast.transport(running.broker)
        stack.callback(transport.cleanup)
        bench = _Bench(running.api, log, bare_cast.client(transport),
                       server, engine)
        bench.api.register(pod)
        time.sleep(1)
        for _ in range(5):
            bench.round()
        yield bench


def run(options: common.Options, report: common.Report) -> None:
    with processes.directory() as directory:
        trace = directory / 'trace'
        trace.touch()
        if options.quick:
            with _services(options, trace) as bench:
                _compare(options, report, bench, 10)
                _stages(report, bench, trace, 5)
            return
        with _services(options) as bench:
            _compare(options, report, bench, 200)
        # Once more, with processes that note the time of each stage.
        with _services(options, trace) as bench:
            _stages(report, bench, trace, 60)


def _compare(options: common.Options, report: common.Report, bench: _Bench,
             rounds: int) -> None:
    timings: common.Timings = {
        'POST /v1/nodes to first request at hardware': [],
        'POST /v1/nodes to its answer': [],
        'bare cast, publisher to handler': [],
        'GET / to its answer': [],
        'one committed UPDATE': [],
    }
    posted, _, cast, _, _ = timings.values()
    for _ in range(rounds):
        for values, value in zip(timings.values(), bench.round(),
                                 strict=True):
            values.append(value)
    report.say(f'{options.database}, RabbitMQ with quorum queues, '
               f'{rounds} rounds')
    report.table(
        ('milliseconds', 'p50', 'p99', 'times a cast (p50)'),
        [(name, f'{common.median(values) * 1e3:.2f}',
          f'{common.percentile(values, 99) * 1e3:.2f}',
          f'{common.median(values) / common.median(cast):.2f}')
         for name, values in timings.items()])
    report.aim('POST to hardware, times a bare cast (p50)',
               common.median(posted) / common.median(cast), 2.0)
    report.aim('the same at p99', common.percentile(posted, 99)
               / common.percentile(cast, 99), 2.0)


def _stages(report: common.Report, bench: _Bench, trace: pathlib.Path,
            rounds: int) -> None:
    """:param trace: where the services note the time of each stage"""
    names = ['POST sent', *traced_stages.STAGES,
             'first request at the hardware']
    spent: list[list[float]] = [[] for _ in names[1:]]
    for _ in range(rounds):
        seen = trace.stat().st_size
        bench.round()
        times: dict[int, float] = {}
        with open(trace, encoding='ascii') as file:
            file.seek(seen)
            for line in file:
                at, stage = line.split()
                times.setdefault(int(stage), float(at))
        passed = [bench.began, *(times[stage] for stage in range(
            len(traced_stages.STAGES))), bench.arrived]
        for number, values in enumerate(spent):
            values.append(passed[number + 1] - passed[number])
    report.say()
    report.say(f'Where the time goes ({rounds} more rounds, with notes of '
               'the time)')
    report.table(
        ('until', 'p50, ms', 'p99, ms'),
        [(name, f'{common.median(values) * 1e3:.2f}',
          f'{common.percentile(values, 99) * 1e3:.2f}')
         for name, values in zip(names[1:], spent, strict=True)])


if __name__ == '__main__':
    common.main(run)
