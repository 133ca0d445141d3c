# SPDX-License-Identifier: Apache-2.0
"""What does a JSON Patch (RFC 6902) look like?"""

from valence.api.schemas.common import Schema, closed

MERGE_PATCH = 'application/merge-patch+json'
JSON_PATCH = 'application/json-patch+json'

_POINTER: Schema = {
    'type': 'string', 'maxLength': 1024,
    'pattern': r'^(/([^/~]|~[01])*)+(?![\s\S])',
    'description': 'a JSON pointer (RFC 6901) to a field that can change',
}

_ANY: Schema = {'description': 'any JSON value'}

OPERATIONS: Schema = {
    'type': 'array', 'minItems': 1, 'maxItems': 100,
    'items': {
        'oneOf': [
            closed({'op': {'enum': ['add', 'replace', 'test']},
                    'path': _POINTER, 'value': _ANY}),
            closed({'op': {'enum': ['remove']}, 'path': _POINTER}),
            closed({'op': {'enum': ['move', 'copy']},
                    'path': _POINTER, 'from': _POINTER}),
        ],
        'description': 'an operation of RFC 6902: op and path, with value '
                       'for add, replace and test, with from for move and '
                       'copy',
    },
    'title': 'JSONPatch',
}
