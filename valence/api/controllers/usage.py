# SPDX-License-Identifier: Apache-2.0
"""How much of the pooled hardware is free, used or broken?"""

from typing import Any

import sqlalchemy as sa

from valence.api import finding
from valence.api.request import Answer, Request
from valence.db import models

_PODS: Any = models.PodManager.__table__
_DEVICES: Any = models.Device.__table__
_CLAIMS: Any = models.Claim.__table__


def _count(*conditions: Any) -> Any:
    return sa.func.count(sa.case((sa.and_(*conditions), 1)))


_CLAIMED = _CLAIMS.c.id.is_not(None)
_THERE = _DEVICES.c.missing_since.is_(None)
_COUNTS = {
    'total': sa.func.count(),
    'free': _count(sa.not_(_CLAIMED), _THERE, _DEVICES.c.state == 'free'),
    # By a node of Valence, or by somebody else, as the hardware says.
    'used': _count(sa.or_(_CLAIMED, sa.and_(
        _THERE, _DEVICES.c.state.in_(('used', 'reserved'))))),
    'failed': _count(sa.not_(_CLAIMED), sa.or_(
        sa.not_(_THERE), _DEVICES.c.state.in_(('failed', 'unavailable')))),
}
_KEYS = {'pod_manager': _PODS.c.uuid, 'pod_manager_name': _PODS.c.name,
         'type': _DEVICES.c.type}
_NAMES = (*_KEYS, *_COUNTS)
_QUERY = (
    sa.select(*_KEYS.values(), *_COUNTS.values())
    .select_from(_DEVICES.join(
        _PODS, _PODS.c.id == _DEVICES.c.pod_manager_id).outerjoin(
            _CLAIMS, sa.and_(
                _CLAIMS.c.pod_manager_id == _DEVICES.c.pod_manager_id,
                _CLAIMS.c.resource_path == _DEVICES.c.resource_path)))
    .where(_DEVICES.c.pooled.is_(sa.true()))
    .group_by(*_KEYS.values())
    .order_by(_PODS.c.name, _DEVICES.c.type))


def index(request: Request) -> Answer:
    """Count the pooled devices by pod manager and type.

    ``failed`` are those that are broken, switched off, or that the last scan
    did not find; one that a node has counts as ``used`` all the same.
    """
    query = _QUERY
    with request.database.read() as conn:
        query = query.where(
            *finding.of_pod_manager(request, conn, _PODS.c.id))
        if 'type' in request.query:
            query = query.where(_DEVICES.c.type == request.query['type'])
        rows = conn.execute(query).all()
    return Answer({'usage': [
        dict(zip(_NAMES, row, strict=True)) for row in rows]})
