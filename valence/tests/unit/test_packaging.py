# SPDX-License-Identifier: Apache-2.0
"""The project builds, installs whole and knows its version everywhere."""

import ast
import email.parser
import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import unittest
import zipfile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from valence import policies

ROOT = pathlib.Path(__file__).resolve().parents[3]
# Python 3.11.2, Debian 12's, does not have it yet.
_SAFELY = {'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}
REQUIREMENTS = (
    'requirements.txt', 'test-requirements.txt', 'doc/requirements.txt')
# What a build reads besides the package itself.
SOURCES = (
    'LICENSE', 'MANIFEST.in', 'README.rst', 'constraints.txt',
    'pyproject.toml', 'setup.cfg', 'setup.py', 'tools/packaging',
    *REQUIREMENTS)


def setUpModule() -> None:
    if not (ROOT / 'pyproject.toml').exists():
        raise unittest.SkipTest('not run from a source tree')
    if shutil.which('git') is None:
        raise unittest.SkipTest('git is not installed')


def read(path: pathlib.Path) -> str:
    return path.read_text(encoding='utf-8')


def requirements(name: str) -> list[Requirement]:
    lines = (line.partition('#')[0].strip()
             for line in read(ROOT / name).splitlines())
    return [Requirement(line) for line in lines if line]


def run(*command: str, cwd: pathlib.Path, **environ: str) -> str:
    inherited = {key: value for key, value in os.environ.items()
                 if not key.startswith(('GIT_', 'PBR_', 'PYTHON'))}
    done = subprocess.run(
        command, cwd=cwd, text=True, capture_output=True,
        env=inherited | {'GIT_CONFIG_GLOBAL': os.devnull} | environ)
    if done.returncode:
        raise AssertionError(f'{command} failed:\n{done.stdout}{done.stderr}')
    return done.stdout


def git(cwd: pathlib.Path, *args: str) -> str:
    return run('git', '-c', 'user.name=Test', '-c', 'user.email=t@example.org',
               '-c', 'init.defaultBranch=main', '-c', 'commit.gpgSign=false',
               '-c', 'tag.gpgSign=false', *args, cwd=cwd)


def commit(cwd: pathlib.Path) -> None:
    git(cwd, 'commit', '--quiet', '--allow-empty', '--message', 'A change')


def build(source: pathlib.Path, hook: str, **environ: str) -> pathlib.Path:
    """What a PEP 517 hook of the project's backend builds from ``source``."""
    out = pathlib.Path(tempfile.mkdtemp(dir=source.parent))
    # setuptools prints to stdout as it goes: the name comes last.
    code = (f'import sys; sys.path.insert(0, "tools/packaging");'
            f'import pbr_or_archive as backend;'
            f'print(); print(backend.{hook}({str(out)!r}))')
    printed = run(sys.executable, '-c', code, cwd=source, **environ)
    return out / printed.splitlines()[-1]


def version(source: pathlib.Path, **environ: str) -> str:
    """The version in the metadata that pip would read from ``source``."""
    built = build(source, 'prepare_metadata_for_build_wheel', **environ)
    metadata = email.parser.Parser().parsestr(read(built / 'METADATA'))
    assert metadata['Name'] == 'valence'
    return str(metadata['Version'])


def imported(path: pathlib.Path) -> set[str]:
    """The top-level modules of others that a file imports."""
    found = set()
    for part in ast.walk(ast.parse(read(path))):
        if isinstance(part, ast.Import):
            found |= {alias.name for alias in part.names}
        elif isinstance(part, ast.ImportFrom) and not part.level:
            found.add(part.module)
    return ({name.partition('.')[0] for name in found}
            - {'valence'} - set(sys.stdlib_module_names))


def package_files(root: pathlib.Path) -> set[str]:
    return {str(path.relative_to(root))
            for path in (root / 'valence').rglob('*')
            if path.is_file() and path.suffix != '.pyc'}


class BuildTest(unittest.TestCase):

    def setUp(self) -> None:
        self.tmp = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory())).resolve()
        self.clone = self.tmp / 'clone'
        self.clone.mkdir()
        git(self.clone, 'init', '--quiet')
        for name in SOURCES:
            target = self.clone / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name, target,
                    ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy(ROOT / name, target)
        # One module is enough to tell versions apart, and quick.
        (self.clone / 'valence').mkdir()
        (self.clone / 'valence/__init__.py').touch()
        git(self.clone, 'add', '--all')
        commit(self.clone)
        commit(self.clone)

    def archive(self) -> pathlib.Path:
        """The tree that ``git archive`` makes of the clone's HEAD."""
        target = pathlib.Path(tempfile.mkdtemp(dir=self.tmp)) / 'archive'
        tarball = self.tmp / 'archive.tar'
        git(self.clone, 'archive', '--output', str(tarball), 'HEAD')
        with tarfile.open(tarball) as tar:
            tar.extractall(target, **_SAFELY)
        return target

    def sdist(self, source: pathlib.Path) -> pathlib.Path:
        """The tree that a source distribution of ``source`` unpacks to."""
        target = pathlib.Path(tempfile.mkdtemp(dir=self.tmp))
        with tarfile.open(build(source, 'build_sdist')) as tar:
            tar.extractall(target, **_SAFELY)
        (unpacked,) = target.iterdir()
        return unpacked

    def test_untagged_clone_counts_commits_towards_the_base_version(self):
        self.assertEqual('0.1.0.dev2', version(self.clone))

    def test_tagged_clone_is_the_tag(self):
        git(self.clone, 'tag', '--annotate', '--message', 'x', '0.3.0')
        self.assertEqual('0.3.0', version(self.clone))
        self.assertEqual('0.3.0', version(self.archive()))
        commit(self.clone)
        # Past a release, a clone and an archive agree on the next one.
        self.assertEqual('0.3.1.dev1', version(self.clone))
        self.assertEqual('0.3.1.dev1', version(self.archive()))

    def test_a_tag_that_is_no_version_decides_nothing(self):
        git(self.clone, 'tag', 'before-the-rewrite')
        self.assertEqual('0.1.0.dev2', version(self.clone))
        self.assertEqual('0.1.0.dev0', version(self.archive()))

    def test_archive_inside_another_repository_ignores_it(self):
        git(self.tmp, 'init', '--quiet')
        commit(self.tmp)
        git(self.tmp, 'tag', '--annotate', '--message', 'x', '9.9.9')
        self.assertEqual('0.1.0.dev0', version(self.archive()))

    def test_archive_builds_without_git_installed(self):
        self.assertEqual(
            '0.1.0.dev0', version(self.archive(), PATH='/nonexistent'))

    def test_sdist_keeps_the_version_it_was_built_with(self):
        from_clone = self.sdist(self.clone)
        self.assertEqual('0.1.0.dev2', version(from_clone))
        # And so does a source distribution of a source distribution.
        self.assertEqual('0.1.0.dev2', version(self.sdist(from_clone)))
        self.assertEqual('0.1.0.dev0', version(self.sdist(self.archive())))

    def test_pbr_version_has_the_last_word(self):
        self.assertEqual(
            '7.7.7', version(self.clone, PBR_VERSION='7.7.7'))

    def test_editable_install_points_at_the_tree(self):
        wheel = build(self.clone, 'build_editable')
        self.assertTrue(wheel.name.startswith('valence-0.1.0.dev2-'))
        with zipfile.ZipFile(wheel) as archive:
            text = b''.join(map(archive.read, archive.namelist())).decode()
        self.assertIn(str(self.clone), text)

    def test_wheel_holds_every_file_of_the_package(self):
        shutil.rmtree(self.clone / 'valence')
        shutil.copytree(
            ROOT / 'valence', self.clone / 'valence',
            ignore=shutil.ignore_patterns('__pycache__'))
        git(self.clone, 'add', '--all')
        commit(self.clone)
        for source in (self.clone, self.archive()):
            with zipfile.ZipFile(build(source, 'build_wheel')) as archive:
                names = {name for name in archive.namelist()
                         if name.startswith('valence/')}
            self.assertEqual(package_files(ROOT), names)


