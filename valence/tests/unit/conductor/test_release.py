# SPDX-License-Identifier: Apache-2.0
"""Is a node released for good, wherever and however it is by then?"""

from valence import requests
from valence.conductor import runner
from valence.db import models
from valence.drivers import base
from valence.tests.unit.conductor.fakes import REQUESTER, EngineTest


class Release(EngineTest):

    def setUp(self):
        super().setUp()
        self.patch(runner, 'BACKOFF', (0.01,))
        _, self.driver = self.pod()
        self.running = self.engine()
        self.node, operation = self.compose()
        self.running.ring(operation)
        self.ended(operation)
        self.look = self.driver.observe

    def release(self):
        operation = self.database.run(requests.release, REQUESTER, self.node)
        self.running.ring(operation)
        return self.ended(operation)

    def check_gone(self):
        self.assertEqual('succeeded', self.release()['state'])
        self.assertEqual([], self.claims())
        self.assertEqual({}, self.driver.systems)
        self.assertIsNone(self.row(models.Node, self.node))

    def move(self, observe):
        """The backend numbers its systems anew."""
        def elsewhere(handle):
            name = handle.resource_path.removeprefix('/new')
            if name == handle.resource_path:
                return observe(handle)
            return self.look(base.Handle(name))

        find, release = self.driver.find, self.driver.release
        self.driver.observe = elsewhere
        self.driver.find = lambda tag: find(tag) and base.Handle(
            f'/new/s/{tag}')
        self.driver.release = lambda handle: release(base.Handle(
            handle.resource_path.removeprefix('/new')))

    def test_where_it_is_by_now(self):
        self.move(lambda handle: None)
        self.check_gone()

    def test_not_what_has_its_place(self):
        self.move(lambda handle: base.NodeHardware(
            handle, 'another', 'Off', 'OK', ()))
        self.check_gone()

    def test_not_before_it_is_gone_everywhere(self):
        self.move(lambda handle: None)
        self.driver.release = lambda handle: base.Done()
        ended = self.release()
        self.assertEqual(('failed', 'timeout'),
                         (ended['state'], ended['error_code']))
        self.assertEqual('error', self.row(models.Node, self.node)['state'])
        self.assertEqual(1, len(self.claims()))

    def test_off_first(self):
        self.driver.power = 'On'
        self.check_gone()
        self.assertLess(self.driver.calls.index('set_power'),
                        self.driver.calls.index('release'))

    def test_a_system_that_cannot_be_switched_off(self):
        """Then it is for the backend to say whether that matters."""
        self.driver.power = 'On'

        def observe(handle):
            found = self.look(handle)
            return found and base.NodeHardware(
                handle, found.name, 'On', 'OK', found.device_paths,
                allowed_resets=('GracefulRestart',))

        self.driver.observe = observe
        self.check_gone()
        self.assertEqual(0, self.driver.count('set_power'))

    def test_a_backend_that_refuses_to_switch_off(self):
        self.driver.power = 'On'
        self.driver.script['set_power'] = [base.Unsupported('no reset')]
        self.check_gone()

    def test_a_task_that_refuses_to_switch_off(self):
        self.driver.power = 'On'
        self.driver.set_power = lambda *args: base.Pending({'task': 1}, 0.01)
        self.driver.script['poll'] = [base.Refused('not now', 400)]
        self.check_gone()
