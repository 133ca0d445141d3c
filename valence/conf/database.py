# SPDX-License-Identifier: Apache-2.0
"""Options about the database.

They have the names that oslo.db gives them. Of its options these are the
ones that do something here; its others are not known.
"""

from oslo_config import cfg

GROUP = 'database'

OPTS = (
    cfg.StrOpt(
        'connection', default='sqlite:///$state_path/valence.sqlite',
        secret=True,
        help='URL of the database, as SQLAlchemy has it: begins with '
             'mysql+pymysql:, postgresql+psycopg: or sqlite:.'),
    cfg.StrOpt(
        'connection_parameters', default='',
        help='Parameters to append to the URL, as name=value&name=value.'),
    cfg.IntOpt(
        'connection_recycle_time', default=3600, min=-1,
        help='Seconds after which a connection is replaced when it is used '
             'next; -1 is never. For a proxy or a server that drops what is '
             'older. Not for SQLite.'),
    # The library's 5 + 50 connections a worker can meet MariaDB's error
    # 1040; threads rather wait for one of a few.
    cfg.IntOpt(
        'max_pool_size', default=8, min=0,
        help='Number of connections that each worker keeps open; 0 is no '
             'limit.'),
    cfg.IntOpt(
        'max_overflow', default=8, min=-1,
        help='Number of connections that each worker opens beyond these '
             'when all are in use, and closes again; -1 is no limit.'),
    cfg.IntOpt(
        'pool_timeout', default=30, min=1,
        help='Seconds that a thread waits for a connection when all are in '
             'use.'),
    cfg.StrOpt(
        'mysql_sql_mode', default='TRADITIONAL',
        help="The SQL mode of sessions with MariaDB or MySQL. Empty is the "
             "server's own, which has to be a strict one."),
    cfg.IntOpt(
        'mysql_wsrep_sync_wait',
        help='wsrep_sync_wait of sessions with a Galera cluster; by default '
             "the server's own."),
    cfg.IntOpt(
        'db_max_retries', default=10, min=0,
        help='How often a transaction is tried again after a deadlock or a '
             'lost connection.'),
)


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, GROUP)
