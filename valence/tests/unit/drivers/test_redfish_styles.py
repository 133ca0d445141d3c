# SPDX-License-Identifier: Apache-2.0
"""Does the Redfish driver compose in the way that a service wants?"""

import testtools

from valence.drivers import base
from valence.drivers.redfish import constrained
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.pod import (
    BLOCKS,
    COMPOSED,
    MONITOR,
    ROOT,
    SERVICE,
    SYSTEMS,
    WHOLE,
    ZONES,
    PodMixin,
    collection,
    link,
    links,
)
from valence.tests.unit.drivers.server import reply

COMPOSE = SERVICE + '/Actions/CompositionService.Compose'
RESERVATIONS = SERVICE + '/CompositionReservations'
NEW = SYSTEMS + '/new'
SPEC = base.Spec('tag-2', 'web', (BLOCKS + '/c2', BLOCKS + '/d1'),
                 ZONES + '/1')
DONE = base.Done(base.Handle(NEW, {'tag': 'tag-2'}))
TYPES = ('Preview', 'PreviewReserve', 'Apply')


class StyleCase(testtools.TestCase, PodMixin):

    def setUp(self):
        super().setUp()
        self.start()

    def capability(self, use_case, place=SYSTEMS, **told):
        path = SYSTEMS + '/' + use_case
        self.pod.resources[path] = told
        self.change(place, **{'@Redfish.CollectionCapabilities': {
            'Capabilities': [{'UseCase': use_case,
                              'CapabilitiesObject': link(path)}]}})

    def allow(self, methods):
        self.pod.replies['GET', SYSTEMS] = lambda _: reply(
            200, self.pod.resources[SYSTEMS], {'Allow': methods})

    def offer_manifest(self, types=TYPES, posts=False):
        self.allow('GET, HEAD, POST' if posts else 'GET, HEAD')
        self.change(
            SERVICE, CompositionReservations=link(RESERVATIONS),
            Actions={'#CompositionService.Compose': {
                'target': COMPOSE,
                'RequestType@Redfish.AllowableValues': list(types)}})
        self.pod.resources[RESERVATIONS] = collection(RESERVATIONS)
        self.responses = {}
        self.pod.replies['POST', COMPOSE] = self.manifest

    def manifest(self, request):
        body = request.json
        kind = body['RequestType']
        stanza = body['Manifest']['Stanzas'][0]
        if kind in self.responses:
            return self.responses[kind]
        response = {'Name': stanza['Request'].get('Name')}
        more = {}
        if kind == 'PreviewReserve':
            more = {'ReservationId': '7'}
            self.reserve('7', stanza['StanzaId'])
        elif kind == 'Preview':
            pass
        elif stanza['StanzaType'] == 'ComposeSystem':
            self.exists()
            response = self.pod.resources[NEW]
        else:
            path = stanza['Request']['@odata.id']
            del self.pod.resources[path]
        return self.answer(response, **more)

    def answer(self, response, **more):
        return reply(200, {
            'RequestFormat': 'Manifest', 'Manifest': {'Stanzas': [
                {'StanzaType': 'ComposeSystem', 'Response': response}]},
            **more})

    def reserve(self, number, tag):
        path = f'{RESERVATIONS}/{number}'
        self.pod.resources[path] = {
            **link(path), 'Id': number, 'Name': 'Reservation', 'Manifest': {
                'Stanzas': [{'StanzaId': tag}]}}
        self.change(RESERVATIONS, Members=links(path))

    def exists(self, name='tag-2'):
        self.pod.resources[NEW] = {
            **link(NEW), 'Name': name, 'Id': 'new', 'SystemType': 'Composed',
            'Links': {'ResourceBlocks': links(*SPEC.device_paths)}}
        self.change(SYSTEMS, Members=links(COMPOSED, WHOLE, NEW))

    def posts(self):
        return [(one.json.get('RequestType', one.path), one.json.get(
            'ReservationId')) for one in self.server.requests
            if one.method == 'POST']


