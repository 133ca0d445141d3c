# SPDX-License-Identifier: Apache-2.0
"""What is a driver? The contract between Valence and one vendor's API.

A driver translates between the vocabulary below and one vendor's dialect. It
reads no database, schedules nothing, keeps no threads between calls and no
state that a call depends on: any call may be the first one that a new process
makes. It is built from an :class:`Endpoint` without any I/O, and all values
that cross this boundary are plain, immutable and JSON-serialisable, so that
they survive in the operations journal.

Rules for an author:

* Read calls (``identify``, ``discover``, ``find``, ``poll``, ``observe``) may
  be repeated at will and change nothing. The one exception: ``poll`` may send
  what a mutation in several parts still lacks, each part once, and take back
  what one that came to nothing had reserved.
* One instance serves many threads, and may be closed while they call. Two
  scans of an unchanged pod are equal.
* A mutation sends each changing request at most once. If the answer is lost
  it raises :class:`Ambiguous`, and the engine decides after a look with
  ``find`` or ``observe``.
* Every call keeps within :func:`valence.common.deadline.remaining`.
* Errors are of the tree under :class:`DriverError`, with a sentence for the
  operator, never with a credential in it.
"""

import abc
import enum
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from valence.common.devices import DeviceState, DeviceType
from valence.common.secret import Secret

#: (major, minor) of this contract. A driver of another major is refused.
CONTRACT_VERSION = (1, 0)

#: The form of a tag: what ``Spec.tag`` is, and nothing that a user names.
TAG = re.compile(r'valence-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')

#: The stevedore namespace that drivers are entry points of.
NAMESPACE = 'valence.podmanager.driver'


class DriverError(Exception):
    """The root of what a driver raises.

    ``code`` is stable and machine-readable, the message is one sentence for
    the operator, ``retryable`` says whether the same call may succeed later
    with nothing changed.
    """

    code = 'driver_error'
    retryable = False


class Unreachable(DriverError):
    """No connection, no answer in time, or a 5xx: and nothing was changed."""

    code = 'backend_unreachable'
    retryable = True


class Unauthorized(DriverError):
    """The backend does not accept the credentials."""

    code = 'backend_unauthorized'


