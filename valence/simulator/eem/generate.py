# SPDX-License-Identifier: Apache-2.0
"""Which devices a simulated ExpEther Manager has: decided by a seed."""

import random
from dataclasses import dataclass
from typing import Any

from valence.simulator.eem.model import FREE, Device, Pod

# (class code, [(vendor id, device id)]) of functions behind EEIO boards.
_FUNCTIONS = {
    "nvme": ("0x010802", [("0x144d", "0xa804"), ("0x8086", "0x0953")]),
    "storage": ("0x010700", [("0x1000", "0x0097")]),
    "nic": ("0x020000", [("0x8086", "0x1572"), ("0x15b3", "0x1015")]),
    "gpu": ("0x030200", [("0x10de", "0x1db6"), ("0x10de", "0x1eb8")]),
    "accelerator": ("0x120000", [("0x10ee", "0x5000")]),
    "usb": ("0x0c0330", [("0x1033", "0x0194")]),
}
_HOSTS = ("Express5800/R120h-1M", "Express5800/R120h-2M",
          "Express5800/T120h")
# The year 2018, when the last of these boards were made.
_EPOCH = 1_518_999_910_510


@dataclass(frozen=True)
class Shape:
    """How many of what.

    ``compute`` counts EESVs, the sides of servers, the others EEIOs by what
    is behind them. ``legacy`` EEIOs are 10g and 1g boards, which say nothing
    of the PCIe device behind them. ``down`` of the EEIOs do not answer.
    """

    seed: int = 1
    compute: int = 8
    nvme: int = 16
    storage: int = 0
    nic: int = 8
    gpu: int = 8
    accelerator: int = 2
    usb: int = 0
    legacy: int = 2
    down: int = 0
    max_eeio: int = 16


def generate(shape: Shape) -> Pod:
    """The pod of that shape; the same shape gives the same pod."""
    chance = random.Random(f"eem {shape.seed}")
    devices: dict[str, Device] = {}

    def add(status: str, board: str, fixed: dict[str, Any],
            **more: Any) -> None:
        while True:
            tail = chance.getrandbits(24)
            # 8c:df:9d is NEC's.
            name = f"0x8cdf9d{tail:06x}"
            if name not in devices:
                break
        mac = ":".join(name[at:at + 2] for at in range(2, 14, 2))
        devices[name] = Device(
            name, status, board, mac, FREE[status],
            _EPOCH + chance.randrange(10 ** 6),
            {**_common(chance, board), **fixed}, **more)

    for number in range(shape.compute):
        board = "10g" if number % 4 == 3 else "40g"
        add("eesv", board, _server(chance, board),
            max_eeio=min(8, shape.max_eeio) if board == "10g"
            else shape.max_eeio)
    for kind, (class_code, products) in _FUNCTIONS.items():
        for _ in range(getattr(shape, kind)):
            vendor, device = chance.choice(products)
            add("eeio", "40g", {
                "pcie_vendor_id": vendor, "pcie_device_id": device,
                "pcie_class_code": class_code})
    for number in range(shape.legacy):
        add("eeio", "1g" if number % 2 else "10g",
            {"power_interlock_status": "enabled"})
    boards = [one for one in devices.values() if one.status == "eeio"]
    for one in chance.sample(boards, min(shape.down, len(boards))):
        one.up = False
    return Pod(devices, _EPOCH + 10 ** 6)


def _common(chance: random.Random, board: str) -> dict[str, Any]:
    return {
        "vlan_tagging": "disabled", "uid_switch_status": "off",
        "power_status": "on", "pcie_link_width": "x8",
        "interrupt_vector": "0x0", "ee_version": "v1.0",
        "device_id": "0x1d", "revision": "0x0", "fpga_version": "0x1",
        "eeprom_data_version": "0x0",
        "serial_number": f"{chance.randrange(10 ** 8):08d}",
        "model": f"ExpEther Board ({board.upper()})"}


def _server(chance: random.Random, board: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "eesv_type": "nbc", "host_model": chance.choice(_HOSTS),
        "host_serial_number": f"{chance.randrange(10 ** 7):07d}"}
    if board == "40g":
        body["compatibility"] = ["default"]
    else:
        body["power_off_inhibition_status"] = "disabled"
    return body
