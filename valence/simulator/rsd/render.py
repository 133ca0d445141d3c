# SPDX-License-Identifier: Apache-2.0
"""How an RSD pod reads as JSON, in the words of its API's version."""

import functools
from collections.abc import Iterable
from typing import Any

from valence.simulator.redfish.sessions import Session
from valence.simulator.resources import Collection, Document, Resource
from valence.simulator.rsd.model import (
    BOOT_MODES,
    BOOT_TARGETS,
    MANAGER,
    MANAGERS,
    NODES,
    RESET_TYPES,
    ROOT,
    SESSION_SERVICE,
    SESSIONS,
    Drive,
    Interface,
    MemoryModule,
    Node,
    NodeActionInfo,
    Place,
    Pod,
    Processor,
    Sled,
    SledStorage,
    Volume,
)

Body = dict[str, Any]

OK = {"State": "Enabled", "Health": "OK"}

_GIB = 2 ** 30
_CONTEXT = f"{ROOT}/$metadata"


def ref(resource: Resource) -> dict[str, str]:
    return {"@odata.id": resource.uri}


def refs(resources: Iterable[Resource]) -> list[dict[str, str]]:
    return [ref(resource) for resource in resources]


@functools.singledispatch
def document(resource: Resource) -> Body:
    """The JSON object of ``resource``."""
    raise NotImplementedError(type(resource).__name__)


def page(collection: Collection, skip: int, size: int) -> Body:
    """``size`` members of a collection from number ``skip`` on; 0 is all."""
    members = refs(collection.members.values())
    end = skip + size if size else len(members)
    body: Body = {
        "@odata.context": f"{_CONTEXT}#{collection.schema}",
        "@odata.id": collection.uri,
        "@odata.type": f"#{collection.schema}.{collection.schema}",
        "@odata.etag": collection.etag,
        "Name": collection.name,
        "Members@odata.count": len(members),
        "Members": members[skip:end],
        **collection.extra,
    }
    if end < len(members):
        body["Members@odata.nextLink"] = f"{collection.uri}?$skip={end}"
    return body


@document.register
def _document(resource: Document) -> Body:
    return resource.body


@document.register
def _collection(collection: Collection) -> Body:
    return page(collection, 0, 0)


def root(pod: Pod, uuid: str, sessions: bool) -> Document:
    """The service root."""
    profile = pod.profile
    oem: Body = {"@odata.type": "#Intel.Oem.ServiceRoot",
                 "ApiVersion": profile.version}
    body: Body = {
        "@odata.context": f"{_CONTEXT}#ServiceRoot.ServiceRoot",
        "@odata.id": ROOT,
        "@odata.type": "#ServiceRoot.v1_1_1.ServiceRoot",
        "Id": "RootService",
        "Name": "Root Service",
        "RedfishVersion": "1.1.0",
        "UUID": uuid,
        "Systems": {"@odata.id": f"{ROOT}/Systems"},
        "Chassis": {"@odata.id": f"{ROOT}/Chassis"},
        "Managers": {"@odata.id": MANAGERS},
        profile.services: {"@odata.id": f"{ROOT}/{profile.services}"},
        "Oem": {"Intel_RackScale": oem},
        "Links": {},
    }
    (oem if profile.oem_nodes else body)["Nodes"] = {"@odata.id": NODES}
    if sessions:
        body["SessionService"] = {"@odata.id": SESSION_SERVICE}
        body["Links"] = {"Sessions": {"@odata.id": SESSIONS}}
    return Document(ROOT, body)


def manager(pod: Pod) -> Document:
    """The PODM itself."""
    return Document(MANAGER, {
        "@odata.id": MANAGER,
        "@odata.type": "#Manager.v1_2_0.Manager",
        "Id": "PODM",
        "Name": "Pod manager",
        "ManagerType": "Service",
        "FirmwareVersion": pod.profile.version,
        "Status": OK,
        "Links": {},
    })


@document.register
def _session(session: Session) -> Body:
    return {
        "@odata.id": session.uri,
        "@odata.type": "#Session.v1_0_2.Session",
        "Id": session.id,
        "Name": f"Session {session.id}",
        "UserName": session.user,
    }


@document.register
def _place(place: Place) -> Body:
    links: Body = {"ManagedBy": [{"@odata.id": MANAGER}],
                   "Contains": refs(place.children),
                   "ComputerSystems": refs(place.systems),
                   "Oem": {}}
    location: Body = {"Id": place.id}
    if place.parent:
        links["ContainedBy"] = ref(place.parent)
        location["ParentId"] = place.parent.id
    if place.drives:
        links["Drives"] = refs(place.drives)
    body: Body = {
        "@odata.context": f"{_CONTEXT}#Chassis.Chassis",
        "@odata.id": place.uri,
        "@odata.type": "#Chassis.v1_3_0.Chassis",
        "@odata.etag": place.etag,
        "Id": place.id,
        "Name": place.name,
        "ChassisType": place.kind,
        "Manufacturer": "Contoso",
        "Status": OK,
        "Oem": {"Intel_RackScale": {
            "@odata.type": "#Intel.Oem.Chassis", "Location": location}},
        "Links": links,
    }
    if place.offset is not None:
        body["Location"] = {"Placement": {
            "Row": place.row, "Rack": place.rack,
            "RackOffset": place.offset, "RackOffsetUnits": "EIA_310"}}
    return body


