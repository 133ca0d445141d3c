# SPDX-License-Identifier: Apache-2.0
"""How is the API described to programs? In OpenAPI 3.1.

All of it is derived from the table of routes and the schemas that it names.
A schema with a ``title`` becomes a component of that name.
"""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from valence.api import versions
from valence.api.routing import Route
from valence.api.schemas import errors as error_schemas
from valence.api.schemas import headers, patches, paths
from valence.api.schemas.common import Schema

_DESCRIPTION = """\
Valence composes bare-metal nodes out of pools of disaggregated hardware.

Every request may carry the header `OpenStack-API-Version:
composable-hardware X.Y`; without it the oldest version answers. `GET` implies
`HEAD`, and every path answers `OPTIONS`. A method that a path does not have
is a 405 with `Allow`. Times are in UTC.
"""

_SUCCESS = {
    200: 'Done.',
    201: 'Created; `Location` is where it is.',
    202: 'Accepted; `Location` is the operation that does it.',
    204: 'Done. There is nothing to say about it.',
}

_REF = '#/components/{}/{}'


def document(routes: Iterable[Route], url: str) -> dict[str, Any]:
    """The description of the newest version of the API.

    :param url: where the API is
    """
    table = [route for route in routes if route.until >= versions.NEWEST]
    schemas: dict[str, Schema] = {}
    found: dict[str, Any] = {}
    for route in table:
        found.setdefault(route.path, {})[route.method.lower()] = _operation(
            route, table, schemas)
    return {
        'openapi': '3.1.0',
        'info': {
            'title': 'Valence',
            'version': str(versions.NEWEST),
            'description': _DESCRIPTION,
            'license': {'name': 'Apache-2.0', 'identifier': 'Apache-2.0'},
        },
        'servers': [{'url': url}],
        'security': [{'basic': []}, {'keystone': []}],
        'paths': found,
        'components': {
            'responses': {
                str(status): _error(status, words, schemas)
                for status, words in error_schemas.STATUSES.items()},
            'parameters': {
                name: {'name': name, 'in': 'header', **value}
                for name, value in headers.REQUEST.items()},
            'headers': dict(headers.RESPONSE),
            'securitySchemes': {
                'basic': {
                    'type': 'http', 'scheme': 'basic',
                    'description': 'With auth_strategy http_basic.'},
                'keystone': {
                    'type': 'apiKey', 'in': 'header', 'name': 'X-Auth-Token',
                    'description': 'With auth_strategy keystone.'},
            },
            'schemas': dict(sorted(schemas.items())),
        },
    }


def operation_id(route: Route) -> str:
    """The name of what a route does, such as ``show_node``."""
    if route.path in ('/', '/v1'):
        return 'list_versions' if route.path == '/' else 'show_version'
    collection, *rest = route.path.split('/')[2:]
    noun = _singular(collection)
    if not rest and '.' in collection:
        return f'get_{collection.partition(".")[0]}'
    if not rest:
        return (f'list_{collection}' if route.method == 'GET'
                else f'create_{noun}')
    if rest[-1].startswith('{'):
        verb = {'GET': 'show', 'PATCH': 'update', 'PUT': 'set',
                'DELETE': 'delete'}[route.method]
        return f'{verb}_{noun}'
    # An action on one resource, or on all of them.
    return f'{rest[-1]}_{noun if len(rest) > 1 else collection}'


def errors_of(route: Route) -> list[int]:
    """The statuses of the errors that a route can answer."""
    writes = route.method != 'GET'
    found = {
        400: True, 406: True, 414: True, 431: True, 500: True, 503: True,
        # A body that nobody asked for is looked at as well.
        408: True, 413: True, 415: True,
        401: route.policy, 403: route.policy, 429: route.policy,
        404: '{' in route.path or route.method == 'POST',
        409: writes, 507: writes,
        412: 'If-Match' in headers.accepted(route),
        422: headers.takes_key(route),
    }
    return sorted(status for status, true in found.items() if true)


