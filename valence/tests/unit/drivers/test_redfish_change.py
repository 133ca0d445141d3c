# SPDX-License-Identifier: Apache-2.0
"""How does the Redfish driver add blocks to a system and remove them?"""

import json

import testtools

from valence.drivers import base
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.pod import (
    BLOCKS,
    COMPOSED,
    MONITOR,
    ROOT,
    SYSTEMS,
    WHOLE,
    PodMixin,
    link,
    links,
)
from valence.tests.unit.drivers.server import reply

HANDLE = base.Handle(COMPOSED, {'tag': 'tag-1'})
ADD = COMPOSED + '/Actions/ComputerSystem.AddResourceBlock'
REMOVE = COMPOSED + '/Actions/ComputerSystem.RemoveResourceBlock'
CAPABILITIES = SYSTEMS + '/Capabilities'
C1, D1, N1 = (f'{BLOCKS}/{name}' for name in ('c1', 'd1', 'n1'))


def refusal(name):
    return server.error('not so', f'Base.1.19.{name}')


class ChangeCase(testtools.TestCase, PodMixin):

    def setUp(self):
        super().setUp()
        self.begin()

    def begin(self, **limits):
        self.start(**limits)
        self.generation = 1
        self.etags = True

    def offer(self, *ways, updatable=True, allow=None):
        """Let the composed system be changed in these ways only."""
        if 'action' in ways:
            self.change(COMPOSED, Actions={
                '#ComputerSystem.AddResourceBlock': {'target': ADD},
                '#ComputerSystem.RemoveResourceBlock': {'target': REMOVE}})
            self.pod.replies['POST', ADD] = self.by_action
            self.pod.replies['POST', REMOVE] = self.by_action
        self.pod.resources[CAPABILITIES] = {'Links': {
            'ResourceBlocks@Redfish.UpdatableAfterCreate': updatable}}
        self.change(SYSTEMS, **{'@Redfish.CollectionCapabilities': {
            'Capabilities': [{'UseCase': 'ComputerSystemComposition',
                              'CapabilitiesObject': link(CAPABILITIES)}]}})
        self.allow = allow if allow is not None else ', '.join(
            ['GET', 'HEAD', 'DELETE', *(way.upper() for way in ways
                                        if way != 'action')])
        self.pod.replies['GET', COMPOSED] = self.read
        self.pod.replies['GET', D1] = lambda _: reply(
            200, self.pod.resources[D1], {'ETag': '"block"'})
        self.pod.replies['PATCH', COMPOSED] = self.by_patch
        self.pod.replies['PUT', COMPOSED] = self.by_put

    def read(self, _):
        headers = {'ETag': f'"{self.generation}"'} if self.etags else {}
        if self.allow:
            headers['Allow'] = self.allow
        return reply(200, self.pod.resources[COMPOSED], headers)

    def set_blocks(self, array):
        self.generation += 1
        self.change(COMPOSED, Links={'ResourceBlocks': array})
        return reply(204)

    def blocks(self):
        return [one['@odata.id'] for one in self.pod.resources[COMPOSED][
            'Links']['ResourceBlocks']]

    def by_action(self, request):
        body = request.json
        if body.get('ComputerSystemETag') != f'"{self.generation}"' or (
                body['ResourceBlock'] == link(D1)
                and body.get('ResourceBlockETag') != '"block"'):
            return reply(428, refusal('PreconditionRequired'))
        one = body['ResourceBlock']['@odata.id']
        rest = [path for path in self.blocks() if path != one]
        return self.set_blocks(links(*rest, *(
            [one] if request.path == ADD else [])))

    def by_patch(self, request):
        if request.headers.get('if-match') != f'"{self.generation}"':
            return reply(412, refusal('PreconditionFailed'))
        array = request.json['Links']['ResourceBlocks']
        self.assertEqual(['Links'], [*request.json])
        return self.set_blocks([one for one in array if one is not None])

    def by_put(self, request):
        self.assertEqual('tag-1', request.json['Name'])
        return self.set_blocks(request.json['Links']['ResourceBlocks'])

    def mutations(self):
        return [one.method for one in self.server.requests
                if one.method != 'GET']

    def both(self):
        """Attach and detach, each twice."""
        for call, expected in ((self.driver.attach, [C1, D1]),
                               (self.driver.detach, [C1])):
            for _ in range(2):
                self.assertEqual(base.Done(), call(HANDLE, D1))
            self.assertEqual(expected, self.blocks())


