# SPDX-License-Identifier: Apache-2.0
"""Does the engine carry a node through whose hardware takes no tag?"""

import dataclasses
import uuid

import sqlalchemy as sa

from valence import requests
from valence.db import inventory, models, operations
from valence.drivers import base
from valence.drivers.expether import ExpEtherDriver, composition
from valence.tests.unit.conductor.fakes import REQUESTER, EngineTest
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.test_expether_compose import (
    ROOT,
    Manager,
    Spec,
    journalled,
)


class Engine(EngineTest):

    def setUp(self):
        super().setUp()
        pod, _ = self.pod(devices=0)
        self.manager = Manager()
        backend = self.useFixture(server.Server(self.manager))
        self.driver = ExpEtherDriver(server.endpoint(
            backend.url, username=None, password=None))
        self.addCleanup(self.driver.close)
        self.connection.drivers[pod] = self.driver
        found = self.driver.discover().devices
        fields = [one.name for one in dataclasses.fields(base.Device)]
        with self.database.write() as conn:
            conn.execute(sa.update(models.PodManager).values(
                capabilities=self.driver.capabilities.to_dict()))
            inventory.write(
                conn, 'devices', conn.scalar(sa.select(models.PodManager.id)),
                pod, [{name: getattr(one, name) for name in fields}
                      for one in found], True, 1)
        self.running = None

    def faults(self, **faults):
        """What becomes of the changes from here, by number: ``c1``."""
        self.manager.changes = 0
        self.manager.faults = {int(number[1:]): fault
                               for number, fault in faults.items()}

    def request(self):
        return self.database.run(
            requests.compose, REQUESTER, name=uuid.uuid4().hex,
            pod_manager_uuid=None,
            requirements={'pci_device': {'type': ['gpu', 'nvme', 'nvme']}})

    def end(self, operation):
        """Carry it out; nothing runs before the first call."""
        self.running = self.running or self.engine()
        self.running.ring(operation)
        return self.ended(operation)

    def release(self, node):
        ended = self.end(self.database.run(
            requests.release, REQUESTER, node))
        self.assertEqual('succeeded', ended['state'], ended['error'])
        self.assertEqual({}, self.manager.taken())
        self.assertEqual([], self.claims())

    def devices(self):
        """The claimed devices that are no servers."""
        return [path for path in sorted(self.claims())
                if self.manager.service.pod.devices[
                    path.removeprefix(ROOT)].status == 'eeio']

    def test_from_the_request_to_the_release(self):
        node, operation = self.request()
        ended = self.end(operation)
        self.assertEqual('succeeded', ended['state'], ended['error'])
        self.assertEqual([composition.REBOOT, composition.RESCAN],
                         ended['result']['notes'])
        self.assertEqual(set(self.claims()), set(self.manager.taken()))
        self.release(node)

    def test_answers_and_requests_are_lost(self):
        self.faults(c1='lost', c3='never', c4='lost')
        node, operation = self.request()
        self.assertEqual('succeeded', self.end(operation)['state'])
        self.assertEqual(4, len(self.manager.moves()))
        self.faults(c1='lost', c2='never', c5='lost')
        self.release(node)
        self.assertEqual(8, len(self.manager.moves()))

    def test_a_device_is_taken_and_the_rest_is_undone(self):
        _, operation = self.request()
        lost = self.devices()[1]
        self.faults(c3=lambda: self.manager.take(lost), c4='lost')
        ended = self.end(operation)
        self.assertEqual(('failed', 'backend_refused'),
                         (ended['state'], ended['error_code']))
        self.assertIn('group 77', ended['error'])
        self.assertNotIn('could not be undone', ended['error'])
        self.assertEqual({lost: 77}, self.manager.taken())
        self.assertEqual([], self.claims())

    def test_what_could_not_be_undone_can_be_released_later(self):
        node, operation = self.request()
        stranger = next(path for path in self.manager.groups()
                        if path not in self.claims()
                        and self.manager.service.pod.devices[
                            path.removeprefix(ROOT)].status == 'eeio')
        board = {'device': self.devices()[0].removeprefix(ROOT)}
        change = self.manager.service.change
        # It is attached, goes down, and cannot be detached for now.
        self.faults(c2='lost', c3=lambda: (
            change('status', {**board, 'up': False}),
            self.manager.take(stranger, 16),
            self.manager.take(self.devices()[1])))
        ended = self.end(operation)
        self.assertIn('could not be undone', ended['error'])
        self.assertEqual('error', self.row(models.Node, node)['state'])
        self.assertEqual(4, len(self.claims()))
        change('status', {**board, 'up': True})
        for path in (stranger, self.devices()[1]):
            self.manager.take(path, None)
        self.faults()
        self.release(node)

    def test_a_successor_goes_on(self):
        _, operation = self.request()
        lease, _ = self.database.run(operations.acquire, operation, 'dead',
                                     -1.0)
        spec = Spec('tag', 'n', tuple(self.claims()))
        handle = self.driver.prepare(spec)
        with self.database.write() as conn:
            operations.write_intent(conn, lease, 'prepare', 0, {},
                                    again=False)
            operations.write_outcome(conn, lease, 'prepare', 'done', {
                'handle': dataclasses.asdict(handle)})
            operations.write_intent(conn, lease, 'compose', 1, {},
                                    again=False)
        self.faults(c2='lost')
        self.assertRaises(
            base.Ambiguous, self.driver.compose,
            dataclasses.replace(spec, prepared=journalled(handle)))
        self.assertEqual('succeeded', self.end(operation)['state'])
        self.assertEqual(set(spec.device_paths), set(self.manager.taken()))
        self.assertEqual(4, len(self.manager.moves()))
