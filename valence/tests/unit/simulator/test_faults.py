# SPDX-License-Identifier: Apache-2.0
"""What the admin endpoint makes of a pod."""

import gzip
import http.client
import json
import os
import socket
import tempfile
import threading
import time
import unittest
import urllib.parse

import urllib3

from valence.simulator.admin_client import AdminClient, AdminError
from valence.tests.unit.simulator import base
from valence.tests.unit.simulator.base import BLOCKS, ROOT, SYSTEMS


class FaultCase(base.SimulatorTestCase):
    args = ("--admin-port", "0")

    def setUp(self):
        super().setUp()
        self.admin = AdminClient(self.sim.ready["admin"])

    def raw(self, path, method="GET", timeout=120):
        """Everything the pod sends until it closes the connection."""
        at = urllib.parse.urlsplit(self.sim.url)
        with socket.create_connection((at.hostname, at.port),
                                      timeout) as plug:
            head = [f"{method} {path} HTTP/1.1", "Host: pod",
                    "Connection: close", *(
                        f"{name}: {value}"
                        for name, value in base.BASIC.items()), "", ""]
            plug.sendall("\r\n".join(head).encode())
            received = b""
            while chunk := plug.recv(65536):
                received += chunk
        return received

    def composed(self):
        return [entry["name"] for entry in self.ledger("compose")]


class TestRules(FaultCase):

    def test_which_requests_are_hit(self):
        first = self.admin.inject("status", path=f"{BLOCKS}/nvme-*",
                                  method="GET", nth=[2, 3], status=503,
                                  headers={"Retry-After": "1"})
        statuses = [self.sim.request("GET", f"{BLOCKS}/{block}").status
                    for block in ("nvme-1", "gpu-1", "nvme-2", "nvme-3",
                                  "nvme-4")]
        self.assertEqual([200, 200, 503, 503, 200], statuses)
        rule = self.admin.rule(first)
        self.assertEqual((4, 2), (rule["seen"], rule["fired"]))
        self.admin.inject("status", times=1, status=502, body="<b>no</b>")
        reply = self.sim.request("GET", SYSTEMS)
        self.assertEqual((502, b"<b>no</b>"), (reply.status, reply.raw))
        self.assertEqual(200, self.sim.request("GET", SYSTEMS).status)
        self.admin.remove(first)
        with self.assertRaises(AdminError) as caught:
            self.admin.rule(first)
        self.assertEqual(404, caught.exception.status)

    def test_probability_is_drawn_from_the_seed(self):
        def draw(seed):
            number = self.admin.inject("status", probability=0.5, seed=seed)
            drawn = [self.sim.request("GET", SYSTEMS).status
                     for _ in range(24)]
            self.admin.remove(number)
            return drawn

        first = draw(7)
        self.assertEqual(first, draw(7))
        self.assertNotEqual(first, draw(8))
        self.assertEqual({200, 500}, set(first))

    def test_what_is_no_rule(self):
        for rule in ({"fault": "meteor"}, {"fault": "reset", "size": 1},
                     {"fault": "latency", "seconds": "long"},
                     {"fault": "latency", "seconds": -1},
                     {"fault": "stale", "effect": True},
                     {"fault": "rewrite", "pattern": "("},
                     {"fault": "status", "nth": [True]}):
            with self.assertRaises(AdminError, msg=rule) as caught:
                self.admin.inject(**rule)
            self.assertEqual(400, caught.exception.status)
        self.assertEqual([], self.admin._call(
            "GET", "/pods/redfish/rules")["rules"])

    def test_endpoint_is_not_on_the_pod_and_wants_its_token(self):
        for path in ("/", "/pods", "/pods/redfish/rules"):
            self.assertNotEqual(200, self.sim.request("GET", path).status)
        sim = self.start("--admin-port", "0", "--admin-token", "sesame")
        self.assertTrue(sim.ready["admin"].startswith("http://127.0.0.1:"))
        with self.assertRaises(AdminError) as caught:
            AdminClient(sim.ready["admin"]).pods()
        self.assertEqual(401, caught.exception.status)
        self.assertEqual("redfish", AdminClient(
            sim.ready["admin"], "sesame").pods()[0]["name"])


