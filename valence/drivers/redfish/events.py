# SPDX-License-Identifier: Apache-2.0
"""How does a service come to tell Valence that something has changed?

By a subscription of its event service (DSP0266, "Eventing"). What it then
sends is only a hint, so nothing is asked of the service but that it posts
anything at all.
"""

from collections.abc import Mapping
from typing import Any

from valence.drivers import base
from valence.drivers.redfish import values
from valence.drivers.redfish.crawl import NOT_THERE, Crawl
from valence.drivers.redfish.service import Service

#: Subscriptions that are looked through; a service has few.
_MOST = 256
#: A subscription that is gone, or that another user keeps to himself.
_NOT_OURS = (403, *NOT_THERE)


def subscribe(service: Service, destination: str) -> None:
    """Be sure that the service posts its events to ``destination``.

    :raises Unsupported: it has no event service, or one switched off
    """
    path = service.link(service.root(), 'EventService')
    if path is None:
        raise base.Unsupported('the backend has no event service')
    events = service.read(path)
    subscriptions = service.link(events, 'Subscriptions')
    if subscriptions is None or values.flag(
            events.get('ServiceEnabled')) is False:
        raise base.Unsupported('the event service of the backend is '
                               'switched off')
    if not _has(service, subscriptions, destination):
        service.client.send('POST', subscriptions, {
            'Destination': destination, 'Protocol': 'Redfish',
            'Context': 'Valence'}, harmless=True)


def _has(service: Service, subscriptions: str, destination: str) -> bool:
    """Whether one of all pages of subscriptions is of ``destination``.

    :raises DriverError: not found where not all could be read, or there are
        too many: one more each time would not help.
    """
    found: list[str] = []

    def each(path: str, body: Mapping[str, Any]) -> None:
        if body.get('Destination') == destination:
            found.append(path)

    crawl = Crawl(service, _MOST)
    crawl.collection({'@odata.id': subscriptions}, each, missing=_NOT_OURS)
    crawl.run()
    if crawl.errors and not found:
        raise crawl.errors[0]
    return bool(found)
