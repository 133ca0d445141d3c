# SPDX-License-Identifier: Apache-2.0
"""Which headers do requests and answers have?"""

from typing import Any

from valence.api import versions
from valence.api.schemas.common import TEXT, URI

#: Of requests, by name; all are optional.
REQUEST: dict[str, Any] = {
    versions.HEADER: {
        'description': 'the version of the API',
        'schema': {'enum': [
            *(f'{versions.SERVICE} {version}'
              for version, _ in versions.HISTORY),
            f'{versions.SERVICE} latest']}},
    'Idempotency-Key': {
        'description': 'printable ASCII; the same key again is the same '
                       'request again',
        'schema': {'type': 'string', 'minLength': 1, 'maxLength': 255,
                   'pattern': r'^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?'
                              r'(?![\s\S])'}},
    'If-Match': {
        'description': 'do it only if the ETag is one of these; * is any',
        'schema': TEXT},
    'If-None-Match': {
        'description': 'answer 304 if the ETag is one of these; * is any',
        'schema': TEXT},
}

#: Of answers, by name.
RESPONSE: dict[str, Any] = {
    'x-openstack-request-id': {
        'description': 'by which the log knows the request',
        'schema': TEXT},
    versions.HEADER: {
        'description': 'the version that the answer is of', 'schema': TEXT},
    'Vary': {'schema': TEXT},
    'ETag': {'description': 'changes with the answer', 'schema': TEXT},
    'Location': {'schema': URI},
    'Retry-After': {
        'description': 'seconds after which to ask again',
        'schema': {'type': 'integer', 'minimum': 0}},
    'WWW-Authenticate': {'schema': TEXT},
    'Accept-Patch': {
        'description': 'the media types that a PATCH understands',
        'schema': TEXT},
    'Accept': {
        'description': 'the media types that are understood',
        'schema': TEXT},
}

ALWAYS = ('x-openstack-request-id', versions.HEADER, 'Vary')


def is_single(route: Any) -> bool:
    """Whether the answer of a route is one resource, which has an ETag.

    What the API says about itself is none.
    """
    return (route.policy is not None
            and 'links' in (route.answer or {}).get('properties', ()))


def takes_key(route: Any) -> bool:
    """Whether a request is made once, however often it is sent."""
    return route.status in (201, 202)


def accepted(route: Any) -> list[str]:
    """The headers that a request of the route may have."""
    names = [versions.HEADER]
    if takes_key(route):
        names.append('Idempotency-Key')
    if is_single(route) and route.method == 'GET':
        names += ['If-Match', 'If-None-Match']
    elif '{' in route.path and route.method != 'GET':
        names.append('If-Match')
    return names


def answered(route: Any) -> list[str]:
    """The headers that a success of the route has."""
    names = list(ALWAYS)
    if route.status in (201, 202):
        names.append('Location')
    if is_single(route):
        names.append('ETag')
    return names
