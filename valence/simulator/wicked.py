# SPDX-License-Identifier: Apache-2.0
"""How an answer that a rule spoils goes over the wire."""

import asyncio
import os
import signal
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from valence.simulator.faults import Rule, Rules
from valence.simulator.pods import Response

_CHUNK = 65536
# With l_onoff and a linger time of 0, close() sends RST (socket(7)).
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Exchange:
    """A request in trouble.

    ``handle`` makes it take effect and returns the true answer, for the
    target and body it is given.
    """

    request: web.BaseRequest
    rules: Rules
    rule: Rule
    body: bytes
    handle: Callable[[str, bytes], Response]

    @property
    def target(self) -> str:
        return self.request.raw_path

    def true_answer(self) -> Response:
        return self.handle(self.target, self.body)

    def take_effect(self) -> None:
        """Do, or do not, what the request asks for; drop the answer."""
        if self.rule.effect:
            self.true_answer()


def plain(answer: Response) -> web.Response:
    """``answer`` as it is."""
    return web.Response(status=answer.status, headers=answer.headers,
                        body=answer.body)


async def perform(exchange: Exchange) -> web.StreamResponse:
    """Answer as the rule wants it."""
    return await _PERFORM[exchange.rule.fault](exchange)


async def _status(exchange: Exchange) -> web.StreamResponse:
    exchange.take_effect()
    rule = exchange.rule
    status, body = rule["status"], rule["body"]
    headers = dict(rule["headers"])
    if rule.fault == "pretend" and rule["location"]:
        headers["Location"] = rule["location"]
    if body is ...:
        body = {"error": {
            "code": "Base.1.18.GeneralError",
            "message": f"An injected {status}.",
            "@Message.ExtendedInfo": []}}
    if body is None:
        return web.Response(status=status, headers=headers)
    if isinstance(body, str):
        return web.Response(status=status, headers=headers, text=body)
    headers.setdefault("Content-Type", "application/json")
    return web.Response(status=status, headers=headers,
                        body=orjson.dumps(body))


async def _reset(exchange: Exchange) -> web.StreamResponse:
    exchange.take_effect()
    return _abort(exchange)


async def _hang(exchange: Exchange) -> web.StreamResponse:
    exchange.take_effect()
    await exchange.rules.pause(exchange.rule, exchange.rule["seconds"])
    return _abort(exchange)


async def _truncate(exchange: Exchange) -> web.StreamResponse:
    answer = exchange.true_answer()
    kept = exchange.rule["bytes"]
    if kept < 0:
        kept = len(answer.body) // 2
    transport = exchange.request.transport
    if transport:
        transport.write(_head(answer) + answer.body[:kept])
        transport.close()
    return web.Response()


async def _drip(exchange: Exchange) -> web.StreamResponse:
    answer, rule = exchange.true_answer(), exchange.rule
    raw = _head(answer) + answer.body
    transport = exchange.request.transport
    size = max(1, rule["bytes"])
    for start in range(0, len(raw), size):
        if transport is None or transport.is_closing():
            break
        transport.write(raw[start:start + size])
        if not await exchange.rules.pause(rule, rule["seconds"]):
            break
    if transport:
        transport.close()
    return web.Response()


async def _giant(exchange: Exchange) -> web.StreamResponse:
    answer = exchange.true_answer()
    start, end = _open_object(answer.body, b',"Padding":"')
    filler = max(0, exchange.rule["bytes"] - len(start) - len(end) - 1)
    response = web.StreamResponse(status=answer.status,
                                  headers=answer.headers)
    response.content_length = len(start) + filler + 1 + len(end)
    await response.prepare(exchange.request)
    await response.write(start)
    while filler:
        size = min(filler, _CHUNK)
        await response.write(b"a" * size)
        filler -= size
    await response.write(b'"' + end)
    return response


async def _compressed(exchange: Exchange) -> web.StreamResponse:
    answer = exchange.true_answer()
    packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    if exchange.rule["bytes"]:
        start, end = _open_object(answer.body, b',"Padding":"')
        packed = [packer.compress(start)]
        filler = max(0, exchange.rule["bytes"] - len(start) - len(end) - 1)
        while filler:
            size = min(filler, 1 << 20)
            packed.append(packer.compress(b"a" * size))
            filler -= size
            await asyncio.sleep(0)
        packed.append(packer.compress(b'"' + end))
    else:
        packed = [packer.compress(answer.body)]
    packed.append(packer.flush())
    return web.Response(
        status=answer.status, body=b"".join(packed),
        headers={**answer.headers, "Content-Encoding": "gzip"})


