# SPDX-License-Identifier: Apache-2.0
"""The API under test: the whole pipeline on a real SQLite file."""

import io
import itertools
import logging
import os
import tempfile
import unittest
import uuid as uuid_module
from typing import Any

import orjson
import sqlalchemy as sa
from cryptography import fernet
from oslo_config import cfg

from valence.api import app, settings
from valence.common import policy, vault
from valence.db import engine, models
from valence.db.types import utcnow

UNSET: Any = object()
CAPABILITIES = {'compose': True, 'allocation': 'valence',
                'reset_types': ['On', 'ForceOff'],
                'boot_targets': ['None', 'Pxe', 'Hdd']}


class Response:
    def __init__(self, status: str, headers: list, body: bytes) -> None:
        self.status = int(status[:3])
        self.headers = {name.lower(): value for name, value in headers}
        self.names = [name.lower() for name, _value in headers]
        self.body = body

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json['errors'][0]


class Client:
    """Calls a WSGI application as a server would."""

    def __init__(self, application: Any, **headers: str) -> None:
        self.application = application
        self.headers = headers

    def request(self, method: str, url: str, json: Any = UNSET, *,
                data: bytes = b'', environ: dict | None = None,
                **headers: str) -> Response:
        headers = {**self.headers, **headers}
        path, _, query = url.removeprefix('http://api').partition('?')
        if json is not UNSET:
            data = orjson.dumps(json)
            headers.setdefault('content_type', 'application/json')
        env = {
            'REQUEST_METHOD': method, 'SCRIPT_NAME': '',
            'PATH_INFO': path, 'QUERY_STRING': query,
            'SERVER_NAME': 'api', 'SERVER_PORT': '80',
            'SERVER_PROTOCOL': 'HTTP/1.1', 'REMOTE_ADDR': '127.0.0.1',
            'HTTP_HOST': 'api', 'wsgi.url_scheme': 'http',
            'wsgi.input': io.BytesIO(data)}
        if data:
            env['CONTENT_LENGTH'] = str(len(data))
        for name, value in headers.items():
            name = name.upper()
            env[name if name == 'CONTENT_TYPE' else f'HTTP_{name}'] = value
        env.update(environ or {})
        started: list[Any] = []
        body = b''.join(self.application(
            env, lambda status, headers, exc=None: started.append(
                (status, headers))))
        assert len(started) == 1, started
        return Response(*started[0], body)

    def get(self, url: str, **kwargs: Any) -> Response:
        return self.request('GET', url, **kwargs)

    def post(self, url: str, json: Any = UNSET, **kwargs: Any) -> Response:
        return self.request('POST', url, json, **kwargs)

    def patch(self, url: str, json: Any, **kwargs: Any) -> Response:
        return self.request('PATCH', url, json, **kwargs)

    def delete(self, url: str, **kwargs: Any) -> Response:
        return self.request('DELETE', url, **kwargs)


