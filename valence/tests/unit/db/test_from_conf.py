# SPDX-License-Identifier: Apache-2.0
"""What group [database] of the configuration does."""

import logging

import fixtures
import testtools
from oslo_config import cfg
from oslo_db import exception as db_exc

from valence.conf import base, database
from valence.db.engine import Database, Unusable

MYSQL = 'mysql+pymysql://user:hunter2@127.0.0.1:1/valence'


class FromConf(testtools.TestCase):

    def database(self, **values):
        conf = cfg.ConfigOpts()
        for module in (base, database):
            module.register(conf)
        conf([])
        for name, value in values.items():
            conf.set_override(name, value, 'database')
        kept = Database.from_conf(conf)
        self.addCleanup(kept.close)
        return kept

    def test_the_pool(self):
        for connection in ('sqlite:///x.sqlite', MYSQL):
            pool = self.database(
                connection=connection, max_pool_size=3, max_overflow=2,
                pool_timeout=7).engine.pool
            self.assertEqual((3, 2, 7), (
                pool.size(), pool._max_overflow, pool._timeout))

    def test_a_server(self):
        kept = self.database(
            connection=MYSQL, connection_parameters='charset=utf8mb4&foo=1',
            connection_recycle_time=60)
        self.assertEqual(60, kept.engine.pool._recycle)
        self.assertEqual({'charset': 'utf8mb4', 'foo': '1'}, kept.url.query)
        self.assertEqual('hunter2', kept.url.password)

    def test_retries(self):
        self.useFixture(fixtures.MonkeyPatch('time.sleep', lambda _: None))
        self.useFixture(fixtures.FakeLogger(level=logging.ERROR))
        kept = self.database(connection='sqlite://', db_max_retries=3)
        calls = []

        def deadlocked(conn):
            calls.append(conn)
            raise db_exc.DBDeadlock

        self.assertRaises(db_exc.DBDeadlock, kept.run, deadlocked)
        self.assertEqual(1 + 3, len(calls))

    def test_unusable(self):
        for connection in ('nonsense', 'oracle://u:hunter2@h/x',
                           'mysql+pymysql://u:hunter2@h:port/x',
                           'sqlite+aiosqlite://', 'mysql://h/x'):
            error = self.assertRaises(Unusable, self.database,
                                      connection=connection)
            self.assertNotIn('hunter2', str(error))
