# SPDX-License-Identifier: Apache-2.0
"""Who is told what happens to the resources: the event service.

DSP0266 section 12.1 (eventing). Events go to loopback only, at most so many
wait for one subscriber, and by option some are lost or come twice: to a
client they are a hint.
"""

import asyncio
import datetime
import ipaddress
import random
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from valence.simulator.pods import Later
from valence.simulator.redfish import render
from valence.simulator.redfish.behaviour import Behaviour
from valence.simulator.redfish.messages import RedfishError, message
from valence.simulator.redfish.model import ROOT, Pod
from valence.simulator.resources import Collection, Document, Resource

EVENT_SERVICE = f"{ROOT}/EventService"
SUBSCRIPTIONS = f"{EVENT_SERVICE}/Subscriptions"
_MOST = 64
_WAITING = 1000
_TIMEOUT = aiohttp.ClientTimeout(total=5)
_PREFIXES = ("ResourceEvent",)
_WRITABLE = ("Context",)
# property: type, default
_PROPERTIES: dict[str, tuple[type, Any]] = {
    "Destination": (str, None), "Protocol": (str, None),
    "Context": (str, ""), "RegistryPrefixes": (list, []),
    "ResourceTypes": (list, []), "EventFormatType": (str, "Event"),
    "SubscriptionType": (str, "RedfishEvent"), "Name": (str, ""),
    "EventTypes": (list, []), "HttpHeaders": (list, []),
    "OriginResources": (list, []), "SubordinateResources": (bool, False),
    "DeliveryRetryPolicy": (str, "RetryForever"),
    "IncludeOriginOfCondition": (bool, False), "Severities": (list, []),
    "ExcludeRegistryPrefixes": (list, []), "MessageIds": (list, []),
    "ExcludeMessageIds": (list, []), "VerifyCertificate": (bool, False),
}


@dataclass(slots=True, eq=False)
class Subscription(Resource):
    id: str
    wanted: dict[str, Any]
    queue: asyncio.Queue[dict[str, Any]] = field(
        default_factory=lambda: asyncio.Queue(_WAITING))
    delivery: asyncio.Task[None] | None = None


@render.document.register
def _subscription(subscription: Subscription) -> dict[str, Any]:
    wanted = subscription.wanted
    return {
        "@odata.id": subscription.uri,
        "@odata.type": "#EventDestination.v1_16_0.EventDestination",
        "@odata.etag": subscription.etag,
        "Id": subscription.id,
        "Name": f"Subscription {subscription.id}",
        "Destination": wanted["Destination"],
        "Protocol": wanted["Protocol"],
        "Context": wanted["Context"],
        "EventFormatType": "Event",
        "SubscriptionType": "RedfishEvent",
        "RegistryPrefixes": wanted["RegistryPrefixes"],
        "ResourceTypes": wanted["ResourceTypes"],
        "DeliveryRetryPolicy": wanted["DeliveryRetryPolicy"],
        "Status": render.OK,
    }


