# SPDX-License-Identifier: Apache-2.0
"""Who is a backend, and what can it do?

All that is promised is read: from the root, the composition service, the
capabilities of the collection of systems and a few of the systems.
"""

import contextlib
from typing import Any

from valence.drivers import base
from valence.drivers.redfish import (
    change,
    manifest,
    service,
    styles,
    systems,
    values,
)
from valence.drivers.redfish.discover import is_composed, is_expandable
from valence.drivers.redfish.systems import BOOT_TARGETS, RESET_TYPES

Body = dict[str, Any]

#: So many systems are asked what they allow, for the backend as a whole:
#: the first, and the last, which are the youngest in most services.
_SAMPLE = 4


def identify(pod: service.Service, wish: str,
             reserves: bool = False) -> base.Identity:
    """Ask, with credentials that have to be good.

    :param wish: how systems are to be composed, see :mod:`.styles`.
    :param reserves: whether the operator wants Reserved to be used.
    """
    root = pod.root(again=True)
    product = ' '.join(filter(None, (
        values.text(root.get('Vendor')),
        values.text(root.get('Product')) or values.text(root.get('Name')))))
    return base.Identity(
        product=product or 'Redfish service',
        version=values.text(root.get('RedfishVersion'), 64) or '',
        uuid=values.text(root.get('UUID'), 64),
        capabilities=_capabilities(pod, root, wish, reserves))


def _capabilities(pod: service.Service, root: Body, wish: str,
                  reserves: bool) -> base.Capabilities:
    resets: set[str] = set()
    boots: set[str] = set()
    seen: list[systems.Seen] = []
    checked = False
    collection = pod.link(root, 'Systems')
    if collection is not None:
        members = _sample(pod, collection)
        checked = True
        for link in members:
            with contextlib.suppress(base.Refused, base.BadAnswer):
                one = systems.look(pod, values.reference(link))
                seen.append(one)
                resets.update(systems.may_reset(pod, one.body))
                boots.update(systems.may_boot(one.body))
        if not members:
            resets, boots = set(RESET_TYPES), set(BOOT_TARGETS)
    able: dict[str, Any] = {}
    composition = pod.composition()
    if composition and styles.enabled(composition) and collection:
        checked = True
        if _has_blocks(pod, composition):
            able = _composing(pod, composition, wish, seen, reserves)
    if not checked:
        chassis = pod.link(root, 'Chassis')
        if chassis is None:
            raise base.BadAnswer('the service root of the backend lists '
                                 'neither Systems nor Chassis')
        pod.client.get(chassis)
    return base.Capabilities(
        reset_types=values.declared(RESET_TYPES, resets),
        boot_targets=values.declared(BOOT_TARGETS, boots), **able)


def _sample(pod: service.Service, collection: str) -> list[Body]:
    members = service.members(pod.read(collection)) or []
    half = _SAMPLE // 2
    return members if len(members) <= _SAMPLE else [
        *members[:half], *members[-half:]]


def _has_blocks(pod: service.Service, composition: Body) -> bool:
    for link in service.block_collections(composition):
        with contextlib.suppress(base.NotFound):
            path = pod.origin.path(values.reference(link))
            if service.members(pod.read(path)):
                return True
    return False


def _composing(pod: service.Service, composition: Body, wish: str,
               seen: list[systems.Seen], reserves: bool
               ) -> dict[str, Any]:
    found = styles.offer(pod, composition, _first_zone(pod, composition),
                         wish)
    previews = False
    if found.style == styles.Style.MANIFEST:
        kinds = manifest.kinds(pod, composition)
        previews = 'Preview' in kinds
        reserves = reserves or 'PreviewReserve' in kinds
    changing = [one for one in seen if is_composed(one.body)
                or change.expandable(one.body)]
    chooses = (base.Allocation.BACKEND
               if found.style == styles.Style.CONSTRAINED
               else base.Allocation.VALENCE)
    updatable = styles.updatable(found.told)
    expands = chooses == base.Allocation.VALENCE and any(
        is_expandable(one.body) and change.adds(pod, one, updatable)
        for one in seen)
    return {
        'compose': found.makes or expands, 'expand': expands,
        # No server that is there carries a tag, only what is made does.
        'tags': found.makes or not expands, 'preview': previews,
        'reserve': reserves, 'allocation': chooses,
        'attach': expands or change.promised(pod, changing, updatable),
    }


def _first_zone(pod: service.Service, composition: Body) -> str | None:
    """For the services that have their capabilities on the zones."""
    with contextlib.suppress(base.Refused, base.BadAnswer):
        path = pod.link(composition, 'ResourceZones')
        listed = service.members(pod.read(path)) if path else None
        if listed:
            return pod.origin.path(values.reference(listed[0]))
    return None
