# SPDX-License-Identifier: Apache-2.0
"""How a system is switched and told what to boot."""

from typing import Any

from valence.simulator.pods import Later
from valence.simulator.redfish.effects import Effects
from valence.simulator.redfish.messages import RedfishError
from valence.simulator.redfish.model import (
    BOOT_ENABLED,
    BOOT_MODES,
    BOOT_TARGETS,
    RESET_TYPES,
    Pod,
    System,
)

_RESET = "ComputerSystem.Reset"
_BOOT = {"BootSourceOverrideEnabled": ("boot_enabled", BOOT_ENABLED),
         "BootSourceOverrideTarget": ("boot_target", BOOT_TARGETS),
         "BootSourceOverrideMode": ("boot_mode", BOOT_MODES)}


def check_reset(body: dict[str, Any]) -> str:
    """The ResetType that ``body`` asks for; raises RedfishError."""
    for name in body:
        if name != "ResetType":
            raise RedfishError(400, "ActionParameterNotSupported", name,
                               _RESET, related=f"#/{name}")
    if "ResetType" not in body:
        raise RedfishError(400, "ActionParameterMissing", _RESET, "ResetType")
    kind = body["ResetType"]
    if not isinstance(kind, str):
        raise RedfishError(400, "ActionParameterValueTypeError", str(kind),
                           "ResetType", _RESET, related="#/ResetType")
    if kind not in RESET_TYPES:
        raise RedfishError(400, "ActionParameterValueNotInList", kind,
                           "ResetType", _RESET, related="#/ResetType")
    return kind


def reset(pod: Pod, system: System, body: dict[str, Any], effects: Effects,
          delay: float, later: Later) -> None:
    """Accept a reset; PowerState follows ``delay`` seconds later.

    Raises RedfishError and OSError.
    """
    kind = check_reset(body)
    effects.requested(system=system.uri, name=system.name, reset_type=kind)
    if delay:
        later(delay, lambda: apply(pod, system, kind, effects))
    else:
        apply(pod, system, kind, effects)


def apply(pod: Pod, system: System, kind: str, effects: Effects,
          **details: Any) -> None:
    """Do a reset, unless the system is gone."""
    if pod.resources.get(system.uri) is not system:
        return
    was_on = system.power == "On"
    if kind == "PushPowerButton":
        now_on = not was_on
    else:
        now_on = kind not in ("ForceOff", "GracefulShutdown")
    boots = now_on and (not was_on or kind.endswith("Restart"))
    target = None
    if boots and system.boot_enabled != "Disabled":
        target = system.boot_target
    effects.do("reset",
               {"boot_over": boots and system.boot_enabled == "Once"},
               phase="applied", system=system.uri, name=system.name,
               reset_type=kind, power_state="On" if now_on else "Off",
               booted=boots, boot_target=target, **details)


def check_boot(body: dict[str, Any]) -> dict[str, str]:
    """What a PATCH of a system sets of its boot override; raises
    RedfishError.
    """
    for name in body:
        if name != "Boot":
            raise RedfishError(400, "PropertyNotWritable", name,
                               related=f"#/{name}")
    boot = body.get("Boot")
    if not isinstance(boot, dict) or not boot:
        raise RedfishError(400, "PropertyMissing", "Boot", related="#/Boot")
    changes: dict[str, str] = {}
    for name, value in boot.items():
        where = f"#/Boot/{name}"
        if name not in _BOOT:
            raise RedfishError(400, "PropertyNotWritable", name,
                               related=where)
        attribute, allowed = _BOOT[name]
        if not isinstance(value, str):
            raise RedfishError(400, "PropertyValueTypeError", str(value),
                               name, related=where)
        if value not in allowed:
            raise RedfishError(400, "PropertyValueNotInList", value, name,
                               related=where)
        changes[attribute] = value
    return changes


def set_boot(system: System, settings: dict[str, str],
             effects: Effects) -> None:
    """Do what check_boot() returned; raises OSError."""
    effects.do("boot", system=system.uri, name=system.name, **settings)
