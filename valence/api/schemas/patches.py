# SPDX-License-Identifier: Apache-2.0
"""What does a JSON Patch (RFC 6902) look like?"""

from valence.api.schemas.common import Schema

MERGE_PATCH = 'application/merge-patch+json'
JSON_PATCH = 'application/json-patch+json'

_POINTER: Schema = {
    'type': 'string', 'maxLength': 1024,
    'pattern': r'^(/([^/~]|~[01])*)+(?![\s\S])',
    'description': 'a JSON pointer (RFC 6901) to a field, such as '
                   '/description',
}

_ANY: Schema = {'description': 'any JSON value'}



def _if(*names: str) -> Schema:
    return {'properties': {'op': {'enum': list(names)}}, 'required': ['op']}


#: Members that an operation does not define are ignored (section 4), so they
#: may be anything.
OPERATIONS: Schema = {
    'type': 'array', 'minItems': 1, 'maxItems': 100,
    'items': {
        'type': 'object',
        'properties': {
            'op': {'enum': ['add', 'replace', 'test', 'remove', 'move',
                            'copy']},
            'path': _POINTER,
        },
        'required': ['op', 'path'],
        'additionalProperties': True,
        'if': _if('move', 'copy'),
        'then': {'properties': {'from': _POINTER}, 'required': ['from']},
        'else': {
            'if': _if('add', 'replace', 'test'),
            'then': {'properties': {'value': _ANY}, 'required': ['value']},
        },
        'description': 'an operation of RFC 6902: op and path, with value '
                       'for add, replace and test, with from for move and '
                       'copy',
    },
    'title': 'JSONPatch',
}
