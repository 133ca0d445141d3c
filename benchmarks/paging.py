# SPDX-License-Identifier: Apache-2.0
"""Does a page take longer where there is more beside it?

The same pages of 100 devices out of 1,000 and out of 1,000,000, by the whole
API in-process: the first, one in the middle, the last, sorted and filtered.
"""

import uuid as uuid_module
from collections.abc import Iterator
from typing import Any

import orjson
import sqlalchemy as sa

from benchmarks import common, data, processes
from valence.api import service
from valence.db import models
from valence.db.engine import Database
from valence.db.types import utcnow

_DEVICES: Any = models.Device.__table__
_PODS: Any = models.PodManager.__table__
_FEW, _MANY = 1_000, 1_000_000
#: Of the fewer devices; so many times more of the others.
_PODS_OF_FEW = 4
_BATCH = 20_000
_LIMIT = 100
_AIM = 1.3


def _fill(database: Database, count: int) -> None:
    pods = _PODS_OF_FEW * max(1, count // _FEW // 4)
    with database.write() as conn:
        conn.execute(sa.insert(_PODS).values(
            created_at=utcnow(), next_sync_at=utcnow(86400)), [
                {'uuid': str(uuid_module.uuid4()), 'name': f'pod-{number}',
                 'url': f'https://pod-{number}.example.org',
                 'driver': 'redfish'} for number in range(pods)])
        ids = list(conn.scalars(sa.select(_PODS.c.id).order_by(_PODS.c.id)))
    for start in range(0, count, _BATCH):
        with database.write() as conn:
            conn.execute(
                sa.insert(_DEVICES).values(created_at=utcnow()), [{
                    **data.device(number),
                    # In another order than they are made in.
                    'name': f'block {number * 7919 % count:07}',
                    'uuid': str(uuid_module.uuid4()), 'digest': '',
                    'pod_manager_id': ids[number % pods],
                } for number in range(start, min(start + _BATCH, count))])
    if database.dialect == 'sqlite':
        with database.write() as conn:
            conn.execute(sa.text('ANALYZE'))


def _marker(database: Database, count: int, *, key: Any = None,
            kind: str | None = None, at: float = 0.5) -> str:
    """The device at this part of a list."""
    query = sa.select(_DEVICES.c.uuid).order_by(
        *([] if key is None else [key]), _DEVICES.c.id)
    if kind is not None:
        query = query.where(_DEVICES.c.type == kind)
        count //= 4
    with database.read() as conn:
        return str(conn.scalar(
            query.offset(max(int(count * at) - _LIMIT - 1, 0)).limit(1)))


def _pages(database: Database, count: int) -> Iterator[tuple[str, str]]:
    """What is asked for, and the query of it."""
    name = _DEVICES.c.name
    yield 'the first', ''
    yield 'in the middle', f'marker={_marker(database, count)}'
    yield 'the last', f'marker={_marker(database, count, at=1)}'
    yield 'the newest', 'sort_dir=desc'
    yield 'by name, in the middle', (
        f'sort_key=name&marker={_marker(database, count, key=name)}')
    yield 'by type, backwards', (
        'sort_key=type&sort_dir=desc&marker='
        + _marker(database, count, key=_DEVICES.c.type))
    yield 'of one type, in the middle', (
        f'type=gpu&marker={_marker(database, count, kind="gpu")}')
    yield 'of one pod manager', 'pod_manager=pod-2'
    yield 'that are free', 'available=true'


def run(options: common.Options, report: common.Report) -> None:
    from oslo_config import cfg

    from valence.conf import opts

    sizes = (_FEW, 10 * _FEW if options.quick else _MANY)
    functions = {}
    with processes.directory() as directory:
        path = processes.configure(
            directory, f'sqlite:///{directory / "valence.sqlite"}')
        opts.parse(cfg.CONF, [], prog='valence-api', version='0',
                   files=[path])
        databases = []
        for size in sizes:
            database = Database(f'sqlite:///{directory / str(size)}')
            models.Base.metadata.create_all(database.engine)
            _fill(database, size)
            databases.append(database)
            application = service.build(cfg.CONF, database,
                                        ring=lambda uuid: None)
            for name, query in _pages(database, size):
                call = data.get(application, '/v1/devices',
                                f'limit={_LIMIT}&{query}')
                assert len(orjson.loads(call())['devices']) == _LIMIT, name
                functions[name, size] = call
        pages = dict.fromkeys(name for name, _ in functions)
        rows, worst = [], 0.0
        for name in pages:
            timings = common.in_turns(
                {str(size): functions[name, size] for size in sizes},
                3 if options.quick else 200)
            times = common.ratio(timings, str(sizes[1]), str(sizes[0]))
            worst = max(worst, times)
            rows.append((name, *(
                f'{common.median(timings[str(size)]) * 1e3:.2f}'
                for size in sizes), f'{times:.2f}'))
        for database in databases:
            database.close()
    report.table(
        (f'GET /v1/devices?limit={_LIMIT}',
         *(f'ms, of {size:,}' for size in sizes), 'times'), rows)
    report.aim(f'times a page out of {sizes[0]:,}, at worst', worst, _AIM)


if __name__ == '__main__':
    common.main(run)
