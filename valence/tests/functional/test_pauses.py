# SPDX-License-Identifier: Apache-2.0
"""A conductor is paused past its lease, and wakes up after its successor.

It is stopped at the named points of an operation, and in the middle of a
call. Another conductor finishes. Then the first one wakes up and must
neither write anything nor call the hardware: the database, the ledger and
the pod's log of requests stay as they are.
"""

import itertools
import json
import os
import pathlib
import signal

import fixtures
import sqlalchemy as sa
import testtools

from valence.tests.functional.processes import (
    Deployment,
    Simulator,
    living,
    stopped,
    wait_for,
)

SYSTEMS = '/redfish/v1/Systems'
SESSIONS = '/redfish/v1/SessionService/Sessions'
PROPERTIES = {'processor': {'total_cores': 1}}
#: Here the operation is not owned any more.
GIVEN_BACK = 'K9:1'
#: What the log of a woken conductor says.
STEPPED_BACK = "is somebody else's now"
#: What a woken conductor must not change.
TABLES = ('operations', 'operation_steps', 'nodes', 'claims', 'pod_managers',
          'devices', 'systems')


class _Pauses(testtools.TestCase):

    pod_arguments: tuple[str, ...] = ()
    #: So many operations are begun at most.
    most = 0

    def setUp(self):
        super().setUp()
        self.deployment = self.useFixture(Deployment(
            self, 'postgresql', conductor={'poll_interval': 0.5}))
        directory = self.useFixture(fixtures.TempDir()).path
        self.request_log = pathlib.Path(directory, 'requests')
        self.pod = self.useFixture(Simulator(
            '--request-log', str(self.request_log), '--power-delay', '0',
            *self.pod_arguments))
        self.engine = sa.create_engine(self.deployment.database.url)
        self.addCleanup(self.engine.dispose)
        self.client = self.deployment.start_api()
        self.first = self.start({})
        self.client.register(self.pod)

    def start(self, *environments):
        """Conductors, once they are up."""
        before = {one['uuid'] for one in
                  self.client.get('/v1/conductors')['conductors']}
        processes = [self.deployment.start('valence-conductor', **environment)
                     for environment in environments]
        wait_for('the conductors are up', lambda: len(
            {one['uuid'] for one in living(self.client)} - before
        ) == len(processes))
        return processes

    def requests(self):
        return [(entry['method'], entry['path']) for entry in map(
            json.loads, self.request_log.read_text().splitlines())
            # Each process has a session of its own, and ends it.
            if not entry['path'].startswith(SESSIONS)]

    def written(self):
        with self.engine.connect() as connection:
            return {table: connection.execute(sa.text(
                f'SELECT * FROM {table} ORDER BY id')).all()
                for table in TABLES}

    def compose(self, number):
        return self.client.post('/v1/nodes', {
            'name': f'n{number}', 'properties': PROPERTIES})

    def release(self, number):
        return self.client.request('DELETE', f'/v1/nodes/n{number}').json()

    def pause_at(self, points, begin):
        """Have an operation stopped at each of some points.

        Each conductor stops at a point of its own, in the midst of the
        operation that it happens to get.
        """
        for process in self.first:
            process.kill()
        paused = self.start(*({'VALENCE_FAULT': f'{point}:stop'}
                              for point in points))
        began = []
        for number in range(self.most):
            before = len(self.stopped())
            if before == len(points):
                break
            answer = begin(number)
            # Some may be over, handed from one to the other past all points.
            wait_for('a conductor is paused, or it is over',
                     lambda before=before, answer=answer: (
                         len(self.stopped()) > before or self.over(answer)))
            if not self.over(answer):
                began.append(answer)
        self.assertEqual(len(points), len(self.stopped()))
        self.succeed(began, paused, points.count(GIVEN_BACK))

    def succeed(self, began, paused, given_back=0):
        """Another conductor finishes; then the paused ones wake up.

        :param given_back: how many had nothing more to do
        """
        pids = self.stopped()
        self.start({})
        for answer in began:
            ended = self.client.done(answer)
            self.assertGreaterEqual(ended['attempts'], 2, ended)
        written, calls = self.written(), self.requests()
        effects = self.pod.ledger()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        wait_for('the woken ones step back', lambda: sum(
            STEPPED_BACK in process.log for process in paused
        ) == len(paused) - given_back)
        wait_for('all of them are alive', lambda: {
            one['pid'] for one in living(self.client)} >= set(pids))
        self.assertEqual(calls, self.requests())
        self.assertEqual(effects, self.pod.ledger())
        for table, rows in self.written().items():
            self.assertEqual(written[table], rows, table)

    def over(self, answer):
        return self.client.get('/v1/operations/' + answer['operation'][
            'uuid'])['state'] not in ('pending', 'running')

    def stopped(self):
        return stopped(self.client)

    def check(self, *effects):
        for effect in effects:
            names = [entry['name'] for entry in self.pod.ledger(effect)]
            self.assertNotEqual([], names)
            self.assertEqual(len(set(names)), len(names), effect)
        self.assertEqual([], self.pod.ledger('refused'))


class AtThePoints(_Pauses):

    most = 16
    pod_arguments = ('--tasks', '--task-delay', '0.2', '--compute', '16',
                     '--zones', '1')

    def test_compose(self):
        self.pause_at(('K4:1', 'K5:1', 'K5:2', 'K7:1', 'K8:1', GIVEN_BACK,
                       'K10:1', 'K11:1'), self.compose)
        self.check('compose')

    def test_release(self):
        points = ('K5:2', 'K7:2', GIVEN_BACK, 'K11:1')
        for answer in [self.compose(number) for number in range(self.most)]:
            self.client.done(answer)
        self.pause_at(points, self.release)
        self.check('compose', 'decompose')


class InTheMiddleOfACall(_Pauses):

    pod_arguments = ('--latency', '0.3')

    def test_compose_and_scan(self):
        paused = [*self.first, *self.start({})]
        uuid = self.client.get('/v1/pod_managers/pod')['uuid']
        numbers = itertools.count()
        began = [self.stop_in(begin, *seen) for begin, seen in (
            (lambda: self.compose(next(numbers)), ('POST', SYSTEMS)),
            (lambda: self.client.post(f'/v1/pod_managers/{uuid}/sync'),
             ('GET', '/redfish/v1/CompositionService')))]
        self.succeed(began, paused)
        self.check('compose')

    def stop_in(self, begin, *seen):
        """What ``begin()`` began, its owner stopped after a request of it.

        Begun again where the owner was too quick.
        """
        while True:
            calls = len(self.requests())
            answer = begin()
            wait_for(f'{seen} at the pod, or it is over',
                     lambda calls=calls, answer=answer: (
                         seen in self.requests()[calls:]
                         or self.over(answer)), interval=0.005)
            owner = self.client.get('/v1/operations/' + answer['operation'][
                'uuid'])['conductor']
            for one in living(self.client):
                if one['uuid'] == owner:
                    os.kill(one['pid'], signal.SIGSTOP)
                    if not self.over(answer):
                        return answer
                    os.kill(one['pid'], signal.SIGCONT)
