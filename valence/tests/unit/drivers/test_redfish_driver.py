# SPDX-License-Identifier: Apache-2.0
"""What does the Redfish driver send, and what does it make of the answer?"""

import json

import testtools

from valence.drivers import base
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.pod import (
    BLOCKS,
    COMPOSED,
    MONITOR,
    RESET,
    ROOT,
    SERVICE,
    SYSTEMS,
    TASK,
    WHOLE,
    ZONES,
    PodMixin,
    link,
    links,
)
from valence.tests.unit.drivers.server import reply

SPEC = base.Spec('tag-2', 'web', (BLOCKS + '/c2', BLOCKS + '/d1'),
                 ZONES + '/1')
HANDLE = base.Handle(COMPOSED, {'tag': 'tag-1'})
NEW = SYSTEMS + '/new'


def task(state, **more):
    return {'@odata.type': '#Task.v1_7_0.Task', '@odata.id': TASK,
            'Id': '1', 'TaskState': state, **more}


class DriverCase(testtools.TestCase, PodMixin):

    def setUp(self):
        super().setUp()
        self.start()

    def answer(self, method, path, *answers):
        self.pod.replies[method, path] = list(answers)

    def exists(self, name='tag-2'):
        self.pod.resources[NEW] = {**link(NEW), 'Name': name, 'Id': 'new',
                                   'SystemType': 'Composed'}
        self.change(SYSTEMS, Members=links(COMPOSED, WHOLE, NEW))

    def assertNew(self, done):
        self.assertEqual(base.Done(base.Handle(NEW, {'tag': 'tag-2'})), done)

    def body(self, method='POST'):
        return [one.json for one in self.server.requests
                if one.method == method][-1]


class Identify(DriverCase):

    def test_who_and_what(self):
        identity = self.driver.identify()
        self.assertEqual(('Contoso Pod', '1.20.0', 'abc'), (
            identity.product, identity.version, identity.uuid))
        capabilities = identity.capabilities
        self.assertTrue(capabilities.compose)
        self.assertFalse(capabilities.attach)
        self.assertEqual(('On', 'ForceOff'), capabilities.reset_types)
        self.assertEqual(('None', 'Pxe', 'Hdd'), capabilities.boot_targets)

    def test_what_lists_nothing_is_worth_a_try(self):
        """AllowableValues and ActionInfo are optional."""
        self.change(COMPOSED, Boot={'BootSourceOverrideTarget': 'None'},
                    Actions={'#ComputerSystem.Reset': {'target': RESET}})
        capabilities = self.driver.identify().capabilities
        most = self.driver.capabilities
        self.assertEqual((most.reset_types, most.boot_targets), (
            capabilities.reset_types, capabilities.boot_targets))
        found = self.driver.observe(HANDLE)
        self.assertEqual(((), ()), (found.allowed_resets,
                                    found.allowed_boot_targets))

    def test_what_is_not_there_is_not_promised(self):
        for actions in (None, {}, {'#ComputerSystem.Reset': {}}, {
                '#ComputerSystem.Reset': {'target': 'http://evil/x'}}):
            self.change(COMPOSED, Boot=None, Actions=actions)
            capabilities = self.driver.identify().capabilities
            self.assertEqual(((), ()), (capabilities.reset_types,
                                        capabilities.boot_targets))

    def test_words_that_the_driver_does_not_declare(self):
        self.change(WHOLE, Boot={
            'BootSourceOverrideTarget@Redfish.AllowableValues': [
                'Recovery', 'Usb']}, Actions={'#ComputerSystem.Reset': {
                    'target': RESET,
                    'ResetType@Redfish.AllowableValues': ['Pause', 'Nmi']}})
        capabilities = self.driver.identify().capabilities
        self.assertEqual(('On', 'ForceOff', 'Nmi'),
                         capabilities.reset_types)
        self.assertEqual(('None', 'Pxe', 'Usb', 'Hdd'), tuple(
            sorted(capabilities.boot_targets,
                   key=('None', 'Pxe', 'Usb', 'Hdd').index)))

    def test_no_composition(self):
        for status in (404, 501):
            self.answer('GET', SERVICE, reply(status))
            self.assertFalse(self.driver.identify().capabilities.compose)

    def test_composition_without_blocks_or_switched_off(self):
        for path, changes in ((BLOCKS, {'Members': []}),
                              (SERVICE, {'ServiceEnabled': False}),
                              (SERVICE, {'ServiceEnabled': 'false'}),
                              (SERVICE, {'Status': {'State': 'Disabled'}}),
                              (SERVICE, {'ResourceBlocks': None})):
            self.start()
            self.change(path, **changes)
            self.assertFalse(self.driver.identify().capabilities.compose)

    def test_a_secret_is_not_needed_to_be_made(self):
        self.assertEqual(0, self.server.connections)


