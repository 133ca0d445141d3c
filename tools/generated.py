# SPDX-License-Identifier: Apache-2.0
"""How does a tool write pages that the code itself determines?"""

import pathlib
import sys
from collections.abc import Mapping

ROOT = pathlib.Path(__file__).resolve().parents[1]
REFERENCE = ROOT / 'doc/source/reference'


def main(tool: str | None, pages: Mapping[pathlib.Path, str]) -> int:
    """Write ``pages``, or with ``--check`` say which of them are stale.

    :param tool: the docstring of the tool, for who asks otherwise
    :returns: the exit status
    """
    arguments = sys.argv[1:]
    if arguments == ['--check']:
        stale = [page for page, text in pages.items()
                 if not page.exists() or page.read_text() != text]
        for page in stale:
            print(f'{page.relative_to(ROOT)} is stale: run '
                  f'tools/{pathlib.Path(sys.argv[0]).name}', file=sys.stderr)
        return 1 if stale else 0
    if arguments:
        print(tool, file=sys.stderr)
        return 2
    for page, text in pages.items():
        page.write_text(text)
    return 0


def table(rows: list[list[str]], stub: bool = False) -> list[str]:
    """The lines of a ``list-table`` whose first row is its head."""
    lines = ['.. list-table::', '   :header-rows: 1',
             *(['   :stub-columns: 1'] if stub else []), '']
    for row in rows:
        for number, cell in enumerate(row):
            lines.append((('   * - ' if number == 0 else '     - ')
                          + cell).rstrip())
    return lines
