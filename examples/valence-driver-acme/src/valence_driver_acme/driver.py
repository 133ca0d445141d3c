# SPDX-License-Identifier: Apache-2.0
"""How is an Acme chassis bridge driven in Valence's words?

The dialect is described in :mod:`valence_driver_acme.simulator`.
"""

import base64
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from valence.common import deadline
from valence.common.devices import DeviceState, DeviceType
from valence.drivers import base
from valence.drivers.http import Client

ROOT = '/acme/v1'
_TYPES = {'sled': DeviceType.COMPUTE, 'drive': DeviceType.NVME,
          'gpu': DeviceType.GPU}
_RESETS = {'On': 'on', 'ForceOff': 'off'}
_MOST_PAGES = 100


class BasicAuth:
    """HTTP Basic (RFC 7617), as valence.drivers.http wants it."""

    def __init__(self, endpoint: base.Endpoint) -> None:
        self._username = endpoint.username
        self._password = endpoint.password

    def headers(self) -> Mapping[str, str]:
        if self._username is None or self._password is None:
            return {}
        return {'Authorization': f'Basic {self._code()}'}

    def renew(self, used: Mapping[str, str]) -> bool:
        return False            # there is nothing better to try

    def secrets(self) -> Iterable[str]:
        if self._password is not None:
            yield self._password.reveal()
            yield self._code()

    def _code(self) -> str:
        password = self._password.reveal() if self._password else ''
        return base64.b64encode(
            f'{self._username}:{password}'.encode()).decode('ascii')


