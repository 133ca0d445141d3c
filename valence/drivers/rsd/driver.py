# SPDX-License-Identifier: Apache-2.0
"""How is an Intel RSD pod driven in Valence's words?

Rack Scale Design, the pod manager's API 2.1 to 2.5. The backend chooses the
resources of a node (Allocate), then joins them (Assemble). A pod of another
version is inventory only: nothing is composed with words that it may not
know.
"""

import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar

from valence.common import deadline
from valence.drivers import base
from valence.drivers.http import Client
from valence.drivers.redfish import service as redfish
from valence.drivers.redfish import systems, values
from valence.drivers.rsd import (
    allocate,
    assemble,
    attach,
    discover,
    nodes,
    release,
    service,
)

#: Of the ComposedNode.Reset action.
RESET_TYPES = ('On', 'ForceOff', 'GracefulShutdown', 'GracefulRestart',
               'ForceRestart', 'Nmi', 'ForceOn', 'PushPowerButton')
#: DSP0268, BootSource, as far as RSD has them.
BOOT_TARGETS = ('None', 'Pxe', 'Floppy', 'Cd', 'Usb', 'Hdd', 'BiosSetup',
                'Utilities', 'Diags', 'UefiShell', 'RemoteDrive')

#: So many nodes are asked what they allow, for the backend as a whole.
_SAMPLE = 4


class RsdDriver(base.Driver):
    """A pod manager (PODM) of Intel Rack Scale Design."""

    version = '1.0'
    description = f'Intel Rack Scale Design PODM API {service.SPOKEN}'
    capabilities = base.Capabilities(
        compose=True, attach=True, allocation=base.Allocation.BACKEND,
        tags=True, reset_types=RESET_TYPES, boot_targets=BOOT_TARGETS)
    connection_schema: ClassVar[Mapping[str, Any]] = {
        'type': 'object',
        'additionalProperties': False,
        'properties': {
            'authentication': {
                'description': 'auto: a session where there is a session '
                               'service, else HTTP Basic',
                'enum': ['auto', 'session', 'basic'],
                'default': 'auto',
            },
        },
    }

    def __init__(self, endpoint: base.Endpoint) -> None:
        super().__init__(endpoint)
        self._client = Client(endpoint, redfish.DEFAULT_ROOT,
                              {'OData-Version': '4.0'})
        self._session = service.PodSession(
            self._client, endpoint,
            str(endpoint.properties.get('authentication', 'auto')))
        self._client.auth = self._session
        self._service = service.Pod(self._client)

    def close(self) -> None:
        self._session.close()
        self._client.close()

    def identify(self) -> base.Identity:
        with self._in_time():
            root = self._service.root(again=True)
            product = ' '.join(filter(None, (
                values.text(root.get('Vendor')),
                values.text(root.get('Product')))))
            version = self._service.api_version() or 'of unknown version'
            if self._service.version() is None:
                version += (f' (inventory only: Valence composes with '
                            f'{service.SPOKEN})')
            return base.Identity(
                product=product or 'RSD pod manager', version=version,
                uuid=values.text(root.get('UUID'), 64),
                capabilities=self._capabilities())

    def discover(self) -> base.Inventory:
        with deadline.limit(self.endpoint.limits.discovery_timeout):
            return discover.discover(self._service)

    def find(self, tag: str) -> base.Handle | None:
        """The node, whatever its state: :meth:`resume` goes on with it."""
        with self._in_time():
            path = nodes.find(self._service, tag)
            return None if path is None else nodes.handle(path, tag)

    def compose(self, spec: base.Spec) -> base.Pending | base.Done:
        """Allocate; what then was chosen is in the Pending's monitor."""
        with self._in_time():
            version = self._service.need_version()
            body = allocate.request(spec, version)
            target = self._service.allocate_target()
            try:
                answer = self._client.send('POST', target, body)
            except base.Refused as error:
                if error.status in (405, 501):
                    raise base.Unsupported(
                        f'this backend allocates no nodes: {error}'
                    ) from error
                raise
            return assemble.allocated(self._service, spec.tag, answer)

    def resume(self, handle: base.Handle) -> base.Pending | base.Done:
        """Go on with the composition that :meth:`find` found.

        It may be allocated only, its maker gone before he recorded it.
        """
        return assemble.resume(handle)

    def poll(self, pending: base.Pending) -> base.Pending | base.Done:
        with self._in_time():
            match pending.monitor.get('kind'):
                case 'compose':
                    return assemble.follow(self._service, pending)
                case 'release':
                    return release.follow(self._service, pending)
            return attach.follow(self._service, pending)

    def observe(self, handle: base.Handle) -> base.NodeHardware | None:
        with self._in_time():
            return nodes.observe(self._service, handle)

    def attach(self, handle: base.Handle,
               device_path: str) -> base.Pending | base.Done:
        with self._in_time():
            return attach.change(self._service, handle, device_path,
                                 'attach')

    def detach(self, handle: base.Handle,
               device_path: str) -> base.Pending | base.Done:
        with self._in_time():
            return attach.change(self._service, handle, device_path,
                                 'detach')

    def set_power(self, handle: base.Handle,
                  reset_type: str) -> base.Pending | base.Done:
        with self._in_time():
            nodes.reset(self._service, handle, reset_type)
            return base.Done()

    def set_boot(self, handle: base.Handle, target: str,
                 enabled: str) -> base.Pending | base.Done:
        """A node's ``Boot`` is changed as a system's is."""
        with self._in_time():
            nodes.ours(self._service, handle)
            path = handle.resource_path
            systems.set_boot(self._service, base.Handle(path), target,
                             enabled)
            systems.check_boot(self._service, path, target, enabled)
            return base.Done()

    def release(self, handle: base.Handle) -> base.Pending | base.Done:
        with self._in_time():
            return release.start(self._service, handle)

    def _in_time(self) -> contextlib.AbstractContextManager[None]:
        return deadline.limit(self.endpoint.limits.call_timeout)

    def _capabilities(self) -> base.Capabilities:
        """What this backend can do. Needs the credentials to be good."""
        collection = self._service.read(self._service.nodes())
        spoken = self._service.version() is not None
        composes = spoken and service.action(
            collection, *service.ALLOCATE) is not None
        resets: set[str] = set()
        boots: set[str] = set()
        for link in (redfish.members(collection) or [])[:_SAMPLE]:
            with contextlib.suppress(base.Refused, base.BadAnswer):
                body = nodes.read(self._service, values.reference(link))
                resets.update(nodes.reset_types(self._service, body))
                boots.update(systems.boot_targets(body))
        return base.Capabilities(
            compose=composes, attach=spoken,
            allocation=base.Allocation.BACKEND, tags=composes,
            reset_types=values.declared(RESET_TYPES, resets or RESET_TYPES),
            boot_targets=values.declared(BOOT_TARGETS,
                                         boots or BOOT_TARGETS))
