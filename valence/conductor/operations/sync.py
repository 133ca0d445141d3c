# SPDX-License-Identifier: Apache-2.0
"""How does a pod's inventory get into the database?

The scan reads the whole pod and then writes what changed, in one
transaction that is guarded by the lease. It changes no hardware, so a
successor simply scans again. A complete scan is compared with the nodes, and
what differs is noted.
"""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from valence.conductor import comparison
from valence.conductor.operations import reconcile
from valence.conductor.operations.base import Kind, Outcome, Step, Task
from valence.db import drift, inventory, models
from valence.db.types import utcnow
from valence.drivers import base

LOG = logging.getLogger(__name__)

_PODS: Any = models.PodManager.__table__

#: What of a failed scan's problems is kept, to be shown.
_PROBLEMS_SHOWN = 20


def _scan(task: Task) -> Outcome:
    identity = task.driver.identify()
    # Before the scan: what changes during it is announced.
    _subscribe(task)
    found = task.driver.discover()
    task.found.update(identity=identity, inventory=found)
    return {
        'product': identity.product, 'version': identity.version,
        'racks': len(found.racks), 'systems': len(found.systems),
        'devices': len(found.devices), 'zones': len(found.zones),
        'complete': found.complete,
        'problems': [dataclasses.asdict(problem)
                     for problem in found.problems[:_PROBLEMS_SHOWN]],
    }


def _subscribe(task: Task) -> None:
    address = task.settings.event_address
    if address is None:
        return
    uuid = task.pod_manager['uuid']
    try:
        task.driver.subscribe(address(uuid))
    except base.DriverError as error:
        LOG.warning('pod manager %s sends no events (%s); it is read by the '
                    'clock', uuid, error)


def _rows(records: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    names = None
    for record in records:
        names = names or [field.name for field in
                          dataclasses.fields(record)]
        yield {name: getattr(record, name) for name in names}


def _finish(conn: sa.Connection, task: Task) -> Outcome:
    pod = task.pod_manager
    found: base.Inventory = task.found['inventory']
    identity: base.Identity = task.found['identity']
    scan = pod['scans'] + 1
    counts = {
        table: inventory.write(
            conn, table, pod['id'], pod['uuid'],
            _rows(getattr(found, table)), found.complete, scan)
        for table in inventory.TABLES}
    doubt = _compare(conn, task, scan, counts) if found.complete else (
        _incomplete(found))
    conn.execute(
        sa.update(_PODS).where(_PODS.c.id == pod['id']).values(
            status='online',
            status_reason=doubt,
            product=f'{identity.product} {identity.version}'.strip()[:255],
            capabilities=identity.capabilities.to_dict(),
            last_sync_at=utcnow(),
            next_sync_at=utcnow(task.settings.sync_interval),
            scans=scan if found.complete else pod['scans'],
            operation_uuid=None))
    return {**task.results['scan'], 'written': {
        table: dataclasses.asdict(count) for table, count in counts.items()}}


def _compare(conn: sa.Connection, task: Task, scan: int,
             counts: Mapping[str, inventory.Counts]) -> str | None:
    """Note in what the pod differs from the nodes, and have it settled.

    :returns: why the scan is doubted, if it is
    """
    pod, systems = task.pod_manager, task.found['inventory'].systems
    known = [comparison.Known(**node) for node in drift.nodes_of(
        conn, pod['id'], task.operation['acquired_at'])]
    tagged = filter(None, (comparison.node_of(one.tag) for one in systems))
    findings = comparison.compare(systems, known, drift.known_nodes(
        conn, tagged, not_of=pod['id']))
    gone = sum(one.kind == comparison.GONE for one in findings)
    whole = [table for table in ('systems', 'devices')
             if counts[table].doubted]
    if inventory.vanished(gone, len(systems) + gone):
        whole.append('composed systems')
    due = drift.note(conn, pod['id'], findings, scan, bool(whole))
    reconcile.write_down(conn, pod['uuid'], due)
    return (f'more than a fifth of its {" and ".join(whole)} vanished at '
            'once; until they are back nothing is removed, and nothing done '
            'about differences' if whole else None)


def _incomplete(found: base.Inventory) -> str:
    first = found.problems[0] if found.problems else None
    return ('the last scan was incomplete'
            + (f' ({len(found.problems)} problem(s), the first at '
               f'{first.resource_path}: {first.reason})' if first else ''))


def _fail(conn: sa.Connection, task: Task, code: str, message: str,
          undone: bool) -> None:
    offline = code in (base.Unreachable.code, base.Busy.code, 'timeout')
    conn.execute(
        sa.update(_PODS)
        .where(_PODS.c.uuid == task.operation['pod_manager_uuid'],
               _PODS.c.operation_uuid == task.operation['uuid'])
        .values(status='offline' if offline else 'error',
                status_reason=message,
                next_sync_at=utcnow(task.settings.sync_retry_interval),
                operation_uuid=None))


KIND = Kind(name='sync', steps=(Step('scan', _scan, reads=True, volatile=True,
                              tries=3),),
            finish=_finish, fail=_fail)
