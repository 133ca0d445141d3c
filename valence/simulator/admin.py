# SPDX-License-Identifier: Apache-2.0
"""How the pods of a process are made to misbehave: its admin endpoint.

It listens on loopback, on a port of its own, and speaks JSON. Where a token
was given it wants ``Authorization: Bearer TOKEN``. A refusal is 4xx with
``{"error": "why"}``.

=======================  ===================================================
GET /                    ``{"pods": [POD...]}``, a POD being ``{"name",
                         "kind", "url", "requests"}``
GET /pods/P              the POD and its ``rules``
POST /pods/P/rules       a rule (see faults.py): 201 with the rule as it is
                         listed, that is, with ``id``, ``seen``, ``fired``
GET /pods/P/rules        ``{"rules": [...]}``
DELETE /pods/P/rules     clear: 204; what hangs or drips is let go
GET /pods/P/rules/N      the rule; ``?fired=2&timeout=5`` waits until it hit
                         twice, and is 408 where it did not in that time
DELETE /pods/P/rules/N   204
POST /pods/P/changes     ``{"change": NAME, ...}``: a change behind every
                         client's back; 200 with what became of it. The
                         changes of a kind of pod are documented in its
                         module.
=======================  ===================================================

P is the pod's name; that of a single pod is its kind.
"""

import hmac
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from valence.simulator.faults import BadRule, Rule, Rules
from valence.simulator.pods import CannotChange, Pod

_LONGEST_WAIT = 60.0


@dataclass
class Entry:
    """A pod as the process serves it."""

    name: str
    kind: str
    pod: Pod
    rules: Rules
    url: str = ""
    requests: int = 0

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind, "url": self.url,
                "requests": self.requests}


class Refusal(Exception):
    """An answer of the endpoint that is not what was asked for."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def handler(entries: dict[str, Entry], token: str | None
            ) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """The function that answers every request to the admin endpoint."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            if token:
                given = request.headers.get("Authorization", "")
                if not hmac.compare_digest(given.encode(),
                                           f"Bearer {token}".encode()):
                    raise Refusal(401, "the token is missing or wrong.")
            return _json(*await _answer(entries, request))
        except Refusal as refusal:
            return _json(refusal.status, {"error": str(refusal)})
        except (BadRule, CannotChange) as error:
            return _json(400, {"error": str(error)})
        except OSError as error:
            return _json(500, {"error": f"the ledger: {error.strerror}."})

    return handle


async def _answer(entries: dict[str, Entry],
                  request: web.BaseRequest) -> tuple[int, Any]:
    method = request.method
    parts = request.path.strip("/").split("/")
    if parts == [""] and method == "GET":
        return 200, {"pods": [e.describe() for e in entries.values()]}
    if len(parts) < 2 or parts[0] != "pods" or parts[1] not in entries:
        raise Refusal(404, f"there is no {request.path}.")
    entry = entries[parts[1]]
    match method, parts[2:]:
        case "GET", []:
            return 200, {**entry.describe(), **_listed(entry)}
        case "GET", ["rules"]:
            return 200, _listed(entry)
        case "POST", ["rules"]:
            return 201, entry.rules.add(await _object(request)).describe()
        case "DELETE", ["rules"]:
            entry.rules.clear()
            return 204, None
        case "GET", ["rules", number]:
            rule = _rule(entry, number)
            await _wait(entry, rule, request)
            return 200, rule.describe()
        case "DELETE", ["rules", number]:
            entry.rules.remove(_rule(entry, number).id)
            return 204, None
        case "POST", ["changes"]:
            arguments = await _object(request)
            what = arguments.pop("change", None)
            if not isinstance(what, str):
                raise Refusal(400, "change must name a change.")
            return 200, entry.pod.change(what, arguments)
    raise Refusal(404, f"there is no {method} of {request.path}.")


def _listed(entry: Entry) -> dict[str, Any]:
    return {"rules": [rule.describe() for rule in entry.rules.all()]}


def _rule(entry: Entry, number: str) -> Rule:
    rule = entry.rules.get(int(number)) if number.isdecimal() else None
    if rule is None:
        raise Refusal(404, f"there is no rule {number}.")
    return rule


async def _wait(entry: Entry, rule: Rule, request: web.BaseRequest) -> None:
    try:
        fired = int(request.query.get("fired", "0"))
        timeout = float(request.query.get("timeout", "10"))
    except ValueError as error:
        raise Refusal(400, "fired and timeout must be numbers.") from error
    if not 0 <= timeout < math.inf:
        raise Refusal(400, "timeout must be a number of seconds.")
    if not await entry.rules.until(rule, fired, min(timeout, _LONGEST_WAIT)):
        raise Refusal(408, f"rule {rule.id} fired {rule.fired} times only.")


async def _object(request: web.BaseRequest) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise Refusal(400, "the body is not JSON.") from error
    if not isinstance(body, dict):
        raise Refusal(400, "the body is not a JSON object.")
    return body


def _json(status: int, body: Any) -> web.Response:
    if body is None:
        return web.Response(status=status)
    return web.Response(status=status, body=orjson.dumps(body),
                        content_type="application/json")
