# SPDX-License-Identifier: Apache-2.0
"""What can be done with pod managers?"""

import uuid as uuid_module
from typing import Any

import jsonschema
import sqlalchemy as sa

from valence import requests
from valence.api import (
    endpoints,
    finding,
    patches,
    preconditions,
    repeats,
    validation,
)
from valence.api.controllers import drivers, operations
from valence.api.request import Answer, Request
from valence.api.schemas import pod_managers as schemas
from valence.api.views import View
from valence.common import audit, errors
from valence.common.secret import Secret
from valence.db import documents, models, pod_managers

_TABLE: Any = models.PodManager.__table__
_C = _TABLE.c


class _NewURL(Exception):
    """A patch leads to this URL; nobody looked at its address yet."""


VIEW = View('pod_managers', {
    'uuid': _C.uuid,
    'name': _C.name,
    'url': _C.url,
    'driver': _C.driver,
    # That there are credentials is all that is ever said about them.
    'authentication': sa.case(
        (_C.credentials.is_(None), documents.array()),
        else_=documents.array(
            documents.document({'type': sa.literal('basic')}))),
    'ca_certificates': _C.ca_certificates,
    'verify_tls': _C.verify_tls,
    'connection_properties': _C.connection_properties,
    'status': _C.status,
    'status_reason': _C.status_reason,
    'draining': _C.draining,
    'breaker': documents.document({
        'state': sa.case((_C.retry_at.is_(None), 'closed'), else_='open'),
        'failures': _C.failures, 'retry_at': _C.retry_at}),
    'product': _C.product,
    'capabilities': _C.capabilities,
    'last_sync_at': _C.last_sync_at,
    'next_sync_at': _C.next_sync_at,
    'operation': _C.operation_uuid,
    'created_at': _C.created_at,
    'updated_at': _C.updated_at,
})
_SUMMARY = VIEW.without('ca_certificates', 'connection_properties')

_ONE = finding.Finder('pod manager', sa.select(*VIEW.columns), _TABLE,
                      by_name=True)
_ROW = finding.Finder('pod manager', sa.select(_TABLE), _TABLE,
                      by_name=True)
_LIST = sa.select().select_from(_TABLE)
_check_whole = validation.compile_body(schemas.WHOLE)
_FILTERS = {'name': _C.name, 'driver': _C.driver, 'status': _C.status}


def index(request: Request) -> Answer:
    """List pod managers, in the order of their registration.

    A ``url`` is found however it is written.
    """
    conditions = finding.conditions(request.query, _FILTERS)
    if 'url' in request.query:
        conditions.append(_C.url.in_(
            sorted(endpoints.forms(request.query['url']))))
    with request.database.read() as conn:
        return finding.page(request, conn, _SUMMARY,
                            _LIST.where(*conditions), _TABLE)


def show(request: Request, pod_manager: str) -> Answer:
    """Show a pod manager. Its credentials are never shown."""
    return finding.show(request, VIEW, _ONE, pod_manager)


def create(request: Request) -> Answer:
    """Register a pod manager.

    Its first sync is due at once.
    """
    # Before what may be different by now: names, conductors, policies.
    made = (repeats.known(request, secret=True)
            or repeats.once(request, _registration(request), secret=True))
    answer = show(request, made.uuids[0])
    return Answer(answer.body, headers=(
        ('Location', answer.body['links'][0]['href']),))


def _registration(request: Request) -> repeats.Ask:
    """What ``create`` does in its transaction; the rest is checked here."""
    body = request.body
    secret = _secret(body)
    name = body.get('driver', 'redfish')
    values = _endpoint_values(request, body, name)
    _check_address(request, values['url'])
    with request.database.read() as conn:
        driver = drivers.require(
            conn, name, request.settings.conductor_timeout)
    properties = body.get('connection_properties', {})
    _check_properties(driver, properties)
    values.update(uuid=str(uuid_module.uuid4()), name=body['name'],
                  driver=driver['name'],
                  connection_properties=properties,
                  **_sealed(request, secret))
    return lambda conn, _: [pod_managers.create(conn, values)]


def update(request: Request, pod_manager: str) -> Answer:
    """Change a pod manager by a merge patch or a JSON Patch.

    Credentials are bound to the host they were given for: whoever changes
    that has to give them again.
    """
    permitted = set()

    def change(conn: sa.Connection) -> str:
        row = _ROW.find(conn, pod_manager, lock=True)
        _check_unchanged(request, conn, row)
        before = _document(row)
        after = patches.apply(request, before, tuple(before), lambda: VIEW.one(
            _ONE.find(conn, row.uuid), request.url))
        _check_whole(after)
        patch = {name: after.get(name) for name in before
                 if name not in after or after[name] != before[name]}
        changes = _endpoint_values(request, patch, row.driver)
        if 'url' in changes and changes['url'] not in permitted:
            raise _NewURL(changes['url'])
        for name in ('name', 'draining'):
            if name in patch:
                changes[name] = patch[name]
        if 'authentication' in patch:
            changes.update(_sealed(request, _secret(patch)))
        if (row.credentials and 'credentials' not in changes
                and endpoints.origin(changes.get('url', row.url))
                != endpoints.origin(row.url)):
            raise errors.BadRequest(
                "'authentication' has to be given again when the host, port "
                'or scheme of the url changes', field='authentication',
                code='authentication_required')
        if 'connection_properties' in patch:
            properties = patch['connection_properties'] or {}
            _check_properties(
                drivers.require(conn, row.driver,
                                request.settings.conductor_timeout),
                properties)
            changes['connection_properties'] = properties
        pod_managers.update(conn, row.uuid, changes)
        return str(row.uuid)

    while True:
        try:
            return show(request, request.database.run(change))
        except _NewURL as found:
            # Out of the transaction, which must not wait for a DNS.
            _check_address(request, str(found))
            permitted.add(str(found))


