# SPDX-License-Identifier: Apache-2.0
"""What is a resource block to Valence?

A pooled device (DSP2050, "Resource blocks"): its type, its state and what
its components add up to.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from valence.common.devices import DeviceState, DeviceType
from valence.drivers.redfish import values
from valence.drivers.redfish.components import Component

Body = dict[str, Any]

_PROCESSING = (DeviceType.GPU, DeviceType.FPGA, DeviceType.ACCELERATOR,
               DeviceType.PROCESSOR)
_STORING = (DeviceType.NVME, DeviceType.SSD, DeviceType.HDD,
            DeviceType.STORAGE)

# ComposedAndAvailable is a shared block with room for one more system. A
# claim in Valence is exclusive, so somebody else's share makes it used.
_STATES = {
    'Unused': DeviceState.FREE,
    'Composed': DeviceState.USED,
    'ComposedAndAvailable': DeviceState.USED,
    'Composing': DeviceState.USED,
    'Failed': DeviceState.FAILED,
    'Unavailable': DeviceState.UNAVAILABLE,
}
# Status.State of what cannot be joined to anything now (DSP0268, Status).
_OUT_OF_ORDER = ('Absent', 'Disabled', 'UnavailableOffline', 'InTest',
                 'Updating', 'Deferring')


def block_type(body: Body, inside: Sequence[Component]) -> DeviceType:
    """Of ``ResourceBlockType``; of the content where that says nothing.

    A block of several types is what it is mostly wanted for: a sled with a
    NIC on board (Compute, Network) is compute.
    """
    told = set(values.texts(body.get('ResourceBlockType')))
    kinds = {DeviceType(one['type']) for one in inside}
    if told & {'Compute', 'ComputerSystem'} or body.get('ComputerSystems'):
        return DeviceType.COMPUTE
    if 'Processor' in told:
        return _only(kinds, _PROCESSING, DeviceType.PROCESSOR)
    if 'Storage' in told:
        return _only(kinds, _STORING, DeviceType.STORAGE)
    if 'Memory' in told:
        return DeviceType.MEMORY
    if 'Network' in told:
        return DeviceType.NIC
    if {DeviceType.PROCESSOR, DeviceType.MEMORY} <= kinds:
        return DeviceType.COMPUTE
    for family, mixed in ((_PROCESSING, DeviceType.PROCESSOR),
                          (_STORING, DeviceType.STORAGE)):
        if kinds & set(family):
            return _only(kinds, family, mixed)
    if DeviceType.MEMORY in kinds:
        return DeviceType.MEMORY
    if DeviceType.NIC in kinds:
        return DeviceType.NIC
    return DeviceType.OTHER


def block_state(body: Body) -> DeviceState:
    """Of ``CompositionStatus`` (DSP0268, ResourceBlock).

    ``Reserved`` is another client's hint on a free block, not a lock. A
    state that this code does not know is not called free.
    """
    status = values.obj(body.get('CompositionStatus'))
    told = values.text(status.get('CompositionState'))
    state = _STATES.get(told or '', DeviceState.UNAVAILABLE)
    pool = values.text(body.get('Pool'))
    if told is None and pool == 'Free':
        state = DeviceState.FREE
    taken = pool == 'Active' or values.integer(
        status.get('NumberOfCompositions')) or values.objects(
            values.obj(body.get('Links')).get('ComputerSystems'))
    if taken and (told is None or state == DeviceState.FREE):
        return DeviceState.USED
    if state == DeviceState.FREE and values.integer(
            status.get('MaxCompositions')) == 0:
        return DeviceState.UNAVAILABLE
    if state == DeviceState.FREE and values.state(body) in _OUT_OF_ORDER:
        return DeviceState.UNAVAILABLE
    if state == DeviceState.FREE and values.flag(status.get('Reserved')):
        return DeviceState.RESERVED
    return state


def is_composing(body: Body) -> bool:
    status = values.obj(body.get('CompositionStatus'))
    return values.text(status.get('CompositionState')) == 'Composing'


def server_state(body: Body, server: Body, in_use: bool) -> DeviceState:
    """Of the block that an expandable server is itself.

    It is in that server all along, so to be composed says nothing.

    :param in_use: whether the server has other blocks.
    """
    status = values.obj(body.get('CompositionStatus'))
    told = values.text(status.get('CompositionState'))
    if told in (None, 'Composed', 'ComposedAndAvailable'):
        told = 'Unused'
    state = block_state({
        **body, 'Links': {}, 'Pool': None, 'CompositionStatus': {
            **status, 'CompositionState': told, 'NumberOfCompositions': 0}})
    if state not in (DeviceState.FREE, DeviceState.RESERVED):
        return state
    if in_use:
        return DeviceState.USED
    return (DeviceState.UNAVAILABLE if values.state(server) in _OUT_OF_ORDER
            else state)


def totals(inside: Iterable[Component]) -> dict[str, Any]:
    """What the components add up to, as fields of ``base.Device``.

    The cores of a GPU are no processor cores.
    """
    inside = list(inside)

    def add(name: str, kind: DeviceType | None = None) -> int | None:
        return values.total([one[name] for one in inside if name in one
                             and (kind is None or one['type'] == kind)])

    return {
        'processor_cores': add('processor_cores', DeviceType.PROCESSOR),
        'memory_mib': add('memory_mib'),
        'capacity_gib': add('capacity_gib'),
        'speed_mbps': add('speed_mbps', DeviceType.NIC),
        'memory_type': next((one['memory_type'] for one in inside
                             if 'memory_type' in one), None),
    }


def model(kind: DeviceType, inside: Sequence[Component]) -> str | None:
    """The model of what the block is wanted for."""
    wanted = {DeviceType.COMPUTE: DeviceType.PROCESSOR}.get(kind, kind)
    ranked = sorted(inside, key=lambda one: one['type'] != wanted)
    return next((one['model'] for one in ranked if 'model' in one), None)


def sharing(body: Body) -> dict[str, Any]:
    """What else CompositionStatus says, for the operator."""
    status = values.obj(body.get('CompositionStatus'))
    return values.compact(
        composition_state=values.text(status.get('CompositionState'), 64),
        max_compositions=values.integer(status.get('MaxCompositions')),
        compositions=values.integer(status.get('NumberOfCompositions')),
        sharing_enabled=values.flag(status.get('SharingEnabled')),
        pool=values.text(body.get('Pool'), 64),
        client=values.text(body.get('Client')))


_LIMITS = {'Compute': DeviceType.COMPUTE, 'Processor': DeviceType.PROCESSOR,
           'Memory': DeviceType.MEMORY, 'Storage': DeviceType.STORAGE,
           'Network': DeviceType.NIC, 'Expansion': DeviceType.OTHER}


def limits(capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """``@Redfish.ResourceBlockLimits`` (DSP2050) as ``base.Zone.limits``.

    [least, most] blocks per type of block; None where there is no most.
    ``storage`` counts drives of all media, ``processor`` all processors.
    """
    told = values.obj(capabilities.get('@Redfish.ResourceBlockLimits'))
    names = dict(_LIMITS)
    if 'MaxCompute' not in told and 'MinCompute' not in told:
        names['ComputerSystem'] = DeviceType.COMPUTE
    found = {}
    for name, kind in names.items():
        least = values.integer(told.get(f'Min{name}'))
        most = values.integer(told.get(f'Max{name}'))
        if least is not None or most is not None:
            found[kind.value] = [least or 0, most]
    return found


def _only(kinds: set[DeviceType], family: Sequence[DeviceType],
          mixed: DeviceType) -> DeviceType:
    found = [kind for kind in family if kind in kinds]
    return found[0] if len(found) == 1 else mixed