@document.register
def _sled(sled: Sled) -> Body:
    cpus = [one for one in sled.processors if one.kind == "CPU"]
    return {
        "@odata.context": f"{_CONTEXT}#ComputerSystem.ComputerSystem",
        "@odata.id": sled.uri,
        "@odata.type": "#ComputerSystem.v1_3_0.ComputerSystem",
        "@odata.etag": sled.etag,
        "Id": sled.id,
        "Name": sled.name,
        "SystemType": "Physical",
        "UUID": sled.uuid,
        "Manufacturer": "Contoso",
        "PowerState": sled.power,
        "Status": ({"State": "Absent", "Health": "Critical"}
                   if sled.missing else OK),
        "Boot": _boot(sled),
        # No CoreCount: RSD's own services have none.
        "ProcessorSummary": {"Count": len(cpus), "Model": cpus[0].model},
        "MemorySummary": {"TotalSystemMemoryGiB": sled.memory_mib / 1024},
        **{name: {"@odata.id": f"{sled.uri}/{name}"} for name in (
            "Processors", "Memory", "EthernetInterfaces", "Storage")},
        "Links": {"Chassis": [ref(sled.chassis)],
                  "ManagedBy": [{"@odata.id": MANAGER}], "Oem": {}},
        "Oem": {"Intel_RackScale": {
            "@odata.type": "#Intel.Oem.ComputerSystem",
            "ProcessorSockets": 2, "MemorySockets": 8,
            "DiscoveryState": "Deep"}},
    }


@document.register
def _processor(processor: Processor) -> Body:
    return {
        "@odata.id": processor.uri,
        "@odata.type": "#Processor.v1_0_2.Processor",
        "Id": processor.id,
        "Name": f"Processor {processor.id}",
        "Status": OK,
        "ProcessorType": processor.kind,
        "Manufacturer": processor.model.split()[0],
        "Model": processor.model,
        "MaxSpeedMHz": processor.mhz,
        "TotalCores": processor.cores,
        "TotalThreads": processor.threads,
    }


@document.register
def _memory(module: MemoryModule) -> Body:
    return {
        "@odata.id": module.uri,
        "@odata.type": "#Memory.v1_1_0.Memory",
        "Id": module.id,
        "Name": f"Memory module {module.slot}",
        "Status": OK,
        "MemoryType": "DRAM",
        "MemoryDeviceType": module.device_type,
        "CapacityMiB": module.capacity_mib,
        "OperatingSpeedMhz": module.mhz,
    }


@document.register
def _interface(interface: Interface) -> Body:
    return {
        "@odata.id": interface.uri,
        "@odata.type": "#EthernetInterface.v1_1_0.EthernetInterface",
        "Id": interface.id,
        "Name": f"Ethernet interface {interface.id}",
        "Status": OK,
        "MACAddress": interface.mac,
        "PermanentMACAddress": interface.mac,
        "SpeedMbps": interface.speed_mbps,
    }


@document.register
def _sled_storage(storage: SledStorage) -> Body:
    return {
        "@odata.id": storage.uri,
        "@odata.type": "#Storage.v1_2_0.Storage",
        "Id": "1",
        "Name": "Storage",
        "Status": OK,
        "Drives": refs(storage.drives),
    }


@document.register
def _drive(drive: Drive) -> Body:
    body: Body = {
        "@odata.id": drive.uri,
        "@odata.type": "#Drive.v1_1_1.Drive",
        "@odata.etag": drive.etag,
        "Id": drive.id,
        "Name": f"Drive {drive.id}",
        "Status": OK,
        "Manufacturer": drive.manufacturer,
        "Model": drive.model,
        "SerialNumber": drive.serial,
        "Links": {"Chassis": ref(drive.chassis)},
    }
    media = "HDD" if drive.rpm else "SSD"
    if drive.older:
        body |= {"Interface": drive.interface, "Type": media,
                 "RPM": drive.rpm, "CapacityGiB": drive.capacity_gib}
    else:
        body |= {"Protocol": drive.interface, "MediaType": media,
                 "RotationSpeedRPM": drive.rpm,
                 "CapacityBytes": drive.capacity_gib * _GIB}
    return body


