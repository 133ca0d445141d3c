# SPDX-License-Identifier: Apache-2.0
"""Which row does the client mean: by uuid, by name, or page by page?"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import orjson
import sqlalchemy as sa

from valence.api import links
from valence.api.request import Answer, Request
from valence.api.views import View
from valence.common import errors
from valence.db import listing, models
from valence.db.looking import Reader

P = ParamSpec('P')
R = TypeVar('R')

_UUID = re.compile(
    r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}')

POD_MANAGERS: Any = models.PodManager.__table__


def with_pod_manager(table: Any) -> Any:
    """``table`` with the pod manager of each row.

    It is never missing. But after an inner join MariaDB begins with the few
    pod managers, and sorts all of the table for the first row of a page.
    """
    return table.outerjoin(
        POD_MANAGERS, POD_MANAGERS.c.id == table.c.pod_manager_id)


def as_uuid(ident: str) -> str | None:
    """``ident`` as uuids are stored, or None where it is none.

    No name looks like a uuid: the schemas refuse that.
    """
    ident = ident.lower()
    return ident if _UUID.fullmatch(ident) else None


class Finder:
    """Finds one row of ``query`` by uuid, or by name where there is one."""

    def __init__(self, what: str, query: sa.Select[Any], table: Any,
                 *, by_name: bool = False) -> None:
        self._what = what
        # Built once: SQLAlchemy needs longer to put a statement together
        # than the database to answer it.
        self._by_uuid = query.where(table.c.uuid == sa.bindparam('ident'))
        self._by_name = query.where(table.c.name == sa.bindparam('ident')
                                    ) if by_name else None

    def find(self, conn: Reader, ident: str, *, lock: bool = False,
             **parameters: Any) -> Any:
        """Find the row; with ``lock``, for the caller alone.

        A transaction that locks does so first: what it reads afterwards is
        then not older than the lock, in any database.

        :raises NotFound:
        """
        uuid = as_uuid(ident)
        query = self._by_name if uuid is None else self._by_uuid
        if ident.endswith(' '):
            # No name; but MariaDB would find the one without the space.
            query = None
        row = None
        if query is not None:
            if lock:
                query = query.with_for_update()
            row = conn.execute(query, {
                'ident': uuid or ident, **parameters}).one_or_none()
        if row is None:
            raise missing(self._what, ident)
        return row


def missing(what: str, ident: str) -> errors.NotFound:
    return errors.NotFound(f'no {what} {ident[:64]!r}')


def show(request: Request, view: View, finder: Finder, ident: str) -> Answer:
    """One resource.

    :raises NotFound:
    """
    return Answer(view.one(request.database.look(
        lambda conn: finder.find(conn, ident)), request.url))


def if_there(read: Callable[P, R], *args: P.args, **kwargs: P.kwargs
             ) -> R | None:
    """What ``read`` returns, or None for what has gone meanwhile."""
    try:
        return read(*args, **kwargs)
    except errors.NotFound:
        return None


_POD_MANAGER = Finder(
    'pod manager', sa.select(POD_MANAGERS.c.id, POD_MANAGERS.c.uuid),
    POD_MANAGERS, by_name=True)


def pod_manager(conn: sa.Connection, ident: str) -> sa.Row[Any]:
    """``id`` and ``uuid`` of a pod manager.

    :raises NotFound:
    """
    return _POD_MANAGER.find(conn, ident)


def may_know_pod_managers(request: Request) -> bool:
    """Whether the caller may learn which pod managers there are."""
    return request.allowed('composable-hardware:pod_managers:get')


def named_pod_manager(request: Request, conn: sa.Connection, ident: str
                      ) -> sa.Row[Any]:
    """The pod manager that a request's body or query names.

    Who may not see pod managers says which by its uuid: that is in the
    caller's own nodes and cannot be guessed, as a name can.

    :raises BadRequest: unknown_pod_manager
    """
    problem = f'no pod manager {ident[:64]!r}'
    if as_uuid(ident) is None and not may_know_pod_managers(request):
        problem += ' that you may name; say which by its uuid'
    else:
        try:
            return pod_manager(conn, ident)
        except errors.NotFound:
            pass
    raise errors.BadRequest(problem, field='pod_manager',
                            code='unknown_pod_manager')


def of_pod_manager(request: Request, conn: sa.Connection, column: Any
                   ) -> list[Any]:
    """The condition of the parameter ``pod_manager``, if it is given.

    Who may not see pod managers finds nothing under one that is unknown,
    just as under one that has nothing of the caller's.

    :param column: has the id or the uuid of the pod manager
    :raises BadRequest: unknown_pod_manager
    """
    if 'pod_manager' not in request.query:
        return []
    try:
        row = named_pod_manager(request, conn, request.query['pod_manager'])
    except errors.BadRequest:
        if may_know_pod_managers(request):
            raise
        return [sa.false()]
    return [column == (row.id if isinstance(column.type, sa.Integer)
                       else row.uuid)]


def conditions(query: Mapping[str, Any],
               columns: Mapping[str, Any]) -> list[Any]:
    """Equality of each column with the parameter of its name, if given."""
    return [column == query[name] for name, column in columns.items()
            if name in query]


def page(request: Request, conn: sa.Connection, view: View,
         query: sa.Select[Any], table: Any,
         visible: Sequence[Any] = ()) -> Answer:
    """One page of a collection, as the request asks for it.

    :param query: says from what, and has no columns
    """
    asked = request.query
    marker, key = asked.get('marker'), asked.get('sort_key')
    if 'fields' in asked:
        view = view.only(tuple(asked['fields']))
    order = {
        'limit': asked.get('limit', request.settings.default_limit),
        'marker': marker and marker.lower(), 'visible': visible,
        # The order of creation is that of the ids.
        'key': None if key in (None, 'created_at') else table.c[key],
        'descending': asked.get('sort_dir') == 'desc'}
    bodies: Any
    if conn.dialect.name == 'sqlite':
        text, more = listing.text(
            conn, query.add_columns(view.document(conn.dialect)), table,
            {'base': request.url}, **order)
        bodies = orjson.Fragment(b'[' + text + b']')
        # It ends with "href":".../<uuid>"}]}.
        last = text[-40:-4].decode()
    else:
        rows, more = listing.page(conn, query.add_columns(
            table.c.uuid, *view.columns), table, **order)
        bodies = view.many(rows, request.url)
        last = rows[-1][0] if rows else ''
    return Answer({
        view.collection: bodies,
        'next': links.next_page(
            request.url, view.collection, request.query_pairs, last)
        if more else None})
