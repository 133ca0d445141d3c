# SPDX-License-Identifier: Apache-2.0
"""How does the Redfish driver make a node onto a server that is there?"""

import testtools

from valence.drivers import base
from valence.tests.unit.drivers.pod import (
    BLOCKS,
    COMPOSED,
    SYSTEMS,
    WHOLE,
    PodMixin,
    block,
    collection,
    link,
    links,
)
from valence.tests.unit.drivers.server import reply

C2, D1, G1, N1, S1 = (f'{BLOCKS}/{name}'
                      for name in ('c2', 'd1', 'g1', 'n1', 's1'))
ADD = WHOLE + '/Actions/ComputerSystem.AddResourceBlock'
REMOVE = WHOLE + '/Actions/ComputerSystem.RemoveResourceBlock'
TASKS = WHOLE.partition('/Systems')[0] + '/TaskService'


class ExpandCase(testtools.TestCase, PodMixin):
    """The whole server takes blocks, and is the block s1 itself."""

    def setUp(self):
        super().setUp()
        self.begin()

    def begin(self, state='Composed'):
        self.start()
        self.pod.resources[BLOCKS] = collection(
            BLOCKS, 'c1', 'c2', 'd1', 'g1', 'n1', 's1')
        self.pod.resources[S1] = block('s1', 'ComputerSystem', state,
                                       ComputerSystems=links(WHOLE))
        self.pod.resources[S1]['Links']['ComputerSystems'] = links(WHOLE)
        self.change(WHOLE, Composition={'UseCases': ['ExpandableSystem']},
                    Actions={f'#{one.rpartition("/")[2]}': {'target': one}
                             for one in (ADD, REMOVE)})
        self.put(S1)
        self.pod.replies['POST', ADD] = self.act
        self.pod.replies['POST', REMOVE] = self.act

    def put(self, *paths):
        """Let the server have these blocks."""
        self.change(WHOLE, Links={
            'Chassis': self.pod.resources[WHOLE]['Links']['Chassis'],
            'ResourceBlocks': links(*paths)})

    def has(self):
        return [one['@odata.id'] for one in self.pod.resources[WHOLE][
            'Links']['ResourceBlocks']]

    def act(self, request):
        one = request.json['ResourceBlock']['@odata.id']
        rest = [path for path in self.has() if path != one]
        self.put(*rest, *([one] if request.path == ADD else ()))
        return reply(204)

    def set_status(self, path, **status):
        self.change(path, CompositionStatus={
            **self.pod.resources[path]['CompositionStatus'], **status})

    def device(self, path=S1):
        found, = [one for one in self.driver.discover().devices
                  if one.resource_path == path]
        return found

    def spec(self, *paths):
        spec = base.Spec('valence-1', 'web', paths or (S1, D1, N1))
        return base.Spec(spec.tag, spec.name, spec.device_paths,
                         prepared=self.driver.prepare(spec))


class Inventory(ExpandCase):

    def test_the_server_is_a_free_device(self):
        for state in ('Composed', 'ComposedAndAvailable', 'Unused'):
            self.begin(state)
            found = self.device()
            self.assertEqual(
                ('compute', 'free', True, WHOLE, 4096, 16, 65536, 'Epyc'),
                (found.type, found.state, found.pooled, found.system_path,
                 found.capacity_gib, found.processor_cores,
                 found.memory_mib, found.model))

    def test_it_is_used_by_who_added_blocks(self):
        self.put(S1, D1)
        self.assertEqual('used', self.device().state)
        # Even if the block itself says nothing of it.
        self.assertEqual('used', self.device(D1).state)

    def test_what_was_added_is_not_its_own(self):
        before = self.device()
        self.put(S1, D1)
        self.change(WHOLE + '/Storage/1', Drives=links(
            WHOLE + '/Storage/1/Drives/1', BLOCKS + '/d1/Drives/1'))
        after = self.device()
        self.assertEqual((before.capacity_gib, before.details),
                         (after.capacity_gib, after.details))

    def test_it_is_not_free_where_anything_says_so(self):
        for status, state in (({'CompositionState': 'Failed'}, 'failed'),
                              ({'CompositionState': 'Unavailable'},
                               'unavailable'),
                              ({'CompositionState': 'Composing'}, 'used'),
                              ({'Reserved': True}, 'reserved')):
            self.begin()
            self.set_status(S1, **status)
            self.assertEqual(state, self.device().state)
        for path in (S1, WHOLE):
            self.begin()
            self.change(path, Status={'State': 'Disabled'})
            self.assertEqual('unavailable', self.device().state)

    def test_the_system_has_the_block_that_it_is(self):
        for listed in ((S1, D1), (D1,), (S1 + '/', D1)):
            self.put(*listed)
            system, = [one for one in self.driver.discover().systems
                       if one.resource_path == WHOLE]
            self.assertEqual((False, None, (D1, S1)), (
                system.composed, system.tag, system.device_paths))

    def test_a_server_that_takes_no_blocks_is_as_it_says(self):
        self.change(WHOLE, Composition={'UseCases': ['ResourceBlockCapable']})
        found = self.device()
        self.assertEqual(('used', None), (found.state, found.system_path))


class Promises(ExpandCase):

    def able(self):
        found = self.driver.identify().capabilities
        return found.compose, found.expand, found.tags, found.attach

    def test_beside_others(self):
        self.assertEqual((True, True, True, True), self.able())

    def test_alone(self):
        self.pod.replies['GET', SYSTEMS] = reply(
            200, self.pod.resources[SYSTEMS], {'Allow': 'GET, HEAD'})
        self.assertEqual((True, True, False, True), self.able())

    def test_only_where_there_is_a_way(self):
        for allow, expands in (('GET, HEAD', False), ('GET, PATCH', True),
                               ('GET, PUT', True), (None, False)):
            self.begin()
            self.change(WHOLE, Actions={})
            self.pod.replies['GET', WHOLE] = reply(
                200, self.pod.resources[WHOLE],
                {'Allow': allow} if allow else {})
            self.assertEqual((True, expands, True), self.able()[:3], allow)
        self.begin()
        self.change(WHOLE, Composition={})
        self.assertEqual((True, False, True), self.able()[:3])


