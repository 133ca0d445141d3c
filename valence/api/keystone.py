# SPDX-License-Identifier: Apache-2.0
"""Whose is this Keystone token?

keystonemiddleware finds it out, with the options of [keystone_authtoken]. It
is asked here instead of standing in the pipeline, so that what it refuses has
the one shape of errors, and no handler ever meets an identity in a header.
"""

from collections.abc import Callable, Iterable
from typing import Any

from keystoneauth1 import access, loading
from keystoneauth1 import exceptions as ksa_exceptions
from keystonemiddleware import auth_token

from valence.common import errors
from valence.common.context import RequestContext
from valence.policies.base import PREFIX

GROUP = 'keystone_authtoken'

# A Keystone that hangs must not hold a worker for ever, and one that is away
# is the client's to try again. Not everybody's token is a service's, which
# older versions of keystonemiddleware took it for.
_DEFAULTS = {'http_connect_timeout': 10, 'http_request_max_retries': 1,
             'service_token_roles_required': True, 'service_type': PREFIX}
_MAX_TOKEN = 16 * 1024
_TOKENS = ('HTTP_X_AUTH_TOKEN', 'HTTP_X_STORAGE_TOKEN',
           'HTTP_X_SERVICE_TOKEN')


def keystone(conf: Any) -> Callable[[dict[str, Any], RequestContext], None]:
    """The strategy that believes what Keystone says about a token.

    :raises ValueError: [keystone_authtoken] cannot work
    """
    middleware = _middleware(conf)

    def authenticate(environ: dict[str, Any],
                     context: RequestContext) -> None:
        # A copy, for the middleware writes into it.
        seen = dict(environ)
        status, challenge = _ask(middleware, seen)
        if status == '401':
            raise errors.Unauthorized('a valid token of Keystone is needed',
                                      headers=challenge)
        if status != '204':
            raise errors.Unavailable(
                'Keystone cannot be asked about the token; nothing was '
                'accepted', headers={'Retry-After': '5'})
        _identify(context, seen)
    return authenticate


def _middleware(conf: Any) -> Any:
    for group, opts in auth_token.list_opts():
        conf.register_opts(opts, group=group)
    for name, value in _DEFAULTS.items():
        conf.set_default(name, value, group=GROUP)
    section = conf[GROUP].auth_section or GROUP
    loading.register_auth_conf_options(conf, section)
    if not conf[section].auth_type:
        raise ValueError(
            f'auth_strategy keystone needs [{section}] auth_type, auth_url '
            'and the credentials of a service user')
    try:
        # Deferring the decision would make a token that nobody could check
        # a wrong one.
        return auth_token.AuthProtocol(_accept, {
            'oslo_config_config': conf, 'delay_auth_decision': False})
    except ksa_exceptions.ClientException as error:
        raise ValueError(f'[{section}] cannot work: {error}') from error


def _accept(environ: dict[str, Any],
            start_response: Callable[..., Any]) -> Iterable[bytes]:
    """What stands behind the middleware: only right tokens come here."""
    start_response('204 No Content', [])
    return []


def _ask(middleware: Any, environ: dict[str, Any]
         ) -> tuple[str, dict[str, str]]:
    """The middleware's status, and its challenge to the client."""
    if not _sendable(environ):
        # Asked without them, it refuses and says where to get one.
        for name in _TOKENS:
            environ.pop(name, None)
    answers: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]],
              exc_info: Any = None) -> None:
        answers.append((status, headers))

    try:
        middleware(environ, start)
    except ksa_exceptions.ClientException:
        return '503', {}
    except UnicodeError:
        # It compares the path with an application credential's access rules.
        raise errors.NotFound('there is nothing at this path') from None
    status, headers = answers[-1]
    return status[:3], {name: value for name, value in headers
                        if name.lower() == 'www-authenticate'}


def _sendable(environ: dict[str, Any]) -> bool:
    """Whether the tokens can stand in a header of a request at all."""
    return all(token.isascii() and token.isprintable()
               and len(token) <= _MAX_TOKEN
               for token in (environ.get(name, '') for name in _TOKENS))


def _identify(context: RequestContext, environ: dict[str, Any]) -> None:
    # Not from the headers: there, the system scope of a service token would
    # take the place of the user's.
    user = access.AccessInfoV3(environ['keystone.token_info'])
    service = environ['keystone.token_auth'].service
    context.identify(
        user_id=user.user_id, user_domain_id=user.user_domain_id,
        project_id=user.project_id, project_domain_id=user.project_domain_id,
        domain_id=user.domain_id,
        system_scope='all' if user.system_scoped else None,
        roles=list(user.role_names or ()),
        service_user_id=service.user_id if service else None,
        service_roles=list(service.role_names) if service else [])
