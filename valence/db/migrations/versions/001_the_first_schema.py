# SPDX-License-Identifier: Apache-2.0
"""The first schema"""

import sqlalchemy as sa
from alembic import op

from valence.db.types import BigKey, JSONText, LongText, UTCDateTime

revision = '001'
down_revision = None
branch_labels = None
depends_on = None

MYSQL = {'mysql_engine': 'InnoDB', 'mysql_charset': 'utf8mb4',
         'mysql_collate': 'utf8mb4_bin'}


def upgrade() -> None:
    op.create_table(
        'conductors',
        sa.Column('id', BigKey, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('pid', sa.Integer(), nullable=False),
        sa.Column('version', sa.String(length=64), nullable=False),
        sa.Column('drivers', JSONText(), nullable=False),
        sa.Column('heartbeat_at', UTCDateTime, nullable=False),
        sa.Column('stopped_at', UTCDateTime, nullable=True),
        sa.Column('created_at', UTCDateTime, nullable=False),
        sa.Column('updated_at', UTCDateTime, nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_conductors'),
        sa.UniqueConstraint('uuid', name='uq_conductors_uuid'),
        **MYSQL)
    op.create_index(
        'ix_conductors_heartbeat_at', 'conductors', ['heartbeat_at'],
        unique=False)
    op.create_table(
        'flavors',
        sa.Column('id', BigKey, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('description', sa.Text(), nullable=True),
        sa.Column('properties', JSONText(), nullable=False),
        sa.Column('generation', sa.Integer(), nullable=False),
        sa.Column('created_at', UTCDateTime, nullable=False),
        sa.Column('updated_at', UTCDateTime, nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_flavors'),
        sa.UniqueConstraint('name', name='uq_flavors_name'),
        sa.UniqueConstraint('uuid', name='uq_flavors_uuid'),
        **MYSQL)
    op.create_table(
        'idempotency_keys',
        sa.Column('id', BigKey, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('key', sa.String(length=255), nullable=False),
        sa.Column('digest', sa.String(length=64), nullable=False),
        sa.Column('made', JSONText(), nullable=False),
        sa.Column('last_uuid', sa.String(length=36), nullable=True),
        sa.Column('created_at', UTCDateTime, nullable=False),
        sa.Column('updated_at', UTCDateTime, nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_idempotency_keys'),
        sa.UniqueConstraint('project_id', 'key',
                            name='uq_idempotency_keys_project_id_key'),
        sa.UniqueConstraint('uuid', name='uq_idempotency_keys_uuid'),
        **MYSQL)
    op.create_table(
        'operations',
        sa.Column('id', BigKey, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('kind', sa.String(length=32), nullable=False),
        sa.Column('state', sa.String(length=16), nullable=False),
        sa.Column('desired', sa.String(length=16), nullable=False),
        sa.Column('undoing', sa.Boolean(), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=True),
        sa.Column('user_id', sa.String(length=255), nullable=True),
        sa.Column('request_id', sa.String(length=64), nullable=True),
        sa.Column('pod_manager_uuid', sa.String(length=36), nullable=True),
        sa.Column('node_uuid', sa.String(length=36), nullable=True),
        sa.Column('params', JSONText(), nullable=False),
        sa.Column('result', JSONText(), nullable=True),
        sa.Column('error_code', sa.String(length=64), nullable=True),
        sa.Column('error', sa.Text(), nullable=True),
        sa.Column('progress', sa.Integer(), nullable=False),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('faults', sa.Integer(), nullable=False),
        sa.Column('owner', sa.String(length=36), nullable=True),
        sa.Column('epoch', sa.Integer(), nullable=False),
        sa.Column('acquired_at', UTCDateTime, nullable=True),
        sa.Column('lease_expires_at', UTCDateTime, nullable=True),
        sa.Column('not_before', UTCDateTime, nullable=True),
        sa.Column('deadline_at', UTCDateTime, nullable=True),
        sa.Column('started_at', UTCDateTime, nullable=True),
        sa.Column('finished_at', UTCDateTime, nullable=True),
        sa.Column('created_at', UTCDateTime, nullable=False),
        sa.Column('updated_at', UTCDateTime, nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_operations'),
        sa.UniqueConstraint('uuid', name='uq_operations_uuid'),
        **MYSQL)
    op.create_index(
        'ix_operations_due', 'operations', ['state', 'not_before'],
        unique=False)
    op.create_index(
        'ix_operations_finished_at', 'operations', ['finished_at'],
        unique=False)
    op.create_index(
        'ix_operations_node_uuid', 'operations', ['node_uuid'], unique=False)
    op.create_index(
        'ix_operations_pod_manager_uuid', 'operations', ['pod_manager_uuid'],
        unique=False)
    op.create_index(
        'ix_operations_project_id_id', 'operations', ['project_id', 'id'],
        unique=False)
    op.create_table(
        'pod_managers',
        sa.Column('id', BigKey, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('url', sa.String(length=512), nullable=False),
        sa.Column('driver', sa.String(length=64), nullable=False),
        sa.Column('connection_properties', JSONText(), nullable=False),
        sa.Column('credentials', LongText, nullable=True),
        sa.Column('credentials_key', sa.String(length=64), nullable=True),
        sa.Column('ca_certificates', LongText, nullable=True),
        sa.Column('verify_tls', sa.Boolean(), nullable=False),
        sa.Column('status', sa.String(length=16), nullable=False),
        sa.Column('status_reason', sa.Text(), nullable=True),
        sa.Column('product', sa.String(length=255), nullable=True),
        sa.Column('capabilities', JSONText(), nullable=True),
        sa.Column('last_sync_at', UTCDateTime, nullable=True),
        sa.Column('next_sync_at', UTCDateTime, nullable=True),
        sa.Column('failures', sa.Integer(), nullable=False),
        sa.Column('retry_at', UTCDateTime, nullable=True),
        sa.Column('scans', sa.Integer(), nullable=False),
        sa.Column('draining', sa.Boolean(), nullable=False),
        sa.Column('operation_uuid', sa.String(length=36), nullable=True),
        sa.Column('generation', sa.Integer(), nullable=False),
        sa.Column('created_at', UTCDateTime, nullable=False),
        sa.Column('updated_at', UTCDateTime, nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_pod_managers'),
        sa.UniqueConstraint('name', name='uq_pod_managers_name'),
        sa.UniqueConstraint('url', name='uq_pod_managers_url'),
        sa.UniqueConstraint('uuid', name='uq_pod_managers_uuid'),
        **MYSQL)
    op.create_index(
        'ix_pod_managers_next_sync_at', 'pod_managers', ['next_sync_at'],
        unique=False)
    op.create_table(
        'devices',
        sa.Column('id', BigKey, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('type', sa.String(length=32), nullable=False),
        sa.Column('pooled', sa.Boolean(), nullable=False),
        sa.Column('state', sa.String(length=16), nullable=False),
        sa.Column('health', sa.String(length=32), nullable=True),
        sa.Column('rack_path', sa.String(length=512), nullable=True),
        sa.Column('system_path', sa.String(length=512), nullable=True),
        sa.Column('processor_cores', sa.Integer(), nullable=True),
        sa.Column('memory_mib', sa.BigInteger(), nullable=True),
        sa.Column('memory_type', sa.String(length=64), nullable=True),
        sa.Column('capacity_gib', sa.BigInteger(), nullable=True),
        sa.Column('speed_mbps', sa.BigInteger(), nullable=True),
        sa.Column('model', sa.String(length=255), nullable=True),
        sa.Column('zone_paths', JSONText(), nullable=False),
        sa.Column('pod_manager_id', BigKey, nullable=False),
        sa.Column('resource_path', sa.String(length=512), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('digest', sa.String(length=32), nullable=False),
        sa.Column('missing_since', sa.Integer(), nullable=True),
        sa.Column('details', JSONText(), nullable=False),
        sa.Column('created_at', UTCDateTime, nullable=False),
        sa.Column('updated_at', UTCDateTime, nullable=True),
        sa.ForeignKeyConstraint(
            ['pod_manager_id'], ['pod_managers.id'],
            name='fk_devices_pod_manager_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_devices'),
        sa.UniqueConstraint(
            'pod_manager_id', 'resource_path',
            name='uq_devices_pod_manager_id_resource_path'),
        sa.UniqueConstraint('uuid', name='uq_devices_uuid'),
        **MYSQL)
    op.create_index(
        'ix_devices_pool', 'devices', ['pod_manager_id', 'pooled', 'type',
        'state'], unique=False)
    op.create_index('ix_devices_type', 'devices', ['type', 'id'], unique=False)
    op.create_table(
        'drift',
        sa.Column('id', BigKey, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('pod_manager_id', BigKey, nullable=False),
        sa.Column('kind', sa.String(length=16), nullable=False),
        sa.Column('resource_path', sa.String(length=512), nullable=False),
        sa.Column('node_uuid', sa.String(length=36), nullable=True),
        sa.Column('details', JSONText(), nullable=False),
        sa.Column('state', sa.String(length=16), nullable=False),
        sa.Column('action', sa.String(length=16), nullable=True),
        sa.Column('operation_uuid', sa.String(length=36), nullable=True),
        sa.Column('first_scan', sa.Integer(), nullable=False),
        sa.Column('last_scan', sa.Integer(), nullable=False),
        sa.Column('created_at', UTCDateTime, nullable=False),
        sa.Column('updated_at', UTCDateTime, nullable=True),
        sa.ForeignKeyConstraint(
            ['pod_manager_id'], ['pod_managers.id'],
            name='fk_drift_pod_manager_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_drift'),
        sa.UniqueConstraint(
            'pod_manager_id', 'kind', 'resource_path', 'node_uuid',
            name='uq_drift_pod_manager_id_kind_resource_path_node_uuid'),
        sa.UniqueConstraint('uuid', name='uq_drift_uuid'),
        **MYSQL)
    op.create_table(
        'nodes',
        sa.Column('id', BigKey, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('description', sa.Text(), nullable=True),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('user_id', sa.String(length=255), nullable=True),
        sa.Column('pod_manager_id', BigKey, nullable=False),
        sa.Column('flavor_uuid', sa.String(length=36), nullable=True),
        sa.Column('flavor_name', sa.String(length=255), nullable=True),
        sa.Column('requirements', JSONText(), nullable=False),
        sa.Column('state', sa.String(length=16), nullable=False),
        sa.Column('state_reason', sa.Text(), nullable=True),
        sa.Column('state_since', UTCDateTime, nullable=False),
        sa.Column('state_deadline', UTCDateTime, nullable=True),
        sa.Column('operation_uuid', sa.String(length=36), nullable=True),
        sa.Column('managed_by', sa.String(length=32), nullable=False),
        sa.Column('resource_path', sa.String(length=512), nullable=True),
        sa.Column('handle', JSONText(), nullable=True),
        sa.Column('power_state', sa.String(length=32), nullable=True),
        sa.Column('boot_target', sa.String(length=64), nullable=True),
        sa.Column('boot_enabled', sa.String(length=32), nullable=True),
        sa.Column('processor_cores', sa.Integer(), nullable=True),
        sa.Column('processor_model', sa.String(length=255), nullable=True),
        sa.Column('memory_mib', sa.BigInteger(), nullable=True),
        sa.Column('details', JSONText(), nullable=False),
        sa.Column('generation', sa.Integer(), nullable=False),
        sa.Column('created_at', UTCDateTime, nullable=False),
        sa.Column('updated_at', UTCDateTime, nullable=True),
        sa.ForeignKeyConstraint(
            ['pod_manager_id'], ['pod_managers.id'],
            name='fk_nodes_pod_manager_id'),
        sa.PrimaryKeyConstraint('id', name='pk_nodes'),
        sa.UniqueConstraint(
            'project_id', 'name', name='uq_nodes_project_id_name'),
        sa.UniqueConstraint('uuid', name='uq_nodes_uuid'),
        **MYSQL)
    op.create_index(
        'ix_nodes_pod_manager_id', 'nodes', ['pod_manager_id'], unique=False)
    op.create_index(
        'ix_nodes_project_id_id', 'nodes', ['project_id', 'id'], unique=False)
    op.create_index('ix_nodes_state', 'nodes', ['state'], unique=False)
    op.create_table(
        'operation_steps',
        sa.Column('id', BigKey, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('operation_id', BigKey, nullable=False),
        sa.Column('name', sa.String(length=64), nullable=False),
        sa.Column('ordinal', sa.Integer(), nullable=False),
        sa.Column('state', sa.String(length=16), nullable=False),
        sa.Column('epoch', sa.Integer(), nullable=False),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('intent', JSONText(), nullable=True),
        sa.Column('outcome', JSONText(), nullable=True),
        sa.Column('error', sa.Text(), nullable=True),
        sa.Column('started_at', UTCDateTime, nullable=True),
        sa.Column('finished_at', UTCDateTime, nullable=True),
        sa.Column('created_at', UTCDateTime, nullable=False),
        sa.Column('updated_at', UTCDateTime, nullable=True),
        sa.ForeignKeyConstraint(
            ['operation_id'], ['operations.id'],
            name='fk_operation_steps_operation_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_operation_steps'),
        sa.UniqueConstraint(
            'operation_id', 'name',
            name='uq_operation_steps_operation_id_name'),
        sa.UniqueConstraint('uuid', name='uq_operation_steps_uuid'),
        **MYSQL)
    op.create_table(
        'quotas',
        sa.Column('id', BigKey, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('resource', sa.String(length=32), nullable=False),
        sa.Column('limit', sa.Integer(), nullable=True),
        sa.Column('generation', sa.Integer(), nullable=False),
        sa.Column('created_at', UTCDateTime, nullable=False),
        sa.Column('updated_at', UTCDateTime, nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_quotas'),
        sa.UniqueConstraint('project_id', 'resource',
                            name='uq_quotas_project_id_resource'),
        sa.UniqueConstraint('uuid', name='uq_quotas_uuid'),
        **MYSQL)
    op.create_table(
        'racks',
        sa.Column('id', BigKey, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('chassis_type', sa.String(length=64), nullable=False),
        sa.Column('rack_path', sa.String(length=512), nullable=True),
        sa.Column('location', JSONText(), nullable=False),
        sa.Column('pod_manager_id', BigKey, nullable=False),
        sa.Column('resource_path', sa.String(length=512), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('digest', sa.String(length=32), nullable=False),
        sa.Column('missing_since', sa.Integer(), nullable=True),
        sa.Column('details', JSONText(), nullable=False),
        sa.Column('created_at', UTCDateTime, nullable=False),
        sa.Column('updated_at', UTCDateTime, nullable=True),
        sa.ForeignKeyConstraint(
            ['pod_manager_id'], ['pod_managers.id'],
            name='fk_racks_pod_manager_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_racks'),
        sa.UniqueConstraint(
            'pod_manager_id', 'resource_path',
            name='uq_racks_pod_manager_id_resource_path'),
        sa.UniqueConstraint('uuid', name='uq_racks_uuid'),
        **MYSQL)
    op.create_table(
        'systems',
        sa.Column('id', BigKey, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('system_type', sa.String(length=64), nullable=False),
        sa.Column('composed', sa.Boolean(), nullable=False),
        sa.Column('system_uuid', sa.String(length=64), nullable=True),
        sa.Column('power_state', sa.String(length=32), nullable=True),
        sa.Column('health', sa.String(length=32), nullable=True),
        sa.Column('rack_path', sa.String(length=512), nullable=True),
        sa.Column('processor_cores', sa.Integer(), nullable=True),
        sa.Column('processor_model', sa.String(length=255), nullable=True),
        sa.Column('memory_mib', sa.BigInteger(), nullable=True),
        sa.Column('tag', sa.String(length=255), nullable=True),
        sa.Column('device_paths', JSONText(), nullable=False),
        sa.Column('pod_manager_id', BigKey, nullable=False),
        sa.Column('resource_path', sa.String(length=512), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('digest', sa.String(length=32), nullable=False),
        sa.Column('missing_since', sa.Integer(), nullable=True),
        sa.Column('details', JSONText(), nullable=False),
        sa.Column('created_at', UTCDateTime, nullable=False),
        sa.Column('updated_at', UTCDateTime, nullable=True),
        sa.ForeignKeyConstraint(
            ['pod_manager_id'], ['pod_managers.id'],
            name='fk_systems_pod_manager_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_systems'),
        sa.UniqueConstraint(
            'pod_manager_id', 'resource_path',
            name='uq_systems_pod_manager_id_resource_path'),
        sa.UniqueConstraint('uuid', name='uq_systems_uuid'),
        **MYSQL)
    op.create_index('ix_systems_tag', 'systems', ['tag'], unique=False)
    op.create_table(
        'zones',
        sa.Column('id', BigKey, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('device_paths', JSONText(), nullable=False),
        sa.Column('limits', JSONText(), nullable=False),
        sa.Column('pod_manager_id', BigKey, nullable=False),
        sa.Column('resource_path', sa.String(length=512), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('digest', sa.String(length=32), nullable=False),
        sa.Column('missing_since', sa.Integer(), nullable=True),
        sa.Column('details', JSONText(), nullable=False),
        sa.Column('created_at', UTCDateTime, nullable=False),
        sa.Column('updated_at', UTCDateTime, nullable=True),
        sa.ForeignKeyConstraint(
            ['pod_manager_id'], ['pod_managers.id'],
            name='fk_zones_pod_manager_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_zones'),
        sa.UniqueConstraint(
            'pod_manager_id', 'resource_path',
            name='uq_zones_pod_manager_id_resource_path'),
        sa.UniqueConstraint('uuid', name='uq_zones_uuid'),
        **MYSQL)
    op.create_table(
        'claims',
        sa.Column('id', BigKey, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('pod_manager_id', BigKey, nullable=False),
        sa.Column('resource_path', sa.String(length=512), nullable=False),
        sa.Column('node_id', BigKey, nullable=False),
        sa.Column('operation_uuid', sa.String(length=36), nullable=False),
        sa.Column('epoch', sa.Integer(), nullable=False),
        sa.Column('created_at', UTCDateTime, nullable=False),
        sa.Column('updated_at', UTCDateTime, nullable=True),
        sa.ForeignKeyConstraint(
            ['node_id'], ['nodes.id'], name='fk_claims_node_id'),
        sa.ForeignKeyConstraint(
            ['pod_manager_id'], ['pod_managers.id'],
            name='fk_claims_pod_manager_id'),
        sa.PrimaryKeyConstraint('id', name='pk_claims'),
        sa.UniqueConstraint(
            'pod_manager_id', 'resource_path',
            name='uq_claims_pod_manager_id_resource_path'),
        sa.UniqueConstraint('uuid', name='uq_claims_uuid'),
        **MYSQL)
    op.create_index('ix_claims_node_id', 'claims', ['node_id'], unique=False)
    op.create_index(
        'ix_operations_updated_at', 'operations', ['updated_at'],
        unique=False)
    for table in ('racks', 'systems', 'devices', 'zones'):
        op.create_index(f'ix_{table}_page', table, ['pod_manager_id', 'id'],
                        unique=False)
        op.create_index(f'ix_{table}_name', table, ['name', 'id'],
                        unique=False)