class Choice(StyleCase):

    def chosen(self, **properties):
        self.pod.replies['POST', SYSTEMS] = reply(
            201, {}, {'Location': NEW})
        self.driver.compose(SPEC)
        return self.posts()[0][0]

    def test_specific_where_it_is_offered(self):
        self.offer_manifest(posts=True)
        self.capability('ComputerSystemComposition')
        self.assertEqual(SYSTEMS, self.chosen())

    def test_specific_where_nothing_is_said(self):
        self.assertEqual(SYSTEMS, self.chosen())

    def test_a_manifest_where_the_collection_takes_no_post(self):
        self.offer_manifest()
        self.capability('ComputerSystemComposition')
        self.assertEqual('PreviewReserve', self.chosen())

    def test_a_manifest_after_a_405(self):
        self.offer_manifest(posts=True)
        self.capability('ComputerSystemComposition')
        self.pod.replies['POST', SYSTEMS] = reply(405)
        self.assertEqual(DONE, self.driver.compose(SPEC))
        self.assertEqual([SYSTEMS, 'PreviewReserve', 'Apply'],
                         [kind for kind, _ in self.posts()])

    def test_constrained_where_there_is_nothing_else(self):
        self.capability('ComputerSystemConstrainedComposition')
        able = self.driver.identify().capabilities
        self.assertEqual(('backend', True), (able.allocation.value,
                                             able.compose))
        self.capability('ComputerSystemComposition')
        self.assertEqual('valence', self.driver.identify(
            ).capabilities.allocation.value)

    def test_a_service_that_only_expands_its_systems(self):
        self.allow('GET, HEAD')
        self.assertFalse(self.driver.identify().capabilities.compose)
        self.capability('ComputerSystemComposition')
        self.assertTrue(self.driver.identify().capabilities.compose)
        self.start(properties={'composition': 'specific'})
        self.allow('GET, HEAD')
        self.assertTrue(self.driver.identify().capabilities.compose)

    def test_what_the_operator_wants(self):
        self.start(properties={'composition': 'manifest'})
        self.assertRaises(base.Misconfigured, self.driver.identify)
        self.assertRaises(base.Misconfigured, self.driver.compose, SPEC)
        self.offer_manifest(posts=True)
        self.capability('ComputerSystemComposition')
        self.assertEqual(DONE, self.driver.compose(SPEC))
        self.assertEqual('PreviewReserve', self.posts()[0][0])

    def test_a_target_elsewhere_is_no_offer(self):
        self.offer_manifest(posts=True)
        self.change(SERVICE, Actions={'#CompositionService.Compose': {
            'target': 'http://evil' + COMPOSE}})
        self.assertFalse(self.driver.identify().capabilities.preview)
        self.assertEqual(SYSTEMS, self.chosen())

    def test_a_target_with_a_spelling_of_its_own(self):
        self.offer_manifest()
        odd = ROOT + '/CompostionService/Actions/Compose'
        self.change(SERVICE, Actions={'#CompositionService.Compose': {
            'target': odd}})
        self.pod.replies['POST', odd] = self.manifest
        self.assertEqual(DONE, self.driver.compose(SPEC))