class Preparing(ExpandCase):

    def test_what_is_written_down(self):
        self.assertEqual(
            base.Handle(WHOLE, {'own': S1, 'devices': [D1, N1]}),
            self.spec(S1, N1, D1).prepared)
        self.assertEqual([], self.server.paths('POST'))

    def test_a_node_that_will_have_a_tag(self):
        self.assertIsNone(self.spec(C2, D1).prepared)
        self.change(WHOLE, Composition={})
        self.assertIsNone(self.spec(S1, D1).prepared)

    def test_what_is_refused(self):
        self.assertRaises(base.Refused, self.spec, S1)
        self.assertRaises(base.NotFound, self.spec, S1, D1 + 'x')
        for path, state in ((D1, 'Composed'), (D1, 'Unavailable'),
                            (S1, 'Failed')):
            self.begin()
            self.set_status(path, CompositionState=state)
            self.assertRaises(base.Refused, self.spec, S1, D1)
        self.begin()
        self.put(S1, N1)
        self.assertRaises(base.Refused, self.spec, S1, D1)


class Composing(ExpandCase):

    def test_each_block_once(self):
        spec = self.spec()
        self.assertEqual(base.Done(spec.prepared), self.driver.compose(spec))
        self.assertEqual([S1, D1, N1], self.has())
        self.assertEqual(base.Done(spec.prepared), self.driver.compose(spec))
        self.assertEqual([ADD, ADD], self.server.paths('POST'))

    def test_a_success_without_effect(self):
        spec = self.spec()
        self.pod.replies['POST', ADD] = reply(204)
        told = self.driver.compose(spec)
        with testtools.ExpectedException(base.Ambiguous):
            while True:
                told = self.driver.poll(told)
        self.assertEqual([ADD], self.server.paths('POST'))

    def test_a_poll_that_is_repeated_sends_nothing_again(self):
        spec = self.spec()
        self.pod.replies['POST', ADD] = [
            reply(204), lambda request: self.act(request)]
        told = self.driver.compose(spec)
        self.put(S1, D1)
        for _ in range(2):
            self.assertEqual(base.Done(spec.prepared),
                             self.driver.poll(told))
        self.assertEqual([ADD, ADD], self.server.paths('POST'))

    def test_slashes_do_not_matter(self):
        spec = self.spec(S1, D1)
        self.put(S1 + '/', D1 + '/')
        self.driver.compose(spec)
        self.assertEqual((D1, S1),
                         self.driver.observe(spec.prepared).device_paths)
        self.assertEqual([], self.server.paths('POST'))

    def test_a_server_that_is_gone(self):
        spec = self.spec()
        del self.pod.resources[WHOLE]
        self.assertRaises(base.NotFound, self.driver.compose, spec)
        self.assertIsNone(self.driver.observe(spec.prepared))
        self.assertEqual(base.Done(), self.driver.release(spec.prepared))

    def test_nothing_is_proved_while_a_block_is_on_its_way(self):
        handle = self.spec().prepared
        self.assertIsNone(self.driver.observe(handle))
        self.set_status(N1, CompositionState='Composing')
        self.assertRaises(base.Busy, self.driver.observe, handle)
        self.set_status(N1, CompositionState='Unused')
        task = TASKS + '/Tasks/7'
        self.pod.resources.update({
            TASKS: {'Tasks': link(TASKS + '/Tasks')},
            TASKS + '/Tasks': collection(TASKS + '/Tasks', '7'),
            task: {**link(task), 'Name': 'Update', 'TaskState': 'Running',
                   'Payload': {'HttpOperation': 'POST', 'JsonBody':
                               '{"ResourceBlock": "%s"}' % N1}}})
        root = WHOLE.partition('/Systems')[0]
        self.change(root, Tasks=link(TASKS))
        self.driver.identify()
        self.assertRaises(base.Busy, self.driver.observe, handle)
        # It has ended since the server was looked at.
        self.change(task, TaskState='Completed')
        body = self.pod.resources[WHOLE]
        self.pod.replies['GET', WHOLE] = [
            reply(200, body), reply(200, {**body, 'Links': {
                'ResourceBlocks': links(S1, N1)}})]
        self.assertEqual((N1, S1), self.driver.observe(handle).device_paths)


class Whole(ExpandCase):
    """What is to be one system, and ours."""

    HANDLE = base.Handle(COMPOSED, {'tag': 'tag-1'})

    def test_a_system_whose_blocks_are_being_composed(self):
        self.assertIsNone(self.driver.observe(self.HANDLE).unfinished)
        self.set_status(BLOCKS + '/c1', CompositionState='Composing')
        self.assertEqual('Composing',
                         self.driver.observe(self.HANDLE).unfinished)
        # One that is gone says nothing.
        del self.pod.resources[BLOCKS + '/c1']
        self.assertIsNone(self.driver.observe(self.HANDLE).unfinished)

    def test_power_and_boot_of_somebody_elses(self):
        self.change(COMPOSED, Name='another')
        self.assertRaises(base.Refused, self.driver.set_power, self.HANDLE,
                          'On')
        self.assertRaises(base.Refused, self.driver.set_boot, self.HANDLE,
                          'Pxe', 'Once')
        for method in ('POST', 'PATCH'):
            self.assertEqual([], self.server.paths(method))
