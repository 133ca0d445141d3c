# SPDX-License-Identifier: Apache-2.0
"""How are the versions of the API told?"""

from valence.api.schemas.common import (
    LINKS,
    OPEN,
    TEXT,
    URI,
    Schema,
    array,
    closed,
)

_NUMBER: Schema = {'type': 'string', 'pattern': r'^[0-9]+\.[0-9]+(?![\s\S])'}

_FIELDS: Schema = {
    'id': {'enum': ['v1']},
    'status': {'enum': ['CURRENT']},
    'version': {**_NUMBER, 'description': 'the newest version'},
    'min_version': {**_NUMBER, 'description': 'the oldest version'},
    'links': LINKS,
}

_VERSION = closed(_FIELDS, title='Version')

VERSIONS = closed({
    'name': TEXT,
    'description': TEXT,
    'default_version': _VERSION,
    'versions': array(_VERSION),
}, title='Versions')

SHOW = closed({
    **_FIELDS,
    'history': array(closed({'version': _NUMBER, 'description': TEXT})),
    'resources': {'type': 'object', 'additionalProperties': URI},
    'openapi': URI,
}, title='VersionDetail')

OPENAPI: Schema = {
    'type': 'object',
    'properties': {
        'openapi': {'enum': ['3.1.0']}, 'info': OPEN, 'paths': OPEN,
        'components': OPEN},
    'required': ['openapi', 'info', 'paths', 'components'],
    'additionalProperties': True,
}
