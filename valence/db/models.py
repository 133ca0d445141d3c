# SPDX-License-Identifier: Apache-2.0
"""What does Valence keep?

Names are those of the API. Every table has an autoincrementing ``id`` for
joins and keyset pages, and a ``uuid`` by which users know the row. All times
are UTC and come from the database's clock.
"""

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.orm import Mapped, mapped_column

from valence.db.types import BigKey, JSONText, LongText, UTCDateTime, utcnow

_MYSQL = {
    'mysql_engine': 'InnoDB',
    'mysql_charset': 'utf8mb4',
    # Names and paths compare byte by byte, as in the other databases.
    'mysql_collate': 'utf8mb4_bin',
}


class Base(orm.DeclarativeBase):
    """Constraint names are explicit: migrations address them by name."""

    metadata = sa.MetaData(naming_convention={
        'ix': 'ix_%(table_name)s_%(column_0_N_name)s',
        'uq': 'uq_%(table_name)s_%(column_0_N_name)s',
        'fk': 'fk_%(table_name)s_%(column_0_N_name)s',
        'pk': 'pk_%(table_name)s',
    })
    __table_args__: Any = _MYSQL

    id: Mapped[int] = mapped_column(
        BigKey, primary_key=True, sort_order=-2)
    uuid: Mapped[str] = mapped_column(
        sa.String(36), unique=True, sort_order=-1)
    created_at: Mapped[datetime.datetime] = mapped_column(
        UTCDateTime, default=utcnow(), sort_order=1)
    updated_at: Mapped[datetime.datetime | None] = mapped_column(
        UTCDateTime, onupdate=utcnow(), sort_order=1)


class PodManager(Base):
    __tablename__ = 'pod_managers'

    name: Mapped[str] = mapped_column(sa.String(255), unique=True)
    url: Mapped[str] = mapped_column(sa.String(512), unique=True)
    driver: Mapped[str] = mapped_column(sa.String(64))
    connection_properties: Mapped[Any] = mapped_column(JSONText, default={})
    # A Fernet token, and the fingerprint of the key that made it.
    credentials: Mapped[str | None] = mapped_column(LongText)
    credentials_key: Mapped[str | None] = mapped_column(sa.String(64))
    ca_certificates: Mapped[str | None] = mapped_column(LongText)
    verify_tls: Mapped[bool] = mapped_column(default=True)
    # 'unknown' until the first contact, then online, offline or error.
    status: Mapped[str] = mapped_column(sa.String(16), default='unknown')
    status_reason: Mapped[str | None] = mapped_column(sa.Text)
    product: Mapped[str | None] = mapped_column(sa.String(255))
    capabilities: Mapped[Any | None] = mapped_column(JSONText)
    last_sync_at: Mapped[datetime.datetime | None] = mapped_column(
        UTCDateTime)
    next_sync_at: Mapped[datetime.datetime | None] = mapped_column(
        UTCDateTime, index=True)
    # The circuit breaker: calls in a row that got no answer, and until when
    # the pod manager is left alone because of them.
    failures: Mapped[int] = mapped_column(default=0)
    retry_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    # Counts complete scans.
    scans: Mapped[int] = mapped_column(default=0)
    # No new node is placed here.
    draining: Mapped[bool] = mapped_column(default=False)
    # The sync under way, if any.
    operation_uuid: Mapped[str | None] = mapped_column(sa.String(36))
    # Counts changes by users: a cached driver of an older one is dropped.
    generation: Mapped[int] = mapped_column(default=1)


class _Inventory:
    """What the tables that a scan fills have in common.

    ``digest`` is over all that the scan saw of the row; equal digests need
    no write. ``missing_since`` is the number of the first complete scan
    that did not see it any more.
    """

    pod_manager_id: Mapped[int] = mapped_column(
        BigKey, sa.ForeignKey('pod_managers.id', ondelete='CASCADE'))
    resource_path: Mapped[str] = mapped_column(sa.String(512))
    name: Mapped[str] = mapped_column(sa.String(255))
    digest: Mapped[str] = mapped_column(sa.String(32))
    missing_since: Mapped[int | None]
    details: Mapped[Any] = mapped_column(JSONText, default={})


