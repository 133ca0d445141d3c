# SPDX-License-Identifier: Apache-2.0
import datetime
import os
import tempfile
import unittest

import sqlalchemy as sa
from oslo_db import exception as db_exc

from valence.db import engine, models

_FLAVORS = models.Flavor.__table__
_PODS = models.PodManager.__table__
_ALL = sa.select(_PODS).order_by(_PODS.c.id)
_NAMED = sa.select(_PODS.c.uuid, sa.literal(7)).where(
    _PODS.c.name == sa.bindparam('name'), _PODS.c.driver == 'redfish')
_NAME = sa.select(_PODS.c.name)


class LookTest(unittest.TestCase):

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.database = engine.Database(
            'sqlite:///' + os.path.join(directory.name, 'db.sqlite'))
        self.addCleanup(self.database.close)
        with self.database.write() as conn:
            _PODS.create(conn)

    def insert(self, name, **values):
        with self.database.write() as conn:
            conn.execute(sa.insert(_PODS).values(
                uuid=name * 2, name=name, url=name, driver='redfish',
                **values))

    def test_the_values_are_those_that_sqlalchemy_reads(self):
        time = datetime.datetime(2026, 1, 31, 12, 0, 0, 120000)
        self.insert('one', verify_tls=False, retry_at=time,
                    connection_properties={'a': [1, None, 'é']})
        self.insert('two', verify_tls=True, capabilities=[])
        with self.database.read() as conn:
            expected = [list(row) for row in conn.execute(_ALL)]
        self.assertEqual(expected, self.database.look(
            lambda reader: list(reader.execute(_ALL))))
        self.assertIn(time, expected[0])

    def test_parameters(self):
        self.insert('one')
        for name, expected in (('one', ['oneone', 7]), ('two', None)):
            self.assertEqual(expected, self.database.look(
                lambda reader, name=name: reader.execute(
                    _NAMED, {'name': name}).one_or_none()))

    def test_all_of_one_moment_and_the_next_of_another(self):
        def look(reader):
            before = list(reader.execute(_NAME))
            self.insert('two')
            return before, list(reader.execute(_NAME))

        self.insert('one')
        self.assertEqual(([['one']], [['one']]), self.database.look(look))
        self.assertEqual([['one'], ['two']], self.database.look(
            lambda reader: list(reader.execute(_NAME))))

    def test_the_connection_goes_back_whatever_happens(self):
        def look(reader):
            reader.execute(_NAME)
            raise LookupError

        try:
            self.database.look(look)
        except LookupError:
            # With its frames still there.
            self.assertEqual(0, self.database.engine.pool.checkedout())
        self.insert('one')

    def test_errors_are_those_of_other_reads(self):
        self.assertRaises(
            db_exc.DBNonExistentTable, self.database.look,
            lambda reader: reader.execute(sa.select(_FLAVORS)))
        self.assertEqual(0, self.database.engine.pool.checkedout())
