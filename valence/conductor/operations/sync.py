# SPDX-License-Identifier: Apache-2.0
"""How does a pod's inventory get into the database?

The scan reads the whole pod and then writes what changed, in one
transaction that is guarded by the lease. It changes no hardware, so a
successor simply scans again. A complete scan is compared with the nodes, and
what differs is noted. Where the pod manager was changed meanwhile, what was
read of it is thrown away.
"""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from valence.conductor import comparison
from valence.conductor.operations import reconcile
from valence.conductor.operations.base import Failed, Kind, Outcome, Step, Task
from valence.db import drift, inventory, pod_managers
from valence.db.types import utcnow
from valence.drivers import base

LOG = logging.getLogger(__name__)

#: What of a failed scan's problems is kept, to be shown.
_PROBLEMS_SHOWN = 20


def _subscribe(task: Task) -> Outcome:
    """See that what changes from now on is announced.

    A step of its own, and ahead of the scan: it writes to the backend, so it
    has to end before the lease does.
    """
    # One that is away is waited for here, and not twice.
    task.found['identity'] = task.driver.identify()
    uuid, address = task.pod_manager['uuid'], task.settings.event_address
    try:
        if address is not None:
            task.driver.subscribe(address(uuid))
    except base.DriverError as error:
        LOG.warning('pod manager %s sends no events (%s); it is read by the '
                    'clock', uuid, error)
        return {'problem': str(error)}
    return {}


def _scan(task: Task) -> Outcome:
    identity = task.found.get('identity') or task.driver.identify()
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


def _rows(records: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    names = None
    for record in records:
        names = names or [field.name for field in
                          dataclasses.fields(record)]
        yield {name: getattr(record, name) for name in names}


def _finish(conn: sa.Connection, task: Task) -> Outcome:
    """Write what the scan saw.

    :raises Failed: the pod manager is not what was scanned any more
    """
    pod = task.pod_manager
    found: base.Inventory = task.found['inventory']
    identity: base.Identity = task.found['identity']
    scan = pod['scans'] + 1
    began = task.operation['acquired_at']
    known = drift.nodes_of(conn, pod['id'], began)
    newer = {'devices': {
        'began': began,
        'moving': drift.moving(conn, pod['uuid'], known, began)}}
    counts = {
        table: inventory.write(
            conn, table, pod['id'], pod['uuid'],
            _rows(getattr(found, table)), found.complete, scan,
            trusted=pod['draining'], **newer.get(table, {}))
        for table in inventory.TABLES}
    doubt = (_compare(conn, task, scan, counts, known) if found.complete
             else _incomplete(found))
    # At the end, lest composes wait for the pod manager's row.
    if not pod_managers.end_sync(
            conn, pod, task.operation['uuid'], task.settings.sync_interval,
            status='online',
            status_reason=doubt,
            product=f'{identity.product} {identity.version}'.strip()[:255],
            capabilities=identity.capabilities.to_dict(),
            last_sync_at=utcnow(),
            scans=scan if found.complete else pod['scans']):
        raise Failed('pod_manager_changed', 'the pod manager was changed '
                     'while it was read; what was read is not written down, '
                     'and the next sync is due at once')
    return {**task.results['scan'], 'written': {
        table: dataclasses.asdict(count) for table, count in counts.items()}}


def _compare(conn: sa.Connection, task: Task, scan: int,
             counts: Mapping[str, inventory.Counts],
             nodes: Iterable[Mapping[str, Any]]) -> str | None:
    """Note in what the pod differs from the nodes, and have it settled.

    :returns: why the scan is doubted, if it is
    """
    pod, systems = task.pod_manager, task.found['inventory'].systems
    known = [comparison.Known(**node) for node in nodes]
    tagged = filter(None, (comparison.node_of(one.tag) for one in systems))
    findings = comparison.compare(systems, known, drift.known_nodes(
        conn, tagged, not_of=pod['id']))
    doubted = [table for table in inventory.TABLES if counts[table].doubted]
    if inventory.vanished(*comparison.at_stake(findings, known)):
        doubted.append('nodes')
    suspended = not {'systems', 'devices', 'nodes'}.isdisjoint(doubted)
    due = drift.note(conn, pod['id'], findings, scan, suspended)
    reconcile.write_down(conn, pod['uuid'], due)
    return (f'more than a fifth of its {" and ".join(doubted)} vanished at '
            'once; until they are back none of them is removed or freed'
            + (', and nothing is done about differences' if suspended
               else '') if doubted else None)


def _incomplete(found: base.Inventory) -> str:
    first = found.problems[0] if found.problems else None
    return ('the last scan was incomplete'
            + (f' ({len(found.problems)} problem(s), the first at '
               f'{first.resource_path}: {first.reason})' if first else ''))


def _fail(conn: sa.Connection, task: Task, code: str, message: str,
          undone: bool) -> None:
    """Say why, unless the pod manager was changed meanwhile."""
    offline = code in (base.Unreachable.code, base.Busy.code, 'timeout')
    pod_managers.end_sync(
        conn, task.pod_manager, task.operation['uuid'],
        task.settings.sync_retry_interval,
        status='offline' if offline else 'error', status_reason=message)


KIND = Kind(name='sync',
            steps=(Step('subscribe', _subscribe, tries=3,
                        applies=lambda task: (
                            task.settings.event_address is not None)),
                   Step('scan', _scan, reads=True, volatile=True, tries=3)),
            finish=_finish, fail=_fail)
