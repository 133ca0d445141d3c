# SPDX-License-Identifier: Apache-2.0
"""The other ways to compose, and how a system is changed afterwards."""

import threading

from valence.simulator.admin_client import AdminClient
from valence.tests.unit.simulator import base
from valence.tests.unit.simulator.base import BLOCKS, ROOT, SYSTEMS, ZONES

SERVICE = f"{ROOT}/CompositionService"
COMPOSE = f"{SERVICE}/Actions/CompositionService.Compose"
RESERVATIONS = f"{SERVICE}/CompositionReservations"
COUNT = "@Redfish.RequestedCount"
MORE = "@Redfish.AllowOverprovisioning"


def ref(block):
    return {"@odata.id": f"{BLOCKS}/{block}"}


class StyleCase(base.SimulatorTestCase):

    def status(self, block):
        return self.sim.get(f"{BLOCKS}/{block}")["CompositionStatus"]

    def blocks(self, system):
        return [link["@odata.id"].rpartition("/")[2] for link in
                self.sim.get(system)["Links"]["ResourceBlocks"]]


class TestConstrained(StyleCase):
    args = ("--composition-styles", "constrained")

    def _ask(self, **wanted):
        return self.sim.request("POST", SYSTEMS, {"Name": "node", **wanted})

    def test_is_among_the_capabilities(self):
        for path in (SYSTEMS, f"{ZONES}/1"):
            capability, = self.sim.get(path)[
                "@Redfish.CollectionCapabilities"]["Capabilities"]
            self.assertEqual("ComputerSystemConstrainedComposition",
                             capability["UseCase"])
        shown = self.sim.get(capability["CapabilitiesObject"]["@odata.id"])
        self.assertTrue(shown["Processors@Redfish.OptionalOnCreate"])

    def test_gets_what_it_asks_for(self):
        reply = self._ask(
            Processors={"Members": [
                {COUNT: 1, MORE: True, "ProcessorType": "CPU",
                 "TotalCores": 16},
                {COUNT: 2, "ProcessorType": "GPU"}]},
            Memory={"Members": [{COUNT: 4, MORE: True,
                                 "CapacityMiB": 16384}]},
            SimpleStorage={"Members": [
                {COUNT: 3, "Devices": [{"CapacityBytes": 9 * 10 ** 11}]}]},
            EthernetInterfaces={"Members": [{COUNT: 2,
                                             "SpeedMbps": 10000}]})
        self.assertEqual(201, reply.status, reply.raw)
        system = reply.headers["Location"]
        blocks = self.blocks(system)
        kinds = sorted(block.rpartition("-")[0] for block in blocks)
        self.assertEqual(["compute", "gpu", "gpu", "nic"] + ["nvme"] * 3,
                         kinds)
        self.assertEqual(1, len({
            self.sim.get(f"{BLOCKS}/{block}")["Links"]["Zones"][0][
                "@odata.id"] for block in blocks}))

    def test_zone_affinity_and_not_enough(self):
        reply = self._ask(**{"@Redfish.ZoneAffinity": "2"})
        block, = self.blocks(reply.headers["Location"])
        zone = self.sim.get(f"{BLOCKS}/{block}")["Links"]["Zones"][0]
        self.assertEqual(f"{ZONES}/2", zone["@odata.id"])
        for wanted in ({"Storage": {"Members": [{COUNT: 17}]}},
                       {"Storage": {"Members": [{"Drives": [
                           {"CapacityBytes": 10 ** 15}]}]}}):
            self.assert_refused(self._ask(**wanted), 409,
                                "Composition.NoResourceMatch")
        for wanted in ({"Storage": []}, {"Storage": {"Members": [1]}},
                       {"Storage": {"Members": [{COUNT: 0}]}},
                       {"Links": {"ResourceBlocks": []}}):
            self.assertEqual(400, self._ask(**wanted).status, wanted)

    def test_rivals_never_share_a_block(self):
        replies = []
        threads = [threading.Thread(target=lambda: replies.append(self._ask(
            Drives={"Members": [{COUNT: 2}]}))) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        won = [reply for reply in replies if reply.status == 201]
        self.assertEqual(8, len(won))
        used = [block for reply in won
                for block in self.blocks(reply.headers["Location"])]
        self.assertEqual(len(used), len(set(used)))


class TestManifest(StyleCase):
    args = ("--composition-styles", "specific,manifest",
            "--reservation-duration", "600", "--admin-port", "0")

    def _send(self, kind, *stanzas, **more):
        body = {"RequestFormat": "Manifest", "RequestType": kind, **more}
        if stanzas:
            body["Manifest"] = {"Stanzas": list(stanzas)}
        return self.sim.request("POST", COMPOSE, body)

    def _stanza(self, number, *blocks):
        return {"StanzaType": "ComposeSystem", "StanzaId": str(number),
                "Request": base.composition(f"m{number}", *blocks)}

    def _responses(self, reply):
        self.assertEqual(200, reply.status, reply.raw)
        return [stanza["Response"]
                for stanza in reply.body["Manifest"]["Stanzas"]]

    def test_preview_changes_nothing(self):
        tag = self.sim.request("GET", f"{BLOCKS}/compute-1").headers["ETag"]
        reply = self._send("Preview", self._stanza(1, "compute-1"))
        self.assertNotIn("ReservationId", reply.body)
        response, = self._responses(reply)
        self.assertEqual([ref("compute-1")],
                         response["Links"]["ResourceBlocks"])
        self.assertEqual([], self.sim.members(SYSTEMS))
        self.assertEqual([], self.ledger())
        self.assertEqual(tag, self.sim.request(
            "GET", f"{BLOCKS}/compute-1").headers["ETag"])

    def test_preview_that_composes(self):
        AdminClient(self.sim.ready["admin"]).inject(
            "alter", method="POST", pattern='"Preview"',
            replacement='"Apply"')
        self._send("Preview", self._stanza(1, "compute-1"))
        self.assertEqual(1, len(self.sim.members(SYSTEMS)))

    def test_every_stanza_has_its_own_response(self):
        good, twice, bad = self._responses(self._send(
            "Apply", self._stanza(1, "compute-1"),
            self._stanza(2, "compute-1"),
            {"StanzaType": "OEM", "StanzaId": "3", "Request": {}}))
        self.assertEqual("m1", good["Name"])
        self.assertIn("ResourceBlockInUse", twice["error"]["code"])
        self.assertIn("error", bad)
        preview = self._responses(self._send(
            "Preview", self._stanza(1, "compute-3"),
            self._stanza(2, "compute-3")))
        self.assertEqual([False, True], ["error" in r for r in preview])
        gone, = self._responses(self._send("Apply", {
            "StanzaType": "DecomposeSystem", "StanzaId": "1", "Request": {
                "Links": {"ComputerSystems": [
                    {"@odata.id": good["@odata.id"]}]}}}))
        self.assertNotIn("error", gone)
        self.assertEqual([], self.sim.members(SYSTEMS))

    def test_reservation_is_used_once_by_its_owner(self):
        reply = self._send("PreviewReserve", self._stanza(1, "compute-1"))
        number = reply.body["ReservationId"]
        self.assertTrue(self.status("compute-1")["Reserved"])
        self.assert_refused(
            self.sim.compose("x", "compute-1"), 409,
            "Composition.SpecifiedResourceAlreadyReserved")
        self.assertEqual(400, self._send(
            "Apply", ReservationId="no").status)
        made, = self._responses(self._send("Apply", ReservationId=number))
        self.assertEqual(["compute-1"], self.blocks(made["@odata.id"]))
        self.assertEqual([], self.sim.members(RESERVATIONS))
        self.assertEqual(400, self._send(
            "Apply", ReservationId=number).status)

    def test_reservation_is_deleted_or_expires(self):
        self._send("PreviewReserve", self._stanza(1, "compute-1"))
        found, = self.sim.members(RESERVATIONS)
        self.assertEqual([ref("compute-1")],
                         self.sim.get(found)["ReservedResourceBlocks"])
        self.assertEqual(204, self.sim.request("DELETE", found).status)
        self.assertFalse(self.status("compute-1")["Reserved"])
        sim = self.sim = self.start("--composition-styles", "manifest",
                                    "--reservation-duration", "0.1")
        self.assertEqual("PT0.1S", sim.get(SERVICE)["ReservationDuration"])
        self.assertEqual(405, sim.compose("x", "compute-1").status)
        reply = self._send("PreviewReserve", self._stanza(1, "compute-1"))
        self.assertIn("ReservationId", reply.body)
        base.poll(lambda: not self.status("compute-1")["Reserved"],
                  "expiry")
        self.assertEqual([], sim.members(RESERVATIONS))

    def test_malformed(self):
        for body in ({}, {"RequestFormat": "CSV", "RequestType": "Apply"},
                     {"RequestFormat": "Manifest", "RequestType": "Try"},
                     {"RequestFormat": "Manifest", "RequestType": "Apply"},
                     {"RequestFormat": "Manifest", "RequestType": "Apply",
                      "Manifest": {"Stanzas": []}},
                     {"RequestFormat": "Manifest", "RequestType": "Preview",
                      "ReservationId": "1", "Manifest": {"Stanzas": [{}]}}):
            self.assertEqual(400, self.sim.request(
                "POST", COMPOSE, body).status, body)
        self.assertEqual(405, self.sim.request("GET", COMPOSE).status)


class TestAttach(StyleCase):
    args = ("--attach", "action,patch,put", "--systems", "1",
            "--expandable", "--require-etag", "--pools", "--sharing", "2")

    def _tag(self, path):
        return self.sim.request("GET", path).headers["ETag"]

    def _act(self, system, action, block, **body):
        body = {"ResourceBlock": ref(block),
                "ResourceBlockETag": self._tag(f"{BLOCKS}/{block}"),
                "ComputerSystemETag": self._tag(system), **body}
        return self.sim.request(
            "POST", f"{system}/Actions/ComputerSystem.{action}",
            {name: value for name, value in body.items() if value})

    def _write(self, method, system, *entries):
        return self.sim.request(
            method, system, {"Links": {"ResourceBlocks": list(entries)}},
            headers={"If-Match": self._tag(system)})

    def test_actions(self):
        system = self.sim.compose("a", "compute-1").headers["Location"]
        before = self.sim.get(system)
        self.assertIn("#ComputerSystem.AddResourceBlock", before["Actions"])
        self.assertEqual(204, self._act(
            system, "AddResourceBlock", "nvme-1").status)
        self.assertEqual(["compute-1", "nvme-1"], self.blocks(system))
        self.assertEqual(1, len(self.sim.members(f"{system}/Storage")))
        for body in ({"ResourceBlockETag": '"stale"'},
                     {"ComputerSystemETag": before["@odata.etag"]},
                     {"ResourceBlockETag": None}):
            self.assertEqual(428, self._act(
                system, "AddResourceBlock", "nvme-3", **body).status, body)
        self.assert_refused(
            self._act(system, "AddResourceBlock", "nvme-2"), 400,
            "Composition.IncompatibleZone")
        self.assert_refused(
            self._act(system, "RemoveResourceBlock", "compute-1"), 400,
            "Base.PropertyValueIncorrect")
        self.assertEqual(204, self._act(
            system, "RemoveResourceBlock", "nvme-1").status)
        self.assertEqual([], self.sim.members(f"{system}/Storage"))
        self.assertEqual(["compose", "attach", "detach"], [
            e["effect"] for e in self.ledger() if e["effect"] != "refused"])

    def test_patch_keeps_removes_and_truncates(self):
        system = self.sim.compose(
            "a", "compute-1", "nvme-1", "nvme-3").headers["Location"]
        for entries, expected in (
                (({}, {}, {}, ref("gpu-1")),
                 ["compute-1", "nvme-1", "nvme-3", "gpu-1"]),
                (({}, None, {}, {}), ["compute-1", "nvme-3", "gpu-1"]),
                (({}, {}), ["compute-1", "nvme-3"]),
                (({}, ref("nvme-5")), ["compute-1", "nvme-5"])):
            reply = self._write("PATCH", system, *entries)
            self.assertEqual(200, reply.status, reply.raw)
            self.assertEqual(expected, self.blocks(system))
        self.assertEqual(400, self._write(
            "PATCH", system, {}, {}, {}).status)
        self.assertEqual("Unused", self.status("nvme-1")["CompositionState"])

    def test_put(self):
        system = self.sim.compose("a", "compute-1").headers["Location"]
        reply = self._write("PUT", system, ref("compute-1"), ref("nic-1"))
        self.assertEqual(200, reply.status)
        self.assertEqual(["compute-1", "nic-1"], self.blocks(system))
        self.assertEqual(400, self._write("PUT", system, {}).status)

    def test_stale_and_missing_etags(self):
        system = self.sim.compose("a", "compute-1").headers["Location"]
        old = self._tag(system)
        body = {"Links": {"ResourceBlocks": [{}, ref("nvme-1")]}}
        self.assert_refused(self.sim.request("PATCH", system, body), 428,
                            "Base.PreconditionRequired")
        self.assertEqual(200, self._write(
            "PATCH", system, {}, ref("nvme-1")).status)
        self.assert_refused(
            self.sim.request("PATCH", system, body,
                             headers={"If-Match": old}),
            412, "Base.PreconditionFailed")

    def test_expandable_system(self):
        system = f"{SYSTEMS}/server-1"
        before = self.sim.get(system)
        self.assertEqual(["server-1"], self.blocks(system))
        self.assertEqual(405, self.sim.request("DELETE", system).status)
        self.assertEqual(204, self._act(
            system, "AddResourceBlock", "gpu-1").status)
        self.assertEqual(
            len(before["Links"]["Chassis"]),
            len(self.sim.get(system)["Links"]["Chassis"]))
        self.assertIn("gpu-1-gpu", " ".join(
            self.sim.members(f"{system}/Processors")))
        self.assert_refused(
            self._act(system, "AddResourceBlock", "compute-1"), 400,
            "Base.PropertyValueIncorrect")
        self.assertEqual(204, self._act(
            system, "RemoveResourceBlock", "gpu-1").status)
        self.assertEqual(["server-1"], self.blocks(system))

    def test_an_expandable_system_is_a_block_that_it_keeps(self):
        system, own = f"{SYSTEMS}/server-1", f"{BLOCKS}/server-1"
        block = self.sim.get(own)
        self.assertEqual(["ComputerSystem"], block["ResourceBlockType"])
        self.assertEqual([{"@odata.id": system}], block["ComputerSystems"])
        self.assertEqual([{"@odata.id": system}],
                         block["Links"]["ComputerSystems"])
        self.assertEqual("Composed", self.status("server-1")[
            "CompositionState"])
        zone, = block["Links"]["Zones"]
        self.assertIn({"@odata.id": own}, self.sim.get(
            zone["@odata.id"])["Links"]["ResourceBlocks"])
        self.assert_refused(
            self._act(system, "RemoveResourceBlock", "server-1"), 400,
            "Base.PropertyValueIncorrect")
        for method, first in (("PATCH", None), ("PUT", ref("nvme-1"))):
            self.assert_refused(
                self._write(method, system, first), 400,
                "Base.PropertyValueIncorrect")
        self.assert_refused(
            self.sim.compose("x", "compute-1", "server-1"), 409,
            "Composition.ResourceBlockInUse")
        other = self.sim.compose("y", "compute-1").headers["Location"]
        self.assert_refused(
            self._act(other, "AddResourceBlock", "server-1"), 409,
            "Composition.ResourceBlockInUse")
        self.assertEqual(["server-1"], self.blocks(system))

    def test_no_style_makes_no_systems(self):
        self.sim = self.start(
            "--attach", "action", "--systems", "1", "--expandable",
            "--composition-styles", "none")
        found = self.sim.request("GET", SYSTEMS)
        self.assertNotIn("POST", found.headers["Allow"])
        self.assertNotIn("@Redfish.CollectionCapabilities", found.body)
        self.assertEqual(405, self.sim.compose("x", "compute-1").status)
        self.assertNotIn("Actions", self.sim.get(SERVICE))
        system = f"{SYSTEMS}/server-1"
        self.assertEqual(204, self._act(
            system, "AddResourceBlock", "gpu-1").status)

    def test_shared_block_and_pools(self):
        free, active = f"{SERVICE}/FreePool", f"{SERVICE}/ActivePool"
        shared = f"{BLOCKS}/nvme-1"
        self.assertIn(shared, self.sim.members(free))
        self.sim.compose("a", "compute-1", "nvme-1")
        status = self.status("nvme-1")
        self.assertEqual(
            ("ComposedAndAvailable", 2, 1, True),
            (status["CompositionState"], status["MaxCompositions"],
             status["NumberOfCompositions"], status["SharingCapable"]))
        self.assertIn(shared, self.sim.members(active))
        self.assertNotIn(shared, self.sim.members(free))
        replies = []
        start = threading.Barrier(3)

        def compose(number):
            start.wait()
            replies.append(self.sim.compose(
                "x", f"compute-{number}", "nvme-1").status)

        threads = [threading.Thread(target=compose, args=(number,))
                   for number in (3, 5, 7)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([201, 409, 409], sorted(replies))
        self.assertEqual("Composed",
                         self.status("nvme-1")["CompositionState"])


class TestRivalAttach(StyleCase):
    args = ("--attach", "action")

    def test_one_block_goes_to_one_system(self):
        systems = [self.sim.compose("a", f"compute-{n}").headers["Location"]
                   for n in (1, 3, 5, 7)]
        start = threading.Barrier(len(systems))
        replies = []

        def attach(system):
            start.wait()
            replies.append(self.sim.request(
                "POST", f"{system}/Actions/ComputerSystem.AddResourceBlock",
                {"ResourceBlock": ref("gpu-1")}).status)

        threads = [threading.Thread(target=attach, args=(system,))
                   for system in systems]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([204, 409, 409, 409], sorted(replies))
        self.assertEqual(1, len(self.ledger("attach")))
        self.assertEqual(405, self.sim.request(
            "PUT", systems[0], {}).status)
        self.assert_refused(
            self.sim.request("PATCH", systems[0], {"Links": {}}), 400,
            "Base.PropertyNotWritable")
