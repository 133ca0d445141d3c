# SPDX-License-Identifier: Apache-2.0
"""What the command line says about how a Redfish pod behaves."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Behaviour:
    """Durations are in seconds; the rest is explained in pod.OPTIONS."""

    username: str
    password: str
    auth: str
    tasks: bool
    task_delay: float
    power_delay: float
    expand: bool
    page_size: int
    composition: bool
    task_calls: tuple[str, ...] = ("compose", "decompose")
    vanish_monitors: bool = False
    styles: tuple[str, ...] = ("specific",)
    attach: tuple[str, ...] = ()
    pools: bool = False
    reservation_duration: float = 60.0
    require_etag: bool = False
    session_timeout: int = 1800
    events: bool = True
    event_drop: float = 0.0
    event_duplicate: float = 0.0

    @property
    def sessions(self) -> bool:
        return self.auth != "basic"

    @property
    def manifests(self) -> bool:
        return self.composition and "manifest" in self.styles
