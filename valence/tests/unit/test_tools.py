# SPDX-License-Identifier: Apache-2.0
"""tools/test closes with true counts, and the tools say what is missing."""

import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import subunit
import testtools

ROOT = pathlib.Path(__file__).resolve().parents[3]


def setUpModule() -> None:
    if not (ROOT / 'tools/test').exists():
        raise unittest.SkipTest('not run from a source tree')


class _Tests(unittest.TestCase):
    """What a run is made of; not discovered for the underscore."""

    def good(self) -> None:
        pass

    def bad(self) -> None:
        self.fail('as it should')

    def absent(self) -> None:
        self.skipTest('no broker')


def stream(*names: str) -> bytes:
    out = io.BytesIO()
    result = testtools.ExtendedToStreamDecorator(
        subunit.StreamResultToBytes(out))
    result.startTestRun()
    unittest.TestSuite(map(_Tests, names)).run(result)
    result.stopTestRun()
    return out.getvalue()


class SummaryTest(unittest.TestCase):

    def setUp(self) -> None:
        self.tmp = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory()))

    def run_of(self, name: str, status: int, tests: bytes | None) -> None:
        (self.tmp / f'{name}.status').write_text(f'{status}\n')
        if tests is not None:
            (self.tmp / f'{name}.subunit').write_bytes(tests)

    def summary(self, *options: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, ROOT / 'tools/summary.py', *options, self.tmp],
            text=True, stdout=subprocess.PIPE)
        return done.returncode, done.stdout

    def test_counts_over_all_runs_and_says_why_something_was_skipped(self):
        self.run_of('unit', 0, stream('good', 'good', 'absent'))
        self.run_of('functional', 0, stream('absent', 'good'))
        code, text = self.summary('--passed', '3')
        self.assertEqual(0, code)
        self.assertIn('no broker', text)
        self.assertEqual('6 passed, 0 failed, 2 skipped',
                         text.splitlines()[-1])

    def test_a_failed_test_fails(self):
        self.run_of('unit', 1, stream('good', 'bad'))
        code, text = self.summary()
        self.assertEqual(1, code)
        self.assertIn('bad', text)
        self.assertIn('AssertionError: as it should', text)
        self.assertEqual('1 passed, 1 failed, 0 skipped',
                         text.splitlines()[-1])

    def test_a_run_that_broke_before_its_tests_is_a_failure(self):
        self.run_of('unit', 0, stream('good'))
        self.run_of('functional', 100, None)
        code, text = self.summary()
        self.assertEqual(1, code)
        self.assertEqual('1 passed, 1 failed, 0 skipped',
                         text.splitlines()[-1])

    def test_nothing_ran_is_a_failure(self):
        for tests in (None, stream('absent')):
            self.run_of('unit', 0, tests)
            code, text = self.summary()
            self.assertEqual(1, code)
            self.assertRegex(text.splitlines()[-1],
                             '^0 passed, 0 failed, [01] skipped$')


class DemoTest(unittest.TestCase):

    def test_an_unknown_option_is_refused_before_anything_is_set_up(self):
        with tempfile.TemporaryDirectory() as directory:
            # A checkout of its own, so that a mistake costs nothing.
            os.symlink(ROOT / 'pyproject.toml', f'{directory}/pyproject.toml')
            os.mkdir(f'{directory}/tools')
            for path in (ROOT / 'tools').glob('*'):
                if path.is_file():
                    shutil.copy(path, f'{directory}/tools')
            done = subprocess.run(
                [f'{directory}/tools/demo', '--nosuch'], text=True,
                capture_output=True, env={
                    name: value for name, value in os.environ.items()
                    if name != 'VALENCE_VENV'})
            self.assertEqual(2, done.returncode, done.stderr)
            self.assertIn('unrecognized arguments: --nosuch', done.stderr)
            self.assertNotIn('Setting up', done.stderr)
            self.assertFalse(os.path.exists(f'{directory}/.venv'))

    def test_without_curl_the_cure_is_a_command(self):
        code = ('import types, demo\n'
                'known = dict.fromkeys(("username", "password"), "x")\n'
                'demo.invite(types.SimpleNamespace(url="URL"), '
                'types.SimpleNamespace(path="P", credentials=lambda: known), '
                '{"uuid": "U"})')
        said = [subprocess.run(
            [sys.executable, '-c', code], cwd=ROOT / 'tools', text=True,
            check=True, stdout=subprocess.PIPE,
            env={'PATH': path, 'PYTHONDONTWRITEBYTECODE': '1'}).stdout
            for path in ('/nowhere', self.curl())]
        self.assertIn('apt-get install --yes curl', said[0])
        self.assertNotIn('apt-get', said[1])

    def curl(self) -> str:
        directory = self.enterContext(tempfile.TemporaryDirectory())
        path = pathlib.Path(directory, 'curl')
        path.touch()
        path.chmod(0o755)
        return directory


class FindPythonTest(unittest.TestCase):
    """Each with nothing but the programs of a temporary directory."""

    def find(self, **pythons: str) -> subprocess.CompletedProcess[str]:
        """:param pythons: name -> shell code that stands for it"""
        directory = self.enterContext(tempfile.TemporaryDirectory())
        for name in ('bash', 'dirname', 'id'):
            for place in os.defpath.split(os.pathsep):
                if os.path.exists(f'{place}/{name}'):
                    os.symlink(f'{place}/{name}', f'{directory}/{name}')
                    break
        for name, code in pythons.items():
            path = pathlib.Path(directory, name.replace('_', '.'))
            path.write_text(f'#!{directory}/bash\n{code}\n')
            path.chmod(0o755)
        return subprocess.run(
            ['bash', '-c', f'. {ROOT}/tools/lib.sh; find_python; echo $PY'],
            env={'PATH': directory}, text=True, capture_output=True)

    def test_the_first_that_is_new_enough_is_taken(self):
        found = self.find(python3='exit 1', python3_12='exit 0')
        self.assertEqual('python3.12', found.stdout.strip())

    def test_without_ensurepip_the_cure_is_a_command(self):
        found = self.find(
            python3='case "$2" in *ensurepip*) exit 1;; esac')
        self.assertEqual(1, found.returncode)
        self.assertIn('apt-get install --yes python3-venv', found.stderr)

    def test_without_python_the_cure_is_a_command(self):
        found = self.find()
        self.assertEqual(1, found.returncode)
        self.assertIn('apt-get install --yes python3 python3-venv',
                      found.stderr)


class DurationsTest(unittest.TestCase):
    """What took long before is shared out among the processes by that."""

    def test_what_is_known_is_there(self) -> None:
        for line in (ROOT / 'tools/durations.txt').read_text().splitlines():
            _, name = line.split()
            module, test, _ = name.partition('(')[0].rsplit('.', 2)
            text = (ROOT / f'{module.replace(".", "/")}.py').read_text()
            self.assertIn(f'class {test}(', text, name)

    def test_a_run_is_made_of_it_and_it_of_a_run(self) -> None:
        stream = subprocess.run(
            [sys.executable, ROOT / 'tools/durations.py'],
            capture_output=True, check=True).stdout
        with tempfile.TemporaryDirectory() as directory:
            copy = pathlib.Path(directory, 'tools')
            shutil.copytree(ROOT / 'tools', copy)
            known = copy / 'durations.txt'
            before = known.read_text()
            known.write_text('')
            subprocess.run(
                [sys.executable, copy / 'durations.py', '--update',
                 '/dev/stdin'], input=stream, check=True)
            self.assertEqual(before, known.read_text())
        self.assertTrue(before)
