# SPDX-License-Identifier: Apache-2.0
"""By what can hardware be chosen, and what is said about it?"""

from valence.api.schemas.common import (
    BOOLEAN,
    COUNT,
    IDENT,
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
    resource,
)
from valence.common.devices import DeviceState, DeviceType

_PATH = {'type': 'string', 'minLength': 1, 'maxLength': 512}
_TYPE: Schema = {'enum': [kind.value for kind in DeviceType]}
_STATE: Schema = {'enum': [state.value for state in DeviceState]}
_COMMON = {
    'pod_manager': IDENT,
    'name': WORD,
    'resource_path': _PATH,
    'missing': BOOLEAN,
}


def _hardware(title: str, **fields: Schema) -> Schema:
    return resource(title, {
        'uuid': UUID,
        'name': TEXT,
        'pod_manager': UUID,
        'resource_path': TEXT,
        **fields,
        'missing': BOOLEAN,
        'details': OPEN,
        'created_at': TIME,
        'updated_at': nullable(TIME),
    })


RACK = _hardware(
    'Rack',
    chassis_type=TEXT,
    rack_path=nullable(TEXT),
    location=OPEN)

SYSTEM = _hardware(
    'System',
    system_type=TEXT,
    composed=BOOLEAN,
    system_uuid=nullable(TEXT),
    power_state=nullable(TEXT),
    health=nullable(TEXT),
    rack_path=nullable(TEXT),
    processor_cores=nullable(COUNT),
    processor_model=nullable(TEXT),
    memory_mib=nullable(COUNT),
    device_paths=array(TEXT),
    node=nullable(UUID))

DEVICE = _hardware(
    'Device',
    type=_TYPE,
    pooled=BOOLEAN,
    state=_STATE,
    available=BOOLEAN,
    health=nullable(TEXT),
    rack_path=nullable(TEXT),
    system_path=nullable(TEXT),
    processor_cores=nullable(COUNT),
    memory_mib=nullable(COUNT),
    memory_type=nullable(TEXT),
    capacity_gib=nullable(COUNT),
    speed_mbps=nullable(COUNT),
    model=nullable(TEXT),
    zone_paths=array(TEXT),
    node=nullable(UUID))

ZONE = _hardware('Zone', device_paths=array(TEXT), limits=OPEN)

RACK_PAGE = page('racks', RACK, 'details')
SYSTEM_PAGE = page('systems', SYSTEM, 'details')
DEVICE_PAGE = page('devices', DEVICE, 'details')
ZONE_PAGE = page('zones', ZONE, 'details')

RACKS = listing(
    RACK_PAGE, 'name', **_COMMON, chassis_type=WORD, rack_path=_PATH)

SYSTEMS = listing(
    SYSTEM_PAGE, 'name', **_COMMON, system_type=WORD, composed=BOOLEAN,
    power_state=WORD, health=WORD, rack_path=_PATH, node=UUID)

DEVICES = listing(
    DEVICE_PAGE, 'name', 'type', **_COMMON,
    type=_TYPE, state=_STATE, pooled=BOOLEAN, health=WORD, model=WORD,
    rack_path=_PATH, system_path=_PATH, node=UUID, claimed=BOOLEAN,
    available=BOOLEAN)

ZONES = listing(
    ZONE_PAGE, 'name', **_COMMON)

USAGE = body({
    'pod_manager': IDENT,
    'type': _TYPE,
})

USAGE_ANSWER = closed({'usage': array(closed({
    'pod_manager': UUID,
    'pod_manager_name': TEXT,
    'type': _TYPE,
    'total': COUNT,
    'free': COUNT,
    'used': COUNT,
    'failed': COUNT,
}))}, title='Usage')

#: ``podm_id`` is what the first Valence called it.
SYNC = body({'pod_manager': IDENT, 'podm_id': IDENT}, maxProperties=1,
            default={},
            description='an object with at most one of pod_manager and '
                        'podm_id')
