# SPDX-License-Identifier: Apache-2.0
"""What a simulator that is started again still knows."""

import json
import os
import random
import threading
import urllib.parse

import urllib3

from valence.simulator.admin_client import AdminClient
from valence.tests.unit.simulator import base
from valence.tests.unit.simulator.base import BLOCKS, ROOT, SYSTEMS

COMPOSE = f"{ROOT}/CompositionService/Actions/CompositionService.Compose"
RESERVATIONS = f"{ROOT}/CompositionService/CompositionReservations"


class StateCase(base.SimulatorTestCase):

    def start(self, *args):
        state = os.path.join(self.directory, "state")
        sim = super().start("--state", state, "--admin-port", "0",
                            "--power-delay", "0", *args)
        self.admin = AdminClient(sim.ready["admin"])
        return sim

    def restart(self, *args, kill=True):
        """The simulator again, on the same port."""
        port = urllib.parse.urlsplit(self.sim.url).port
        if kill:
            self.sim.process.kill()
        self.sim.stop()
        self.sim = self.start("--port", str(port), *self.args, *args)

    def everything(self):
        return [self.sim.get(path) for path in (
            f"{SYSTEMS}?$expand=.($levels=2)", f"{BLOCKS}?$expand=.",
            f"{ROOT}/Chassis?$expand=.",
            f"{ROOT}/CompositionService/ResourceZones?$expand=.")]


class TestRestart(StateCase):
    args = ("--systems", "1", "--expandable", "--attach", "action,patch",
            "--sharing", "2")

    def test_hardware_is_as_it_was(self):
        first = self.sim.compose("a", "compute-1", "nvme-1", "gpu-1")
        gone = self.sim.compose("b", "compute-3", "nvme-1")
        second = self.sim.compose("c", "compute-5", "nvme-3")
        self.sim.request("DELETE", gone.headers["Location"])
        system = first.headers["Location"]
        self.sim.request("PATCH", f"{BLOCKS}/nvme-5",
                         {"CompositionStatus": {"Reserved": True}})
        self.sim.request("PATCH", system, {"Boot": {
            "BootSourceOverrideTarget": "Pxe",
            "BootSourceOverrideEnabled": "Once"}})
        self.sim.request("POST", f"{system}/Actions/ComputerSystem.Reset",
                         {"ResetType": "On"})
        self.sim.request(
            "POST", f"{SYSTEMS}/server-1/Actions/"
            "ComputerSystem.AddResourceBlock",
            {"ResourceBlock": {"@odata.id": f"{BLOCKS}/gpu-3"}})
        self.sim.request("PATCH", second.headers["Location"], {"Links": {
            "ResourceBlocks": [{}]}})
        self.admin.change("fail", blocks=["nic-1"])
        self.admin.change("vanish", blocks=["nic-2"])
        before, ledger = self.everything(), self.ledger()
        self.restart()
        self.assertEqual(before, self.everything())
        self.assertEqual(ledger, self.ledger())
        new = self.sim.compose("d", "compute-7").headers["Location"]
        self.assertNotIn(new, [one.headers["Location"]
                               for one in (first, gone, second)])
        self.assertEqual([n + 1 for n in range(len(ledger) + 1)],
                         [entry["seq"] for entry in self.ledger()])
        self.restart(kill=False)
        self.assertEqual(3 + 1, len(self.sim.members(SYSTEMS)))

    def test_an_old_etag_never_means_something_new(self):
        tags = set()
        for reserved in (True, False, True, False):
            reply = self.sim.request(
                "PATCH", f"{BLOCKS}/gpu-1",
                {"CompositionStatus": {"Reserved": reserved}})
            self.assertNotIn(reply.headers["ETag"], tags)
            tags.add(reply.headers["ETag"])
            self.restart()

    def test_state_of_another_pod_is_refused(self):
        self.sim.stop()
        with self.assertRaises(AssertionError) as caught:
            self.start("--seed", "9", *self.args)
        self.assertIn("another inventory", str(caught.exception))

    def test_a_line_that_the_ledger_lost_is_added(self):
        self.sim.compose("a", "compute-1")
        self.sim.process.kill()
        self.sim.stop()
        whole = self.ledger()
        os.truncate(self.ledger_path,
                    os.path.getsize(self.ledger_path) - 20)
        self.sim = self.start(*self.args)
        self.assertEqual("Composed", self.sim.get(f"{BLOCKS}/compute-1")[
            "CompositionStatus"]["CompositionState"])
        with open(self.ledger_path, encoding="utf-8") as lines:
            self.assertEqual(whole[-1], json.loads(lines.readlines()[-1]))

    def test_killed_at_any_moment_state_and_ledger_agree(self):
        chance = random.Random(20)
        for round_number in range(4):
            stop = threading.Event()

            def work(worker, stop=stop):
                block = f"compute-{2 * worker + 1}"
                while not stop.is_set():
                    try:
                        made = self.sim.compose(f"w{worker}", block)
                        if made.status == 201:
                            self.sim.request("DELETE",
                                             made.headers["Location"])
                    except (urllib3.exceptions.HTTPError, KeyError):
                        return

            threads = [threading.Thread(target=work, args=(worker,))
                       for worker in range(4)]
            for thread in threads:
                thread.start()
            # After so many more effects, whatever is just going on.
            wanted = len(self.ledger()) + chance.randrange(5, 40)
            base.poll(lambda wanted=wanted: self._lines() >= wanted,
                      "effects")
            self.sim.process.kill()
            stop.set()
            for thread in threads:
                thread.join()
            self.restart()
            alive = set()
            for entry in self.ledger("compose", "decompose"):
                if entry["effect"] == "compose":
                    alive.add(entry["system"])
                else:
                    alive.remove(entry["system"])
            self.assertEqual(
                alive, set(self.sim.members(SYSTEMS)) - {
                    f"{SYSTEMS}/server-1"}, round_number)
            for system in alive:
                self.sim.request("DELETE", system)

    def _lines(self):
        with open(self.ledger_path, "rb") as ledger:
            return ledger.read().count(b"\n")


