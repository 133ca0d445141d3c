# SPDX-License-Identifier: Apache-2.0
"""How is a node made of an EESV and EEIOs, changed and taken apart?

The driver speaks over real sockets to a simulated manager, between which a
test loses answers, loses requests, and lets a stranger in.
"""

import dataclasses
import json
import threading

import testtools

from valence.drivers import base
from valence.drivers.expether import ExpEtherDriver, composition
from valence.simulator.eem.generate import Shape
from valence.simulator.eem.service import Behaviour, Service
from valence.simulator.pods import Request
from valence.tests.unit.drivers import server

ROOT = '/eem/devices/'
FREE_EEIO, FREE_EESV = 4093, 4094


@dataclasses.dataclass(frozen=True)
class Spec(base.Spec):
    """A spec with what was prepared for it."""

    prepared: base.Handle | None = None


class Effects:
    """The ledger, in memory."""

    history = ()

    def __init__(self):
        self.effects = []

    def record(self, effect, **details):
        self.effects.append((effect, details))


class Manager:
    """A simulated manager behind a network that does as the test says.

    ``faults`` is by the number of the change, from 1: ``lost`` (done, but
    not answered), ``never`` (not even done) or a function called before it.
    """

    def __init__(self, **options):
        self.ledger = Effects()
        self.service = Service(
            Shape(compute=3, nvme=3, nic=1, gpu=2, accelerator=0, legacy=1,
                  max_eeio=4), Behaviour(auth='none', **options), self.ledger)
        self.lock = threading.Lock()
        self.changes = 0
        self.faults = {}

    def __call__(self, request):
        with self.lock:
            fault = None
            if request.method != 'GET':
                self.changes += 1
                fault = self.faults.get(self.changes)
            if fault == 'never':
                return server.reset
            if callable(fault):
                fault()
            answer = self.service.handle(Request(
                request.method, request.path, {}, request.body))
            if fault == 'lost':
                return server.reset
            return server.reply(answer.status, answer.body)

    def groups(self):
        return {ROOT + name: one.group for name, one in
                self.service.pod.devices.items()}

    def taken(self):
        return {path: group for path, group in self.groups().items()
                if group not in (FREE_EEIO, FREE_EESV)}

    def take(self, path, group=77):
        """Somebody else does that."""
        self.service.change('group', {'device': path.rpartition('/')[2],
                                      'group': group})

    def moves(self):
        """How often each device was moved by its clients."""
        return [details['device'] for effect, details in self.ledger.effects
                if effect in ('group_set', 'group_cleared')]


