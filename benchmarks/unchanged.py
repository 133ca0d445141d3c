# SPDX-License-Identifier: Apache-2.0
"""What does a sync of a pod cost the database where nothing has changed?

The real sync operation, run by the real engine on an SQLite file; only the
driver is one that gives the same inventory again and again. SQLite itself
counts the rows that are written (total_changes), and the rows that each
statement reports are added up for each table.

Then the same once more with the real redfish driver and a simulated pod of
as many blocks: which part of such a sync is HTTP?
"""

import collections
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from benchmarks import common, data, discovery, processes
from valence import requests
from valence.common.devices import DeviceState, DeviceType
from valence.conductor import engine as conductor
from valence.conductor.operations.base import Settings
from valence.db import inventory, models, pod_managers
from valence.db.engine import Database
from valence.db.types import utcnow
from valence.drivers import base

_DEVICES: Any = models.Device.__table__
_OPERATIONS: Any = models.Operation.__table__
_STATE = sa.select(_OPERATIONS.c.state).where(
    _OPERATIONS.c.uuid == sa.bindparam('of'))
_LATENCY = 0.02
#: More members expanded at once are a larger body than a driver reads.
_PAGE = '500'


class _Driver(base.Driver):
    """A pod that was read already."""

    def __init__(self, found: base.Inventory) -> None:
        super().__init__(base.Endpoint('https://pod.example.org'))
        self.found = found

    def identify(self) -> base.Identity:
        return base.Identity('Benchmark', '1', None, base.Capabilities())

    def discover(self) -> base.Inventory:
        return self.found


def _inventory(count: int) -> base.Inventory:
    rows = [data.device(number) for number in range(count)]
    devices = tuple(base.Device(**{
        **row, 'type': DeviceType(row['type']),
        'state': DeviceState(row['state']),
        'zone_paths': tuple(row['zone_paths'])}) for row in rows)
    racks = tuple(base.Rack(path, path.rpartition('/')[2], 'Rack')
                  for path in sorted({row['rack_path'] for row in rows}))
    zones = tuple(
        base.Zone(path, path.rpartition('/')[2], tuple(
            row['resource_path'] for row in rows
            if path in row['zone_paths']))
        for path in sorted({row['zone_paths'][0] for row in rows}))
    return base.Inventory(racks, (), devices, zones)


