#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run all benchmarks, or those that are named, one after the other.

Each runs in a process of its own. What it reports is printed and, unless
--quick is given, appended to results/<name>.txt. The exit code tells whether
a benchmark broke, not how fast anything was.
"""

import argparse
import datetime
import os
import pathlib
import subprocess
import sys
import time
from concurrent import futures

HERE = pathlib.Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent)

from benchmarks import common  # noqa: E402

NAMES = ('pecan_share', 'show', 'listing', 'paging', 'unchanged', 'memory',
         'idle_pods', 'discovery', 'doorbell', 'hanging_pod', 'takeover',
         'ironic_api')
#: One benchmark may take so many seconds.
_TIMEOUT = 900


def _parse() -> tuple[list[str], list[str], bool, bool]:
    parser = argparse.ArgumentParser(
        description=(__doc__ or '').partition('\n\n')[0])
    parser.add_argument('names', nargs='*', metavar='NAME',
                        help='any of ' + ', '.join(NAMES))
    parser.add_argument('--no-save', action='store_true',
                        help='leave benchmarks/results alone')
    common.add_arguments(parser)
    arguments = vars(parser.parse_args())
    names, no_save = arguments.pop('names'), arguments.pop('no_save')
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        parser.error(f'no benchmark {", ".join(unknown)}')
    passed = []
    for name, value in arguments.items():
        if value is True:
            passed.append(f'--{name}')
        elif value:
            passed.append(f'--{name}={value}')
    return (names or list(NAMES), passed, arguments['quick'],
            not (no_save or arguments['quick']))


def _one(name: str, arguments: list[str]) -> tuple[str | None, float]:
    """What a benchmark says, None if it broke; and its seconds."""
    began = time.monotonic()
    with subprocess.Popen(
            [sys.executable, '-m', f'benchmarks.{name}', *arguments],
            cwd=HERE.parent, stdout=subprocess.PIPE, text=True, env={
                **os.environ, 'PYTHONPATH': str(HERE.parent),
                'PYTHONWARNINGS': 'ignore', 'PYTHONHASHSEED': '0'}) as child:
        try:
            text, _ = child.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            child.terminate()       # it ends what it started
            child.communicate()
    return (text if child.returncode == 0 else None,
            time.monotonic() - began)


def main() -> int:
    names, arguments, quick, save = _parse()
    head = '\n'.join(common.machine())
    print(head)
    broken = []
    if quick:
        # Where the figures mean nothing two may disturb each other; the
        # longest come first.
        names = names[::-1]
    workers = futures.ThreadPoolExecutor(2 if quick else 1)
    for name, (text, seconds) in zip(names, workers.map(
            lambda name: _one(name, arguments), names), strict=True):
        print(f'\n=== {name} ({seconds:.0f} s)')
        if text is None:
            broken.append(name)
            print('BROKEN')
            continue
        print(text, end='', flush=True)
        if save and not text.startswith('SKIPPED'):
            day = datetime.datetime.now(datetime.UTC).date().isoformat()
            path = HERE / 'results' / f'{name}.txt'
            path.parent.mkdir(exist_ok=True)
            with open(path, 'a', encoding='utf-8') as file:
                file.write(f'=== {day}\n{head}\n\n{text}\n')
    if broken:
        print(f'\nbroken: {", ".join(broken)}', file=sys.stderr)
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
