# SPDX-License-Identifier: Apache-2.0
"""What does the documentation show, and what does the code say of it?

A block is what a ``.. code-block::`` holds. A comment ``.. test: HOW`` before
it says how it is tested; doc/source/contributor/testing.rst lists the ways.
"""

import ast
import dataclasses
import pathlib
import pkgutil
import re
import textwrap
import tomllib
from collections.abc import Iterator

from oslo_config import generator

from valence.drivers import base

ROOT = pathlib.Path(__file__).resolve().parents[3]

_BLOCK = re.compile(
    r'(?:^\.\. test: (?P<how>.+)\n\s*\n)?'
    r'^\.\. code-block:: (?P<language>\S+)\n\s*\n'
    r'(?P<text>(?:(?:[ ]{3}.*)?\n)+)', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Block:
    document: str
    language: str
    how: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of a console block, continued lines with theirs."""
        found: list[str] = []
        for line in self.text.splitlines():
            if line.startswith(('$ ', '# ')):
                found.append(line[2:])
            elif line and found:
                found[-1] += f'\n{line}'
        return found


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding='utf-8')


def documents() -> list[str]:
    return [str(path.relative_to(ROOT)) for path in sorted((
        *ROOT.glob('*.rst'), *ROOT.glob('doc/source/**/*.rst')))]


def blocks(document: str) -> Iterator[Block]:
    """The blocks of a document, in their order."""
    text = read(document) + '\n'
    for match in _BLOCK.finditer(text):
        yield Block(document, match['language'], match['how'] or '',
                    textwrap.dedent(match['text']).strip('\n'))


def arrows(document: str, label: str) -> set[tuple[str, str, str]]:
    """What it draws as ``before --label--> after``, a line each."""
    return set(re.findall(rf'(?m)^   (\w+) +--({label})--> +(\w+)$',
                          read(document)))


def options() -> set[tuple[str, str]]:
    """The group and name of each option that there is."""
    namespaces = re.findall(r'(?m)^namespace = (.*)$', read(
        'etc/valence/valence-config-generator.conf'))
    # castellan's own are in our pages and, being optional, in no sample.
    namespaces.append('castellan.config')
    return {(str(group or 'DEFAULT'), opt.dest)
            for _, groups in generator._list_opts(namespaces)
            for group, opts in groups for opt in opts}


def drivers() -> dict[str, type[base.Driver]]:
    """The drivers of Valence's own, by name."""
    project = tomllib.loads(read('pyproject.toml'))['project']
    return {name: pkgutil.resolve_name(place) for name, place
            in project['entry-points'][base.NAMESPACE].items()}


def constants(*paths: str) -> set[str]:
    """All texts that are in the code of these files."""
    return {node.value for path in paths for node in ast.walk(
        ast.parse(read(path))) if isinstance(node, ast.Constant)
        and isinstance(node.value, str)}