class Ways(ChangeCase):

    def test_by_action(self):
        self.offer('action', updatable=False)
        self.both()
        self.assertEqual(['POST'] * 2, self.mutations())
        self.assertEqual([{
            'ResourceBlock': link(D1), 'ResourceBlockETag': '"block"',
            'ComputerSystemETag': f'"{number}"'} for number in (1, 2)], [
                one.json for one in self.server.requests
                if one.method == 'POST'])

    def test_by_patch(self):
        self.offer('patch')
        self.both()
        self.assertEqual(['PATCH'] * 2, self.mutations())
        self.assertEqual(
            [[*links(C1, D1)], [link(C1), None]],
            [one.json['Links']['ResourceBlocks']
             for one in self.server.requests if one.method == 'PATCH'])

    def test_by_patch_where_only_the_capabilities_tell(self):
        self.offer(allow='')
        self.both()
        self.assertEqual(['PATCH'] * 2, self.mutations())

    def test_by_put(self):
        self.offer('put')
        self.both()
        self.assertEqual(['PUT'] * 2, self.mutations())
        self.assertEqual({'"1"', '"2"'}, {
            one.headers['if-match'] for one in self.server.requests
            if one.method == 'PUT'})

    def test_the_next_way_where_one_is_not_meant(self):
        for answer in (reply(405), reply(501),
                       reply(400, refusal('PropertyNotWritable'))):
            self.begin()
            self.offer('patch', 'put')
            self.pod.replies['PATCH', COMPOSED] = answer
            self.both()
            self.assertEqual(['PATCH', 'PUT'] * 2, self.mutations())

    def test_a_refusal_is_not_tried_in_another_way(self):
        self.offer('action', 'patch', 'put')
        self.pod.replies['POST', ADD] = reply(409, server.error(
            'Block d1 is in use.', 'Composition.1.1.ResourceBlockInUse'))
        error = self.assertRaises(base.Refused, self.driver.attach, HANDLE,
                                  D1)
        self.assertIn('Block d1 is in use.', str(error))
        self.assertEqual(['POST'], self.mutations())

    def test_no_way(self):
        for options in ({'updatable': False}, {}, {'updatable': None},
                        {'updatable': False, 'allow': 'GET, PATCH, PUT'}):
            self.begin()
            self.offer(**options)
            self.assertRaises(base.Unsupported, self.driver.attach, HANDLE,
                              D1)
            self.assertEqual([], self.mutations())

    def test_only_the_etags_that_the_action_takes(self):
        self.offer('action')
        info = ROOT + '/AddInfo'
        self.pod.resources[COMPOSED]['Actions'][
            '#ComputerSystem.AddResourceBlock'][
                '@Redfish.ActionInfo'] = info
        self.pod.resources[info] = {'Parameters': [
            {'Name': 'ResourceBlock'}]}
        self.pod.replies['POST', ADD] = lambda request: self.set_blocks(
            links(C1, D1))
        self.driver.attach(HANDLE, D1)
        self.assertEqual({'ResourceBlock': link(D1)},
                         self.server.requests[-2].json)

    def test_a_target_with_a_spelling_of_its_own(self):
        """One product says CompostionService; it is followed as given."""
        self.offer('action')
        odd = ROOT + '/CompostionService/Add'
        self.change(COMPOSED, Actions={'#ComputerSystem.AddResourceBlock': {
            'target': odd}})
        self.pod.replies['POST', odd] = lambda _: self.set_blocks(
            links(C1, D1))
        self.assertEqual(base.Done(), self.driver.attach(HANDLE, D1))

    def test_a_target_elsewhere(self):
        self.offer('action')
        self.change(COMPOSED, Actions={'#ComputerSystem.AddResourceBlock': {
            'target': 'http://evil' + ADD}})
        self.assertRaises(base.BadAnswer, self.driver.attach, HANDLE, D1)
        self.assertEqual([], self.mutations())


