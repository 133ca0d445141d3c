# SPDX-License-Identifier: Apache-2.0
"""How does a row of the database become a resource in an answer?

By way of a dictionary, into which JSON columns are spliced as the text they
are stored as (0.42 of the time of parsing and writing it again, measured).
Those of a list SQLite writes by itself, see :mod:`valence.db.documents`; only
what links begin with it does not know.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from valence.api.request import dump
from valence.db import documents
from valence.db.types import JSONText


class View:
    """The fields of one resource, in the order of the answer.

    :param collection: the name in the URL
    :param fields: name in the answer -> column; the uuid is the first
    """

    def __init__(self, collection: str, fields: Mapping[str, Any]) -> None:
        self.collection = collection
        self.fields = dict(fields)
        self._json = [name for name, column in fields.items()
                      if isinstance(column.type, JSONText)]
        self.columns = [
            (sa.type_coerce(column, sa.Text) if name in self._json
             else column).label(name) for name, column in fields.items()]

    def without(self, *names: str) -> 'View':
        """The same with fewer fields, for lists."""
        return View(self.collection,
                    {name: column for name, column in self.fields.items()
                     if name not in names})

    @functools.lru_cache(maxsize=256)  # noqa: B019 - there are few views
    def only(self, names: tuple[str, ...]) -> 'View':
        """The same with these fields."""
        return View(self.collection,
                    {name: column for name, column in self.fields.items()
                     if name in names})

    @functools.lru_cache(maxsize=256)  # noqa: B019
    def document(self, dialect: sa.Dialect) -> sa.ColumnElement[str]:
        """A resource as SQLite writes it: without its links."""
        return documents.as_text(
            documents.document(self.fields), dialect).label('document')

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

    def joined(self, rows: Iterable[Sequence[Any]], base: str) -> Any:
        """What :meth:`many` makes of rows of uuid and document."""
        prefix = dump(f'{base}/v1/{self.collection}/')[:-1].decode()
        return orjson.Fragment('[' + ','.join([
            f'{document[:-1]},"links":[{{"rel":"self","href":{prefix}{uuid}"'
            '}]}' for uuid, document in rows]) + ']')
