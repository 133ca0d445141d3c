# SPDX-License-Identifier: Apache-2.0
"""The resources that say what the service offers and never change."""

import dataclasses
from typing import Any

from valence.simulator.ledger import Ledger
from valence.simulator.pods import CannotBuild
from valence.simulator.redfish import (
    composition,
    generate,
    query,
    registries,
    render,
)
from valence.simulator.redfish.accounts import ACCOUNT_SERVICE
from valence.simulator.redfish.behaviour import Behaviour
from valence.simulator.redfish.events import EVENT_SERVICE
from valence.simulator.redfish.model import (
    ACTIVE_POOL,
    ADD_BLOCK,
    BLOCKS,
    BOOT_TARGETS,
    CAPABILITIES,
    CHASSIS,
    COMPOSE,
    CONSTRAINED_CAPABILITIES,
    FREE_POOL,
    MANAGER,
    MANAGERS,
    REMOVE_BLOCK,
    RESERVATIONS,
    RESET,
    ROOT,
    SESSION_SERVICE,
    SESSIONS,
    SYSTEMS,
    TASK_SERVICE,
    ZONES,
    Pod,
    Pool,
    System,
    Zone,
)
from valence.simulator.resources import Collection, Document

_COMPOSITION_SERVICE = f"{ROOT}/CompositionService"
_METADATA = f"{ROOT}/$metadata"

# schema: newest version served, or None where it has none
_SCHEMAS = {
    "ServiceRoot": "v1_20_0", "AccountService": "v1_19_0",
    "CompositionReservation": "v1_0_2",
    "CompositionReservationCollection": None,
    "EventDestination": "v1_16_0", "EventDestinationCollection": None,
    "EventService": "v1_12_0", "ManagerAccount": "v1_15_0",
    "ManagerAccountCollection": None, "MessageRegistry": "v1_7_0",
    "MessageRegistryFile": "v1_1_5", "MessageRegistryFileCollection": None,
    "Role": "v1_4_0", "RoleCollection": None,
    "Chassis": "v1_28_0",
    "ChassisCollection": None, "CollectionCapabilities": "v1_4_1",
    "CompositionService": "v1_2_3", "ComputerSystem": "v1_27_0",
    "ComputerSystemCollection": None, "Drive": "v1_22_0",
    "EthernetInterface": "v1_12_4", "EthernetInterfaceCollection": None,
    "Manager": "v1_24_0", "ManagerCollection": None, "Memory": "v1_23_0",
    "MemoryCollection": None, "Message": "v1_1_2",
    "Processor": "v1_22_0", "ProcessorCollection": None,
    "ResourceBlock": "v1_4_3", "ResourceBlockCollection": None,
    "Session": "v1_8_0", "SessionCollection": None,
    "SessionService": "v1_2_0", "Storage": "v1_21_0",
    "StorageCollection": None, "Task": "v1_7_4", "TaskCollection": None,
    "TaskService": "v1_2_0", "Zone": "v1_6_3", "ZoneCollection": None,
}


def remember(shape: generate.Shape, ledger: Ledger) -> None:
    """Keep the shape of the pod, which its history is about.

    Raises CannotBuild where that is another one, and OSError.
    """
    given = dataclasses.asdict(shape)
    for entry in ledger.history:
        if entry["effect"] == "shape" and entry["shape"] != given:
            raise CannotBuild("its state is that of a pod with another "
                              "inventory; use the options of that one.")
    if not ledger.history:
        ledger.note("shape", shape=given)


def publish(pod: Pod, behaviour: Behaviour) -> None:
    """Add the documents of a service that behaves like this to ``pod``."""
    composes, expand = behaviour.composition, behaviour.expand
    if "action" in behaviour.attach and composes:
        pod.actions = (RESET, ADD_BLOCK, REMOVE_BLOCK)
        for system in pod.systems.members.values():
            if isinstance(system, System):
                pod.add_system(system)
    pod.add(Document("/redfish", {"v1": f"{ROOT}/"}))
    pod.add(Document(ROOT, _root(pod.seed, expand, behaviour)))
    pod.add(Document(f"{ROOT}/odata", _odata(behaviour)))
    registries.publish(pod)
    pod.add(Document(_METADATA, {}))
    manager = Document(MANAGER, _manager(pod))
    pod.add(manager)
    pod.add(Collection(MANAGERS, "ManagerCollection", "Managers",
                       {manager.uri: manager}))
    if composes:
        _publish_composition(pod, behaviour)
        _publish_capabilities(pod, behaviour)


