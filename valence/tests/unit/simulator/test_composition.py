# SPDX-License-Identifier: Apache-2.0
"""What may be composed, and what composing and decomposing do."""

import threading

from valence.tests.unit.simulator import base
from valence.tests.unit.simulator.base import BLOCKS, SYSTEMS, ZONES


class TestCompose(base.SimulatorTestCase):
    # Block n of a kind is in zone 1 where n is odd, in zone 2 where even.
    args = ("--gpu", "18", "--power-delay", "0")

    def _state(self, block):
        status = self.sim.get(f"{BLOCKS}/{block}")["CompositionStatus"]
        return status["CompositionState"]

    def test_system_is_the_union_of_its_blocks(self):
        blocks = ["compute-1", "nvme-1", "nvme-3", "gpu-1", "nic-1"]
        reply = self.sim.compose("node", *blocks)
        self.assertEqual(201, reply.status)
        uri = reply.headers["Location"]
        self.assertEqual(reply.body, self.sim.get(uri))
        self.assertIn(uri, self.sim.members(SYSTEMS))
        self.assertEqual("node", reply.body["Name"])
        self.assertEqual("Composed", reply.body["SystemType"])
        self.assertEqual("Off", reply.body["PowerState"])
        uris = [f"{BLOCKS}/{block}" for block in blocks]
        self.assertEqual(uris, [b["@odata.id"] for b in
                                reply.body["Links"]["ResourceBlocks"]])
        documents = [self.sim.get(block) for block in uris]
        for name in ("Processors", "Memory", "EthernetInterfaces"):
            expected = [part["@odata.id"] for block in documents
                        for part in block.get(name, ())]
            self.assertEqual(expected, self.sim.members(f"{uri}/{name}"))
            for part in expected:
                self.sim.get(part)
        drives = [part["@odata.id"] for block in documents
                  for part in block.get("Drives", ())]
        storage = self.sim.get(self.sim.members(f"{uri}/Storage")[0])
        self.assertEqual(drives, [d["@odata.id"] for d in storage["Drives"]])
        cpus = [self.sim.get(p["@odata.id"])
                for p in documents[0]["Processors"]]
        dimms = [self.sim.get(m["@odata.id"]) for m in documents[0]["Memory"]]
        self.assertEqual(sum(cpu["TotalCores"] for cpu in cpus),
                         reply.body["ProcessorSummary"]["CoreCount"])
        self.assertEqual(sum(dimm["CapacityMiB"] for dimm in dimms),
                         reply.body["MemorySummary"]["TotalSystemMemoryGiB"]
                         * 1024)
        for block in documents:
            self.assertEqual("Composed",
                             block["CompositionStatus"]["CompositionState"])
            self.assertEqual(
                1, block["CompositionStatus"]["NumberOfCompositions"])
            self.assertEqual([{"@odata.id": uri}],
                             block["Links"]["ComputerSystems"])
            chassis = self.sim.get(block["Links"]["Chassis"][0]["@odata.id"])
            self.assertIn({"@odata.id": uri},
                          chassis["Links"]["ComputerSystems"])
        effect, = self.ledger("compose")
        self.assertEqual((uri, "node", uris),
                         (effect["system"], effect["name"], effect["blocks"]))

    def test_decompose_frees_the_blocks_and_keeps_reserved(self):
        self.sim.request("PATCH", f"{BLOCKS}/nvme-1",
                         {"CompositionStatus": {"Reserved": True}})
        system = self.sim.compose("a", "compute-1", "nvme-1").body
        uri = system["@odata.id"]
        self.assertEqual(204, self.sim.request("DELETE", uri).status)
        for path in (uri, f"{uri}/Processors", f"{uri}/Storage/NVMe",
                     f"{uri}/Actions/ComputerSystem.Reset"):
            self.assertEqual(404, self.sim.request("GET", path).status)
        self.assertEqual([], self.sim.members(SYSTEMS))
        status = self.sim.get(f"{BLOCKS}/nvme-1")["CompositionStatus"]
        self.assertEqual(("Unused", True, 0),
                         (status["CompositionState"], status["Reserved"],
                          status["NumberOfCompositions"]))
        again = self.sim.compose("b", "compute-1", "nvme-1")
        self.assertEqual(201, again.status)
        self.assertNotEqual(uri, again.body["@odata.id"])
        self.assertNotEqual(system["UUID"], again.body["UUID"])
        self.assertEqual(
            ["reserve", "compose", "decompose", "compose"],
            [entry["effect"] for entry in self.ledger()])

    def test_of_many_composes_of_one_block_exactly_one_wins(self):
        rounds, rivals = 4, 8
        for number in range(rounds):
            shared = f"nvme-{2 * number + 1}"
            start = threading.Barrier(rivals)
            replies = []

            def compose(rival, shared=shared, start=start, replies=replies):
                start.wait()
                # Half of them also fight over the compute block.
                compute = f"compute-{1 + 2 * (rival % 4)}"
                replies.append(self.sim.compose(str(rival), compute, shared))

            threads = [threading.Thread(target=compose, args=(rival,))
                       for rival in range(rivals)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(
                [201] + [409] * (rivals - 1),
                sorted(reply.status for reply in replies))
            for reply in replies:
                if reply.status == 409:
                    self.assertEqual("Composition.ResourceBlockInUse",
                                     reply.error)
            winner, = self.sim.members(SYSTEMS)
            self.assertEqual(number + 1, len(self.ledger("compose")))
            self.assertEqual(
                (number + 1) * (rivals - 1), len(self.ledger("refused")))
            self.sim.request("DELETE", winner)

    def test_refused_composition_changes_nothing(self):
        gpus = [f"gpu-{n}" for n in range(1, 19, 2)]
        self.assertEqual(9, len(gpus))
        for error, status, blocks in (
                ("Composition.IncompatibleZone", 400,
                 ["compute-1", "nvme-2"]),
                ("Base.PropertyValueIncorrect", 400, ["nvme-1"]),
                ("Base.PropertyValueIncorrect", 400,
                 ["compute-1", "compute-3"]),
                ("Base.PropertyValueIncorrect", 400, ["compute-1", *gpus]),
                ("Base.PropertyValueIncorrect", 400,
                 ["compute-1", "nvme-1", "nvme-1"]),
                ("Base.PropertyValueIncorrect", 400, []),
                ("Composition.ResourceBlockNotFound", 400,
                 ["compute-1", "nvme-999"])):
            with self.subTest(error=error, blocks=blocks):
                reply = self.sim.compose("x", *blocks)
                self.assert_refused(reply, status, error)
        self.assertEqual("Unused", self._state("compute-1"))
        self.assertEqual([], self.sim.members(SYSTEMS))
        self.assertEqual([], self.ledger("compose"))
        self.assertEqual(7, len(self.ledger("refused")))

    def test_malformed_requests(self):
        good = base.composition("x", "compute-1")
        for error, status, body in (
                ("Base.PropertyMissing", 400, {"Name": "x"}),
                ("Base.PropertyMissing", 400, {"Links": good["Links"]}),
                ("Base.PropertyMissing", 400, {"Name": "x", "Links": {}}),
                ("Base.PropertyUnknown", 400, {**good, "Colour": "red"}),
                ("Base.PropertyValueTypeError", 400, {**good, "Name": 1}),
                ("Base.PropertyValueTypeError", 400, {**good, "Links": []}),
                ("Base.PropertyValueTypeError", 400,
                 {"Name": "x", "Links": {"ResourceBlocks": ["a"]}}),
                ("Base.UnrecognizedRequestBody", 400, []),
                ("Base.MalformedJSON", 400, b"{"),
                ("Base.MalformedJSON", 400, b"[" * 100000),
                ("Base.PayloadTooLarge", 413, b" " * (1 << 20) + b" {}")):
            with self.subTest(error=error, body=body[:40] if isinstance(
                    body, bytes) else body):
                reply = self.sim.request("POST", SYSTEMS, body)
                self.assert_refused(reply, status, error)
        reply = self.sim.request("POST", SYSTEMS, good,
                                 headers={"Content-Type": "text/plain"})
        self.assertEqual(415, reply.status)
        self.assertEqual("Unused", self._state("compute-1"))

    def test_only_reserved_of_a_block_can_be_set(self):
        path = f"{BLOCKS}/gpu-1"
        reply = self.sim.request("PATCH", path,
                                 {"CompositionStatus": {"Reserved": True}})
        self.assertEqual(200, reply.status)
        self.assertIs(True, reply.body["CompositionStatus"]["Reserved"])
        self.assert_refused(
            self.sim.request("PATCH", path, {"CompositionStatus": {
                "Reserved": "false"}}),
            400, "Base.PropertyValueTypeError")
        self.assert_refused(
            self.sim.request("PATCH", path, {"CompositionStatus": {
                "CompositionState": "Composed"}}),
            400, "Base.PropertyNotWritable")
        # The hint stops nobody.
        self.assertEqual(201, self.sim.compose(
            "x", "compute-1", "gpu-1").status)

    def test_capabilities_are_on_the_collection_and_the_zone(self):
        collection = self.sim.get(SYSTEMS)
        zone = self.sim.get(f"{ZONES}/1")
        key = "@Redfish.CollectionCapabilities"
        self.assertEqual(collection[key], zone[key])
        capability, = collection[key]["Capabilities"]
        self.assertEqual(
            SYSTEMS, capability["Links"]["TargetCollection"]["@odata.id"])
        limits = self.sim.get(capability["CapabilitiesObject"]["@odata.id"])
        self.assertTrue(limits["Name@Redfish.RequiredOnCreate"])
        self.assertEqual(
            (1, 1), (limits["@Redfish.ResourceBlockLimits"]["MinCompute"],
                     limits["@Redfish.ResourceBlockLimits"]["MaxCompute"]))


class TestTasks(base.SimulatorTestCase):
    args = ("--tasks", "--task-delay", "0.3")

    def _finish(self, monitor):
        def done():
            reply = self.sim.request("GET", monitor)
            return reply if reply.status != 202 else None

        return base.poll(done, f"end of {monitor}")

    def test_compose_and_delete_through_the_monitor(self):
        reply = self.sim.compose("node", "compute-1", "nvme-1")
        self.assertEqual(202, reply.status)
        self.assertEqual("1", reply.headers["Retry-After"])
        self.assertEqual("Running", reply.body["TaskState"])
        monitor = reply.headers["Location"]
        self.assertEqual(monitor, reply.body["TaskMonitor"])
        # Nothing happened yet, and yet the blocks are taken.
        self.assertEqual([], self.ledger("compose"))
        block = self.sim.get(f"{BLOCKS}/nvme-1")
        self.assertEqual("Composing",
                         block["CompositionStatus"]["CompositionState"])
        rival = self.sim.compose("rival", "compute-3", "nvme-1")
        self.assert_refused(rival, 409, "Composition.ResourceBlockInUse")
        done = self._finish(monitor)
        self.assertEqual(201, done.status)
        system = done.headers["Location"]
        self.assertEqual("node", done.body["Name"])
        self.assertEqual(1, len(self.ledger("compose")))
        task = self.sim.get(reply.body["@odata.id"])
        self.assertEqual("Completed", task["TaskState"])

        reply = self.sim.request("DELETE", system)
        self.assertEqual(202, reply.status)
        self.assertEqual([system], self.sim.members(SYSTEMS))
        self.assert_refused(self.sim.request("DELETE", system), 409,
                            "Base.ResourceInUse")
        done = self._finish(reply.headers["Location"])
        self.assertEqual((204, b""), (done.status, done.raw))
        self.assertEqual([], self.sim.members(SYSTEMS))
        self.assertEqual(1, len(self.ledger("decompose")))

    def test_finished_task_can_be_deleted(self):
        reply = self.sim.compose("node", "compute-1")
        task, monitor = reply.body["@odata.id"], reply.headers["Location"]
        self._finish(monitor)
        self.assertEqual(204, self.sim.request("DELETE", task).status)
        self.assertEqual(404, self.sim.request("GET", monitor).status)
