# SPDX-License-Identifier: Apache-2.0
"""How long does a list of 1,000 devices take?

Valence's whole API in-process against two floors that nobody could answer a
request with: the rows of the same statement, and the rows of the one table
without its joins, both made dictionaries and given to orjson.
"""

from typing import Any

import orjson
import sqlalchemy as sa

from benchmarks import common, data, processes
from valence.api.controllers import inventory
from valence.db import models
from valence.db.engine import Database

_DEVICES: Any = models.Device.__table__
_LEFT_OUT = ('id', 'pod_manager_id', 'digest', 'details')


def _bare(database: Database, query: Any, count: int) -> bytes:
    with database.read() as conn:
        result = conn.execute(query.limit(count))
        names, rows = tuple(result.keys()), result.all()
    return orjson.dumps({
        'devices': [dict(zip(names, row, strict=True)) for row in rows],
        'next': None})


def run(options: common.Options, report: common.Report) -> None:
    count = 1000
    with processes.directory() as directory:
        url = f'sqlite:///{directory / "valence.sqlite"}'
        path = processes.configure(directory, url)
        database = Database(url)
        data.fill(database, count, 50)
        joined = inventory._DEVICES.list.add_columns(
            *inventory._DEVICES.summary.columns).order_by(_DEVICES.c.id)
        table = sa.select(*(
            sa.type_coerce(column, sa.Text).label(column.name)
            if column.name == 'zone_paths' else column
            for column in _DEVICES.c if column.name not in _LEFT_OUT)
        ).order_by(_DEVICES.c.id)
        functions = {
            'Valence': data.get(
                data.application(directory, path), '/v1/devices',
                f'limit={count}'),
            'Core and orjson, same statement': lambda: _bare(
                database, joined, count),
            'Core and orjson, one table': lambda: _bare(
                database, table, count),
        }
        for name, call in functions.items():
            assert len(orjson.loads(call())['devices']) == count, name
        sizes = {name: len(call()) for name, call in functions.items()}
        timings = common.in_turns(
            functions, 3 if options.quick else 150)
        database.close()
    report.table(
        ('GET /v1/devices?limit=1000', 'ms', 'KiB', 'Valence is times'),
        [(name, f'{common.median(values) * 1e3:.2f}',
          f'{sizes[name] / 1024:.0f}',
          f'{common.ratio(timings, "Valence", name):.2f}')
         for name, values in timings.items()])
    report.aim('times the bare read of the same statement', common.ratio(
        timings, 'Valence', 'Core and orjson, same statement'), 2.0)
    report.aim('times the bare read of the one table', common.ratio(
        timings, 'Valence', 'Core and orjson, one table'), 2.0)
    if options.profile:
        common.profile(report, functions['Valence'], 30)


if __name__ == '__main__':
    common.main(run)
