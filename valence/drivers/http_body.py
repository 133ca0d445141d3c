# SPDX-License-Identifier: Apache-2.0
"""What is in the body of an answer, and is it within bounds?

A body is read in pieces up to a limit, must come without any
Content-Encoding (a few KiB of gzip can be half a GiB of zeros), and must be
one JSON object of bounded depth and size in memory. Of one backend's large
bodies one at a time is held, however many requests are under way.
"""

import json
import re
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

import orjson
import urllib3

from valence.common import deadline
from valence.drivers import base
from valence.drivers.http_links import printable

#: What a body may take in memory, as :func:`_too_heavy` counts. An expanded
#: collection of 1,000 resource blocks, 2 MiB on the wire, takes 10 MiB.
MAX_WEIGHT = 24 * 1024 * 1024
_TEXT_WEIGHT = 64
_NAME_WEIGHT = _TEXT_WEIGHT + 50
_MAX_NAMES = 10_000
MAX_WORDS = 500
#: What any body may have at any time, in bytes; more is a large body.
_SMALL = 128 * 1024
#: orjson takes twelve times the size of what it parses; more than this is
#: for the parser of the standard library.
_QUICK = 1024 * 1024
# The bytes of UTF-8 for characters beyond Latin-1: one of them doubles or
# quadruples what CPython takes for the whole of a text.
_WIDE = re.compile(rb'[\xc4-\xff]')
_NAME = re.compile(rb'"([^"\\]{1,64})"[ \t\r\n]*:')
#: No text that means anything to Valence is longer.
_LONGEST = 1024
_TRACE = re.compile(r'Traceback \(most recent call last\).*', re.DOTALL)

_PIECE = 64 * 1024


class Turn:
    """Its body is held by the ``with``; a large one waits for the others'.

    :param lock: one for all bodies of a backend.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._held = False

    def __enter__(self) -> 'Turn':
        return self

    def take(self) -> None:
        """Be the only large body from now on.

        :raises TimeoutError: if that takes longer than the deadline.
        """
        if not self._held:
            left = max(deadline.remaining(60.0), 0.0)
            if not self._lock.acquire(timeout=left):
                raise TimeoutError('other large answers took all the time')
            self._held = True

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._held:
            self._held = False
            self._lock.release()


def read(response: urllib3.HTTPResponse, max_body: int, turn: Turn
         ) -> bytearray:
    """The body, as it came.

    The deadline is in the socket (see :mod:`valence.drivers.http_pool`).

    :raises BadAnswer: if it is encoded or larger than ``max_body`` bytes.
    """
    encoding = response.headers.get('Content-Encoding', 'identity')
    if encoding.strip().lower() not in ('identity', ''):
        raise base.BadAnswer(
            f'the backend answered in {printable(encoding, 40)!r} encoding, '
            'which was not asked for')
    length = response.headers.get('Content-Length', '')
    if length.isascii() and length.isdigit() and int(length) > max_body:
        raise _too_large(max_body)
    body = bytearray()
    while piece := response.read(_PIECE, decode_content=False):
        if len(body) + len(piece) > max_body:
            raise _too_large(max_body)
        body += piece
        if len(body) > _SMALL:
            turn.take()
    return body


def parse(body: bytes | bytearray, max_depth: int) -> dict[str, Any]:
    """The JSON object in ``body``, which is emptied if it is large.

    It may be kept for a while, so a large one comes with its long texts cut.

    :raises BadAnswer: if it is anything else, or nested too deeply.
    """
    cut = len(body) > _SMALL and _has_long_text(body)
    value = _whole(body, max_depth)
    if cut:
        _cut_texts(value)
    return value


def _whole(body: bytes | bytearray, max_depth: int) -> dict[str, Any]:
    opened = body.count(b'{') + body.count(b'[')
    if _too_heavy(body, opened):
        raise base.BadAnswer('the backend answered more JSON objects, texts '
                             'and numbers at once than are taken')
    large = len(body) > _QUICK
    begin = 3 if body.startswith(b'\xef\xbb\xbf') else 0
    if large and not body.isascii() and _WIDE.search(body, begin):
        raise base.BadAnswer('the backend answered too much text beyond '
                             'Latin-1 at once')
    try:
        value = _parse_large(body) if large else orjson.loads(
            memoryview(body)[begin:])
    except (ValueError, RecursionError):
        # orjson stops at 1,024 levels, json at the interpreter's limit.
        raise base.BadAnswer('the backend answered something that is not '
                             'JSON') from None
    if not isinstance(value, dict):
        raise base.BadAnswer('the backend answered JSON that is not an '
                             'object')
    if opened > max_depth and _deeper_than(value, max_depth):
        raise base.BadAnswer(f'the backend answered JSON of more than '
                             f'{max_depth} levels')
    return value


def _too_heavy(body: bytes | bytearray, opened: int) -> bool:
    """Whether the JSON in ``body`` may take more memory than MAX_WEIGHT.

    A text of two characters takes 4 bytes on the wire and 51 in memory, an
    empty container 2 and up to 64, a number 2 and 32; each has a place in
    what contains it, and a name one more while it is parsed. A name that
    comes again is kept once, so where that decides, names are looked at.
    """
    texts = body.count(b'"') // 2
    rest = len(body) + 200 * opened + 60 * (opened + body.count(b','))
    if rest + _NAME_WEIGHT * texts <= MAX_WEIGHT:
        return False
    # Each name has a colon, but so has many an address.
    if rest + _TEXT_WEIGHT * (texts - body.count(b':')) > MAX_WEIGHT:
        return True
    names: set[bytes] = set()
    first = again = 0
    for found in _NAME.finditer(body):
        if found[1] in names:
            again += 1
            continue
        first += 1
        if first <= _MAX_NAMES:
            names.add(found[1])
    return (rest + _NAME_WEIGHT * first
            + _TEXT_WEIGHT * (texts - first - again)) > MAX_WEIGHT


def _parse_large(body: bytes | bytearray) -> Any:
    text = body.decode('utf-8-sig')
    if isinstance(body, bytearray):
        body.clear()
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f'{name} is no JSON')


def words(body: bytes | bytearray, max_depth: int,
          hide: Callable[[str], str]) -> tuple[str, tuple[str, ...]]:
    """What an error's body says: ``(text, message ids)``, maybe empty.

    :param hide: takes secrets out of a text; done before it is cut, as half
        a secret would not be recognised.

    DSP0266, "Error responses": ``error.@Message.ExtendedInfo`` holds the
    messages, ``error.message`` the summary. Services also answer plain
    strings, HTML and nothing.
    """
    try:
        whole = _whole(body, max_depth)
        # The ExpEther Manager has {"code", "message"} without a wrapper.
        error = whole.get('error', whole)
    except base.BadAnswer:
        return _shown(_plain(body, hide), hide), ()
    if not isinstance(error, dict):
        return _shown(error, hide) if isinstance(error, str) else '', ()
    texts, ids = messages(error.get('@Message.ExtendedInfo'))
    summary = error.get('message')
    if not texts and isinstance(summary, str):
        texts = [summary]
    code = error.get('code')
    if not ids and isinstance(code, str):
        ids = [code]
    return _shown(' '.join(texts), hide), tuple(
        printable(hide(one), 120) for one in ids)


def _shown(text: str, hide: Callable[[str], str]) -> str:
    """For an operator, who has no use for somebody else's traceback."""
    return printable(_TRACE.sub('(a traceback)', hide(text)), MAX_WORDS)


