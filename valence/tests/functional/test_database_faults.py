# SPDX-License-Identifier: Apache-2.0
"""The database goes, comes back, chooses a victim, forgets to answer.

Users are busy meanwhile. They may hear 503, never 500; what they were
promised happens, and nothing happens twice.
"""

import itertools
import random
import threading
import time

import sqlalchemy as sa
import testscenarios
import testtools
from testtools.content import text_content

from valence.common import audit
from valence.conductor.lease import HeldLease
from valence.conductor.operations.base import Kind, Settings, Task
from valence.conductor.runner import Runner
from valence.db import operations
from valence.db.engine import Database
from valence.tests.functional import backends, servers
from valence.tests.functional.link_proxy import Fate, LinkProxy
from valence.tests.functional.load import LEASE, POD, PROPERTIES, Load
from valence.tests.functional.processes import (
    PATIENCE,
    Deployment,
    Simulator,
    wait_for,
)

_KINDS = [(kind, {'kind': kind}) for kind in ('mysql', 'postgresql')]


class _Database(testscenarios.WithScenarios, testtools.TestCase):

    scenarios = _KINDS

    def deploy(self, **more):
        self.configure(**more)
        self.start()

    def configure(self, **more):
        self.deployment = self.useFixture(Deployment(
            self, self.kind, conductor={
                'lease': LEASE, 'poll_interval': 0.5}, **more))

    def start(self, api_config=None):
        self.pod = self.useFixture(Simulator(*POD))
        self.client = self.deployment.start_api(api_config)
        self.conductors = self.deployment.start_conductors(self.client, 2)
        self.client.register(self.pod)

    def seeded(self):
        seed = random.SystemRandom().randrange(10 ** 6)
        self.addDetail('seed', text_content(str(seed)))
        return seed


class Restarted(_Database):
    """Stopped politely, and killed."""

    def test_nothing_is_lost(self):
        server = self.useFixture(servers.DATABASES[self.kind](self))
        self.deploy(database_url=server.url(server.create()))
        with Load(self, self.client, self.pod, self.seeded()) as load:
            for number in server.ends:
                load.wait_for(8)
                server.end(number)
                # Some requests meet its absence.
                wait_for('users hear 503', lambda: all(
                    user.answers[503] for user in load.users))
                server.start()
                for user in load.users:
                    user.answers[503] = 0
            load.wait_for(8)
        load.check('succeeded')


class Deadlocks(_Database):
    """Real ones, by somebody who locks rows in the other order."""

    def test_nothing_is_lost(self):
        self.deploy()
        stop = threading.Event()
        engine = sa.create_engine(self.deployment.database.url)
        self.addCleanup(engine.dispose)
        if self.kind == 'postgresql':
            with engine.begin() as connection:
                connection.execute(sa.text(
                    f'ALTER DATABASE {engine.url.database} '
                    "SET deadlock_timeout = '20ms'"))
            engine.dispose()
        with engine.begin() as connection:
            connection.execute(sa.text('CREATE TABLE weight (n INTEGER)'))
        thread = threading.Thread(target=self.lock, args=(engine, stop))
        with Load(self, self.client, self.pod, self.seeded()) as load:
            thread.start()
            wait_for('processes are victims', lambda: self.victims() >= 3)
            stop.set()
            thread.join()
            load.wait_for(5)
        load.check('succeeded')

    def lock(self, engine, stop):
        """Nodes first, operations afterwards: conductors do the reverse."""
        pause = threading.Event()
        while not stop.is_set():
            try:
                # Gone again with the end of the block. InnoDB's victim is
                # who has changed least: not to be this one.
                with engine.connect() as connection:
                    connection.execute(sa.text(
                        'INSERT INTO weight VALUES '
                        + ', '.join(['(0)'] * 500)))
                    for table in ('nodes', 'operations'):
                        connection.execute(sa.text(
                            f'SELECT id FROM {table} ORDER BY id DESC '
                            'LIMIT 8 FOR UPDATE'))
                        pause.wait(0.02)
            except sa.exc.OperationalError:
                pass
            pause.wait(0.02)

    def victims(self):
        return sum(
            process.log.lower().count('deadlock')
            for process in (*self.conductors, self.deployment.api))


