# SPDX-License-Identifier: Apache-2.0
"""Is the resource still as the client last saw it (RFC 9110, section 13)?

The ETag is a digest of the whole answer, so that nothing can change without
it, not even what comes from another table; only by what name the API was
called is left out. Who changes a resource with ``If-Match`` cannot undo what
was changed meanwhile.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Any

from valence.api.request import Request, dump
from valence.common import errors

_LINK = b'"links":[{"rel":"self","href":"'
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def etag(body: bytes, base: str) -> str:
    """The strong ETag of an answer with this body.

    :param base: what its links begin with
    """
    body = body.replace(_LINK + base.encode(), _LINK)
    return f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'


def check(request: Request, current: Callable[[], Any]) -> None:
    """Let a change go on only if the client knows what it changes.

    :param current: what a GET would answer now. To be called in the
        transaction of the change, with the row locked
    :raises PreconditionFailed:
    """
    header = request.environ.get('HTTP_IF_MATCH')
    if header is not None and not _has(
            header, etag(dump(current()), request.url), strong=True):
        raise _failed()


def unchanged(environ: dict[str, Any], tag: str) -> bool:
    """Whether a GET of what has this ETag is to be answered 304.

    :raises PreconditionFailed:
    """
    header = environ.get('HTTP_IF_MATCH')
    if header is not None and not _has(header, tag, strong=True):
        raise _failed()
    header = environ.get('HTTP_IF_NONE_MATCH')
    return header is not None and _has(header, tag, strong=False)


def _has(header: str, tag: str, *, strong: bool) -> bool:
    # What cannot be understood names no ETag, so it lets nothing through.
    return header.strip() == '*' or any(
        f'"{value}"' == tag and not (weak and strong)
        for weak, value in _tags(header))


def _tags(header: str) -> list[tuple[str | None, str]]:
    """``W/`` and the value of each ETag; none if that is not all there is."""
    found: list[tuple[str | None, str]] = []
    end = 0
    for match in _TAG.finditer(header):
        gap = header[end:match.start()]
        if not _is_gap(gap) or (found and ',' not in gap):
            return []
        found.append((match[1], match[2]))
        end = match.end()
    return found if _is_gap(header[end:]) else []


def _is_gap(text: str) -> bool:
    return not text.strip(', \t')


def _failed() -> errors.PreconditionFailed:
    return errors.PreconditionFailed(
        'the resource is not, or no longer, as If-Match says; get it again',
        field='If-Match')