class _Timed(base.Driver):
    """A driver that notes how long it is at work, for the sync."""

    def __init__(self, real: base.Driver) -> None:
        super().__init__(real.endpoint)
        self._real = real
        self.spent = 0.0
        self.found: Any = None

    def identify(self) -> base.Identity:
        self.spent = 0.0
        return self._timed(self._real.identify)

    def discover(self) -> base.Inventory:
        self.found = self._timed(self._real.discover)
        return self.found

    def _timed(self, function: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = function()
        self.spent += time.perf_counter() - began
        return result


class _Counter:
    """Rows written through one engine, by table."""

    def __init__(self, engine: sa.Engine) -> None:
        self.rows: collections.Counter[str] = collections.Counter()
        self.changes = 0
        self._connections: dict[int, Any] = {}
        sa.event.listen(engine, 'after_cursor_execute', self._executed)
        sa.event.listen(engine, 'connect', self._connected)

    def reset(self) -> None:
        self.rows.clear()
        self.changes = self._total()

    def written(self) -> int:
        """Rows since the last reset, as SQLite counts them."""
        return self._total() - self.changes

    def _total(self) -> int:
        return sum(connection.total_changes
                   for connection in self._connections.values())

    def _connected(self, connection: Any, record: Any) -> None:
        self._connections[id(connection)] = connection

    def _executed(self, conn: Any, cursor: Any, statement: str,
                  *_: Any) -> None:
        words = statement.split(None, 3)
        if words[0] in ('INSERT', 'UPDATE', 'DELETE'):
            table = words[1] if words[0] == 'UPDATE' else words[2]
            self.rows[table] += cursor.rowcount


class _Bench:
    def __init__(self, database: Database, driver: Any) -> None:
        self.database = database
        self.driver = driver
        self.counter = _Counter(database.engine)
        self._pod = database.run(pod_managers.create, {
            'name': 'pod', 'url': 'https://pod.example.org',
            'driver': 'redfish'})
        database.run(lambda conn: conn.execute(
            sa.update(models.PodManager).values(
                next_sync_at=utcnow(86400))))
        connection: Any = self
        self._engine = conductor.Engine(
            database, connection, conductor.Options(
                'benchmark', threads=1, poll_interval=3600),
            Settings(sync_interval=86400))
        self._engine.start()
        time.sleep(0.2)

    def get(self, pod_manager: Any) -> base.Driver:
        """As valence.conductor.connection.Connection has it."""
        return self.driver

    def drop_idle(self) -> None:
        """As it has it, too."""

    def sync(self) -> tuple[float, Any]:
        """Seconds of a whole sync operation, and its result."""
        uuid = self.database.run(requests.sync, requests.SYSTEM, self._pod)
        self.counter.reset()
        began = time.perf_counter()
        self._engine.ring(uuid)
        state: Any = 'pending'
        while state in ('pending', 'running'):
            time.sleep(0.002)
            with self.database.read() as conn:
                state = conn.scalar(_STATE, {'of': uuid})
        spent = time.perf_counter() - began
        with self.database.read() as conn:
            row = conn.execute(sa.select(_OPERATIONS).where(
                _OPERATIONS.c.uuid == uuid)).one()
        if state != 'succeeded':
            raise RuntimeError(f'the sync {state}: {row.error}')
        return spent, row.result

    def close(self) -> None:
        self._engine.stop()

    def read(self) -> None:
        """The least that any comparison has to read."""
        with self.database.read() as conn:
            conn.execute(sa.select(
                _DEVICES.c.id, _DEVICES.c.resource_path,
                _DEVICES.c.digest)).all()


def _profile(report: common.Report, database: Database,
             found: base.Inventory) -> None:
    """The part in the database only, in this thread."""
    def write() -> None:
        database.run(lambda conn: inventory.write(
            conn, 'devices', 1, pod, rows, True, 99))

    with database.read() as conn:
        pod = str(conn.scalar(sa.select(models.PodManager.uuid)))
    rows = [data.device(number) for number in range(len(found.devices))]
    common.profile(report, write, 5)


def _share(options: common.Options, report: common.Report,
           count: int) -> None:
    rows = []
    worst = 0.0
    for latency, expand in (
            ((0.0, True), (0.0, False), (_LATENCY, True))[
                :1 if options.quick else 3]):
        row = _against_http(count, latency, expand,
                            3 if expand and not options.quick else 1)
        worst = max(worst, row[-1])
        rows.append((
            f'{"$expand" if expand else "plain GETs"}, '
            f'{latency * 1e3:.0f} ms',
            *(f'{value * 1e3:.0f}' for value in row[:-1]),
            f'{row[-1] * 100:.1f}'))
    report.say()
    report.table((f'{count} devices over HTTP, latency', 'sync, ms',
                  'reading the pod, ms', 'the rest, ms', 'the rest, %'),
                 rows)
    report.aim('share of the database, at worst', worst, 0.5)


def _against_http(count: int, latency: float, expand: bool, rounds: int
                  ) -> tuple[float, float, float, float]:
    """Seconds: of a sync, of the driver in it, of the rest; its share."""
    shape = [word for name in ('compute', 'nvme', 'gpu', 'nic')
             for word in (f'--{name}', str(count // 4))]
    with processes.directory() as directory, processes.simulator(
            *shape, '--latency', str(latency),
            *(['--page-size', _PAGE] if expand else ['--noexpand'])) as pod:
        url = f'sqlite:///{directory / "valence.sqlite"}'
        processes.configure(directory, url)
        database = Database(url)
        real = discovery.driver(pod)
        driver = _Timed(real)
        bench = _Bench(database, driver)
        bench.sync()
        assert driver.found.complete, driver.found.problems[:3]
        assert sum(device.pooled for device in driver.found.devices) == count
        found = []
        for _ in range(rounds):
            spent, result = bench.sync()
            assert not any(counts['added'] + counts['changed']
                           for counts in result['written'].values()), result
            found.append((spent, driver.spent, spent - driver.spent,
                          1 - driver.spent / spent))
        bench.close()
        database.close()
        real.close()
    return sorted(found)[len(found) // 2]


def run(options: common.Options, report: common.Report) -> None:
    count = 1000 if options.quick else 10_000
    found = _inventory(count)
    rows = []
    with processes.directory() as directory:
        url = f'sqlite:///{directory / "valence.sqlite"}'
        processes.configure(directory, url)
        database = Database(url)
        bench = _Bench(database, _Driver(found))

        def note(name: str) -> tuple[float, int]:
            spent, result = bench.sync()
            stored = sum(bench.counter.rows[table]
                         for table in inventory.TABLES)
            said = sum(counts['added'] + counts['changed']
                       for counts in result['written'].values())
            others = sum(bench.counter.rows.values()) - stored
            assert stored == said, (bench.counter.rows, result)
            rows.append((name, f'{spent * 1e3:.1f}', stored, others,
                         bench.counter.written()))
            return spent, stored

        first, _ = note(f'first sync of {count} devices')
        note('nothing changed')
        spent, _ = min(note('nothing changed') for _ in range(
            2 if options.quick else 10))
        one = dataclasses.replace(found.devices[5], health='Critical')
        bench.driver.found = dataclasses.replace(found, devices=(
            *found.devices[:5], one, *found.devices[6:]))
        note('one device changed')
        timings = common.in_turns({
            'unchanged sync': lambda: bench.sync(),
            'bare read': bench.read}, 3 if options.quick else 20)
        if options.profile:
            _profile(report, database, found)
        bench.close()
        database.close()
    kept = [row for number, row in enumerate(rows) if number < 2
            or number == len(rows) - 1]
    report.table(('sync operation', 'ms', 'inventory rows written',
                  'journal rows written', 'SQLite total_changes'), kept)
    report.say(f'An unchanged sync is {first / spent:.1f} times as fast as '
               'the first one, and '
               f'{common.ratio(timings, "unchanged sync", "bare read"):.1f} '
               'times as long as a bare read of all paths and digests '
               f'({common.median(timings["bare read"]) * 1e3:.1f} ms).')
    report.aim(f'inventory rows written by an unchanged sync of {count} '
               'devices', max(row[2] for row in rows[1:-1]), 0)
    _share(options, report, 200 if options.quick else count)


if __name__ == '__main__':
    common.main(run)
