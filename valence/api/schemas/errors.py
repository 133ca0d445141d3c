# SPDX-License-Identifier: Apache-2.0
"""What does an error look like, and which kinds are there?"""

from valence.api.schemas.common import Schema, body, closed

ERROR: Schema = body({
    'status': {'type': 'integer', 'minimum': 400, 'maximum': 599},
    'title': {'type': 'string', 'description': 'the status in words'},
    'detail': {'type': 'string', 'description': 'one sentence for a person'},
    'code': {'type': 'string', 'pattern': r'^[a-z_]+(?![\s\S])',
             'description': 'what it is, for a program'},
    'request_id': {'type': 'string'},
    'field': {'type': 'string',
              'description': 'the part of the request that is wrong'},
}, required=('status', 'title', 'detail', 'code', 'request_id'),
    title='Error')

ERRORS = closed({
    'errors': {'type': 'array', 'items': ERROR, 'minItems': 1},
}, title='Errors')

#: What each status means here.
STATUSES = {
    400: 'The request is malformed; `field` names what is wrong.',
    401: 'Nobody, or nobody known, makes the request.',
    403: 'The policy does not allow it.',
    404: 'There is no such thing, or it is not yours.',
    406: 'The version of the API that was asked for does not exist.',
    408: 'The body did not arrive in time.',
    409: 'It cannot be done in the present state; `code` says why.',
    412: 'It has changed: its ETag is not that of `If-Match`.',
    413: 'The body is too large.',
    414: 'The path or the query is too long.',
    415: 'The body is not of a media type that is understood here.',
    422: 'The Idempotency-Key was used for another request.',
    429: 'Too many requests; see `Retry-After`.',
    431: 'The headers are too large.',
    500: 'A bug in Valence; the log has it under the request id.',
    503: 'The database or all conductors are away; nothing was accepted.',
    507: 'The database has no space left; nothing was accepted.',
}

#: Headers of some of them.
HEADERS = {
    401: ('WWW-Authenticate',), 409: ('Retry-After',),
    415: ('Accept', 'Accept-Patch'), 429: ('Retry-After',),
    503: ('Retry-After',),
}
