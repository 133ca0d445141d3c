# SPDX-License-Identifier: Apache-2.0
"""By what can differences be chosen, and what is said about them?"""

from valence.api.schemas.common import (
    COUNT,
    IDENT,
    OPEN,
    TEXT,
    TIME,
    UUID,
    Schema,
    listing,
    nullable,
    page,
    resource,
)

_KIND: Schema = {'enum': ['mismatch', 'gone', 'orphan', 'foreign']}
_STATE: Schema = {'enum': ['seen', 'confirmed', 'suspended']}

DRIFT = resource('Drift', {
    'uuid': UUID,
    'kind': _KIND,
    'pod_manager': UUID,
    'resource_path': TEXT,
    'node': nullable(UUID),
    'details': OPEN,
    'state': _STATE,
    'action': nullable({
        'enum': ['quarantined', 'freed', 'adopted', 'refuted']}),
    'operation': nullable(UUID),
    'first_scan': COUNT,
    'last_scan': COUNT,
    'created_at': TIME,
    'updated_at': nullable(TIME),
})

PAGE = page('drift', DRIFT)

LIST = listing(PAGE, kind=_KIND, state=_STATE, pod_manager=IDENT, node=UUID)