class Compose(DriverCase):

    def test_created(self):
        self.answer('POST', SYSTEMS, reply(201, {}, {'Location': NEW}))
        self.assertNew(self.driver.compose(SPEC))
        self.assertEqual({
            'Name': 'tag-2', 'Description': 'web', 'Links': {
                'ResourceBlocks': links(*SPEC.device_paths)}}, self.body())

    def test_created_at_an_absolute_location(self):
        self.answer('POST', SYSTEMS, reply(201, {}, {
            'Location': self.server.url + NEW}))
        self.assertNew(self.driver.compose(SPEC))

    def test_created_without_location(self):
        self.answer('POST', SYSTEMS, reply(201, {'@odata.id': NEW}))
        self.assertNew(self.driver.compose(SPEC))

    def test_done_without_saying_where(self):
        self.exists()
        for status in (200, 201, 204):
            self.answer('POST', SYSTEMS, reply(status))
            self.assertNew(self.driver.compose(SPEC))

    def test_a_location_elsewhere_is_not_believed(self):
        self.exists()
        self.answer('POST', SYSTEMS, reply(201, {}, {
            'Location': 'http://evil' + NEW}))
        self.assertNew(self.driver.compose(SPEC))

    def test_said_but_not_done(self):
        self.answer('POST', SYSTEMS, reply(204))
        self.assertRaises(base.Ambiguous, self.driver.compose, SPEC)

    def test_refused_in_the_backends_words(self):
        self.answer('POST', SYSTEMS, reply(409, server.error(
            'Block c2 is in use.', 'Composition.1.1.ResourceBlockInUse')))
        error = self.assertRaises(base.Refused, self.driver.compose, SPEC)
        self.assertIn('Block c2 is in use.', str(error))
        self.assertEqual(409, error.status)

    def test_a_service_that_composes_nothing(self):
        for status in (405, 501):
            self.answer('POST', SYSTEMS, reply(status))
            self.assertRaises(base.Unsupported, self.driver.compose, SPEC)
        self.answer('GET', SERVICE, reply(404))
        self.assertRaises(base.Unsupported, self.driver.compose, SPEC)

    def test_a_lost_answer(self):
        self.pod.replies['POST', SYSTEMS] = lambda _: server.reset
        self.assertRaises(base.Ambiguous, self.driver.compose, SPEC)
        self.assertEqual([SYSTEMS], self.server.paths('POST'))

    def test_a_block_elsewhere_is_not_sent(self):
        spec = base.Spec('t', 'n', ('http://evil/redfish/v1/x',))
        self.assertRaises(base.BadAnswer, self.driver.compose, spec)
        self.assertEqual([], self.server.paths('POST'))

    def require(self, **marks):
        path = SYSTEMS + '/Capabilities'
        self.pod.resources[path] = {
            f'{name}@Redfish.RequiredOnCreate': value
            for name, value in marks.items()}
        self.change(SYSTEMS, **{'@Redfish.CollectionCapabilities': {
            'Capabilities': [{
                'UseCase': 'ComputerSystemComposition',
                'CapabilitiesObject': link(path), 'Links': {
                    'TargetCollection': link(SYSTEMS)}}]}})

    def test_what_is_required_is_given(self):
        self.require(Name=True, Links=True, HostName=True, Id='true',
                     AssetTag=False)
        self.answer('POST', SYSTEMS, reply(201, {}, {'Location': NEW}))
        self.driver.compose(SPEC)
        self.assertEqual(('web', 'tag-2'), (
            self.body()['HostName'], self.body()['Id']))

    def test_what_cannot_be_given_is_said(self):
        self.require(AssetTag=True)
        error = self.assertRaises(base.Refused, self.driver.compose, SPEC)
        self.assertIn('AssetTag', str(error))
        self.assertEqual([], self.server.paths('POST'))


