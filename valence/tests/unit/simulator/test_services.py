# SPDX-License-Identifier: Apache-2.0
"""Tasks, sessions, events, accounts and registries."""

import contextlib
import http.server
import json
import queue
import threading

import urllib3

from valence.simulator.admin_client import AdminClient
from valence.tests.unit.simulator import base
from valence.tests.unit.simulator.base import (
    BLOCKS,
    ROOT,
    SESSIONS,
    SYSTEMS,
)

ACCOUNTS = f"{ROOT}/AccountService/Accounts"
SUBSCRIPTIONS = f"{ROOT}/EventService/Subscriptions"


class TestTasks(base.SimulatorTestCase):
    args = ("--tasks", "--task-delay", "600", "--task-calls", "all",
            "--admin-port", "0", "--attach", "action")

    def setUp(self):
        super().setUp()
        self.admin = AdminClient(self.sim.ready["admin"])

    def _state(self, block):
        return self.sim.get(f"{BLOCKS}/{block}")["CompositionStatus"][
            "CompositionState"]

    def test_cancelled_task_did_nothing(self):
        for number, cancel in ((1, "task"), (3, "monitor")):
            reply = self.sim.compose("a", f"compute-{number}")
            self.assertEqual(202, reply.status)
            uris = {"task": reply.body["@odata.id"],
                    "monitor": reply.headers["Location"]}
            self.assertEqual("Composing", self._state(f"compute-{number}"))
            self.assertEqual(204, self.sim.request(
                "DELETE", uris[cancel]).status)
            self.assertEqual("Unused", self._state(f"compute-{number}"))
            self.assertEqual(404, self.sim.request(
                "GET", uris["monitor"]).status)
            self.assertEqual("Cancelled",
                             self.sim.get(uris["task"])["TaskState"])
            self.assertEqual(204, self.sim.request(
                "DELETE", uris["task"]).status)
            self.assertEqual(404, self.sim.request(
                "GET", uris["task"]).status)
        self.assertEqual([], self.ledger("compose"))

    def test_every_change_can_be_a_task(self):
        self.admin.inject("immediate", nth=1, method="POST")
        system = self.sim.compose("a", "compute-1").headers["Location"]
        reset = f"{system}/Actions/ComputerSystem.Reset"
        for method, path, body in (
                ("POST", reset, {"ResetType": "On"}),
                ("PATCH", system, {"Boot": {
                    "BootSourceOverrideTarget": "Pxe"}}),
                ("PATCH", f"{BLOCKS}/gpu-1",
                 {"CompositionStatus": {"Reserved": True}}),
                ("POST", f"{system}/Actions/"
                 "ComputerSystem.AddResourceBlock",
                 {"ResourceBlock": {"@odata.id": f"{BLOCKS}/gpu-1"}}),
                ("DELETE", system, None)):
            self.assertEqual(202, self.sim.request(
                method, path, body).status, path)
        self.assertEqual(["compose"], [
            entry["effect"] for entry in self.ledger()])
        # What is wrong is refused at once.
        self.assertEqual(400, self.sim.request(
            "POST", reset, {"ResetType": "Fly"}).status)

    def test_task_whose_time_has_passed_fails(self):
        self.admin.inject("task", seconds=0.2, method="PATCH")
        self.admin.inject("immediate", method="DELETE")
        self.admin.inject("immediate", method="POST")
        system = self.sim.compose("a", "compute-1").headers["Location"]
        late = self.sim.request("PATCH", system, {"Boot": {
            "BootSourceOverrideTarget": "Pxe"}})
        self.assertEqual(204, self.sim.request("DELETE", system).status)
        monitor = late.headers["Location"]
        base.poll(lambda: self.sim.request("GET", monitor).status == 404,
                  "end of the task")
        self.assertEqual("Exception", self.sim.get(
            late.body["@odata.id"])["TaskState"])

    def test_monitor_vanishes(self):
        sim = self.start("--tasks", "--task-delay", "0",
                         "--vanish-monitors")
        reply = sim.compose("a", "compute-1")
        base.poll(lambda: sim.request(
            "GET", reply.headers["Location"]).status == 404, "vanishing")
        self.assertEqual("Completed", sim.get(
            reply.body["@odata.id"])["TaskState"])
        self.assertEqual(1, len(sim.members(SYSTEMS)))


class TestSessions(base.SimulatorTestCase):
    args = ("--session-timeout", "1",)

    def test_idle_session_ends(self):
        self.assertEqual(1, self.sim.get(
            f"{ROOT}/SessionService")["SessionTimeout"])
        reply = self.sim.request("POST", SESSIONS, {
            "UserName": "admin", "Password": "password"}, auth=False)
        session = reply.headers["Location"]
        token = {"X-Auth-Token": reply.headers["X-Auth-Token"]}
        self.sim.get(SYSTEMS, headers=token, auth=False)
        # A login looks for sessions that are over.
        base.poll(lambda: self.sim.request("POST", SESSIONS, {
            "UserName": "admin", "Password": "password"},
            auth=False).status == 201 and session not in
            self.sim.members(SESSIONS), "expiry")
        self.assertEqual(401, self.sim.request(
            "GET", SYSTEMS, headers=token, auth=False).status)


