# SPDX-License-Identifier: Apache-2.0
"""What the README says of the parts: which of them know nothing of which.

Read from the source, so that imports within functions count as well.
"""

import ast
import functools
import pathlib
import unittest

import valence

_PACKAGE = pathlib.Path(valence.__file__).parent

#: What speaks HTTP to somebody else. Keystone is reached by its own library.
_CLIENTS = {'aiohttp', 'ftplib', 'http.client', 'httpx', 'requests', 'sushy',
            'telnetlib', 'urllib.request', 'urllib3'}


def path_of(module: str) -> pathlib.Path | None:
    """The file of one of Valence's modules, if there is such a module."""
    place = _PACKAGE.joinpath(*module.split('.')[1:])
    for path in (place / '__init__.py', place.with_suffix('.py')):
        if path.exists():
            return path
    return None


def modules(package: str) -> set[str]:
    """A package and all in it."""
    root = _PACKAGE.joinpath(*package.split('.')[1:])
    return {package, *(
        '.'.join(('valence', *path.relative_to(_PACKAGE).with_suffix('')
                  .parts)).removesuffix('.__init__')
        for path in root.rglob('*.py'))}


@functools.cache
def imported(module: str) -> frozenset[str]:
    """What a module imports: modules, of packages their modules."""
    path = path_of(module)
    assert path is not None, module
    found = set()
    for part in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(part, ast.Import):
            found |= {alias.name for alias in part.names}
        elif isinstance(part, ast.ImportFrom):
            # Relative imports would have to be resolved; there are none.
            assert not part.level and part.module, path
            found.add(part.module)
            found |= {f'{part.module}.{alias.name}' for alias in part.names}
    return frozenset(
        name for name in found
        if not name.startswith('valence') or path_of(name) is not None)


def reached(start: set[str]) -> dict[str, str]:
    """What modules of Valence lead to, each with who imports it."""
    found = dict.fromkeys(start, 'the start')
    todo = sorted(start)
    while todo:
        module = todo.pop()
        for name in sorted(imported(module) - set(found)):
            found[name] = module
            if name.partition('.')[0] == 'valence':
                todo.append(name)
    return found


class ImportsTest(unittest.TestCase):

    def test_the_simulator_shares_no_code_with_the_rest(self):
        own = modules('valence.simulator')
        self.assertGreater(len(own), 10)
        self.assertEqual(set(), {
            (module, name) for module in own for name in imported(module)
            if name.partition('.')[0] == 'valence'
            and name != 'valence' and name not in own})

    def test_the_rest_shares_no_code_with_the_simulator(self):
        own = modules('valence.simulator')
        users = {module for module in modules('valence')
                 if not module.startswith('valence.tests')
                 and module not in own and imported(module) & own}
        # The command, which is nothing but its name.
        self.assertEqual({'valence.cmd.simulator'}, users)

    def test_the_api_never_talks_to_hardware(self):
        found = reached(modules('valence.api')
                        | {'valence.wsgi', 'valence.rsgi'})
        self.assertIn('valence.db.engine', found)
        self.assertEqual({}, {
            name: by for name, by in found.items()
            if name == 'valence.drivers'
            or name.startswith('valence.drivers.') or name in _CLIENTS})

    def test_only_the_transport_opens_http(self):
        users = {module for module in modules('valence')
                 if not module.startswith((
                     'valence.tests', 'valence.simulator',
                     'valence.conformance'))
                 and imported(module) & _CLIENTS}
        self.assertTrue(users)
        self.assertEqual(set(), {
            module for module in users
            if not module.startswith('valence.drivers.http')})
