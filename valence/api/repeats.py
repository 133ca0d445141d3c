# SPDX-License-Identifier: Apache-2.0
"""Was this request made before?

A client that got no answer does not know whether it was heard. With an
``Idempotency-Key`` it asks again, and the request is done once. A request
without one costs no statement here.
"""

import dataclasses
import hashlib
import re
import uuid as uuid_module
from collections.abc import Callable

import orjson
import sqlalchemy as sa

from valence import requests
from valence.api.request import Request
from valence.common import errors, faultpoints
from valence.db import idempotency

#: Does in a transaction what is asked for, perhaps more than once, and
#: returns the uuids of the operations, or of the one resource, it has made.
Ask = Callable[[sa.Connection, requests.Requester], list[str]]

_KEY = re.compile(r'[\x20-\x7e]{1,255}')


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """What a request has made, and whether an earlier one has made it."""

    uuids: list[str]
    before: bool


def once(request: Request, ask: Ask, *, secret: bool = False) -> Made:
    """Do what a request asks for, unless it was done under its key before.

    :param secret: the body has something in it that nobody is to guess from
        what is stored of it
    :raises KeyReused: its key stands for another request
    :raises BadRequest: its key is none
    """
    context = request.context
    requester = requests.Requester(
        context.project_id, context.user_id, context.request_id,
        request.settings.quotas)
    key = _key(request)
    if key is None:
        return Made(request.database.run(_do, ask, requester), False)
    row, digest = str(uuid_module.uuid4()), _digest(request)
    if secret:
        digest = request.services.vault.sign(digest)

    def first(conn: sa.Connection) -> list[str]:
        idempotency.take(conn, row, context.project_id, key, digest)
        uuids = ask(conn, requester)
        idempotency.keep(conn, row, uuids)
        faultpoints.reach('K0')
        return uuids

    try:
        return Made(request.database.run(first), False)
    except idempotency.Taken as error:
        made = known(request, row, secret=secret)
        if made is None:
            # It was purged between the two transactions.
            raise errors.Conflict(
                'what was made under the Idempotency-Key is being '
                'forgotten; ask again', code='request_in_progress',
                headers={'Retry-After': '1'}) from error
        return made


def known(request: Request, row: str | None = None, *,
           secret: bool = False) -> Made | None:
    """What was made under the key of a request; None is nothing, or no key.

    :param row: what this very request may have written: the answer to a
        COMMIT can be lost
    :raises KeyReused: its key stands for another request
    :raises BadRequest: its key is none
    """
    key = _key(request)
    if key is None:
        return None
    with request.database.read() as conn:
        found = idempotency.find(conn, request.context.project_id, key)
    if found is None:
        return None
    digest = _digest(request)
    if not (request.services.vault.has_signed(digest, found.digest)
            if secret else digest == found.digest):
        raise errors.KeyReused(
            f'the Idempotency-Key {key!r} was used for another request; use '
            'a new one')
    return Made(found.made, found.uuid != row)


def _do(conn: sa.Connection, ask: Ask, requester: requests.Requester
        ) -> list[str]:
    uuids = ask(conn, requester)
    faultpoints.reach('K0')
    return uuids


def _key(request: Request) -> str | None:
    key: str | None = request.environ.get('HTTP_IDEMPOTENCY_KEY')
    if key is not None and not _KEY.fullmatch(key):
        raise errors.BadRequest(
            'an Idempotency-Key has 1 to 255 printable ASCII characters',
            field='Idempotency-Key')
    return key


def _digest(request: Request) -> str:
    """Whether it is the same request: method, path and body."""
    return hashlib.sha256(orjson.dumps(
        [request.method, request.environ['PATH_INFO'], request.body],
        option=orjson.OPT_SORT_KEYS)).hexdigest()
