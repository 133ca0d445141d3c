# SPDX-License-Identifier: Apache-2.0
"""How does a service come to tell Valence that something has changed?

By a subscription of its event service (DSP0266, "Eventing"). What it then
sends is only a hint, so nothing is asked of the service but that it posts
anything at all.
"""

from valence.drivers import base
from valence.drivers.redfish import values
from valence.drivers.redfish.service import Service

#: Subscriptions that are looked through; a service has few.
_MOST = 64


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
    members = values.objects(service.read(subscriptions).get('Members'))
    for member in members[:_MOST]:
        try:
            known = service.read(service.origin.path(
                values.reference(member)))
        except base.NotFound:
            continue
        if known.get('Destination') == destination:
            return True
    return False
