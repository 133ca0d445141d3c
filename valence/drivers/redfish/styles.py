# SPDX-License-Identifier: Apache-2.0
"""In which of the ways of DSP2050 does a service want systems composed?

Specific (the client names the blocks) where it can be: Valence plans and
claims blocks. By the Compose action where the collection takes no POST, the
same request then is a stanza of a manifest. Constrained (the service picks
the blocks) only where the service says that it does nothing else, or the
operator does.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from valence.drivers import base
from valence.drivers.redfish import service as redfish
from valence.drivers.redfish import values
from valence.drivers.redfish.discover import capabilities
from valence.drivers.redfish.service import Service

Body = dict[str, Any]

COMPOSE = 'CompositionService.Compose'
_SPECIFIC = 'ComputerSystemComposition'
_CONSTRAINED = 'ComputerSystemConstrainedComposition'
_MARK = '@Redfish.RequiredOnCreate'


class Style(enum.StrEnum):
    """How a system comes to be."""

    SPECIFIC = 'specific'
    MANIFEST = 'manifest'
    CONSTRAINED = 'constrained'


def enabled(composition: Mapping[str, Any] | None) -> bool:
    """Whether a CompositionService is there and switched on."""
    if not composition or not redfish.block_collections(composition):
        return False
    state = values.state(dict(composition))
    return (values.flag(composition.get('ServiceEnabled')) is not False
            and state in (None, 'Enabled', 'StandbyOffline', 'Starting'))


@dataclass(frozen=True, slots=True)
class Offer:
    """How a service composes.

    ``target`` is the collection to POST to, ``told`` the object that says
    what a request may and must hold, empty where nothing is known. ``makes``
    is false for a service that makes no systems and only has some to expand:
    it has no Compose action, tells no capabilities and allows no POST.
    """

    style: Style
    target: str
    told: Mapping[str, Any]
    makes: bool


def offer(service: Service, composition: Mapping[str, Any],
          zone: str | None = None, wish: str = 'auto') -> Offer:
    """What this service offers for systems out of ``zone``.

    :param wish: the style that the operator wants, 'auto' for none.
    :raises Misconfigured: if the operator wants the Compose action of a
        service that has none.
    """
    manifest = service.offers(composition, COMPOSE)
    if wish == Style.MANIFEST and not manifest:
        raise base.Misconfigured(
            'the composition service of the backend has no Compose action; '
            'set the connection property "composition" to "auto"')
    target = service.systems()
    answer = service.client.get(target)
    body = dict(answer.body)
    methods = redfish.allowed(answer)
    style = Style(wish) if wish != 'auto' else _style(body, methods, manifest)
    found = _capability(service, body, zone, _CONSTRAINED) if (
        style == Style.CONSTRAINED) else None
    found = found or _capability(service, body, zone, _SPECIFIC)
    named = values.reference(values.obj((found or {}).get('Links')).get(
        'TargetCollection'))
    if named is not None:
        target = service.origin.path(named)
    silent = wish == 'auto' and not manifest and found is None
    makes = not silent or methods is None or 'POST' in methods
    return Offer(style, target, _described(service, found), makes)


def _style(body: Body, methods: frozenset[str] | None, manifest: bool
           ) -> Style:
    posts = methods is None or 'POST' in methods
    if posts and capabilities(body, _SPECIFIC):
        return Style.SPECIFIC
    if manifest and (not posts or methods is None):
        return Style.MANIFEST
    if posts and capabilities(body, _CONSTRAINED):
        return Style.CONSTRAINED
    return Style.SPECIFIC


def _capability(service: Service, body: Body, zone: str | None,
                use_case: str) -> Body | None:
    """The capability that is for ``zone``, else the first there is.

    ``@Redfish.CollectionCapabilities`` sits on the collection of systems in
    newer services, on the zone in older ones.
    """
    found = capabilities(body, use_case)
    if not found and zone:
        try:
            found = capabilities(service.read(service.origin.path(zone)),
                                 use_case)
        except (base.Refused, base.BadAnswer):
            return None
    for one in found:
        related = values.objects(values.obj(
            one.get('Links')).get('RelatedItem'))
        if zone and any(values.reference(link) == zone for link in related):
            return one
    return found[0] if found else None


def _described(service: Service, capability: Mapping[str, Any] | None
               ) -> Body:
    """The object that says what a request may and must hold.

    One service links to an object that it does not have: nothing known.
    """
    if capability is None:
        return {}
    try:
        return service.read(service.origin.path(values.reference(
            capability['CapabilitiesObject'])))
    except (base.Refused, base.BadAnswer):
        return {}


def required(told: Mapping[str, Any]) -> set[str]:
    """The top-level properties marked RequiredOnCreate."""
    return {name.removesuffix(_MARK) for name, value in told.items()
            if name.endswith(_MARK) and values.flag(value)}


def updatable(told: Mapping[str, Any]) -> bool | None:
    """Whether the blocks of a system can be changed by PATCH or PUT."""
    return values.flag(values.obj(told.get('Links')).get(
        'ResourceBlocks@Redfish.UpdatableAfterCreate'))
