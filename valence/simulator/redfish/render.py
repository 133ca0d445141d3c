# SPDX-License-Identifier: Apache-2.0
"""How the pod's hardware reads as Redfish JSON."""

import functools
from collections.abc import Iterable
from typing import Any

from valence.simulator.redfish.model import (
    ADD_BLOCK,
    BOOT_ENABLED,
    BOOT_MODES,
    BOOT_TARGETS,
    MANAGER,
    REMOVE_BLOCK,
    RESET_TYPES,
    Block,
    Chassis,
    Drive,
    Interface,
    MemoryModule,
    Pool,
    Processor,
    Storage,
    System,
    Zone,
)
from valence.simulator.redfish.sessions import Session
from valence.simulator.resources import Collection, Document, Resource

OK = {"State": "Enabled", "Health": "OK"}

def ref(resource: Resource) -> dict[str, str]:
    return {"@odata.id": resource.uri}


def refs(resources: Iterable[Resource]) -> list[dict[str, str]]:
    return [{"@odata.id": resource.uri} for resource in resources]


def page(collection: Collection,
         members: list[dict[str, Any]]) -> dict[str, Any]:
    """``collection`` showing only ``members``."""
    return {
        "@odata.id": collection.uri,
        "@odata.type": f"#{collection.schema}.{collection.schema}",
        "@odata.etag": collection.etag,
        "Name": collection.name,
        "Members@odata.count": len(collection.members),
        "Members": members,
        **collection.extra,
    }


@functools.singledispatch
def document(resource: Resource) -> dict[str, Any]:
    """The JSON object of ``resource``."""
    raise NotImplementedError(type(resource).__name__)


@document.register
def _document(resource: Document) -> dict[str, Any]:
    return resource.body


@document.register
def _collection(collection: Collection) -> dict[str, Any]:
    return page(collection, refs(collection.members.values()))


@document.register
def _pool(pool: Pool) -> dict[str, Any]:
    blocks = pool.blocks()
    return {
        "@odata.id": pool.uri,
        "@odata.type": "#ResourceBlockCollection.ResourceBlockCollection",
        "Name": pool.name,
        "Members@odata.count": len(blocks),
        "Members": refs(blocks),
    }


@document.register
def _session(session: Session) -> dict[str, Any]:
    return {
        "@odata.id": session.uri,
        "@odata.type": "#Session.v1_8_0.Session",
        "@odata.etag": session.etag,
        "Id": session.id,
        "Name": f"Session {session.id}",
        "UserName": session.user,
        "Password": None,
    }


@document.register
def _block(block: Block) -> dict[str, Any]:
    parts = block.parts
    body: dict[str, Any] = {
        "@odata.id": block.uri,
        "@odata.type": "#ResourceBlock.v1_4_3.ResourceBlock",
        "@odata.etag": block.etag,
        "Id": block.id,
        "Name": block.name,
        "ResourceBlockType": [block.type],
        "Status": _block_status(block),
        "CompositionStatus": {
            "CompositionState": block.state,
            "Reserved": block.reserved or bool(block.reservation),
            "MaxCompositions": block.max_compositions,
            "NumberOfCompositions": len(block.systems),
            "SharingCapable": block.max_compositions > 1,
            "SharingEnabled": block.max_compositions > 1,
        },
    }
    if parts.processors:
        body["Processors"] = refs(parts.processors)
    if parts.memory:
        body["Memory"] = refs(parts.memory)
    if parts.drives:
        body["Drives"] = refs(parts.drives)
    if parts.interfaces:
        body["EthernetInterfaces"] = refs(parts.interfaces)
    if block.server:
        body["ComputerSystems"] = [ref(block.server)]
    body["Links"] = {
        "ComputerSystems": refs(block.systems),
        "Chassis": [ref(block.chassis)],
        "Zones": [ref(block.zone)],
    }
    return body