class Tasks(DriverCase):

    def begin(self, **headers):
        self.answer('POST', SYSTEMS, reply(202, task('Running'), {
            'Location': MONITOR, 'Retry-After': '3', **headers}))
        pending = self.driver.compose(SPEC)
        self.assertIsInstance(pending, base.Pending)
        # It is kept in a database, and another process goes on with it.
        return base.Pending(json.loads(json.dumps(dict(pending.monitor))),
                            pending.delay)

    def test_running_then_created(self):
        pending = self.begin()
        self.assertEqual(3.0, pending.delay)
        self.answer('GET', MONITOR, reply(202, task('Running'),
                                          {'Retry-After': '0'}),
                    reply(202), reply(201, {}, {'Location': NEW}))
        pending = self.driver.poll(pending)
        self.assertEqual(0.1, pending.delay)
        pending = self.driver.poll(pending)
        self.assertNew(self.driver.poll(pending))

    def test_an_absolute_monitor(self):
        pending = self.begin(Location=self.server.url + MONITOR)
        self.answer('GET', MONITOR, reply(201, {}, {
            'Location': self.server.url + NEW}))
        self.assertNew(self.driver.poll(pending))

    def test_finished_without_saying_where(self):
        self.exists()
        for status in (200, 204):
            self.answer('GET', MONITOR, reply(status))
            self.assertNew(self.driver.poll(self.begin()))

    def test_finished_with_an_error(self):
        self.answer('GET', MONITOR, reply(409, server.error('in use')))
        error = self.assertRaises(base.Refused, self.driver.poll,
                                  self.begin())
        self.assertIn('in use', str(error))

    def test_the_monitor_is_gone_but_the_task_is_not(self):
        self.exists()
        self.answer('GET', TASK, reply(200, task('Completed')))
        for status in (404, 410):
            self.answer('GET', MONITOR, reply(status))
            self.assertNew(self.driver.poll(self.begin()))

    def test_the_task_knows_what_it_made(self):
        self.answer('GET', TASK, reply(200, task('Completed', Links={
            'CreatedResources': links(NEW)})))
        self.assertNew(self.driver.poll(self.begin()))

    def test_the_task_failed(self):
        for state in ('Exception', 'Killed', 'Cancelled'):
            self.answer('GET', TASK, reply(200, task(state, Messages=[
                {'Message': 'no power', 'MessageId': 'X.1.0.Y'}])))
            error = self.assertRaises(base.Refused, self.driver.poll,
                                      self.begin())
            self.assertIn('no power', str(error))

    def test_the_location_is_the_task_itself(self):
        self.exists()
        pending = self.begin(Location=TASK)
        self.answer('GET', TASK, reply(200, task('Running')),
                    reply(200, task('Completed')))
        pending = self.driver.poll(pending)
        self.assertNew(self.driver.poll(pending))

    def test_everything_is_gone_but_the_system(self):
        self.exists()
        self.assertNew(self.driver.poll(self.begin()))

    def test_everything_is_gone(self):
        self.assertRaises(base.Ambiguous, self.driver.poll, self.begin())

    def test_a_monitor_elsewhere_leaves_the_hardware_to_look_at(self):
        self.answer('POST', SYSTEMS, reply(202, b'', {
            'Location': 'http://evil' + MONITOR}))
        pending = self.driver.compose(SPEC)
        pending = self.driver.poll(pending)
        self.assertIsInstance(pending, base.Pending)
        self.exists()
        self.assertNew(self.driver.poll(pending))

    def test_not_for_ever(self):
        self.answer('POST', SYSTEMS, reply(202))
        pending = self.driver.compose(SPEC)
        for _ in range(1000):
            try:
                pending = self.driver.poll(pending)
            except base.Ambiguous:
                return
        self.fail('it looked a thousand times')


class Find(DriverCase):

    def test_found_and_not_found(self):
        self.assertEqual(base.Handle(COMPOSED, {'tag': 'tag-1'}),
                         self.driver.find('tag-1'))
        self.assertIsNone(self.driver.find('tag-9'))

    def test_not_seen_everywhere_is_not_gone(self):
        self.answer('GET', WHOLE, reply(500))
        self.assertRaises(base.Unreachable, self.driver.find, 'tag-9')
        self.assertIsNotNone(self.driver.find('tag-1'))
        self.answer('GET', SYSTEMS, reply(404))
        self.assertRaises(base.NotFound, self.driver.find, 'tag-1')

    def test_a_system_that_goes_meanwhile(self):
        self.answer('GET', WHOLE, reply(404))
        self.assertIsNone(self.driver.find('tag-9'))

    def test_a_cut_list_proves_nothing(self):
        self.change(SYSTEMS, **{'Members@odata.count': 3})
        self.assertRaises(base.BadAnswer, self.driver.find, 'tag-9')


