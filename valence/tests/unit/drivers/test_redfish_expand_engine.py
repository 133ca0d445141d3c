# SPDX-License-Identifier: Apache-2.0
"""Does the engine carry a node through that is made onto a server?"""

import dataclasses
import threading

import sqlalchemy as sa

from valence import remedies, requests
from valence.common import errors
from valence.conductor.operations import hardware
from valence.db import inventory, models
from valence.drivers import base
from valence.tests.unit.conductor.fakes import REQUESTER, EngineTest
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.pod import SYSTEMS
from valence.tests.unit.drivers.server import reply
from valence.tests.unit.drivers.test_redfish_expand import (
    ADD,
    D1,
    G1,
    N1,
    REMOVE,
    S1,
    ExpandCase,
)

WANTED = {'processor': {'total_cores': 16},
          'pci_device': {'type': ['gpu', 'nvme']}}


class Engine(EngineTest, ExpandCase):
    """The pod makes no systems; it has one server that takes blocks."""

    def setUp(self):
        super().setUp()
        self.pod.replies['GET', SYSTEMS] = reply(
            200, self.pod.resources[SYSTEMS], {'Allow': 'GET, HEAD'})
        uuid, _ = EngineTest.pod.__get__(self)(devices=0)
        self.connection.drivers[uuid] = self.driver
        self.held, self.go_on = threading.Event(), threading.Event()
        self.refresh(uuid)
        self.running = self.engine()

    def refresh(self, uuid):
        fields = [one.name for one in dataclasses.fields(base.Device)]
        with self.database.write() as conn:
            conn.execute(sa.update(models.PodManager).values(
                capabilities=self.driver.identify().capabilities.to_dict()))
            inventory.write(
                conn, 'devices', conn.scalar(sa.select(models.PodManager.id)),
                uuid, [{name: getattr(one, name) for name in fields}
                       for one in self.driver.discover().devices], True, 1)

    def request(self, wanted=WANTED):
        return self.database.run(
            requests.compose, REQUESTER, name='n', pod_manager_uuid=None,
            requirements=wanted)

    def end(self, operation):
        self.running.ring(operation)
        return self.ended(operation)

    def composed(self):
        node, operation = self.request()
        ended = self.end(operation)
        self.assertEqual('succeeded', ended['state'], ended['error'])
        return node

    def devices(self, node):
        return self.row(models.Node, node)['handle']['extra']['devices']

    def change_node(self, function, node, path):
        with self.database.read() as conn:
            uuid = conn.scalar(sa.select(models.Device.uuid).where(
                models.Device.resource_path == path))
        return self.end(self.database.run(function, REQUESTER, node, uuid))

    def release(self, node):
        ended = self.end(self.database.run(
            requests.release, REQUESTER, node))
        self.assertEqual('succeeded', ended['state'], ended['error'])
        self.assertEqual([], self.claims())

    def lost(self, request):
        """It is carried out, and the answer is lost."""
        self.act(request)
        return server.reset

    def test_from_the_request_to_the_release(self):
        node = self.composed()
        self.assertEqual([S1, D1, G1], sorted(
            self.has(), key=lambda one: one != S1))
        self.assertEqual(sorted(self.has()), sorted(self.claims()))
        self.release(node)
        self.assertEqual([S1], self.has())

    def test_answers_are_lost(self):
        self.pod.replies['POST', ADD] = self.lost
        self.pod.replies['POST', REMOVE] = self.lost
        self.driver.find = self.fail
        node = self.composed()
        self.assertEqual([ADD, ADD], self.server.paths('POST'))
        self.release(node)
        self.assertEqual([ADD, ADD, REMOVE, REMOVE],
                         self.server.paths('POST'))

    def test_what_was_added_is_undone_and_no_more(self):
        def refuse(request):
            self.put(*self.has(), N1)
            return reply(400, server.error('no more'))

        self.pod.replies['POST', ADD] = [self.act, refuse]
        _, operation = self.request()
        ended = self.end(operation)
        self.assertEqual('backend_refused', ended['error_code'])
        self.assertNotIn('could not be undone', ended['error'])
        self.assertEqual([S1, N1], self.has())
        self.assertEqual([], self.claims())

    def test_what_is_attached_is_known_after_a_lost_answer(self):
        node = self.composed()
        for path, function, left in (
                (ADD, requests.attach, [D1, G1, N1]),
                (REMOVE, requests.detach, [D1, G1])):
            self.pod.replies['POST', path] = self.lost
            self.assertEqual('succeeded', self.change_node(
                function, node, N1)['state'])
            self.assertEqual(left, self.devices(node))
        self.assertEqual([ADD] * 3 + [REMOVE], self.server.paths('POST'))
        self.release(node)
        self.assertEqual([S1], self.has())

    def test_what_may_be_attached_is_not_forgotten(self):
        """The attach took effect, nobody heard, and it was not undone."""
        node = self.composed()

        def added(request):
            self.act(request)
            self.driver.observe = unreadable
            return reply(204)

        look = self.driver.observe

        def unreadable(handle):
            raise base.Refused('not now', 403)

        self.pod.replies['POST', ADD] = added
        ended = self.change_node(requests.attach, node, N1)
        self.assertIn('could not be undone', ended['error'])
        self.assertEqual('error', self.row(models.Node, node)['state'])
        self.assertEqual([D1, G1, N1], self.devices(node))
        self.assertEqual(4, len(self.claims()))
        self.driver.observe = look
        self.release(node)
        self.assertEqual([S1], self.has())

    def test_what_may_be_attached_is_not_abandoned(self):
        node = self.composed()
        with self.database.read() as conn:
            uuid = conn.scalar(sa.select(models.Device.uuid).where(
                models.Device.resource_path == N1))
        self.pod.replies['POST', ADD] = self.hold
        operation = self.database.run(
            requests.attach, REQUESTER, node, uuid)
        self.running.ring(operation)
        self.assertTrue(self.held.wait(self.patience))
        self.database.run(remedies.abandon, REQUESTER, operation)
        self.go_on.set()
        self.until('it is added', lambda: N1 in self.has())
        self.assertEqual([D1, G1, N1], self.devices(node))
        self.release(node)
        self.assertEqual([S1], self.has())

    def hold(self, request):
        """It is carried out when somebody says so."""
        self.held.set()
        self.go_on.wait(self.patience)
        self.act(request)
        return reply(204)

    def test_the_last_block_is_not_detached(self):
        node = self.composed()
        self.change_node(requests.detach, node, D1)
        ended = self.change_node(requests.detach, node, G1)
        self.assertEqual('backend_refused', ended['error_code'])
        self.assertIn('release it instead', ended['error'])
        self.assertEqual('active', self.row(models.Node, node)['state'])
        self.assertEqual([S1, G1], self.has())

    def test_no_tag_is_looked_for(self):
        """A pod that makes systems, too, has tags; such a node has none."""
        node = self.composed()
        with self.database.write() as conn:
            conn.execute(sa.update(models.PodManager).values(
                capabilities={**self.driver.identify().capabilities.to_dict(),
                              'tags': True}))
        self.driver.find = self.fail
        recorded = base.Handle(**self.row(models.Node, node)['handle'])
        self.assertEqual(recorded, hardware.current(
            _Task(self.driver), 'tag', recorded))
        # The server is there, though nothing of this name is.
        self.pod.replies['POST', REMOVE] = reply(204)
        ended = self.end(self.database.run(
            requests.release, REQUESTER, node))
        self.assertEqual('failed', ended['state'])
        self.assertEqual(3, len(self.claims()))
        self.pod.replies['POST', REMOVE] = self.act
        self.release(node)

    def test_a_server_alone_is_no_node(self):
        for wanted in ({}, {'processor': {'total_cores': 16}}):
            error = self.assertRaises(errors.NoValidResources, self.request,
                                      wanted)
            self.assertIn('only with another device', str(error))

    def test_only_servers_are_any_good_here(self):
        with self.database.write() as conn:
            conn.execute(sa.update(models.Device).values(state='used').where(
                models.Device.resource_path == S1))
            conn.execute(sa.update(models.Device).values(
                processor_cores=99).where(models.Device.type == 'compute'))
        self.assertRaises(errors.NoValidResources, self.request)
        with self.database.write() as conn:
            conn.execute(sa.update(models.PodManager).values(
                capabilities={'compose': True, 'tags': True}))
        self.request()
        self.assertNotIn(S1, self.claims())


@dataclasses.dataclass
class _Task:
    driver: base.Driver

    def pod_can(self, capability):
        return True