@document.register
def _zone(zone: Zone) -> dict[str, Any]:
    return {
        "@odata.id": zone.uri,
        "@odata.type": "#Zone.v1_6_3.Zone",
        "@odata.etag": zone.etag,
        "Id": zone.id,
        "Name": f"Resource zone {zone.id}",
        "Status": OK,
        "ZoneType": "ZoneOfResourceBlocks",
        "Links": {"ResourceBlocks": refs(zone.blocks)},
        **zone.extra,
    }


@document.register
def _processor(processor: Processor) -> dict[str, Any]:
    body: dict[str, Any] = {
        "@odata.id": processor.uri,
        "@odata.type": "#Processor.v1_22_0.Processor",
        "Id": processor.id,
        "Name": f"{processor.manufacturer} {processor.model}",
        "Status": OK,
        "ProcessorType": processor.kind,
        "Manufacturer": processor.manufacturer,
        "Model": processor.model,
        "MaxSpeedMHz": processor.mhz,
        "TotalCores": processor.cores,
        "TotalThreads": processor.threads,
        "Links": {"Chassis": ref(processor.chassis)},
    }
    if processor.kind == "CPU":
        body["ProcessorArchitecture"] = "x86"
        body["InstructionSet"] = "x86-64"
    else:
        body["ProcessorMemory"] = [{"IntegratedMemory": True,
                                    "MemoryType": "HBM2E",
                                    "CapacityMiB": processor.memory_mib}]
    return body


@document.register
def _memory(module: MemoryModule) -> dict[str, Any]:
    return {
        "@odata.id": module.uri,
        "@odata.type": "#Memory.v1_23_0.Memory",
        "Id": module.id,
        "Name": f"Memory module {module.slot}",
        "Status": OK,
        "MemoryType": "DRAM",
        "MemoryDeviceType": module.device_type,
        "CapacityMiB": module.capacity_mib,
        "OperatingSpeedMhz": module.mhz,
        "MemoryLocation": {"Slot": module.slot},
        "Links": {"Chassis": ref(module.chassis)},
    }


@document.register
def _drive(drive: Drive) -> dict[str, Any]:
    return {
        "@odata.id": drive.uri,
        "@odata.type": "#Drive.v1_22_0.Drive",
        "Id": drive.id,
        "Name": f"{drive.manufacturer} {drive.model}",
        "Status": OK,
        "CapacityBytes": drive.capacity_bytes,
        "MediaType": "SSD",
        "Protocol": "NVMe",
        "Manufacturer": drive.manufacturer,
        "Model": drive.model,
        "SerialNumber": drive.serial,
        "Links": {"Chassis": ref(drive.chassis)},
    }


@document.register
def _interface(interface: Interface) -> dict[str, Any]:
    return {
        "@odata.id": interface.uri,
        "@odata.type": "#EthernetInterface.v1_12_4.EthernetInterface",
        "Id": interface.id,
        "Name": f"Ethernet interface {interface.id}",
        "Status": OK,
        "InterfaceEnabled": True,
        "LinkStatus": "LinkUp",
        "MACAddress": interface.mac,
        "PermanentMACAddress": interface.mac,
        "SpeedMbps": interface.speed_mbps,
        "FullDuplex": True,
        "Links": {"Chassis": ref(interface.chassis)},
    }


@document.register
def _storage(storage: Storage) -> dict[str, Any]:
    return {
        "@odata.id": storage.uri,
        "@odata.type": "#Storage.v1_21_0.Storage",
        "@odata.etag": storage.etag,
        "Id": storage.id,
        "Name": "NVMe storage",
        "Status": OK,
        "Drives@odata.count": len(storage.drives),
        "Drives": refs(storage.drives),
    }


