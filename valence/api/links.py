# SPDX-License-Identifier: Apache-2.0
"""Where is a resource, as an absolute URL?"""

import re
from typing import Any
from urllib.parse import quote, urlencode

_HOST = re.compile(r'[A-Za-z0-9._:\[\]-]{1,255}')


def base_url(environ: dict[str, Any], public_endpoint: str | None) -> str:
    """What all links begin with, without a slash at the end.

    A Host header that is none is not repeated to anybody.
    """
    if public_endpoint:
        return public_endpoint.rstrip('/')
    host = environ.get('HTTP_HOST', '')
    if not _HOST.fullmatch(host):
        host = f'{environ["SERVER_NAME"]}:{environ["SERVER_PORT"]}'
    scheme = 'https' if environ['wsgi.url_scheme'] == 'https' else 'http'
    root = environ.get('SCRIPT_NAME')
    if root:
        root = quote(root.encode('latin-1').rstrip(b'/'))
    return f'{scheme}://{host}{root or ""}'


def self_link(base: str, collection: str, ident: str
              ) -> list[dict[str, str]]:
    """The ``links`` of one resource."""
    return [{'rel': 'self',
             'href': f'{base}/v1/{collection}/{quote(ident, safe="")}'}]


def next_page(base: str, collection: str, pairs: list[tuple[str, str]],
              marker: str) -> str:
    """The page after ``marker``, with all other parameters kept."""
    kept = [(name, value) for name, value in pairs if name != 'marker']
    return (f'{base}/v1/{collection}?'
            + urlencode([*kept, ('marker', marker)]))
