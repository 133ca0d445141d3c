# SPDX-License-Identifier: Apache-2.0
"""What does the Redfish driver take apart, and what does it leave alone?"""

import testtools

from valence.drivers import base
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.pod import (
    BLOCKS,
    COMPOSED,
    MONITOR,
    ROOT,
    SYSTEMS,
    TASK,
    WHOLE,
    PodMixin,
    collection,
    link,
    links,
)
from valence.tests.unit.drivers.server import reply

C1, D1, N1, S1 = (f'{BLOCKS}/{name}' for name in ('c1', 'd1', 'n1', 's1'))


class ReleaseCase(testtools.TestCase, PodMixin):

    def setUp(self):
        super().setUp()
        self.start()

    def handle(self, path=COMPOSED, tag='tag-1'):
        return base.Handle(path, {'tag': tag})


class Preconditions(ReleaseCase):

    def test_a_stale_etag_is_read_again_once(self):
        for status in (412, 428):
            self.start()
            self.pod.replies['GET', COMPOSED] = reply(
                200, self.pod.resources[COMPOSED], {'ETag': '"7"'})
            self.pod.replies['DELETE', COMPOSED] = [reply(status),
                                                    reply(204)]
            self.assertEqual(base.Done(), self.driver.release(self.handle()))
            self.assertEqual([None, '"7"'], [
                one.headers.get('if-match') for one in self.server.requests
                if one.method == 'DELETE'])

    def test_another_that_took_its_place_in_between(self):
        def stale(_):
            self.change(COMPOSED, Name='somebody-elses')
            return reply(412)

        self.pod.replies['DELETE', COMPOSED] = stale
        self.assertRaises(base.Refused, self.driver.release, self.handle())
        self.assertEqual([COMPOSED], self.server.paths('DELETE'))

    def test_always_stale(self):
        self.pod.replies['DELETE', COMPOSED] = reply(412)
        error = self.assertRaises(base.Refused, self.driver.release,
                                  self.handle())
        self.assertEqual(412, error.status)
        self.assertEqual(2, len(self.server.paths('DELETE')))