# [class]
class AcmeDriver(base.Driver):
    """A chassis bridge of Acme, firmware 1.x."""

    contract_version = (1, 0)
    version = '1.0.0'
    description = 'Acme chassis bridge'
    capabilities = base.Capabilities(
        compose=True, attach=True, tags=True, reset_types=tuple(_RESETS))
    connection_schema: ClassVar[Mapping[str, Any]] = {
        'type': 'object',
        'additionalProperties': False,
        'properties': {
            'page_size': {
                'description': 'bays to read at a time',
                'type': 'integer', 'minimum': 1, 'maximum': 1000,
                'default': 100,
            },
        },
    }
    safety: ClassVar[Mapping[str, base.Safety]] = {
        'compose': base.Safety.VERIFY_FIRST,
        'release': base.Safety.VERIFY_FIRST,
        # PUT and DELETE of a bay say the same thing however often.
        'attach': base.Safety.IDEMPOTENT,
        'detach': base.Safety.IDEMPOTENT,
        'set_power': base.Safety.IDEMPOTENT,
        'set_boot': base.Safety.IDEMPOTENT,
    }

    def __init__(self, endpoint: base.Endpoint) -> None:
        super().__init__(endpoint)
        self._client = Client(endpoint, ROOT)
        self._client.auth = BasicAuth(endpoint)

    def close(self) -> None:
        self._client.close()
    # [end class]

    # Reads

    # [reads]
    def identify(self) -> base.Identity:
        with self._in_time():
            body = self._client.get(ROOT + '/').body
            return base.Identity(
                product=_text(body, 'product', 255) or 'Acme bridge',
                version=_text(body, 'firmware', 64) or '',
                uuid=_text(body, 'serial', 64),
                capabilities=self.capabilities)

    def discover(self) -> base.Inventory:
        with deadline.limit(self.endpoint.limits.discovery_timeout):
            # Without the bays there is nothing to tell: let it raise.
            bays = self._bays()
            problems = []
            try:
                machines = self._machines()
            except base.DriverError as error:
                machines = []
                problems.append(base.Problem(ROOT + '/machines', str(error)))
            return base.Inventory(
                racks=tuple(
                    base.Rack(path, path.rpartition('/')[2], 'Shelf')
                    for path in sorted({_shelf(bay) for bay in bays})),
                systems=tuple(_system(one) for one in machines),
                devices=tuple(_device(bay) for bay in bays),
                zones=_zones(bays),
                complete=not problems, problems=tuple(problems))
    # [end reads]

    # [find]
    def find(self, tag: str) -> base.Handle | None:
        with self._in_time():
            # _machines() raises where it cannot see all of them; a machine
            # is listed from the moment that the bridge accepts it.
            for machine in self._machines():
                if machine.get('label') == tag:
                    return base.Handle(_path(machine), {'label': tag})
            return None

    def observe(self, handle: base.Handle) -> base.NodeHardware | None:
        with self._in_time():
            machine = self._machine(handle)
            if machine is None:
                return None
            bays = _bay_paths(machine)
            return base.NodeHardware(
                handle=handle, name=_text(machine, 'title', 255) or '',
                power_state=_power(machine), health='OK',
                device_paths=bays,
                processor_cores=_number(machine, 'cores'),
                memory_mib=_number(machine, 'ram_mib'),
                allowed_resets=tuple(_RESETS))
    # [end find]

    # Mutations

    # [compose]
    def compose(self, spec: base.Spec) -> base.Pending | base.Done:
        with self._in_time():
            # send() raises Unreachable where nothing was sent, Ambiguous
            # where nobody knows; neither is caught here.
            answer = self._client.send('POST', ROOT + '/machines', {
                'label': spec.tag, 'title': spec.name,
                'bays': [path.rpartition('/')[2]
                         for path in spec.device_paths]})
            path = _path(answer.body)
            if answer.status == 202:
                return base.Pending({'kind': 'compose', 'path': path,
                                     'label': spec.tag}, delay=0.5)
            return base.Done(base.Handle(path, {'label': spec.tag}))

    def poll(self, pending: base.Pending) -> base.Pending | base.Done:
        with self._in_time():
            path = str(pending.monitor['path'])
            handle = base.Handle(path, {'label': pending.monitor['label']})
            machine = self._machine(handle)
            releasing = pending.monitor['kind'] == 'release'
            if machine is None:
                if releasing:
                    return base.Done()
                raise base.Refused(f'the bridge gave up building {path}')
            if machine.get('state') in ('building', 'leaving'):
                return pending
            if releasing:
                raise base.Refused(f'the bridge kept {path}')
            return base.Done(handle)
    # [end compose]

    # [release]
    def release(self, handle: base.Handle) -> base.Pending | base.Done:
        with self._in_time():
            if self._machine(handle) is None:
                return base.Done()
            try:
                answer = self._client.send('DELETE', handle.resource_path)
            except base.NotFound:
                return base.Done()
            if answer.status == 202:
                return base.Pending({
                    'kind': 'release', 'path': handle.resource_path,
                    'label': handle.extra.get('label')}, delay=0.5)
            return base.Done()
    # [end release]

    def attach(self, handle: base.Handle, device_path: str) -> base.Done:
        return self._put('PUT', _link(handle, device_path), {})

    def detach(self, handle: base.Handle, device_path: str) -> base.Done:
        with self._in_time():
            try:
                return self._put('DELETE', _link(handle, device_path))
            except base.NotFound:
                # Not joined: that is fine; no such machine is not.
                if self._machine(handle) is None:
                    raise
                return base.Done()

    def set_power(self, handle: base.Handle, reset_type: str) -> base.Done:
        if reset_type not in _RESETS:
            raise base.Unsupported(
                f'an Acme bridge has no reset {reset_type!r}; it has '
                + ', '.join(_RESETS))
        return self._put('PUT', f'{handle.resource_path}/power',
                         {'power': _RESETS[reset_type]})

    # Helpers

    def _in_time(self) -> contextlib.AbstractContextManager[None]:
        return deadline.limit(self.endpoint.limits.call_timeout)

    def _put(self, method: str, path: str,
             body: Mapping[str, Any] | None = None) -> base.Done:
        with self._in_time():
            self._client.send(method, path, body)
            return base.Done()

    def _machine(self, handle: base.Handle) -> Mapping[str, Any] | None:
        """The machine, None once it is gone or is another's."""
        try:
            machine = self._client.get(handle.resource_path).body
        except base.NotFound:
            return None
        label = handle.extra.get('label')
        return None if label and machine.get('label') != label else machine

    def _bays(self) -> list[Mapping[str, Any]]:
        size = self.endpoint.properties.get('page_size', 100)
        return list(self._pages(f'{ROOT}/bays?limit={size}', 'bays'))

    def _machines(self) -> list[Mapping[str, Any]]:
        return list(self._pages(f'{ROOT}/machines', 'machines'))

    # [pages]
    def _pages(self, path: str, key: str) -> Iterator[Mapping[str, Any]]:
        """The members of a collection.

        :raises BadAnswer: if it does not end, or is none
        """
        seen = set()
        while path not in seen and len(seen) < _MOST_PAGES:
            seen.add(path)
            body = self._client.get(path).body
            members = body.get(key)
            if not isinstance(members, list) or not all(
                    isinstance(one, dict) for one in members):
                raise base.BadAnswer(f'{path} has no list of {key}')
            yield from members
            if body.get('next') is None:
                return
            # Never follow a link unseen: it could name another host.
            path = self._client.origin.path(body['next'], query=True)
        raise base.BadAnswer(f'the pages of {key} do not end')
    # [end pages]


