# SPDX-License-Identifier: Apache-2.0
"""What does schemathesis look at beyond what it knows itself?

It is given this file as its hooks. The environment says where the figures go
(``VALENCE_FUZZ_FIGURES``), and has the address of a simulated pod
(``VALENCE_FUZZ_POD``).
"""

import collections
import json
import os
import pathlib
import re
import uuid
from typing import Any

import schemathesis

from valence.api.schemas.codes import CODES

#: With which codes what fits the schemas may be refused, by the fields and
#: parameters that more is asked of than their shape.
_CODES = {
    'marker': ('marker_not_found',),
    'pod_manager': ('unknown_pod_manager',),
    'podm_id': ('unknown_pod_manager',),
    'flavor': ('unknown_flavor',),
    'driver': ('unknown_driver',),
    'url': ('address_denied', 'authentication_required'),
    'verify_tls': ('insecure_tls_not_allowed',),
    'authentication': ('no_key_manager',),
    'Reset': ('unsupported',),
    'Boot': ('unsupported',),
    'attach': ('unsupported', 'unknown_device', 'other_pod_manager'),
    'detach': ('unsupported', 'unknown_device', 'other_pod_manager'),
}

#: Where its schema cannot say all that a field has to be.
_FIELDS = {
    'create_pod_manager': r'url|ca_certificates|connection_properties.*',
    'update_pod_manager': r'url|ca_certificates|connection_properties.*',
    'create_flavor': r'properties\..*',
    'update_flavor': r'properties(\..*)?',
    'create_node': r'properties\..*',
    'list_operations': r'changes-since',
    'list_pod_managers': r'url',
}
#: Nor can it say what is there to be patched, and what a patch makes of it.
_JSON_PATCH = r'[0-9]+\.(path|from)|[a-z_]+(\..*)?'

_LIMITS = re.compile('nested more than|query string is too long')
_SENTENCE = re.compile(r'\S.*\S', re.DOTALL)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Begin scenarios with what succeeds, or no link were ever followed."""
    meta = case.meta
    if (meta is None or meta.phase.name.value != 'stateful'
            or not meta.generation.mode.is_positive):
        return
    new = uuid.uuid4().hex
    bodies = {
        'create_node': {
            'name': f'node {new}',
            'properties': {'processor': {'total_cores': 1}}},
        'create_pod_manager': {
            'name': f'pod {new}',
            'url': f'{os.environ["VALENCE_FUZZ_POD"]}/{new}'},
    }
    body = bodies.get(_name(case))
    if body is not None:
        case.body, case.media_type = body, 'application/json'


@schemathesis.check
class Answers:
    """Each error is one that is described; and how many of what there were.

    ``cases`` are counted by operation, ``refused`` by status and code.
    ``followed`` counts by operation how often a scenario went on with an id
    of an earlier answer.
    """

    def __init__(self) -> None:
        self._cases: dict[str, int] = collections.Counter()
        self._refused: dict[str, int] = collections.Counter()
        self._followed: dict[str, int] = collections.Counter()
        self._known: set[str] = set()

    def after_response(self, ctx: Any, response: Any, case: Any) -> None:
        name, meta = _name(case), case.meta
        # It tries methods as well that a path does not have.
        if response.request.method == case.operation.method.upper():
            self._cases[name] += 1
            if meta and meta.phase.name.value == 'stateful':
                self._follow(name, case, response)
        if response.status_code >= 400:
            error = _error(response)
            self._refused[f'{error["status"]} {error["code"]}'] += 1
            if (response.status_code == 400 and meta
                    and meta.generation.mode.is_positive):
                assert _may_refuse(name, case, response, error), (
                    f'{name} refuses what fits its schema: {error}')

    def _follow(self, name: str, case: Any, response: Any) -> None:
        if response.status_code != 404 and self._known.intersection(
                map(str, case.path_parameters.values())):
            self._followed[name] += 1
        if response.status_code in (201, 202):
            body = response.json()
            operation = body.get('operation')
            self._known.update(filter(None, (
                (operation['uuid'], operation['node'])
                if isinstance(operation, dict) else (body.get('uuid'),))))

    def after_run(self, ctx: Any) -> None:
        pathlib.Path(os.environ['VALENCE_FUZZ_FIGURES']).write_text(
            json.dumps({'cases': self._cases, 'refused': self._refused,
                        'followed': self._followed}))


def _name(case: Any) -> str:
    return str(case.operation.definition.raw['operationId'])


def _error(response: Any) -> dict[str, Any]:
    """The error of an answer, which is as all errors are."""
    error: dict[str, Any] = response.json()['errors'][0]
    status = response.status_code
    assert error['status'] == status, f'{status} is {error}'
    assert status in CODES.get(error['code'], ((),))[0], (
        f'{status} {error["code"]} is not in the table of codes')
    assert _SENTENCE.fullmatch(error['detail']), f'no sentence: {error}'
    assert [error['request_id']] == response.headers[
        'x-openstack-request-id'], f'another request: {error}'
    return error


def _may_refuse(name: str, case: Any, response: Any,
                error: dict[str, Any]) -> bool:
    """Whether valid data may be refused, for more than its shape."""
    request = response.request
    # No schema can say that there is no NUL anywhere in a document, or how
    # deep and how long it may be.
    if ('%00' in request.url or '\\u0000' in str(request.body)
            or _LIMITS.search(error['detail'])):
        return True
    patch = case.body if isinstance(case.body, list) else ()
    if error['code'] == 'invalid_request':
        pattern = _JSON_PATCH if patch else _FIELDS.get(name, '')
        return bool(re.fullmatch(pattern, error.get('field', '')))
    given = {*(case.query or {}),
             *(case.body if isinstance(case.body, dict) else ()),
             *(one['path'].split('/')[1] for one in patch)}
    return any(error['code'] in _CODES.get(part, ()) for part in given)
