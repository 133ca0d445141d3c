# SPDX-License-Identifier: Apache-2.0
"""Which drivers can be used now? Those that a living conductor loads."""

from typing import Any

import sqlalchemy as sa

from valence.api import finding, links
from valence.api.request import Answer, Request
from valence.common import errors
from valence.db import listing, models
from valence.db.types import utcnow

_C: Any = models.Conductor.__table__.c


def index(request: Request) -> Answer:
    """List the drivers of all living conductors, by their names."""
    query = request.query
    with request.database.read() as conn:
        drivers = _available(conn, request.settings.conductor_timeout)
    names = list(drivers)
    if query.get('sort_dir') == 'desc':
        names.reverse()
    if 'marker' in query:
        if query['marker'] not in drivers:
            raise listing.no_marker()
        names = names[names.index(query['marker']) + 1:]
    limit = query.get('limit', request.settings.default_limit)
    bodies = [_body(request, drivers[name]) for name in names[:limit]]
    if 'fields' in query:
        wanted = {*query['fields'], 'links'}
        bodies = [{name: value for name, value in body.items()
                   if name in wanted} for body in bodies]
    return Answer({
        'drivers': bodies,
        'next': links.next_page(
            request.url, 'drivers', request.query_pairs, names[limit - 1])
        if len(names) > limit else None})


def show(request: Request, driver: str) -> Answer:
    """Show what a driver can do and how it is set up."""
    with request.database.read() as conn:
        found = _available(
            conn, request.settings.conductor_timeout).get(driver)
    if found is None:
        raise finding.missing('driver', driver)
    return Answer(_body(request, found))


def require(conn: sa.Connection, name: str, timeout: float
            ) -> dict[str, Any]:
    """The driver of that name.

    :param timeout: seconds after which a silent conductor counts as dead
    :raises BadRequest: unknown_driver, listing those available
    :raises Unavailable: no_conductor
    """
    drivers = _available(conn, timeout)
    if name in drivers:
        return drivers[name]
    if not drivers:
        raise errors.Unavailable(
            'no conductor is alive, so nobody knows which drivers there '
            'are', code='no_conductor', headers={'Retry-After': '5'})
    raise errors.BadRequest(
        f'no living conductor has a driver {name!r}; available: '
        + ', '.join(drivers), field='driver', code='unknown_driver')


def alive(timeout: float) -> Any:
    """The condition under which a conductor counts as alive."""
    return sa.and_(_C.stopped_at.is_(None),
                   _C.heartbeat_at >= utcnow(-timeout))


def _available(conn: sa.Connection, timeout: float
               ) -> dict[str, dict[str, Any]]:
    """Drivers by name; described by the conductor that started last."""
    drivers: dict[str, dict[str, Any]] = {}
    for row in conn.execute(
            sa.select(_C.uuid, _C.drivers).where(alive(timeout))
            .order_by(_C.id.desc())):
        for name, known in row.drivers.items():
            driver = drivers.setdefault(name, {
                'name': name,
                'description': known.get('description', ''),
                'version': known.get('version'),
                'package': known.get('package'),
                'capabilities': known.get('capabilities', {}),
                'connection_schema': known.get('connection_schema', {}),
                'conductors': [],
            })
            driver['conductors'].append(row.uuid)
    return dict(sorted(drivers.items()))


def _body(request: Request, driver: dict[str, Any]) -> dict[str, Any]:
    return {**driver, 'links': links.self_link(
        request.url, 'drivers', driver['name'])}