class Frozen(_Database):
    """Whoever froze in a transaction does not keep others away."""

    def test_its_locks_are_taken_from_it(self):
        deployment = self.useFixture(Deployment(
            self, self.kind, broker=False))
        frozen, other = (Database(deployment.database.url)
                         for _ in range(2))
        self.addCleanup(frozen.close)
        self.addCleanup(other.close)
        uuid = frozen.run(operations.insert, kind='sync', timeout=1000)
        lease, _ = frozen.run(operations.acquire, uuid, 'frozen', 0.0)

        def freeze(connection):
            operations.guard(connection, lease, lease_expires_at=None)
            won = other.run(operations.acquire, uuid, 'other', 1000)
            # It wakes up, and cannot go on.
            operations.guard(connection, lease)
            return won

        # Its connection is gone, and a try on a new one has no lease.
        self.assertRaises(operations.LeaseLost, frozen.run, freeze)
        with other.read() as connection:
            self.assertEqual('other', connection.scalar(
                sa.select(operations.OPERATIONS.c.owner)))


class Conflicts(testtools.TestCase):
    """What the server calls a conflict is tried again, and then succeeds."""

    def database(self, kind, option, value):
        deployment = self.useFixture(
            Deployment(self, kind, broker=False))
        database = Database(sa.engine.make_url(
            deployment.database.url).update_query_dict(
                {option: value}).render_as_string(hide_password=False))
        self.addCleanup(database.close)
        return database

    def test_a_serialization_that_failed(self):
        database = self.database(
            'postgresql', 'options',
            '-c default_transaction_isolation=serializable')
        column = operations.OPERATIONS.c
        uuids = [database.run(operations.insert, kind='sync', timeout=1000)
                 for _ in range(2)]
        both = threading.Barrier(2)
        tries = []

        def change(connection, mine, other):
            """Reads what the other one writes."""
            connection.scalar(
                sa.select(column.progress).where(column.uuid == other))
            tries.append(mine)
            if len(tries) <= 2:
                both.wait(PATIENCE)
            connection.execute(sa.update(operations.OPERATIONS)
                               .where(column.uuid == mine)
                               .values(progress=50))

        other = threading.Thread(target=database.run,
                                 args=(change, *reversed(uuids)))
        other.start()
        database.run(change, *uuids)
        other.join()
        self.assertGreater(len(tries), 2)
        with database.read() as connection:
            self.assertEqual([50, 50], list(connection.scalars(
                sa.select(column.progress))))

    def test_a_lock_that_was_waited_for_too_long(self):
        database = self.database(
            'mysql', 'init_command', 'SET innodb_lock_wait_timeout = 1')
        column = operations.OPERATIONS.c
        uuid = database.run(operations.insert, kind='sync', timeout=1000)
        tries = []

        def change(connection):
            tries.append(uuid)
            connection.execute(sa.update(operations.OPERATIONS)
                               .where(column.uuid == uuid)
                               .values(progress=len(tries)))

        with database.write() as connection:
            change(connection)
            thread = threading.Thread(target=database.run, args=(change,))
            thread.start()
            wait_for('it is tried again', lambda: len(tries) >= 3)
        thread.join()
        with database.read() as connection:
            self.assertEqual(len(tries), connection.scalar(
                sa.select(column.progress)))


