# SPDX-License-Identifier: Apache-2.0
"""What may stand for the variables of paths?"""

from valence.api.schemas.common import IDENT, UUID, Schema
from valence.api.schemas.pod_managers import DRIVER_NAME

#: By the name of the variable.
VARIABLES: dict[str, Schema] = {
    'pod_manager': IDENT,
    'flavor': IDENT,
    'node': IDENT,
    'drift': UUID,
    'rack': UUID,
    'system': UUID,
    'device': UUID,
    'zone': UUID,
    'operation': UUID,
    'conductor': UUID,
    'driver': DRIVER_NAME,
    'project_id': {
        'type': 'string', 'minLength': 1, 'maxLength': 64,
        'pattern': r'^[A-Za-z0-9._-]+(?![\s\S])',
        'description': 'the id of a project'},
}