def _inventory_args(table: str, *more: Any) -> tuple[Any, ...]:
    return (sa.UniqueConstraint('pod_manager_id', 'resource_path'),
            # For pages: of one pod manager, and sorted by name.
            sa.Index(f'ix_{table}_page', 'pod_manager_id', 'id'),
            sa.Index(f'ix_{table}_name', 'name', 'id'),
            *more, _MYSQL)


class Rack(_Inventory, Base):
    __tablename__ = 'racks'
    __table_args__ = _inventory_args('racks')

    chassis_type: Mapped[str] = mapped_column(sa.String(64))
    rack_path: Mapped[str | None] = mapped_column(sa.String(512))
    location: Mapped[Any] = mapped_column(JSONText, default={})


class System(_Inventory, Base):
    __tablename__ = 'systems'
    __table_args__ = _inventory_args('systems')

    system_type: Mapped[str] = mapped_column(sa.String(64))
    composed: Mapped[bool] = mapped_column(default=False)
    system_uuid: Mapped[str | None] = mapped_column(sa.String(64))
    power_state: Mapped[str | None] = mapped_column(sa.String(32))
    health: Mapped[str | None] = mapped_column(sa.String(32))
    rack_path: Mapped[str | None] = mapped_column(sa.String(512))
    processor_cores: Mapped[int | None]
    processor_model: Mapped[str | None] = mapped_column(sa.String(255))
    memory_mib: Mapped[int | None] = mapped_column(sa.BigInteger)
    tag: Mapped[str | None] = mapped_column(sa.String(255), index=True)
    device_paths: Mapped[Any] = mapped_column(JSONText, default=[])


class Device(_Inventory, Base):
    __tablename__ = 'devices'
    __table_args__ = _inventory_args(
        'devices',
        sa.Index('ix_devices_pool', 'pod_manager_id', 'pooled', 'type',
                 'state'),
        sa.Index('ix_devices_type', 'type', 'id'))

    type: Mapped[str] = mapped_column(sa.String(32))
    pooled: Mapped[bool]
    state: Mapped[str] = mapped_column(sa.String(16))
    health: Mapped[str | None] = mapped_column(sa.String(32))
    rack_path: Mapped[str | None] = mapped_column(sa.String(512))
    system_path: Mapped[str | None] = mapped_column(sa.String(512))
    processor_cores: Mapped[int | None]
    memory_mib: Mapped[int | None] = mapped_column(sa.BigInteger)
    memory_type: Mapped[str | None] = mapped_column(sa.String(64))
    capacity_gib: Mapped[int | None] = mapped_column(sa.BigInteger)
    speed_mbps: Mapped[int | None] = mapped_column(sa.BigInteger)
    model: Mapped[str | None] = mapped_column(sa.String(255))
    zone_paths: Mapped[Any] = mapped_column(JSONText, default=[])


class Zone(_Inventory, Base):
    __tablename__ = 'zones'
    __table_args__ = _inventory_args('zones')

    device_paths: Mapped[Any] = mapped_column(JSONText, default=[])
    limits: Mapped[Any] = mapped_column(JSONText, default={})


class Drift(Base):
    """A difference between the hardware and what Valence knows of it.

    ``first_scan`` and ``last_scan`` count the pod's complete scans, as
    ``PodManager.scans`` does; what a scan does not find again is deleted.
    """

    __tablename__ = 'drift'
    __table_args__ = (
        sa.UniqueConstraint('pod_manager_id', 'kind', 'resource_path',
                            'node_uuid'), _MYSQL)

    pod_manager_id: Mapped[int] = mapped_column(
        BigKey, sa.ForeignKey('pod_managers.id', ondelete='CASCADE'))
    kind: Mapped[str] = mapped_column(sa.String(16))
    resource_path: Mapped[str] = mapped_column(sa.String(512))
    node_uuid: Mapped[str | None] = mapped_column(sa.String(36))
    details: Mapped[Any] = mapped_column(JSONText, default={})
    # 'seen' once, 'confirmed' by a second scan, 'suspended' where the scan
    # is doubted as a whole.
    state: Mapped[str] = mapped_column(sa.String(16))
    # What was done about it, by which operation; None is nothing yet.
    action: Mapped[str | None] = mapped_column(sa.String(16))
    operation_uuid: Mapped[str | None] = mapped_column(sa.String(36))
    first_scan: Mapped[int]
    last_scan: Mapped[int]


