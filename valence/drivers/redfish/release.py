# SPDX-License-Identifier: Apache-2.0
"""How does a system give its blocks back?

DSP2050, "Decompose": DELETE of the composed system, or a DecomposeSystem
stanza where the service wants manifests. A system that allows no DELETE is
an expandable one: its blocks are removed one by one and the server itself
stays. A whole server is never deleted.
"""

from typing import Any

from valence.drivers import base
from valence.drivers.http import Answer
from valence.drivers.redfish import (
    change,
    manifest,
    reserve,
    systems,
    tasks,
)
from valence.drivers.redfish.discover import is_composed
from valence.drivers.redfish.service import Service
from valence.drivers.redfish.styles import COMPOSE

Body = dict[str, Any]

_STALE = (412, 428)
_NO_SUCH_WAY = (405, 501)


def start(service: Service, handle: base.Handle, reserves: bool = False
          ) -> Answer | None:
    """Send what takes the system apart; None where it is so already.

    :param reserves: take back Reserved flags that a crash left set.
    :raises Refused: if it is not ours to take apart.
    """
    path = service.origin.path(handle.resource_path)
    answer: Answer | None = None
    headers: dict[str, str] = {}
    for last in (False, True):
        try:
            seen = systems.look(service, path)
        except base.NotFound:
            return None
        check_ours(handle, seen.body)
        if reserves and not last:
            reserve.let_go(service, systems.devices(service, path,
                                                    seen.body))
            # That may have changed the system's ETag, but is asked for
            # only by a service that wants one.
        if last and seen.etag:
            headers = {'If-Match': seen.etag}
        if not is_composed(seen.body) or not seen.may('DELETE'):
            break
        try:
            answer = service.client.send(
                'DELETE', path, headers=headers,
                accept=(*_NO_SUCH_WAY, *(() if last else _STALE)))
        except base.NotFound:
            return None
        if answer.status in _NO_SUCH_WAY:
            break
        if answer.status not in _STALE:
            return answer
    if is_composed(seen.body):
        composition = service.composition() or {}
        if service.offers(composition, COMPOSE):
            return manifest.decompose(
                service, composition, str(handle.extra.get('tag') or ''),
                path)
    _empty(service, handle, path, seen.body, answer)
    return None


def _empty(service: Service, handle: base.Handle, path: str, body: Body,
           refused: Answer | None) -> None:
    """Remove the blocks, one after the other, except the server's own.

    A task in between is waited for; where the time is not enough the caller
    comes again, and what is removed by then stays so.

    :raises Unsupported: if blocks cannot be removed either.
    """
    for device in systems.devices(service, path, body):
        if systems.is_block_of(service.read(device), path):
            continue
        try:
            answer = change.send(service, handle, device, 'detach')
        except base.Unsupported as error:
            why = 'allows no DELETE' if refused is None else (
                f'answered {refused.status} to DELETE')
            raise base.Unsupported(f'{path} {why}, and {error}') from error
        if answer is not None and answer.status == 202:
            tasks.settle(service, answer, f'the removal of {device}')


def check_ours(handle: base.Handle, body: Body) -> None:
    """See that a system may be taken apart.

    :raises Refused: if it may not.
    """
    path, tag = handle.resource_path, handle.extra.get('tag')
    if not is_composed(body) and not (tag and body.get('Name') == tag):
        raise base.Refused(f'{path} is not a composed system; it is never '
                           'deleted')
    if tag and body.get('Name') != tag:
        raise base.Refused(
            f'{path} is not named {tag} (any more): it may be the '
            'composition of somebody else and is not deleted')
