# SPDX-License-Identifier: Apache-2.0
"""How does a Redfish service read and write JSON?"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from valence.simulator.pods import Request, Response
from valence.simulator.redfish.messages import RedfishError


@dataclass(frozen=True)
class Answer:
    """What a request is answered with; ``body`` is JSON or None."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def json_object(request: Request) -> dict[str, Any]:
    """The body of a POST, PATCH or PUT; raises RedfishError."""
    kind = request.headers.get("Content-Type", "application/json")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise RedfishError(415, "UnrecognizedRequestBody")
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise RedfishError(400, "MalformedJSON") from error
    if not isinstance(body, dict):
        raise RedfishError(400, "UnrecognizedRequestBody")
    return body


def response(answer: Answer) -> Response:
    headers = {"OData-Version": "4.0", "Cache-Control": "no-cache",
               **answer.headers}
    if answer.body is None:
        return Response(answer.status, headers, b"")
    headers["Content-Type"] = "application/json; charset=utf-8"
    return Response(answer.status, headers, orjson.dumps(answer.body))
