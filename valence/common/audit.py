# SPDX-License-Identifier: Apache-2.0
"""Who did what, to what, when, from where, and what came of it?

Events in the shape of CADF (DMTF DSP0262), one line of JSON each, through
the logger ``valence.audit``. The API says what was asked for; a conductor, or
the API where it does that itself, how an operation ended. Both name the
request and the operation, and the operation itself, with each of its steps,
stays in ``GET /v1/operations``.

No event holds a body, a query, or anything that a pod manager said.
"""

import datetime
import json
import logging
import socket
import uuid as uuid_module
from collections.abc import Mapping
from typing import Any

LOG = logging.getLogger('valence.audit')

_HOST = socket.gethostname()
_TYPE = 'service/composable-hardware'

#: What an operation does to its target, in CADF's words; others are
#: ``update/KIND``.
_ACTIONS = {'compose': 'create', 'release': 'delete'}
_OUTCOMES = {'succeeded': 'success'}


def enable(wanted: bool) -> None:
    """Whether events are made in this process."""
    LOG.disabled = not wanted


def emit(observer: str, action: str, outcome: str, *,
         initiator: Mapping[str, Any], target: Mapping[str, Any],
         **more: Any) -> None:
    """Log one event.

    :param observer: the process that saw it, such as ``valence-api``
    :param outcome: success, failure, or pending
    :param more: other attributes of the event
    """
    if not LOG.isEnabledFor(logging.INFO):
        return
    now = datetime.datetime.now(datetime.UTC)
    LOG.info('%s', json.dumps({
        'typeURI': 'http://schemas.dmtf.org/cloud/audit/1.0/event',
        'id': str(uuid_module.uuid4()),
        'eventType': 'activity',
        'eventTime': now.isoformat(timespec='milliseconds'),
        'action': action,
        'outcome': outcome,
        'initiator': {'typeURI': 'service/security/account/user',
                      **initiator},
        'target': {**target, 'typeURI': f'{_TYPE}/{target["typeURI"]}'},
        'observer': {'typeURI': _TYPE, 'id': observer,
                     'host': {'address': _HOST}},
        **more}, separators=(',', ':')))


def operation_ended(operation: Mapping[str, Any], state: str,
                    code: str | None = None,
                    observer: str = 'valence-conductor') -> None:
    """Log the end of an operation, by its row.

    :param state: succeeded, failed or cancelled
    :param code: why it failed
    :param observer: who ended it
    """
    kind, node = operation['kind'], operation['node_uuid']
    emit(observer, _ACTIONS.get(kind, f'update/{kind}'),
         _OUTCOMES.get(state, 'failure'),
         initiator={'id': operation['user_id'],
                    'project_id': operation['project_id']},
         target={'typeURI': 'nodes' if node else 'pod_managers',
                 'id': node or operation['pod_manager_uuid']},
         request_id=operation['request_id'], operation=operation['uuid'],
         reason={'reasonType': 'operation', 'reasonCode': code or state})