class ApiTest(unittest.TestCase):

    maxDiff = None
    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        # What is wrong on purpose need not be printed.
        for name in ('valence', 'oslo_db'):
            handler = logging.NullHandler()
            logging.getLogger(name).addHandler(handler)
            self.addCleanup(logging.getLogger(name).removeHandler, handler)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        # The same tests can be pointed at MariaDB or PostgreSQL; what is in
        # that database is lost.
        url = os.environ.get('VALENCE_TEST_API_DATABASE')
        self.database = engine.Database(
            url or f'sqlite:///{self.directory}/valence.db')
        self.addCleanup(self.database.close)
        if url:
            models.Base.metadata.drop_all(self.database.engine)
        models.Base.metadata.create_all(self.database.engine)
        self.conf = cfg.ConfigOpts()
        self.conf(['--config-dir', self.directory], project='valence',
                  default_config_files=[], default_config_dirs=[])
        self.rung: list[str] = []
        self.vault: Any = vault.Vault(
            [fernet.Fernet.generate_key().decode()])
        self.numbers = itertools.count(1)
        self.client = Client(self.make_app())

    def make_app(self, **changes: Any) -> Any:
        values = {'auth_strategy': 'noauth', 'response_validation': 'error',
                  **self.settings, **changes}
        return app.make_app(
            settings.Settings(**values), self.database, self.rung.append,
            vault=self.vault,
            policy=policy.Policy(policy.get_enforcer(self.conf), ttl=0))

    def assert_error(self, response: Response, status: int, code: str,
                     field: str | None = None) -> dict[str, Any]:
        self.assertEqual(status, response.status, response.body)
        self.assertEqual('application/json',
                         response.headers['content-type'])
        self.assertEqual(['errors'], list(response.json))
        error = response.error
        self.assertEqual(
            {'status', 'title', 'detail', 'code', 'request_id',
             *(['field'] if field else [])}, set(error))
        self.assertEqual((status, code, field), (
            error['status'], error['code'], error.get('field')), error)
        self.assertEqual(response.headers['x-openstack-request-id'],
                         error['request_id'])
        return error

    # Rows, as conductors write them.

    def insert(self, model: Any, /, **values: Any) -> str:
        uuid = str(uuid_module.uuid4())
        values = {'uuid': uuid, 'created_at': utcnow(), **values}
        with self.database.write() as conn:
            conn.execute(sa.insert(model.__table__).values(**values))
        return str(values['uuid'])

    def row_id(self, model: Any, uuid: str) -> int:
        with self.database.read() as conn:
            return conn.scalar(sa.select(model.id).where(
                model.uuid == uuid))

    def update(self, model: Any, uuid: str, **values: Any) -> None:
        with self.database.write() as conn:
            conn.execute(sa.update(model.__table__).where(
                model.__table__.c.uuid == uuid).values(**values))

    def conductor(self, **values: Any) -> str:
        return self.insert(models.Conductor, **{
            'host': 'one', 'pid': 1, 'version': '1', 'heartbeat_at': utcnow(),
            'drivers': {'redfish': {
                'description': 'Redfish', 'version': '1.0',
                'package': 'valence', 'capabilities': CAPABILITIES,
                'connection_schema': {
                    'type': 'object', 'additionalProperties': False,
                    'properties': {'sessions': {'type': 'boolean'}}}}},
            **values})

    def pod_manager(self, name: str = 'pod', **values: Any) -> str:
        return self.insert(models.PodManager, **{
            'name': name, 'url': f'https://{name}.example', 'driver':
            'redfish', 'status': 'online', 'capabilities': CAPABILITIES,
            **values})

    def device(self, pod: str, **values: Any) -> str:
        number = next(self.numbers)
        return self.insert(models.Device, **{
            'pod_manager_id': self.row_id(models.PodManager, pod),
            'resource_path': f'/redfish/v1/ResourceBlocks/{number}',
            'name': f'block {number}', 'digest': '', 'type': 'nvme',
            'pooled': True, 'state': 'free', 'zone_paths': ['/zones/1'],
            'details': {'serial': str(number)}, **values})

    def node(self, pod: str, name: str = 'node', **values: Any) -> str:
        return self.insert(models.Node, **{
            'name': name, 'project_id': 'default', 'state': 'active',
            'state_since': utcnow(), 'requirements': {},
            'pod_manager_id': self.row_id(models.PodManager, pod),
            **values})

    def claim(self, node: str, device: str) -> None:
        with self.database.read() as conn:
            row = conn.execute(sa.select(models.Device).where(
                models.Device.uuid == device)).one()
        self.insert(models.Claim, pod_manager_id=row.pod_manager_id,
                    resource_path=row.resource_path, operation_uuid='x',
                    node_id=self.row_id(models.Node, node))

    def operation(self, **values: Any) -> str:
        return self.insert(models.Operation, **{
            'kind': 'sync', 'state': 'pending', 'project_id': 'default',
            **values})
