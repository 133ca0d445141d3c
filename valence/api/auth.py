# SPDX-License-Identifier: Apache-2.0
"""Who makes the request?

A *strategy* is one function that takes the WSGI environment and the context
to fill in, and raises Unauthorized where nobody is found in it.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import Any

from valence.api.htpasswd import Htpasswd
from valence.api.roles import Assignment, Roles
from valence.api.settings import Settings
from valence.common import errors
from valence.common.context import RequestContext

Strategy = Callable[[dict[str, Any], RequestContext], None]

#: The project of all users where there is no Keystone to tell projects.
DEFAULT_PROJECT = 'default'
_LOOPBACK = re.compile(r'(::ffff:)?127\..*|::1')
_ADMIN = ['admin', 'member', 'reader']
_OPERATOR = Assignment(DEFAULT_PROJECT, tuple(_ADMIN))


class Authenticate:
    """Fills in the context of each request that is not for everybody."""

    def __init__(self, application: Callable[..., Iterable[bytes]],
                 strategy: Strategy, public: frozenset[str]) -> None:
        self._application = application
        self._strategy = strategy
        self._public = public

    def __call__(self, environ: dict[str, Any],
                 start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get('PATH_INFO', '')
        if ('/' + path.strip('/')) not in self._public:
            self._strategy(environ, environ['valence.context'])
        return self._application(environ, start_response)


def strategy(settings: Settings) -> Strategy:
    """The strategy that ``settings`` name.

    :raises ValueError: it cannot work
    """
    if settings.auth_strategy == 'http_basic':
        if not settings.htpasswd_file:
            raise ValueError('auth_strategy http_basic needs htpasswd_file')
        return http_basic(
            Htpasswd(settings.htpasswd_file),
            Roles(settings.roles_file) if settings.roles_file else None)
    if settings.auth_strategy == 'keystone':
        # Imports a lot that the others do not need.
        from valence.api.keystone import keystone
        return keystone(settings.keystone)
    if settings.auth_strategy == 'noauth':
        everybody = (noauth_with_headers if settings.trust_identity_headers
                     else noauth)
        return (everybody if settings.allow_noauth_everywhere
                else _only_here(everybody))
    raise ValueError(f'unknown auth_strategy {settings.auth_strategy!r}')


def _only_here(strategy: Strategy) -> Strategy:
    """Refuse who is on another host, whatever server brought us here.

    A server of ours does not listen to other hosts; one that imports
    valence.wsgi may.
    """
    def authenticate(environ: dict[str, Any],
                     context: RequestContext) -> None:
        # Without an address it came by a socket in the file system.
        address = environ.get('REMOTE_ADDR', '').strip('[]')
        if address and not _LOOPBACK.fullmatch(address):
            raise errors.Forbidden(
                'with auth_strategy noauth, only this host is answered; see '
                '[api] allow_noauth_everywhere')
        strategy(environ, context)
    return authenticate


def noauth(environ: dict[str, Any], context: RequestContext) -> None:
    """Everybody is an administrator."""
    context.identify(user_id='admin', project_id=DEFAULT_PROJECT,
                     roles=list(_ADMIN))


def noauth_with_headers(environ: dict[str, Any],
                        context: RequestContext) -> None:
    """Everybody is who they say. For tests of policies."""
    roles = environ.get('HTTP_X_ROLES')
    scope = environ.get('HTTP_X_SYSTEM_SCOPE')
    context.identify(
        user_id=environ.get('HTTP_X_USER_ID', 'admin'),
        project_id=None if scope else environ.get('HTTP_X_PROJECT_ID',
                                                  DEFAULT_PROJECT),
        roles=(list(_ADMIN) if roles is None
               else [role.strip() for role in roles.split(',')]),
        system_scope=scope)


def http_basic(users: Htpasswd, roles: Roles | None = None) -> Strategy:
    """Those whom ``users`` knows (RFC 7617) are what ``roles`` says.

    Without it all of them are administrators.
    """

    def authenticate(environ: dict[str, Any],
                     context: RequestContext) -> None:
        credentials = _credentials(environ.get('HTTP_AUTHORIZATION', ''))
        if credentials is None or not users.check(
                *credentials, environ.get('REMOTE_ADDR', '')):
            raise errors.Unauthorized(
                'a user name and its password are needed',
                headers={'WWW-Authenticate':
                         'Basic realm="valence", charset="UTF-8"'})
        user = credentials[0]
        found = roles.of(user) if roles else _OPERATOR
        context.identify(user_id=user, project_id=found.project_id,
                         roles=list(found.roles),
                         system_scope=found.system_scope)
    return authenticate


def _credentials(header: str) -> tuple[str, bytes] | None:
    scheme, _, token = header.partition(' ')
    if scheme.lower() != 'basic' or len(token) > 1024:
        return None
    try:
        user, colon, password = base64.b64decode(
            token.strip(), validate=True).partition(b':')
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None
