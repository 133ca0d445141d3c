# SPDX-License-Identifier: Apache-2.0
"""In what do pods differ from what Valence knows of them?"""

from typing import Any

import sqlalchemy as sa

from valence.api import finding
from valence.api.request import Answer, Request
from valence.api.views import View
from valence.db import models

_TABLE: Any = models.Drift.__table__
_PODS = finding.POD_MANAGERS
_C = _TABLE.c

VIEW = View('drift', {
    'uuid': _C.uuid,
    'kind': _C.kind,
    'pod_manager': _PODS.c.uuid,
    'resource_path': _C.resource_path,
    'node': _C.node_uuid,
    'details': _C.details,
    'state': _C.state,
    'action': _C.action,
    'operation': _C.operation_uuid,
    'first_scan': _C.first_scan,
    'last_scan': _C.last_scan,
    'created_at': _C.created_at,
    'updated_at': _C.updated_at,
})

_LIST = sa.select().select_from(finding.with_pod_manager(_TABLE))
_ONE = finding.Finder('difference', _LIST.add_columns(*VIEW.columns), _TABLE)
_FILTERS = {'kind': _C.kind, 'state': _C.state}


def index(request: Request) -> Answer:
    """List differences between hardware and records."""
    conditions = finding.conditions(request.query, _FILTERS)
    if 'node' in request.query:
        conditions.append(_C.node_uuid == request.query['node'].lower())
    with request.database.read() as conn:
        conditions += finding.of_pod_manager(
            request, conn, _C.pod_manager_id)
        return finding.page(request, conn, VIEW, _LIST.where(*conditions),
                            _TABLE)


def show(request: Request, drift: str) -> Answer:
    """Show a difference."""
    return finding.show(request, VIEW, _ONE, drift)