async def _deep(exchange: Exchange) -> web.StreamResponse:
    answer, levels = exchange.true_answer(), exchange.rule["levels"]
    start, end = _open_object(answer.body, b',"Deep":')
    return plain(Response(answer.status, answer.headers,
                          start + b"[" * levels + b"]" * levels + end))


async def _cyclic(exchange: Exchange) -> web.StreamResponse:
    answer = exchange.true_answer()
    body = _decoded(answer)
    itself = exchange.target

    def turn(value: Any) -> Any:
        if isinstance(value, list):
            return [turn(item) for item in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"@odata.id"}:
            return {"@odata.id": itself}
        return {name: turn(item) for name, item in value.items()}

    body = turn(body)
    if isinstance(body, dict) and "Members" in body:
        body["Members@odata.nextLink"] = itself
    return _encoded(answer, body)


async def _pages(exchange: Exchange) -> web.StreamResponse:
    path = exchange.target.partition("?")[0]
    answer = exchange.handle(path, exchange.body)
    body = _decoded(answer)
    if isinstance(body, dict):
        body["Members@odata.nextLink"] = (
            f"{path}?$skip={exchange.rule.seen}")
    return _encoded(answer, body)


async def _endless(exchange: Exchange) -> web.StreamResponse:
    answer = exchange.true_answer()
    response = web.StreamResponse(status=answer.status, headers={
        name: value for name, value in answer.headers.items()
        if name != "Content-Length"})
    response.enable_chunked_encoding()
    await response.prepare(exchange.request)
    start, _ = _open_object(answer.body, b',"Padding":"')
    await response.write(start)
    left = exchange.rule["bytes"] or float("inf")
    while left > 0 and exchange.rules.get(exchange.rule.id):
        # Raises ConnectionResetError when the client has had enough.
        await response.write(b"a" * _CHUNK)
        left -= _CHUNK
        await asyncio.sleep(0)
    return _abort(exchange)


async def _garbage(exchange: Exchange) -> web.StreamResponse:
    exchange.true_answer()
    return web.Response(status=200, text=exchange.rule["text"],
                        content_type=exchange.rule["type"])


async def _rewrite(exchange: Exchange) -> web.StreamResponse:
    answer, rule = exchange.true_answer(), exchange.rule
    headers = dict(answer.headers)
    if "Location" in headers:
        headers["Location"] = rule["pattern"].sub(
            rule["replacement"], headers["Location"])
    body = rule["pattern"].sub(rule["replacement"],
                               answer.body.decode()).encode()
    return plain(Response(answer.status, headers, body))


async def _alter(exchange: Exchange) -> web.StreamResponse:
    rule = exchange.rule
    text = exchange.body.decode("utf-8", "replace")
    return plain(exchange.handle(exchange.target, rule["pattern"].sub(
        rule["replacement"], text).encode()))


async def _stale(exchange: Exchange) -> web.StreamResponse:
    known: dict[str, Response] = exchange.rule.remembered
    if exchange.target not in known:
        known[exchange.target] = exchange.true_answer()
    return plain(known[exchange.target])


async def _crash(exchange: Exchange) -> web.StreamResponse:
    exchange.take_effect()
    os.kill(os.getpid(), signal.SIGKILL)
    return web.Response()


_PERFORM: dict[str, Callable[[Exchange], Awaitable[web.StreamResponse]]] = {
    "status": _status, "deny": _status, "pretend": _status, "reset": _reset,
    "hang": _hang, "truncate": _truncate, "drip": _drip, "giant": _giant,
    "compressed": _compressed, "deep": _deep, "cyclic": _cyclic,
    "pages": _pages, "endless": _endless, "garbage": _garbage,
    "rewrite": _rewrite, "alter": _alter, "stale": _stale, "crash": _crash,
}


def _abort(exchange: Exchange) -> web.Response:
    """Reset the connection; what is returned goes nowhere."""
    transport = exchange.request.transport
    if transport:
        plug = transport.get_extra_info("socket")
        if plug is not None:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    return web.Response()


def _head(answer: Response) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    lines += [f"Content-Length: {len(answer.body)}", "Connection: close",
              "", ""]
    return "\r\n".join(lines).encode()


def _open_object(body: bytes, middle: bytes) -> tuple[bytes, bytes]:
    """``body`` in two, so that ``middle`` and a value fit in between."""
    if body.startswith(b"{") and len(body) > 2:
        return body[:-1] + middle, b"}"
    return b"{" + middle[1:], b"}"


def _decoded(answer: Response) -> Any:
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None


def _encoded(answer: Response, body: Any) -> web.Response:
    if body is None:
        return plain(answer)
    return plain(Response(answer.status, answer.headers,
                          orjson.dumps(body)))
