# SPDX-License-Identifier: Apache-2.0
"""Where does a service keep its collections, and how are they paged?

The service root (DSP0268, ServiceRoot) names them; a collection lists its
members in pages (DSP0266, "Resource collection responses").
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from valence.drivers import base
from valence.drivers.http import Answer, Client
from valence.drivers.redfish import values

DEFAULT_ROOT = '/redfish/v1'
_ROOT_HOLDS = 60.0
#: Members to ask for at a time, where they come expanded: 500 resource
#: blocks are some 1 MiB. Less where that is more than is taken at once.
PAGES = (500, 100)

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expansion:
    """``query`` makes a collection carry its members, ``top`` at a time."""

    query: str
    top: int | None = None

    def page(self, skip: int = 0) -> str:
        """The query of the page after the first ``skip`` members."""
        if self.top is None:
            return f'?{self.query}'
        return f'?{self.query}&$top={self.top}' + (
            f'&$skip={skip}' if skip else '')


class Service:
    """The root of one service, read at most once a minute."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.origin = client.origin
        self._root: tuple[float, Body] | None = None

    def root(self, again: bool = False) -> Body:
        """The service root; with its slash, as DSP0266 wants it."""
        cached = self._root
        if cached and not again and time.monotonic() < cached[0]:
            return cached[1]
        body = dict(self.client.get(self.origin.root + '/').body)
        self._root = (time.monotonic() + _ROOT_HOLDS, body)
        return body

    def read(self, path: str) -> Body:
        return dict(self.client.get(path).body)

    def link(self, body: Mapping[str, Any], name: str) -> str | None:
        """The path that property ``name`` links to, None without one."""
        found = values.reference(body.get(name))
        return None if found is None else self.origin.path(found)

    def systems(self) -> str:
        """The path of the collection of systems.

        :raises Unsupported: if this service has none.
        """
        path = self.link(self.root(), 'Systems')
        if path is None:
            raise base.Unsupported('the service root of the backend lists '
                                   'no Systems')
        return path

    def composition(self) -> Body | None:
        """The CompositionService, None where there is none."""
        path = self.link(self.root(), 'CompositionService')
        if path is None:
            return None
        try:
            return self.read(path)
        except base.Refused as error:
            if error.status in (403, 404, 405, 410, 501):
                return None
            raise

    def action(self, body: Mapping[str, Any], name: str
               ) -> tuple[str, Body] | None:
        """Where to POST an action and what it says, None if not offered.

        The target is followed as given, if it is within the origin: one
        product misspells its own ("/CompostionService/").
        """
        found = values.obj(values.obj(body.get('Actions')).get(f'#{name}'))
        if not found.get('target'):
            return None
        return self.origin.path(found['target']), found

    def offers(self, body: Mapping[str, Any], name: str) -> bool:
        """Whether there is such an action, and it may be followed."""
        try:
            return self.action(body, name) is not None
        except base.BadAnswer:
            return False

    def parameter(self, action: Mapping[str, Any], name: str
                  ) -> tuple[bool, tuple[str, ...]]:
        """(whether an action may be given ``name``, values that it takes).

        An annotation in the action, or its ActionInfo (DSP0266, "Actions").
        What cannot be read says nothing: it may, and all values.
        """
        listed = values.texts(action.get(f'{name}@Redfish.AllowableValues'))
        info = action.get('@Redfish.ActionInfo')
        if listed or not isinstance(info, str):
            return True, listed
        try:
            told = self.read(self.origin.path(info))
        except (base.Refused, base.BadAnswer):
            return True, ()
        parameters = values.objects(told.get('Parameters'))
        for one in parameters:
            if values.text(one.get('Name')) == name:
                return True, values.texts(one.get('AllowableValues'))
        return not parameters, ()

    def expansions(self, levels: int) -> list[Expansion]:
        """How a collection can be made to carry its members, best first.

        DSP0266, "$expand" and "$top": to be used only where the root's
        ``ProtocolFeaturesSupported`` says so. A collection may be too large
        for one answer, and a service may promise more than it does.
        """
        features = values.obj(self.root().get('ProtocolFeaturesSupported'))
        query = values.obj(features.get('ExpandQuery'))
        if values.flag(query.get('NoLinks')):
            what = '.'
        elif values.flag(query.get('ExpandAll')):
            what = '*'
        else:
            return []
        found = [f'$expand={what}']
        if values.flag(query.get('Levels')):
            most = min(levels,
                       values.integer(query.get('MaxLevels')) or levels)
            found = [f'$expand={what}($levels={level})'
                     for level in range(most, 0, -1)]
        tops = PAGES if values.flag(features.get('TopSkipQuery')) else ()
        return [Expansion(one, top) for one in found for top in (*tops, None)]


def block_collections(composition: Mapping[str, Any] | None) -> list[Body]:
    """Links to the collections that hold all resource blocks together.

    ResourceBlocks has them all. A service that is all pools (DSP0268,
    CompositionService 1.2) may have the two pools instead.
    """
    found = composition or {}
    if found.get('ResourceBlocks') is not None:
        return values.objects(found['ResourceBlocks'])[:1]
    return [link for name in ('FreePool', 'ActivePool')
            for link in values.objects(found.get(name))[:1]]


def allowed(answer: Answer) -> frozenset[str] | None:
    """The methods in Allow (RFC 9110, 10.2.1), None where it is not sent."""
    text = answer.headers.get('Allow')
    if text is None:
        return None
    return frozenset(one.strip().upper() for one in text.split(','))


def etag(answer: Answer) -> str | None:
    """Of the header, or of the body (DSP0266, "ETags")."""
    return answer.headers.get('ETag') or values.text(
        answer.body.get('@odata.etag'))


def members(body: Mapping[str, Any]) -> list[Body] | None:
    """What a page lists; None if it is no page of a collection.

    One emulator has its members under Links.
    """
    for place in (body, values.obj(body.get('Links'))):
        if isinstance(place.get('Members'), list):
            return values.objects(place['Members'])
    return None


def member_count(body: Mapping[str, Any]) -> int:
    """How many members a collection says that it has, 0 if it does not."""
    return (values.integer(body.get('Members@odata.count'))
            or values.integer(values.obj(body.get('Links')).get(
                'Members@odata.count')) or 0)


def expanded(body: Mapping[str, Any]) -> bool:
    """Whether a link carries the resource itself, not only its id."""
    return '@odata.id' in body and (
        'Id' in body or 'Name' in body or 'Members' in body)