class CommitsWithoutAnswer(_Database):
    """The link breaks at COMMIT: half of those transactions were committed.
    """

    def test_under_load(self):
        seed = self.seeded()
        self.configure()
        proxy = self.proxy(seed)
        self.deployment.config = self.through(proxy)
        self.start()
        choice = random.Random(seed)
        fates = (Fate.UNANSWERED, Fate.UNSENT, *8 * (Fate.PASSED,))
        with Load(self, self.client, self.pod, seed) as load:
            proxy.decide = lambda: choice.choice(fates)
            load.wait_for(25)
            proxy.decide = lambda: Fate.PASSED
        self.addDetail('commits', text_content(str(proxy.commits)))
        for fate in Fate:
            self.assertGreater(proxy.commits[fate], 0)
        load.check('succeeded')

    def test_of_the_api(self):
        """Asked once, with a key or without, a user hears that it was done.
        """
        self.configure()
        proxy = self.proxy(0)
        self.start(self.through(proxy))
        for fate, keyed in itertools.product(
                (Fate.UNANSWERED, Fate.UNSENT), (False, True)):
            name = f'{fate.value}-{keyed}'
            for number, (path, body) in enumerate((
                    ('nodes', {'name': name, 'properties': PROPERTIES}),
                    (f'nodes/{name}/action', {'Reset': {'Type': 'On'}}),
                    ('flavors', {'name': name, 'properties': PROPERTIES}),
                    ('pod_managers', {'name': name,
                                      'url': f'https://{name}.invalid'}))):
                fates = itertools.chain([fate], itertools.repeat(Fate.PASSED))
                proxy.decide = lambda fates=fates: next(fates)
                headers = ({'Idempotency-Key': f'{name} {path}'} if keyed
                           else None)
                made = self.client.post(f'/v1/{path}', body, headers=headers)
                self.assertIs(Fate.PASSED, next(fates), path)
                if number < 2:
                    self.client.done(made)
        self.assertEqual(4, len(self.pod.ledger('compose')))
        self.assertEqual(4, len(self.client.get('/v1/flavors')['flavors']))

    def test_of_an_acquisition(self):
        """Who has an operation and does not know gets it; nobody else."""
        proxy = self.proxy(0)
        database = self.database(proxy)
        operation = database.run(operations.insert, kind='sync', timeout=1000)
        self.unanswered(proxy)
        lease, _ = database.run(operations.acquire, operation, 'me', 1000)
        self.assertEqual(2, lease.epoch)
        self.unanswered(proxy)
        self.assertIsNone(
            database.run(operations.acquire, operation, 'other', 1000))
        database.run(operations.renew, lease)

    def test_of_an_end(self):
        """Who has ended an operation and does not know is told, and says so.
        """
        proxy = self.proxy(0)
        database = self.database(proxy)
        audit.enable(True)
        self.addCleanup(audit.enable, False)
        kind = Kind('sync', (), lambda conn, task: {'found': 1},
                    lambda *args: None)
        for state in ('succeeded', 'failed'):
            uuid = database.run(operations.insert, kind='sync', timeout=1000)
            lease, row = database.run(operations.acquire, uuid, 'me', 1000)
            held = HeldLease(lease, time.monotonic())
            if state == 'failed':
                row = {**row, 'undoing': True, 'error_code': 'timeout'}
            self.unanswered(proxy)
            with self.assertLogs('valence.audit', 'INFO') as logs:
                Runner(database, kind, Task(row, held, {}, None, Settings()),
                       {}, lambda: False).run()
            self.assertEqual(1, len(logs.output))
            with database.read() as connection:
                self.assertEqual((state, 1), connection.execute(
                    sa.select(operations.OPERATIONS.c.state,
                              operations.OPERATIONS.c.epoch)
                    .where(operations.OPERATIONS.c.uuid == uuid)).one())

    def test_of_an_intent(self):
        """An operation goes on with the step that was written down."""
        proxy = self.proxy(0)
        database = self.database(proxy)
        operation = database.run(operations.insert, kind='sync', timeout=1000)
        lease, _ = database.run(operations.acquire, operation, 'me', 1000)
        self.unanswered(proxy)
        database.run(operations.write_intent, lease, 'scan', 0, {},
                     again=False)
        with database.read() as connection:
            journal = operations.steps(connection, lease.operation_id)
        self.assertEqual(['scan'], list(journal))

    def database(self, proxy):
        deployment = self.useFixture(Deployment(
            self, self.kind, broker=False))
        database = Database(self.url(deployment, proxy))
        self.addCleanup(database.close)
        return database

    @staticmethod
    def unanswered(proxy):
        """The next COMMIT will be."""
        fates = itertools.chain([Fate.UNANSWERED],
                                itertools.repeat(Fate.PASSED))
        proxy.decide = lambda: next(fates)

    def proxy(self, seed):
        backends.require(self, self.kind)
        self.port = sa.engine.make_url(
            backends.MYSQL if self.kind == 'mysql'
            else backends.POSTGRESQL).port
        return self.useFixture(LinkProxy(self.port, seed))

    def url(self, deployment, proxy):
        return sa.engine.make_url(deployment.database.url).set(
            port=proxy.port).render_as_string(hide_password=False)

    def through(self, proxy):
        return self.deployment.write_config('proxy.conf', database={
            'connection': self.url(self.deployment, proxy)})