class MetadataTest(unittest.TestCase):

    def test_every_entry_point_can_be_loaded(self):
        project = tomllib.loads(read(ROOT / 'pyproject.toml'))['project']
        declared = {'console_scripts': project['scripts'],
                    **project['entry-points']}
        for group, points in declared.items():
            for name, value in points.items():
                with self.subTest(group=group, name=name):
                    point = importlib.metadata.EntryPoint(name, value, group)
                    self.assertTrue(callable(point.load()))

    def test_the_manifest_names_what_there_is(self):
        for line in read(ROOT / 'MANIFEST.in').splitlines():
            word, *names = line.split()
            for name in names if word in ('graft', 'include') else ():
                self.assertTrue(any(ROOT.glob(name)), line)

    def test_setup_files_leave_everything_to_pyproject(self):
        self.assertEqual(
            '[metadata]\nname = valence\n', read(ROOT / 'setup.cfg'))


class SamplesTest(unittest.TestCase):
    """What tox -e genconfig and tox -e genpolicy write."""

    def generate(self, tool: str, kind: str) -> str:
        config = ROOT / f'etc/valence/valence-{kind}-generator.conf'
        with tempfile.NamedTemporaryFile() as output:
            run(str(pathlib.Path(sys.executable).parent / tool),
                '--config-file', str(config), '--output-file', output.name,
                cwd=ROOT)
            return read(pathlib.Path(output.name))

    def test_sample_configuration_has_every_group(self):
        text = self.generate('oslo-config-generator', 'config')
        groups = re.findall(r'(?m)^\[(\w+)\]$', text)
        self.assertLessEqual({
            'api', 'conductor', 'database', 'drivers', 'pod_managers',
            'secrets', 'oslo_messaging_rabbit'}, set(groups))
        # Valence's own defaults, not the libraries'.
        self.assertIn('#rabbit_quorum_queue = true', text.splitlines())

    def test_sample_policy_has_every_rule(self):
        text = self.generate('oslopolicy-sample-generator', 'policy')
        self.assertEqual({rule.name for rule in policies.list_rules()},
                         set(re.findall(r'(?m)^#"([^"]+)": ', text)))


