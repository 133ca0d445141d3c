# SPDX-License-Identifier: Apache-2.0
"""What is said about drivers?"""

from valence.api.schemas.common import (
    OPEN,
    TEXT,
    UUID,
    WORD,
    array,
    listing,
    nullable,
    page,
    resource,
)

DRIVER = resource('Driver', {
    'name': TEXT,
    'description': TEXT,
    'version': nullable(TEXT),
    'package': nullable(TEXT),
    'capabilities': OPEN,
    'connection_schema': OPEN,
    'conductors': array(UUID),
})

PAGE = page('drivers', DRIVER)

_LISTING = listing(PAGE)
#: Drivers have no uuids and are sorted by their names.
LIST = {**_LISTING, 'properties': {
    **_LISTING['properties'],
    'marker': {**WORD, 'description':
               'the name of the last entry of the page before'},
    'sort_key': {'enum': ['name']},
}}
