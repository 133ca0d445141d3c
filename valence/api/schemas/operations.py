# SPDX-License-Identifier: Apache-2.0
"""By what can operations be chosen, and what is said about them?"""

from valence.api.schemas.common import (
    BOOLEAN,
    COUNT,
    IDENT,
    OPEN,
    TEXT,
    TIME,
    UUID,
    Schema,
    array,
    closed,
    listing,
    nullable,
    page,
    resource,
)

_WORD = {'type': 'string', 'minLength': 1, 'maxLength': 32}

_STATE: Schema = {'enum': ['pending', 'running', 'succeeded', 'failed',
                           'cancelled']}

_STEP = closed({
    'name': TEXT,
    'state': {'enum': ['intent', 'pending', 'done', 'failed', 'skipped']},
    'attempts': COUNT,
    'error': nullable(TEXT),
    'started_at': nullable(TIME),
    'finished_at': nullable(TIME),
}, title='Step')

OPERATION = resource('Operation', {
    'uuid': UUID,
    'kind': TEXT,
    'state': _STATE,
    'desired': {'enum': ['done', 'cancelled', 'deleted']},
    'undoing': BOOLEAN,
    'progress': {'type': 'integer', 'minimum': 0, 'maximum': 100},
    'error': nullable(closed({
        'code': nullable(TEXT), 'detail': nullable(TEXT)})),
    'node': nullable(UUID),
    'pod_manager': nullable(UUID),
    'project_id': nullable(TEXT),
    'user_id': nullable(TEXT),
    'request_id': nullable(TEXT),
    'result': nullable(OPEN),
    'attempts': COUNT,
    'conductor': nullable(TEXT),
    'created_at': TIME,
    'updated_at': nullable(TIME),
    'started_at': nullable(TIME),
    'finished_at': nullable(TIME),
    'deadline_at': nullable(TIME),
    'acquired_at': nullable(TIME),
    'lease_expires_at': nullable(TIME),
    'not_before': nullable(TIME),
    'steps': array(_STEP),
})

PAGE = page('operations', OPERATION, 'result', 'steps')


def accepted(title: str = 'Accepted', **more: Schema) -> Schema:
    """The answer 202: the operation, and what else it is about."""
    return closed({'operation': OPERATION, **more}, title=title)


ACCEPTED = accepted()
SEVERAL = closed({'operations': array(OPERATION)}, title='SeveralAccepted')

LIST = listing(
    PAGE,
    kind=_WORD,
    state=_STATE,
    node=UUID, pod_manager=IDENT, all_projects=BOOLEAN,
    **{'changes-since': TIME})