def _publish_capabilities(pod: Pod, behaviour: Behaviour) -> None:
    """Where the newer specification hangs them on the collection composed
    into and the older one on the zone (DSP2050, "Collection capabilities"),
    a service that serves both kinds of client shows them in both places.
    """
    capabilities = []
    for style, uri, use, body in (
            ("specific", CAPABILITIES, "ComputerSystemComposition",
             _capabilities(behaviour)),
            ("constrained", CONSTRAINED_CAPABILITIES,
             "ComputerSystemConstrainedComposition", _constrained())):
        if style in behaviour.styles:
            pod.add(Document(uri, body))
            capabilities.append({
                "CapabilitiesObject": {"@odata.id": uri},
                "UseCase": use,
                "Links": {"TargetCollection": {"@odata.id": SYSTEMS}}})
    if not capabilities:
        return
    extra = {"@Redfish.CollectionCapabilities": {
        "@odata.type":
            "#CollectionCapabilities.v1_4_1.CollectionCapabilities",
        "Capabilities": capabilities}}
    pod.systems.extra = extra
    for resource in pod.resources.values():
        if isinstance(resource, Zone):
            resource.extra = extra


def _publish_composition(pod: Pod, behaviour: Behaviour) -> None:
    body: dict[str, Any] = {
        "@odata.id": _COMPOSITION_SERVICE,
        "@odata.type": "#CompositionService.v1_2_3.CompositionService",
        "Id": "CompositionService",
        "Name": "Composition Service",
        "Status": render.OK,
        "ServiceEnabled": True,
        "AllowOverprovisioning": "constrained" in behaviour.styles,
        "AllowZoneAffinity": "constrained" in behaviour.styles,
        "ResourceBlocks": {"@odata.id": BLOCKS},
        "ResourceZones": {"@odata.id": ZONES},
    }
    if behaviour.pools:
        for name, uri, title, free in (
                ("FreePool", FREE_POOL, "Free pool", True),
                ("ActivePool", ACTIVE_POOL, "Active pool", False)):
            pod.add(Pool(uri, title, pod, free))
            body[name] = {"@odata.id": uri}
    if behaviour.manifests:
        body["CompositionReservations"] = {"@odata.id": RESERVATIONS}
        seconds = f"{behaviour.reservation_duration:g}"
        body["ReservationDuration"] = f"PT{seconds}S"
        body["Actions"] = {"#CompositionService.Compose": {
            "target": COMPOSE,
            "RequestFormat@Redfish.AllowableValues": ["Manifest"],
            "RequestType@Redfish.AllowableValues": [
                "Preview", "PreviewReserve", "Apply"],
        }}
        pod.add(Document(COMPOSE, {}))
    else:
        del pod.resources[RESERVATIONS]
    pod.add(Document(_COMPOSITION_SERVICE, body))


