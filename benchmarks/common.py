# SPDX-License-Identifier: Apache-2.0
"""How is something measured and reported here?

Always beside what it is compared with, in turns, in one run: this machine's
clock, its neighbours and its disk then weigh on both alike, and the ratio
means more than the seconds.
"""

import argparse
import cProfile
import dataclasses
import gc
import importlib.metadata
import io
import os
import platform
import pstats
import signal
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Timings = dict[str, list[float]]

_LIBRARIES = (
    'pecan', 'granian', 'SQLAlchemy', 'oslo.db', 'oslo.messaging',
    'oslo.service', 'kombu', 'orjson', 'PyMySQL', 'psycopg', 'urllib3',
    'sushy', 'aiohttp')


class Missing(Exception):
    """The benchmark needs something that is not here; says what."""


@dataclasses.dataclass(frozen=True)
class Options:
    """``quick``: only see that everything works; the figures are noise."""

    quick: bool
    database: str
    mariadb: str
    postgresql: str
    broker: str | None
    ironic: str | None
    profile: bool


class Report:
    """The lines that one benchmark has to say."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str = '') -> None:
        self.lines.append(line.rstrip())

    def table(self, head: Sequence[str],
              rows: Sequence[Sequence[Any]]) -> None:
        """The first column is text, the others are numbers."""
        cells = [[str(cell) for cell in row] for row in (head, *rows)]
        widths = [max(len(row[n]) for row in cells)
                  for n in range(len(head))]
        for number, row in enumerate(cells):
            self.say('  '.join(
                cell.rjust(width) if place else cell.ljust(width)
                for place, (cell, width) in enumerate(
                    zip(row, widths, strict=True))))
            if number == 0:
                self.say('  '.join('-' * width for width in widths))

    def aim(self, what: str, value: float, limit: float,
            at_least: bool = False, unit: str = '') -> None:
        met = value >= limit if at_least else value <= limit
        self.say(f'AIM {what}: {value:.2f}{unit}, wanted '
                 f'{"at least" if at_least else "at most"} {limit:g}{unit}: '
                 f'{"met" if met else "MISSED"}')


def main(run: Callable[[Options, Report], None]) -> None:
    """Run one benchmark as a program of its own and print its report."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = Options(**vars(parser.parse_args()))
    report = Report()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        run(options, report)
    except Missing as missing:
        report.say(f'SKIPPED: {missing}')
    print('\n'.join(report.lines))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--quick', action='store_true',
        help='a few rounds on small data: does everything still work?')
    parser.add_argument(
        '--profile', action='store_true',
        help='also print where the time goes, where a benchmark knows how')
    parser.add_argument(
        '--database', default='mariadb', choices=['mariadb', 'postgresql'],
        help='what the doorbell benchmark runs on (default: mariadb)')
    parser.add_argument(
        '--mariadb', default='mysql+pymysql://root@127.0.0.1/',
        help='where a database may be created and dropped')
    parser.add_argument(
        '--postgresql',
        default='postgresql+psycopg://postgres@127.0.0.1/postgres',
        help='the same for PostgreSQL')
    parser.add_argument(
        '--broker', help='URL of a RabbitMQ virtual host to use (default: '
                         'make one of its own with rabbitmqctl)')
    parser.add_argument(
        '--ironic', metavar='PYTHON',
        help='the python of an environment with Ironic, to compare with')


def machine() -> list[str]:
    """What ran it: no names, no paths."""
    versions = []
    for name in _LIBRARIES:
        try:
            versions.append(f'{name} {importlib.metadata.version(name)}')
        except importlib.metadata.PackageNotFoundError:
            pass
    text = (f'{platform.system()} {platform.release().split("-")[0]}, '
            f'{platform.python_implementation()} '
            f'{platform.python_version()}')
    lines = [f'{_processor()}, {os.cpu_count()} cores, {text}']
    line = ''
    for version in versions:
        if len(line) + len(version) > 74:
            lines.append(line + ',')
            line = ''
        line += (', ' if line else '') + version
    return [*lines, line]


def _processor() -> str:
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            for line in file:
                if line.startswith('model name'):
                    return ' '.join(line.partition(':')[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def in_turns(functions: Mapping[str, Callable[[], Any]], rounds: int,
             calls: int = 1, warm_up: int = 1) -> Timings:
    """Seconds per call of each function; one value for each round.

    :param calls: how often a function is called in a round, so that short
        ones last long enough to be timed.
    """
    for function in functions.values():
        for _ in range(warm_up * calls):
            function()
    timings: Timings = {name: [] for name in functions}
    names = list(functions)
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        # Whoever comes first after the others has the coldest caches.
        names = names[1:] + names[:1]
        for name in names:
            function = functions[name]
            began = time.perf_counter()
            for _ in range(calls):
                function()
            timings[name].append((time.perf_counter() - began) / calls)
    return timings


def ratio(timings: Timings, name: str, to: str) -> float:
    """The median of the ratios of each round."""
    return statistics.median(
        one / other for one, other in zip(
            timings[name], timings[to], strict=True))


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    place = min(int(len(ordered) * percent / 100), len(ordered) - 1)
    return ordered[place]


def profile(report: Report, function: Callable[[], Any],
            calls: int) -> None:
    """Say which functions the time goes to."""
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(calls):
        function()
    profiler.disable()
    text = io.StringIO()
    stats = pstats.Stats(profiler, stream=text)
    stats.strip_dirs().sort_stats('tottime').print_stats(25)
    report.say()
    report.say(f'PROFILE of {calls} calls')
    for line in text.getvalue().splitlines():
        if line.strip():
            report.say(line)


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
