# SPDX-License-Identifier: Apache-2.0
"""How is a Redfish service driven in Valence's words?

DSP0266 (protocol), DSP0268 (schemas) and DSP2050 (composability). A service
without composition is still a pod of whole systems: inventory, power, boot.
"""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from valence.common import deadline
from valence.drivers import base
from valence.drivers.http import Answer, Client
from valence.drivers.redfish import (
    change,
    compose,
    discover,
    events,
    expand,
    identity,
    manifest,
    release,
    service,
    session,
    styles,
    systems,
    tasks,
    underway,
)

#: So often a compose without a task is looked for on the hardware.
_MAX_LOOKS = 60


class RedfishDriver(base.Driver):
    """Any service of DMTF Redfish, 1.0 and later."""

    version = '1.0'
    description = 'DMTF Redfish (DSP0266) with composition (DSP2050)'
    capabilities = base.Capabilities(
        compose=True, attach=True, allocation=base.Allocation.VALENCE,
        expand=True, preview=True, reserve=True, tags=True,
        reset_types=systems.RESET_TYPES, boot_targets=systems.BOOT_TARGETS)
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
            'composition': {
                'description': 'auto: as the service offers. specific: POST '
                               'of chosen blocks. manifest: its Compose '
                               'action. constrained: the service picks the '
                               'blocks',
                'enum': ['auto', 'specific', 'manifest', 'constrained'],
                'default': 'auto',
            },
            'reserve': {
                'description': 'set Reserved on the blocks while a system '
                               'is composed of them, as a hint to other '
                               'clients of the backend',
                'type': 'boolean',
                'default': False,
            },
        },
    }

    def __init__(self, endpoint: base.Endpoint) -> None:
        super().__init__(endpoint)
        properties = endpoint.properties
        self._wish = str(properties.get('composition', 'auto'))
        self._reserves = bool(properties.get('reserve', False))
        if self._wish == styles.Style.CONSTRAINED:
            # Who chooses is known without asking the backend.
            self.capabilities = dataclasses.replace(  # type: ignore[misc]
                type(self).capabilities, allocation=base.Allocation.BACKEND)
        self._client = Client(endpoint, service.DEFAULT_ROOT,
                              {'OData-Version': '4.0'})
        self._session = session.SessionAuth(
            self._client, endpoint,
            str(properties.get('authentication', 'auto')))
        self._client.auth = self._session
        self._service = service.Service(self._client)

    def close(self) -> None:
        self._session.close()
        self._client.close()

    def subscribe(self, destination: str) -> None:
        with self._in_time():
            events.subscribe(self._service, destination)

    def identify(self) -> base.Identity:
        with self._in_time():
            return identity.identify(self._service, self._wish,
                                     self._reserves)

    def discover(self) -> base.Inventory:
        with deadline.limit(self.endpoint.limits.discovery_timeout):
            return discover.discover(self._service)

    def find(self, tag: str) -> base.Handle | None:
        with self._in_time():
            path = systems.find(self._service, tag)
            if (path is None
                    and styles.enabled(self._service.composition())
                    and underway.check(self._service, tag)):
                # What has ended since the first look is there by now.
                path = systems.find(self._service, tag)
            return None if path is None else _handle(path, tag)

    def prepare(self, spec: base.Spec) -> base.Handle | None:
        """For a node onto a server that is there; None for any other."""
        with self._in_time():
            return expand.prepare(self._service, spec)

    def tagged(self, handle: base.Handle) -> bool:
        return not expand.made(handle)

    def joined(self, handle: base.Handle,
               device_path: str) -> base.Handle | None:
        return expand.joined(self._service, handle, device_path
                             ) if expand.made(handle) else None

    def compose(self, spec: base.Spec) -> base.Pending | base.Done:
        with self._in_time():
            if spec.prepared is not None:
                return expand.compose(self._service, spec.prepared)
            answer = compose.start(self._service, spec, self._wish,
                                   self._reserves)
            if isinstance(answer, str):
                return base.Done(_handle(answer, spec.tag))
            if answer.status == 202:
                return tasks.start(self._service, answer, 'compose',
                                   tag=spec.tag)
            return self._composed(spec.tag, answer)

    def poll(self, pending: base.Pending) -> base.Pending | base.Done:
        with self._in_time():
            try:
                return self._poll(pending)
            except base.Refused:
                self._drop_reservation(pending)
                raise

    def observe(self, handle: base.Handle) -> base.NodeHardware | None:
        look = expand.observe if expand.made(handle) else systems.observe
        with self._in_time():
            return look(self._service, handle)

    def attach(self, handle: base.Handle,
               device_path: str) -> base.Pending | base.Done:
        with self._in_time():
            if expand.made(handle):
                return expand.attach(self._service, handle, device_path)
            return change.start(self._service, handle, device_path, 'attach')

    def detach(self, handle: base.Handle,
               device_path: str) -> base.Pending | base.Done:
        with self._in_time():
            if expand.made(handle):
                return expand.detach(self._service, handle, device_path)
            return change.start(self._service, handle, device_path, 'detach')

    def cancel(self, pending: base.Pending) -> None:
        """Ask the backend to stop working; ``poll`` tells how it ended."""
        with self._in_time():
            if tasks.cancel(self._service, pending):
                self._drop_reservation(pending)

    def set_power(self, handle: base.Handle,
                  reset_type: str) -> base.Pending | base.Done:
        with self._in_time():
            path = handle.resource_path
            self._check_there(handle)
            answer = systems.reset(self._service, handle, reset_type)
            if answer.status == 202:
                return tasks.start(self._service, answer, 'set_power',
                                   path=path)
            return base.Done()

    def set_boot(self, handle: base.Handle, target: str,
                 enabled: str) -> base.Pending | base.Done:
        with self._in_time():
            path = handle.resource_path
            self._check_there(handle)
            answer = systems.set_boot(self._service, handle, target, enabled)
            if answer.status == 202:
                return tasks.start(self._service, answer, 'set_boot',
                                   path=path, target=target, enabled=enabled)
            systems.check_boot(self._service, path, target, enabled)
            return base.Done()

    def release(self, handle: base.Handle) -> base.Pending | base.Done:
        """Take the system apart, if it is a composed one and still ours.

        A server that is there only loses what was added to it.
        """
        with self._in_time():
            if expand.made(handle):
                return expand.release(self._service, handle)
            path = handle.resource_path
            answer = release.start(self._service, handle, self._reserves)
            if handle.extra.get('tag'):
                manifest.drop(self._service, str(handle.extra['tag']))
            if answer is None:
                return base.Done()
            if answer.status == 202:
                return tasks.start(self._service, answer, 'release',
                                   path=path, tag=handle.extra.get('tag'))
            return base.Done()

    def _check_there(self, handle: base.Handle) -> None:
        if expand.made(handle):
            expand.check_there(self._service, handle)

    def _drop_reservation(self, pending: base.Pending) -> None:
        """What was reserved for a composition that came to nothing."""
        if pending.monitor.get('kind') == 'compose':
            manifest.drop(self._service, str(pending.monitor['tag']))

    def _in_time(self) -> contextlib.AbstractContextManager[None]:
        return deadline.limit(self.endpoint.limits.call_timeout)

    def _poll(self, pending: base.Pending) -> base.Pending | base.Done:
        told = tasks.poll(self._service, pending)
        if isinstance(told, base.Pending):
            return told
        monitor = pending.monitor
        match monitor.get('kind'):
            case 'compose':
                return self._composed(str(monitor['tag']), told, pending)
            case 'release':
                return self._released(pending, told)
            case 'attach' | 'detach':
                return expand.follow(self._service, pending)
            case 'set_boot':
                systems.check_boot(
                    self._service, str(monitor['path']),
                    str(monitor['target']), str(monitor['enabled']))
            case 'set_power' if told is None:
                raise base.Ambiguous(
                    'the backend has forgotten the task of the reset; '
                    'see the power state')
        return base.Done()

    def _composed(self, tag: str, answer: Answer | None,
                  pending: base.Pending | None = None
                  ) -> base.Pending | base.Done:
        """Where the new system is: as told, else looked for by its tag."""
        path = None
        if answer is not None:
            manifest.check(self._service, answer.body)
            path = manifest.created(
                self._service, answer.body) or tasks.created(
                self._service, answer)
        if path is None:
            try:
                path = systems.find(self._service, tag)
            except base.DriverError as error:
                raise base.Ambiguous(
                    f'the backend may have composed {tag}, but cannot be '
                    f'searched: {error}') from error
        if path is not None:
            return base.Done(_handle(path, tag))
        looks = 0 if pending is None else int(
            pending.monitor.get('looks', 0)) + 1
        known = pending is not None and (
            pending.monitor.get('monitor') or pending.monitor.get('task'))
        if pending is None or known or looks > _MAX_LOOKS:
            raise base.Ambiguous(
                f'the backend accepted the composition {tag}, but has no '
                'system of that name')
        return base.Pending({**pending.monitor, 'looks': looks},
                            pending.delay)

    def _released(self, pending: base.Pending, told: Answer | None
                  ) -> base.Pending | base.Done:
        """Trust the end of the task; where there is none, look."""
        if told is not None:
            manifest.check(self._service, told.body)
            return base.Done()
        path = str(pending.monitor['path'])
        try:
            body, _ = systems.read(self._service, path)
        except base.NotFound:
            return base.Done()
        tag = pending.monitor.get('tag')
        if tag and body.get('Name') != tag:
            return base.Done()          # another has taken its place
        raise base.Ambiguous(f'the backend has forgotten the task of '
                             f'deleting {path}, which is still there')


def _handle(path: str, tag: str) -> base.Handle:
    return base.Handle(path, {'tag': tag})