class Manifest(StyleCase):

    def setUp(self):
        super().setUp()
        self.offer_manifest()

    def test_reserved_and_applied(self):
        self.assertEqual(DONE, self.driver.compose(SPEC))
        self.assertEqual([('PreviewReserve', None), ('Apply', '7')],
                         self.posts())
        stanza = self.server.requests[-1].json['Manifest']['Stanzas'][0]
        self.assertEqual(('ComposeSystem', 'tag-2', 'tag-2'), (
            stanza['StanzaType'], stanza['StanzaId'],
            stanza['Request']['Name']))
        self.assertEqual(links(*SPEC.device_paths),
                         stanza['Request']['Links']['ResourceBlocks'])

    def test_applied_where_there_are_no_reservations(self):
        self.offer_manifest(types=('Preview', 'Apply'))
        self.assertEqual(DONE, self.driver.compose(SPEC))
        self.assertEqual([('Preview', None), ('Apply', None)], self.posts())
        able = self.driver.identify().capabilities
        self.assertEqual((True, False), (able.preview, able.reserve))

    def test_a_preview_that_is_refused_comes_before_any_change(self):
        self.offer_manifest(types=('Preview', 'Apply'))
        self.responses = {'Preview': self.answer(server.error('no'))}
        self.assertRaises(base.Refused, self.driver.compose, SPEC)
        self.assertEqual([('Preview', None)], self.posts())

    def test_a_plain_preview_that_composes_is_done(self):
        def compose(request):
            self.exists()
            return self.answer(self.pod.resources[NEW])

        self.offer_manifest(types=('Preview', 'Apply'))
        self.pod.replies['POST', COMPOSE] = compose
        self.assertEqual(DONE, self.driver.compose(SPEC))
        self.assertEqual([('Preview', None)], self.posts())

    def test_what_is_not_listed_is_no_preview(self):
        self.change(SERVICE, CompositionReservations=None, Actions={
            '#CompositionService.Compose': {'target': COMPOSE}})
        self.assertEqual(DONE, self.driver.compose(SPEC))
        self.assertEqual([('Apply', None)], self.posts())
        self.assertFalse(self.driver.identify().capabilities.preview)

    def test_reservations_are_told_by_what_else_there_is(self):
        self.change(SERVICE, Actions={'#CompositionService.Compose': {
            'target': COMPOSE}})
        self.driver.compose(SPEC)
        self.assertEqual(2, len(self.posts()))

    def test_the_reservation_of_a_predecessor_is_applied(self):
        self.reserve('5', 'tag-2')
        self.assertEqual(DONE, self.driver.compose(SPEC))
        self.assertEqual([('Apply', '5')], self.posts())

    def test_the_reservation_of_another_is_not(self):
        self.reserve('5', 'tag-3')
        self.assertEqual(DONE, self.driver.compose(SPEC))
        self.assertEqual([('PreviewReserve', None), ('Apply', '7')],
                         self.posts())

    def test_a_preview_that_composes_is_done(self):
        def compose(request):
            self.exists()
            return self.answer(self.pod.resources[NEW])

        self.pod.replies['POST', COMPOSE] = compose
        self.assertEqual(DONE, self.driver.compose(SPEC))
        self.assertEqual([('PreviewReserve', None)], self.posts())

    def test_each_stanza_is_checked(self):
        for kind in ('PreviewReserve', 'Apply'):
            self.responses = {kind: self.answer(server.error(
                'Block c2 is reserved.',
                'Composition.1.1.SpecifiedResourceAlreadyReserved'))}
            self.pod.replies['DELETE', RESERVATIONS + '/7'] = reply(204)
            error = self.assertRaises(base.Refused, self.driver.compose,
                                      SPEC)
            self.assertIn('Block c2 is reserved.', str(error))
            self.assertEqual(
                ('Composition.1.1.SpecifiedResourceAlreadyReserved',),
                error.message_ids)
        # What was reserved for nothing is given back.
        self.assertEqual([RESERVATIONS + '/7'], self.server.paths('DELETE'))

    def test_odd_stanzas_are_looked_behind(self):
        self.exists()
        for body in ({}, {'Manifest': None}, {'Manifest': {'Stanzas': 5}},
                     {'Manifest': {'Stanzas': [None, {}]}},
                     {'Manifest': {'Stanzas': [{'Response': {
                         '@odata.id': 'http://evil' + NEW}}]}}):
            self.offer_manifest(types=('Apply',))
            self.responses = {'Apply': reply(200, body)}
            self.assertEqual(DONE, self.driver.compose(SPEC))

    def test_done_but_nothing_was_done(self):
        self.responses = {'Apply': self.answer({'Name': 'tag-2'})}
        self.assertRaises(base.Ambiguous, self.driver.compose, SPEC)

    def test_a_lost_answer_is_not_sent_again(self):
        for kind in ('PreviewReserve', 'Apply'):
            self.start()
            self.offer_manifest()
            self.responses = {kind: lambda _: server.reset}
            self.pod.replies['POST', COMPOSE] = lambda request: (
                server.reset if request.json['RequestType'] in
                self.responses else self.manifest(request))
            self.assertRaises(base.Ambiguous, self.driver.compose, SPEC)
            kinds = [one for one, _ in self.posts()]
            self.assertEqual(1, kinds.count(kind))

    def test_in_the_background(self):
        self.pod.replies['POST', COMPOSE] = lambda request: (
            reply(202, b'', {'Location': MONITOR})
            if request.json['RequestType'] == 'Apply'
            else self.manifest(request))
        pending = self.driver.compose(SPEC)
        self.exists()
        self.pod.replies['GET', MONITOR] = [
            reply(202), self.answer(server.error('no')),
            self.answer(self.pod.resources[NEW])]
        self.assertIsInstance(self.driver.poll(pending), base.Pending)
        self.assertRaises(base.Refused, self.driver.poll, pending)
        self.assertEqual(DONE, self.driver.poll(pending))

    def background(self):
        """An Apply that has become a task."""
        self.pod.replies['POST', COMPOSE] = lambda request: (
            reply(202, b'', {'Location': MONITOR})
            if request.json['RequestType'] == 'Apply'
            else self.manifest(request))
        self.pod.replies['DELETE', RESERVATIONS + '/7'] = reply(204)
        return self.driver.compose(SPEC)

    def test_what_failed_in_the_background_keeps_no_reservation(self):
        for answer in (reply(400, server.error('no')), self.answer(
                server.error('no'))):
            self.start()
            self.offer_manifest()
            pending = self.background()
            self.pod.replies['GET', MONITOR] = [reply(202), answer]
            self.assertIsInstance(self.driver.poll(pending), base.Pending)
            self.assertEqual([], self.server.paths('DELETE'))
            self.assertRaises(base.Refused, self.driver.poll, pending)
            self.assertEqual([RESERVATIONS + '/7'],
                             self.server.paths('DELETE'))

    def test_what_is_cancelled_keeps_no_reservation(self):
        pending = self.background()
        self.pod.replies['DELETE', MONITOR] = reply(204)
        self.driver.cancel(pending)
        self.assertEqual([MONITOR, RESERVATIONS + '/7'],
                         self.server.paths('DELETE'))

    def test_what_cannot_be_cancelled_keeps_its_reservation(self):
        pending = self.background()
        self.pod.replies['DELETE', MONITOR] = reply(405)
        self.driver.cancel(pending)
        self.assertEqual([MONITOR], self.server.paths('DELETE'))

    def test_what_is_released_keeps_no_reservation(self):
        self.exists()
        self.reserve('5', 'tag-2')
        self.pod.replies['DELETE', RESERVATIONS + '/5'] = reply(204)
        self.pod.replies['DELETE', NEW] = reply(204)
        self.assertEqual(base.Done(), self.driver.release(DONE.handle))
        self.assertEqual([NEW, RESERVATIONS + '/5'],
                         self.server.paths('DELETE'))

    def test_a_reservation_that_stays_is_no_error(self):
        pending = self.background()
        for answer in (reply(500), reply(404), lambda _: server.reset):
            self.pod.replies['DELETE', RESERVATIONS + '/7'] = answer
            self.pod.replies['GET', MONITOR] = reply(
                400, server.error('no'))
            error = self.assertRaises(base.Refused, self.driver.poll,
                                      pending)
            self.assertIn('no', str(error))

    def test_a_reservation_in_the_background_is_waited_for(self):
        def slow(request):
            if request.json['RequestType'] == 'Apply':
                return self.manifest(request)
            self.pod.replies['GET', MONITOR] = [
                reply(202, b'', {'Retry-After': '0'}),
                self.manifest(request)]
            return reply(202, b'', {'Location': MONITOR,
                                    'Retry-After': '0'})

        self.pod.replies['POST', COMPOSE] = slow
        self.assertEqual(DONE, self.driver.compose(SPEC))
        self.assertEqual([('PreviewReserve', None), ('Apply', '7')],
                         self.posts())

    def test_a_reservation_that_takes_too_long_is_asked_for_again(self):
        self.responses = {'PreviewReserve': reply(202, b'', {
            'Location': MONITOR, 'Retry-After': '4'})}
        self.assertRaises(base.Busy, self.driver.compose, SPEC)
        self.reserve('9', 'tag-2')
        self.assertEqual(DONE, self.driver.compose(SPEC))
        self.assertEqual([('PreviewReserve', None), ('Apply', '9')],
                         self.posts())

    def test_taken_apart_by_a_manifest(self):
        handle = base.Handle(COMPOSED, {'tag': 'tag-1'})
        self.pod.replies['GET', COMPOSED] = lambda _: (
            reply(200, self.pod.resources[COMPOSED], {'Allow': 'GET'})
            if COMPOSED in self.pod.resources else reply(404))
        self.assertEqual(base.Done(), self.driver.release(handle))
        body, = [one.json for one in self.server.requests
                 if one.method == 'POST']
        self.assertEqual('Apply', body['RequestType'])
        self.assertEqual([{'StanzaType': 'DecomposeSystem',
                           'StanzaId': 'tag-1', 'Request': link(COMPOSED)}],
                         body['Manifest']['Stanzas'])
        self.assertEqual([], self.server.paths('DELETE'))
        self.assertIsNone(self.driver.observe(handle))


