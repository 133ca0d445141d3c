# SPDX-License-Identifier: Apache-2.0
"""What did the test runs do, in one line at the end?

``summary.py [--passed N] [--failed N] DIRECTORY`` reads the runs that
tools/test left in the directory, each as ``NAME.status`` (stestr's exit
status) and ``NAME.subunit`` (its stream, if it got that far). It lists what
was skipped and why, then the failures with the end of what they say, and
closes with ``N passed, N failed, N skipped``. It exits with 1 when anything
failed or nothing ran. ``--passed`` and ``--failed`` count in what is not a
test, such as a style check.
"""

import argparse
import collections
import pathlib
import sys
import textwrap

import subunit
import testtools

PASSED = ('success', 'xfail')
FAILED = ('fail', 'uxsuccess', 'inprogress', 'unknown')

#: How much of each of them is shown.
LINES = 40


def outcomes(path: pathlib.Path) -> list[dict]:
    """The final outcome of every test in a subunit v2 file."""
    found: list[dict] = []
    with path.open('rb') as stream:
        case = subunit.ByteStreamToStreamResult(
            stream, non_subunit_name='output')
        result = testtools.StreamToDict(found.append)
        result.startTestRun()
        case.run(result)
        result.stopTestRun()
    return [test for test in found if test['status'] not in (None, 'exists')]


def reason(test: dict) -> str:
    detail = test['details'].get('reason')
    return detail.as_text().strip() if detail else 'no reason given'


def said(test: dict) -> str:
    """The end of each text that a failed test left, its traceback last."""
    details = sorted(test['details'].items(),
                     key=lambda item: 'traceback' in item[0])
    return '\n'.join(
        f'{name}:\n' + '\n'.join(detail.as_text().splitlines()[-LINES:])
        for name, detail in details
        if detail.content_type.type == 'text')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--passed', type=int, default=0)
    parser.add_argument('--failed', type=int, default=0)
    parser.add_argument('directory', type=pathlib.Path)
    args = parser.parse_args()

    tests = []
    failed: dict[str, str] = {}
    for status in sorted(args.directory.glob('*.status')):
        stream = status.with_suffix('.subunit')
        ran = outcomes(stream) if stream.exists() else []
        bad = {test['id']: said(test) for test in ran
               if test['status'] in FAILED}
        code = int(status.read_text())
        if code and not bad:
            bad = {f'{status.stem}: stestr ended with status {code}': ''}
        tests += ran
        failed |= bad
    passed = [test['id'] for test in tests if test['status'] in PASSED]
    skipped = collections.defaultdict(list)
    for test in tests:
        if test['status'] == 'skip':
            skipped[reason(test)].append(test['id'])

    if skipped:
        print('\nSkipped:')
        for why, names in sorted(skipped.items()):
            print(f'  {why}')
            for name in sorted(names):
                print(f'    {name}')
    if failed:
        print('\nFailed:')
        for name, text in sorted(failed.items()):
            print(f'  {name}')
            print(textwrap.indent(text, '    '))
    n_passed = len(passed) + args.passed
    n_failed = len(failed) + args.failed
    n_skipped = sum(map(len, skipped.values()))
    if not n_passed and not n_failed:
        print('\nNo test ran.')
    print(f'\n{n_passed} passed, {n_failed} failed, {n_skipped} skipped')
    return 1 if n_failed or not n_passed else 0


if __name__ == '__main__':
    sys.exit(main())
