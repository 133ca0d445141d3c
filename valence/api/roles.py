# SPDX-License-Identifier: Apache-2.0
"""What may a user be who is not in Keystone?

A file says it, with a line for each user: the project, and the roles there.

    alice:web:member
    audit:system:reader

``system`` in the place of the project is the scope of the operator's own.
"""

import dataclasses
import re

from valence.api.reloaded import Reloaded

_SYSTEM = 'system'
_LINE = re.compile(r'([^:]+):([A-Za-z0-9_.-]{1,64}):([a-z,]+)')
_ROLES = frozenset(('admin', 'manager', 'member', 'reader', 'service'))


@dataclasses.dataclass(frozen=True, slots=True)
class Assignment:
    """Where a user works, and as what."""

    project_id: str | None
    roles: tuple[str, ...]
    system_scope: str | None = None


_NOTHING = Assignment(None, ())


class Roles:
    """The assignments in a file of ``user:project:role,...`` lines.

    :raises ValueError: the file cannot be read or used
    """

    def __init__(self, path: str) -> None:
        self._assignments = Reloaded('roles_file', path, _load)

    def of(self, user: str) -> Assignment:
        return self._assignments.get().get(user, _NOTHING)


def _load(text: str) -> dict[str, Assignment]:
    assignments = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith('#'):
            continue
        match = _LINE.fullmatch(line.strip())
        names = match[3].split(',') if match else ()
        if (match is None or match[1] in assignments
                or not _ROLES.issuperset(names)):
            raise ValueError(
                f'line {number} is not "user:project:role,..." with a user '
                'of its own and roles out of ' + ', '.join(sorted(_ROLES)))
        user, project, roles = match[1], match[2], tuple(names)
        assignments[user] = (
            Assignment(None, roles, 'all') if project == _SYSTEM
            else Assignment(project, roles))
    return assignments