def messages(infos: Any) -> tuple[list[str], list[str]]:
    """Texts and ids of an array of Message objects (DSP0266, Message)."""
    texts: list[str] = []
    ids: list[str] = []
    for info in infos if isinstance(infos, list) else [infos]:
        if not isinstance(info, dict):
            continue
        text, name = info.get('Message'), info.get('MessageId')
        if isinstance(name, str) and len(ids) < 16:
            ids.append(name)
        if isinstance(text, str) and text.strip() and len(texts) < 16:
            texts.append(text.strip())
    return texts, ids


def _plain(body: bytes | bytearray, hide: Callable[[str], str]) -> str:
    # Hidden first, for a part of a secret may look like a tag.
    text = hide(body[:16 * 1024].decode('utf-8', 'replace'))
    if '<' in text:
        text = re.sub(r'<(?:style|script)\b[^>]*>[^<]*', ' ', text)
        text = re.sub(r'<[^<>]*>', ' ', text)
    return text.strip(' \r\n\t"')


def _too_large(max_body: int) -> base.BadAnswer:
    return base.BadAnswer(f'the backend answered more than {max_body} bytes')


def _deeper_than(value: Any, limit: int) -> bool:
    level: list[Any] = [value]
    for _ in range(limit):
        level = [child for one in level
                 for child in (one.values() if type(one) is dict else one)
                 if type(child) is dict or type(child) is list]
        if not level:
            return False
    return True


def _has_long_text(body: bytes | bytearray) -> bool:
    """Whether there may be one; a false alarm costs time only.

    A text begins and ends with a quote that no backslash is before. From
    each such quote the next one is looked for, as far away as it may be.
    """
    begin = 0
    while begin + _LONGEST < len(body):
        quote = begin + _LONGEST + 1
        for _ in range(8):              # an ETag has two escaped ones
            quote = body.rfind(b'"', begin, quote)
            if quote < 0:
                return True
            if body[quote - 1:quote] != b'\\':
                break
        else:
            return True
        begin = quote + 1
    return False


def _cut_texts(value: Any) -> None:
    """Changed in place: it may be as large as is taken at all."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            for name in [name for name in one if len(name) > _LONGEST]:
                one[name[:_LONGEST]] = one.pop(name)
            inside: Any = one.items()
        else:
            inside = enumerate(one)
        for key, inner in inside:
            if isinstance(inner, str):
                if len(inner) > _LONGEST:
                    one[key] = inner[:_LONGEST]
            elif isinstance(inner, dict | list):
                waiting.append(inner)
