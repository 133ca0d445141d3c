# SPDX-License-Identifier: Apache-2.0
"""What is done about differences that two scans have shown?

The hardware is looked at once more, node by node, and what that shows is
written down: a node whose system is another one than it should be is in
error; a node whose system is certainly gone is too, and only then owns
nothing any more; a composition of ours without a node gets one, which is in
error where the composition is not whole. Hardware is never changed.
"""

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from valence import requests
from valence.common import errors, states
from valence.conductor import comparison
from valence.conductor.operations import hardware
from valence.conductor.operations.base import (
    Kind,
    Outcome,
    Step,
    Task,
    jsonable,
)
from valence.db import drift, inventory, nodes, operations
from valence.drivers import base

LOG = logging.getLogger(__name__)

#: The most differences that one operation is about.
_MOST = 100

#: What the second look shows. What is unfinished has the right devices.
_EQUAL, _UNFINISHED = 'equal', 'unfinished'
_DIFFERS, _ABSENT, _UNCLEAR = 'differs', 'absent', 'unclear'
#: What became of a difference that stays.
_UNSETTLED = ('busy', 'unclear', 'suspended')


@dataclasses.dataclass(frozen=True)
class _Look:
    verdict: str
    hardware: base.NodeHardware | None = None
    #: A sentence for the operator.
    told: str = ''


def write_down(conn: sa.Connection, pod_manager_uuid: str,
               due: list[tuple[str, comparison.Finding]]) -> None:
    """Write an operation about the differences, unless one is under way."""
    columns = operations.OPERATIONS.c
    if not due or conn.scalar(
            sa.select(columns.uuid)
            .where(columns.pod_manager_uuid == pod_manager_uuid,
                   columns.kind == 'reconcile',
                   columns.state.in_(operations.ACTIVE)).limit(1)):
        return
    due = due[:_MOST]
    uuid = requests.write_down(
        conn, requests.SYSTEM, 'reconcile',
        pod_manager_uuid=pod_manager_uuid,
        params={'findings': [
            {'drift': row, 'kind': finding.kind, 'node': finding.node_uuid,
             **finding.act} for row, finding in due]})
    drift.mark(conn, [row for row, _ in due], operation_uuid=uuid)


def _look(task: Task) -> Outcome:
    looks = task.found['looks'] = {}
    for finding in task.params['findings']:
        try:
            look = _look_at(task, finding)
        except base.DriverError as error:
            if error.retryable:
                raise
            # One that cannot be read does not keep the others waiting.
            look = _Look(_UNCLEAR, told=str(error))
        looks[finding['drift']] = look
        LOG.warning('pod manager %s, node %s: two scans said %s; now it is '
                    '%s %s', task.pod_manager['name'], finding['node'],
                    finding['kind'], look.verdict, look.told)
    return {row: look.verdict for row, look in looks.items()}


def _look_at(task: Task, finding: Mapping[str, Any]) -> _Look:
    recorded = (base.Handle(**finding['handle']) if finding.get('handle')
                else None)
    handle = hardware.current(task, comparison.tag_of(finding['node']),
                              recorded)
    place = handle or recorded
    found = task.driver.observe(place) if place else None
    if place is None or found is None:
        return _Look(_ABSENT)
    wrong = hardware.difference(
        finding.get('expected') or finding['found'], found.device_paths)
    if handle is None:
        wrong = wrong or f'{place.resource_path} lost its tag'
    elif recorded and place.resource_path != recorded.resource_path:
        wrong = wrong or f'it is at {place.resource_path} now'
    if wrong:
        return _Look(_DIFFERS, found, wrong)
    return _Look(_UNFINISHED if found.unfinished else _EQUAL, found,
                 hardware.unfinished(found))


def _finish(conn: sa.Connection, task: Task) -> Outcome:
    """What became of each difference, by the uuids of the nodes."""
    result: dict[str, list[str]] = defaultdict(list)
    findings = task.params['findings']
    doubted = drift.suspended(conn, [one['drift'] for one in findings])
    for finding in findings:
        look = task.found['looks'][finding['drift']]
        if finding['drift'] in doubted:
            action = 'suspended'
        elif finding['kind'] == comparison.ORPHAN:
            action = _adopt(conn, task, finding, look)
        else:
            action = _settle(conn, task, finding, look)
        drift.mark(conn, [finding['drift']],
                   # What could not be settled is tried again.
                   action=None if action in _UNSETTLED else action)
        result[action].append(finding['node'])
    return dict(result)