class Observe(DriverCase):

    def test_as_it_is(self):
        seen = self.driver.observe(HANDLE)
        self.assertEqual(
            ('tag-1', 'On', (BLOCKS + '/c1',), 'None', 'Disabled',
             ('On', 'ForceOff'), ('None', 'Pxe', 'Hdd')),
            (seen.name, seen.power_state, seen.device_paths,
             seen.boot_target, seen.boot_enabled, seen.allowed_resets,
             seen.allowed_boot_targets))

    def test_gone(self):
        del self.pod.resources[COMPOSED]
        self.assertIsNone(self.driver.observe(HANDLE))

    def test_unreadable_is_not_gone(self):
        self.answer('GET', COMPOSED, reply(500))
        self.assertRaises(base.Unreachable, self.driver.observe, HANDLE)

    def test_the_blocks_tell_where_the_system_does_not(self):
        self.change(COMPOSED, Links={})
        self.change(BLOCKS + '/d1', Links={'ComputerSystems': links(
            COMPOSED)})
        self.assertEqual((BLOCKS + '/d1',),
                         self.driver.observe(HANDLE).device_paths)

    def test_allowed_resets_in_an_action_info(self):
        info = COMPOSED + '/ResetActionInfo'
        self.pod.resources[info] = {'Parameters': [
            {'Name': 'ResetType', 'AllowableValues': ['Nmi']}]}
        self.change(COMPOSED, Actions={'#ComputerSystem.Reset': {
            'target': RESET, '@Redfish.ActionInfo': info}})
        self.assertEqual(('Nmi',), self.driver.observe(
            HANDLE).allowed_resets)


class Power(DriverCase):

    def test_sent(self):
        self.answer('POST', RESET, reply(204))
        self.assertEqual(base.Done(), self.driver.set_power(HANDLE, 'On'))
        self.assertEqual({'ResetType': 'On'}, self.body())

    def test_not_allowed_is_not_sent(self):
        error = self.assertRaises(base.Refused, self.driver.set_power,
                                  HANDLE, 'Nmi')
        self.assertIn('ForceOff', str(error))
        self.assertEqual([], self.server.paths('POST'))

    def test_without_a_list_what_the_driver_knows_is_sent(self):
        self.change(COMPOSED, Actions={'#ComputerSystem.Reset': {
            'target': RESET}})
        self.answer('POST', RESET, reply(204))
        self.assertEqual(base.Done(), self.driver.set_power(HANDLE, 'Nmi'))
        self.assertRaises(base.Refused, self.driver.set_power, HANDLE,
                          'Dance')
        self.assertEqual([RESET], self.server.paths('POST'))

    def test_a_target_elsewhere_is_not_followed(self):
        self.change(COMPOSED, Actions={'#ComputerSystem.Reset': {
            'target': 'http://evil/redfish/v1/x'}})
        self.assertRaises(base.BadAnswer, self.driver.set_power, HANDLE,
                          'On')

    def test_no_such_action(self):
        self.change(COMPOSED, Actions=None)
        self.assertRaises(base.Unsupported, self.driver.set_power, HANDLE,
                          'On')

    def test_in_the_background(self):
        self.answer('POST', RESET, reply(202, task('Running'),
                                         {'Location': MONITOR}))
        pending = self.driver.set_power(HANDLE, 'On')
        self.answer('GET', MONITOR, reply(204))
        self.assertEqual(base.Done(), self.driver.poll(pending))
        self.answer('GET', MONITOR, reply(404))
        self.assertRaises(base.Ambiguous, self.driver.poll, pending)


