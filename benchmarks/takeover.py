# SPDX-License-Identifier: Apache-2.0
"""How long is an operation nobody's after its conductor was killed?

Real processes: valence-api, four valence-conductors with the defaults for
lease and poll, RabbitMQ, MariaDB or PostgreSQL, a simulated pod that takes
its time for each answer. While operations are under way two of the
conductors are killed at once, and for each operation that they owned the
time is taken until another conductor has acquired it. Then both are started
again, and so on.
"""

import collections
import contextlib
import os
import pathlib
import signal
import subprocess
import time
from typing import Any

from benchmarks import common, processes

_CONDUCTORS = 4
_KILLED = 2
#: Operations that are under way when conductors are killed.
_BUSY = 8
_BODY = {'properties': {'processor': {'total_cores': 1}}}
#: Seconds after which the work goes on, at p99, with the defaults.
_AIM = 45.0


class _Bench:

    def __init__(self, stack: contextlib.ExitStack, conf: str,
                 work: pathlib.Path, api: processes.Api) -> None:
        self._stack = stack
        self._conf = conf
        self._work = work
        self.api = api
        self._running: dict[int, subprocess.Popen[str]] = {}
        self._number = 0
        self.lost = 0

    def staff(self) -> None:
        """Start conductors until there are enough, and wait for them."""
        while len(self._running) < _CONDUCTORS:
            child = self._stack.enter_context(processes.process(
                [processes.script('valence-conductor'), '--config-file',
                 self._conf], self._work / 'conductor.log'))
            self._running[child.pid] = child
        until = time.monotonic() + 60
        while len(self._masters()) < _CONDUCTORS:
            if time.monotonic() > until:
                raise RuntimeError('the conductors did not start')
            time.sleep(0.05)

    def _masters(self) -> dict[str, int]:
        """The process of each conductor that runs, by its uuid."""
        found = {}
        for one in self.api.call('GET', '/v1/conductors')['conductors']:
            for pid in (one['pid'], _parent(one['pid'])):
                if pid in self._running:
                    found[one['uuid']] = pid
        return found

    def _owned(self) -> dict[str, dict[str, Any]]:
        """Operations under way that somebody owns, by uuid."""
        listed = self.api.call('GET', '/v1/operations?state=running')
        return {one['uuid']: one for one in listed['operations']
                if one['conductor']}

    def wave(self) -> list[float]:
        """Kill conductors; gives the seconds for each of their operations."""
        until = time.monotonic() + 60
        while True:
            owned = self._owned()
            if len(owned) >= _BUSY:
                owners = collections.Counter(
                    one['conductor'] for one in owned.values())
                masters = self._masters()
                victims = [uuid for uuid, _ in owners.most_common()
                           if uuid in masters][:_KILLED]
                if len(victims) == _KILLED:
                    break
            elif time.monotonic() > until:
                raise RuntimeError('the operations are over too soon')
            self._number += 1
            self.api.call('POST', '/v1/nodes', {
                'name': f'node-{self._number}', **_BODY})
        for uuid in victims:
            child = self._running.pop(masters[uuid])
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        killed = time.monotonic()
        # As of now: what ended just before the kill is not counted.
        left = {uuid: one['attempts'] for uuid, one in self._owned().items()
                if one['conductor'] in victims}
        self.lost += len(left)
        seconds = []
        while left:
            for uuid, attempts in list(left.items()):
                one = self.api.call('GET', f'/v1/operations/{uuid}')
                if one['attempts'] > attempts:
                    seconds.append(time.monotonic() - killed)
                    del left[uuid]
            if time.monotonic() > killed + 300:
                raise RuntimeError(f'nobody took over {sorted(left)}')
            time.sleep(0.05)
        return seconds

    def finish(self) -> None:
        """Wait until nothing is under way any more."""
        for state in ('pending', 'running'):
            for one in self.api.call(
                    'GET', f'/v1/operations?state={state}')['operations']:
                self.api.finish(one['uuid'], 300, 0.1)


def _parent(pid: int) -> int:
    try:
        status = pathlib.Path(f'/proc/{pid}/stat').read_text('ascii')
    except OSError:
        return 0
    return int(status.rpartition(')')[2].split()[1])


def run(options: common.Options, report: common.Report) -> None:
    waves = 1 if options.quick else 12
    fast = {'lease': 6, 'poll_interval': 1} if options.quick else {}
    seconds: list[float] = []
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        work = enter(processes.directory())
        broker = enter(processes.broker(options))
        url = enter(processes.database(options, options.database))
        port = processes.free_port()
        conf = processes.configure(
            work, url, broker, api={'auth_strategy': 'noauth',
                                    'bind_port': port},
            conductor={'sync_interval': 86400, **fast})
        pod = enter(processes.simulator(
            '--compute', '150', '--nvme', '8', '--gpu', '8', '--nic', '8',
            '--zones', '1', '--latency', '0.4'))
        enter(processes.process([processes.script('valence-api'),
                                 '--config-file', conf], work / 'api.log'))
        api = processes.Api(port)
        api.wait()
        bench = _Bench(stack, conf, work, api)
        bench.staff()
        api.register(pod)
        for number in range(waves):
            common.progress(f'takeover: {number + 1} of {waves}')
            bench.staff()
            seconds += bench.wave()
        bench.finish()
    report.say(f'{options.database}, {waves * _KILLED} conductors killed, '
               f'{bench.lost} operations taken over'
               + ('' if options.quick else '; lease 20 s, poll 5 s'))
    report.table(('seconds', 'p50', 'p99', 'longest'), [(
        'from the kill until another conductor goes on',
        f'{common.median(seconds):.1f}',
        f'{common.percentile(seconds, 99):.1f}', f'{max(seconds):.1f}')])
    report.aim('work of a dead conductor goes on, p99',
               common.percentile(seconds, 99), _AIM, unit=' s')


if __name__ == '__main__':
    common.main(run)