class TestTasksAndReservations(StateCase):
    args = ("--tasks", "--task-delay", "0.05", "--composition-styles",
            "specific,manifest", "--reservation-duration", "600")

    def test_tasks(self):
        reply = self.sim.compose("a", "compute-1")
        monitor, task = reply.headers["Location"], reply.body["@odata.id"]
        base.poll(lambda: self.sim.request("GET", monitor).status == 201,
                  "end of the task")
        self.admin.inject("task", method="POST", seconds=600)
        running = self.sim.compose("b", "compute-3")
        before = self.sim.get(task)
        self.restart()
        self.assertEqual(before, {**self.sim.get(task),
                                  "@odata.etag": before["@odata.etag"]})
        self.assertEqual(201, self.sim.request("GET", monitor).status)
        killed = self.sim.get(running.body["@odata.id"])
        self.assertEqual("Killed", killed["TaskState"])
        self.assertEqual(500, self.sim.request(
            "GET", running.headers["Location"]).status)
        self.assertEqual("Unused", self.sim.get(f"{BLOCKS}/compute-3")[
            "CompositionStatus"]["CompositionState"])
        third = self.sim.compose("c", "compute-5").body["Id"]
        self.assertEqual("3", third)

    def test_reservations(self):
        manifest = {"Stanzas": [{
            "StanzaType": "ComposeSystem", "StanzaId": "1",
            "Request": base.composition("m", "compute-1")}]}
        answer = self.sim.request("POST", COMPOSE, {
            "RequestFormat": "Manifest", "RequestType": "PreviewReserve",
            "Manifest": manifest}).body
        self.restart()
        self.assertEqual(1, len(self.sim.members(RESERVATIONS)))
        self.admin.inject("immediate")
        self.assert_refused(
            self.sim.compose("x", "compute-1"), 409,
            "Composition.SpecifiedResourceAlreadyReserved")
        applied = self.sim.request("POST", COMPOSE, {
            "RequestFormat": "Manifest", "RequestType": "Apply",
            "ReservationId": answer["ReservationId"]}).body
        self.assertIn("@odata.id",
                      applied["Manifest"]["Stanzas"][0]["Response"])
        self.restart()
        self.assertEqual([], self.sim.members(RESERVATIONS))
        self.assertEqual(1, len(self.sim.members(SYSTEMS)))


class TestFullDisk(base.SimulatorTestCase):

    def test_what_the_ledger_refuses_is_not_in_the_state(self):
        state = os.path.join(self.directory, "state")
        sim = base.Simulator("--ledger", "/dev/full", "--state", state)
        self.addCleanup(sim.stop)
        self.assert_refused(sim.compose("x", "compute-1"), 500,
                            "Base.InternalError")
        sim.stop()
        self.assertEqual([], self.start("--state", state).members(SYSTEMS))
        self.assertEqual([], self.ledger())
