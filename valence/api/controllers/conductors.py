# SPDX-License-Identifier: Apache-2.0
"""Which conductors are there, and which are alive?"""

import functools
from typing import Any

import sqlalchemy as sa

from valence.api import finding
from valence.api.controllers import drivers
from valence.api.request import Answer, Request
from valence.api.views import View
from valence.db import documents, models

_TABLE: Any = models.Conductor.__table__
_C = _TABLE.c


def index(request: Request) -> Answer:
    """List conductors; the dead are forgotten after some time."""
    timeout = request.settings.conductor_timeout
    view = _view(timeout)
    query = sa.select().select_from(_TABLE).where(
        *finding.conditions(request.query, {'host': _C.host}))
    wanted = request.query.get('alive')
    if wanted is not None:
        condition = drivers.alive(timeout)
        query = query.where(condition if wanted else sa.not_(condition))
    with request.database.read() as conn:
        return finding.page(request, conn, view, query, _TABLE)


def show(request: Request, conductor: str) -> Answer:
    """Show a conductor."""
    view = _view(request.settings.conductor_timeout)
    finder = finding.Finder('conductor', sa.select(*view.columns), _TABLE)
    with request.database.read() as conn:
        return Answer(view.one(finder.find(conn, conductor), request.url))


@functools.cache
def _view(timeout: float) -> View:
    return View('conductors', {
        'uuid': _C.uuid,
        'host': _C.host,
        'pid': _C.pid,
        'version': _C.version,
        # What the drivers can do is at /v1/drivers.
        'drivers': documents.keys(_C.drivers),
        'alive': sa.case((drivers.alive(timeout), sa.true()),
                         else_=sa.false()),
        'heartbeat_at': _C.heartbeat_at,
        'started_at': _C.created_at,
        'stopped_at': _C.stopped_at,
    })
