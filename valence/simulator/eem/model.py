# SPDX-License-Identifier: Apache-2.0
"""What a simulated ExpEther Manager knows of its devices.

Time is a counter of milliseconds that every change moves on, so that the
same requests always give the same pod.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

GROUP_MIN = 16
GROUP_MAX = 4092
FREE = {"eeio": 4093, "eesv": 4094}

_TICK = 7
_NO_MAC = "00:00:00:00:00:00"


@dataclass
class Device:
    """``fixed`` is what never changes, in the wire's words."""

    id: str
    status: str
    type: str
    mac: str
    group: int
    updated: int
    fixed: dict[str, Any]
    up: bool = True
    enabled: bool = True
    max_eeio: int = 0


@dataclass
class Pod:
    """All devices by id, and who is in each group."""

    devices: dict[str, Device]
    now: int
    groups: dict[int, set[str]] = field(
        default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        for device in self.devices.values():
            self.groups[device.group].add(device.id)

    def find(self, name: str) -> Device | None:
        return self.devices.get(name.lower())

    def tick(self) -> int:
        self.now += _TICK
        return self.now

    def move(self, device: Device, group: int) -> None:
        """Put ``device`` into ``group``; its peers notice too."""
        old = device.group
        self.groups[old].discard(device.id)
        device.group = group
        self.groups[group].add(device.id)
        device.updated = self.tick()

    def members(self, group: int, status: str) -> Iterator[Device]:
        """The devices of one kind in a group, in order."""
        for name in sorted(self.groups.get(group, ())):
            if self.devices[name].status == status:
                yield self.devices[name]

    def used_groups(self) -> list[int]:
        return [group for group in sorted(self.groups)
                if GROUP_MIN <= group <= GROUP_MAX and self.groups[group]]

    def unused_group(self) -> int | None:
        """The lowest group id that nobody has."""
        return next((group for group in range(GROUP_MIN, GROUP_MAX + 1)
                     if not self.groups.get(group)), None)


def wire_time(device: Device) -> str | int:
    """The update_time: boards of 10g answer a number, the others text."""
    return device.updated if device.type == "10g" else str(device.updated)


def render(pod: Pod, device: Device) -> dict[str, Any]:
    """The whole record of a device, as ``devices/detail`` has it."""
    joined = GROUP_MIN <= device.group <= GROUP_MAX
    up = "up" if device.up else "down"
    body = {
        "id": device.id, "status": device.status, "type": device.type,
        "update_time": wire_time(device),
        "admin_status": "enabled" if device.enabled else "disabled",
        "monitoring_status": "enabled",
        "notification_status0": [up, up],
        "notification_status1": ["down", "down"],
        "mac_address": device.mac, "group_id": str(device.group),
        "link_status0": up, "link_status1": "down", **device.fixed}
    if device.status == "eesv":
        peers = list(pod.members(device.group, "eeio")) if joined else []
        body["max_eeio_count"] = str(device.max_eeio)
        body["downstream_ports"] = [
            _port(port, peers[port] if port < len(peers) else None)
            for port in range(device.max_eeio)]
        return body
    server = next(pod.members(device.group, "eesv"), None) if joined else None
    connected = server is not None and device.up and server.up
    body.update(
        path_status0=up, path_status1="down",
        eesv_connection_status="up" if connected else "down",
        eesv_mac_address=server.mac if server else _NO_MAC)
    if device.type == "40g":
        body["pcie_connection_status"] = "up" if connected else "down"
    return body


def _port(number: int, eeio: Device | None) -> dict[str, str]:
    return {"downstream_port_id": str(number),
            "eeio_connection_status": "up" if eeio and eeio.up else "down",
            "eeio_mac_address": eeio.mac if eeio else _NO_MAC}