class Refused(DriverError):
    """The backend understood and said no, in its own words.

    ``status`` is the backend's HTTP status and ``message_ids`` are its own
    codes, where it gave any.
    """

    code = 'backend_refused'

    def __init__(self, message: str, status: int | None = None,
                 message_ids: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message_ids = message_ids


class NotFound(Refused):
    """What the call is about does not exist on the backend."""

    code = 'backend_not_found'


class Busy(DriverError):
    """The backend is busy; ``retry_after`` seconds is its own advice."""

    code = 'backend_busy'
    retryable = True

    def __init__(self, message: str, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unsupported(DriverError):
    """The driver or this backend has no such capability."""

    code = 'unsupported'


class Misconfigured(DriverError):
    """The connection cannot be made from what the operator gave.

    May be raised when a driver is built.
    """

    code = 'misconfigured'


class BadAnswer(DriverError):
    """The answer breaks the protocol: not JSON, too large, foreign links."""

    code = 'backend_bad_answer'


class Ambiguous(DriverError):
    """A mutation was sent and nobody knows whether it took effect."""

    code = 'ambiguous'


class Safety(enum.StrEnum):
    """What a successor may do when it finds a mutation without an outcome."""

    IDEMPOTENT = 'idempotent'        # send it again
    VERIFY_FIRST = 'verify_first'    # look with find/observe, then decide
    UNSAFE = 'unsafe'                # cannot be told from outside: stop


class Allocation(enum.StrEnum):
    """Who chooses the resources of a new node."""

    VALENCE = 'valence'
    BACKEND = 'backend'


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver, or one backend behind it, can do.

    ``expand``: nodes are also made onto servers that are there already;
    without ``tags`` in no other way. ``reset_types`` and ``boot_targets``
    are in Redfish's words (DSP0268, ``ResetType`` and ``BootSource``);
    empty means not at all. ``preview``: ``compose`` asks whether the backend
    would before it changes anything. ``reserve``: it keeps the devices from
    the backend's other clients until they are joined.
    """

    compose: bool = False
    expand: bool = False
    attach: bool = False
    allocation: Allocation = Allocation.VALENCE
    preview: bool = False
    reserve: bool = False
    tags: bool = False
    reset_types: tuple[str, ...] = ()
    boot_targets: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a driver may spend on a backend (seconds, bytes)."""

    connect_timeout: float = 5.0
    call_timeout: float = 12.0
    discovery_timeout: float = 300.0
    connections: int = 32
    max_body: int = 8 * 1024 * 1024
    max_depth: int = 32
    max_members: int = 10_000
    max_pages: int = 200
    allow_http: bool = False
    allowed_networks: tuple[str, ...] = ()
    denied_networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one pod manager is and how to speak to it.

    ``properties`` is what the operator gave, valid against the driver's
    ``connection_schema``. ``ca_certificates`` is PEM text; without it the
    system's authorities are trusted.
    """

    url: str
    username: str | None = None
    password: Secret | None = None
    ca_certificates: str | None = None
    verify_tls: bool = True
    properties: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answered: for the operator to recognise, and what it can do."""

    product: str
    version: str
    uuid: str | None
    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class Rack:
    """A chassis: a rack, or anything that stands in one.

    ``location`` is {'row', 'rack', 'offset', 'offset_units', ...} as far as
    known; ``rack_path`` names the outermost chassis that contains it.
    """

    resource_path: str
    name: str
    chassis_type: str = 'Other'
    rack_path: str | None = None
    location: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class System:
    """A server, whole (``composed`` false) or joined out of devices.

    ``device_paths`` are the pooled devices it is made of, ``tag`` the tag
    given to :meth:`Driver.compose` that it carries, if any.
    """

    resource_path: str
    name: str
    system_type: str = 'Physical'
    composed: bool = False
    system_uuid: str | None = None
    power_state: str | None = None
    health: str | None = None
    rack_path: str | None = None
    processor_cores: int | None = None
    processor_model: str | None = None
    memory_mib: int | None = None
    tag: str | None = None
    device_paths: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Device:
    """Something that can be part of a server.

    ``pooled`` devices are the units of composition (a Redfish resource
    block, an ExpEther EEIO): they are chosen, claimed, attached and detached
    as one, and ``details['components']`` tells what is inside. The others
    are fixed parts of ``system_path``, listed for the inventory's sake.
    Where a backend promises ``expand``, a pooled compute device with a
    ``system_path`` is that server, and becomes a node by what is added to it.
    Capacities are totals: cores, MiB, GiB (2**30 bytes), Mbit/s.
    """

    resource_path: str
    name: str
    type: DeviceType
    pooled: bool = True
    state: DeviceState = DeviceState.FREE
    health: str | None = None
    rack_path: str | None = None
    system_path: str | None = None
    processor_cores: int | None = None
    memory_mib: int | None = None
    memory_type: str | None = None
    capacity_gib: int | None = None
    speed_mbps: int | None = None
    model: str | None = None
    zone_paths: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Zone:
    """Pooled devices that can be joined with each other.

    ``limits`` maps a kind of device to [least, most] of it in one system,
    ``most`` None where there is no bound. ``processor`` counts all that
    process (GPUs too), ``storage`` drives of all media.
    """

    resource_path: str
    name: str
    device_paths: tuple[str, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of the backend that could not be read, and why."""

    resource_path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that one scan saw.

    ``complete`` is false as soon as anything that should have been there
    could not be read: absence from an incomplete scan proves nothing.
    """

    racks: tuple[Rack, ...] = ()
    systems: tuple[System, ...] = ()
    devices: tuple[Device, ...] = ()
    zones: tuple[Zone, ...] = ()
    complete: bool = True
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Spec:
    """The node to compose.

    ``tag`` is unique to the node and has to end up on the hardware, where
    :meth:`Driver.find` can see it; it has the form :data:`TAG`.
    ``device_paths`` are chosen by Valence where the driver's allocation says
    so; ``requirements`` (the flavor's properties) are for backends that
    choose themselves. ``prepared`` is what :meth:`Driver.prepare` gave, as
    it was written down.
    """

    tag: str
    name: str
    device_paths: tuple[str, ...] = ()
    zone_path: str | None = None
    requirements: Mapping[str, Any] = field(default_factory=dict)
    prepared: 'Handle | None' = None


@dataclass(frozen=True, slots=True)
class Handle:
    """What names a composed node on its backend, for ever.

    ``extra`` is the driver's own business.
    """

    resource_path: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pending:
    """The backend works on it; ask :meth:`Driver.poll` after ``delay`` s.

    ``monitor`` is the driver's own business; it is kept in the database and
    given back, perhaps to another process.
    """

    monitor: Mapping[str, Any]
    delay: float = 1.0


@dataclass(frozen=True, slots=True)
class Done:
    """A mutation was carried out; ``handle`` where it made something."""

    handle: Handle | None = None


@dataclass(frozen=True, slots=True)
class NodeHardware:
    """What the backend says a node is made of, right now.

    ``allowed_resets`` and ``allowed_boot_targets`` are the backend's own
    lists for this system, empty where it has none. ``unfinished`` is the
    backend's own word for the state of a node that carries its tag and is
    not whole: not yet, or not any more; None where it is whole.
    """

    handle: Handle
    name: str
    power_state: str | None
    health: str | None
    device_paths: tuple[str, ...]
    processor_cores: int | None = None
    processor_model: str | None = None
    memory_mib: int | None = None
    boot_target: str | None = None
    boot_enabled: str | None = None
    allowed_resets: tuple[str, ...] = ()
    allowed_boot_targets: tuple[str, ...] = ()
    unfinished: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Driver(abc.ABC):
    """One vendor's API in Valence's words. See the module's docstring.

    A subclass sets the class attributes and implements at least
    ``identify`` and ``discover``; what it leaves out is refused as
    :class:`Unsupported`, so ``capabilities`` must not promise it.
    """

    contract_version: ClassVar[tuple[int, int]] = CONTRACT_VERSION
    version: ClassVar[str] = '0'
    description: ClassVar[str] = ''
    #: The most that any backend behind this driver can do.
    capabilities: ClassVar[Capabilities] = Capabilities()
    #: JSON Schema (2020-12) of ``Endpoint.properties``.
    connection_schema: ClassVar[Mapping[str, Any]] = {
        'type': 'object', 'additionalProperties': False, 'properties': {}}
    #: What a successor may do with each mutation it finds unfinished.
    safety: ClassVar[Mapping[str, Safety]] = {
        'compose': Safety.VERIFY_FIRST,
        'attach': Safety.VERIFY_FIRST,
        'detach': Safety.VERIFY_FIRST,
        'set_power': Safety.VERIFY_FIRST,
        'set_boot': Safety.IDEMPOTENT,
        'release': Safety.VERIFY_FIRST,
    }

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def close(self) -> None:
        """Give back connections and sessions; never raises."""

    @abc.abstractmethod
    def identify(self) -> Identity:
        """Say who is there and whether the credentials are good."""

    @abc.abstractmethod
    def discover(self) -> Inventory:
        """Read everything. Partial failures are in the result.

        :raises DriverError: only where nothing at all could be read.
        """

    def subscribe(self, destination: str) -> None:
        """Have the backend post its events to ``destination``, a URL.

        Called again and again: makes a subscription only where there is
        none. Events are a hint, so what goes wrong here is only logged.
        """

    def find(self, tag: str) -> Handle | None:
        """The composition that carries ``tag``, if the backend has one.

        None is a promise that there is none: a look that was not complete
        raises instead.
        """
        raise self._unsupported('find')

    def prepare(self, spec: Spec) -> Handle | None:
        """What will name the node, where no tag can; changes nothing.

        Called, and written down, before ``compose`` if the driver promises
        no tags. If it promises ``expand`` as well as tags, it is called, too,
        and gives None for a node that will carry its tag. ``extra`` holds
        what is needed to tell, after a call whose end nobody knows, what
        there is of this node. With this handle ``observe`` sees the rest of
        a compose that was cut off, ``release`` takes it apart, and
        ``compose`` of a spec that has it goes on where it was left: so it is
        idempotent, and a driver without tags declares that. ``attach`` and
        ``detach`` are, too, and give the handle of what the node has then.
        """
        return None

    def tagged(self, handle: Handle) -> bool:
        """Whether the node of ``handle`` carries a tag; no I/O.

        False for what ``prepare`` named: then :meth:`find` says nothing
        about it, and the handle is all that there is.
        """
        return self.capabilities.tags

    def joined(self, handle: Handle, device_path: str) -> Handle | None:
        """The handle of a node that a device may have been added to; no I/O.

        Written down before ``attach``, where no tag tells the node. With it
        ``release`` takes away the device, too, if it is there. None where
        the handle says nothing of devices.
        """
        return None

    def compose(self, spec: Spec) -> Pending | Done:
        """Join ``spec``'s devices into a system that carries its tag."""
        raise self._unsupported('compose')

    def resume(self, handle: Handle) -> Pending | Done:
        """Go on with a composition that ``find`` found unrecorded."""
        return Done(handle)

    def poll(self, pending: Pending) -> Pending | Done:
        """How far is it? Raises what the mutation itself would raise."""
        raise self._unsupported('poll')

    def cancel(self, pending: Pending) -> None:
        """Ask the backend to stop; best effort, never a proof.

        It may be asked at any time, and again. How the mutation ended is
        what ``poll``, ``find`` and ``observe`` tell, as without it. An error
        says no more than that the backend was not asked.
        """

    def observe(self, handle: Handle) -> NodeHardware | None:
        """Read one system back; None once it is certainly gone."""
        raise self._unsupported('observe')

    def attach(self, handle: Handle, device_path: str) -> Pending | Done:
        raise self._unsupported('attach')

    def detach(self, handle: Handle, device_path: str) -> Pending | Done:
        raise self._unsupported('detach')

    def set_power(self, handle: Handle, reset_type: str) -> Pending | Done:
        """Send a reset. The power state may follow seconds later."""
        raise self._unsupported('set_power')

    def set_boot(self, handle: Handle, target: str,
                 enabled: str) -> Pending | Done:
        raise self._unsupported('set_boot')

    def release(self, handle: Handle) -> Pending | Done:
        """Take the system apart; its devices become free again."""
        raise self._unsupported('release')

    def _unsupported(self, what: str) -> Unsupported:
        return Unsupported(
            f'driver {type(self).__name__} does not support {what}')
