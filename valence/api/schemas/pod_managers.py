# SPDX-License-Identifier: Apache-2.0
"""What may be said about pod managers?"""

from valence.api.schemas.common import (
    BOOLEAN,
    COUNT,
    NAME,
    OPEN,
    TEXT,
    TIME,
    UUID,
    Schema,
    array,
    body,
    closed,
    listing,
    nullable,
    page,
    patch,
    resource,
)

DRIVER_NAME: Schema = {
    'type': 'string', 'minLength': 1, 'maxLength': 64,
    'pattern': r'^[A-Za-z0-9_.-]+(?![\s\S])',
    'description': 'the name of a driver',
}

_URL: Schema = {
    'type': 'string', 'maxLength': 512,
    'pattern': r'^[Hh][Tt][Tt][Pp][Ss]?://[\x21-\x7e]+(?![\s\S])',
    'description': 'a URL that begins with https://',
}

_SECRET_REF: Schema = {
    'type': 'string', 'minLength': 1, 'maxLength': 255,
    'pattern': r'^[A-Za-z0-9_./:-]+(?![\s\S])',
    'description': 'where a key manager keeps the password: an id, or a URL '
                   'that ends in it',
}

_AUTHENTICATION: Schema = {
    'type': 'array',
    'maxItems': 1,
    'items': body({
        'type': {'enum': ['basic']},
        'auth_items': body({
            'username': {
                'type': 'string', 'minLength': 1, 'maxLength': 255},
            'password': {'type': 'string', 'maxLength': 4096},
            'secret_ref': _SECRET_REF,
        }, required=('username',), oneOf=[
            {'required': ['password']}, {'required': ['secret_ref']}]),
    }, required=('type', 'auth_items')),
}

_CA_CERTIFICATES: Schema = {
    'type': ['string', 'null'], 'maxLength': 256 * 1024}

_STATUS: Schema = {'enum': ['unknown', 'online', 'offline', 'error']}

DELETE = body({'force': BOOLEAN})

CREATE = body({
    'name': NAME,
    'url': _URL,
    'driver': DRIVER_NAME,
    'authentication': _AUTHENTICATION,
    'ca_certificates': _CA_CERTIFICATES,
    'verify_tls': BOOLEAN,
    'connection_properties': {**OPEN, 'maxProperties': 100},
}, required=('name', 'url'))

UPDATE = patch('PodManagerPatch', {
    'name': NAME,
    'url': _URL,
    'authentication': {**_AUTHENTICATION, 'type': ['array', 'null']},
    'ca_certificates': _CA_CERTIFICATES,
    'verify_tls': BOOLEAN,
    'connection_properties': nullable({**OPEN, 'maxProperties': 100}),
    'draining': BOOLEAN,
})

#: What may remain after a patch. Credentials that are there already are not
#: given again.
WHOLE = body({
    **UPDATE['properties'],
    'authentication': {'type': ['array', 'null'], 'maxItems': 1, 'items': {
        'anyOf': [_AUTHENTICATION['items'],
                  closed({'type': {'enum': ['basic']}})]}},
}, required=('name', 'url', 'draining', 'verify_tls'))

POD_MANAGER = resource('PodManager', {
    'uuid': UUID,
    'name': NAME,
    'url': _URL,
    'driver': DRIVER_NAME,
    'authentication': {
        **array(closed({'type': {'enum': ['basic']}})), 'maxItems': 1},
    'ca_certificates': _CA_CERTIFICATES,
    'verify_tls': BOOLEAN,
    'connection_properties': OPEN,
    'status': _STATUS,
    'status_reason': nullable(TEXT),
    'draining': BOOLEAN,
    'breaker': closed({
        'state': {'enum': ['closed', 'open']},
        'failures': COUNT,
        'retry_at': nullable(TIME),
    }),
    'product': nullable(TEXT),
    'capabilities': nullable(OPEN),
    'last_sync_at': nullable(TIME),
    'next_sync_at': nullable(TIME),
    'operation': nullable(UUID),
    'created_at': TIME,
    'updated_at': nullable(TIME),
})

PAGE = page('pod_managers', POD_MANAGER,
            'ca_certificates', 'connection_properties')

LIST = listing(
    PAGE, 'name',
    name=NAME, driver=DRIVER_NAME, url=_URL,
    status=_STATUS)