class Constrained(StyleCase):

    WANTED = {'processor': {'total_cores': 16, 'model': 'Xeon'},
              'memory': {'capacity_mib': 1000, 'type': 'DDR5'},
              'pci_device': {'type': ['gpu', 'nic', 'nvme', 'nvme']}}

    def setUp(self):
        super().setUp()
        self.capability('ComputerSystemConstrainedComposition')
        self.spec = base.Spec('tag-2', 'web', (), ZONES + '/1', self.WANTED)

    def test_what_is_asked_for(self):
        self.pod.replies['POST', SYSTEMS] = reply(
            201, {}, {'Location': NEW})
        self.change(SERVICE, AllowOverprovisioning='true',
                    AllowZoneAffinity=True)
        self.assertEqual(DONE, self.driver.compose(self.spec))
        count, more = '@Redfish.RequestedCount', (
            '@Redfish.AllowOverprovisioning')
        self.assertEqual({
            'Name': 'tag-2', 'Description': 'web',
            '@Redfish.ZoneAffinity': '1',
            'Processors': {'Members': [
                {count: 1, more: True, 'ProcessorType': 'CPU',
                 'TotalCores': 16, 'Model': 'Xeon'},
                {count: 1, more: True, 'ProcessorType': 'GPU'}]},
            'Memory': {'Members': [
                {count: 1, more: True, 'CapacityMiB': 1000,
                 'MemoryDeviceType': 'DDR5'}]},
            'Drives': {'Members': [{count: 2, more: True,
                                    'Protocol': 'NVMe'}]},
            'EthernetInterfaces': {'Members': [{count: 1, more: True}]},
        }, self.server.requests[-1].json)

    def test_another_form_where_there_is_no_match(self):
        refused = reply(409, server.error(
            'None.', 'Composition.1.1.NoResourceMatch'))
        self.pod.replies['POST', SYSTEMS] = [
            refused, refused, reply(201, {}, {'Location': NEW})]
        self.assertEqual(DONE, self.driver.compose(self.spec))
        forms = [(one.json['Processors']['Members'][0], one.json['Memory'][
            'Members'][0]) for one in self.server.requests
            if one.method == 'POST']
        self.assertEqual([(16, 1000), (16, 500), (8, 1000)], [
            (cpu['TotalCores'], module['CapacityMiB'])
            for cpu, module in forms])
        self.assertEqual([1, 1, 2], [
            cpu['@Redfish.RequestedCount'] for cpu, _ in forms])

    def test_no_match_in_any_form(self):
        self.pod.replies['POST', SYSTEMS] = reply(409, server.error(
            'None.', 'Composition.1.1.NoResourceMatch'))
        error = self.assertRaises(base.Refused, self.driver.compose,
                                  self.spec)
        self.assertIn('None.', str(error))
        sent = [one.body for one in self.server.requests
                if one.method == 'POST']
        self.assertEqual(len(set(sent)), len(sent))
        self.assertLess(len(sent), 10)

    def test_another_refusal_is_the_last_word(self):
        self.pod.replies['POST', SYSTEMS] = reply(400, server.error('no'))
        self.assertRaises(base.Refused, self.driver.compose, self.spec)
        self.assertEqual([SYSTEMS], self.server.paths('POST'))

    def test_a_lost_answer_is_not_sent_again(self):
        self.pod.replies['POST', SYSTEMS] = lambda _: server.reset
        self.assertRaises(base.Ambiguous, self.driver.compose, self.spec)
        self.assertEqual([SYSTEMS], self.server.paths('POST'))

    def test_no_devices_can_be_named(self):
        self.assertRaises(base.Refused, self.driver.compose, SPEC)
        self.assertEqual([], self.server.paths('POST'))

    def test_forms_differ_only_where_something_is_asked_for(self):
        for wanted, forms in (({}, 1), ({'processor': {'model': 'x'}}, 1),
                              ({'memory': {'capacity_mib': 8}}, 4)):
            spec = base.Spec('t', '', requirements=wanted)
            self.assertEqual(forms, len([*constrained.requests(spec, {})]))
        self.assertRaises(base.Unsupported, list, constrained.requests(
            base.Spec('t', '', requirements={
                'pci_device': {'type': ['other']}}), {}))