@document.register
def _chassis(chassis: Chassis) -> dict[str, Any]:
    placement: dict[str, Any] = {"Row": chassis.row, "Rack": chassis.rack}
    if chassis.offset is not None:
        placement["RackOffset"] = chassis.offset
        placement["RackOffsetUnits"] = "EIA_310"
    systems = {s.uri: s for b in chassis.blocks for s in b.systems}
    systems.update((s.uri, s) for s in chassis.fixed_systems)
    links: dict[str, Any] = {
        "ComputerSystems": refs(systems.values()),
        "ManagedBy": [{"@odata.id": MANAGER}],
    }
    if chassis.parent:
        links["ContainedBy"] = ref(chassis.parent)
    if chassis.children:
        links["Contains"] = refs(chassis.children)
    if chassis.blocks:
        links["ResourceBlocks"] = refs(chassis.blocks)
    if chassis.fixed_systems:
        links["Drives"] = refs(
            d for s in chassis.fixed_systems for d in s.parts.drives)
    return {
        "@odata.id": chassis.uri,
        "@odata.type": "#Chassis.v1_28_0.Chassis",
        "@odata.etag": chassis.etag,
        "Id": chassis.id,
        "Name": chassis.name,
        "ChassisType": chassis.kind,
        "Manufacturer": "Contoso",
        "Model": f"Composable {chassis.kind}",
        "Status": OK,
        "PowerState": "On",
        "Location": {"Placement": placement},
        "Links": links,
    }


@document.register
def _system(system: System) -> dict[str, Any]:
    parts, uri = system.parts, system.uri
    cpus = [p for p in parts.processors if p.kind == "CPU"]
    mebibytes = sum(m.capacity_mib for m in parts.memory)
    links: dict[str, Any] = {"Chassis": refs(system.chassis),
                             "ManagedBy": [{"@odata.id": MANAGER}]}
    composition = ({"Composition": {"UseCases": ["ExpandableSystem"]}}
                   if system.expandable else {})
    actions: dict[str, Any] = {"#ComputerSystem.Reset": {
        "target": f"{uri}/Actions/ComputerSystem.Reset",
        "ResetType@Redfish.AllowableValues": RESET_TYPES,
    }}
    if system.attachable:
        for name in (ADD_BLOCK, REMOVE_BLOCK):
            actions[f"#{name}"] = {"target": f"{uri}/Actions/{name}"}
    if system.composed or system.expandable:
        links["ResourceBlocks"] = refs(system.blocks)
    description = ({"Description": system.description}
                   if system.description else {})
    return {
        "@odata.id": uri,
        "@odata.type": "#ComputerSystem.v1_27_0.ComputerSystem",
        "@odata.etag": system.etag,
        "Id": system.id,
        "Name": system.name,
        **description,
        "SystemType": system.kind,
        "UUID": system.uuid,
        "Manufacturer": "Contoso",
        "Status": OK,
        "PowerState": system.power,
        "Boot": {
            "BootSourceOverrideEnabled": system.boot_enabled,
            "BootSourceOverrideEnabled@Redfish.AllowableValues":
                BOOT_ENABLED,
            "BootSourceOverrideTarget": system.boot_target,
            "BootSourceOverrideTarget@Redfish.AllowableValues":
                BOOT_TARGETS,
            "BootSourceOverrideMode": system.boot_mode,
            "BootSourceOverrideMode@Redfish.AllowableValues": BOOT_MODES,
        },
        "ProcessorSummary": {
            "Count": len(cpus),
            "CoreCount": sum(p.cores for p in cpus),
            "LogicalProcessorCount": sum(p.threads for p in cpus),
            "Model": cpus[0].model if cpus else None,
        },
        "MemorySummary": {"TotalSystemMemoryGiB": mebibytes / 1024},
        "Processors": {"@odata.id": f"{uri}/Processors"},
        "Memory": {"@odata.id": f"{uri}/Memory"},
        "EthernetInterfaces": {"@odata.id": f"{uri}/EthernetInterfaces"},
        "Storage": {"@odata.id": f"{uri}/Storage"},
        "Links": links,
        **composition,
        "Actions": actions,
    }


def _block_status(block: Block) -> dict[str, str]:
    if block.down == "Failed":
        return {"State": "Enabled", "Health": "Critical"}
    if block.down:
        return {"State": "UnavailableOffline", "Health": "Warning"}
    return OK