def _settle(conn: sa.Connection, task: Task, finding: Mapping[str, Any],
            look: _Look) -> str:
    """A node has another system than it should, or none."""
    if look.verdict == _UNCLEAR:
        return 'unclear'
    if look.verdict == _EQUAL:
        return 'refuted'
    gone = finding['kind'] == comparison.GONE and look.verdict == _ABSENT
    told = look.told or 'it is not where it was, and nowhere else'
    values: dict[str, Any] = (
        {'state_reason': 'hardware_gone: two scans and a last look did not '
         'find its system any more; it owns nothing now', 'handle': None,
         'resource_path': None, 'power_state': None} if gone else
        {'state_reason': 'hardware_mismatch: its system was changed behind '
         f'the back of Valence ({told})'})
    if look.hardware:
        # It may have moved; what is done to it next goes there.
        place = look.hardware.handle
        values |= {'handle': jsonable(place),
                   'resource_path': place.resource_path}
    node = nodes.get(conn, finding['node'])
    if node is None or not nodes.move(
            conn, finding['node'], finding['generation'], 'reconcile',
            states.SUCCEEDED, **values):
        return 'busy'
    if not gone:
        return 'quarantined'
    # The devices are what the next scan says of them.
    nodes.unclaim(conn, node['id'])
    return 'freed'


def _adopt(conn: sa.Connection, task: Task, finding: Mapping[str, Any],
           look: _Look) -> str:
    """Give a composition of ours the node that it should have."""
    pod, uuid = task.pod_manager, finding['node']
    if look.verdict == _UNCLEAR:
        return 'unclear'
    if look.verdict not in (_EQUAL, _UNFINISHED) or look.hardware is None:
        return 'refuted'
    paths = look.hardware.device_paths
    if nodes.get(conn, uuid) or drift.owners(conn, pod['id'], paths):
        return 'busy'
    past = _history(conn, uuid)
    project = past.get('project_id') or task.settings.adoption_project
    try:
        node_id = nodes.insert(
            conn, 'reconcile', states.SUCCEEDED if look.verdict == _EQUAL
            else states.UNFINISHED, state_reason=look.told or None, uuid=uuid,
            name=_name(conn, project, uuid, past.get('name')),
            project_id=project, user_id=past.get('user_id'),
            pod_manager_id=pod['id'],
            requirements=past.get('requirements') or {},
            **hardware.columns(look.hardware))
        nodes.claim(conn, pod['id'], node_id, task.operation['uuid'], paths)
    except (nodes.ClaimTaken, db_exc.DBDuplicateEntry) as error:
        # Somebody was faster: the whole transaction looks again.
        raise db_exc.RetryRequest(errors.Conflict(
            f'node {uuid} cannot be adopted just now')) from error
    inventory.set_device_states(conn, pod['id'], paths, 'used')
    return 'adopted'


def _history(conn: sa.Connection, node_uuid: str) -> dict[str, Any]:
    """What the newest compose of the node says of it."""
    columns = operations.OPERATIONS.c
    row = conn.execute(
        sa.select(columns.id, columns.project_id, columns.user_id)
        .where(columns.node_uuid == node_uuid, columns.kind == 'compose')
        .order_by(columns.id.desc()).limit(1)).one_or_none()
    if row is None:
        return {}
    step = operations.steps(conn, row.id).get('compose') or {}
    intent = step.get('intent') or {}
    return {'project_id': row.project_id, 'user_id': row.user_id,
            'name': intent.get('name'),
            'requirements': intent.get('requirements')}


def _name(conn: sa.Connection, project: str, uuid: str,
          past: str | None) -> str:
    """Its old name, or the first that is free."""
    names = [name for name in (
        past, f'adopted-{uuid[:8]}', f'adopted-{uuid}') if name]
    taken = set(conn.scalars(
        sa.select(nodes.NODES.c.name)
        .where(nodes.NODES.c.project_id == project,
               nodes.NODES.c.name.in_(names))))
    return next((name for name in names if name not in taken), names[-1])


def _fail(conn: sa.Connection, task: Task, code: str, message: str,
          undone: bool) -> None:
    """The differences stay, and the next scan tries again."""


KIND = Kind(name='reconcile',
            steps=(Step('look', _look, reads=True, volatile=True, tries=3),),
            finish=_finish, fail=_fail)
