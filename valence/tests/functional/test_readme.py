# SPDX-License-Identifier: Apache-2.0
"""What the README and the documentation show works as it is shown."""

import collections
import configparser
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import uuid

import fixtures
import jsonschema
import sqlalchemy as sa
import testtools
from sqlalchemy.dialects import sqlite
from testtools import matchers

from valence.api import routes
from valence.api.schemas import pod_managers
from valence.common import faultpoints, states
from valence.conductor.operations import KINDS
from valence.conf import drivers as driver_options
from valence.db import operations
from valence.tests.functional import backends, documents, processes

ROOT = documents.ROOT
_WAYS = {'', 'demo', 'demo fails', 'run', 'file', 'serve', 'sql', 'schema',
         'host'}
_SCHEMAS = {'pod_managers': pod_managers.CREATE}
#: curl that fails where the API does.
_STRICT_CURL = 'curl() { command curl --fail-with-body "$@"; }\n'
#: What was started in the background ends with its document.
_TIDY = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
#: Where the commands are, and where the documents have them.
_BIN = os.path.dirname(sys.executable)
_SHOWN_BIN = re.compile(r'(?<![\w./-])(\$PWD/)?\.venv/bin\b')
#: In the documents in place of free ones.
_PORTS = ('8290', '8291', '8299')
_ENGINE = 'doc/source/contributor/engine.rst'
#: Seconds that one document's commands may take.
_PATIENCE = 3 * processes.PATIENCE


def setUpModule() -> None:
    if not (ROOT / 'README.rst').exists():
        raise testtools.TestCase.skipException('not run from a source tree')


def shell(test: testtools.TestCase, script: str, stdin: str = '',
          **environment: str) -> subprocess.CompletedProcess[str]:
    """Run commands as a user would who stops at the first failure.

    The PATH is one that does not lead to Valence's own commands.
    """
    script = _SHOWN_BIN.sub(lambda _: _BIN, script)
    path = os.pathsep.join(
        one for one in os.environ.get('PATH', os.defpath).split(os.pathsep)
        if os.path.realpath(one) != os.path.realpath(_BIN))
    process = subprocess.Popen(
        ['bash', '-c', f'set -euo pipefail\n{script}'], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, 'PATH': path, **environment})
    late = ''
    try:
        out, err = process.communicate(stdin, _PATIENCE)
    except subprocess.TimeoutExpired:
        # With all that it has started, which holds the pipes open.
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        late = f', for it took more than {_PATIENCE} s'
    if process.returncode:
        raise AssertionError(f'{script}\nended with {process.returncode}'
                             f'{late}:\n{out}\n{err}')
    return subprocess.CompletedProcess(script, 0, out, err)


