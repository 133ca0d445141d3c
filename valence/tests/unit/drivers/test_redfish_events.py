# SPDX-License-Identifier: Apache-2.0
"""Does the Redfish driver subscribe to events once, and no more?"""

import testtools

from valence.drivers import base
from valence.drivers.redfish import events
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.pod import (
    ROOT,
    PodMixin,
    collection,
    link,
    links,
)
from valence.tests.unit.drivers.server import reply

SERVICE = ROOT + '/EventService'
SUBSCRIPTIONS = SERVICE + '/Subscriptions'
OURS = 'http://valence.example/v1/events/1'


class Subscribe(testtools.TestCase, PodMixin):

    def setUp(self):
        super().setUp()
        self.begin()

    def begin(self, **limits):
        self.start(**limits)
        self.change(ROOT, EventService=link(SERVICE))
        self.pod.resources[SERVICE] = {
            **link(SERVICE), 'ServiceEnabled': True,
            'Subscriptions': link(SUBSCRIPTIONS)}
        self.pod.replies['POST', SUBSCRIPTIONS] = reply(
            201, {}, {'Location': SUBSCRIPTIONS + '/9'})
        self.there()

    def there(self, *destinations, page=None):
        """These subscriptions, some on each page."""
        names = [str(number) for number in range(len(destinations))]
        for name, destination in zip(names, destinations, strict=True):
            path = f'{SUBSCRIPTIONS}/{name}'
            self.pod.resources[path] = {
                **link(path), 'Id': name, 'Destination': destination}
        self.pod.resources[SUBSCRIPTIONS] = collection(SUBSCRIPTIONS, *names)
        if page is None:
            return
        for first in range(0, len(names), page):
            path = f'{SUBSCRIPTIONS}?$skip={first}' if first else (
                SUBSCRIPTIONS)
            body = {**link(SUBSCRIPTIONS), 'Members': links(*(
                f'{SUBSCRIPTIONS}/{name}'
                for name in names[first:first + page])),
                'Members@odata.count': len(names)}
            if first + page < len(names):
                body['Members@odata.nextLink'] = (
                    f'{SUBSCRIPTIONS}?$skip={first + page}')
            self.pod.replies['GET', path] = reply(200, body)

    def made(self):
        """How many subscriptions are asked for."""
        self.driver.subscribe(OURS)
        return len(self.server.paths('POST'))

    def test_made_where_there_is_none(self):
        self.assertEqual(1, self.made())
        self.assertEqual(
            {'Destination': OURS, 'Protocol': 'Redfish',
             'Context': 'Valence'}, self.server.requests[-1].json)

    def test_made_where_there_are_others(self):
        self.there('http://other.example/', OURS + '0')
        self.assertEqual(1, self.made())

    def test_not_made_again(self):
        self.there('http://other.example/', OURS)
        self.assertEqual(0, self.made())

    def test_found_on_any_page(self):
        for number in range(4):
            self.begin()
            told = ['http://other.example/'] * 4
            told[number] = OURS
            self.there(*told, page=1)
            self.assertEqual(0, self.made())

    def test_others_that_cannot_be_read(self):
        for status in (403, 404, 410):
            self.begin()
            self.there('http://other.example/')
            self.pod.replies['GET', SUBSCRIPTIONS + '/0'] = reply(status)
            self.assertEqual(1, self.made())

    def test_no_more_where_not_all_could_be_read(self):
        self.there('http://other.example/')
        self.pod.replies['GET', SUBSCRIPTIONS + '/0'] = reply(500)
        self.assertRaises(base.DriverError, self.driver.subscribe, OURS)
        self.assertEqual([], self.server.paths('POST'))

    def test_subscriptions_without_end(self):
        """Each page names one more, which is never ours."""
        def page(request):
            skip = int(request.path.partition('=')[2] or 0)
            return reply(200, {
                'Members': [{**link(f'{SUBSCRIPTIONS}/{skip}'), 'Id': 'x'}],
                'Members@odata.nextLink':
                    f'{SUBSCRIPTIONS}?$skip={skip + 1}'})

        self.server.handler = lambda request: (
            page(request) if request.path.startswith(SUBSCRIPTIONS)
            else self.pod(request))
        self.assertRaises(base.BadAnswer, self.driver.subscribe, OURS)
        self.assertEqual([], self.server.paths('POST'))

    def test_more_subscriptions_than_are_looked_through(self):
        self.pod.resources[SUBSCRIPTIONS] = {
            **link(SUBSCRIPTIONS), 'Members': [
                {**link(f'{SUBSCRIPTIONS}/{number}'), 'Id': 'x'}
                for number in range(events._MOST + 1)]}
        self.assertRaises(base.BadAnswer, self.driver.subscribe, OURS)
        self.assertEqual([], self.server.paths('POST'))

    def test_pages_in_a_circle_and_elsewhere(self):
        for where in (SUBSCRIPTIONS, 'http://evil.example' + SUBSCRIPTIONS):
            self.change(SUBSCRIPTIONS, **{'Members@odata.nextLink': where})
            self.assertRaises(base.BadAnswer, self.driver.subscribe, OURS)
        self.assertEqual([], self.server.paths('POST'))

    def test_a_lost_answer_is_not_sent_again(self):
        self.pod.replies['POST', SUBSCRIPTIONS] = lambda _: server.reset
        self.assertRaises(base.Unreachable, self.driver.subscribe, OURS)
        self.assertEqual([SUBSCRIPTIONS], self.server.paths('POST'))

    def test_no_event_service(self):
        self.change(SERVICE, ServiceEnabled='false')
        self.assertRaises(base.Unsupported, self.driver.subscribe, OURS)
        self.change(ROOT, EventService=None)
        self.assertRaises(base.Unsupported, self.driver.subscribe, OURS)