class ConstraintsTest(unittest.TestCase):

    def setUp(self) -> None:
        self.pins: dict[str, str] = {}
        for line in read(ROOT / 'constraints.txt').splitlines():
            if not line.startswith('#'):
                name, version = re.fullmatch(r'(\S+)==(\S+)', line).groups()
                self.pins[canonicalize_name(name)] = version

    def test_every_requirement_is_pinned_within_its_bounds(self):
        for name in REQUIREMENTS:
            for wanted in requirements(name):
                with self.subTest(file=name, requirement=str(wanted)):
                    pin = self.pins[canonicalize_name(wanted.name)]
                    self.assertTrue(wanted.specifier.contains(pin))

    def test_every_transitive_requirement_is_pinned(self):
        todo = [wanted for name in REQUIREMENTS
                for wanted in requirements(name)]
        seen: set[str] = set()
        while todo:
            wanted = todo.pop()
            extras = wanted.extras or {''}
            if str(wanted) in seen or not (
                    wanted.marker is None or wanted.marker.evaluate()):
                continue
            seen.add(str(wanted))
            self.assertIn(canonicalize_name(wanted.name), self.pins)
            try:
                metadata = importlib.metadata.distribution(wanted.name)
            except importlib.metadata.PackageNotFoundError:
                continue  # of the documentation's, not installed for tests
            for line in metadata.requires or ():
                needed = Requirement(line)
                if needed.marker is None or any(
                        needed.marker.evaluate({'extra': extra})
                        for extra in extras):
                    needed.marker = None
                    todo.append(needed)

    def test_what_is_imported_is_required_and_nothing_else(self):
        required = {canonicalize_name(wanted.name)
                    for wanted in requirements('requirements.txt')}
        for_tests = required | {
            canonicalize_name(wanted.name)
            for wanted in requirements('test-requirements.txt')}
        optional = {
            canonicalize_name(Requirement(wanted).name)
            for extra in tomllib.loads(read(ROOT / 'pyproject.toml'))[
                'project']['optional-dependencies'].values()
            for wanted in extra}
        # Where it is tested, it is there.
        self.assertLessEqual(optional, for_tests)
        owners = importlib.metadata.packages_distributions()
        used = set()
        for path in (ROOT / 'valence').rglob('*.py'):
            allowed = (for_tests if 'tests' in path.parts
                       else required | optional)
            for module in imported(path):
                names = {canonicalize_name(name)
                         for name in owners.get(module, [module])}
                self.assertTrue(names & allowed, f'{path}: {module}')
                used |= names
        # pbr builds, and SQLAlchemy imports the databases' drivers by name.
        self.assertEqual(
            set(), required - used - {'pbr', 'psycopg', 'pymysql'})

    def test_no_requirement_names_a_place_to_get_it_from(self):
        for name in (*REQUIREMENTS, 'constraints.txt'):
            self.assertNotRegex(
                read(ROOT / name), r'(?m)^\s*(-|.*(://| @ ))')
