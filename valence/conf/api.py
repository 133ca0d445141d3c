# SPDX-License-Identifier: Apache-2.0
"""What can be set about the REST API?"""

from typing import Any

from oslo_config import cfg

GROUP = cfg.OptGroup('api', title='The REST API')

OPTS = [
    cfg.HostAddressOpt(
        'bind_host', default='127.0.0.1',
        help='Address to listen on. What is not a loopback address needs an '
             'auth_strategy other than noauth.'),
    cfg.PortOpt(
        'bind_port', default=8181,
        help='Port to listen on.'),
    cfg.IntOpt(
        'workers', default=1, min=1,
        help='Number of worker processes of valence-api.'),
    cfg.IntOpt(
        'threads', default=8, min=1, max=256,
        help='Number of threads that answer requests in each worker. No '
             'more requests than that are in the database at a time.'),
    cfg.StrOpt(
        'auth_strategy', default='http_basic',
        choices=[
            ('keystone', 'tokens of Keystone, which [keystone_authtoken] '
                         'says how to reach'),
            ('http_basic', 'users and bcrypt hashes from htpasswd_file; all '
                           'of them are administrators, unless roles_file '
                           'says otherwise'),
            ('noauth', 'everybody is an administrator; for a loopback '
                       'address only'),
        ],
        help='How requests are authenticated.'),
    cfg.StrOpt(
        'htpasswd_file',
        help='File of "user:hash" lines with bcrypt hashes, as written by '
             '"htpasswd -B". It is read again when it changes. Needed by '
             'auth_strategy http_basic.'),
    cfg.StrOpt(
        'roles_file',
        help='File of "user:project:role,..." lines that say what the users '
             'of htpasswd_file are: admin, manager, member, reader or '
             'service in a project, or in "system". Whom it does not name '
             'may do nothing. It is read again when it changes.'),
    cfg.BoolOpt(
        'allow_noauth_everywhere', default=False,
        help='Let auth_strategy noauth listen on an address that is not a '
             'loopback one. Whoever reaches it is an administrator.'),
    cfg.BoolOpt(
        'trust_identity_headers', default=False,
        help='With auth_strategy noauth, believe the headers X-User-Id, '
             'X-Project-Id and X-Roles of any client. For tests.'),
    cfg.FloatOpt(
        'header_timeout', default=10.0, min=0.1, max=600.0,
        help='Seconds within which the headers of a request have to '
             'arrive.'),
    cfg.FloatOpt(
        'body_timeout', default=30.0, min=0.1, max=600.0,
        help='Seconds within which the body of a request has to arrive. No '
             'thread is held meanwhile.'),
    cfg.IntOpt(
        'max_connections', default=1024, min=1,
        help='Number of connections that each worker, or '
             'valence-standalone, serves at a time; more of them wait.'),
    cfg.IntOpt(
        'max_body_bytes', default=1024 * 1024, min=1024,
        help='Size in bytes of the largest request body that is read.'),
    cfg.IntOpt(
        'max_body_depth', default=25, min=5, max=500,
        help='Depth of nesting that a request body may have.'),
    cfg.IntOpt(
        'default_limit', default=100, min=1, max=1000,
        help='Number of entries on a page of a list where the request has '
             'no "limit". At most 1000 can be asked for.'),
    cfg.StrOpt(
        'response_validation', default='ignore',
        choices=[
            ('error', 'an answer that breaks its schema is an error 500'),
            ('warn', 'it is sent, with a warning in the log'),
            ('ignore', 'answers are not looked at'),
        ],
        help='What to do with answers that are not as the API is described. '
             'It costs time for each answer: for tests, and to look for '
             'bugs.'),
    cfg.BoolOpt(
        'enable_proxy_headers', default=False,
        help='Believe the Forwarded and X-Forwarded-* headers when links '
             'are made. Only for an API that nobody reaches past its '
             'proxy.'),
    cfg.URIOpt(
        'public_endpoint', schemes=['http', 'https'],
        help='URL that all links in answers begin with, such as '
             'https://valence.example.org. By default it is taken from '
             'each request.'),
]


def register(conf: Any) -> None:
    """Make the options of the group known to ``conf``."""
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)