class TestEffects(FaultCase):

    def test_reset_before_and_after_the_effect(self):
        for number, (effect, expected) in enumerate(
                ((False, []), (True, ["node"])), 1):
            self.admin.inject("reset", method="POST", nth=1, effect=effect)
            with self.assertRaises(urllib3.exceptions.ProtocolError):
                self.sim.compose("node", f"compute-{number}")
            self.assertEqual(expected, self.composed())
            self.admin.clear()

    def test_lies(self):
        self.admin.inject("pretend", method="POST", status=201,
                          location=f"{SYSTEMS}/composed-1")
        reply = self.sim.compose("node", "compute-1")
        self.assertEqual((201, f"{SYSTEMS}/composed-1"),
                         (reply.status, reply.headers["Location"]))
        self.assertEqual([], self.ledger())
        self.admin.clear()
        self.admin.inject("deny", method="POST", nth=1)
        self.assertEqual(500, self.sim.compose("node", "compute-1").status)
        self.assertEqual(["node"], self.composed())
        self.admin.inject("pretend", method="DELETE")
        system, = self.sim.members(SYSTEMS)
        self.assertEqual(204, self.sim.request("DELETE", system).status)
        self.assertEqual([system], self.sim.members(SYSTEMS))

    def test_stale_reads(self):
        self.admin.inject("stale", path=SYSTEMS)
        self.assertEqual([], self.sim.members(SYSTEMS))
        self.sim.compose("node", "compute-1")
        self.assertEqual([], self.sim.members(SYSTEMS))
        self.admin.clear()
        self.assertEqual(1, len(self.sim.members(SYSTEMS)))

    def test_any_call_can_be_a_task(self):
        self.admin.inject("task", method="PATCH", seconds=0)
        self.admin.inject("task", method="POST", seconds=30)
        reply = self.sim.compose("node", "compute-1")
        self.assertEqual(202, reply.status)
        self.assertEqual([], self.composed())
        sim = self.start("--tasks", "--admin-port", "0")
        admin = AdminClient(sim.ready["admin"])
        self.assertEqual(202, sim.compose("a", "compute-1").status)
        admin.inject("immediate")
        self.assertEqual(201, sim.compose("b", "compute-3").status)

    def test_crash_between_effect_and_answer(self):
        self.admin.inject("crash", method="POST", nth=1)
        with self.assertRaises(urllib3.exceptions.HTTPError):
            self.sim.compose("node", "compute-1")
        self.assertEqual(-9, self.sim.process.wait(120))
        self.assertEqual(["node"], self.composed())


class TestAnswers(FaultCase):

    def test_hang_lasts_as_long_as_its_rule(self):
        number = self.admin.inject("hang", path=SYSTEMS)
        ended = []

        def ask():
            try:
                self.sim.request("GET", SYSTEMS)
            except urllib3.exceptions.HTTPError as error:
                ended.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        self.admin.wait(number)
        self.sim.get(BLOCKS)
        self.assertEqual([], ended)
        self.admin.clear()
        thread.join(120)
        self.assertEqual(1, len(ended))

    def test_latency_adds_up(self):
        for _ in range(2):
            self.admin.inject("latency", path=SYSTEMS, seconds=0.1)
        start = time.monotonic()
        self.sim.get(SYSTEMS)
        self.assertGreaterEqual(time.monotonic() - start, 0.19)

    def test_drip_and_truncate(self):
        body = self.sim.request("GET", SYSTEMS).raw
        self.admin.inject("drip", nth=1, bytes=50, seconds=0.001)
        self.admin.inject("truncate", nth=2, bytes=10)
        self.assertTrue(self.raw(SYSTEMS).endswith(body))
        cut = self.raw(SYSTEMS)
        self.assertIn(f"Content-Length: {len(body)}".encode(), cut)
        self.assertTrue(cut.endswith(b"\r\n\r\n" + body[:10]))

    def test_too_much(self):
        self.admin.inject("giant", nth=1, bytes=1 << 20)
        self.admin.inject("compressed", nth=2, bytes=1 << 22)
        self.admin.inject("deep", nth=3, levels=5000)
        giant = self.sim.request("GET", SYSTEMS)
        self.assertEqual(1 << 20, len(giant.raw))
        self.assertEqual([], giant.body["Members"])
        at = urllib.parse.urlsplit(self.sim.url)
        connection = http.client.HTTPConnection(at.hostname, at.port)
        connection.request("GET", SYSTEMS, headers=base.BASIC)
        packed = connection.getresponse()
        self.assertEqual("gzip", packed.headers["Content-Encoding"])
        content = packed.read()
        connection.close()
        self.assertLess(len(content), 1 << 16)
        whole = gzip.decompress(content)
        self.assertEqual(1 << 22, len(whole))
        self.assertEqual([], json.loads(whole)["Members"])
        deep = self.raw(SYSTEMS)
        self.assertIn(b"[" * 5000 + b"]" * 5000, deep)

    def test_endless_ends_with_its_rule_or_its_bytes(self):
        self.admin.inject("endless", nth=1, bytes=1 << 20)
        with self.assertRaises(ConnectionResetError):
            self.raw(SYSTEMS)
        number = self.admin.inject("endless", path=BLOCKS)
        thread = threading.Thread(target=lambda: self.assertRaises(
            OSError, self.raw, BLOCKS))
        thread.start()
        self.admin.wait(number)
        self.sim.get(SYSTEMS)
        self.admin.clear()
        thread.join(120)
        self.assertFalse(thread.is_alive())

    def test_round_and_round(self):
        self.admin.inject("cyclic", path=BLOCKS)
        body = self.sim.get(BLOCKS)
        self.assertEqual({BLOCKS}, {
            member["@odata.id"] for member in body["Members"]})
        self.assertEqual(BLOCKS, body["Members@odata.nextLink"])
        self.admin.clear()
        self.admin.inject("pages", path=BLOCKS)
        path, seen = BLOCKS, set()
        for _ in range(5):
            path = self.sim.get(path)["Members@odata.nextLink"]
            seen.add(path)
        self.assertEqual(5, len(seen))

    def test_nonsense(self):
        self.admin.inject("garbage", path=SYSTEMS)
        reply = self.sim.request("GET", SYSTEMS)
        self.assertEqual(200, reply.status)
        self.assertTrue(reply.raw.startswith(b"<html>"))
        self.admin.clear()
        self.admin.inject("rewrite", pattern='"Reserved":false',
                          replacement='"Reserved":"false"')
        block = self.sim.get(f"{BLOCKS}/gpu-1")
        self.assertEqual("false", block["CompositionStatus"]["Reserved"])


