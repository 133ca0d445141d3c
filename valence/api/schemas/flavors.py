# SPDX-License-Identifier: Apache-2.0
"""What may be said about flavors?"""

from valence.api.schemas.common import (
    DESCRIPTION,
    NAME,
    TIME,
    UUID,
    body,
    listing,
    nullable,
    page,
    patch,
    resource,
)
from valence.api.schemas.properties import (
    PROPERTIES,
    PROPERTIES_PATCH,
    REQUIREMENTS,
)

CREATE = body({
    'name': NAME,
    'description': DESCRIPTION,
    'properties': PROPERTIES,
}, required=('name', 'properties'))

UPDATE = patch('FlavorPatch', {
    'name': NAME,
    'description': DESCRIPTION,
    'properties': PROPERTIES_PATCH,
})

FLAVOR = resource('Flavor', {
    'uuid': UUID,
    'name': NAME,
    'description': DESCRIPTION,
    'properties': REQUIREMENTS,
    'created_at': TIME,
    'updated_at': nullable(TIME),
})

PAGE = page('flavors', FLAVOR)

LIST = listing(PAGE, 'name', name=NAME)