class Flavor(Base):
    __tablename__ = 'flavors'

    name: Mapped[str] = mapped_column(sa.String(255), unique=True)
    description: Mapped[str | None] = mapped_column(sa.Text)
    properties: Mapped[Any] = mapped_column(JSONText, default={})
    generation: Mapped[int] = mapped_column(default=1)


class Node(Base):
    """A composed node.

    ``operation_uuid`` is the one operation that may change it now; it is
    set and cleared by compare-and-swap.
    """

    __tablename__ = 'nodes'
    __table_args__ = (
        sa.UniqueConstraint('project_id', 'name'),
        sa.Index('ix_nodes_project_id_id', 'project_id', 'id'),
        _MYSQL)

    name: Mapped[str] = mapped_column(sa.String(255))
    description: Mapped[str | None] = mapped_column(sa.Text)
    project_id: Mapped[str] = mapped_column(sa.String(64))
    user_id: Mapped[str | None] = mapped_column(sa.String(255))
    pod_manager_id: Mapped[int] = mapped_column(
        BigKey, sa.ForeignKey('pod_managers.id'), index=True)
    flavor_uuid: Mapped[str | None] = mapped_column(sa.String(36))
    flavor_name: Mapped[str | None] = mapped_column(sa.String(255))
    requirements: Mapped[Any] = mapped_column(JSONText, default={})
    state: Mapped[str] = mapped_column(sa.String(16), index=True)
    state_reason: Mapped[str | None] = mapped_column(sa.Text)
    state_since: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    state_deadline: Mapped[datetime.datetime | None] = mapped_column(
        UTCDateTime)
    operation_uuid: Mapped[str | None] = mapped_column(sa.String(36))
    managed_by: Mapped[str] = mapped_column(sa.String(32), default='valence')
    # Where the composition is on its backend, once that is known.
    resource_path: Mapped[str | None] = mapped_column(sa.String(512))
    handle: Mapped[Any | None] = mapped_column(JSONText)
    power_state: Mapped[str | None] = mapped_column(sa.String(32))
    boot_target: Mapped[str | None] = mapped_column(sa.String(64))
    boot_enabled: Mapped[str | None] = mapped_column(sa.String(32))
    processor_cores: Mapped[int | None]
    processor_model: Mapped[str | None] = mapped_column(sa.String(255))
    memory_mib: Mapped[int | None] = mapped_column(sa.BigInteger)
    details: Mapped[Any] = mapped_column(JSONText, default={})
    generation: Mapped[int] = mapped_column(default=1)


class Claim(Base):
    """Why a resource can never belong to two nodes: the unique key."""

    __tablename__ = 'claims'
    __table_args__ = (
        sa.UniqueConstraint('pod_manager_id', 'resource_path'), _MYSQL)

    pod_manager_id: Mapped[int] = mapped_column(
        BigKey, sa.ForeignKey('pod_managers.id'))
    resource_path: Mapped[str] = mapped_column(sa.String(512))
    node_id: Mapped[int] = mapped_column(
        BigKey, sa.ForeignKey('nodes.id'), index=True)
    operation_uuid: Mapped[str] = mapped_column(sa.String(36))
    epoch: Mapped[int] = mapped_column(default=0)


