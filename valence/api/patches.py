# SPDX-License-Identifier: Apache-2.0
"""What does a patch make of a document?

A patch is a merge patch (RFC 7396), which is what ``application/json`` means
as well, or a JSON Patch (RFC 6902).
"""

from collections.abc import Sequence
from typing import Any

import jsonpatch
import jsonpointer
import orjson

from valence.api.request import Request
from valence.api.schemas.patches import JSON_PATCH
from valence.common import errors


def is_json_patch(environ: dict[str, Any]) -> bool:
    """Whether the body of a PATCH is a JSON Patch."""
    kind = environ.get('CONTENT_TYPE', '').partition(';')[0]
    return bool(kind.strip().lower() == JSON_PATCH)


def apply(request: Request, document: dict[str, Any],
          fields: Sequence[str]) -> dict[str, Any]:
    """The patched document, which still has to be checked as a whole.

    :param document: the fields that can be changed, as they are
    :param fields: all that can be changed, there now or not
    :raises BadRequest: the patch is for something else
    :raises Conflict: patch_failed; it does not fit the document as it is
    """
    if not is_json_patch(request.environ):
        result: dict[str, Any] = merge(document, request.body)
        return result
    return _json_patch(document, request.body, fields,
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
                fields: Sequence[str], max_bytes: int) -> Any:
    for index, operation in enumerate(operations):
        for member in ('path', 'from'):
            pointer = operation.get(member)
            if pointer is None:
                continue
            name = jsonpointer.unescape(pointer.split('/')[1])
            if name not in fields:
                raise errors.BadRequest(
                    f'{name[:64]!r} is not known here, or cannot be changed',
                    field=f'{index}.{member}')
        try:
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
