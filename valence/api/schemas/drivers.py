# SPDX-License-Identifier: Apache-2.0
"""What is said about drivers?"""

from valence.api.schemas.common import (
    OPEN,
    TEXT,
    UUID,
    array,
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