def _operation(route: Route, table: list[Route],
               schemas: dict[str, Schema]) -> dict[str, Any]:
    words = inspect.getdoc(route.handler) or ''
    summary, _, description = words.partition('\n\n')
    entry: dict[str, Any] = {
        'operationId': operation_id(route),
        'tags': [(route.path.split('/')[2:] or ['versions'])[0]],
        'summary': ' '.join(summary.split()),
    }
    if description:
        entry['description'] = description
    if route.policy is None:
        entry['security'] = []
    else:
        entry['x-policy'] = route.policy
    entry['x-versions'] = {'since': str(route.since),
                           'until': str(route.until)}
    entry['parameters'] = list(_parameters(route))
    if route.body is not None:
        kinds = {'application/json': route.body}
        if route.method == 'PATCH':
            kinds[patches.MERGE_PATCH] = route.body
            kinds[patches.JSON_PATCH] = patches.OPERATIONS
        entry['requestBody'] = {
            'required': 'default' not in route.body,
            'content': {kind: {'schema': _hoist(schema, schemas)}
                        for kind, schema in kinds.items()}}
    success: dict[str, Any] = {
        'description': _SUCCESS[route.status],
        'headers': {name: _ref('headers', name)
                    for name in headers.answered(route)},
    }
    if route.answer is not None:
        success['content'] = {'application/json': {
            'schema': _hoist(route.answer, schemas)}}
        links = dict(_links(route, table))
        if links:
            success['links'] = links
    entry['responses'] = {str(route.status): success}
    if headers.is_single(route) and route.method == 'GET':
        entry['responses']['304'] = {
            'description': 'It is as `If-None-Match` says.',
            'headers': success['headers']}
    for status in errors_of(route):
        entry['responses'][str(status)] = _ref('responses', str(status))
    return entry


def _parameters(route: Route) -> Iterator[dict[str, Any]]:
    for name in re.findall(r'{(\w+)}', route.path):
        yield {'name': name, 'in': 'path', 'required': True,
               'schema': paths.VARIABLES[name]}
    required = route.query.get('required', ())
    for name, schema in route.query['properties'].items():
        parameter = {'name': name, 'in': 'query',
                     'required': name in required, 'schema': schema}
        if schema.get('type') == 'array':
            parameter.update(style='form', explode=False)
        yield parameter
    for name in headers.accepted(route):
        yield _ref('parameters', name)


def _links(route: Route, table: list[Route]
           ) -> Iterator[tuple[str, dict[str, Any]]]:
    """What can be done next with what is in the answer."""
    for variable, pointer in _named_in_answer(route):
        for other in table:
            if (re.findall(r'{(\w+)}', other.path) == [variable]
                    and other is not route):
                name = operation_id(other)
                yield name, {
                    'operationId': name,
                    'parameters': {variable: f'$response.body#{pointer}'}}


def _named_in_answer(route: Route) -> Iterator[tuple[str, str]]:
    """Variables of paths whose value an answer has, and where it is."""
    fields = (route.answer or {}).get('properties', {})
    if 'operation' in fields and route.status == 202:
        yield 'operation', '/operation/uuid'
        if 'node' in fields:
            yield 'node', '/operation/node'
    elif route.status == 201:
        yield _singular(route.path.split('/')[2]), '/uuid'


def _singular(collection: str) -> str:
    return collection.removesuffix('s')


def _error(status: int, words: str, schemas: dict[str, Schema]
           ) -> dict[str, Any]:
    return {
        'description': words,
        'headers': {name: _ref('headers', name)
                    for name in (*headers.ALWAYS,
                                 *error_schemas.HEADERS.get(status, ()))},
        'content': {'application/json': {
            'schema': _hoist(error_schemas.ERRORS, schemas)}},
    }


def _ref(kind: str, name: str) -> dict[str, str]:
    return {'$ref': _REF.format(kind, name)}


def _hoist(schema: Any, schemas: dict[str, Schema]) -> Any:
    """The same, with what has a title in ``schemas`` and referred to."""
    if isinstance(schema, Mapping):
        inner = {key: (value if key in ('enum', 'const', 'required')
                       else _hoist(value, schemas))
                 for key, value in schema.items()}
        title = schema.get('title')
        if not isinstance(title, str):
            return inner
        if schemas.setdefault(title, inner) != inner:
            raise ValueError(f'two schemas have the title {title}')
        return _ref('schemas', title)
    if isinstance(schema, (list, tuple)):
        return [_hoist(item, schemas) for item in schema]
    return schema