# Translations

def _system(machine: Mapping[str, Any]) -> base.System:
    label = _text(machine, 'label', 255)
    return base.System(
        _path(machine), _text(machine, 'title', 255) or 'machine',
        'Composed', composed=True, power_state=_power(machine), health='OK',
        processor_cores=_number(machine, 'cores'),
        memory_mib=_number(machine, 'ram_mib'),
        tag=label if label and base.TAG.fullmatch(label) else None,
        device_paths=_bay_paths(machine))


def _device(bay: Mapping[str, Any]) -> base.Device:
    joined = bay.get('machine')
    state = (DeviceState.FAILED if bay.get('broken') else
             DeviceState.USED if joined is not None else DeviceState.FREE)
    return base.Device(
        f'{ROOT}/bays/{_id(bay)}', f'bay {_id(bay)}',
        _TYPES.get(str(bay.get('kind')), DeviceType.OTHER), state=state,
        rack_path=_shelf(bay),
        system_path=None if joined is None else f'{ROOT}/machines/{joined}',
        processor_cores=_number(bay, 'cores'),
        memory_mib=_number(bay, 'ram_mib'),
        capacity_gib=_number(bay, 'gib'), model=_text(bay, 'model', 255),
        # Any bays of a bridge can be joined.
        zone_paths=(ROOT + '/bays',))


def _zones(bays: list[Mapping[str, Any]]) -> tuple[base.Zone, ...]:
    return (base.Zone(
        ROOT + '/bays', 'backplane',
        tuple(f'{ROOT}/bays/{_id(bay)}' for bay in bays),
        limits={'compute': [1, 1], 'storage': [0, 4],
                'processor': [0, 2]}),)


def _link(handle: base.Handle, device_path: str) -> str:
    return (f'{handle.resource_path}/bays/'
            f'{device_path.rpartition("/")[2]}')


def _path(machine: Mapping[str, Any]) -> str:
    return f'{ROOT}/machines/{_id(machine)}'


def _shelf(bay: Mapping[str, Any]) -> str:
    return f'{ROOT}/shelves/{_text(bay, "shelf", 32) or "0"}'


def _bay_paths(machine: Mapping[str, Any]) -> tuple[str, ...]:
    bays = machine.get('bays')
    return tuple(sorted(f'{ROOT}/bays/{one}' for one in bays or ()
                        if isinstance(one, str)))


def _id(body: Mapping[str, Any]) -> str:
    found = body.get('id')
    if not isinstance(found, str) or not found.isalnum() or len(found) > 64:
        raise base.BadAnswer('the bridge gave something without a usable id')
    return found


def _power(machine: Mapping[str, Any]) -> str:
    return 'On' if machine.get('power') == 'on' else 'Off'


def _text(body: Mapping[str, Any], name: str, room: int) -> str | None:
    value = body.get(name)
    return ''.join(char for char in value if char.isprintable())[:room] if (
        isinstance(value, str)) else None


def _number(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    return value if isinstance(value, int) and not isinstance(
        value, bool) and 0 <= value < 2 ** 31 else None