@document.register
def _volume(volume: Volume) -> Body:
    kind = "RemoteTarget" if volume.older else "Volume"
    body: Body = {
        "@odata.id": volume.uri,
        "@odata.type": f"#{kind}.v1_0_0.{kind}",
        "@odata.etag": volume.etag,
        "Id": volume.id,
        "Name": f"{kind} {volume.id}",
        "Status": OK,
    }
    if volume.older:
        return {**body, "CapacityGiB": volume.capacity_gib,
                "Addresses": [{"iSCSI": {
                    "TargetIQN": f"iqn.2026-01.org.example:{volume.id}",
                    "TargetPortalIP": "192.0.2.1",
                    "TargetPortalPort": 3260}}]}
    return {**body, "CapacityBytes": volume.capacity_gib * _GIB}


@document.register
def _node(node: Node) -> Body:
    sled = node.sled
    cpus = [one for one in sled.processors if one.kind == "CPU"]
    return {
        "@odata.context": f"{_CONTEXT}#ComposedNode.ComposedNode",
        "@odata.id": node.uri,
        "@odata.type": "#ComposedNode.v1_1_0.ComposedNode",
        "@odata.etag": node.etag,
        "Id": node.id,
        "Name": node.name,
        "Description": node.description,
        "UUID": sled.uuid,
        "PowerState": sled.power,
        "Status": ({"State": "Disabled", "Health": "Critical"}
                   if sled.missing or node.state == "Failed" else OK),
        "Processors": {"Count": len(cpus), "Model": cpus[0].model,
                       "Status": OK},
        "Memory": {"TotalSystemMemoryGiB": sled.memory_mib / 1024,
                   "Status": OK},
        "ComposedNodeState": node.state,
        "Boot": _boot(sled),
        "Oem": {},
        "Links": {**_links(node), "ManagedBy": [{"@odata.id": MANAGER}],
                  "Oem": {}},
        "Actions": {f"#ComposedNode.{kind}": _action(node, kind)
                    for kind in node.pod.actions()},
    }


def _boot(sled: Sled) -> Body:
    return {
        "BootSourceOverrideEnabled": sled.boot_enabled,
        "BootSourceOverrideTarget": sled.boot_target,
        "BootSourceOverrideTarget@Redfish.AllowableValues": BOOT_TARGETS,
        "BootSourceOverrideMode": sled.boot_mode,
        "BootSourceOverrideMode@Redfish.AllowableValues": BOOT_MODES,
    }


def _links(node: Node) -> Body:
    """What the node is made of; nothing before it is allocated."""
    if node.state == "Allocating":
        return {}
    sled = node.sled
    drives = [*sled.drives,
              *(one for one in node.extras if isinstance(one, Drive))]
    volumes = [one for one in node.extras if isinstance(one, Volume)]
    links: Body = {
        "ComputerSystem": ref(sled),
        "Processors": refs(sled.processors),
        "Memory": refs(sled.memory),
        "EthernetInterfaces": refs(sled.interfaces),
    }
    if node.pod.profile.storage_links:
        links["Storage"] = refs([*drives, *volumes])
    else:
        links["LocalDrives"] = refs(drives)
        links["RemoteDrives"] = refs(volumes)
    return links


def _action(node: Node, kind: str) -> Body:
    body: Body = {"target": f"{node.uri}/Actions/ComposedNode.{kind}"}
    if kind == "Reset":
        body["ResetType@Redfish.AllowableValues"] = RESET_TYPES
    elif kind.endswith("Endpoint"):
        body["Resource@Redfish.AllowableValues"] = _allowed(node, kind)
    elif kind.endswith("Resource"):
        info = f"{node.uri}/Actions/{kind}ActionInfo"
        body["@Redfish.ActionInfo"] = (
            info if node.pod.profile.action_info_text
            else {"@odata.id": info})
    return body


def _allowed(node: Node, kind: str) -> list[dict[str, str]]:
    return refs(node.pod.attachable(node) if kind.startswith("Attach")
                else node.extras)


@document.register
def _action_info(info: NodeActionInfo) -> Body:
    parameters: list[Body] = [{
        "Name": "Resource", "Required": True, "DataType": "Object",
        "ObjectDataType": "#Resource.Resource",
        "AllowableValues": _allowed(info.node, info.kind)}]
    if info.kind.startswith("Attach"):
        parameters.append({
            "Name": "Protocol", "Required": False, "DataType": "String",
            "ObjectDataType": None, "AllowableValues": ["NVMeOverFabrics"]})
    return {
        "@odata.id": info.uri,
        "@odata.type": "#ActionInfo.v1_0_2.ActionInfo",
        "Id": f"{info.kind}ActionInfo",
        "Name": f"{info.kind} ActionInfo",
        "Parameters": parameters,
        "Oem": {},
    }