class Everything(testtools.TestCase):
    """Nothing is shown that no test looks at."""

    def setUp(self) -> None:
        super().setUp()
        self.blocks = [block for name in documents.documents()
                       for block in documents.blocks(name)]

    def test_every_block_is_found_and_says_how_it_is_tested(self):
        counts = collections.Counter(b.document for b in self.blocks)
        for name in documents.documents():
            text = (ROOT / name).read_text()
            self.assertEqual(text.count('.. code-block::'), counts[name],
                             name)
            self.assertEqual(text.count('\n.. test:'), sum(
                bool(b.how) for b in self.blocks if b.document == name),
                name)
        for block in self.blocks:
            self.assertTrue(block.how in _WAYS
                            or block.how.split()[0] in _WAYS, block)
            if block.language == 'console':
                self.assertTrue(block.commands, block)

    def test_commands_without_a_mark_are_covered_or_ask_for_help(self):
        ci = (ROOT / '.ci/run').read_text()
        for block in self.blocks:
            if block.how or block.language != 'console':
                continue
            for command in block.commands:
                program, *words = command.split()
                if words == ['--help']:
                    shell(self, command)
                    continue
                self.assertIn(program, ('tools/demo', 'tools/test',
                                        '.ci/run'))
                if program == '.ci/run':
                    continue
                # .ci/run runs it, and it knows the options that are shown.
                self.assertThat(ci, matchers.MatchesRegex(
                    rf'(?ms).*^{re.escape(program)} '))
                usage = shell(self, f'{program} --help').stdout
                for word in words:
                    if word.startswith('-'):
                        self.assertIn(word, usage)

    def test_commands_that_change_the_host_are_valid_shell(self):
        for block in self.blocks:
            if block.how == 'host':
                subprocess.run(['bash', '-n'], check=True, text=True,
                               input='\n'.join(block.commands))

    def test_configuration_files_use_options_that_there_are(self):
        known = documents.options()
        for block in self.blocks:
            if block.language != 'ini':
                continue
            parser = configparser.RawConfigParser(default_section='none')
            parser.read_string(block.text)
            for group in parser.sections():
                for name in parser[group]:
                    self.assertIn((group, name), known)

    def test_request_bodies_are_valid(self):
        for block in self.blocks:
            if block.how.startswith('schema '):
                jsonschema.validate(json.loads(block.text),
                                    _SCHEMAS[block.how.split()[1]])

    def test_options_that_the_text_names_are_there(self):
        known = documents.options()
        for name in documents.documents():
            for option in re.findall(r'``\[(\w+)\]\s+(\w+)',
                                     documents.read(name)):
                self.assertIn(option, known, name)

    def test_the_reference_lists_every_route(self):
        text = documents.read('doc/source/reference/api.rst')
        listed = {(method, path)
                  for path, methods in re.findall(
                      r'(?m)^   \* - ``(/\S*)``\n     - ([A-Z, ]+)$', text)
                  for method in methods.split(', ')}
        self.assertEqual({(route.method, route.path)
                          for route in routes.ROUTES}, listed)


class TheCode(testtools.TestCase):
    """What the documentation says of the code is what the code says."""

    def test_states_of_operations(self):
        def written(statement):
            return statement.compile(
                dialect=sqlite.dialect()).params['state']

        ends = {'succeeded', 'failed', 'cancelled'} & documents.constants(
            'valence/conductor/runner.py', 'valence/conductor/engine.py')
        self.assertEqual({
            ('none', 'accepted', written(operations._insert(1.0))),
            *((state, 'acquired', written(operations._acquire(1.0)))
              for state in operations.ACTIVE),
            *(('running', 'ended', state) for state in ends),
            ('none', 'recorded', 'succeeded'),
            *((state, 'abandoned', 'failed') for state in operations.ACTIVE),
        }, documents.arrows(_ENGINE, r'\w+'))

    def test_states_of_nodes(self):
        self.assertIn(textwrap.indent(states.drawing(), '   ') + '\n\n',
                      documents.read(_ENGINE))

    def test_steps(self):
        table = documents.read(_ENGINE).partition('kind          steps')[2]
        found: dict[str, tuple[list[str], list[str]]] = {}
        name = ''
        for line in table.partition('\n\n')[0].splitlines()[2:-1]:
            name = line[:14].strip('` ') or name
            for words, cell in zip(found.setdefault(name, ([], [])),
                                   (line[14:65], line[65:]), strict=True):
                words += re.findall('``(.+?)``', cell)
        self.assertEqual({
            kind.name: ([step.name for step in kind.steps],
                        [step.name for step in kind.undo])
            for kind in KINDS.values()}, found)

    def test_fault_points(self):
        text = documents.read('doc/source/contributor/testing.rst')
        self.assertEqual(
            faultpoints.POINTS,
            dict(re.findall(r'(?m)^``(K\d+)`` +(\S.*)$', text)))

    def test_error_codes(self):
        known = documents.constants(*(
            str(path.relative_to(ROOT)) for path
            in ROOT.glob('valence/**/*.py') if 'tests' not in path.parts))
        text = documents.read('doc/source/admin/failures.rst').partition(
            'Why an operation failed')[2]
        codes = re.findall(r'(?m)^``(\w+)`` ', text)
        self.assertTrue(codes)
        self.assertEqual([], [code for code in codes if code not in known])

    def test_connection_properties(self):
        text = documents.read('doc/source/admin/drivers.rst')
        parts = re.split(r'(?m)^(\w+)\n-+$', text)[1:]
        told = {name: set(re.findall(r'(?m)^``(\w+)``$', part))
                for name, part in zip(parts[::2], parts[1::2], strict=True)}
        drivers = documents.drivers()
        self.assertEqual(set(driver_options.OPTS[0].default), set(drivers))
        self.assertEqual({
            name: set(driver.connection_schema['properties'])
            for name, driver in drivers.items()}, told)
        for block in documents.blocks('doc/source/admin/drivers.rst'):
            body = json.loads(block.text)
            jsonschema.validate(body.get('connection_properties', {}),
                                drivers[body['driver']].connection_schema)


