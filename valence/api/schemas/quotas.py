# SPDX-License-Identifier: Apache-2.0
"""What may be said about quotas?"""

from valence.api.schemas.common import COUNT, TEXT, body, closed, resource
from valence.common.quotas import MOST, RESOURCES, UNLIMITED

_LIMIT = {
    'type': 'integer', 'minimum': UNLIMITED, 'maximum': MOST,
    'description': f'{UNLIMITED} is no limit',
}

UPDATE = body({
    'limits': body(dict.fromkeys(RESOURCES, _LIMIT)),
}, required=('limits',))

QUOTA = resource('Quota', {
    'project_id': TEXT,
    'limits': closed(dict.fromkeys(RESOURCES, _LIMIT)),
    'usage': closed(dict.fromkeys(RESOURCES, COUNT)),
})
