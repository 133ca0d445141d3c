# SPDX-License-Identifier: Apache-2.0
"""Which version of the API is it, and where does it keep its nodes?

Intel Rack Scale Design, the pod manager's (PODM) API: Redfish 1.0 with a
collection of composed nodes and an ``Oem`` object of its own.
"""

import re
import time
from collections.abc import Mapping
from typing import Any

from valence.drivers import base
from valence.drivers.http import Client
from valence.drivers.redfish import values
from valence.drivers.redfish.service import Service
from valence.drivers.redfish.session import SessionAuth

Body = dict[str, Any]
Version = tuple[int, int]

#: The first and the last version of the API that this driver is written for.
OLDEST: Version = (2, 1)
NEWEST: Version = (2, 5)

_ROOT_HOLDS = 60.0
#: Both spellings are in use.
ALLOCATE = ('ComposedNodeCollection.Allocate',
            'ComposedNodesCollection.Allocate')


class Pod(Service):
    """The root of one PODM, read at most once a minute."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._kept: tuple[float, Body] | None = None

    def root(self, again: bool = False) -> Body:
        """The service root; one simulator has it only without its slash."""
        kept = self._kept
        if kept and not again and time.monotonic() < kept[0]:
            return kept[1]
        try:
            answer = self.client.get(self.origin.root + '/')
        except base.NotFound:
            answer = self.client.get(self.origin.root)
        body = dict(answer.body)
        self._kept = (time.monotonic() + _ROOT_HOLDS, body)
        return body

    def api_version(self) -> str:
        """What the backend says that it speaks, empty if nothing."""
        return values.text(oem(self.root()).get('ApiVersion'), 64) or ''

    def version(self) -> Version | None:
        """(major, minor) of the API; None unless this driver speaks it."""
        found = re.match(r'([0-9]{1,4})\.([0-9]{1,4})(?![0-9])',
                         self.api_version())
        if found is None:
            return None
        version = (int(found[1]), int(found[2]))
        return version if OLDEST <= version <= NEWEST else None

    def need_version(self) -> Version:
        """The same.

        :raises Unsupported: where :meth:`version` has none.
        """
        version = self.version()
        if version is None:
            raise base.Unsupported(
                f'this backend has version {self.api_version() or "unknown"} '
                f'of the RSD API; Valence composes with {SPOKEN}')
        return version

    def nodes(self) -> str:
        """The path of the collection of composed nodes.

        :raises BadAnswer: if there is none: this is no PODM.
        """
        root = self.root()
        for place in (root, oem(root)):
            path = self.link(place, 'Nodes')
            if path is not None:
                return path
        raise base.BadAnswer(
            'the service root of the backend lists no Nodes, so it is no RSD '
            'pod manager; perhaps the driver redfish is the right one')

    def allocate_target(self) -> str:
        """Where a new node is asked for.

        :raises Unsupported: if nowhere.
        """
        found = action(self.read(self.nodes()), *ALLOCATE)
        if found is None:
            raise base.Unsupported('this backend offers no allocation of '
                                   'nodes')
        return self.origin.path(found['target'])


#: For sentences.
SPOKEN = '{}.{} to {}.{}'.format(*OLDEST, *NEWEST)


class PodSession(SessionAuth):
    """A session where there are sessions, else HTTP Basic."""

    def _sessions(self) -> str | None:
        try:
            return super()._sessions()
        except base.NotFound:
            return None         # no root with a slash, so no sessions either


def oem(body: Mapping[str, Any]) -> Body:
    """RSD's own part of ``Oem``, however the vendor spells it.

    ``Intel_RackScale`` by the specification; ``Intel:RackScale`` and
    ``Lenovo_RackScale`` were seen.
    """
    told = values.obj(body.get('Oem'))
    if isinstance(told.get('Intel_RackScale'), dict):
        return values.obj(told['Intel_RackScale'])
    for name in sorted(told):
        if name.endswith(('_RackScale', ':RackScale')):
            return values.obj(told[name])
    return {}


def action(body: Mapping[str, Any], *names: str) -> Body | None:
    """The first of the actions ``names`` that can be called.

    Its name is added as ``name``.
    """
    actions = values.obj(body.get('Actions'))
    for place in (actions, *values.obj(actions.get('Oem')).values()):
        for name in names:
            found = values.obj(values.obj(place).get(f'#{name}'))
            if found.get('target'):
                return {**found, 'name': name}
    return None


def parameter(service: Service, called: Mapping[str, Any], name: str
              ) -> tuple[list[Any] | None, bool]:
    """What parameter ``name`` of an action may be, and if it must be given.

    The values are inline, or in the resource that ``@Redfish.ActionInfo``
    names: by an object in 2.3, by a string in 2.4. None: no list is there.
    """
    inline = called.get(f'{name}@Redfish.AllowableValues')
    if isinstance(inline, list):
        return inline, False
    info = called.get('@Redfish.ActionInfo')
    link = values.reference(info) or info
    if not isinstance(link, str):
        return None, False
    try:
        told = service.read(service.origin.path(link))
    except (base.Refused, base.BadAnswer):
        return None, False
    for one in values.objects(told.get('Parameters')):
        if values.text(one.get('Name')) == name:
            listed = one.get('AllowableValues')
            return (listed if isinstance(listed, list) else None,
                    values.flag(one.get('Required')) is True)
    return None, False
