# SPDX-License-Identifier: Apache-2.0
"""How is an ExpEther Manager (NEC's "EEM") driven in Valence's words?

A node is a server's EESV and the PCIe devices' EEIOs with one group id.
There is no power, no boot, no rack and no place for a tag.
"""

import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar

from valence.common import deadline
from valence.drivers import base
from valence.drivers.expether import composition, discover, records
from valence.drivers.expether.service import Service

_CAPABILITIES = base.Capabilities(
    compose=True, attach=True, allocation=base.Allocation.VALENCE)


class ExpEtherDriver(base.Driver):
    """NEC ExpEther Manager: PCI Express devices over Ethernet."""

    version = '1.0'
    description = 'NEC ExpEther Manager (PCI Express over Ethernet)'
    capabilities = _CAPABILITIES
    connection_schema: ClassVar[Mapping[str, Any]] = {
        'type': 'object',
        'additionalProperties': False,
        'properties': {
            'send_update_time': {
                'description': 'Have the manager refuse a change to a device '
                               'that has changed since it was looked at; '
                               'false for a manager that cannot do that',
                'type': 'boolean',
                'default': True,
            },
        },
    }
    #: Each looks first and does only what is lacking.
    safety: ClassVar[Mapping[str, base.Safety]] = {
        **base.Driver.safety,
        'compose': base.Safety.IDEMPOTENT,
        'attach': base.Safety.IDEMPOTENT,
        'detach': base.Safety.IDEMPOTENT,
        'release': base.Safety.IDEMPOTENT,
    }

    def __init__(self, endpoint: base.Endpoint) -> None:
        super().__init__(endpoint)
        self._service = Service(endpoint)

    def close(self) -> None:
        self._service.client.close()

    def identify(self) -> base.Identity:
        with self._in_time():
            return base.Identity(
                product='NEC ExpEther Manager',
                version=self._service.version(), uuid=None,
                capabilities=_CAPABILITIES)

    def discover(self) -> base.Inventory:
        with deadline.limit(self.endpoint.limits.discovery_timeout):
            return discover.discover(self._service)

    def prepare(self, spec: base.Spec) -> base.Handle:
        """The handle of a node that is still to be made; only reads.

        Written down before :meth:`compose` and given to it in the spec, it
        is what tells, later and elsewhere, what of the node is there.
        """
        with self._in_time():
            return composition.prepare(self._service, spec.device_paths)

    def compose(self, spec: base.Spec) -> base.Done:
        """Make a node, or what is lacking of one that was prepared."""
        prepared: base.Handle | None = getattr(spec, 'prepared', None)
        with self._in_time():
            if prepared is None:
                prepared = composition.prepare(self._service,
                                               spec.device_paths)
            return base.Done(composition.compose(self._service, prepared))

    def observe(self, handle: base.Handle) -> base.NodeHardware | None:
        with self._in_time():
            there = composition.rest(self._service, handle)
            if not there:
                return None
            eesv = there.eesv or self._eesv(handle)
        handle = composition.known(handle, there)
        return base.NodeHardware(
            handle=handle, name=handle.resource_path.rpartition('/')[2],
            power_state=discover.power_state(eesv) if eesv else None,
            health=discover.health(eesv) if eesv else None,
            device_paths=tuple(sorted(one.path for one in there.inside)),
            details=records.compact(**{
                **(discover.details(eesv) if eesv else {}),
                'group_id': there.group_id,
                'notes': list(handle.extra.get('notes', ()))}))

    def attach(self, handle: base.Handle, device_path: str) -> base.Done:
        with self._in_time():
            return base.Done(composition.attach(
                self._service, handle, device_path))

    def detach(self, handle: base.Handle, device_path: str) -> base.Done:
        with self._in_time():
            return base.Done(composition.detach(
                self._service, handle, device_path))

    def release(self, handle: base.Handle) -> base.Done:
        with self._in_time():
            composition.release(self._service, handle)
            return base.Done()

    def _eesv(self, handle: base.Handle) -> records.Record | None:
        """The EESV of a node that has lost it."""
        try:
            return self._service.device(handle.resource_path)
        except base.NotFound:
            return None

    def _in_time(self) -> contextlib.AbstractContextManager[None]:
        return deadline.limit(self.endpoint.limits.call_timeout)
