# SPDX-License-Identifier: Apache-2.0
"""What can be done with flavors, the named requirements?"""

import uuid as uuid_module
from typing import Any

import sqlalchemy as sa

from valence.api import (
    finding,
    patches,
    preconditions,
    repeats,
    validation,
)
from valence.api.request import Answer, Request
from valence.api.schemas import flavors as schemas
from valence.api.schemas.properties import normalise
from valence.api.views import View
from valence.common import errors
from valence.db import flavors

_C = flavors.FLAVORS.c

VIEW = View('flavors', {
    'uuid': _C.uuid,
    'name': _C.name,
    'description': _C.description,
    'properties': _C.properties,
    'created_at': _C.created_at,
    'updated_at': _C.updated_at,
})

_ONE = finding.Finder('flavor', sa.select(*VIEW.columns), flavors.FLAVORS,
                      by_name=True)
_ROW = finding.Finder('flavor', sa.select(flavors.FLAVORS), flavors.FLAVORS,
                      by_name=True)
_FIELDS = tuple(schemas.CREATE['properties'])
_check_whole = validation.compile_body(schemas.CREATE)


def index(request: Request) -> Answer:
    """List flavors."""
    query = sa.select().select_from(flavors.FLAVORS).where(
        *finding.conditions(request.query, {'name': _C.name}))
    with request.database.read() as conn:
        return finding.page(request, conn, VIEW, query, flavors.FLAVORS)


def show(request: Request, flavor: str) -> Answer:
    """Show a flavor."""
    return finding.show(request, VIEW, _ONE, flavor)


def create(request: Request) -> Answer:
    """Create a flavor."""
    body = request.body
    values = {'uuid': str(uuid_module.uuid4()), 'name': body['name'],
              'description': body.get('description'),
              'properties': normalise(body['properties'])}
    made = repeats.once(
        request, lambda conn, _: [flavors.create(conn, values)])
    answer = show(request, made.uuids[0])
    return Answer(answer.body, headers=(
        ('Location', answer.body['links'][0]['href']),))


def update(request: Request, flavor: str) -> Answer:
    """Change a flavor by a merge patch or a JSON Patch.

    Nodes that were composed by it stay as they are.
    """
    def change(conn: sa.Connection) -> str:
        row = _ROW.find(conn, flavor, lock=True)
        _check_unchanged(request, conn, row)
        whole = patches.apply(request, {
            name: getattr(row, name) for name in _FIELDS}, _FIELDS,
            lambda: VIEW.one(_ONE.find(conn, row.uuid), request.url))
        # What was removed may have been needed.
        _check_whole(whole)
        flavors.update(conn, row.uuid, {
            'name': whole['name'], 'description': whole.get('description'),
            'properties': normalise(whole['properties'])})
        return str(row.uuid)

    return show(request, request.database.run(change))


def delete(request: Request, flavor: str) -> Answer:
    """Delete a flavor. Nodes that were composed by it stay as they are."""
    def forget(conn: sa.Connection) -> None:
        row = _ROW.find(conn, flavor, lock=True)
        _check_unchanged(request, conn, row)
        flavors.delete(conn, row.uuid)

    request.database.run(forget)
    return Answer()


def _check_unchanged(request: Request, conn: sa.Connection,
                     row: sa.Row[Any]) -> None:
    preconditions.check(request, lambda: VIEW.one(
        _ONE.find(conn, row.uuid), request.url))


def named(conn: sa.Connection, ident: str) -> sa.Row[Any]:
    """The row of the flavor that a request's body names.

    :raises BadRequest: unknown_flavor
    """
    try:
        return _ROW.find(conn, ident)
    except errors.NotFound as error:
        raise errors.BadRequest(str(error), field='flavor',
                                code='unknown_flavor') from None
