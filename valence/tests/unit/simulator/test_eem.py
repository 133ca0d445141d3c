# SPDX-License-Identifier: Apache-2.0
"""What the simulated ExpEther Manager answers, changes and writes down."""

import base64
import json
import os
import tempfile
import types
import unittest

from valence.simulator.eem import pod
from valence.simulator.eem.generate import Shape
from valence.simulator.ledger import Ledger
from valence.simulator.pods import (
    CannotBuild,
    CannotChange,
    Request,
    Site,
)

_BASIC = "Basic " + base64.b64encode(b"admin:password").decode()
_DEFAULTS = {option.dest: option.default for option in pod.OPTIONS}


class Manager:
    """A pod and how to talk to it."""

    def __init__(self, path=None, journal=None, **options):
        self.ledger = Ledger(path, journal)
        conf = types.SimpleNamespace(**{
            **_DEFAULTS, "seed": 1, "username": "admin",
            "password": "password", "auth": "none", **options})
        self.pod = pod.build(conf, Site("eem", self.ledger,
                                        lambda delay, function: None))

    def request(self, method, path, body=None, headers=None):
        content = body if isinstance(body, bytes) else (
            b"" if body is None else json.dumps(body).encode())
        answer = self.pod.handle(Request(method, pod.BASE + path,
                                         headers or {}, content))
        return answer.status, json.loads(answer.body)

    def get(self, path):
        status, body = self.request("GET", path)
        assert status == 200, (status, body)
        return body

    def names(self, query=""):
        return [one["id"] for one in
                self.get(f"/devices{query}")["devices"]]

    def device(self, name):
        return self.get(f"/devices/{name}")["device"]

    def put(self, name, **body):
        return self.request("PUT", f"/devices/{name}/group_id", body)

    def delete(self, name, query=""):
        return self.request("DELETE", f"/devices/{name}/group_id{query}")


class Case(unittest.TestCase):

    options = {}

    def setUp(self):
        super().setUp()
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = os.path.join(scratch.name, "ledger")
        self.journal = os.path.join(scratch.name, "journal")
        self.eem = self.start(**self.options)
        self.eesv = self.eem.names("?status=eesv")[0]
        self.eeio = self.eem.names("?status=eeio")[0]

    def start(self, **options):
        manager = Manager(self.path, self.journal, **options)
        self.addCleanup(manager.ledger.close)
        return manager

    def effects(self, *names):
        with open(self.path, encoding="utf-8") as lines:
            entries = [json.loads(line) for line in lines]
        return [one for one in entries if one["effect"] in names]

    def assert_refused(self, status, reply):
        self.assertEqual(status, reply[0])
        self.assertEqual({"code", "message"}, set(reply[1]))
        self.assertTrue(reply[1]["code"].startswith(str(status)))


