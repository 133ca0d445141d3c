# SPDX-License-Identifier: Apache-2.0
"""How a simulated pod is served over HTTP."""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod

from valence.simulator import wicked
from valence.simulator.admin import Entry
from valence.simulator.ledger import JsonLines
from valence.simulator.pods import Request, Response

LOG = logging.getLogger(__name__)

_SHUTDOWN_TIMEOUT = 2.0
_HEADERS = {"OData-Version": "4.0"}


def tls_context(cert: str, key: str) -> ssl.SSLContext:
    """A server context of at least TLS 1.2; raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    return context


def handler(entry: Entry, latency: float, request_log: JsonLines | None
            ) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """The function that answers every HTTP request to a pod."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            entry.requests += 1
            if request_log:
                request_log.append({"time": time.time(),
                                    "method": request.method,
                                    "path": request.raw_path})
            hit = entry.rules.meet(request.method,
                                   request.raw_path.partition("?")[0])
            wait = latency + hit.latency
            if wait:
                await asyncio.sleep(wait)
            body = await request.read()

            # Nothing is awaited in here: requests take effect one by one.
            def take_effect(target: str, content: bytes) -> Response:
                return entry.pod.handle(Request(
                    request.method, target, request.headers, content,
                    hit.delay))

            if hit.rule:
                return await wicked.perform(wicked.Exchange(
                    request, entry.rules, hit.rule, body,
                    take_effect))
            return wicked.plain(take_effect(request.raw_path, body))
        except web.HTTPRequestEntityTooLarge:
            return _refuse(413, "PayloadTooLarge",
                           "The request body is larger than accepted.")
        except ConnectionError:
            # The client left before its answer was complete.
            return web.Response()
        except Exception:
            LOG.exception("Failed to answer %s %s", request.method,
                          request.raw_path)
            return _refuse(500, "InternalError", "The service failed.")

    return handle


def _refuse(status: int, key: str, text: str) -> web.Response:
    code = f"Base.1.18.{key}"
    return web.json_response(
        {"error": {"code": code, "message": text, "@Message.ExtendedInfo": [
            {"MessageId": code, "Message": text}]}},
        status=status, headers=_HEADERS)


class _Protocol(web.RequestHandler):
    """Refuses a method that HTTP does not know as DSP0266 section 7.2 has
    it, and not as a malformed request.
    """

    __slots__ = ()

    def handle_error(self, request: web.BaseRequest, status: int = 500,
                     exc: BaseException | None = None,
                     message: str | None = None) -> web.StreamResponse:
        if isinstance(exc, BadHttpMethod):
            answer = _refuse(501, "OperationNotAllowed",
                             "The HTTP method is not known.")
            answer.force_close()
            return answer
        return super().handle_error(request, status, exc, message)


class _WebServer(web.Server):
    def __call__(self) -> web.RequestHandler:
        options: dict[str, Any] = {"access_log": None}
        return _Protocol(self, loop=asyncio.get_running_loop(), **options)


class Server:
    """A listening socket in front of a handler."""

    def __init__(self, handle: Callable[[web.BaseRequest],
                                        Awaitable[web.StreamResponse]],
                 host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._runner = web.ServerRunner(
            _WebServer(handle),
            shutdown_timeout=_SHUTDOWN_TIMEOUT)
        self._host = host
        self._port = port
        self._tls = tls

    async def start(self) -> str:
        """Listen; returns the URL. Raises OSError."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port,
                           ssl_context=self._tls)
        await site.start()
        port = self._runner.addresses[0][1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{port}"

    async def stop(self) -> None:
        await self._runner.cleanup()
