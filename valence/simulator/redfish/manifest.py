# SPDX-License-Identifier: Apache-2.0
"""What the Compose action does with a manifest.

DSP2050, "Composition using a manifest": Preview changes nothing,
PreviewReserve keeps the blocks it would use for the client until the
reservation is used, deleted or expires, Apply does it. Every stanza has a
response of its own; one that is refused does not stop the others.
"""

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from valence.simulator.ledger import Ledger
from valence.simulator.pods import Later
from valence.simulator.redfish import composition, generate, render
from valence.simulator.redfish.effects import Effects
from valence.simulator.redfish.messages import RedfishError
from valence.simulator.redfish.model import (
    BLOCKS,
    RESERVATIONS,
    Block,
    Pod,
    System,
)
from valence.simulator.resources import Collection, Resource

_ACTION = "CompositionService.Compose"
_TYPES = ("Preview", "PreviewReserve", "Apply")
_STANZAS = ("ComposeSystem", "DecomposeSystem")
_MOST = 1000


@dataclass(slots=True, eq=False)
class Reservation(Resource):
    id: str
    made: float
    blocks: list[Block]
    manifest: dict[str, Any]


@render.document.register
def _reservation(reservation: Reservation) -> dict[str, Any]:
    made = datetime.datetime.fromtimestamp(reservation.made, datetime.UTC)
    return {
        "@odata.id": reservation.uri,
        "@odata.type":
            "#CompositionReservation.v1_0_2.CompositionReservation",
        "@odata.etag": reservation.etag,
        "Id": reservation.id,
        "Name": f"Composition reservation {reservation.id}",
        "ReservationTime": made.isoformat(timespec="seconds"),
        "ReservedResourceBlocks": render.refs(reservation.blocks),
        "Manifest": reservation.manifest,
    }


@dataclass
class _Run:
    """One request under way."""

    kind: str
    reservation: str
    taken: list[Block] = field(default_factory=list)
    refused: bool = False