class Conflicts(ChangeCase):

    def test_stale_etags_are_read_again_once(self):
        for way, path, method in (('action', ADD, 'POST'),
                                  ('patch', COMPOSED, 'PATCH'),
                                  ('put', COMPOSED, 'PUT')):
            for status in (412, 428):
                self.begin()
                self.offer(way)
                real = self.pod.replies[method, path]
                answers = [lambda _, status=status: reply(
                    status, refusal('PreconditionFailed')), real]
                self.pod.replies[method, path] = (
                    lambda request, answers=answers: answers.pop(0)(request))
                self.assertEqual(base.Done(),
                                 self.driver.attach(HANDLE, D1))
                self.assertEqual([method] * 2, self.mutations())

    def test_a_change_in_between_is_seen(self):
        """Somebody else attaches it between the look and the request."""
        self.offer('action')

        def late(_):
            self.set_blocks(links(C1, D1))
            return reply(428, refusal('PreconditionRequired'))

        self.pod.replies['POST', ADD] = late
        self.assertEqual(base.Done(), self.driver.attach(HANDLE, D1))
        self.assertEqual(['POST'], self.mutations())

    def test_always_stale(self):
        self.offer('action')
        self.pod.replies['POST', ADD] = reply(428)
        error = self.assertRaises(base.Refused, self.driver.attach, HANDLE,
                                  D1)
        self.assertEqual(428, error.status)
        self.assertEqual(['POST'] * 2, self.mutations())

    def test_a_lost_answer(self):
        for way, path, method in (('action', ADD, 'POST'),
                                  ('patch', COMPOSED, 'PATCH'),
                                  ('put', COMPOSED, 'PUT')):
            self.begin()
            self.offer(way)
            self.pod.replies[method, path] = lambda _: server.reset
            self.assertRaises(base.Ambiguous, self.driver.attach, HANDLE, D1)
            self.assertEqual([method], self.mutations())

    def test_the_system_of_somebody_else(self):
        self.offer('action')
        self.change(COMPOSED, Name='somebody-elses')
        for call in (self.driver.attach, self.driver.detach):
            self.assertRaises(base.Refused, call, HANDLE, D1)
        self.assertEqual([], self.mutations())

    def test_the_block_of_another_system_even_if_shared(self):
        self.offer('action')
        for state in ('Composed', 'ComposedAndAvailable'):
            self.change(D1, CompositionStatus={'CompositionState': state},
                        Links={'ComputerSystems': links(WHOLE)})
            error = self.assertRaises(base.Refused, self.driver.attach,
                                      HANDLE, D1)
            self.assertEqual(409, error.status)
        self.change(D1, CompositionStatus={'CompositionState': 'Composing'})
        self.assertRaises(base.Busy, self.driver.attach, HANDLE, D1)
        self.assertEqual([], self.mutations())

    def test_what_is_not_there(self):
        self.offer('action')
        self.assertRaises(base.NotFound, self.driver.attach, HANDLE,
                          BLOCKS + '/nothing')
        self.assertRaises(base.BadAnswer, self.driver.attach, HANDLE,
                          'http://evil' + D1)
        del self.pod.replies['GET', COMPOSED]
        del self.pod.resources[COMPOSED]
        self.assertRaises(base.NotFound, self.driver.attach, HANDLE, D1)
        self.assertEqual([], self.mutations())


