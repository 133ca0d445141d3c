# SPDX-License-Identifier: Apache-2.0
"""Is the resource still as the client last saw it (RFC 9110, section 13)?

The ETag is a digest of the whole answer, so that nothing can change without
it, not even what comes from another table. Who changes a resource with
``If-Match`` cannot undo what was changed meanwhile.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Any

from valence.api.request import Request, dump
from valence.common import errors

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def etag(body: bytes) -> str:
    """The strong ETag of an answer with this body."""
    return f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'


def check(request: Request, current: Callable[[], Any]) -> None:
    """Let a change go on only if the client knows what it changes.

    :param current: what a GET would answer now. To be called in the
        transaction of the change, with the row locked
    :raises PreconditionFailed:
    """
    header = request.environ.get('HTTP_IF_MATCH')
    if header is not None and not _has(
            header, etag(dump(current())), strong=True):
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
        for weak, value in _TAG.findall(header))


def _failed() -> errors.PreconditionFailed:
    return errors.PreconditionFailed(
        'the resource is not, or no longer, as If-Match says; get it again',
        field='If-Match')