class OnTheDemo(testtools.TestCase):
    """The commands for a running demonstration, and its own suggestions."""

    def setUp(self) -> None:
        super().setUp()
        if shutil.which('curl') is None:
            backends.missing(self, 'curl')
        state = self.useFixture(fixtures.TempDir()).path
        self.demo = self.useFixture(processes.Process(
            'demo', sys.executable, str(ROOT / 'tools/demo.py'),
            '--state-dir', state))
        # Its services have sessions of their own: it must end them itself.
        self.addCleanup(self.stop)
        processes.wait_for('the demonstration is up', lambda: (
            'Ctrl-C stops' in self.demo.out or not self.demo.alive()))
        self.assertTrue(self.demo.alive(), self.demo.out + self.demo.log)

        def printed(what: str) -> str:
            match = re.search(rf'(?m)^  {what} +(\S+)$', self.demo.out)
            return match[1]

        self.environment = {
            'URL': printed('The API is at'),
            'LOGIN': f'{printed("User")}:{printed("Password")}',
            'NO_PROXY': '127.0.0.1'}

    def stop(self) -> None:
        if self.demo.alive():
            self.demo.signal(signal.SIGINT)
            self.demo.wait()

    def run_all(self, document: str) -> None:
        script = _STRICT_CURL + _TIDY
        for block in documents.blocks(document):
            if block.how == 'demo':
                script += '\n'.join(block.commands) + '\n'
            elif block.how == 'demo fails':
                for command in block.commands:
                    script += (f'({command}) | cat >answer || true\n'
                               'grep \'"errors":\' answer\nrm answer\n'
                               ).replace('answer', '"$TMPDIR/answer"')
        for port in _PORTS:
            script = re.sub(rf'\b{port}\b', str(processes.free_port()), script)
        shell(self, script, **self.environment,
              TMPDIR=self.useFixture(fixtures.TempDir()).path)

    def test_readme(self):
        self.run_all('README.rst')

    def test_walkthrough(self):
        self.run_all('doc/source/user/walkthrough.rst')

    def test_simulated_pods(self):
        self.run_all('doc/source/contributor/simulator.rst')

    def test_what_it_suggests_and_ctrl_c(self):
        text = self.demo.out.partition('Try next')[2].partition('Logs')[0]
        suggestions = [part.strip() for part in text.split('\n\n')[1:]
                       if part.strip()]
        self.assertEqual(3, len(suggestions))
        shell(self, _STRICT_CURL + '\n'.join(suggestions),
              **self.environment)
        self.demo.signal(signal.SIGINT)
        self.assertEqual(0, self.demo.wait())


class TheDemo(testtools.TestCase):

    def test_it_runs_again_on_what_it_left(self):
        state = self.useFixture(fixtures.TempDir()).path
        for _ in range(2):
            demo = self.useFixture(processes.Process(
                'demo', sys.executable, str(ROOT / 'tools/demo.py'),
                '--once', '--state-dir', state))
            self.assertEqual(0, demo.wait(), demo.out)
            summary = json.loads(demo.out.splitlines()[-1])
            self.assertEqual(('ok', 'released'), (
                summary['result'], summary['state']))