class Reserving(StyleCase):

    def setUp(self):
        super().setUp()
        self.start(properties={'reserve': True})
        for path in SPEC.device_paths:
            self.pod.replies['PATCH', path] = self.patch
        self.pod.replies['POST', SYSTEMS] = reply(
            201, {}, {'Location': NEW})

    def patch(self, request):
        status = self.pod.resources[request.path]['CompositionStatus']
        self.change(request.path, CompositionStatus={
            **status, **request.json['CompositionStatus']})
        return reply(204)

    def reserved(self):
        return [self.pod.resources[path]['CompositionStatus']['Reserved']
                for path in SPEC.device_paths]

    def flags(self):
        return [one.json['CompositionStatus']['Reserved']
                for one in self.server.requests if one.method == 'PATCH']

    def test_for_the_time_of_the_request(self):
        during = []

        def compose(_):
            during.extend(self.reserved())
            return reply(201, {}, {'Location': NEW})

        self.pod.replies['POST', SYSTEMS] = compose
        self.assertTrue(self.driver.identify().capabilities.reserve)
        self.assertEqual(DONE, self.driver.compose(SPEC))
        self.assertEqual([True, True], during)
        self.assertEqual([False, False], self.reserved())

    def test_given_back_after_a_refusal_and_a_lost_answer(self):
        for answer, kind in ((reply(409), base.Refused),
                             (lambda _: server.reset, base.Ambiguous)):
            self.pod.replies['POST', SYSTEMS] = answer
            self.assertRaises(kind, self.driver.compose, SPEC)
            self.assertEqual([False, False], self.reserved())

    def test_what_is_reserved_already_is_no_obstacle(self):
        """It may be so by an attempt that was cut off."""
        self.change(SPEC.device_paths[1], CompositionStatus={
            'CompositionState': 'Unused', 'Reserved': 'true'})
        self.pod.replies['POST', SYSTEMS] = reply(409)
        self.assertRaises(base.Refused, self.driver.compose, SPEC)
        self.assertEqual([False, 'true'], self.reserved())
        self.pod.replies['POST', SYSTEMS] = reply(
            201, {}, {'Location': NEW})
        self.assertEqual(DONE, self.driver.compose(SPEC))
        self.assertEqual([False, False], self.reserved())

    def test_somebody_else_is_faster(self):
        self.pod.replies['PATCH', SPEC.device_paths[1]] = reply(412)
        self.assertRaises(base.Busy, self.driver.compose, SPEC)
        self.assertEqual([False, False], self.reserved())
        self.assertEqual([], self.server.paths('POST'))

    def test_a_lost_answer_of_the_flag(self):
        self.pod.replies['PATCH', SPEC.device_paths[1]] = (
            lambda _: server.reset)
        self.assertRaises(base.Ambiguous, self.driver.compose, SPEC)
        self.assertEqual([], self.server.paths('POST'))
        self.pod.replies['PATCH', SPEC.device_paths[1]] = self.patch
        self.assertEqual(DONE, self.driver.compose(SPEC))
        self.assertEqual([False, False], self.reserved())

    def test_a_service_without_the_flag(self):
        for status in (403, 405, 501):
            for path in SPEC.device_paths:
                self.pod.replies['PATCH', path] = reply(status)
            self.assertEqual(DONE, self.driver.compose(SPEC))

    def test_what_a_crash_left_is_taken_back_at_the_release(self):
        self.exists()
        for path in SPEC.device_paths:
            self.change(path, CompositionStatus={
                'CompositionState': 'Composed', 'Reserved': True})
        self.pod.replies['DELETE', NEW] = reply(204)
        self.driver.release(DONE.handle)
        self.assertEqual([False, False], self.reserved())

    def test_not_unless_told(self):
        self.start()
        self.pod.replies['POST', SYSTEMS] = reply(
            201, {}, {'Location': NEW})
        self.driver.compose(SPEC)
        self.assertEqual([], self.flags())
