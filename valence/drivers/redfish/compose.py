# SPDX-License-Identifier: Apache-2.0
"""What is sent to compose a system, and where?

DSP2050. Specific: POST to the collection of systems with the resource
blocks as links; ``@Redfish.CollectionCapabilities`` names the collection
and the properties that must be given. The other styles are in
:mod:`.manifest` and :mod:`.constrained`.
"""

from collections.abc import Mapping
from typing import Any

from valence.drivers import base
from valence.drivers.http import Answer
from valence.drivers.redfish import constrained, manifest, reserve
from valence.drivers.redfish.service import Service
from valence.drivers.redfish.styles import (
    COMPOSE,
    Style,
    enabled,
    offer,
    required,
)

Body = dict[str, Any]

#: What says "not in this way", and that nothing was done.
_NO_SUCH_WAY = (405, 501)


def start(service: Service, spec: base.Spec, wish: str = 'auto',
          reserves: bool = False) -> Answer | str:
    """Send what makes the system: the answer, or where it already is.

    :param wish: the style that the operator wants, or 'auto'.
    :param reserves: set the blocks' Reserved flags for the time of the
        request.
    :raises Unsupported: if this service composes nothing.
    """
    composition = service.composition()
    if composition is None or not enabled(composition):
        raise base.Unsupported('this backend has no composition service, or '
                               'it is switched off')
    found = offer(service, composition, spec.zone_path, wish)
    if found.style == Style.CONSTRAINED:
        return constrained.compose(service, composition, spec, found.target)
    body = request(service, spec, found.told)
    with reserve.held(service, spec.device_paths if reserves else ()):
        if found.style == Style.MANIFEST:
            return manifest.compose(service, composition, spec.tag, body)
        answer = service.client.send('POST', found.target, body,
                                     accept=_NO_SUCH_WAY)
        if answer.status not in _NO_SUCH_WAY:
            return answer
        if service.offers(composition, COMPOSE):
            return manifest.compose(service, composition, spec.tag, body)
    raise base.Unsupported(
        f'this backend composes no systems: it answered {answer.status} to '
        f'POST {found.target}' + (f': {answer.words}' if answer.words else ''))


def request(service: Service, spec: base.Spec,
            told: Mapping[str, Any]) -> Body:
    """The system that is asked for, as a resource.

    :raises Refused: if the backend requires what Valence cannot give.
    """
    body: Body = {
        'Name': spec.tag,
        'Links': {'ResourceBlocks': [
            {'@odata.id': service.origin.path(path)}
            for path in spec.device_paths]},
    }
    if spec.name:
        body['Description'] = spec.name
    extra: Body = {'Id': spec.tag, 'HostName': spec.name or spec.tag,
                   'Description': spec.name or spec.tag,
                   'SystemType': 'Composed'}
    for name in sorted(required(told) - body.keys()):
        if name not in extra:
            raise base.Refused(
                f'the backend requires {name!r} of a new system, which '
                'Valence does not know')
        body[name] = extra[name]
    return body
