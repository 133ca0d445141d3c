# SPDX-License-Identifier: Apache-2.0
"""Which projects' resources does a request reach?

The project is a condition of the query itself, so what belongs to others is
not found. Who satisfies a resource's ``all_projects:get`` rule sees others by
uuid, and in lists by asking for it; ``all_projects:change`` is needed for
more than a look. A name is unique within a project, so it always means the
caller's own.
"""

from typing import Any

import sqlalchemy as sa

from valence.api import finding
from valence.api.request import Request
from valence.common import errors
from valence.db.looking import Reader


def project(request: Request) -> str:
    """The caller's project.

    :raises Forbidden: the caller acts for none
    """
    project_id = request.context.project_id
    if not project_id:
        raise errors.Forbidden('this needs the scope of a project')
    return project_id


def visible(request: Request, table: Any, rule: str) -> list[Any]:
    """The conditions on what a list shows.

    :param rule: what the ``all_projects`` rules' names begin with
    """
    if request.query.get('all_projects'):
        request.services.policy.check(f'{rule}:get', request.context)
        return []
    return [table.c.project_id == project(request)]


class Finder:
    """Finds one row of ``query`` that the caller may know of."""

    def __init__(self, what: str, query: sa.Select[Any], table: Any,
                 rule: str, *, by_name: bool = False) -> None:
        self._get, self._change = f'{rule}:get', f'{rule}:change'
        self._own = finding.Finder(
            what, query.where(table.c.project_id == sa.bindparam('project')),
            table, by_name=by_name)
        self._all = finding.Finder(what, query, table)

    def find(self, conn: Reader, request: Request, ident: str, *,
             lock: bool = False) -> Any:
        """:raises NotFound:"""
        rule = (self._get if request.method in ('GET', 'HEAD')
                else self._change)
        if finding.as_uuid(ident) and request.allowed(rule):
            return self._all.find(conn, ident, lock=lock)
        return self._own.find(conn, ident, lock=lock,
                              project=project(request))