class Listener:
    """What an event subscriber receives."""

    def __init__(self):
        received = self.received = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                size = int(self.headers["Content-Length"])
                received.put(json.loads(self.rfile.read(size)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever,
                         daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class TestEvents(base.SimulatorTestCase):

    def _subscribe(self, sim, **more):
        with contextlib.ExitStack() as stack:
            listener = Listener()
            stack.callback(listener.close)
            self.addCleanup(stack.pop_all().close)
        reply = sim.request("POST", SUBSCRIPTIONS, {
            "Destination": listener.url, "Protocol": "Redfish",
            "Context": "ours", **more})
        self.assertEqual(201, reply.status, reply.raw)
        return listener, reply.headers["Location"]

    def test_what_happens_is_told(self):
        listener, subscription = self._subscribe(
            self.sim, ResourceTypes=["ComputerSystem"])
        system = self.sim.compose("a", "compute-1").headers["Location"]
        self.sim.request("DELETE", system)
        told = [listener.received.get(timeout=120) for _ in range(2)]
        self.assertEqual({"ours"}, {event["Context"] for event in told})
        self.assertEqual(
            [("ResourceCreated", system), ("ResourceRemoved", system)],
            [(record["MessageId"].rpartition(".")[2],
              record["OriginOfCondition"]["@odata.id"])
             for event in told for record in event["Events"]])
        self.assertEqual(204, self.sim.request(
            "DELETE", subscription).status)
        self.assertEqual([], self.sim.members(SUBSCRIPTIONS))

    def test_drops_and_duplicates(self):
        def ids(*args, count=40, patience=2):
            sim = self.start(*args)
            listener, _ = self._subscribe(
                sim, ResourceTypes=["ResourceBlock"])
            for reserved in (True, False) * 10:
                sim.request("PATCH", f"{BLOCKS}/gpu-1", {
                    "CompositionStatus": {"Reserved": reserved}})
            found = []
            with contextlib.suppress(queue.Empty):
                while len(found) < count:
                    found.append(int(
                        listener.received.get(timeout=patience)["Id"]))
            return found

        lossy = ("--event-drop", "0.3", "--event-duplicate", "0.4")
        first = ids(*lossy)
        self.assertEqual(first, ids(*lossy, count=len(first), patience=20))
        self.assertLess(len(set(first)), 20)
        self.assertGreater(len(first), len(set(first)))
        self.assertEqual([], ids("--event-drop", "1", patience=0.2))

    def test_nothing_leaves_the_machine(self):
        reply = self.sim.request("POST", SUBSCRIPTIONS, {
            "Destination": "http://192.0.2.1/", "Protocol": "Redfish"})
        self.assertEqual(201, reply.status)
        for body in ({"Destination": "x", "Protocol": "Redfish"},
                     {"Destination": "http://127.0.0.1/"},
                     {"Destination": "http://127.0.0.1/",
                      "Protocol": "SNMPv2c"}):
            self.assertEqual(400, self.sim.request(
                "POST", SUBSCRIPTIONS, body).status)
        self.assertEqual(201, self.sim.compose("a", "compute-1").status)
        sim = self.start("--no-events")
        self.assertNotIn("EventService", sim.get(f"{ROOT}/"))
        self.assertEqual(404, sim.request("GET", SUBSCRIPTIONS).status)


class TestAccounts(base.SimulatorTestCase):

    def _create(self, user, role):
        reply = self.sim.request("POST", ACCOUNTS, {
            "UserName": user, "Password": "open-sesame", "RoleId": role})
        self.assertEqual(201, reply.status, reply.raw)
        self.assertIsNone(reply.body["Password"])
        return reply.headers["Location"], urllib3.make_headers(
            basic_auth=f"{user}:open-sesame")

    def test_roles_are_enforced(self):
        uri, reader = self._create("reader", "ReadOnly")
        _, operator = self._create("operator", "Operator")
        self.sim.get(SYSTEMS, headers=reader)
        for headers, status in ((reader, 403), (operator, 201)):
            reply = self.sim.compose("a", "compute-1", headers=headers)
            self.assertEqual(status, reply.status)
        other = f"{ACCOUNTS}/1"
        self.assert_refused(
            self.sim.request("PATCH", other, {"Password": "12345678"},
                             headers=reader),
            403, "Base.InsufficientPrivilege")
        self.assertEqual(200, self.sim.request(
            "PATCH", uri, {"Password": "new-password"},
            headers=reader).status)
        self.assertEqual(401, self.sim.request(
            "GET", SYSTEMS, headers=reader).status)
        self.assertEqual(204, self.sim.request("DELETE", uri).status)
        self.assert_refused(self.sim.request("DELETE", other), 403,
                            "Base.ResourceCannotBeDeleted")

    def test_what_can_be_set_is_set(self):
        uri, _ = self._create("someone", "Operator")
        reply = self.sim.request("PATCH", uri, {
            "Enabled": False, "Colour": "red"})
        self.assertEqual((200, False), (reply.status,
                                        reply.body["Enabled"]))
        self.assertEqual(1, len(reply.body["@Message.ExtendedInfo"]))
        for body, error in (({"Colour": "red"}, "PropertyUnknown"),
                            ({"Id": "7"}, "PropertyNotWritable"),
                            ({"@odata.id": "/"}, "NoOperation"),
                            ({"Password": "x"}, "PropertyValueIncorrect")):
            self.assert_refused(self.sim.request("PATCH", uri, body), 400,
                                f"Base.{error}")

    def test_messages_are_in_the_registries(self):
        files = self.sim.members(f"{ROOT}/Registries")
        self.assertEqual(4, len(files))
        content = self.sim.get(files[0])["Location"][0]["Uri"]
        messages = self.sim.get(content)["Messages"]
        refusal = self.sim.request("GET", f"{SYSTEMS}/nope")
        key = refusal.body["error"]["code"].rpartition(".")[2]
        self.assertIn(key, messages)
