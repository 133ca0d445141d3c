# SPDX-License-Identifier: Apache-2.0
"""How does a row of the database become a resource in an answer?

By way of a dictionary, into which JSON columns are spliced as the text they
are stored as (0.42 of the time of parsing and writing it again, measured).
Those of a list SQLite writes by itself, see :mod:`valence.db.documents`.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from valence.db import documents
from valence.db.types import JSONText


class View:
    """The fields of one resource, in the order of the answer.

    :param collection: the name in the URL
    :param fields: name in the answer -> column; the uuid is the first
    :param uuid: its column, where it is not one of the fields
    """

    def __init__(self, collection: str, fields: Mapping[str, Any],
                 uuid: Any = None) -> None:
        self.collection = collection
        self.fields = dict(fields)
        self._uuid = fields['uuid'] if uuid is None else uuid
        self._json = [name for name, column in fields.items()
                      if isinstance(column.type, JSONText)]
        self.columns = [
            (sa.type_coerce(column, sa.Text) if name in self._json
             else column).label(name) for name, column in fields.items()]

    def without(self, *names: str) -> 'View':
        """The same with fewer fields, for lists."""
        return View(self.collection,
                    {name: column for name, column in self.fields.items()
                     if name not in names}, self._uuid)

    @functools.lru_cache(maxsize=256)  # noqa: B019 - there are few views
    def only(self, names: tuple[str, ...]) -> 'View':
        """The same with these fields."""
        return View(self.collection,
                    {name: column for name, column in self.fields.items()
                     if name in names}, self._uuid)

    @functools.lru_cache(maxsize=256)  # noqa: B019
    def document(self, dialect: sa.Dialect) -> sa.ColumnElement[str]:
        """A resource as SQLite writes it.

        The statement is given ``base``, what links begin with.
        """
        return documents.prepared(documents.document({
            **self.fields, 'links': documents.array(documents.document({
                'rel': sa.literal('self'), 'href': documents.BASE
                + f'/v1/{self.collection}/' + self._uuid}))}), dialect)

    def one(self, row: Sequence[Any], base: str) -> dict[str, Any]:
        """:param base: what links begin with"""
        body: dict[str, Any] = self.many([(row[0], *row)], base)[0]
        return body

    def many(self, rows: Iterable[Sequence[Any]], base: str) -> Any:
        """:param rows: before the columns, the uuid"""
        prefix = f'{base}/v1/{self.collection}/'
        bodies = []
        for uuid, *row in rows:
            body: dict[str, Any] = dict(zip(self.fields, row, strict=True))
            for name in self._json:
                text = body[name]
                if text is not None:
                    body[name] = orjson.Fragment(text)
            body['links'] = [{'rel': 'self', 'href': prefix + uuid}]
            bodies.append(body)
        return bodies
