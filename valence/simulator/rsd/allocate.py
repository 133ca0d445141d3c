# SPDX-License-Identifier: Apache-2.0
"""Which resources satisfy a request for a node, and is the request valid?

400 for what the API's version does not know, 409 where nothing fits. The
first sled that fits is taken, in the order of the collection.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from valence.simulator.redfish.messages import RedfishError
from valence.simulator.resources import Resource
from valence.simulator.rsd.model import Drive, Extra, Pod, Profile, Sled

Body = dict[str, Any]

_LINKS: dict[str, type] = {"Resource": dict, "Chassis": dict}
_TOP: Mapping[str, type] = {
    "Name": str, "Description": str, "Processors": list, "Memory": list,
    "TotalSystemCoreCount": int, "TotalSystemMemoryMiB": int,
    "Security": dict, "LocalDrives": list, "RemoteDrives": list,
    "EthernetInterfaces": list, "Oem": dict}
_PROCESSOR: Mapping[str, type] = {
    **_LINKS, "Model": str, "TotalCores": int, "AchievableSpeedMHz": int,
    "InstructionSet": str, "Oem": dict}
_MEMORY: Mapping[str, type] = {
    **_LINKS, "CapacityMiB": int, "MemoryDeviceType": str, "SpeedMHz": int,
    "Manufacturer": str, "DataWidthBits": int}
_DRIVE: Mapping[str, type] = {
    **_LINKS, "CapacityGiB": int, "Type": str, "MinRPM": int,
    "SerialNumber": str, "Interface": str, "FabricSwitch": bool}
_INTERFACE: Mapping[str, type] = {
    **_LINKS, "SpeedMbps": int, "PrimaryVLAN": int, "VLANs": list}

Chosen = tuple[Sled, list[Extra]]
_One = TypeVar("_One", bound=Resource)


def choose(pod: Pod, body: Body) -> Chosen:
    """A free sled and what else ``body`` asks for.

    Raises RedfishError, and changes nothing.
    """
    _check(pod.profile, body)
    remote = _remote(pod, body.get("RemoteDrives", []))
    for sled in pod.sleds:
        if sled.node is None and not sled.missing and _fits(sled, body):
            drives = _drives(pod, sled, body.get("LocalDrives", []))
            if drives is not None:
                return sled, [*drives, *remote]
    raise RedfishError(409, "NoResourceMatch", "ComposedNode")


def _check(profile: Profile, body: Body) -> None:
    """Every property is known to this version and of the right type."""
    processor, memory = dict(_PROCESSOR), dict(_MEMORY)
    remote: dict[str, type] = {"CapacityGiB": int, "Master": dict}
    if profile.number >= (2, 2):
        processor["ProcessorType"] = str
    if profile.number >= (2, 4):
        processor["Connectivity"] = list
        memory["MemoryType"] = str
    remote |= ({"Protocol": str, "Resource": dict}
               if profile.number >= (2, 3) else {"iSCSIAddress": str})
    _object(body, _TOP, "#")
    oem = body.get("Oem", {})
    if profile.number >= (2, 4) and set(oem) - {"Intel_RackScale"}:
        raise RedfishError(400, "PropertyUnknown", min(oem), related="#/Oem")
    for name, known in (("Processors", processor), ("Memory", memory),
                        ("LocalDrives", _DRIVE), ("RemoteDrives", remote),
                        ("EthernetInterfaces", _INTERFACE)):
        for index, one in enumerate(body.get(name, [])):
            where = f"#/{name}/{index}"
            if not isinstance(one, dict):
                raise RedfishError(400, "PropertyValueTypeError", str(one),
                                   name, related=where)
            _object(one, known, where)


def _object(body: Body, known: Mapping[str, type], where: str) -> None:
    for name, value in body.items():
        if name not in known:
            raise RedfishError(400, "PropertyUnknown", name,
                               related=f"{where}/{name}")
        wanted = known[name]
        fits = (_is_count(value) if wanted is int
                else isinstance(value, wanted))
        if value is not None and not fits:
            raise RedfishError(400, "PropertyValueTypeError", str(value),
                               name, related=f"{where}/{name}")


def _is_count(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)
            and value >= 0)


def _fits(sled: Sled, body: Body) -> bool:
    return (sled.cores >= (body.get("TotalSystemCoreCount") or 0)
            and sled.memory_mib >= (body.get("TotalSystemMemoryMiB") or 0)
            and _match(body.get("Processors", []), sled.processors,
                       lambda one, want: (
                           want.get("Model") in (None, one.model)
                           and want.get("ProcessorType", "CPU") == one.kind
                           and one.cores >= (want.get("TotalCores") or 0)
                           and one.mhz >= (want.get("AchievableSpeedMHz")
                                           or 0)
                           and _placed(one, want, sled))) is not None
            and _match(body.get("Memory", []), sled.memory,
                       lambda one, want: (
                           want.get("MemoryDeviceType") in (
                               None, one.device_type)
                           and want.get("MemoryType") in (None, "DRAM")
                           and one.capacity_mib >= (want.get("CapacityMiB")
                                                    or 0)
                           and one.mhz >= (want.get("SpeedMHz") or 0)
                           and _placed(one, want, sled))) is not None
            and _match(body.get("EthernetInterfaces", []), sled.interfaces,
                       lambda one, want: (
                           one.speed_mbps >= (want.get("SpeedMbps") or 0)
                           and _placed(one, want, sled))) is not None)


def _drives(pod: Pod, sled: Sled, wanted: list[Body]) -> list[Extra] | None:
    """The pooled drives that are needed besides the sled's own."""
    pooled = [one for one in pod.pooled
              if one.node is None and one.chassis.parent is sled.rack]

    def fits(one: Drive, want: Body) -> bool:
        return (want.get("FabricSwitch") in (None, one.pooled)
                and want.get("Type") in (
                    None, "HDD" if one.rpm else "SSD")
                and want.get("Interface") in (None, one.interface)
                and want.get("SerialNumber") in (None, one.serial)
                and (one.rpm or 0) >= (want.get("MinRPM") or 0)
                and one.capacity_gib >= (want.get("CapacityGiB") or 0)
                and _placed(one, want, sled))

    found = _match(wanted, [*sled.drives, *pooled], fits)
    if found is None:
        return None
    return [one for one in found if one.pooled]


def _remote(pod: Pod, wanted: list[Body]) -> list[Extra]:
    free = [one for one in pod.volumes if one.node is None]
    found = _match(wanted, free, lambda one, want: (
        one.capacity_gib >= (want.get("CapacityGiB") or 0)
        and (want.get("Resource") or {}).get("@odata.id")
        in (None, one.uri)))
    if found is None:
        raise RedfishError(409, "NoResourceMatch", "RemoteDrives")
    return list(found)


def _placed(one: Any, want: Body, sled: Sled) -> bool:
    """Whether the links of a request allow this part of this sled."""
    resource = (want.get("Resource") or {}).get("@odata.id")
    place = (want.get("Chassis") or {}).get("@odata.id")
    around = {sled.chassis.uri, sled.rack.uri, one.chassis.uri}
    return resource in (None, one.uri) and (place is None or place in around)


def _match(wanted: list[Body], there: Sequence[_One],
           fits: Callable[[_One, Body], bool]) -> list[_One] | None:
    """One resource for each that is wanted, the choosiest first."""
    left, found = list(there), []
    for want in sorted(wanted, key=len, reverse=True):
        one = next((one for one in left if fits(one, want)), None)
        if one is None:
            return None
        left.remove(one)
        found.append(one)
    return found