class Manifests:
    """The Compose action and the reservations of one pod."""

    def __init__(self, pod: Pod, effects: Effects, ledger: Ledger,
                 later: Later, styles: tuple[str, ...], duration: float,
                 clock: Callable[[], float] = time.time) -> None:
        """A reservation lasts ``duration`` seconds."""
        self._pod = pod
        self._effects = effects
        self._ledger = ledger
        self._later = later
        # A stanza holds what could be posted to the systems collection.
        self._styles = tuple(s for s in styles if s != "manifest") or (
            "specific",)
        self._duration = duration
        self._clock = clock
        self._count = sum(entry["effect"] == "reservation"
                          for entry in ledger.history)
        self._reservations = Collection(
            RESERVATIONS, "CompositionReservationCollection",
            "Composition Reservations", {})
        pod.add(self._reservations)

    def compose(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to the action; raises RedfishError and OSError."""
        kind, reservation, manifest = self._read(body)
        run = _Run(kind, reservation.id if reservation else "")
        stanzas = [self._stanza(stanza, run)
                   for stanza in manifest["Stanzas"]]
        answer: dict[str, Any] = {
            "RequestFormat": "Manifest", "RequestType": kind,
            "Manifest": {**manifest, "Stanzas": stanzas}}
        if kind == "PreviewReserve" and run.taken and not run.refused:
            self._count += 1
            number = generate.identity(self._pod.seed, "reservation",
                                       self._count)
            made = self._clock()
            self._ledger.note("reservation", id=number, made=made,
                              blocks=[b.uri for b in run.taken],
                              manifest=manifest)
            self._hold(number, made, run.taken, manifest)
            answer["ReservationId"] = number
        elif kind == "Apply" and reservation and not run.refused:
            self.drop(reservation)
        return answer

    def _read(self, body: dict[str, Any]
              ) -> tuple[str, Reservation | None, dict[str, Any]]:
        for name in body:
            if name not in ("RequestFormat", "RequestType", "Manifest",
                            "ReservationId"):
                raise RedfishError(400, "ActionParameterNotSupported", name,
                                   _ACTION, related=f"#/{name}")
        for name, allowed in (("RequestFormat", ("Manifest",)),
                              ("RequestType", _TYPES)):
            if name not in body:
                raise RedfishError(400, "ActionParameterMissing", _ACTION,
                                   name)
            if body[name] not in allowed:
                raise RedfishError(400, "ActionParameterValueNotInList",
                                   str(body[name]), name, _ACTION,
                                   related=f"#/{name}")
        kind, reservation = body["RequestType"], None
        if "ReservationId" in body:
            found = self._pod.resources.get(
                f"{RESERVATIONS}/{body['ReservationId']}")
            if kind != "Apply" or not isinstance(found, Reservation):
                raise RedfishError(
                    400, "PropertyValueIncorrect", "ReservationId",
                    str(body["ReservationId"]), related="#/ReservationId")
            reservation = found
        if "Manifest" not in body and reservation:
            return kind, reservation, reservation.manifest
        if "Manifest" not in body:
            raise RedfishError(400, "ActionParameterMissing", _ACTION,
                               "Manifest")
        manifest = body["Manifest"]
        if (not isinstance(manifest, dict)
                or not isinstance(manifest.get("Stanzas"), list)
                or not 0 < len(manifest["Stanzas"]) <= _MOST):
            raise RedfishError(400, "ActionParameterValueTypeError",
                               str(manifest), "Manifest", _ACTION,
                               related="#/Manifest")
        return kind, reservation, manifest

    def _stanza(self, stanza: Any, run: _Run) -> dict[str, Any]:
        answer = dict(stanza) if isinstance(stanza, dict) else {}
        try:
            answer["Response"] = self._perform(answer, run)
        except RedfishError as error:
            run.refused = True
            if run.kind == "Apply":
                self._ledger.record(
                    "refused", reason=error.key, status=error.status,
                    stanza=answer.get("StanzaId"),
                    message=error.message["Message"])
            answer["Response"] = error.body()
        return answer

    def _perform(self, stanza: dict[str, Any], run: _Run) -> dict[str, Any]:
        kind, request = stanza.get("StanzaType"), stanza.get("Request")
        if kind not in _STANZAS:
            raise RedfishError(400, "PropertyValueNotInList", str(kind),
                               "StanzaType", related="#/StanzaType")
        if not isinstance(request, dict):
            raise RedfishError(400, "PropertyValueTypeError", str(request),
                               "Request", related="#/Request")
        if kind == "DecomposeSystem":
            return self._decompose(request, run)
        wanted = composition.check(self._pod, request, self._styles,
                                   run.reservation, run.taken)
        if run.kind == "Apply":
            system = composition.compose(self._pod, wanted, self._effects)
            return render.document(system)
        run.taken += wanted.blocks
        return {"Name": wanted.name, "Links": {
            "ResourceBlocks": render.refs(wanted.blocks)}}

    def _decompose(self, request: dict[str, Any],
                   run: _Run) -> dict[str, Any]:
        links = request.get("Links")
        named = links.get("ComputerSystems") if isinstance(
            links, dict) else [request]
        systems = []
        for entry in named if isinstance(named, list) else []:
            uri = entry.get("@odata.id") if isinstance(entry, dict) else None
            system = self._pod.resources.get(str(uri).rstrip("/"))
            if not isinstance(system, System) or not system.composed:
                raise RedfishError(404, "ResourceMissingAtURI", str(uri))
            if system.deleting:
                raise RedfishError(409, "ResourceInUse")
            systems.append(system)
        if not systems:
            raise RedfishError(400, "PropertyMissing", "ComputerSystems")
        answer = {"Links": {"ComputerSystems": render.refs(systems)}}
        if run.kind == "Apply":
            for system in systems:
                composition.decompose(system, self._effects)
        return answer

    def _hold(self, number: str, made: float, blocks: list[Block],
              manifest: dict[str, Any]) -> None:
        found = Reservation(f"{RESERVATIONS}/{number}", number, made, blocks,
                            manifest)
        for block in blocks:
            block.reservation = number
        self._pod.touch(self._reservations, *blocks)
        self._pod.add(found)
        self._reservations.members[found.uri] = found
        left = max(0.0, made + self._duration - self._clock())
        self._later(left, lambda: self._expire(found))

    def _expire(self, reservation: Reservation) -> None:
        if reservation.uri in self._reservations.members:
            self._let_go(reservation)

    def drop(self, reservation: Reservation) -> None:
        """End a reservation before its time; raises OSError."""
        self._ledger.note("reservation-end", id=reservation.id)
        self._let_go(reservation)

    def _let_go(self, reservation: Reservation) -> None:
        for block in reservation.blocks:
            if block.reservation == reservation.id:
                block.reservation = ""
        del self._reservations.members[reservation.uri]
        del self._pod.resources[reservation.uri]
        self._pod.touch(self._reservations, *reservation.blocks)

    def expire_all(self) -> int:
        """Let every reservation expire now; returns how many."""
        reservations = [r for r in self._reservations.members.values()
                        if isinstance(r, Reservation)]
        for reservation in reservations:
            self.drop(reservation)
        return len(reservations)

    def replay(self) -> None:
        """Bring back the reservations from before a restart that are not
        over yet.
        """
        kept: dict[str, dict[str, Any]] = {}
        for entry in self._ledger.history:
            if entry["effect"] == "reservation":
                kept[entry["id"]] = entry
            elif entry["effect"] == "reservation-end":
                kept.pop(entry["id"], None)
        for entry in kept.values():
            if entry["made"] + self._duration > self._clock():
                found = [self._pod.resources.get(uri)
                         for uri in entry["blocks"]
                         if uri.startswith(BLOCKS)]
                self._hold(entry["id"], entry["made"],
                           [b for b in found if isinstance(b, Block)],
                           entry["manifest"])
