# SPDX-License-Identifier: Apache-2.0
"""How does a pod manager say that something has changed?

It posts an event to the address that Valence subscribed with. What the event
says is not believed and not even read: all it can do is bring the next sync
of its own pod manager forward, and not more often than every few seconds.
"""

from valence.api.request import Answer, Request
from valence.common import errors
from valence.db import pod_managers


def receive(request: Request) -> Answer:
    """Take an event of a pod manager as a hint to read it anew."""
    uuid = request.query['pod_manager'].lower()
    if not request.services.vault.has_signed(
            f'events of {uuid}', request.query['token'].lower()):
        raise errors.NotFound('no subscription has this address')
    request.database.run(pod_managers.sync_soon, uuid,
                         request.settings.event_interval)
    return Answer()
