# SPDX-License-Identifier: Apache-2.0
"""How the simulated RSD pod behaves, version by version."""

import base64
import json
import os
import tempfile
import unittest

from valence.simulator import pods
from valence.simulator.ledger import Ledger
from valence.simulator.rsd.generate import Shape
from valence.simulator.rsd.model import PROFILES
from valence.simulator.rsd.service import Behaviour, Service

ROOT = "/redfish/v1"
NODES = f"{ROOT}/Nodes"
NODE = f"{NODES}/1"
ALLOCATE = f"{NODES}/Actions/Allocate"
SHAPE = Shape()


class PodCase(unittest.TestCase):

    def setUp(self):
        super().setUp()
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.directory = scratch.name
        self.build()

    def build(self, shape=SHAPE, journal=None, **behaviour):
        self.due = []
        self.ledger_path = os.path.join(self.directory, "ledger")
        ledger = Ledger(self.ledger_path, journal)
        self.addCleanup(ledger.close)
        self.service = Service(
            shape, Behaviour(**{"auth": "none", **behaviour}),
            pods.Site("rsd", ledger, lambda delay, what: self.due.append(
                (delay, what))))

    def tick(self):
        due, self.due = self.due, []
        for _, what in due:
            what()

    def request(self, method, path, body=None, **headers):
        answer = self.service.handle(pods.Request(
            method, path, {name.replace("_", "-"): value
                           for name, value in headers.items()},
            b"" if body is None else json.dumps(body).encode()))
        return answer.status, (json.loads(answer.body) if answer.body
                               else None), answer.headers

    def get(self, path):
        status, body, _ = self.request("GET", path)
        self.assertEqual(200, status, (path, body))
        return body

    def status(self, method, path, body=None, **headers):
        return self.request(method, path, body, **headers)[0]

    def act(self, kind, body=None, node=NODE):
        return self.status("POST", f"{node}/Actions/ComposedNode.{kind}",
                           body or {})

    def assembled(self, body=None):
        self.assertEqual(201, self.status("POST", ALLOCATE, body or {}))
        self.tick()
        self.assertEqual(204, self.act("Assemble"))
        self.tick()
        return self.get(NODE)

    def state(self):
        return self.get(NODE)["ComposedNodeState"]

    def effects(self):
        with open(self.ledger_path, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]


