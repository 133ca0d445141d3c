# SPDX-License-Identifier: Apache-2.0
"""Which row does the client mean: by uuid, by name, or page by page?"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from valence.api import links
from valence.api.request import Answer, Request
from valence.api.views import View
from valence.common import errors
from valence.db import listing, models

_UUID = re.compile(
    r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}')

POD_MANAGERS: Any = models.PodManager.__table__


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

    def find(self, conn: sa.Connection, ident: str, *, lock: bool = False,
             **parameters: Any) -> sa.Row[Any]:
        """Find the row; with ``lock``, for the caller alone.

        A transaction that locks does so first: what it reads afterwards is
        then not older than the lock, in any database.

        :raises NotFound:
        """
        uuid = as_uuid(ident)
        query = self._by_name if uuid is None else self._by_uuid
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


_POD_MANAGER = Finder(
    'pod manager', sa.select(POD_MANAGERS.c.id, POD_MANAGERS.c.uuid),
    POD_MANAGERS, by_name=True)


def pod_manager(conn: sa.Connection, ident: str) -> sa.Row[Any]:
    """``id`` and ``uuid`` of a pod manager.

    :raises NotFound:
    """
    return _POD_MANAGER.find(conn, ident)


def named_pod_manager(conn: sa.Connection, ident: str) -> sa.Row[Any]:
    """The pod manager that a request's body names.

    :raises BadRequest: unknown_pod_manager
    """
    try:
        return pod_manager(conn, ident)
    except errors.NotFound as error:
        raise errors.BadRequest(str(error), field='pod_manager',
                                code='unknown_pod_manager') from None


def conditions(query: Mapping[str, Any],
               columns: Mapping[str, Any]) -> list[Any]:
    """Equality of each column with the parameter of its name, if given."""
    return [column == query[name] for name, column in columns.items()
            if name in query]


def page(request: Request, conn: sa.Connection, view: View,
         query: sa.Select[Any], table: Any,
         visible: Sequence[Any] = ()) -> Answer:
    """One page of a collection, as the request asks for it.

    :param query: without columns
    """
    asked = request.query
    marker, key = asked.get('marker'), asked.get('sort_key')
    if 'fields' in asked:
        view = view.only(tuple(asked['fields']))
    columns, bodies = view.columns, view.many
    if conn.dialect.name == 'sqlite':
        columns, bodies = [view.document(conn.dialect)], view.joined
    rows, more = listing.page(
        conn, query.add_columns(table.c.uuid, *columns), table,
        visible=visible,
        limit=asked.get('limit', request.settings.default_limit),
        marker=marker and marker.lower(),
        # The order of creation is that of the ids.
        key=None if key in (None, 'created_at') else table.c[key],
        descending=asked.get('sort_dir') == 'desc')
    return Answer({
        view.collection: bodies(rows, request.url),
        'next': links.next_page(
            request.url, view.collection, request.query_pairs, rows[-1][0])
        if more else None})