class TestReading(Case):

    def test_version_and_groups(self):
        self.assertEqual({"version_number": "v1.1"},
                         self.eem.get("/api_version"))
        self.assertEqual({"groups": []}, self.eem.get("/groups"))
        self.eem.put(self.eesv)
        self.eem.put(self.eeio, group_id="4092")
        self.assertEqual({"groups": [{"id": "16"}, {"id": "4092"}]},
                         self.eem.get("/groups"))

    def test_how_many_of_what(self):
        eem = Manager(compute=3, nvme=1, storage=1, nic=1, gpu=1,
                      accelerator=1, usb=1, legacy=2)
        self.assertEqual(3, len(eem.names("?status=eesv")))
        self.assertEqual(8, len(eem.names("?status=eeio")))
        codes = sorted(one["pcie_class_code"] for one in
                       eem.get("/devices/detail?status=eeio")["devices"]
                       if "pcie_class_code" in one)
        self.assertEqual(["0x010700", "0x010802", "0x020000", "0x030200",
                          "0x0c0330", "0x120000"], codes)

    def test_the_same_seed_is_the_same_pod(self):
        everything = [Manager(seed=seed).get("/devices/detail")
                      for seed in (5, 5, 6)]
        self.assertEqual(everything[0], everything[1])
        self.assertNotEqual(everything[0], everything[2])

    def test_records_as_the_contract_has_them(self):
        for one in self.eem.get("/devices/detail")["devices"]:
            self.assertEqual(one, self.eem.device(one["id"]))
            self.assertRegex(one["id"], "^0x[0-9a-f]{12}$")
            self.assertIn(one["type"], ("1g", "10g", "40g"))
            self.assertEqual(
                one["status"] == "eeio" and one["type"] == "40g",
                {"pcie_vendor_id", "pcie_device_id",
                 "pcie_class_code"} <= set(one))
            self.assertEqual(one["status"] == "eesv",
                             "downstream_ports" in one)
            self.assertEqual(
                {"eesv": "4094", "eeio": "4093"}[one["status"]],
                one["group_id"])
            self.assertIsInstance(
                one["update_time"], int if one["type"] == "10g" else str)
            if one["status"] == "eesv":
                self.assertEqual("8" if one["type"] == "10g" else "16",
                                 one["max_eeio_count"])

    def test_filters(self):
        self.eem.put(self.eesv)
        self.eem.put(self.eeio, group_id="16")
        self.assertEqual({self.eesv, self.eeio},
                         set(self.eem.names("?group_id=16")))
        self.assertEqual([self.eeio],
                         self.eem.names("?group_id=16&status=eeio"))
        changed = self.eem.device(self.eesv)["update_time"]
        self.assertEqual({self.eesv, self.eeio},
                         set(self.eem.names(f"?update_time={changed}")))
        self.assertEqual([], self.eem.names("?group_id=17"))
        for query in ("?status=both", "?group_id=x", "?colour=red",
                      "?update_time=-1"):
            self.assert_refused(400, self.eem.request("GET",
                                                      f"/devices{query}"))

    def test_what_is_not_there(self):
        for path in ("/devices/0x000000000000", "/nothing", "", "/devices/a/b"
                     ):
            self.assert_refused(404, self.eem.request("GET", path))
        self.assert_refused(404, self.eem.put("0x000000000000"))
        for method, path in (("POST", "/devices"), ("DELETE", "/groups"),
                             ("GET", f"/devices/{self.eesv}/group_id"),
                             ("PUT", f"/devices/{self.eesv}")):
            self.assert_refused(405, self.eem.request(method, path))

    def test_thousands_of_devices(self):
        eem = Manager(compute=1000, nvme=4000)
        self.assertEqual(5020, len(eem.names()))


class TestAuthentication(Case):

    def test_basic(self):
        for auth in ("basic", "both"):
            eem = Manager(auth=auth)
            self.assert_refused(401, eem.request("GET", "/api_version"))
            for header, status in ((_BASIC, 200), ("Basic eDp5", 401),
                                   ("Bearer x", 401)):
                self.assertEqual(status, eem.request(
                    "GET", "/api_version",
                    headers={"Authorization": header})[0])

    def test_there_are_no_sessions(self):
        self.assertRaises(CannotBuild, Manager, auth="session")


