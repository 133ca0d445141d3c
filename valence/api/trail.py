# SPDX-License-Identifier: Apache-2.0
"""Which requests does an auditor hear of?

Those that may change something, whatever came of them, and those to read
that were refused. Events of pod managers change nothing.
"""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from valence.common import audit

_READS = ('GET', 'HEAD', 'OPTIONS')
_REFUSED = (401, 403)
_NOT_AUDITED = '/v1/events'
_ACTIONS = {'POST': 'create', 'DELETE': 'delete'}


class Trail:
    """Emits an event when the answer begins."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any],
                 start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]],
                  exc_info: Any = None) -> Any:
            _note(environ, int(status[:3]), headers)
            return start_response(status, headers)

        return self._application(environ, start)


def _note(environ: dict[str, Any], status: int,
          headers: list[tuple[str, str]]) -> None:
    method = environ['REQUEST_METHOD']
    path = environ.get('PATH_INFO', '')
    reads = method in _READS
    if (reads and status not in _REFUSED) or path == _NOT_AUDITED:
        return
    context = environ['valence.context']
    shown = quote(path.encode('latin-1', 'replace')[:512])
    collection, ident, action = (*shown.split('/')[2:5], '', '', '')[:3]
    location = dict(headers).get('Location', '').rpartition('/operations/')
    audit.emit(
        'valence-api',
        'read' if reads else _action(method, ident, action),
        'pending' if status == 202 else
        'success' if status < 400 else 'failure',
        initiator={
            'id': context.user_id, 'project_id': context.project_id,
            'host': {'address': environ.get('REMOTE_ADDR'),
                     'agent': environ.get('HTTP_USER_AGENT', '')[:256]}},
        target={'typeURI': collection or 'root', 'id': ident or None},
        request_id=context.request_id,
        operation=location[2] if location[1] else None,
        requestPath=shown,
        reason={'reasonType': 'HTTP', 'reasonCode': str(status)})


def _action(method: str, ident: str, action: str) -> str:
    if not ident:
        return _ACTIONS.get(method, 'update')
    if method == 'DELETE' and not action:
        return 'delete'
    return f'update/{action}' if action else 'update'
