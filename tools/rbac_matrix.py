#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may do what? Writes the matrix of routes and personas.

It is made of the table of routes and of the default policy. Without arguments
it writes doc/source/reference/rbac-matrix.rst; with ``--check`` it only says
whether that is what it would write.
"""

import sys
from collections.abc import Mapping
from typing import Any

from generated import REFERENCE, ROOT, main, table

_HEAD = """\
===============
Who may do what
===============

.. This page is written by tools/rbac_matrix.py from the routes and policies.

*yes* is everything, *own* what belongs to the caller's project; of other
projects, nothing is found (404). Where there is a dash the answer is 403.
:doc:`/admin/policy` says who the personas are, and how to change this.

"""

#: Whom the columns stand for. All but the system reader act in a project.
PERSONAS: dict[str, dict[str, Any]] = {
    'admin': {'roles': ['admin'], 'project_id': 'mine'},
    'system reader': {'roles': ['reader'], 'system_scope': 'all'},
    'service': {'roles': ['service'], 'project_id': 'mine'},
    'manager': {'roles': ['manager'], 'project_id': 'mine'},
    'member': {'roles': ['member'], 'project_id': 'mine'},
    'reader': {'roles': ['reader'], 'project_id': 'mine'},
    'no role': {'roles': ['other'], 'project_id': 'mine'},
}


def matrix() -> dict[str, dict[str, str]]:
    """``yes``, ``own`` or ``-`` by persona, for each route.

    Where a rule beside the route's own has a say in it, that is a row of its
    own, with the last word of the rule's name behind the route.
    """
    sys.path.insert(0, str(ROOT))
    from oslo_config import cfg

    from valence import policies
    from valence.api import routes
    from valence.common import policy
    from valence.common.context import RequestContext

    conf = cfg.ConfigOpts()
    conf([], project='valence', default_config_files=[],
         default_config_dirs=[])
    enforcer = policy.Policy(policy.get_enforcer(conf))
    rules: dict[str, Any] = {rule.name: rule
                             for rule in policies.list_rules()}
    contexts = {name: RequestContext(**persona)
                for name, persona in PERSONAS.items()}

    def speaking_of(method: str, path: str) -> list[str]:
        return [name for name, rule in rules.items()
                if {'method': method, 'path': path}
                in getattr(rule, 'operations', ())]

    def cell(rule: str, everywhere: list[str],
             context: RequestContext) -> str:
        if not enforcer.allows(rule, context):
            return '-'
        if any(enforcer.allows(name, context) for name in everywhere):
            return 'yes'
        if everywhere or 'project_' in rules[rule].check_str:
            return 'own' if context.project_id else '-'
        return 'yes'

    found = {}
    for route in routes.ROUTES:
        row = f'{route.method} {route.path}'
        if route.policy is None:
            found[row] = dict.fromkeys(PERSONAS, 'yes')
            continue
        names = speaking_of(route.method, route.path)
        everywhere = [name for name in names if ':all_projects:' in name]
        for rule in [route.policy, *(name for name in names
                                     if name not in everywhere
                                     and name != route.policy)]:
            word = rule.rpartition(':')[2]
            found[row if rule == route.policy else f'{row} ({word})'] = {
                name: cell(rule, everywhere, context)
                for name, context in contexts.items()}
    return found


def render(rows: Mapping[str, Mapping[str, str]]) -> str:
    """The page, as reStructuredText."""
    lines = [['', *PERSONAS]]
    for route, cells in rows.items():
        method, _, rest = route.partition(' ')
        path, _, word = rest.partition(' ')
        lines.append([
            f'``{method} {path}``' + (word and f' {word}'),
            *('–' if cell == '-' else cell for cell in cells.values())])
    return _HEAD + '\n'.join(table(lines, stub=True)) + '\n'


if __name__ == '__main__':
    sys.exit(main(__doc__, {
        REFERENCE / 'rbac-matrix.rst': render(matrix())}))