class Events:
    """The event service of one pod."""

    def __init__(self, pod: Pod, behaviour: Behaviour, seed: int,
                 later: Later) -> None:
        self._pod = pod
        self._behaviour = behaviour
        self._random = random.Random(f"{seed}/events")
        self._count = 0
        self._sent = 0
        self.subscriptions = Collection(
            SUBSCRIPTIONS, "EventDestinationCollection",
            "Event Subscriptions", {})
        if not behaviour.events:
            return
        pod.add(self.subscriptions)
        pod.add(Document(EVENT_SERVICE, {
            "@odata.id": EVENT_SERVICE,
            "@odata.type": "#EventService.v1_12_0.EventService",
            "Id": "EventService",
            "Name": "Event Service",
            "Status": render.OK,
            "ServiceEnabled": True,
            "DeliveryRetryAttempts": 3,
            "DeliveryRetryIntervalSeconds": 1,
            "EventFormatTypes": ["Event"],
            "RegistryPrefixes": list(_PREFIXES),
            "ResourceTypes": ["ComputerSystem", "ResourceBlock"],
            "IncludeOriginOfConditionSupported": False,
            "SubordinateResourcesSupported": False,
            "Subscriptions": {"@odata.id": SUBSCRIPTIONS},
        }))

    def subscribe(self, body: dict[str, Any]) -> Subscription:
        """POST to the subscriptions; raises RedfishError."""
        wanted = {name: default for name, (_, default)
                  in _PROPERTIES.items()}
        for name, value in body.items():
            if name not in _PROPERTIES:
                raise RedfishError(400, "PropertyUnknown", name,
                                   related=f"#/{name}")
            if not isinstance(value, _PROPERTIES[name][0]):
                raise RedfishError(400, "PropertyValueTypeError", str(value),
                                   name, related=f"#/{name}")
            wanted[name] = value
        for name in ("Destination", "Protocol"):
            if name not in body:
                raise RedfishError(400, "PropertyMissing", name,
                                   related=f"#/{name}")
        for name, allowed in (("Protocol", ("Redfish",)),
                              ("EventFormatType", ("Event",)),
                              ("SubscriptionType", ("RedfishEvent",))):
            if wanted[name] not in allowed:
                raise RedfishError(400, "PropertyValueNotInList",
                                   wanted[name], name, related=f"#/{name}")
        for prefix in wanted["RegistryPrefixes"]:
            if prefix not in _PREFIXES:
                raise RedfishError(400, "PropertyValueNotInList",
                                   str(prefix), "RegistryPrefixes",
                                   related="#/RegistryPrefixes")
        if not _is_url(wanted["Destination"]):
            raise RedfishError(400, "PropertyValueIncorrect", "Destination",
                               wanted["Destination"],
                               related="#/Destination")
        if len(self.subscriptions.members) >= _MOST:
            raise RedfishError(503, "EventSubscriptionLimitExceeded")
        self._count += 1
        number = str(self._count)
        made = Subscription(f"{SUBSCRIPTIONS}/{number}", number, wanted)
        self.subscriptions.members[made.uri] = made
        self._pod.touch(self.subscriptions)
        self._pod.add(made)
        return made

    def unsubscribe(self, subscription: Subscription) -> None:
        del self.subscriptions.members[subscription.uri]
        del self._pod.resources[subscription.uri]
        self._pod.touch(self.subscriptions)
        if subscription.delivery:
            subscription.delivery.cancel()

    def amend(self, subscription: Subscription,
              body: dict[str, Any]) -> None:
        """PATCH of a subscription: its Context; raises RedfishError."""
        for name, value in body.items():
            if name not in _WRITABLE:
                raise RedfishError(400, "PropertyNotWritable", name,
                                   related=f"#/{name}")
            if not isinstance(value, str):
                raise RedfishError(400, "PropertyValueTypeError", str(value),
                                   name, related=f"#/{name}")
        subscription.wanted.update(body)
        self._pod.touch(subscription)

    def happened(self, key: str, resource: Resource) -> None:
        """Tell every subscriber, by the odds of the options."""
        kind = type(resource).__name__
        schema = {"System": "ComputerSystem", "Block": "ResourceBlock"}.get(
            kind, kind)
        for subscription in list(self.subscriptions.members.values()):
            assert isinstance(subscription, Subscription)
            types = subscription.wanted["ResourceTypes"]
            if types and schema not in types:
                continue
            self._sent += 1
            copies = 1
            if self._random.random() < self._behaviour.event_drop:
                copies = 0
            elif self._random.random() < self._behaviour.event_duplicate:
                copies = 2
            event = _event(str(self._sent), key, resource.uri,
                           subscription.wanted["Context"])
            for _ in range(copies):
                self._enqueue(subscription, event)

    def _enqueue(self, subscription: Subscription,
                 event: dict[str, Any]) -> None:
        if subscription.queue.full() or not _is_loopback(
                subscription.wanted["Destination"]):
            return
        subscription.queue.put_nowait(event)
        if subscription.delivery is None:
            _start(subscription)


def _start(subscription: Subscription) -> None:
    """Deliver what waits, and what comes while that goes on."""

    def done(delivery: asyncio.Task[None]) -> None:
        subscription.delivery = None
        if not delivery.cancelled() and not subscription.queue.empty():
            _start(subscription)

    delivery = asyncio.get_running_loop().create_task(_deliver(subscription))
    subscription.delivery = delivery
    delivery.add_done_callback(done)


async def _deliver(subscription: Subscription) -> None:
    """Send what waits, each event once, whatever becomes of it."""
    async with aiohttp.ClientSession(timeout=_TIMEOUT,
                                     trust_env=False) as session:
        while not subscription.queue.empty():
            event = subscription.queue.get_nowait()
            try:
                async with session.post(
                        subscription.wanted["Destination"], json=event,
                        allow_redirects=False, ssl=False):
                    pass
            except (aiohttp.ClientError, TimeoutError, ValueError):
                continue


def _event(number: str, key: str, uri: str, context: str) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    told = message(key)
    return {
        "@odata.type": "#Event.v1_11_0.Event",
        "Id": number,
        "Name": "Resource event",
        "Context": context,
        "Events": [{
            "MemberId": "1",
            "EventId": number,
            "EventTimestamp": now,
            "MessageId": told["MessageId"],
            "Message": told["Message"],
            "MessageArgs": [],
            "MessageSeverity": told["MessageSeverity"],
            "OriginOfCondition": {"@odata.id": uri},
        }],
    }


def _is_url(destination: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(destination)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_loopback(destination: str) -> bool:
    host = urllib.parse.urlsplit(destination).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