class TestStateMachine(PodCase):

    def test_each_state_in_turn(self):
        status, body, headers = self.request("POST", ALLOCATE, {"Name": "n"})
        self.assertEqual((201, None, NODE),
                         (status, body, headers["Location"]))
        self.assertEqual("Allocating", self.state())
        self.assertNotIn("ComputerSystem", self.get(NODE)["Links"])
        self.assertEqual(409, self.act("Assemble"))
        self.tick()
        self.assertEqual("Allocated", self.state())
        self.assertIn("ComputerSystem", self.get(NODE)["Links"])
        self.assertEqual(409, self.act("Reset", {"ResetType": "On"}))
        self.assertEqual(204, self.act("Assemble"))
        self.assertEqual("Assembling", self.state())
        for method, path, given in (
                ("POST", f"{NODE}/Actions/ComposedNode.Assemble", {}),
                ("DELETE", NODE, None)):
            self.assertEqual(409, self.status(method, path, given))
        self.tick()
        self.assertEqual("Assembled", self.state())
        self.assertEqual(409, self.act("Assemble"))
        self.assertEqual(204, self.status("DELETE", NODE))
        self.assertEqual(404, self.status("GET", NODE))
        self.assertEqual(404, self.status(
            "POST", f"{NODE}/Actions/ComposedNode.Assemble", {}))
        self.assertEqual(
            ["allocate", "refused", "state", "refused", "assemble",
             "refused", "refused", "state", "refused", "delete", "refused"],
            [one["effect"] for one in self.effects()])

    def test_a_restart_fails_what_is_in_the_middle(self):
        self.request("POST", ALLOCATE, {})
        self.service.change("restart", {})
        self.tick()
        self.assertEqual("Failed", self.state())
        self.assertEqual(409, self.act("Assemble"))
        self.assertEqual(204, self.act("Reset", {"ResetType": "On"}))
        self.assertEqual(204, self.status("DELETE", NODE))

    def test_a_node_that_is_deleted_does_not_come_back(self):
        self.assembled()
        self.act("Reset", {"ResetType": "On"})
        self.assertEqual(204, self.status("DELETE", NODE))
        self.tick()
        self.assertEqual(404, self.status("GET", NODE))
        self.request("POST", ALLOCATE, {})
        self.assertEqual("Off", self.get(f"{NODES}/2")["PowerState"])

    def test_a_missing_system(self):
        node = self.assembled()
        sled = node["Links"]["ComputerSystem"]["@odata.id"]
        self.service.change("missing", {"system": sled})
        for kind, body in (("Reset", {"ResetType": "On"}),
                           ("AttachResource", {"Resource": {
                               "@odata.id": "x"}})):
            status, _, headers = self.request(
                "POST", f"{NODE}/Actions/ComposedNode.{kind}", body)
            self.assertEqual((503, "30"), (status, headers["Retry-After"]))
        self.assertEqual(409, self.status("DELETE", NODE))
        self.assertEqual(204, self.act("ForceDelete"))
        self.assertEqual("Absent", self.get(sled)["Status"]["State"])

    def test_a_node_of_somebody_else_comes_and_goes(self):
        made = self.service.change("compose", {"request": {"Name": "theirs"}})
        self.assertEqual(("theirs", "Assembled"), (
            made["Name"], made["ComposedNodeState"]))
        self.assertEqual([NODE], [one["@odata.id"] for one in self.get(
            NODES)["Members"]])
        self.service.change("decompose", {"node": NODE})
        self.assertEqual(404, self.status("GET", NODE))
        self.assertEqual(["admin", None, "admin"], [
            one.get("origin") for one in self.effects()])
        # What it had is free again, and may be deleted in any state.
        self.request("POST", ALLOCATE, {})
        self.service.change("decompose", {"node": f"{NODES}/2"})
        self.tick()
        self.assertEqual([], self.get(NODES)["Members"])
        for arguments in ({"request": 5}, {"request": {"Dance": 1}}):
            with self.assertRaises(pods.CannotChange):
                self.service.change("compose", arguments)

    def test_changes_from_outside(self):
        self.assembled()
        self.assertEqual("Failed", self.service.change(
            "fail", {"node": NODE})["ComposedNodeState"])
        for what, arguments in (("fail", {"node": ROOT}), ("dance", {}),
                                ("missing", {"system": NODE})):
            self.assertRaises(pods.CannotChange, self.service.change, what,
                              arguments)


class TestAllocation(PodCase):

    def allocate(self, **body):
        return self.status("POST", ALLOCATE, body)

    def test_resources_belong_to_one_node(self):
        for _ in range(SHAPE.sleds):
            self.assertEqual(201, self.allocate())
        self.assertEqual(409, self.allocate())
        taken = [one for entry in self.effects()
                 if entry["effect"] == "allocate"
                 for one in entry["resources"]]
        self.assertEqual(len(taken), len(set(taken)))

    def test_totals_and_parts(self):
        sleds = self.service.pod.sleds
        most = max(sled.cores for sled in sleds)
        self.assertEqual(409, self.allocate(TotalSystemCoreCount=most + 1))
        self.assertEqual(201, self.allocate(TotalSystemCoreCount=most))
        self.tick()
        node = self.get(NODE)
        sled = self.service.pod.resources[
            node["Links"]["ComputerSystem"]["@odata.id"]]
        self.assertEqual(most, sled.cores)
        for wanted, status in (
                ({"Processors": [{"Model": "none"}]}, 409),
                ({"Processors": [{"ProcessorType": "GPU"}]}, 201),
                ({"Memory": [{"MemoryDeviceType": "DDR4"}] * 9}, 409),
                ({"LocalDrives": [{"FabricSwitch": True}] * 2}, 201),
                ({"LocalDrives": [{"FabricSwitch": True}] * 5}, 409),
                ({"EthernetInterfaces": [{"SpeedMbps": 40000}]}, 409),
                ({"RemoteDrives": [{"CapacityGiB": 80}]}, 201),
                ({"RemoteDrives": [{"CapacityGiB": 80}] * 9}, 409)):
            self.assertEqual(status, self.allocate(**wanted), wanted)

    def test_a_named_resource(self):
        sled = self.service.pod.sleds[3]
        self.assertEqual(201, self.allocate(Processors=[
            {"Resource": {"@odata.id": sled.processors[0].uri}}]))
        self.assertIs(sled, self.service.pod.resources[NODE].sled)
        rack = self.service.pod.sleds[1].rack.uri
        self.assertEqual(201, self.allocate(Memory=[
            {"Chassis": {"@odata.id": rack}}]))
        self.assertEqual(rack, self.service.pod.resources[
            f"{NODES}/2"].sled.rack.uri)

    def test_what_a_version_does_not_know(self):
        for profile, body, status in (
                ("2.1", {"Processors": [{"ProcessorType": "CPU"}]}, 400),
                ("2.3", {"Processors": [{"ProcessorType": "CPU"}]}, 201),
                ("2.3", {"Memory": [{"MemoryType": "DRAM"}]}, 400),
                ("2.5", {"Memory": [{"MemoryType": "DRAM"}]}, 201),
                ("2.1", {"RemoteDrives": [{"Protocol": "iSCSI"}]}, 400),
                ("2.1", {"RemoteDrives": [{"iSCSIAddress": "x"}]}, 201),
                ("2.5", {"RemoteDrives": [{"iSCSIAddress": "x"}]}, 400),
                ("2.3", {"Oem": {"Other": {}}}, 201),
                ("2.5", {"Oem": {"Other": {}}}, 400),
                ("2.5", {"Colour": "red"}, 400),
                ("2.5", {"Name": 3}, 400),
                ("2.5", {"Processors": {}}, 400),
                ("2.5", {"Processors": ["x"]}, 400),
                ("2.5", {"TotalSystemCoreCount": -1}, 400),
                ("2.5", {"TotalSystemCoreCount": True}, 400)):
            self.build(profile=profile)
            self.assertEqual(status, self.allocate(**body), (profile, body))


