# SPDX-License-Identifier: Apache-2.0
"""How long do the longest functional tests take?

stestr shares tests out among its processes by the time that they took before.
In a fresh clone it knows of none, and one process may get most of the long
ones. ``durations.py`` prints what tools/durations.txt says, in seconds, as a
stream for ``stestr load``. After a run it writes that file anew::

    stestr last --subunit | python tools/durations.py --update /dev/stdin
"""

import argparse
import datetime
import pathlib
import sys

import subunit
import summary

KNOWN = pathlib.Path(__file__).with_name('durations.txt')
#: Seconds; what is shorter makes no difference.
LEAST = 5
_BEGUN = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


def read() -> dict[str, int]:
    """Seconds by the name of the test."""
    lines = (line.split() for line in KNOWN.read_text().splitlines())
    return {name: int(seconds) for seconds, name in lines}


def stream(durations: dict[str, int]) -> None:
    """Print a run of these tests."""
    result = subunit.StreamResultToBytes(sys.stdout.buffer)
    result.startTestRun()
    for name, seconds in durations.items():
        result.status(name, 'inprogress', timestamp=_BEGUN)
        result.status(name, 'success', timestamp=(
            _BEGUN + datetime.timedelta(seconds=seconds)))
    result.stopTestRun()


def update(path: pathlib.Path) -> None:
    """Write down what took long."""
    taken = ((test['id'], test['timestamps']) for test in
             summary.outcomes(path))
    longest = sorted(
        ((round((end - begun).total_seconds()), name)
         for name, (begun, end) in taken if begun and end), reverse=True)
    KNOWN.write_text(''.join(f'{seconds:>4} {name}\n'
                             for seconds, name in longest
                             if seconds >= LEAST))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--update', metavar='FILE', type=pathlib.Path,
                        help='of the stream of a run')
    arguments = parser.parse_args()
    if arguments.update:
        update(arguments.update)
    else:
        stream(read())


if __name__ == '__main__':
    main()
