#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run the tests of faults for long, and write down what came of them.

These are the tests that CI runs in short: the matrix of fault points and
operations with more seeds, random kills, the model with more sequences, the
race, and the proof that each guard is missed. The exit code is not 0 when a
promise was broken; the output of each run that failed is kept.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent import futures
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent)

from benchmarks import common  # noqa: E402

_TESTS = 'valence.tests.functional'
#: So many kills at random times are one run.
_KILLS = 50


def _jobs(options: argparse.Namespace) -> Iterable[
        tuple[str, str, dict[str, Any]]]:
    """What is run: the part, the test, and its environment."""
    for seed in range(options.first, options.first + options.seeds):
        yield 'matrix', 'test_kill_points.Matrix', {
            'VALENCE_TEST_SEEDS': seed, 'VALENCE_TEST_SLOW_KINDS': 1}
    for number, kills in enumerate(_portions(options.kills, _KILLS)):
        yield 'random kills', 'test_chaos', {
            'VALENCE_TEST_CHAOS_SEED': options.first + number,
            'VALENCE_TEST_CHAOS_KILLS': kills}
    for number, examples in enumerate(_portions(options.examples, 10)):
        yield 'model', 'test_model', {
            'VALENCE_TEST_MODEL_SEED': options.first + number,
            'VALENCE_TEST_EXAMPLES': examples}
    if options.races:
        yield 'race', 'test_races', {'VALENCE_TEST_RACES': options.races}
    yield 'guards', 'test_guards', {}


def _portions(total: int, size: int) -> list[int]:
    return [min(size, total - begun) for begun in range(0, total, size)]


def _run(job: tuple[str, str, dict[str, Any]], directory: pathlib.Path
         ) -> tuple[bool, float, list[dict[str, Any]]]:
    """Whether it passed, its seconds, and its figures."""
    _, test, environment = job
    name = '-'.join(['run', test, *map(str, environment.values())])
    figures, log = directory / f'{name}.json', directory / f'{name}.log'
    began = time.monotonic()
    with log.open('wb') as output:
        code = subprocess.run(
            [sys.executable, '-m', 'testtools.run', f'{_TESTS}.{test}'],
            cwd=HERE.parent, stdout=output, stderr=output, env={
                **os.environ, 'VALENCE_TEST_FIGURES': str(figures),
                **{key: str(value) for key, value in environment.items()},
            }).returncode
    found = ([json.loads(line) for line in figures.read_text().splitlines()]
             if figures.exists() else [])
    return code == 0, time.monotonic() - began, found


def _say(report: common.Report, parts: dict[str, list[Any]]) -> None:
    report.table(
        ('', 'runs', 'failed', 'seconds'),
        [(part, len(runs), sum(not passed for passed, *_ in runs),
          f'{sum(seconds for _, seconds, _ in runs):.0f}')
         for part, runs in parts.items()])
    for part, runs in parts.items():
        report.say()
        report.say(part)
        every = [one for *_, found in runs for one in found]
        if part == 'guards':
            for one in every:
                report.say(f'  without the {one["guard"]}:')
                for line in one['broken']:
                    report.say(f'    {line}')
            continue
        if part == 'race':
            for one in every:
                report.say('  ' + ', '.join(
                    f'{name} {value}' for name, value in one.items()))
            continue
        sums: collections.Counter[str] = collections.Counter()
        for one in every:
            sums.update({name: value for name, value in one.items()
                         if isinstance(value, int) and name != 'seed'})
        for name, value in sums.items():
            report.say(f'  {name}: {value}')


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or '').partition('\n\n')[0])
    for name, default, what in (
            ('seeds', 25, 'seeds of the matrix'),
            ('first', 0, 'the first seed'),
            ('kills', 500, 'kills of conductors at random times'),
            ('examples', 100, 'sequences of the model'),
            ('races', 5000, 'attempts of the race'),
            ('jobs', 2, 'runs at a time')):
        parser.add_argument(f'--{name}', type=int, default=default,
                            help=f'{what} (default: {default})')
    parser.add_argument('--no-save', action='store_true',
                        help='leave benchmarks/results alone')
    options = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix='valence-proof-'))
    jobs = list(_jobs(options))
    parts: dict[str, list[Any]] = {}
    began = time.monotonic()
    with futures.ThreadPoolExecutor(options.jobs) as pool:
        for job, result in zip(jobs, pool.map(
                lambda job: _run(job, directory), jobs), strict=True):
            passed, seconds, _ = result
            common.progress(f'{job[0]} {job[2]}: '
                            f'{"passed" if passed else "FAILED"} in '
                            f'{seconds:.0f} s')
            parts.setdefault(job[0], []).append(result)
    report = common.Report()
    report.say('python benchmarks/proof.py ' + ' '.join(
        f'--{name} {getattr(options, name)}' for name in (
            'seeds', 'first', 'kills', 'examples', 'races', 'jobs')))
    report.say(f'{time.monotonic() - began:.0f} seconds of wall clock')
    report.say()
    _say(report, parts)
    print('\n'.join(report.lines))
    broken = sum(not passed for runs in parts.values()
                 for passed, *_ in runs)
    if broken:
        print(f'{broken} runs failed; their output is in {directory}',
              file=sys.stderr)
    if not options.no_save:
        day = datetime.datetime.now(datetime.UTC).date().isoformat()
        head = '\n'.join(common.machine())
        with open(HERE / 'results' / 'proof.txt', 'a',
                  encoding='utf-8') as file:
            file.write(f'=== {day}\n{head}\n\n'
                       + '\n'.join(report.lines) + '\n\n')
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