class Effects(ChangeCase):

    def poll(self, pending):
        return self.driver.poll(base.Pending(
            json.loads(json.dumps(dict(pending.monitor))), pending.delay))

    def test_a_204_that_changes_nothing_is_reported(self):
        self.offer('action')
        self.pod.replies['POST', ADD] = reply(204)
        pending = self.driver.attach(HANDLE, D1)
        for _ in range(100):
            self.assertIsInstance(pending, base.Pending)
            try:
                pending = self.poll(pending)
            except base.Ambiguous as error:
                self.assertIn(D1, str(error))
                self.assertEqual(['POST'], self.mutations())
                return
        self.fail('it looked a hundred times')

    def test_a_change_that_shows_late(self):
        self.offer('action')
        self.pod.replies['POST', ADD] = reply(204)
        pending = self.driver.attach(HANDLE, D1)
        self.assertIsInstance(self.poll(pending), base.Pending)
        self.set_blocks(links(C1, D1))
        self.assertEqual(base.Done(), self.poll(pending))

    def test_in_the_background(self):
        self.offer('action')
        self.pod.replies['POST', ADD] = reply(202, b'', {
            'Location': MONITOR, 'Retry-After': '2'})
        self.pod.replies['GET', MONITOR] = [reply(202), reply(204),
                                            reply(404)]
        pending = self.driver.attach(HANDLE, D1)
        self.assertEqual(2.0, pending.delay)
        pending = self.poll(pending)
        self.assertIsInstance(pending, base.Pending)
        late = self.poll(pending)
        self.assertIsInstance(late, base.Pending)   # done, not yet seen
        self.set_blocks(links(C1, D1))
        self.assertEqual(base.Done(), self.poll(late))
        # The monitor has vanished: the hardware tells.
        self.assertEqual(base.Done(), self.poll(pending))

    def test_a_task_that_failed(self):
        self.offer('action')
        self.pod.replies['POST', ADD] = reply(202, b'', {
            'Location': MONITOR})
        self.pod.replies['GET', MONITOR] = reply(409, server.error('no'))
        self.assertRaises(base.Refused, self.poll,
                          self.driver.attach(HANDLE, D1))

    def test_a_system_that_goes_meanwhile(self):
        self.offer('action')
        self.pod.replies['POST', ADD] = reply(204)
        self.pod.replies['POST', REMOVE] = reply(204)
        attaching = self.driver.attach(HANDLE, D1)
        detaching = self.driver.detach(HANDLE, C1)
        del self.pod.replies['GET', COMPOSED]
        del self.pod.resources[COMPOSED]
        self.assertRaises(base.NotFound, self.poll, attaching)
        self.assertEqual(base.Done(), self.poll(detaching))


class Promises(ChangeCase):

    def promised(self):
        return self.driver.identify().capabilities.attach

    def test_where_there_is_a_way(self):
        for ways in (('action',), ('patch',), ('put',)):
            self.begin()
            self.offer(*ways)
            self.assertTrue(self.promised())

    def test_where_there_is_none(self):
        self.assertFalse(self.promised())
        for options in ({'updatable': False}, {'updatable': None}, {}):
            self.begin()
            self.offer(**options)
            self.assertFalse(self.promised(), options)

    def test_an_empty_pod_is_told_by_its_capabilities(self):
        for updatable in (True, False):
            self.begin()
            self.offer('patch', updatable=updatable)
            self.change(SYSTEMS, Members=links(WHOLE))
            self.assertEqual(updatable, self.promised())

    def test_an_expandable_server_shows_it(self):
        self.change(WHOLE, Composition={'UseCases': ['ExpandableSystem']},
                    Actions={'#ComputerSystem.AddResourceBlock': {
                        'target': WHOLE + '/Add'}})
        self.change(SYSTEMS, Members=links(WHOLE))
        self.assertTrue(self.promised())

    def test_capabilities_on_the_zone(self):
        self.offer('patch')
        told = self.pod.resources[SYSTEMS].pop(
            '@Redfish.CollectionCapabilities')
        self.assertFalse(self.promised())
        self.change(f'{ROOT}/CompositionService/ResourceZones/1',
                    **{'@Redfish.CollectionCapabilities': told})
        self.assertTrue(self.promised())
        self.both()