class Operation(Base):
    """A request on its way: job, journal head, progress and audit in one.

    Targets are named by uuid without a foreign key, for the history outlives
    them. ``epoch`` counts the owners; every write of an owner is guarded by
    the epoch it won.
    """

    __tablename__ = 'operations'
    __table_args__ = (
        sa.Index('ix_operations_due', 'state', 'not_before'),
        sa.Index('ix_operations_project_id_id', 'project_id', 'id'),
        _MYSQL)

    kind: Mapped[str] = mapped_column(sa.String(32))
    state: Mapped[str] = mapped_column(sa.String(16))
    # 'done', or 'cancelled' once somebody wants it stopped and undone.
    desired: Mapped[str] = mapped_column(sa.String(16), default='done')
    undoing: Mapped[bool] = mapped_column(default=False)
    project_id: Mapped[str | None] = mapped_column(sa.String(64))
    user_id: Mapped[str | None] = mapped_column(sa.String(255))
    request_id: Mapped[str | None] = mapped_column(sa.String(64))
    pod_manager_uuid: Mapped[str | None] = mapped_column(
        sa.String(36), index=True)
    node_uuid: Mapped[str | None] = mapped_column(sa.String(36), index=True)
    params: Mapped[Any] = mapped_column(JSONText, default={})
    result: Mapped[Any | None] = mapped_column(JSONText)
    error_code: Mapped[str | None] = mapped_column(sa.String(64))
    error: Mapped[str | None] = mapped_column(sa.Text)
    progress: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    # Attempts that met an error which nobody expected.
    faults: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(sa.String(36))
    epoch: Mapped[int] = mapped_column(default=0)
    acquired_at: Mapped[datetime.datetime | None] = mapped_column(
        UTCDateTime)
    lease_expires_at: Mapped[datetime.datetime | None] = mapped_column(
        UTCDateTime)
    not_before: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    deadline_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    started_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime.datetime | None] = mapped_column(
        UTCDateTime, index=True)
    # From the beginning, for those who ask what has changed since then.
    updated_at: Mapped[datetime.datetime | None] = mapped_column(
        UTCDateTime, default=utcnow(), onupdate=utcnow(), index=True,
        sort_order=1)


class OperationStep(Base):
    """One entry of the journal: the intent before a call, the outcome after.

    ``state`` is intent, pending (the backend works on it; ``outcome`` holds
    the monitor), done, failed or skipped.
    """

    __tablename__ = 'operation_steps'
    __table_args__ = (
        sa.UniqueConstraint('operation_id', 'name'), _MYSQL)

    operation_id: Mapped[int] = mapped_column(
        BigKey, sa.ForeignKey('operations.id', ondelete='CASCADE'))
    name: Mapped[str] = mapped_column(sa.String(64))
    ordinal: Mapped[int]
    state: Mapped[str] = mapped_column(sa.String(16))
    epoch: Mapped[int]
    attempts: Mapped[int] = mapped_column(default=0)
    intent: Mapped[Any | None] = mapped_column(JSONText)
    outcome: Mapped[Any | None] = mapped_column(JSONText)
    error: Mapped[str | None] = mapped_column(sa.Text)
    started_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)


class IdempotencyKey(Base):
    """A request that was made, by the name that its client gave it.

    No project is the empty ``project_id``: no two NULLs are the same to a
    unique constraint.
    """

    __tablename__ = 'idempotency_keys'
    __table_args__ = (
        sa.UniqueConstraint('project_id', 'key'), _MYSQL)

    project_id: Mapped[str] = mapped_column(sa.String(64))
    key: Mapped[str] = mapped_column(sa.String(255))
    # Of method, path and body.
    digest: Mapped[str] = mapped_column(sa.String(64))
    # A list of uuids: operations, joined or made, or else one resource.
    made: Mapped[Any] = mapped_column(JSONText, default=[])
    # The last of them: a key outlives its operation.
    last_uuid: Mapped[str | None] = mapped_column(sa.String(36))


class Quota(Base):
    """How many of a resource a project may have; no limit is the default.

    The row for ``nodes`` is the lock under which a project's usage is
    counted.
    """

    __tablename__ = 'quotas'
    __table_args__ = (
        sa.UniqueConstraint('project_id', 'resource'), _MYSQL)

    project_id: Mapped[str] = mapped_column(sa.String(64))
    resource: Mapped[str] = mapped_column(sa.String(32))
    limit: Mapped[int | None]
    generation: Mapped[int] = mapped_column(default=1)


class Conductor(Base):
    """A conductor process that lives, or did until its last heartbeat."""

    __tablename__ = 'conductors'

    host: Mapped[str] = mapped_column(sa.String(255))
    pid: Mapped[int]
    version: Mapped[str] = mapped_column(sa.String(64))
    # {name: {'capabilities', 'connection_schema', 'version', ...}}
    drivers: Mapped[Any] = mapped_column(JSONText, default={})
    heartbeat_at: Mapped[datetime.datetime] = mapped_column(
        UTCDateTime, index=True)
    stopped_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