class TestGroups(Case):

    def test_the_manager_picks_an_unused_group(self):
        other = self.eem.names("?status=eesv")[1]
        self.eem.put(self.eeio, group_id="17")
        self.assertEqual("16", self.eem.put(self.eesv)[1]["group_id"])
        self.assertEqual("18", self.eem.put(other, group_id=None)[1][
            "group_id"])

    def test_joined_and_parted(self):
        status, given = self.eem.put(self.eesv)
        self.assertEqual(200, status)
        self.assertEqual(200, self.eem.put(
            self.eeio, group_id=given["group_id"])[0])
        eesv, eeio = map(self.eem.device, (self.eesv, self.eeio))
        self.assertEqual(eeio["mac_address"],
                         eesv["downstream_ports"][0]["eeio_mac_address"])
        self.assertEqual(("up", eesv["mac_address"]), (
            eeio["eesv_connection_status"], eeio["eesv_mac_address"]))
        status, body = self.eem.delete(self.eeio)
        self.assertEqual((200, {"update_time"}), (status, set(body)))
        self.assertEqual("4093", self.eem.device(self.eeio)["group_id"])
        self.eem.delete(self.eesv)
        self.assertEqual("4094", self.eem.device(self.eesv)["group_id"])
        self.assertEqual(
            [("group_set", self.eesv, "4094", "16"),
             ("group_set", self.eeio, "4093", "16"),
             ("group_cleared", self.eeio, "16", "4093"),
             ("group_cleared", self.eesv, "16", "4094")],
            [(one["effect"], one["device"], one["before"], one["after"])
             for one in self.effects("group_set", "group_cleared")])

    def test_again_is_no_effect(self):
        for _ in range(2):
            self.eem.put(self.eesv, group_id=20)
        for _ in range(2):
            self.eem.delete(self.eesv)
        self.assertEqual(2, len(self.effects("group_set",
                                             "group_cleared")))

    def test_bad_bodies(self):
        for group in ("15", "4093", 4094, "abc", -1, 1.5, True, [], "٣"):
            self.assert_refused(400, self.eem.put(self.eesv, group_id=group))
        for body in (b"{", b"[]", b"7"):
            self.assert_refused(400, self.eem.request(
                "PUT", f"/devices/{self.eesv}/group_id", body))
        self.assertEqual("4094", self.eem.device(self.eesv)["group_id"])
        self.assertEqual(12, len(self.effects("refused")))

    def test_no_more_eeios_than_the_eesv_has_ports(self):
        eem = Manager(max_eeio=2)
        eesv, eeios = (eem.names("?status=eesv")[0],
                       eem.names("?status=eeio")[:3])
        eem.put(eesv)
        for name in eeios[:2]:
            self.assertEqual(200, eem.put(name, group_id="16")[0])
        self.assert_refused(409, eem.put(eeios[2], group_id="16"))
        for name in eeios:
            eem.put(name, group_id="30")
        other = eem.names("?status=eesv")[1]
        self.assert_refused(409, eem.put(other, group_id="30"))

    def test_a_device_that_has_changed_since(self):
        for name in (self.eesv, self.eeio):
            seen = self.eem.device(name)["update_time"]
            changed = self.eem.put(name, update_time=seen)[1]["update_time"]
            self.assert_refused(409, self.eem.put(name, update_time=seen))
            self.assert_refused(409, self.eem.delete(
                name, f"?update_time={seen}"))
            self.assertEqual(200, self.eem.delete(
                name, f"?update_time={changed}")[0])

    def test_times_are_ignored_where_that_is_wanted(self):
        eem = Manager(check_update_time=False)
        self.assertEqual(200, eem.put(self.eesv, update_time="1")[0])

    def test_no_group_is_left(self):
        eem = Manager(compute=4078)
        names = eem.names("?status=eesv")
        self.assertEqual({200}, {eem.put(name)[0] for name in names[:4077]})
        self.assert_refused(409, eem.put(names[4077]))

    def test_what_does_not_answer_is_not_changed(self):
        eem = Manager(down=99)
        name = eem.names("?status=eeio")[0]
        self.assertEqual(["down", "down"],
                         eem.device(name)["notification_status0"])
        self.assert_refused(409, eem.put(name, group_id="16"))


class TestOutside(Case):

    def test_groups_and_states_change_behind_the_clients_backs(self):
        change = self.eem.pod.change
        self.assertEqual("55", change("group", {
            "device": self.eeio, "group": 55})["group_id"])
        self.assertEqual("4093", change("group", {
            "device": self.eeio})["group_id"])
        change("status", {"device": self.eeio, "up": False})
        body = change("status", {"device": self.eeio, "enabled": False})
        self.assertEqual(("down", "disabled"), (
            body["notification_status0"][0], body["admin_status"]))
        self.assert_refused(409, self.eem.put(self.eeio, group_id="16"))

    def test_what_cannot_change(self):
        for what, arguments in (
                ("group", {"device": "0x0"}), ("group", {}),
                ("group", {"device": self.eeio, "group": "x"}),
                ("colour", {"device": self.eeio})):
            self.assertRaises(CannotChange, self.eem.pod.change, what,
                              arguments)

    def test_a_restart_changes_nothing(self):
        self.eem.put(self.eesv)
        self.eem.put(self.eeio, group_id="16")
        self.eem.delete(self.eesv)
        self.eem.pod.change("group", {"device": self.eesv, "group": 90})
        self.eem.pod.change("status", {"device": self.eeio, "up": False})
        before = self.eem.get("/devices/detail")
        again = self.start(**self.options)
        self.assertEqual(before, again.get("/devices/detail"))

    def test_nothing_happens_that_cannot_be_written_down(self):
        def full(*args, **details):
            raise OSError("no space left")

        self.eem.ledger.record = full
        self.assert_refused(500, self.eem.put(self.eesv))
        self.assertEqual("4094", self.eem.device(self.eesv)["group_id"])


class TestOptions(unittest.TestCase):

    def test_defaults_are_those_of_the_shape(self):
        shape = Shape()
        for name, value in _DEFAULTS.items():
            if name != "check_update_time":
                self.assertEqual(getattr(shape, name), value)