class TestChanges(FaultCase):

    def _state(self, block):
        return self.sim.get(f"{BLOCKS}/{block}")["CompositionStatus"][
            "CompositionState"]

    def test_behind_the_back(self):
        system = self.admin.change("compose", name="theirs", blocks=[
            "compute-1", "nvme-1"])["system"]
        self.assertEqual("Composed", self._state("nvme-1"))
        self.assertEqual("theirs", self.sim.get(system)["Name"])
        self.admin.change("power", system=system, reset_type="On")
        self.assertEqual("On", self.sim.get(system)["PowerState"])
        self.admin.change("decompose", system=system)
        self.assertEqual("Unused", self._state("nvme-1"))
        self.assertEqual({"admin"}, {e["origin"] for e in self.ledger()})
        # The next one is not the same, until ids are used again.
        other = self.sim.compose("ours", "compute-1").headers["Location"]
        self.assertNotEqual(system, other)
        self.admin.change("reuse-ids")
        again = self.sim.compose("again", "compute-3").headers["Location"]
        self.assertEqual(system, again)

    def test_blocks_fail_and_vanish(self):
        before = self.sim.get(f"{BLOCKS}/gpu-1")
        self.admin.change("fail", blocks=["gpu-1"])
        self.assertEqual("Failed", self._state("gpu-1"))
        self.assert_refused(self.sim.compose("x", "compute-1", "gpu-1"),
                            409, "Composition.ResourceBlockInUse")
        self.admin.change("repair", blocks=["gpu-1"])
        self.assertEqual("Unused", self._state("gpu-1"))
        self.admin.change("vanish", blocks=["gpu-1"])
        self.assertEqual(404, self.sim.request(
            "GET", f"{BLOCKS}/gpu-1").status)
        self.assertNotIn(f"{BLOCKS}/gpu-1", self.sim.members(BLOCKS))
        self.assert_refused(self.sim.compose("x", "compute-1", "gpu-1"),
                            400, "Composition.ResourceBlockNotFound")
        self.admin.change("return", blocks=["gpu-1"])
        after = self.sim.get(f"{BLOCKS}/gpu-1")
        self.assertNotEqual(before.pop("@odata.etag"),
                            after.pop("@odata.etag"))
        self.assertEqual(before, after)

    def test_sessions_end(self):
        reply = self.sim.request(
            "POST", base.SESSIONS,
            {"UserName": "admin", "Password": "password"}, auth=False)
        token = {"X-Auth-Token": reply.headers["X-Auth-Token"]}
        self.sim.get(SYSTEMS, headers=token, auth=False)
        self.assertEqual({"sessions": 1},
                         self.admin.change("expire-sessions"))
        self.assertEqual(401, self.sim.request(
            "GET", SYSTEMS, headers=token, auth=False).status)

    def test_what_is_no_change(self):
        for change in ({"what": "explode"},
                       {"what": "vanish", "blocks": ["nope"]},
                       {"what": "power", "system": "nope"},
                       {"what": "compose", "blocks": ["nvme-1"]}):
            with self.assertRaises(AdminError, msg=change) as caught:
                self.admin.change(**change)
            self.assertEqual(400, caught.exception.status)