class Expandable(ReleaseCase):
    """A server that is a block itself, with two more."""

    def setUp(self):
        super().setUp()
        remove = WHOLE + '/Actions/Remove'
        self.change(WHOLE, Name='tag-1', Links={
            'ResourceBlocks': links(S1, D1, N1)}, Actions={
                '#ComputerSystem.RemoveResourceBlock': {'target': remove}})
        self.pod.resources[S1] = {
            **link(S1), 'Name': 'Server', 'ComputerSystems': links(WHOLE),
            'ResourceBlockType': ['ComputerSystem']}
        self.allow = 'GET, HEAD, PATCH'
        self.pod.replies['GET', WHOLE] = lambda _: reply(
            200, self.pod.resources[WHOLE], {'Allow': self.allow})
        self.pod.replies['POST', remove] = self.remove
        self.tasks = False

    def remove(self, request):
        block = request.json['ResourceBlock']
        left = [one for one in self.blocks() if one != block]
        self.change(WHOLE, Links={'ResourceBlocks': left})
        return reply(202, b'', {'Location': MONITOR, 'Retry-After': '0'}
                     ) if self.tasks else reply(204)

    def blocks(self):
        return self.pod.resources[WHOLE]['Links']['ResourceBlocks']

    def test_its_blocks_are_removed_and_it_stays(self):
        handle = self.handle(WHOLE)
        self.assertIsNotNone(self.driver.observe(handle))
        self.assertEqual(base.Done(), self.driver.release(handle))
        self.assertEqual(links(S1), self.blocks())
        self.assertEqual([], self.server.paths('DELETE'))
        self.assertIsNone(self.driver.observe(handle))
        posts = len(self.server.paths('POST'))
        self.assertEqual(base.Done(), self.driver.release(handle))
        self.assertEqual(posts, len(self.server.paths('POST')))

    def test_given_back_it_is_not_found(self):
        self.pod.replies['GET', COMPOSED] = reply(404)
        self.assertEqual(self.handle(WHOLE), self.driver.find('tag-1'))
        self.driver.release(self.handle(WHOLE))
        self.assertIsNone(self.driver.find('tag-1'))

    def test_tasks_are_waited_for(self):
        self.tasks = True
        self.pod.replies['GET', MONITOR] = [
            reply(202, b'', {'Retry-After': '0'}), reply(204), reply(204)]
        self.assertEqual(base.Done(),
                         self.driver.release(self.handle(WHOLE)))
        self.assertEqual(links(S1), self.blocks())

    def test_a_task_that_takes_too_long_is_come_back_to(self):
        self.tasks = True
        self.pod.replies['GET', MONITOR] = reply(
            202, b'', {'Retry-After': '4'})
        self.assertRaises(base.Busy, self.driver.release, self.handle(WHOLE))
        self.tasks = False
        self.assertEqual(base.Done(),
                         self.driver.release(self.handle(WHOLE)))
        self.assertEqual(links(S1), self.blocks())

    def test_it_is_never_deleted_whatever_is_allowed(self):
        self.allow = 'GET, DELETE'
        self.assertEqual(base.Done(),
                         self.driver.release(self.handle(WHOLE)))
        self.assertEqual([], self.server.paths('DELETE'))
        self.assertEqual(links(S1), self.blocks())

    def test_without_a_tag_of_ours_it_is_left_alone(self):
        for handle in (base.Handle(WHOLE), self.handle(WHOLE, 'other')):
            self.assertRaises(base.Refused, self.driver.release, handle)
        self.assertEqual(links(S1, D1, N1), self.blocks())

    def test_a_composed_system_without_delete(self):
        self.change(WHOLE, SystemType='Composed')
        self.assertEqual(base.Done(),
                         self.driver.release(self.handle(WHOLE)))
        self.assertEqual([], self.server.paths('DELETE'))
        self.assertEqual(links(S1), self.blocks())

    def test_a_delete_that_is_not_meant(self):
        self.change(WHOLE, SystemType='Composed')
        self.allow = 'GET, DELETE'
        for status in (405, 501):
            self.pod.replies['DELETE', WHOLE] = reply(status)
            self.assertEqual(base.Done(),
                             self.driver.release(self.handle(WHOLE)))
        self.assertEqual(links(S1), self.blocks())

    def test_no_way_at_all(self):
        self.change(WHOLE, SystemType='Composed', Actions={})
        self.allow = 'GET'
        error = self.assertRaises(base.Unsupported, self.driver.release,
                                  self.handle(WHOLE))
        self.assertIn('DELETE', str(error))
        self.assertEqual([], [one for one in self.server.requests
                              if one.method != 'GET'])


class Cancel(ReleaseCase):

    def pending(self, **headers):
        self.pod.replies['POST', SYSTEMS] = reply(
            202, {'@odata.id': TASK, 'TaskState': 'Running'}, headers)
        return self.driver.compose(base.Spec('tag-2', '', (C1,)))

    def test_the_monitor_is_deleted(self):
        self.pod.replies['DELETE', MONITOR] = reply(204)
        self.driver.cancel(self.pending(Location=MONITOR))
        self.assertEqual([MONITOR], self.server.paths('DELETE'))

    def test_the_task_where_there_is_no_monitor_to_delete(self):
        self.pod.replies['DELETE', TASK] = reply(204)
        for status in (404, 405):
            self.pod.replies['DELETE', MONITOR] = reply(status)
            self.driver.cancel(self.pending(Location=MONITOR))
        self.assertEqual([MONITOR, TASK] * 2, self.server.paths('DELETE'))

    def test_what_cannot_be_cancelled_is_no_error(self):
        self.driver.cancel(self.pending(Location=MONITOR))
        self.driver.cancel(base.Pending({'kind': 'compose'}))

    def test_a_lost_answer_is_told(self):
        self.pod.replies['DELETE', MONITOR] = lambda _: server.reset
        self.assertRaises(base.Unreachable, self.driver.cancel,
                          self.pending(Location=MONITOR))

    def test_poll_tells_how_it_ended(self):
        pending = self.pending(Location=MONITOR)
        self.pod.replies['DELETE', MONITOR] = reply(204)
        self.driver.cancel(pending)
        self.pod.replies['GET', TASK] = reply(200, {
            '@odata.id': TASK, 'TaskState': 'Cancelled'})
        error = self.assertRaises(base.Refused, self.driver.poll, pending)
        self.assertIn('Cancelled', str(error))


