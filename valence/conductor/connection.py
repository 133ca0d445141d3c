# SPDX-License-Identifier: Apache-2.0
"""Which driver speaks to a pod manager? Found by name, kept while it fits.

``Drivers`` loads the enabled driver classes once per process through
stevedore. ``Connection`` keeps one driver instance per pod manager until the
operator changes the record (its ``generation``).
"""

import collections
import dataclasses
import importlib.metadata
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import stevedore.named

from valence.common.secret import Secret
from valence.drivers import base

LOG = logging.getLogger(__name__)


class DriverNotLoaded(Exception):
    """No such driver in this process; the message says which there are."""


class Drivers:
    """The driver classes of this process, by name.

    :param enabled: entry point names in :data:`base.NAMESPACE`
    :raises DriverNotLoaded: an enabled driver is missing or broken
    """

    def __init__(self, enabled: Iterable[str]) -> None:
        names = list(enabled)
        manager: Any = stevedore.named.NamedExtensionManager(
            base.NAMESPACE, names=names, warn_on_missing_entrypoint=False,
            on_load_failure_callback=_refuse)
        self.classes: dict[str, type[base.Driver]] = {}
        self._packages = _packages()
        for extension in manager:
            self._add(extension)
        missing = sorted(set(names) - set(self.classes))
        if missing:
            raise DriverNotLoaded(
                f'no driver {", ".join(missing)} is installed: install the '
                'package that has it, or take it out of [drivers] '
                'enabled_drivers')

    def _add(self, extension: Any) -> None:
        name, found = extension.name, extension.plugin
        package, *others = self._packages[name]
        if others:
            raise DriverNotLoaded(
                f'driver {name} is claimed by several packages ('
                f'{", ".join([package, *others])}): remove all but one')
        if not (isinstance(found, type) and issubclass(found, base.Driver)):
            raise DriverNotLoaded(
                f'driver {name} of package {package} is no subclass of '
                'valence.drivers.base.Driver')
        major, minor = found.contract_version
        if (major != base.CONTRACT_VERSION[0]
                or minor > base.CONTRACT_VERSION[1]):
            raise DriverNotLoaded(
                f'driver {name} of package {package} is written for version '
                f'{major}.{minor} of the driver contract; this Valence has '
                '%d.%d' % base.CONTRACT_VERSION)
        self.classes[name] = found

    def describe(self) -> dict[str, Any]:
        """What the API tells of each driver."""
        return {
            name: {
                'description': found.description,
                'version': found.version,
                'package': self._packages[name][0],
                'package_version': _version(self._packages[name][0]),
                'capabilities': found.capabilities.to_dict(),
                'connection_schema': found.connection_schema,
            } for name, found in self.classes.items()}

    def get(self, name: str) -> type[base.Driver]:
        try:
            return self.classes[name]
        except KeyError:
            raise DriverNotLoaded(
                f'this conductor has no driver {name}; it has '
                + (', '.join(sorted(self.classes)) or 'none')) from None


def _refuse(manager: Any, entry_point: Any, error: BaseException) -> None:
    raise DriverNotLoaded(
        f'the enabled driver {entry_point.name} ({entry_point.value}) cannot '
        f'be loaded: {error!r}') from error


def _packages() -> dict[str, list[str]]:
    """The installed distributions that have each driver, by its name."""
    found: dict[str, set[str]] = collections.defaultdict(set)
    for entry_point in importlib.metadata.entry_points(group=base.NAMESPACE):
        if entry_point.dist:
            found[entry_point.name].add(entry_point.dist.name)
    return {name: sorted(packages) for name, packages in found.items()}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return 'unknown'


@dataclasses.dataclass
class _Live:
    generation: int
    driver: base.Driver
    used_at: float


def _close(dropped: Iterable[_Live]) -> None:
    for known in dropped:
        known.driver.close()


class Connection:
    """The live drivers of this process, one per pod manager.

    :param decrypt: turns a stored token into {'username', 'password'}; may
        have to ask somebody
    :param idle: seconds after which a driver that nobody asked for goes;
        longer than any operation holds one
    """

    def __init__(self, drivers: Drivers, limits: base.Limits,
                 decrypt: Any, idle: float = 900.0) -> None:
        self._drivers = drivers
        self._limits = limits
        self._decrypt = decrypt
        self._idle = max(idle, 2 * limits.discovery_timeout)
        self._live: dict[str, _Live] = {}
        self._lock = threading.Lock()

    def get(self, pod_manager: Mapping[str, Any]) -> base.Driver:
        """The driver for a pod manager's row, built on first use.

        :raises DriverNotLoaded:
        """
        uuid, generation = pod_manager['uuid'], pod_manager['generation']
        with self._lock:
            known = self._live.get(uuid)
            if known is not None and known.generation == generation:
                known.used_at = time.monotonic()
                return known.driver
        # Not under the lock: a key manager may keep one waiting.
        mine = _Live(generation, self._drivers.get(pod_manager['driver'])(
            self._endpoint(pod_manager)), time.monotonic())
        with self._lock:
            known = self._live.get(uuid)
            if known is not None and known.generation >= generation:
                mine, known = known, mine
            else:
                self._live[uuid] = mine
        if known is not None:
            known.driver.close()
        return mine.driver

    def _endpoint(self, pod_manager: Mapping[str, Any]) -> base.Endpoint:
        credentials: Mapping[str, str] = {}
        if pod_manager['credentials']:
            credentials = self._decrypt(pod_manager['credentials'])
        password = credentials.get('password')
        return base.Endpoint(
            url=pod_manager['url'], username=credentials.get('username'),
            password=None if password is None else Secret(password),
            ca_certificates=pod_manager['ca_certificates'],
            verify_tls=pod_manager['verify_tls'],
            properties=pod_manager['connection_properties'] or {},
            limits=self._limits)

    def drop_idle(self) -> None:
        """Close the drivers of pod managers that are gone, or never used."""
        before = time.monotonic() - self._idle
        with self._lock:
            idle = [uuid for uuid, known in self._live.items()
                    if known.used_at < before]
            dropped = [self._live.pop(uuid) for uuid in idle]
        if dropped:
            # A pod that does not answer may keep a goodbye waiting.
            threading.Thread(target=_close, args=(dropped,), daemon=True,
                             name='drivers-close').start()

    def close(self) -> None:
        with self._lock:
            live, self._live = self._live, {}
        for known in live.values():
            known.driver.close()
