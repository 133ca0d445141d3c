# SPDX-License-Identifier: Apache-2.0
"""How much may a project have, and how much does it have?"""

import re
from typing import Any

import sqlalchemy as sa

from valence.api import finding, preconditions, scope
from valence.api.request import Answer, Request
from valence.db import quotas

_ALL_PROJECTS = 'composable-hardware:quotas:all_projects:get'

# Keystone is not asked whether there is such a project.
_PROJECT = re.compile(r'[A-Za-z0-9._-]{1,64}')


def index(request: Request) -> Answer:
    """Show the quotas and the usage of the caller's project."""
    with request.database.read() as conn:
        return Answer(_read(request, conn, scope.project(request)))


def show(request: Request, project_id: str) -> Answer:
    """Show the quotas and the usage of a project."""
    if not _PROJECT.fullmatch(project_id) or (
            project_id != request.context.project_id
            and not request.allowed(_ALL_PROJECTS)):
        raise finding.missing('project', project_id)
    with request.database.read() as conn:
        return Answer(_read(request, conn, project_id))


def update(request: Request, project_id: str) -> Answer:
    """Give a project quotas; those not named are the default ones.

    What it has already is left alone, even where it is more.
    """
    _put(request, project_id, request.body['limits'])
    return show(request, project_id)


def delete(request: Request, project_id: str) -> Answer:
    """Give a project the default quotas."""
    _put(request, project_id, {})
    return Answer()


def _put(request: Request, project_id: str, limits: quotas.Limits) -> None:
    def change(conn: sa.Connection) -> None:
        quotas.lock_project(conn, project_id)
        preconditions.check(
            request, lambda: _read(request, conn, project_id))
        quotas.put(conn, project_id, limits)

    if not _PROJECT.fullmatch(project_id):
        raise finding.missing('project', project_id)
    request.database.run(change)


def _read(request: Request, conn: sa.Connection, project_id: str
          ) -> dict[str, Any]:
    return {
        'project_id': project_id,
        'limits': quotas.limits(conn, project_id, request.settings.quotas),
        'usage': quotas.usage(conn, project_id),
        'links': [{'rel': 'self',
                   'href': f'{request.url}/v1/quotas/{project_id}'}],
    }
