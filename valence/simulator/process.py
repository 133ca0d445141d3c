# SPDX-License-Identifier: Apache-2.0
"""The life of a simulator process, from its arguments to its exit code.

When every pod listens, one line is printed: a JSON object with ``url`` (of
the first pod), ``pid``, ``pods`` (the URL of each by its name) and, where
there is an admin endpoint, ``admin``, its URL.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import orjson

from valence.simulator import admin, options, pods, server
from valence.simulator.faults import Rules
from valence.simulator.ledger import JsonLines, Ledger

_JOURNAL = "journal.jsonl"


class CannotStart(Exception):
    """Why the simulator cannot start, in one sentence."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    # aiohttp reports every malformed request with a traceback.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    try:
        told = options.parse(argv)
        asyncio.run(_serve(told))
    except (options.OptionsError, CannotStart) as error:
        print(f"{options.PROG}: {error}", file=sys.stderr)
        return 2 if isinstance(error, options.OptionsError) else 1
    except SystemExit as leaving:  # --help and --version
        return int(leaving.code or 0)
    return 0


async def _serve(told: options.Options) -> None:
    async with contextlib.AsyncExitStack() as stack:
        entries: dict[str, admin.Entry] = {}
        listeners = []
        for one in told.pods:
            entry, listener = _pod(one, stack)
            entries[one.name] = entry
            listeners.append((entry, listener, one.conf))
        # The inventory lives as long as the process; collecting it over and
        # over would only stall requests.
        gc.collect()
        gc.freeze()
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        for entry, listener, conf in listeners:
            entry.url = await _listen(listener, conf.host, conf.port, stack)
            base = getattr(pods.kind(entry.kind), "BASE", "")
            entry.url += base
        ready: dict[str, Any] = {
            "url": next(iter(entries.values())).url, "pid": os.getpid(),
            "pods": {name: entry.url for name, entry in entries.items()}}
        if told.admin_port is not None:
            ready["admin"] = await _listen(
                server.Server(admin.handler(entries, told.admin_token),
                              "127.0.0.1", told.admin_port, None),
                "127.0.0.1", told.admin_port, stack)
        print(orjson.dumps(ready).decode(), flush=True)
        await stopped.wait()
        for entry in entries.values():
            entry.rules.clear()


def _pod(one: options.PodOptions, stack: contextlib.AsyncExitStack
         ) -> tuple[admin.Entry, server.Server]:
    conf = one.conf
    journal = None
    if one.state:
        try:
            os.makedirs(one.state, exist_ok=True)
        except OSError as error:
            raise CannotStart(f"cannot keep state in {one.state}: "
                              f"{_reason(error)}.") from error
        journal = os.path.join(one.state, _JOURNAL)
    try:
        ledger = Ledger(conf.ledger, journal)
    except OSError as error:
        raise CannotStart(f"cannot write the ledger {error.filename}: "
                          f"{_reason(error)}.") from error
    stack.callback(ledger.close)
    request_log = None
    if conf.request_log:
        request_log = _open(conf.request_log, "request log", JsonLines)
        stack.callback(request_log.close)
    tls = None
    if conf.tls_cert:
        try:
            tls = server.tls_context(conf.tls_cert, conf.tls_key)
        except OSError as error:
            raise CannotStart(
                f"cannot use the certificate {conf.tls_cert} with the "
                f"key {conf.tls_key}: {_reason(error)}.") from error
    site = pods.Site(one.name, ledger,
                     asyncio.get_running_loop().call_later)
    try:
        pod = pods.kind(one.kind).build(conf, site)
    except pods.CannotBuild as error:
        raise CannotStart(f"pod {one.name}: {error}") from error
    tasks = getattr(pods.kind(one.kind), "TASKS", False)
    entry = admin.Entry(one.name, one.kind, pod, Rules(tasks))
    return entry, server.Server(
        server.handler(entry, conf.latency, request_log), conf.host,
        conf.port, tls)


async def _listen(listener: server.Server, host: str, port: int,
                  stack: contextlib.AsyncExitStack) -> str:
    stack.push_async_callback(listener.stop)
    try:
        return await listener.start()
    except OSError as error:
        raise CannotStart(f"cannot listen on {host} port {port}: "
                          f"{_reason(error)}.") from error


_Opened = TypeVar("_Opened", Ledger, JsonLines)


def _open(path: str, what: str,
          opener: Callable[[str], _Opened]) -> _Opened:
    try:
        return opener(path)
    except OSError as error:
        raise CannotStart(f"cannot write the {what} {path}: "
                          f"{_reason(error)}.") from error


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