class Sandbox(fixtures.Fixture):
    """Stands in for the directories and addresses that documents name."""

    def __init__(self, **addresses: str) -> None:
        self._addresses = addresses

    def _setUp(self) -> None:
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.port = processes.free_port()
        for name in ('etc', 'var'):
            (directory / name).mkdir()
        self._places = {'/etc/valence': str(directory / 'etc'),
                        '/var/lib/valence': str(directory / 'var'),
                        '/opt/valence': os.path.dirname(_BIN),
                        '8181': str(self.port)}

    def inside(self, text: str) -> str:
        for shown, real in self._places.items():
            text = text.replace(shown, real)
        for option, value in self._addresses.items():
            text = re.sub(rf'(?m)^({option} = ).*$',
                          lambda match, value=value: match[1] + value, text)
        return text


class Guides(testtools.TestCase):
    """The installation guides, followed from top to bottom."""

    def setUp(self) -> None:
        super().setUp()
        self.exports = ''

    def run_block(self, block: documents.Block, sandbox: Sandbox) -> None:
        """All of them in one shell, as far as they can tell."""
        for command in block.commands:
            if command.startswith('export '):
                self.exports += sandbox.inside(command) + '\n'
        shell(self, self.exports + sandbox.inside('\n'.join(block.commands)),
              stdin='a good password\n')

    def follow(self, document: str, sandbox: Sandbox) -> None:
        for block in documents.blocks(document):
            if block.how.startswith('file '):
                path = pathlib.Path(sandbox.inside(block.how.split()[1]))
                path.write_text(sandbox.inside(block.text) + '\n')
            elif block.how == 'run':
                self.run_block(block, sandbox)
            elif block.how == 'serve':
                self.serve([sandbox.inside(command)
                            for command in block.commands], sandbox.port)

    def serve(self, commands: list[str], port: int) -> None:
        running = [self.useFixture(processes.Process(
            command.split()[0], shell(
                self, f'{self.exports}command -v {command.split()[0]}'
            ).stdout.strip(), *command.split()[1:])) for command in commands]
        client = processes.Client(f'http://127.0.0.1:{port}',
                                  ('admin', 'a good password'))

        def answers() -> bool:
            for process in running:
                self.assertTrue(process.alive(), process.log)
            try:
                return bool(processes.living(client))
            except OSError:
                return False

        processes.wait_for('a conductor is alive', answers)
        for process in running:
            process.signal(signal.SIGTERM)
        for process in running:
            self.assertEqual(0, process.wait(), process.name)

    def test_on_one_host_and_its_upkeep(self):
        sandbox = self.useFixture(Sandbox())
        self.follow('doc/source/install/standalone.rst', sandbox)
        self.follow('doc/source/admin/operations.rst', sandbox)

    def test_as_separate_services(self):
        backends.require(self, 'rabbitmq')
        backends.require(self, 'mysql')
        sandbox = self.useFixture(Sandbox(
            transport_url=self.useFixture(backends.TemporaryVhost()).url,
            connection=self.useFixture(
                backends.TemporaryDatabase('mysql')).url,
            ssl='false'))
        # The users are made in the guide for one host.
        for block in documents.blocks('doc/source/install/standalone.rst'):
            if block.how == 'run' and ('htpasswd' in block.text
                                       or 'export' in block.text):
                self.run_block(block, sandbox)
        self.follow('doc/source/install/services.rst', sandbox)

    def test_databases_are_made_as_shown(self):
        for block in documents.blocks('doc/source/install/services.rst'):
            if block.language == 'sql':
                self.make_database(block.how.split()[1], block.text)

    def make_database(self, kind: str, script: str) -> None:
        backends.require(self, kind)
        url = {'mysql': backends.MYSQL,
               'postgresql': backends.POSTGRESQL}[kind]
        engine = sa.create_engine(url, isolation_level='AUTOCOMMIT')
        self.addCleanup(engine.dispose)
        name = f'valence_doc_{uuid.uuid4().hex[:8]}'
        role = {'mysql': f"USER {name}@'%'",
                'postgresql': f'ROLE {name}'}[kind]

        def execute(text: str) -> None:
            with engine.connect() as connection:
                connection.execute(sa.text(text))

        self.addCleanup(execute, f'DROP {role}')
        self.addCleanup(execute, f'DROP DATABASE {name}')
        for statement in script.split(';'):
            if statement.strip():
                execute(re.sub(r'\bvalence\b', name, statement))