def metadata() -> bytes:
    """The OData $metadata document (DSP0266 section 8.5.1)."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>',
             '<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"'
             ' Version="4.0">']
    for schema, version in _SCHEMAS.items():
        lines.append('  <edmx:Reference Uri="http://redfish.dmtf.org/schemas/'
                     f'v1/{schema}_v1.xml">')
        lines.append(f'    <edmx:Include Namespace="{schema}"/>')
        if version:
            lines.append(
                f'    <edmx:Include Namespace="{schema}.{version}"/>')
        lines.append("  </edmx:Reference>")
    lines += ['  <edmx:Reference Uri="http://redfish.dmtf.org/schemas/v1/'
              'RedfishExtensions_v1.xml">',
              '    <edmx:Include Namespace="RedfishExtensions.v1_0_0" '
              'Alias="Redfish"/>',
              "  </edmx:Reference>",
              "  <edmx:DataServices>",
              '    <Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" '
              'Namespace="Service">',
              '      <EntityContainer Name="Service" Extends="ServiceRoot.'
              'v1_20_0.ServiceContainer"/>',
              "    </Schema>",
              "  </edmx:DataServices>",
              "</edmx:Edmx>", ""]
    return "\n".join(lines).encode()


def _services(behaviour: Behaviour) -> dict[str, str]:
    services = {"Systems": SYSTEMS, "Chassis": CHASSIS, "Managers": MANAGERS,
                "Tasks": TASK_SERVICE, "AccountService": ACCOUNT_SERVICE,
                "Registries": registries.REGISTRIES}
    if behaviour.sessions:
        services["SessionService"] = SESSION_SERVICE
    if behaviour.events:
        services["EventService"] = EVENT_SERVICE
    if behaviour.composition:
        services["CompositionService"] = _COMPOSITION_SERVICE
    return services


def _root(seed: int, expand: bool,
          behaviour: Behaviour) -> dict[str, Any]:
    features: dict[str, Any] = {
        "SelectQuery": False, "FilterQuery": False, "OnlyMemberQuery": False,
        "ExcerptQuery": False, "TopSkipQuery": True}
    if expand:
        features["ExpandQuery"] = {
            "ExpandAll": True, "Links": True, "NoLinks": True,
            "Levels": True, "MaxLevels": query.MAX_LEVELS}
    body: dict[str, Any] = {
        "@odata.id": f"{ROOT}/",
        "@odata.type": "#ServiceRoot.v1_20_0.ServiceRoot",
        "Id": "RootService",
        "Name": "Simulated pod",
        "RedfishVersion": "1.20.0",
        "UUID": generate.identity(seed, "service"),
        "Vendor": "Contoso",
        "Product": "Simulated composable pod",
        "ProtocolFeaturesSupported": features,
    }
    for name, uri in _services(behaviour).items():
        body[name] = {"@odata.id": uri}
    # The schema requires Links.Sessions even of a service without any.
    body["Links"] = {"Sessions": {"@odata.id": SESSIONS}} if (
        behaviour.sessions) else {}
    return body


def _odata(behaviour: Behaviour) -> dict[str, Any]:
    urls = {"Service": f"{ROOT}/", **_services(behaviour)}
    if behaviour.sessions:
        urls["Sessions"] = SESSIONS
    return {"@odata.context": _METADATA,
            "value": [{"name": name, "kind": "Singleton", "url": url}
                      for name, url in urls.items()]}


def _manager(pod: Pod) -> dict[str, Any]:
    chassis = pod.resources[CHASSIS]
    assert isinstance(chassis, Collection)
    return {
        "@odata.id": MANAGER,
        "@odata.type": "#Manager.v1_24_0.Manager",
        "Id": "pod",
        "Name": "Pod manager",
        "ManagerType": "RackManager",
        "Manufacturer": "Contoso",
        "Model": "Simulated pod manager",
        "FirmwareVersion": "1.0.0",
        "UUID": generate.identity(pod.seed, "manager"),
        "ServiceEntryPointUUID": generate.identity(pod.seed, "service"),
        "Status": render.OK,
        "PowerState": "On",
        "Links": {"ManagerForChassis": render.refs(
            chassis.members.values())},
    }


def _constrained() -> dict[str, Any]:
    return {
        "@odata.id": CONSTRAINED_CAPABILITIES,
        "@odata.type": "#ComputerSystem.v1_27_0.ComputerSystem",
        "Id": "ConstrainedCapabilities",
        "Name": "Capabilities of constrained composition",
        "Name@Redfish.RequiredOnCreate": True,
        "Name@Redfish.SetOnlyOnCreate": True,
        **{f"{name}@Redfish.OptionalOnCreate": True
           for name in ("Description", "Processors", "Memory", "Storage",
                        "SimpleStorage", "EthernetInterfaces")},
    }


def _capabilities(behaviour: Behaviour) -> dict[str, Any]:
    limits: dict[str, int] = {}
    for kind, (fewest, most) in composition.LIMITS.items():
        if fewest:
            limits[f"Min{kind}"] = fewest
        limits[f"Max{kind}"] = most
    return {
        "@odata.id": CAPABILITIES,
        "@odata.type": "#ComputerSystem.v1_27_0.ComputerSystem",
        "Id": "Capabilities",
        "Name": "Capabilities of the system collection",
        "Name@Redfish.RequiredOnCreate": True,
        "Name@Redfish.SetOnlyOnCreate": True,
        "Description@Redfish.OptionalOnCreate": True,
        "Description@Redfish.SetOnlyOnCreate": True,
        "Boot": {
            "BootSourceOverrideEnabled@Redfish.UpdatableAfterCreate": True,
            "BootSourceOverrideTarget@Redfish.UpdatableAfterCreate": True,
            "BootSourceOverrideTarget@Redfish.AllowableValues": BOOT_TARGETS,
        },
        "Links@Redfish.RequiredOnCreate": True,
        "Links": {
            "ResourceBlocks@Redfish.RequiredOnCreate": True,
            "ResourceBlocks@Redfish.UpdatableAfterCreate":
                bool({"patch", "put"} & set(behaviour.attach)),
        },
        "@Redfish.ResourceBlockLimits": limits,
    }
