# SPDX-License-Identifier: Apache-2.0
"""What may be asked of nodes?"""

from valence.api.schemas.common import (
    BOOLEAN,
    COUNT,
    DESCRIPTION,
    IDENT,
    NAME,
    OPEN,
    TEXT,
    TIME,
    UUID,
    WORD,
    Schema,
    array,
    body,
    closed,
    listing,
    nullable,
    page,
    patch,
    resource,
)
from valence.api.schemas.operations import accepted
from valence.api.schemas.properties import PROPERTIES, REQUIREMENTS
from valence.common import power

CREATE = body({
    'name': NAME,
    'description': DESCRIPTION,
    'flavor': IDENT,
    'properties': PROPERTIES,
    'pod_manager': IDENT,
}, required=('name',), oneOf=[{'required': ['flavor']},
                              {'required': ['properties']}],
    description='an object with exactly one of flavor and properties')

_CHANGEABLE: Schema = {'name': NAME, 'description': DESCRIPTION}
UPDATE = patch('NodePatch', _CHANGEABLE)
#: What may remain after a patch.
WHOLE = body(_CHANGEABLE, required=('name',))

_DEVICE = body({'resource_id': UUID}, required=('resource_id',))

ACTION = body({
    'Reset': body({'Type': {'enum': list(power.RESET_TYPES)}},
                  required=('Type',)),
    'Boot': body({
        'Enabled': {'enum': ['Once', 'Continuous', 'Disabled']},
        'Target': {'enum': list(power.BOOT_TARGETS)},
    }, required=('Enabled',), **{
        'if': {'properties': {'Enabled': {'enum': ['Disabled']}}},
        'else': {'required': ['Target']}}),
    'attach': _DEVICE,
    'detach': _DEVICE,
    'reset-state': body({'state': {'enum': ['active', 'error']}},
                        required=('state',)),
}, minProperties=1, maxProperties=1,
    description='an object with exactly one of Reset, Boot, attach, detach '
                'and reset-state')

_STATE: Schema = {'enum': ['composing', 'active', 'releasing', 'error']}

NODE = resource('Node', {
    'uuid': UUID,
    'name': NAME,
    'description': DESCRIPTION,
    'project_id': TEXT,
    'user_id': nullable(TEXT),
    'pod_manager': UUID,
    'flavor': nullable(UUID),
    'flavor_name': nullable(TEXT),
    'requirements': REQUIREMENTS,
    'state': _STATE,
    'state_reason': nullable(TEXT),
    'state_since': TIME,
    'state_deadline': nullable(TIME),
    'operation': nullable(UUID),
    'managed_by': TEXT,
    'resource_path': nullable(TEXT),
    'power_state': nullable(TEXT),
    'boot_target': nullable(TEXT),
    'boot_enabled': nullable(TEXT),
    'processor_cores': nullable(COUNT),
    'processor_model': nullable(TEXT),
    'memory_mib': nullable(COUNT),
    'details': OPEN,
    'created_at': TIME,
    'updated_at': nullable(TIME),
    'devices': array(closed({
        'resource_path': TEXT,
        'uuid': nullable(UUID),
        'name': nullable(TEXT),
        'type': nullable(TEXT),
    })),
})

PAGE = page('nodes', NODE, 'details', 'devices')

ACCEPTED = accepted('NodeAccepted', node=nullable(NODE))

LIST = listing(
    PAGE, 'name',
    name=NAME, state=_STATE, pod_manager=IDENT, flavor=IDENT,
    power_state=WORD, managed_by=WORD, all_projects=BOOLEAN)
