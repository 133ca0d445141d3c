# SPDX-License-Identifier: Apache-2.0
"""Options about the credentials of pod managers at rest."""

from oslo_config import cfg

GROUP = 'secrets'

OPTS = (
    cfg.StrOpt(
        'backend', default='database',
        choices=[
            ('database', 'only in the database, encrypted'),
            ('castellan', 'or in the key manager that [key_manager] leads '
                          'to, such as Barbican: authentication may then '
                          'have a secret_ref in place of the password'),
        ],
        help='Where passwords of pod managers may be kept.'),
    cfg.StrOpt(
        'key_file', default='/etc/valence/secrets.key',
        help='The file with the Fernet keys that the credentials of pod '
             'managers are encrypted with, one a line, the newest first. '
             'All services need the same file; only they should be able to '
             'read it. Make one with "valence-manage secrets create-key".'),
)


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, GROUP)
