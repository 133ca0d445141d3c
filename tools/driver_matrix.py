#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which driver can do what? Writes the matrix of Valence's own drivers.

Without arguments it writes doc/source/reference/drivers-matrix.rst; with
``--check`` it only says whether that is what it would write.
"""

import importlib
import sys
import tomllib
from collections.abc import Mapping

from generated import REFERENCE, ROOT, main, table

_HEAD = """\
=======
Drivers
=======

.. This page is written by tools/driver_matrix.py from the drivers themselves.

What the drivers of Valence can do at most; one backend behind a driver may do
less, which ``capabilities`` of a pod manager shows. ``GET /v1/drivers`` says
the same of all drivers that the living conductors have loaded, those of other
packages too. :doc:`/contributor/drivers` explains the words.

"""


def drivers() -> dict[str, type]:
    """The drivers that pyproject.toml registers, by name."""
    sys.path.insert(0, str(ROOT))
    from valence.drivers import base

    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    found = {}
    for name, place in project['entry-points'][base.NAMESPACE].items():
        module, _, attribute = place.partition(':')
        found[name] = getattr(importlib.import_module(module), attribute)
    return dict(sorted(found.items()))


def render(found: Mapping[str, type]) -> str:
    """The page, as reStructuredText."""
    rows: list[list[str]] = [['', *(f'``{name}``' for name in found)]]
    cells = [_cells(driver) for driver in found.values()]
    rows += [[label, *(cell[label] for cell in cells)] for label in cells[0]]
    return _HEAD + '\n'.join(table(rows, stub=True)) + '\n'


def _cells(driver: type) -> dict[str, str]:
    able = driver.capabilities
    schema = driver.connection_schema
    return {
        'Backend': driver.description,
        'Contract version': '{}.{}'.format(*driver.contract_version),
        'Compose and release': _yes(able.compose),
        'Compose onto a server that is there': _yes(able.expand),
        'Devices are chosen by': {'valence': 'Valence', 'backend':
                                  'the backend'}[able.allocation.value],
        'Attach and detach': _yes(able.attach),
        'Preview': _yes(able.preview),
        'Reserve': _yes(able.reserve),
        'Tags on the hardware': _yes(able.tags),
        'Resets': _words(able.reset_types),
        'Boot targets': _words(able.boot_targets),
        'Connection properties': _words(tuple(
            schema.get('properties', {}))),
        **{f'After a lost answer: {name}':
           driver.safety[name].value.replace('_', ' ')
           if _promised(able, name) else '\u2013'
           for name in ('compose', 'attach', 'detach', 'set_power',
                        'set_boot', 'release')},
    }


def _promised(able: object, mutation: str) -> bool:
    capability = {'release': 'compose', 'detach': 'attach', 'set_power':
                  'reset_types', 'set_boot': 'boot_targets'}
    return bool(getattr(able, capability.get(mutation, mutation)))


def _yes(value: bool) -> str:
    return 'yes' if value else 'no'


def _words(words: tuple[str, ...]) -> str:
    return ', '.join(f'``{word}``' for word in words) or 'none'


if __name__ == '__main__':
    sys.exit(main(__doc__, {
        REFERENCE / 'drivers-matrix.rst': render(drivers())}))
