# SPDX-License-Identifier: Apache-2.0
"""How a test runs and talks to a simulator."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from typing import Any

import urllib3

ROOT = "/redfish/v1"
SYSTEMS = f"{ROOT}/Systems"
BLOCKS = f"{ROOT}/CompositionService/ResourceBlocks"
ZONES = f"{ROOT}/CompositionService/ResourceZones"
SESSIONS = f"{ROOT}/SessionService/Sessions"

BASIC = urllib3.make_headers(basic_auth="admin:password")
_BOUND = 120.0


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "valence.simulator", *args]


def poll(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of ``condition``, within a bound."""
    deadline = time.monotonic() + _BOUND
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.01)


class Reply:
    """A response, with its body read and decoded where it is JSON."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.raw = response.data
        kind = response.headers.get("Content-Type", "")
        is_json = self.raw and kind.startswith("application/json")
        self.body: Any = json.loads(self.raw) if is_json else None

    @property
    def error(self) -> str:
        """The registry and key of the error, without its version."""
        parts = self.body["error"]["code"].split(".")
        return f"{parts[0]}.{parts[-1]}"


class Simulator:
    """A simulator process and an HTTP client of it."""

    def __init__(self, *args: str) -> None:
        self.process = subprocess.Popen(
            command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        ready = json.loads(line)
        assert ready["pid"] == self.process.pid
        self.ready = ready
        self.url: str = ready["url"]
        self.pool = urllib3.PoolManager(maxsize=32, retries=False,
                                        cert_reqs="CERT_NONE",
                                        assert_hostname=False)

    def request(self, method: str, path: str, body: Any = None,
                headers: dict[str, str] | None = None,
                auth: bool = True) -> Reply:
        sent = dict(BASIC) if auth else {}
        content = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            content = (body if isinstance(body, bytes)
                       else json.dumps(body).encode())
        sent.update(headers or {})
        return Reply(self.pool.request(method, self.url + path, body=content,
                                       headers=sent, timeout=_BOUND))

    def get(self, path: str, **kwargs: Any) -> Any:
        reply = self.request("GET", path, **kwargs)
        assert reply.status == 200, (path, reply.status, reply.raw)
        return reply.body

    def members(self, path: str) -> list[str]:
        return [m["@odata.id"] for m in self.get(path)["Members"]]

    def compose(self, name: str, *blocks: str, **kwargs: Any) -> Reply:
        return self.request("POST", SYSTEMS, composition(name, *blocks),
                            **kwargs)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.pool.clear()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=_BOUND)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        return self.process.returncode


def composition(name: str, *blocks: str) -> dict[str, Any]:
    """The body that composes ``blocks``, which are given by their Id."""
    return {"Name": name, "Links": {"ResourceBlocks": [
        {"@odata.id": f"{BLOCKS}/{block}"} for block in blocks]}}


class SimulatorTestCase(unittest.TestCase):
    """One simulator per test, with a ledger."""

    args: tuple[str, ...] = ()

    def setUp(self) -> None:
        super().setUp()
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.directory = scratch.name
        self.ledger_path = os.path.join(self.directory, "ledger")
        self.sim = self.start(*self.args)

    def start(self, *args: str) -> Simulator:
        sim = Simulator("--ledger", self.ledger_path, *args)
        self.addCleanup(sim.stop)
        return sim

    def ledger(self, *effects: str) -> list[dict[str, Any]]:
        with open(self.ledger_path, encoding="utf-8") as lines:
            entries = [json.loads(line) for line in lines]
        return [e for e in entries if not effects or e["effect"] in effects]

    def assert_refused(self, reply: Reply, status: int, error: str) -> None:
        self.assertEqual((status, error), (reply.status, reply.error))
