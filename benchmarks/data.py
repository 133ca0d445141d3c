# SPDX-License-Identifier: Apache-2.0
"""What stands in the database that is read, and how is the API called?"""

import io
import pathlib
import uuid as uuid_module
from collections.abc import Callable, Mapping
from typing import Any

from valence.db import inventory, models, nodes, pod_managers
from valence.db.engine import Database
from valence.db.types import utcnow

BLOCKS = '/redfish/v1/CompositionService/ResourceBlocks'


def environ(path: str, query: str = '') -> dict[str, Any]:
    """What a WSGI server makes of a GET."""
    return {
        'REQUEST_METHOD': 'GET', 'SCRIPT_NAME': '', 'PATH_INFO': path,
        'QUERY_STRING': query, 'SERVER_NAME': 'localhost',
        'SERVER_PORT': '8181', 'SERVER_PROTOCOL': 'HTTP/1.1',
        'HTTP_HOST': 'localhost:8181', 'HTTP_ACCEPT': 'application/json',
        'REMOTE_ADDR': '127.0.0.1', 'wsgi.version': (1, 0),
        'wsgi.url_scheme': 'http', 'wsgi.input': io.BytesIO(),
        'wsgi.errors': io.StringIO(), 'wsgi.multithread': True,
        'wsgi.multiprocess': False, 'wsgi.run_once': False,
    }


def get(application: Any, path: str, query: str = '',
        more: Mapping[str, Any] | None = None) -> Callable[[], bytes]:
    """A function that makes one request and gives the answer's body.

    :param more: what else the environment has
    """
    others = more or {}

    def start(status: str, headers: Any, exc_info: Any = None) -> None:
        if not status.startswith('200'):
            raise RuntimeError(f'{path} was answered {status}')

    def call() -> bytes:
        return b''.join(application({**environ(path, query), **others}, start))

    return call


def application(directory: pathlib.Path, path: str) -> Any:
    """The whole of Valence's API, as a server would import it."""
    from oslo_config import cfg

    from valence.api import service
    from valence.conf import opts

    opts.parse(cfg.CONF, [], prog='valence-api', version='0', files=[path])
    return service.build(cfg.CONF, ring=lambda uuid: None)


def device(number: int) -> dict[str, Any]:
    """One pooled device, in the columns that a driver fills."""
    kind = ('compute', 'ssd', 'gpu', 'nic')[number % 4]
    path = f'{BLOCKS}/{kind}-{number}'
    row: dict[str, Any] = {
        'resource_path': path, 'name': f'{kind} block {number}',
        'type': kind, 'pooled': True, 'state': 'free', 'health': 'OK',
        'rack_path': f'/redfish/v1/Chassis/rack-{number % 40}',
        'system_path': None, 'processor_cores': None, 'memory_mib': None,
        'memory_type': None, 'capacity_gib': None, 'speed_mbps': None,
        'model': f'Model {number % 7}',
        'zone_paths': [f'/redfish/v1/CompositionService/ResourceZones/'
                       f'{number % 2 + 1}'],
        'details': {'components': [
            {'resource_path': f'{path}/Parts/{part}', 'name': f'part {part}',
             'type': kind, 'model': f'Model {number % 7}', 'health': 'OK'}
            for part in range(2)], 'status': 'Enabled'},
    }
    if kind == 'compute':
        row.update(processor_cores=64, memory_mib=262144, memory_type='DDR5')
    elif kind == 'ssd':
        row['capacity_gib'] = 1788
    elif kind == 'nic':
        row['speed_mbps'] = 25000
    return row


def fill(database: Database, devices: int, composed: int) -> list[str]:
    """A pod with ``devices``, and ``composed`` nodes of three of them each.

    :returns: the uuids of the nodes
    """
    rows = [device(number) for number in range(devices)]
    made: list[str] = []

    def write(conn: Any) -> None:
        table: Any = models.PodManager.__table__
        pod = pod_managers.create(conn, {
            'name': 'pod', 'url': 'https://pod.example.org',
            'driver': 'redfish', 'status': 'online',
            'next_sync_at': utcnow(86400)})
        pod_id = conn.execute(table.select()).one().id
        inventory.write(conn, 'devices', pod_id, pod, rows, True, 1)
        for number in range(composed):
            uuid = str(uuid_module.uuid4())
            node_id = nodes.insert(
                conn, uuid=uuid, name=f'node-{number}', project_id='default',
                user_id='admin', pod_manager_id=pod_id,
                requirements={'processor': {'total_cores': 16},
                              'memory': {'capacity_mib': 65536}},
                details={'health': 'OK', 'manufacturer': 'Contoso'},
                power_state='On', processor_cores=64, memory_mib=262144,
                resource_path=f'/redfish/v1/Systems/composed-{number}')
            nodes.claim(conn, pod_id, node_id, uuid, [
                row['resource_path']
                for row in rows[number * 4:number * 4 + 3]])
            made.append(uuid)

    database.run(write)
    return made