def delete(request: Request, pod_manager: str) -> Answer:
    """Forget a pod manager and its inventory.

    Refused while it has nodes or operations under way, unless forced: then
    they are forgotten as well. Hardware is left alone in any case.
    """
    def forget(conn: sa.Connection) -> list[dict[str, Any]]:
        row = _ROW.find(conn, pod_manager, lock=True)
        _check_unchanged(request, conn, row)
        return pod_managers.delete(conn, row.uuid,
                                   request.query.get('force', False))

    for operation in request.database.run(forget):
        audit.operation_ended(operation, 'failed', 'pod_manager_gone',
                              'valence-api')
    return Answer()


def sync(request: Request, pod_manager: str) -> Answer:
    """Read the inventory of a pod manager again.

    Where a sync is under way already, that one is the answer.
    """
    def ask(conn: sa.Connection, requester: requests.Requester) -> str:
        row = _ROW.find(conn, pod_manager, lock=True)
        _check_unchanged(request, conn, row)
        return requests.sync(conn, requester, row.uuid)

    return operations.accept(request, ask)


def drain(request: Request, pod_manager: str) -> Answer:
    """Place no new node on a pod manager.

    The nodes it has stay. ``draining`` false, by a patch, ends it.
    """
    def change(conn: sa.Connection) -> str:
        row = _ROW.find(conn, pod_manager, lock=True)
        _check_unchanged(request, conn, row)
        pod_managers.update(conn, row.uuid, {'draining': True})
        return str(row.uuid)

    return show(request, request.database.run(change))


def _check_unchanged(request: Request, conn: sa.Connection,
                     row: sa.Row[Any]) -> None:
    preconditions.check(request, lambda: VIEW.one(
        _ONE.find(conn, row.uuid), request.url))


def _document(row: sa.Row[Any]) -> dict[str, Any]:
    """What a patch is applied to."""
    return {
        'name': row.name,
        'url': row.url,
        'draining': row.draining,
        'authentication': [{'type': 'basic'}] if row.credentials else [],
        'ca_certificates': row.ca_certificates,
        'verify_tls': row.verify_tls,
        'connection_properties': row.connection_properties,
    }


def _secret(body: dict[str, Any]) -> dict[str, Secret] | None:
    """The user name and password."""
    authentication = body.get('authentication')
    if not authentication:
        return None
    items = authentication[0].get('auth_items')
    if items is None:
        field = 'authentication.0.auth_items'
        raise errors.BadRequest(f'{field!r} is required', field=field)
    return {name: Secret(value) for name, value in items.items()}


def _sealed(request: Request, secret: dict[str, Secret] | None
            ) -> dict[str, Any]:
    if secret is None:
        return {'credentials': None, 'credentials_key': None}
    if 'secret_ref' in secret and not request.settings.allow_secret_ref:
        field = 'authentication.0.auth_items.secret_ref'
        raise errors.BadRequest(
            f'{field!r} needs the configuration to name a key manager',
            field=field, code='no_key_manager')
    token, key = request.services.vault.encrypt(
        {name: value.reveal() for name, value in secret.items()})
    return {'credentials': token, 'credentials_key': key}


def _endpoint_values(request: Request, body: dict[str, Any],
                     driver: str) -> dict[str, Any]:
    """What ``body`` says about where the pod manager is, checked."""
    settings = request.settings
    values: dict[str, Any] = {}
    if 'url' in body:
        values['url'] = endpoints.normalise_url(
            body['url'], settings.allow_http, driver)
    if 'ca_certificates' in body:
        if body['ca_certificates'] is not None:
            endpoints.check_ca_certificates(body['ca_certificates'])
        values['ca_certificates'] = body['ca_certificates']
    if 'verify_tls' in body:
        if not body['verify_tls'] and not settings.allow_insecure_tls:
            raise errors.BadRequest(
                "'verify_tls' cannot be false: the configuration does not "
                'allow insecure TLS; give ca_certificates instead',
                field='verify_tls', code='insecure_tls_not_allowed')
        values['verify_tls'] = body['verify_tls']
    return values


def _check_address(request: Request, url: str) -> None:
    if request.settings.address_policy is not None:
        endpoints.check_address(url, request.settings.address_policy)


def _check_properties(driver: dict[str, Any],
                      properties: dict[str, Any]) -> None:
    try:
        check = validation.compile_body(driver['connection_schema'])
        check(properties)
    except errors.BadRequest as error:
        field = '.'.join(filter(None, ('connection_properties',
                                       error.field)))
        raise errors.BadRequest(
            f"driver {driver['name']}: 'connection_properties': {error}",
            field=field) from None
    except jsonschema.SchemaError as error:
        raise errors.Unavailable(
            f"driver {driver['name']} has a broken connection schema"
        ) from error