class TestDialects(PodCase):

    def test_where_things_are(self):
        for profile, oem, action, kind in (
                ("2.1", False, "ComposedNodeCollection", "Endpoint"),
                ("2.3", False, "ComposedNodesCollection", "Resource"),
                ("2.5", True, "ComposedNodeCollection", "Resource")):
            self.build(profile=profile)
            root = self.get(ROOT)
            part = root["Oem"]["Intel_RackScale"]
            self.assertEqual(profile + ".0", part["ApiVersion"])
            self.assertEqual((oem, not oem), ("Nodes" in part,
                                              "Nodes" in root))
            self.assertIn(f"#{action}.Allocate", self.get(NODES)["Actions"])
            actions = self.assembled()["Actions"]
            self.assertIn(f"#ComposedNode.Attach{kind}", actions)
            self.assertEqual(profile == "2.5",
                             "#ComposedNode.ForceDelete" in actions)

    def attach(self, profile):
        self.build(profile=profile)
        actions = self.assembled()["Actions"]
        if profile == "2.1":
            listed = actions["#ComposedNode.AttachEndpoint"][
                "Resource@Redfish.AllowableValues"]
            return "Endpoint", listed[0]
        info = actions["#ComposedNode.AttachResource"]["@Redfish.ActionInfo"]
        if profile == "2.3":
            info = info["@odata.id"]
        parameters = {one["Name"]: one
                      for one in self.get(info)["Parameters"]}
        self.assertEqual({"Resource", "Protocol"}, set(parameters))
        return "Resource", parameters["Resource"]["AllowableValues"][-1]

    def test_attach_and_detach(self):
        for profile in PROFILES:
            kind, link = self.attach(profile)
            path = link["@odata.id"]
            self.assertEqual(400, self.act(f"Attach{kind}", {}))
            self.assertEqual(400, self.act(f"Attach{kind}",
                                           {"Resource": path}))
            self.assertEqual(204, self.act(f"Attach{kind}",
                                           {"Resource": link}))
            self.assertIn(path, json.dumps(self.get(NODE)["Links"]))
            self.assertEqual(409, self.act(f"Attach{kind}",
                                           {"Resource": link}))
            right, wrong = ((path, link) if kind == "Endpoint"
                            else (link, path))
            self.assertEqual(400, self.act(f"Detach{kind}",
                                           {"Resource": wrong}))
            self.assertEqual(204, self.act(f"Detach{kind}",
                                           {"Resource": right}))
            self.assertNotIn(path, json.dumps(self.get(NODE)["Links"]))
            self.assertEqual(409, self.act(f"Detach{kind}",
                                           {"Resource": right}))
            self.assertEqual(["attach", "detach"], [
                one["effect"] for one in self.effects()
                if one["effect"] in ("attach", "detach")][-2:])

    def test_boot(self):
        boot = {"Boot": {"BootSourceOverrideEnabled": "Once",
                         "BootSourceOverrideTarget": "Pxe"}}
        for profile, status in (("2.1", 204), ("2.5", 200)):
            self.build(profile=profile)
            self.request("POST", ALLOCATE, {})
            self.assertEqual(409, self.status("PATCH", NODE, boot))
            self.build(profile=profile)
            etag = self.assembled()["@odata.etag"]
            self.assertEqual(status, self.status("PATCH", NODE, boot))
            self.assertEqual(412, self.status("PATCH", NODE, boot,
                                              If_Match=etag))
            for wrong in ({}, {"Boot": {}}, {"Boot": {"Colour": "red"}},
                          {"Boot": {"BootSourceOverrideTarget": "Moon"}},
                          {**boot, "Name": "x"}):
                self.assertEqual(400, self.status("PATCH", NODE, wrong))
            self.act("Reset", {"ResetType": "On"})
            self.tick()
            node = self.get(NODE)
            self.assertEqual(("On", "Disabled"), (
                node["PowerState"],
                node["Boot"]["BootSourceOverrideEnabled"]))
            self.assertEqual("Pxe", self.effects()[-1]["boot_target"])
            self.assertEqual(400, self.act("Reset", {"ResetType": "Fly"}))
            self.assertEqual(400, self.act("Reset"))


