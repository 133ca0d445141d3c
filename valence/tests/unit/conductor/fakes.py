# SPDX-License-Identifier: Apache-2.0
"""A driver whose pod is a few Python values, and an engine around it.

The engine, its threads and its database (SQLite) are the real ones. Only
the hardware is not: these tests are about what the engine does when a
driver raises at a certain moment, which no real backend does on demand.
"""

import os
import threading
import time

import fixtures
import sqlalchemy as sa
import testtools

from valence import requests
from valence.conductor.engine import Engine, Options
from valence.conductor.operations.base import Settings
from valence.db import inventory, migration, models, operations, pod_managers
from valence.db.engine import Database
from valence.drivers import base

CAPABILITIES = base.Capabilities(
    compose=True, attach=True, tags=True,
    reset_types=('On', 'ForceOff', 'ForceRestart'),
    boot_targets=('Pxe',))
REQUESTER = requests.Requester('project', 'user', 'req-1')


class FakeDriver(base.Driver):
    """``script`` maps a method to what it raises or does, call by call."""

    capabilities = CAPABILITIES

    def __init__(self):
        self.calls = []
        self.script = {}
        self.systems = {}
        self.power = 'Off'
        self.boot = ('None', 'Disabled')
        self.unfinished = None
        self.lock = threading.Lock()

    def _call(self, name, *args):
        with self.lock:
            self.calls.append(name)
            queue = self.script.get(name)
            action = queue.pop(0) if queue else None
        if isinstance(action, Exception):
            raise action
        return action(*args) if action else None

    def count(self, name):
        return self.calls.count(name)

    def identify(self):
        self._call('identify')
        return base.Identity('Fake', '1', None, CAPABILITIES)

    def discover(self):
        return self._call('discover') or base.Inventory()

    def apply(self, spec):
        self.systems[spec.tag] = spec.device_paths

    def compose(self, spec):
        result = self._call('compose', spec)
        if result is None:
            self.apply(spec)
            result = base.Done(base.Handle('/s/' + spec.tag))
        return result

    def find(self, tag):
        self._call('find')
        return base.Handle('/s/' + tag) if tag in self.systems else None

    def poll(self, pending):
        return self._call('poll', pending)

    def cancel(self, pending):
        self._call('cancel', pending)

    def observe(self, handle):
        self._call('observe')
        tag = handle.resource_path.removeprefix('/s/')
        if tag not in self.systems:
            return None
        return base.NodeHardware(handle, tag, self.power, 'OK',
                                 self.systems[tag],
                                 boot_target=self.boot[0],
                                 boot_enabled=self.boot[1],
                                 unfinished=self.unfinished)

    def set_power(self, handle, reset_type):
        self._call('set_power', handle, reset_type)
        self.power = {'On': 'On', 'ForceOff': 'Off'}.get(reset_type,
                                                         self.power)
        return base.Done()

    def set_boot(self, handle, target, enabled):
        self._call('set_boot', handle, target, enabled)
        self.boot = (target, enabled)
        return base.Done()

    def attach(self, handle, device_path):
        result = self._call('attach', handle, device_path)
        if result is None:
            self.join(handle, device_path)
        return result or base.Done()

    def join(self, handle, device_path):
        tag = handle.resource_path.removeprefix('/s/')
        self.systems[tag] = tuple(sorted({*self.systems[tag],
                                          device_path}))

    def detach(self, handle, device_path):
        result = self._call('detach', handle, device_path)
        tag = handle.resource_path.removeprefix('/s/')
        self.systems[tag] = tuple(
            path for path in self.systems[tag] if path != device_path)
        return result or base.Done()

    def release(self, handle):
        result = self._call('release', handle)
        self.systems.pop(handle.resource_path.removeprefix('/s/'), None)
        return result or base.Done()


class FakeConnection:
    """Gives each pod manager its own fake driver."""

    def __init__(self):
        self.drivers = {}

    def get(self, pod_manager):
        return self.drivers[pod_manager['uuid']]

    def drop_idle(self):
        pass


class EngineTest(testtools.TestCase):
    """A database with pods of fake drivers, and engines over it."""

    patience = 120.0

    def setUp(self):
        super().setUp()
        directory = self.useFixture(fixtures.TempDir()).path
        self.database = Database(
            'sqlite:///' + os.path.join(directory, 'v.sqlite'))
        self.addCleanup(self.database.close)
        migration.upgrade(self.database)
        self.connection = FakeConnection()

    def pod(self, name='pod', devices=4):
        uuid = self.database.run(pod_managers.create, {
            'name': name, 'url': f'https://{name}', 'driver': 'fake'})
        with self.database.write() as conn:
            conn.execute(sa.update(models.PodManager).values(
                status='online', capabilities=CAPABILITIES.to_dict(),
                next_sync_at=None).where(models.PodManager.uuid == uuid))
            pod_id = conn.scalar(sa.select(models.PodManager.id).where(
                models.PodManager.uuid == uuid))
            inventory.write(conn, 'devices', pod_id, uuid, [
                {'resource_path': path, 'name': path,
                 'type': kind, 'pooled': True, 'state': 'free',
                 'processor_cores': 1, 'zone_paths': [zone]}
                for path, kind, zone in (
                    *((f'/d/{number}', 'compute', '/z/1')
                      for number in range(devices)),
                    ('/n/1', 'nvme', '/z/1'), ('/n/2', 'nvme', '/z/2'))
            ], True, 1)
        driver = self.connection.drivers[uuid] = FakeDriver()
        return uuid, driver

    def engine(self, settings=None, **options):
        options = {'owner': 'a' * 36, 'poll_interval': 0.2, 'lease': 5.0,
                   **options}
        engine = Engine(self.database, self.connection, Options(**options),
                        settings or Settings())
        engine.start()
        self.addCleanup(self.stop, engine)
        return engine

    def stop(self, engine):
        if not engine._stopping.is_set():
            engine.stop()

    def compose(self, name='n', pod=None):
        return self.database.run(
            requests.compose, REQUESTER, name=name, pod_manager_uuid=pod,
            requirements={'processor': {'total_cores': 1}})

    def row(self, table, uuid):
        with self.database.read() as conn:
            return conn.execute(sa.select(table.__table__).where(
                table.uuid == uuid)).mappings().one_or_none()

    def until(self, what, condition):
        deadline = time.monotonic() + self.patience
        while not (value := condition()):
            if time.monotonic() > deadline:
                self.fail(f'{what}: not within {self.patience} s')
            time.sleep(0.01)
        return value

    def ended(self, operation):
        def look():
            row = self.row(models.Operation, operation)
            return row['state'] not in operations.ACTIVE and row
        return self.until('the operation ends', look)

    def journal(self, operation):
        row = self.row(models.Operation, operation)
        with self.database.read() as conn:
            return operations.steps(conn, row['id'])

    def claims(self):
        with self.database.read() as conn:
            return list(conn.scalars(sa.select(models.Claim.resource_path)))
