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

    def enter(self, fixture):
        fixture.setUp()
        self.addCleanup(fixture.cleanUp)