class Case(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.start()

    def start(self, properties=None, **options):
        self.manager = Manager(**options)
        self.server = self.useFixture(server.Server(self.manager))
        self.properties = properties or {}
        self.successor()
        found = self.driver.discover().devices
        self.eesvs = [one.resource_path for one in found
                      if one.type == 'compute']
        self.eeios = [one.resource_path for one in found
                      if one.type != 'compute']
        self.eesv, self.chosen = self.eesvs[0], self.eeios[:3]
        self.spec = Spec('tag', 'web', (self.eesv, *self.chosen))

    def successor(self):
        """Another process goes on: nothing is left in memory."""
        self.driver = ExpEtherDriver(server.endpoint(
            self.server.url, username=None, password=None,
            properties=self.properties))
        self.addCleanup(self.driver.close)

    def prepare(self):
        """A spec with its handle, as it comes back from the journal."""
        return dataclasses.replace(
            self.spec, prepared=journalled(self.driver.prepare(self.spec)))

    def sent(self):
        return [(one.method, one.path.partition('?')[0], one.json)
                for one in self.server.requests if one.method != 'GET']

    def paths(self, handle):
        hardware = self.driver.observe(handle)
        return None if hardware is None else set(hardware.device_paths)


def journalled(handle):
    return base.Handle(**json.loads(json.dumps(dataclasses.asdict(handle))))


class Compose(Case):

    def test_the_eesv_first_and_the_manager_picks(self):
        done = self.driver.compose(self.spec)
        group = self.manager.groups()[self.eesv]
        self.assertEqual(16, group)
        self.assertEqual(dict.fromkeys(self.spec.device_paths, group),
                         self.manager.taken())
        bodies = [dict(body) for _, _, body in self.sent()]
        times = [body.pop('update_time') for body in bodies]
        self.assertEqual([{}] + [{'group_id': '16'}] * 3, bodies)
        self.assertTrue(all(times))
        self.assertEqual(
            [('PUT', f'{path}/group_id') for path in self.spec.device_paths],
            [(method, path) for method, path, _ in self.sent()])
        self.assertEqual(self.eesv, done.handle.resource_path)
        self.assertEqual('16', done.handle.extra['group_id'])

    def test_read_back(self):
        handle = journalled(self.driver.compose(self.spec).handle)
        hardware = self.driver.observe(handle)
        self.assertEqual(set(self.spec.device_paths),
                         set(hardware.device_paths))
        self.assertEqual(('On', 'OK', handle), (
            hardware.power_state, hardware.health, hardware.handle))
        self.assertEqual(((), ()), (hardware.allowed_resets,
                                    hardware.allowed_boot_targets))
        json.dumps(hardware.details)

    def test_what_the_host_has_to_do_is_said(self):
        handle = self.driver.compose(self.spec).handle
        notes = self.driver.observe(handle).details['notes']
        self.assertEqual([composition.REBOOT, composition.RESCAN], notes)

    def test_preparing_changes_nothing(self):
        handle = self.prepare().prepared
        self.assertEqual([], self.sent())
        self.assertEqual({'group_id': None, 'notes': [],
                          'devices': self.chosen}, handle.extra)
        self.assertIsNone(self.driver.observe(handle))

    def test_a_server_without_devices(self):
        self.spec = Spec('tag', 'web', (self.eesv,))
        handle = self.driver.compose(self.spec).handle
        self.assertEqual({self.eesv}, self.paths(handle))
        self.driver.release(handle)
        self.assertIsNone(self.paths(handle))

    def test_again_changes_nothing(self):
        spec = self.prepare()
        first = self.driver.compose(spec)
        self.assertEqual(first, self.driver.compose(spec))
        self.assertEqual(4, len(self.sent()))

    def test_without_update_time(self):
        self.start(properties={'send_update_time': False})
        handle = self.driver.compose(self.spec).handle
        self.driver.release(handle)
        self.assertNotIn('update_time', json.dumps([
            (one.path, one.json) for one in self.server.requests]))
        self.assertEqual({}, self.manager.taken())

    def test_a_refusal_for_staleness_alone_is_looked_at(self):
        name = self.chosen[0].rpartition('/')[2]
        self.manager.faults[2] = lambda: self.manager.service.change(
            'status', {'device': name})
        self.driver.compose(self.spec)
        self.assertEqual(5, len(self.sent()))
        self.assertEqual(4, len(self.manager.taken()))


class Refusals(Case):

    def refused(self, *paths, **fragments):
        spec = Spec('tag', 'web', paths)
        for call in (self.driver.prepare, self.driver.compose):
            error = self.assertRaises(base.Refused, call, spec)
        self.assertEqual([], self.sent())
        return str(error)

    def test_not_one_server(self):
        self.assertIn('not 0', self.refused(*self.chosen))
        self.assertIn('not 2', self.refused(*self.eesvs[:2]))
        self.refused()

    def test_more_than_the_server_takes(self):
        # A 10g board takes 8, the option bounds it to 4.
        self.assertIn('at most 4', self.refused(self.eesv, *self.eeios[:5]))

    def test_held_by_another_group(self):
        self.manager.take(self.chosen[1])
        self.assertIn('group 77', self.refused(*self.spec.device_paths))

    def test_a_server_in_use(self):
        for path in (self.eesv, self.eeios[5]):
            self.manager.take(path)
        self.assertIn('group 77', self.refused(*self.spec.device_paths))

    def test_a_server_alone_in_a_group(self):
        self.manager.take(self.eesv)
        self.refused(*self.spec.device_paths)

    def test_what_is_no_node_is_not_released(self):
        self.assertRaises(base.Refused, self.driver.release,
                          base.Handle(self.eesv))
        self.assertEqual([], self.sent())

    def test_down_or_disabled(self):
        for path in (self.eesv, self.chosen[0]):
            for what in ('up', 'enabled'):
                self.start()
                self.manager.service.change('status', {
                    'device': path.rpartition('/')[2], what: False})
                self.refused(*self.spec.device_paths)

    def test_unknown_or_elsewhere(self):
        self.assertRaises(base.NotFound, self.driver.prepare,
                          Spec('t', 'n', (ROOT + '0xffffffffffff',)))
        for path in ('/eem/groups', '/eem/devices/detail/x',
                     '/eem/devices/', '/eem'):
            self.assertRaises(base.Refused, self.driver.prepare,
                              Spec('t', 'n', (path,)))
        for path in ('http://evil/eem/devices/0x1', '/other/0x1',
                     '/eem/devices/../x'):
            self.assertRaises(base.BadAnswer, self.driver.prepare,
                              Spec('t', 'n', (path,)))

    def test_in_the_managers_words(self):
        name = self.chosen[0].rpartition('/')[2]
        self.manager.faults[2] = lambda: self.manager.service.change(
            'status', {'device': name, 'enabled': False})
        error = self.assertRaises(base.Refused, self.driver.compose,
                                  self.prepare())
        self.assertEqual(409, error.status)
        self.assertIn('is disabled', str(error))
        self.assertEqual(('40901',), error.message_ids)


class AttachDetach(Case):

    def setUp(self):
        super().setUp()
        self.handle = self.driver.compose(self.spec).handle

    def test_one_more_and_one_less(self):
        more = self.driver.attach(self.handle, self.eeios[3]).handle
        self.assertEqual([composition.RESCAN], more.extra['notes'])
        self.assertEqual({self.eesv, *self.eeios[:4]}, self.paths(more))
        less = self.driver.detach(more, self.eeios[0]).handle
        self.assertEqual({self.eesv, *self.eeios[1:4]}, self.paths(less))
        self.driver.release(less)
        self.assertEqual({}, self.manager.taken())

    def test_not_more_than_the_server_takes(self):
        self.driver.attach(self.handle, self.eeios[3])
        error = self.assertRaises(base.Refused, self.driver.attach,
                                  self.handle, self.eeios[4])
        self.assertIn('at most 4', str(error))
        self.assertEqual(5, len(self.sent()))

    def test_not_what_somebody_else_holds(self):
        self.manager.take(self.eeios[3])
        self.assertRaises(base.Refused, self.driver.attach, self.handle,
                          self.eeios[3])

    def test_no_servers(self):
        for path in self.eesvs[:2]:
            self.assertRaises(base.Refused, self.driver.attach, self.handle,
                              path)
            self.assertRaises(base.Refused, self.driver.detach, self.handle,
                              path)
        self.assertEqual(4, len(self.sent()))


class Lies(Case):

    def answering(self, number, body, status=200):
        """The change is answered with that, and nothing is done."""
        handle = self.manager.service.handle
        count = [0]

        def lie(request):
            if request.method != 'GET':
                count[0] += 1
                if count[0] == number:
                    return dataclasses.replace(
                        handle(dataclasses.replace(request, method='GET')),
                        status=status, body=json.dumps(body).encode())
            return handle(request)

        self.patch(self.manager.service, 'handle', lie)

    def test_another_group_than_asked_for(self):
        self.answering(2, {'group_id': '99', 'update_time': 1})
        self.assertRaises(base.BadAnswer, self.driver.compose, self.spec)

    def test_a_group_that_is_none(self):
        for body in ({'group_id': '4094'}, {'group_id': '3'}, {}):
            self.start()
            self.answering(1, body)
            self.assertRaises(base.BadAnswer, self.driver.compose, self.spec)
            self.assertEqual({}, self.manager.taken())

    def test_success_without_effect_is_seen_when_read_back(self):
        self.answering(2, {'group_id': '16', 'update_time': 1})
        handle = self.driver.compose(self.spec).handle
        self.assertEqual({*self.spec.device_paths} - {self.chosen[0]},
                         self.paths(handle))
        self.driver.release(handle)
        self.assertEqual({}, self.manager.taken())

    def test_effect_without_success(self):
        for status in (500, 502):
            self.start()
            spec = self.prepare()
            handle = self.manager.service.handle

            def lie(request, handle=handle, status=status):
                answer = handle(request)
                if request.method == 'PUT':
                    return dataclasses.replace(answer, status=status)
                return answer

            self.patch(self.manager.service, 'handle', lie)
            for _ in range(4):
                self.assertRaises(base.Ambiguous, self.driver.compose, spec)
            self.driver.compose(spec)
            self.assertEqual(4, len(self.manager.taken()))
            self.assertEqual(4, len(self.sent()))

    def test_a_server_is_still_where_the_group_says_it_is_not(self):
        handle = self.driver.compose(self.spec).handle
        answer = self.manager.service.handle

        def lie(request):
            if '/detail' in request.target:
                return dataclasses.replace(answer(request),
                                           body=b'{"devices": []}')
            return answer(request)

        self.patch(self.manager.service, 'handle', lie)
        self.assertRaises(base.Busy, self.driver.observe, handle)