class Underway(ReleaseCase):
    """Before a system is said not to exist, the tasks are looked at."""

    def setUp(self):
        super().setUp()
        service = ROOT + '/TaskService'
        self.change(ROOT, Tasks=link(service))
        self.pod.resources[service] = {**link(service), 'Tasks': link(
            service + '/Tasks')}
        self.pod.resources[service + '/Tasks'] = collection(
            service + '/Tasks', '1')

    def run_task(self, state='Running', **more):
        self.pod.resources[TASK] = {**link(TASK), 'Name': 'A task',
                                    'TaskState': state, **more}

    def test_a_task_that_may_make_it(self):
        for more in ({}, {'Name': 'Compose tag-2'},
                     {'Payload': {'HttpOperation': 'POST'}},
                     {'StartTime': '2026-01-01T00:00:00Z'},
                     {'StartTime': 'soon'}, {'state': 'Pending'},
                     {'Payload': {'JsonBody': '{"Name": "tag-2"}'}}):
            self.run_task(**more)
            error = self.assertRaises(base.Busy, self.driver.find, 'tag-2')
            self.assertIn(TASK, str(error))

    def test_a_task_that_does_not(self):
        other = 'valence-01234567-89ab-cdef-0123-456789abcdef'
        self.pod.replies['GET', ROOT + '/TaskService'] = reply(
            200, self.pod.resources[ROOT + '/TaskService'],
            {'Date': 'Thu, 01 Jan 2026 12:00:00 GMT'})
        for more in ({'state': 'Completed'}, {'state': 'Exception'},
                     {'state': 5}, {'Name': 'Compose ' + other},
                     {'Payload': {'JsonBody': '{"Name": "x"}'}},
                     {'Payload': {'HttpOperation': 'DELETE'}},
                     {'StartTime': '2026-01-01T11:00:00Z'}):
            self.run_task(**more)
            self.assertIsNone(self.driver.find('tag-2'), more)

    def test_what_is_there_is_found_all_the_same(self):
        self.run_task()
        self.assertEqual(self.handle(), self.driver.find('tag-1'))

    def test_what_ends_meanwhile_is_found(self):
        new = SYSTEMS + '/new'

        def end(_):
            self.pod.resources[new] = {**link(new), 'Name': 'tag-2'}
            self.change(SYSTEMS, Members=links(COMPOSED, WHOLE, new))
            return reply(200, {'Name': 'x', 'TaskState': 'Completed'})

        self.pod.replies['GET', TASK] = end
        self.assertEqual(self.handle(new, 'tag-2'),
                         self.driver.find('tag-2'))

    def test_tasks_that_cannot_be_read_promise_nothing(self):
        self.pod.replies['GET', TASK] = reply(500)
        self.assertRaises(base.Unreachable, self.driver.find, 'tag-2')
        for status in (404, 405, 410, 501):
            self.pod.replies['GET', TASK] = reply(status)
            self.assertIsNone(self.driver.find('tag-2'))

    def test_no_task_service(self):
        self.pod.replies['GET', ROOT + '/TaskService'] = reply(404)
        self.assertIsNone(self.driver.find('tag-2'))
        self.change(ROOT, Tasks=None)
        self.assertIsNone(self.driver.find('tag-2'))
