# SPDX-License-Identifier: Apache-2.0
"""Do the other databases write lists as SQLite does?"""

import fixtures
import sqlalchemy as sa
import testscenarios

from valence.tests.functional import backends
from valence.tests.unit.api import test_views


class OtherDatabasesTest(testscenarios.WithScenarios, test_views.ViewsTest):

    scenarios = [('mysql', {'kind': 'mysql', 'query': {
        'charset': 'utf8mb4'}}), ('postgresql', {
            'kind': 'postgresql', 'query': {}})]

    def setUp(self):
        backends.require(self, self.kind)
        database = backends.TemporaryDatabase(self.kind)
        self.enter(database)
        self.enter(fixtures.EnvironmentVariable(
            'VALENCE_TEST_API_DATABASE', sa.make_url(database.url)
            .update_query_dict(self.query).render_as_string(
                hide_password=False)))
        super().setUp()

    def test_a_page_is_read_without_sorting_the_table(self):
        if self.kind != 'mysql':
            self.skipTest('it is right to sort a table as small as this')
        pod = self.pod_manager()
        for _ in range(50):
            self.device(pod)
        seen = []
        sa.event.listen(
            self.database.engine, 'before_cursor_execute',
            lambda conn, cursor, *asked: seen.append(asked[:2]))
        self.client.get('/v1/devices?limit=1')
        (text, values), = (
            asked for asked in seen if 'FROM devices' in asked[0])
        with self.database.read() as conn:
            plan = conn.exec_driver_sql(f'EXPLAIN {text}', values).all()
        self.assertEqual('devices', plan[0].table)
        self.assertNotIn('filesort', str(plan))

    def enter(self, fixture):
        fixture.setUp()
        self.addCleanup(fixture.cleanUp)