class Boot(DriverCase):

    def patch(self, *answers, obey=True):
        left = list(answers)

        def handle(request):
            answer = left.pop(0) if left else reply(204)
            if obey and answer.startswith(b'HTTP/1.1 2'):
                self.change(COMPOSED, Boot={
                    **self.pod.resources[COMPOSED]['Boot'],
                    **request.json['Boot']})
            return answer

        self.pod.replies['PATCH', COMPOSED] = handle

    def test_set_and_unset(self):
        self.patch()
        self.assertEqual(base.Done(),
                         self.driver.set_boot(HANDLE, 'Pxe', 'Once'))
        self.assertEqual({'Boot': {
            'BootSourceOverrideEnabled': 'Once',
            'BootSourceOverrideTarget': 'Pxe'}}, self.body('PATCH'))
        self.assertEqual(base.Done(),
                         self.driver.set_boot(HANDLE, 'Pxe', 'Disabled'))
        self.assertEqual({'Boot': {'BootSourceOverrideEnabled': 'Disabled'}},
                         self.body('PATCH'))

    def test_not_allowed_is_not_sent(self):
        self.assertRaises(base.Refused, self.driver.set_boot, HANDLE, 'Cd',
                          'Once')
        self.assertEqual([], self.server.paths('PATCH'))

    def test_yes_is_not_believed(self):
        self.patch(obey=False)
        error = self.assertRaises(base.Refused, self.driver.set_boot, HANDLE,
                                  'Pxe', 'Once')
        self.assertIn('Pxe Once', str(error))

    def test_an_etag_is_sent_back(self):
        self.patch()
        self.pod.replies['GET', COMPOSED] = lambda _: reply(
            200, self.pod.resources[COMPOSED], {'ETag': '"5"'})
        self.driver.set_boot(HANDLE, 'Pxe', 'Once')
        self.assertEqual(['"5"'], [
            one.headers.get('if-match') for one in self.server.requests
            if one.method == 'PATCH'])

    def test_a_stale_etag_is_read_again_once(self):
        for status in (412, 428):
            self.start()
            self.patch(reply(status))
            self.driver.set_boot(HANDLE, 'Pxe', 'Once')
            self.assertEqual(2, len(self.server.paths('PATCH')))
        self.start()
        self.patch(reply(412), reply(412))
        error = self.assertRaises(base.Refused, self.driver.set_boot, HANDLE,
                                  'Pxe', 'Once')
        self.assertEqual(412, error.status)


class Release(DriverCase):

    def test_deleted(self):
        self.answer('DELETE', COMPOSED, reply(204))
        self.assertEqual(base.Done(), self.driver.release(HANDLE))

    def test_gone_already(self):
        self.answer('DELETE', COMPOSED, reply(404))
        self.assertEqual(base.Done(), self.driver.release(HANDLE))
        del self.pod.resources[COMPOSED]
        self.assertEqual(base.Done(), self.driver.release(HANDLE))

    def test_a_whole_system_is_never_deleted(self):
        for changes in ({}, {'Links': {'ResourceBlocks': links(
                BLOCKS + '/d1')}}, {'SystemType': None}):
            self.change(WHOLE, **changes)
            if 'SystemType' in changes:
                self.change(WHOLE, Links={})
            self.assertRaises(base.Refused, self.driver.release,
                              base.Handle(WHOLE))
        self.assertEqual([], self.server.paths('DELETE'))

    def test_a_system_that_took_its_place_is_not_deleted(self):
        self.change(COMPOSED, Name='somebody-elses')
        self.assertRaises(base.Refused, self.driver.release, HANDLE)
        self.assertEqual([], self.server.paths('DELETE'))

    def test_in_the_background(self):
        self.answer('DELETE', COMPOSED, reply(202, b'', {
            'Location': MONITOR}))
        pending = self.driver.release(HANDLE)
        self.answer('GET', MONITOR, reply(202), reply(204), reply(404))
        self.assertIsInstance(self.driver.poll(pending), base.Pending)
        self.assertEqual(base.Done(), self.driver.poll(pending))
        self.assertRaises(base.Ambiguous, self.driver.poll, pending)
        del self.pod.resources[COMPOSED]
        self.assertEqual(base.Done(), self.driver.poll(pending))

    def test_a_lost_answer(self):
        self.pod.replies['DELETE', COMPOSED] = lambda _: server.reset
        self.assertRaises(base.Ambiguous, self.driver.release, HANDLE)
        self.assertEqual([COMPOSED], self.server.paths('DELETE'))


class Urls(DriverCase):

    def test_the_root_may_be_given_or_not(self):
        for path in ('', '/', ROOT, ROOT + '/'):
            driver = type(self.driver)(server.endpoint(
                self.server.url + path, username=None))
            self.assertEqual('Contoso Pod', driver.identify().product)
