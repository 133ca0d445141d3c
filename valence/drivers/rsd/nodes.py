# SPDX-License-Identifier: Apache-2.0
"""What is one composed node right now, and which one carries a tag?

A node's tag is its name and the first word of its description. PODM counts
its nodes, and a number may come again: so a node is only ours while it
carries the tag.
"""

from collections.abc import Mapping
from typing import Any

from valence.drivers import base
from valence.drivers.http_links import Origin
from valence.drivers.redfish import components, systems, values
from valence.drivers.redfish.crawl import GONE, Crawl
from valence.drivers.redfish.discover import summary
from valence.drivers.rsd.service import Pod, action, parameter

Body = dict[str, Any]

#: Links to what a node is made of.
PARTS = ('ComputerSystem', 'Processors', 'Memory', 'EthernetInterfaces',
         'LocalDrives', 'RemoteDrives', 'Storage', 'Drives', 'Volumes')
#: ComposedNodeState while the backend works on a node.
MOVING = ('Allocating', 'Assembling')
#: And once that has ended well.
WHOLE = 'Assembled'

_MAX_PROCESSORS = 64


def read(service: Pod, path: str) -> Body:
    """The node.

    :raises NotFound: if it does not exist.
    """
    return service.read(service.origin.path(path))


def state(body: Mapping[str, Any]) -> str:
    return values.text(body.get('ComposedNodeState'), 64) or 'unknown'


def carries(body: Mapping[str, Any], tag: str) -> bool:
    """Whether it is the node that was allocated with ``tag``."""
    return tag in _labels(body)


def tag(body: Mapping[str, Any]) -> str | None:
    """The tag that the node was allocated with."""
    return next(filter(None, map(values.tag, _labels(body))), None)


def _labels(body: Mapping[str, Any]) -> tuple[str | None, ...]:
    words = (values.text(body.get('Description')) or '').split()
    return values.text(body.get('Name')), *words[:1]


def linked(origin: Origin, body: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths of all that the node is made of.

    :raises BadAnswer: if a link leads elsewhere.
    """
    links = values.obj(body.get('Links'))
    return tuple(sorted({
        origin.path(values.reference(link)) for name in PARTS
        for link in values.objects(links.get(name)) if link}))


def handle(path: str, tag: str) -> base.Handle:
    return base.Handle(path, {'tag': tag})


def ours(service: Pod, named: base.Handle) -> Body:
    """The node that ``named`` means, to be changed.

    :raises NotFound: if it does not exist.
    :raises Refused: if another has its place.
    """
    body = read(service, named.resource_path)
    tag = named.extra.get('tag')
    if tag and not carries(body, str(tag)):
        raise base.Refused(
            f'{named.resource_path} is not named {tag} (any more): it may be '
            "somebody else's node and is not touched")
    return body


def find(service: Pod, tag: str) -> str | None:
    """The path of the node that carries ``tag``, the first of several.

    :raises DriverError: if it was not found where not all could be read.
    """
    found: list[str] = []
    crawl = Crawl(service)

    def each(path: str, body: Body) -> None:
        if carries(body, tag):
            found.append(path)

    crawl.collection({'@odata.id': service.nodes()}, each, missing=GONE)
    crawl.run()
    if found:
        return min(found)
    if crawl.errors:
        raise crawl.errors[0]
    return None


def observe(service: Pod, named: base.Handle) -> base.NodeHardware | None:
    """The node as it is; None where it is not (ours) any more."""
    try:
        body = read(service, named.resource_path)
    except base.NotFound:
        return None
    tag = named.extra.get('tag')
    if tag and not carries(body, str(tag)):
        return None
    boot = values.obj(body.get('Boot'))
    cores, model, memory = _capacity(service, body)
    return base.NodeHardware(
        handle=named, name=values.text(body.get('Name')) or '',
        power_state=values.text(body.get('PowerState'), 64),
        health=values.health(body),
        device_paths=linked(service.origin, body),
        processor_cores=cores, processor_model=model, memory_mib=memory,
        boot_target=values.text(boot.get('BootSourceOverrideTarget'), 64),
        boot_enabled=values.text(boot.get('BootSourceOverrideEnabled'), 64),
        allowed_resets=reset_types(service, body),
        allowed_boot_targets=systems.boot_targets(body),
        unfinished=None if state(body) == WHOLE else state(body),
        details=values.compact(
            uuid=values.text(body.get('UUID'), 64),
            description=values.text(body.get('Description')),
            composed_node_state=state(body), status=values.state(body)))


def reset_types(service: Pod, body: Body) -> tuple[str, ...]:
    """What the backend allows; empty where it has no reset or no list."""
    called = action(body, 'ComposedNode.Reset')
    if called is None:
        return ()
    listed, _ = parameter(service, called, 'ResetType')
    return values.texts(listed)


def reset(service: Pod, named: base.Handle, reset_type: str) -> None:
    """Send one reset.

    :raises Unsupported: if the node has no such action.
    :raises Refused: if it does not allow ``reset_type``.
    """
    body = ours(service, named)
    called = action(body, 'ComposedNode.Reset')
    if called is None:
        raise base.Unsupported(f'{named.resource_path} has no reset action')
    allowed = reset_types(service, body)
    if allowed and reset_type not in allowed:
        raise base.Refused(
            f'{named.resource_path} allows no reset {reset_type!r}; it '
            f'allows {", ".join(allowed)}')
    service.client.send('POST', service.origin.path(called['target']),
                        {'ResetType': reset_type})


def _capacity(service: Pod, body: Body
              ) -> tuple[int | None, str | None, int | None]:
    """(cores, processor model, memory in MiB); what cannot be read is None.

    The node has no count of cores. Newer systems have; else the processors
    are asked.
    """
    links = values.obj(body.get('Links'))
    seen: list[components.Component] = []
    totals: list[tuple[int | None, str | None, int | None]] = []

    def one(path: str, found: Body) -> None:
        part = components.processor(path, found)
        if part is not None and part['type'] == 'processor':
            seen.append(part)

    crawl = Crawl(service)
    for link in values.objects(links.get('ComputerSystem'))[:1]:
        crawl.want(link, lambda _, found: totals.append(summary(found)))
    for link in values.objects(links.get('Processors'))[:_MAX_PROCESSORS]:
        crawl.want(link, one)
    crawl.run()
    cores, model, memory = totals[0] if totals else (None, None, None)
    told = values.number(values.obj(body.get('Memory')).get(
        'TotalSystemMemoryGiB'))
    return (cores or values.total(part.get('processor_cores')
                                  for part in seen),
            values.text(values.obj(body.get('Processors')).get('Model'))
            or model,
            memory if told is None else values.integer(told * 1024))
