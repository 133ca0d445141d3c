# SPDX-License-Identifier: Apache-2.0
"""How are other clients told that blocks are about to be composed?

DSP2050, "Reserved": a hint that clients give each other, no lock. It is set
on each block before the request to compose, with If-Match, and taken back
when the request is answered: from then on the block's CompositionState says
it. A block that is reserved already may be so by an attempt of our own that
was cut off, so it is no obstacle; the service has the last word. No service
takes the hint back by itself: what a crash left is taken back when the
composition succeeds, or at the release.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from valence.drivers import base
from valence.drivers.redfish import systems, values
from valence.drivers.redfish.service import Service

#: What says that a block has no such flag to set.
_CANNOT = (403, 404, 405, 410, 501)


@contextlib.contextmanager
def held(service: Service, paths: Sequence[str]) -> Iterator[None]:
    """Reserved for the body of the ``with``.

    :raises Busy: if another client changes a block at the same time.
    :raises Ambiguous: if an answer was lost; no system was asked for yet.
    """
    mine: list[str] = []
    try:
        for path in paths:
            mine.append(path)
            if not _set(service, service.origin.path(path), True):
                mine.pop()
        yield
    except base.DriverError:
        let_go(service, mine)
        raise
    let_go(service, paths)


def let_go(service: Service, paths: Iterable[str]) -> None:
    """Take the hint back where it is still given, as far as possible."""
    for path in paths:
        with contextlib.suppress(base.DriverError):
            _set(service, service.origin.path(path), False)


def _set(service: Service, path: str, value: bool) -> bool:
    """Whether the flag was set; a service without it is no obstacle."""
    seen = systems.look(service, path)
    status = values.obj(seen.body.get('CompositionStatus'))
    now = values.flag(status.get('Reserved')) or False
    if now == value or not seen.may('PATCH'):
        return False
    answer = service.client.send(
        'PATCH', path, {'CompositionStatus': {'Reserved': value}},
        headers={'If-Match': seen.etag} if seen.etag else {},
        accept=(*_CANNOT, 412))
    if answer.status == 412:
        raise base.Busy(f'{path} was changed by somebody else just now', 1.0)
    return answer.status < 300