class TestSeveralPods(unittest.TestCase):

    def setUp(self):
        super().setUp()
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.directory = scratch.name

    def _start(self, *args):
        sim = base.Simulator(*args)
        self.addCleanup(sim.stop)
        return sim

    def test_each_has_its_own(self):
        ledgers = [os.path.join(self.directory, name) for name in "ab"]
        sim = self._start(
            "--admin-port", "0", "--password", "shared",
            "--pod", f"redfish,name=a,seed=1,ledger={ledgers[0]}",
            "--pod", f"redfish,name=b,seed=2,ledger={ledgers[1]},"
                     "composition-styles=specific,constrained,expand=false")
        self.assertEqual(["a", "b"], list(sim.ready["pods"]))
        auth = urllib3.make_headers(basic_auth="admin:shared")
        roots = {}
        for name, url in sim.ready["pods"].items():
            sim.url = url
            roots[name] = sim.get(f"{ROOT}/", headers=auth)
        self.assertNotEqual(roots["a"]["UUID"], roots["b"]["UUID"])
        self.assertNotIn("ExpandQuery",
                         roots["b"]["ProtocolFeaturesSupported"])
        admin = AdminClient(sim.ready["admin"], pod="a")
        admin.inject("status")
        admin.change("compose", pod="b", blocks=["compute-1"])
        self.assertEqual(200, sim.request("GET", SYSTEMS,
                                          headers=auth).status)
        sim.url = sim.ready["pods"]["a"]
        self.assertEqual(500, sim.request("GET", SYSTEMS,
                                          headers=auth).status)
        self.assertEqual([0, 1], [os.path.getsize(path) > 0
                                  for path in ledgers])

    def test_every_kind_in_one_process(self):
        state = os.path.join(self.directory, "state")
        sim = self._start("--state", state, "--pod", "redfish",
                          "--pod", "rsd", "--pod", "eem,auth=none",
                          "--pod", "redfish,systems=1")
        self.assertEqual(["redfish", "rsd", "eem", "redfish-2"],
                         list(sim.ready["pods"]))
        self.assertEqual(set(sim.ready["pods"]), set(os.listdir(state)))
        for kind, path in (("redfish", SYSTEMS), ("rsd", SYSTEMS),
                           ("eem", "/devices"), ("redfish-2", SYSTEMS)):
            sim.url = sim.ready["pods"][kind]
            sim.get(path)

    def test_no_task_where_there_are_none(self):
        sim = self._start("--admin-port", "0", "--pod", "redfish",
                          "--pod", "rsd", "--pod", "eem")
        admin = AdminClient(sim.ready["admin"])
        for fault in ("task", "immediate"):
            admin.inject(fault, pod="redfish")
            for pod in ("rsd", "eem"):
                with self.assertRaises(AdminError) as caught:
                    admin.inject(fault, pod=pod)
                self.assertEqual(400, caught.exception.status)
                self.assertIn("has no tasks", str(caught.exception))

    def test_sections_of_a_file(self):
        path = os.path.join(self.directory, "pods.conf")
        with open(path, "w", encoding="utf-8") as conf:
            conf.write("[DEFAULT]\nseed = 5\n[pod:left]\nnvme = 3\n"
                       "[pod:right]\nkind = redfish\npage-size = 2\n")
        sim = self._start("--config-file", path)
        self.assertEqual(["left", "right"], list(sim.ready["pods"]))
        counts = []
        for url in sim.ready["pods"].values():
            sim.url = url
            counts.append(len(sim.get(BLOCKS)["Members"]))
        self.assertEqual([8 + 3 + 8 + 8, 2], counts)

    def test_what_cannot_be(self):
        for args, reason in (
                (("--pod", "toaster"), "toaster"),
                (("--pod", "redfish,colour=red"), "colour"),
                (("--pod", "redfish,nvme=x"), "nvme"),
                (("--pod", "redfish,attach"), "attach"),
                (("--pod", "redfish", "--port", "1"), "--port"),
                (("--pod", "redfish,name=a", "--pod", "redfish,name=a"),
                 "named"),
                (("--pod", "redfish,expandable=true"), "attach"),
                (("--pod", "redfish,composition-styles=none,specific"),
                 "composition-styles"),
                (("--pod", "redfish,expand=perhaps"), "expand")):
            with self.subTest(args=args):
                with self.assertRaises(AssertionError) as caught:
                    base.Simulator(*args)
                complaint = str(caught.exception)
                self.assertIn(reason, complaint)
                self.assertEqual(1, len(complaint.splitlines()), complaint)