class TestPod(PodCase):

    def tree(self):
        return {uri: self.get(uri) for uri in self.service.pod.resources
                if "/Actions/" not in uri}

    def test_every_link_leads_somewhere(self):
        def links(value):
            if isinstance(value, dict):
                if "@odata.id" in value:
                    yield value["@odata.id"]
                for one in value.values():
                    yield from links(one)
            elif isinstance(value, list):
                for one in value:
                    yield from links(one)

        for profile in PROFILES:
            self.build(profile=profile)
            self.assembled({"RemoteDrives": [{}]})
            for uri, body in self.tree().items():
                for link in links(body):
                    self.assertEqual(200, self.status("GET", link),
                                     (uri, link))

    def test_the_seed_decides(self):
        for profile in PROFILES:
            self.build(profile=profile)
            first = self.tree()
            self.build(profile=profile)
            self.assertEqual(first, self.tree())
            self.build(profile=profile, shape=Shape(seed=2))
            self.assertNotEqual(first, self.tree())

    def test_sizes(self):
        for shape in (Shape(racks=1, sleds=0, nvme=0, volumes=0),
                      Shape(racks=3, sleds=100, nvme=200, volumes=100)):
            self.build(shape=shape)
            pod = self.service.pod
            self.assertEqual(
                (shape.sleds, shape.nvme, shape.volumes),
                (len(pod.sleds), len(pod.pooled), len(pod.volumes)))
            self.assertEqual(shape.sleds,
                             self.get(f"{ROOT}/Systems")[
                                 "Members@odata.count"])

    def test_pages(self):
        self.build(page_size=3)
        seen, path = [], f"{ROOT}/Systems"
        while path:
            body = self.get(path)
            self.assertLessEqual(len(body["Members"]), 3)
            seen += body["Members"]
            path = body.get("Members@odata.nextLink")
        self.assertEqual(SHAPE.sleds, len(seen))
        self.assertEqual(400, self.status("GET",
                                          f"{ROOT}/Systems?$skip=x"))
        self.assertEqual(501, self.status("GET",
                                          f"{ROOT}/Systems?$filter=x"))

    def test_refusals(self):
        for method, path, body, status in (
                ("GET", f"{ROOT}/nothing", None, 404),
                ("GET", ALLOCATE, None, 405),
                ("POST", NODES, {}, 405),
                ("DELETE", f"{ROOT}/Systems/System1", None, 405)):
            self.assertEqual(status, self.status(method, path, body))
        self.assertEqual(415, self.status(
            "POST", ALLOCATE, {}, Content_Type="text/plain"))
        answer = self.service.handle(pods.Request("POST", ALLOCATE, {},
                                                  b"{"))
        self.assertEqual(400, answer.status)
        answer = self.service.handle(pods.Request("POST", ALLOCATE, {},
                                                  b"[]"))
        self.assertEqual(400, answer.status)

    def test_an_absolute_location(self):
        self.build(scheme="https")
        _, _, headers = self.request("POST", ALLOCATE, {}, Host="pod:8443")
        self.assertEqual(f"https://pod:8443{NODE}", headers["Location"])

    def test_nothing_happens_unrecorded(self):
        def refuse(*args, **kwargs):
            raise OSError

        self.assembled()
        before = self.tree()
        self.service._ledger.record = refuse
        for method, path, body in (
                ("POST", ALLOCATE, {}), ("DELETE", NODE, None),
                ("POST", f"{NODE}/Actions/ComposedNode.ForceDelete", {}),
                ("POST", f"{NODE}/Actions/ComposedNode.Reset",
                 {"ResetType": "On"})):
            self.assertEqual(500, self.status(method, path, body))
        self.assertEqual(before, self.tree())

    def test_authentication(self):
        self.build(auth="both")
        basic = "Basic " + base64.b64encode(b"admin:password").decode()
        for headers, status in (
                ({}, 401), ({"Authorization": basic}, 200),
                ({"Authorization": "Basic eDp5"}, 401),
                ({"Authorization": "Basic ?"}, 401),
                ({"Authorization": basic.replace("Basic", "Other")}, 401),
                ({"X_Auth_Token": "x"}, 401)):
            self.assertEqual(status, self.status("GET", NODES, **headers))
        self.assertEqual(200, self.status("GET", ROOT))
        sessions = f"{ROOT}/SessionService/Sessions"
        for body, status in (({}, 400), ({"UserName": 1, "Password": 2},
                                         400),
                             ({"UserName": "admin", "Password": "x"}, 401)):
            self.assertEqual(status, self.status("POST", sessions, body))
        _, _, headers = self.request("POST", sessions, {
            "UserName": "admin", "Password": "password"})
        token, path = headers["X-Auth-Token"], headers["Location"]
        self.assertEqual(200, self.status("GET", NODES, X_Auth_Token=token))
        self.assertEqual(204, self.status("DELETE", path,
                                          X_Auth_Token=token))
        self.assertEqual(401, self.status("GET", NODES, X_Auth_Token=token))
        self.build(auth="session")
        self.assertEqual(401, self.status("GET", NODES,
                                          Authorization=basic))
        self.build(auth="basic")
        self.assertNotIn("SessionService", self.get(ROOT))

    def test_state_outlasts_the_process(self):
        for profile in PROFILES:
            journal = os.path.join(self.directory, profile)
            self.build(profile=profile, journal=journal)
            self.assembled({"Name": "one", "Description": "of two"})
            extra = self.service.pod.attachable(
                self.service.pod.resources[NODE])[:2]
            kind = "Endpoint" if profile == "2.1" else "Resource"
            for one in extra:
                self.act(f"Attach{kind}", {
                    "Resource": {"@odata.id": one.uri}})
            self.act(f"Detach{kind}", {
                "Resource": extra[0].uri if profile == "2.1"
                else {"@odata.id": extra[0].uri}})
            self.act("Reset", {"ResetType": "On"})
            self.tick()
            self.request("PATCH", NODE, {"Boot": {
                "BootSourceOverrideTarget": "Hdd",
                "BootSourceOverrideEnabled": "Continuous"}})
            self.request("POST", ALLOCATE, {"Name": "gone"})
            self.tick()
            self.assertEqual(204, self.status("DELETE", f"{NODES}/2"))
            self.service.change("missing", {
                "system": self.service.pod.sleds[-1].uri})
            self.request("POST", ALLOCATE, {"Name": "in the middle"})
            before = self.get(NODE)

            self.build(profile=profile, journal=journal)
            after = self.get(NODE)
            del before["@odata.etag"], after["@odata.etag"]
            self.assertEqual(before, after)
            self.assertEqual("Failed", self.get(f"{NODES}/3")[
                "ComposedNodeState"])
            self.assertEqual(404, self.status("GET", f"{NODES}/2"))
            self.assertTrue(self.service.pod.sleds[-1].missing)
            self.request("POST", ALLOCATE, {})
            self.assertEqual(200, self.status("GET", f"{NODES}/4"))
