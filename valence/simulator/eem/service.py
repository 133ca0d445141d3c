# SPDX-License-Identifier: Apache-2.0
"""Which request does what: the ExpEther Manager without its sockets.

``handle`` never waits, so whatever a request checks still holds when it
takes effect.
"""

import base64
import contextlib
import hmac
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from valence.simulator.eem import generate
from valence.simulator.eem.model import (
    FREE,
    GROUP_MAX,
    GROUP_MIN,
    Device,
    Pod,
    render,
    wire_time,
)
from valence.simulator.ledger import Ledger
from valence.simulator.pods import CannotChange, Request, Response

ROOT = "/eem"
VERSION = "v1.1"

_READS = ("GET", "HEAD")
_ALL = 2 ** 64


@dataclass(frozen=True)
class Behaviour:
    """What the command line says about this manager.

    With ``check_update_time`` a change that names another time than the
    device's own is refused; without, the time is ignored.
    """

    username: str = "admin"
    password: str = "password"  # noqa: S105 - nobody is to guess it
    auth: str = "basic"
    check_update_time: bool = True


class EemError(Exception):
    """A refusal; ``number`` tells refusals of one status apart."""

    def __init__(self, status: int, message: str, number: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.code = f"{status}{number:02d}"


class Service:
    """One simulated manager and everything that can be asked of it."""

    def __init__(self, shape: generate.Shape, behaviour: Behaviour,
                 ledger: Ledger) -> None:
        """What ``ledger.history`` holds has happened already."""
        self.pod: Pod = generate.generate(shape)
        self._behaviour = behaviour
        self._ledger = ledger
        pair = f"{behaviour.username}:{behaviour.password}".encode()
        self._credentials = b"Basic " + base64.b64encode(pair)
        for effect in ledger.history:
            device = self.pod.find(str(effect.get("device")))
            if device is not None:
                self._replay(device, effect)

    def handle(self, request: Request) -> Response:
        """Answer ``request``; every refusal is an answer too."""
        try:
            status, body = self._handle(request)
        except EemError as error:
            status = error.status
            body = {"code": error.code, "message": str(error)}
            if request.method not in _READS:
                self._note_refusal(request, error)
        except OSError:
            # The ledger could not be written, so nothing happened.
            status = 500
            body = {"code": "50000", "message": "Internal error."}
        headers = {"Content-Type": "application/json"}
        if status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="EEM"'
        return Response(status, headers, orjson.dumps(body))

    def change(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Change the hardware behind every client's back.

        ``group``: ``device`` is in ``group`` now, free where that is null.
        ``status``: ``device`` is ``up`` and ``enabled``, or is not.
        Returns the record of the device.
        """
        device = self.pod.find(str(arguments.get("device")))
        if device is None:
            raise CannotChange(
                f"there is no device {arguments.get('device')!r}.")
        if what == "group":
            try:
                group = _whole(arguments.get("group"), "group")
            except EemError as error:
                raise CannotChange(str(error)) from error
            if group is None:
                group = FREE[device.status]
            self._move(device, group, "group_changed_outside")
        elif what == "status":
            switches = {"up": device.up, "enabled": device.enabled}
            for name in switches:
                switches[name] = bool(arguments.get(name, switches[name]))
            self._ledger.record("status_changed_outside", device=device.id,
                                up=switches["up"],
                                enabled=switches["enabled"])
            self._switch(device, switches)
        else:
            raise CannotChange(f"an ExpEther Manager cannot change {what!r}; "
                               "it can change 'group' and 'status'.")
        return render(self.pod, device)

    def _replay(self, device: Device, effect: dict[str, Any]) -> None:
        if "after" in effect:
            self.pod.move(device, int(effect["after"]))
        elif effect["effect"] == "status_changed_outside":
            self._switch(device, effect)

    def _switch(self, device: Device, switches: Mapping[str, Any]) -> None:
        device.up = switches["up"]
        device.enabled = switches["enabled"]
        device.updated = self.pod.tick()

    def _note_refusal(self, request: Request, error: EemError) -> None:
        # A refusal changes nothing, so it may be answered even unrecorded.
        with contextlib.suppress(OSError):
            self._ledger.record("refused", reason=error.code,
                                status=error.status, method=request.method,
                                path=request.target, message=str(error))

    def _handle(self, request: Request) -> tuple[int, dict[str, Any]]:
        self._authenticate(request)
        path, _, search = request.target.partition("?")
        query = dict(urllib.parse.parse_qsl(search, keep_blank_values=True))
        parts = urllib.parse.unquote(path).rstrip("/").split("/")[1:]
        match parts[1:] if parts[0] == ROOT[1:] else None:
            case ["api_version"]:
                self._only(request, *_READS)
                return 200, {"version_number": VERSION}
            case ["groups"]:
                self._only(request, *_READS)
                return 200, {"groups": [{"id": str(group)} for group in
                                        self.pod.used_groups()]}
            case ["devices"]:
                self._only(request, *_READS)
                return self._list([{"id": one.id} for one in
                                   self._selected(query)])
            case ["devices", "detail"]:
                self._only(request, *_READS)
                return self._list([render(self.pod, one) for one in
                                   self._selected(query)])
            case ["devices", name]:
                self._only(request, *_READS)
                return 200, {"device": render(self.pod, self._device(name)),
                             "timestamp": str(self.pod.now)}
            case ["devices", name, "group_id"]:
                self._only(request, "PUT", "DELETE")
                device = self._device(name)
                if request.method == "PUT":
                    return self._set_group(device, _body(request.body))
                return self._clear_group(device, query)
        raise EemError(404, f"There is nothing at {path}.")

    def _authenticate(self, request: Request) -> None:
        if self._behaviour.auth == "none":
            return
        sent = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(sent, self._credentials):
            raise EemError(401, "Authentication is required.")

    @staticmethod
    def _only(request: Request, *methods: str) -> None:
        if request.method not in methods:
            raise EemError(405, f"{request.method} is not allowed here.")

    def _device(self, name: str) -> Device:
        device = self.pod.find(name)
        if device is None:
            raise EemError(404, f"Device {name} is not found.")
        return device

    def _list(self, devices: list[dict[str, Any]]
              ) -> tuple[int, dict[str, Any]]:
        return 200, {"devices": devices, "timestamp": str(self.pod.now)}

    def _selected(self, query: dict[str, str]) -> Iterator[Device]:
        """The devices that the query asks for; update_time is a 'since'."""
        unknown = set(query) - {"status", "group_id", "update_time"}
        if unknown:
            raise EemError(400, f"Query {min(unknown)} is not known.")
        status = query.get("status")
        if status not in (None, *FREE):
            raise EemError(400, f"Status {status} is neither eesv nor eeio.")
        group = _whole(query.get("group_id"), "group_id")
        since = _whole(query.get("update_time"), "update_time")
        names = sorted(self.pod.devices if group is None
                       else self.pod.groups.get(group, ()))
        for name in names:
            device = self.pod.devices[name]
            if (status in (None, device.status)
                    and (since is None or device.updated >= since)):
                yield device

    def _set_group(self, device: Device, body: dict[str, Any]
                   ) -> tuple[int, dict[str, Any]]:
        group = _whole(body.get("group_id"), "group_id")
        self._check(device, body.get("update_time"))
        if group is None:
            group = self.pod.unused_group()
            if group is None:
                raise EemError(409, "No group id is left.", 3)
        if not GROUP_MIN <= group <= GROUP_MAX:
            raise EemError(400, f"group_id must be within {GROUP_MIN} and "
                           f"{GROUP_MAX}.", 1)
        if group != device.group:
            self._check_room(device, group)
            self._move(device, group, "group_set")
        return 200, {"group_id": str(group), "update_time": wire_time(device)}

    def _clear_group(self, device: Device, query: dict[str, str]
                     ) -> tuple[int, dict[str, Any]]:
        self._check(device, query.get("update_time"))
        group = FREE[device.status]
        if group != device.group:
            self._move(device, group, "group_cleared")
        return 200, {"update_time": wire_time(device)}

    def _move(self, device: Device, group: int, effect: str) -> None:
        self._ledger.record(effect, device=device.id, status=device.status,
                            before=str(device.group), after=str(group))
        self.pod.move(device, group)

    def _check(self, device: Device, update_time: Any) -> None:
        """Whether the device can be changed by who saw it at that time."""
        if not device.enabled:
            raise EemError(409, f"Device {device.id} is disabled.", 1)
        if not device.up:
            raise EemError(409, f"Device {device.id} does not answer.", 2)
        seen = _whole(update_time, "update_time")
        if (self._behaviour.check_update_time and seen is not None
                and seen != device.updated):
            raise EemError(409, f"Device {device.id} has been updated.", 4)

    def _check_room(self, device: Device, group: int) -> None:
        """No EESV of a group gets more EEIOs than it has ports for."""
        eesvs = list(self.pod.members(group, "eesv"))
        count = sum(1 for _ in self.pod.members(group, "eeio"))
        if device.status == "eesv":
            eesvs.append(device)
        else:
            count += 1
        for eesv in eesvs:
            if count > eesv.max_eeio:
                raise EemError(409, f"EESV {eesv.id} takes at most "
                               f"{eesv.max_eeio} EEIOs.", 5)


def _body(content: bytes) -> dict[str, Any]:
    if not content.strip():
        return {}
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise EemError(400, "The body is not a JSON object.")
    return body


def _whole(value: Any, name: str) -> int | None:
    """A number, or its text; None where there is none."""
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:20])
    if (not isinstance(value, int) or isinstance(value, bool)
            or not 0 <= value < _ALL):
        raise EemError(400, f"{name} is not a number.", 2)
    return value
