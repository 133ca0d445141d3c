# SPDX-License-Identifier: Apache-2.0
"""What does a patch make of a document?

A patch is a merge patch (RFC 7396), which is what ``application/json`` means
as well, or a JSON Patch (RFC 6902).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jsonpatch
import jsonpointer
import orjson

from valence.api.request import Request, dump
from valence.api.schemas.patches import JSON_PATCH
from valence.common import errors

#: What an operation has beside op and path.
_MEMBERS = {'add': ('value',), 'replace': ('value',), 'test': ('value',),
            'remove': (), 'move': ('from',), 'copy': ('from',)}


def is_json_patch(environ: dict[str, Any]) -> bool:
    """Whether the body of a PATCH is a JSON Patch."""
    kind = environ.get('CONTENT_TYPE', '').partition(';')[0]
    return bool(kind.strip().lower() == JSON_PATCH)


def apply(request: Request, document: dict[str, Any],
          fields: Sequence[str], current: Callable[[], Any]
          ) -> dict[str, Any]:
    """The patched document, which still has to be checked as a whole.

    :param document: the fields that can be changed, as they are
    :param fields: all that can be changed, there now or not
    :param current: what a GET would answer now, which a JSON Patch can test
    :raises BadRequest: the patch is for something else
    :raises Conflict: patch_failed; it does not fit the document as it is
    """
    if not is_json_patch(request.environ):
        result: dict[str, Any] = merge(document, request.body)
        return result
    fixed: dict[str, Any] = {}
    if any(operation['op'] == 'test' for operation in request.body):
        fixed = {name: value for name, value
                 in orjson.loads(dump(current())).items()
                 if name not in fields}
    return _json_patch(document, request.body, fields, fixed,
                       request.settings.max_body_bytes)


def merge(target: Any, patch: Any) -> Any:
    """What a merge patch makes of ``target``; neither is changed."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def _json_patch(document: Any, operations: list[dict[str, Any]],
                fields: Sequence[str], fixed: dict[str, Any],
                max_bytes: int) -> Any:
    for index, given in enumerate(operations):
        # What else is in it counts as not there.
        operation = {name: given[name] for name in
                     ('op', 'path', *_MEMBERS[given['op']])}
        for member in ('path', 'from'):
            pointer = operation.get(member)
            if pointer is None:
                continue
            name = jsonpointer.unescape(pointer.split('/')[1])
            if name not in fields and (operation['op'] != 'test'
                                       or name not in fixed):
                raise errors.BadRequest(
                    f'{name[:64]!r} is not known here, or cannot be changed',
                    field=f'{index}.{member}')
        try:
            if operation['op'] == 'test':
                _test({**fixed, **document}, operation)
                continue
            document = jsonpatch.apply_patch(document, [operation])
            # Copies of copies double with each operation.
            size = len(orjson.dumps(document))
        except (jsonpatch.JsonPatchException,
                jsonpointer.JsonPointerException, TypeError, KeyError,
                IndexError, orjson.JSONEncodeError, RecursionError):
            raise errors.Conflict(
                f'operation {index} of the patch, {operation["op"]} '
                f'{operation["path"][:64]!r}, does not fit the resource as '
                'it is', field=f'{index}.path', code='patch_failed'
            ) from None
        if size > max_bytes:
            raise errors.BodyTooLarge(
                f'the patch makes the resource larger than {max_bytes} bytes')
    return document


def _test(document: Any, operation: dict[str, Any]) -> None:
    """:raises JsonPatchTestFailed: another value is there, or none"""
    found = jsonpointer.resolve_pointer(document, operation['path'])
    if not _same(found, operation['value']):
        raise jsonpatch.JsonPatchTestFailed


def _same(one: Any, other: Any) -> bool:
    """Equality of RFC 6902, section 4.6; to Python, true is 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            _same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(
        one == other)
