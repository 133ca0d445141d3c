# SPDX-License-Identifier: Apache-2.0
"""Which versions of the API are there?"""

from typing import Any

from valence.api import versions
from valence.api.request import Answer, Request


def index(request: Request) -> Answer:
    """Tell the versions of the API. For everybody."""
    version = _v1(request)
    return Answer({
        'name': 'valence',
        'description': 'OpenStack composable bare metal',
        'default_version': version,
        'versions': [version],
    })


def show(request: Request) -> Answer:
    """Describe version 1 of the API. For everybody."""
    return Answer({
        **_v1(request),
        'history': [{'version': str(version), 'description': text}
                    for version, text in versions.HISTORY],
        'openapi': f'{request.url}/v1/openapi.json',
        'resources': {
            name: f'{request.url}/v1/{name}' for name in (
                'pod_managers', 'racks', 'systems', 'devices', 'zones',
                'usage', 'drift', 'flavors', 'nodes', 'operations', 'quotas',
                'drivers', 'conductors')},
    })


def openapi(request: Request) -> Answer:
    """Describe the API in OpenAPI 3.1. For everybody."""
    # Late, for the table of routes names this very function.
    from valence.api import openapi, routes
    return Answer(openapi.document(routes.ROUTES, request.url))


def _v1(request: Request) -> dict[str, Any]:
    return {
        'id': 'v1',
        'status': 'CURRENT',
        'version': str(versions.NEWEST),
        'min_version': str(versions.OLDEST),
        'links': [{'rel': 'self', 'href': f'{request.url}/v1'}],
    }
