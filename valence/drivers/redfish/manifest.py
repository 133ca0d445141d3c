# SPDX-License-Identifier: Apache-2.0
"""How is a system composed, or taken apart, by a manifest?

The Compose action of CompositionService 1.2 (DSP2050, "Composition using a
manifest"). Where the service has reservations the blocks are reserved first
(PreviewReserve) and the reservation is applied; a successor finds it by the
stanza's id, which is the tag, and it is taken back where nothing came of it.
Where there are only previews one is asked for, so that a refusal comes
before anything changes. Each stanza has a response of its own, maybe an
error inside of a 200. One product composes on a preview: so it is looked for
before anything else is sent.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from valence.drivers import base, http_body
from valence.drivers.http import Answer
from valence.drivers.http_links import printable
from valence.drivers.redfish import systems, tasks, values
from valence.drivers.redfish.crawl import NOT_THERE, Crawl
from valence.drivers.redfish.service import Service
from valence.drivers.redfish.styles import COMPOSE

Body = dict[str, Any]


def compose(service: Service, composition: Mapping[str, Any], tag: str,
            request: Body) -> Answer | str:
    """Apply a manifest of one system: the answer, or where it already is.

    :raises Unsupported: if there is no such action.
    :raises Refused: in the words of the stanza's response.
    """
    target, _ = _action(service, composition)
    manifest = _manifest('ComposeSystem', tag, request)
    offered = kinds(service, composition)
    kind = next((one for one in ('PreviewReserve', 'Preview')
                 if one in offered), None)
    identifier = None
    if kind == 'PreviewReserve':
        identifier = next((name for name, _ in _own(
            service, composition, tag)), None)
    if kind is not None and identifier is None:
        answer = tasks.settle(service, service.client.send(
            'POST', target, _body(kind, manifest)), f'the {kind}')
        if answer is not None:
            check(service, answer.body)
            identifier = values.text(answer.body.get('ReservationId'))
        done = systems.find(service, tag)
        if done is not None:
            return done                 # the preview has composed it
    try:
        answer = service.client.send('POST', target, _body(
            'Apply', manifest, identifier))
        check(service, answer.body)
    except base.Refused:
        drop(service, tag)
        raise
    return answer


def decompose(service: Service, composition: Mapping[str, Any], tag: str,
              path: str) -> Answer:
    """Apply a manifest that takes one system apart."""
    target, _ = _action(service, composition)
    answer = service.client.send('POST', target, _body('Apply', _manifest(
        'DecomposeSystem', tag or path, {'@odata.id': path})))
    check(service, answer.body)
    return answer


def check(service: Service, body: Mapping[str, Any]) -> None:
    """See that no stanza of an answer has failed.

    :raises Refused: if one has.
    """
    for response in _responses(body):
        error = response.get('error')
        if error is None:
            continue
        told = values.obj(error)
        texts, ids = http_body.messages(told.get('@Message.ExtendedInfo'))
        for text, found in ((told.get('message'), texts),
                            (told.get('code'), ids)):
            if not found and isinstance(text, str):
                found.append(text)
        said = printable(service.client.hide(' '.join(texts or ids)),
                         http_body.MAX_WORDS)
        raise base.Refused(
            f'{service.origin.host} refused a stanza of the manifest'
            + (f': {said}' if said else ''), 400,
            tuple(printable(one, 120) for one in ids))


def created(service: Service, body: Mapping[str, Any]) -> str | None:
    """The path of the system in the response of the first stanza."""
    for response in _responses(body):
        with contextlib.suppress(base.BadAnswer):
            return service.origin.path(values.reference(response))
    return None


def _responses(body: Mapping[str, Any]) -> list[Body]:
    stanzas = values.objects(values.obj(body.get('Manifest')).get('Stanzas'))
    return [values.obj(stanza.get('Response')) for stanza in stanzas]


def _action(service: Service, composition: Mapping[str, Any]
            ) -> tuple[str, Body]:
    found = service.action(composition, COMPOSE)
    if found is None:
        raise base.Unsupported('the composition service of the backend has '
                               'no Compose action')
    return found


def _manifest(kind: str, name: str, request: Body) -> Body:
    return {'Stanzas': [{'StanzaType': kind, 'StanzaId': name,
                         'Request': request}]}


def _body(kind: str, manifest: Body, reservation: str | None = None) -> Body:
    body: Body = {'RequestFormat': 'Manifest', 'RequestType': kind,
                  'Manifest': manifest}
    if reservation is not None:
        body['ReservationId'] = reservation
    return body


def kinds(service: Service, composition: Mapping[str, Any]
          ) -> tuple[str, ...]:
    """The RequestTypes that the action takes.

    Where it does not list them, reservations are told by what else the
    composition service has, and a preview alone is not promised.
    """
    _, listed = service.parameter(_action(service, composition)[1],
                                  'RequestType')
    if listed:
        return listed
    if (values.obj(composition.get('CompositionReservations'))
            or composition.get('ReservationDuration')):
        return ('Preview', 'PreviewReserve', 'Apply')
    return ('Apply',)


def drop(service: Service, tag: str) -> None:
    """End what was reserved for ``tag`` and is not to be applied any more.

    What cannot be ended now ends by itself (ReservationDuration).
    """
    with contextlib.suppress(base.DriverError):
        composition = service.composition() or {}
        if service.offers(composition, COMPOSE):
            for _, path in _own(service, composition, tag):
                service.client.send('DELETE', path, accept=NOT_THERE)


def _own(service: Service, composition: Mapping[str, Any], tag: str
         ) -> list[tuple[str, str]]:
    """(id, path) of the reservations that were made for ``tag`` before."""
    link = composition.get('CompositionReservations')
    if not isinstance(link, dict):
        return []
    found: list[tuple[str, str]] = []

    def each(path: str, body: Body) -> None:
        stanzas = values.objects(values.obj(
            body.get('Manifest')).get('Stanzas'))
        name = values.text(body.get('Id'))
        if name and any(one.get('StanzaId') == tag for one in stanzas):
            found.append((name, path))

    crawl = Crawl(service)
    crawl.collection(link, each, absent=NOT_THERE, missing=NOT_THERE)
    crawl.run()
    return sorted(found)
