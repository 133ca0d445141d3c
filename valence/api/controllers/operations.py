# SPDX-License-Identifier: Apache-2.0
"""What became of a request that was accepted?"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from valence import remedies, requests
from valence.api import finding, preconditions, repeats, scope
from valence.api.request import Answer, Request
from valence.api.views import View
from valence.common import audit, faultpoints
from valence.db import documents, models
from valence.db.looking import Reader

_TABLE: Any = models.Operation.__table__
_STEPS: Any = models.OperationStep.__table__
_C = _TABLE.c

_ALL_PROJECTS = 'composable-hardware:operations:all_projects'


VIEW = View('operations', {
    'uuid': _C.uuid,
    'kind': _C.kind,
    'state': _C.state,
    'desired': _C.desired,
    'undoing': _C.undoing,
    'progress': _C.progress,
    'error': sa.case((
        sa.or_(_C.error_code.is_not(None), _C.error.is_not(None)),
        documents.document({'code': _C.error_code, 'detail': _C.error}))),
    'node': _C.node_uuid,
    'pod_manager': _C.pod_manager_uuid,
    'project_id': _C.project_id,
    'user_id': _C.user_id,
    'request_id': _C.request_id,
    'result': _C.result,
    'attempts': _C.attempts,
    'conductor': _C.owner,
    'created_at': _C.created_at,
    'updated_at': _C.updated_at,
    'started_at': _C.started_at,
    'finished_at': _C.finished_at,
    'deadline_at': _C.deadline_at,
    'acquired_at': _C.acquired_at,
    'lease_expires_at': _C.lease_expires_at,
    'not_before': _C.not_before,
})
_SUMMARY = VIEW.without('result')

_ONE = scope.Finder('operation', sa.select(_C.id, *VIEW.columns), _TABLE,
                    _ALL_PROJECTS)
_UUID = scope.Finder('operation', sa.select(_C.uuid), _TABLE,
                     _ALL_PROJECTS)
_LIST = sa.select().select_from(_TABLE)
_FILTERS = {'kind': _C.kind, 'state': _C.state}

_STEP_NAMES = ('name', 'state', 'attempts', 'error', 'started_at',
               'finished_at')
_STEPS_OF = (
    sa.select(*(_STEPS.c[name] for name in _STEP_NAMES))
    .where(_STEPS.c.operation_id == sa.bindparam('id'))
    .order_by(_STEPS.c.ordinal))


def index(request: Request) -> Answer:
    """List operations, the oldest first."""
    conditions = finding.conditions(request.query, _FILTERS)
    if 'node' in request.query:
        conditions.append(_C.node_uuid == request.query['node'].lower())
    if 'changes-since' in request.query:
        conditions.append(_C.updated_at >= request.query['changes-since'])
    with request.database.read() as conn:
        conditions += finding.of_pod_manager(
            request, conn, _C.pod_manager_uuid)
        return finding.page(
            request, conn, _SUMMARY, _LIST.where(*conditions), _TABLE,
            scope.visible(request, _TABLE, _ALL_PROJECTS))


def show(request: Request, operation: str) -> Answer:
    """Show an operation with the steps it has made so far."""
    return Answer(request.database.look(
        lambda conn: _read(request, conn, operation)))


def delete(request: Request, operation: str) -> Answer:
    """Cancel an operation: it stops at its next step and is undone."""
    return _remedy(request, operation, requests.cancel)


def retry(request: Request, operation: str) -> Answer:
    """Do a failed operation again, or go on now with one that waits.

    What does it again is a new operation, which is the answer.
    """
    return _remedy(request, operation, remedies.retry)


def abandon(request: Request, operation: str) -> Answer:
    """End an operation at once, whatever there is on the hardware.

    Its node is in error and keeps its devices.
    """
    return _remedy(request, operation, remedies.abandon, ends='abandoned')


def _remedy(request: Request, ident: str,
            function: Callable[[sa.Connection, requests.Requester, str], str],
            ends: str | None = None) -> Answer:
    def ask(conn: sa.Connection, requester: requests.Requester) -> str:
        uuid = _UUID.find(conn, request, ident, lock=True).uuid
        preconditions.check(request, lambda: _read(request, conn, uuid))
        return function(conn, requester, uuid)

    return accept(request, ask, ends=ends)


def accept(request: Request,
           ask: Callable[[sa.Connection, requests.Requester], str], *,
           ends: str | None = None,
           **more: Callable[[sa.Connection, Any], Any]) -> Answer:
    """Write a request down by ``ask``, ring, and answer 202.

    A request with an Idempotency-Key that was accepted before is answered
    again and not done again.

    :param ask: runs in a transaction, perhaps more than once, and returns
        the operation's uuid
    :param ends: the operation is over with this, and no conductor tells the
        audit trail: why it failed, or succeeded
    :param more: what else the answer's body has, read afterwards; gets the
        operation's body
    """
    made = repeats.once(request, lambda conn, requester: [
        requests.repeated(conn, requester) or ask(conn, requester)])
    uuid, = made.uuids
    faultpoints.reach('K1')
    request.services.ring(uuid)
    faultpoints.reach('K2')
    with request.database.read() as conn:
        operation = _read(request, conn, uuid)
        body = {'operation': operation,
                **{name: read(conn, operation)
                   for name, read in more.items()}}
    if ends and not made.before:
        audit.operation_ended(
            {**operation, 'node_uuid': operation['node'],
             'pod_manager_uuid': operation['pod_manager']},
            operation['state'], ends, 'valence-api')
    location = body['operation']['links'][0]['href']
    return Answer(body, headers=(('Location', location),))


def accept_all(request: Request, ask: Callable[
        [sa.Connection, requests.Requester], list[str]]) -> Answer:
    """The same for requests that may make several operations, or none."""
    made = repeats.once(request, ask)
    for uuid in made.uuids:
        request.services.ring(uuid)
    # The key of several operations is known as long as the last of them.
    with request.database.read() as conn:
        return Answer({'operations': [
            operation for uuid in made.uuids
            if (operation := finding.if_there(
                _read, request, conn, uuid))]})


def _read(request: Request, conn: Reader, ident: str
          ) -> dict[str, Any]:
    row = _ONE.find(conn, request, ident)
    row_id, *fields = row
    body = VIEW.one(fields, request.url)
    body['steps'] = [
        dict(zip(_STEP_NAMES, step, strict=True))
        for step in conn.execute(_STEPS_OF, {'id': row_id})]
    return body
