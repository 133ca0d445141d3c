# SPDX-License-Identifier: Apache-2.0
"""Is the request one that the rest of the API can trust?

Past this point the URL and the headers are of bounded size, and a body is
JSON of bounded size and depth, in strict UTF-8, without duplicate keys, NaN
or NUL characters.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from valence.api.schemas.patches import JSON_PATCH, MERGE_PATCH
from valence.common import errors

_CHUNK = 64 * 1024
_JSON = 'application/json'
_UTF_8 = ('', 'charset=utf-8', 'charset=utf8')
#: Nobody knows where the next request of such a connection begins.
_CLOSE = {'Connection': 'close'}


#: Bytes of the path and the query, as they came or as they were decoded.
MAX_URL = 16 * 1024
#: Granian itself takes 100 lines of headers, and refuses more of them
#: without a body.
MAX_HEADERS = 95
#: Bytes of all header names and values.
MAX_HEADER_BYTES = 64 * 1024


class HeadGuard:
    """Refuses what is out of all proportion, whoever sends it."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any],
                 start_response: Callable[..., Any]) -> Iterable[bytes]:
        if (len(environ.get('PATH_INFO', ''))
                + len(environ.get('QUERY_STRING', '')) > MAX_URL):
            raise errors.UriTooLong(f'the URL is longer than {MAX_URL} bytes')
        if (environ.get('CONTENT_LENGTH')
                and environ.get('HTTP_TRANSFER_ENCODING')):
            # A proxy may have gone by the other one (RFC 9112, 6.1).
            raise errors.BadRequest(
                'Content-Length and Transfer-Encoding exclude each other',
                headers=_CLOSE)
        if environ.get('HTTP_TRANSFER_ENCODING',
                       'chunked').strip().lower() != 'chunked':
            raise errors.BadRequest(
                'the Transfer-Encoding of a request can only be chunked',
                headers=_CLOSE)
        count = size = 0
        for name, value in environ.items():
            if name[:5] == 'HTTP_':
                count += 1
                size += len(name) + len(value)
        if count > MAX_HEADERS or size > MAX_HEADER_BYTES:
            raise errors.HeadersTooLarge(
                f'a request may have {MAX_HEADERS} headers of '
                f'{MAX_HEADER_BYTES} bytes in all')
        return self._application(environ, start_response)


class BodyGuard:
    """Reads and parses the body into ``environ['valence.body']``.

    A request without a body has no such key.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]],
                 max_bytes: int, max_depth: int) -> None:
        self._application = application
        self._max_bytes = max_bytes
        self._max_depth = max_depth

    def __call__(self, environ: dict[str, Any],
                 start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ.pop('valence.body', None)
        data = _read(environ, self._max_bytes)
        if data:
            _check_content_type(environ)
            environ['valence.body'] = parse(data, self._max_depth)
        return self._application(environ, start_response)


def parse(data: bytes, max_depth: int) -> Any:
    """Parse strictly.

    :raises BadRequest: with a code ``invalid_json`` and what is wrong
    """
    try:
        # Refuses NaN, Infinity, lone surrogates, invalid UTF-8, and stops
        # by itself at a depth of 1024.
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _invalid(f'the body is not JSON: {error.msg} at line '
                       f'{error.lineno} column {error.colno}') from None
    has_nul = b'\\u0000' in data
    if not isinstance(value, (dict, list)):
        return value
    level: list[Any] = [value]
    depth = 0
    while level:
        depth += 1
        if depth > max_depth:
            raise _invalid(
                f'the body is nested more than {max_depth} levels deep')
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                if has_nul:
                    _refuse_nul(item)
                item = item.values()
            for member in item:
                if isinstance(member, (dict, list)):
                    below.append(member)
                elif has_nul and isinstance(member, str):
                    _refuse_nul((member,))
        level = below
    # Of duplicate keys the last one wins in most parsers and the first in
    # some, so two readers of one body could disagree about what it says.
    json.loads(data, object_pairs_hook=_unique)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> None:
    names = set()
    for name, _value in pairs:
        if name in names:
            raise _invalid(f'the body has the key {name[:64]!r} twice')
        names.add(name)


def _refuse_nul(strings: Iterable[str]) -> None:
    if any('\0' in string for string in strings):
        raise _invalid('the body contains a NUL character')


def _invalid(detail: str) -> errors.BadRequest:
    return errors.BadRequest(detail, code='invalid_json')


def _check_content_type(environ: dict[str, Any]) -> None:
    kind, _, parameters = environ.get('CONTENT_TYPE', '').partition(';')
    kind = kind.strip().lower()
    parameters = parameters.strip().lower().replace('"', '')
    accepted = ((_JSON, MERGE_PATCH, JSON_PATCH)
                if environ['REQUEST_METHOD'] == 'PATCH' else (_JSON,))
    if kind not in accepted or parameters not in _UTF_8:
        raise errors.UnsupportedMediaType(
            f'a request body must be {" or ".join(accepted)}', headers={
                'Accept-Patch' if len(accepted) > 1 else 'Accept':
                ', '.join(accepted)})


def _read(environ: dict[str, Any], limit: int) -> bytes:
    text = environ.get('CONTENT_LENGTH') or ''
    if text:
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise errors.BadRequest('Content-Length is not a number')
        length = int(text)
        if length > limit:
            raise _too_large(limit)
        if not length:
            return b''
        data = _read_up_to(environ['wsgi.input'], length)
        if len(data) < length:
            raise errors.BadRequest('the body ended early')
        return data
    if not environ.get('HTTP_TRANSFER_ENCODING'):
        return b''
    data = _read_up_to(environ['wsgi.input'], limit + 1)
    if len(data) > limit:
        raise _too_large(limit)
    return data


def _read_up_to(stream: Any, size: int) -> bytes:
    parts = []
    while size:
        try:
            part = stream.read(min(size, _CHUNK))
        except TimeoutError as error:
            raise errors.RequestTimeout(
                'the body did not arrive in time', headers=_CLOSE) from error
        except MemoryError as error:
            raise errors.Unavailable(
                'too many bodies arrive at a time',
                headers={'Retry-After': '1'}) from error
        except (ValueError, OSError, EOFError) as error:
            # The words of WSGI servers for it differ.
            raise errors.BadRequest(
                'the body ended early, its chunks are malformed, or it has '
                'trailers', headers=_CLOSE) from error
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b''.join(parts)


def _too_large(limit: int) -> errors.BodyTooLarge:
    return errors.BodyTooLarge(f'the body is larger than {limit} bytes')
