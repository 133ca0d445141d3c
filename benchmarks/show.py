# SPDX-License-Identifier: Apache-2.0
"""How long does it take to show one node?

Valence's whole API in-process (request id, authentication, policy, routing,
database, JSON) against what is commonly written: a Pecan RestController over
SQLAlchemy ORM objects with the engine that oslo.db makes for SQLite
(NullPool). The latter has neither authentication nor policy here. Both read
the same file and answer the same document.
"""

from typing import Any

import orjson
import pecan
import pecan.rest
import sqlalchemy as sa
from oslo_db.sqlalchemy import engines
from sqlalchemy import orm

from benchmarks import common, data, processes
from valence.db import models
from valence.db.engine import Database

_COLUMNS = (
    'uuid', 'name', 'description', 'project_id', 'user_id', 'flavor_name',
    'requirements', 'state', 'state_reason', 'state_since', 'state_deadline',
    'managed_by', 'resource_path', 'power_state', 'boot_target',
    'boot_enabled', 'processor_cores', 'processor_model', 'memory_mib',
    'details', 'created_at', 'updated_at')


def _document(session: Any, uuid: str) -> dict[str, Any]:
    node = session.scalars(
        sa.select(models.Node).where(models.Node.uuid == uuid)).one()
    pod = session.get(models.PodManager, node.pod_manager_id)
    body = {name: getattr(node, name) for name in _COLUMNS}
    for name in ('state_since', 'created_at', 'updated_at'):
        body[name] = body[name] and body[name].isoformat()
    body.update(pod_manager=pod.uuid, flavor=node.flavor_uuid,
                operation=node.operation_uuid)
    body['links'] = [{'rel': 'self', 'href':
                      f'{pecan.request.host_url}/v1/nodes/{uuid}'}]
    claims = session.scalars(
        sa.select(models.Claim).where(models.Claim.node_id == node.id)
        .order_by(models.Claim.resource_path)).all()
    devices = {
        device.resource_path: device for device in session.scalars(
            sa.select(models.Device).where(
                models.Device.pod_manager_id == node.pod_manager_id,
                models.Device.resource_path.in_(
                    [claim.resource_path for claim in claims])))}
    body['devices'] = [
        {'resource_path': path, 'uuid': devices[path].uuid,
         'name': devices[path].name, 'type': devices[path].type}
        for path in sorted(devices)]
    return body


def stock(engine: sa.Engine) -> Any:
    sessions = orm.sessionmaker(engine)

    class Nodes(pecan.rest.RestController):
        @pecan.expose('json')
        def get_one(self, uuid: str) -> dict[str, Any]:
            with sessions() as session:
                return _document(session, uuid)

    class V1:
        nodes = Nodes()

    class Root:
        v1 = V1()

    return pecan.make_app(Root(), debug=False)


def _same(text: bytes) -> Any:
    """A document without what is written differently (times)."""
    body = orjson.loads(text)
    for name in ('state_since', 'created_at', 'updated_at'):
        body[name] = (body[name] or '')[:19]
    return body


def run(options: common.Options, report: common.Report) -> None:
    with processes.directory() as directory:
        url = f'sqlite:///{directory / "valence.sqlite"}'
        path = processes.configure(directory, url)
        database = Database(url)
        node = data.fill(database, 200, 20)[7]
        functions = {
            'Valence': data.get(data.application(directory, path),
                                f'/v1/nodes/{node}'),
            'stock Pecan, NullPool, ORM': data.get(
                stock(engines.create_engine(url)), f'/v1/nodes/{node}'),
            'stock Pecan, QueuePool, ORM': data.get(
                stock(sa.create_engine(url, poolclass=sa.pool.QueuePool)),
                f'/v1/nodes/{node}'),
        }
        ours, *others = (_same(call()) for call in functions.values())
        assert all(ours == other for other in others), (ours, others)
        timings = common.in_turns(
            functions, 50 if options.quick else 2000, warm_up=20)
        database.close()
    report.table(
        ('GET /v1/nodes/{uuid}', 'us', '99th percentile, us', 'times Valence'),
        [(name, f'{common.median(values) * 1e6:.0f}',
          f'{common.percentile(values, 99) * 1e6:.0f}',
          f'{common.ratio(timings, name, "Valence"):.2f}')
         for name, values in timings.items()])
    report.aim('how many times faster', common.ratio(
        timings, 'stock Pecan, NullPool, ORM', 'Valence'), 2.5,
        at_least=True)
    if options.profile:
        common.profile(report, functions['Valence'], 500)


if __name__ == '__main__':
    common.main(run)
