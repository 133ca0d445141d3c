# SPDX-License-Identifier: Apache-2.0
"""How the service speaks HTTP and Redfish."""

from valence.tests.unit.simulator import base
from valence.tests.unit.simulator.base import (
    BLOCKS,
    ROOT,
    SESSIONS,
    SYSTEMS,
)

LOGIN = {"UserName": "admin", "Password": "password"}


class TestAuthentication(base.SimulatorTestCase):

    def test_only_the_entry_points_are_open(self):
        for path in ("/redfish", ROOT, f"{ROOT}/", f"{ROOT}/odata",
                     f"{ROOT}/$metadata"):
            reply = self.sim.request("GET", path, auth=False)
            self.assertEqual(200, reply.status, path)
        for path in (SYSTEMS, BLOCKS, SESSIONS, f"{ROOT}/nowhere"):
            reply = self.sim.request("GET", path, auth=False)
            self.assert_refused(reply, 401, "Base.NoValidSession")
            self.assertIn("WWW-Authenticate", reply.headers)

    def test_session_from_login_to_logout(self):
        reply = self.sim.request("POST", SESSIONS, LOGIN, auth=False)
        self.assertEqual(201, reply.status)
        self.assertNotIn("password", reply.raw.decode())
        session = reply.headers["Location"]
        token = {"X-Auth-Token": reply.headers["X-Auth-Token"]}
        self.assertEqual(
            [session], [m["@odata.id"] for m in self.sim.get(
                SESSIONS, headers=token, auth=False)["Members"]])
        self.assertEqual(
            204, self.sim.request("DELETE", session, headers=token,
                                  auth=False).status)
        self.assertEqual(
            401, self.sim.request("GET", SYSTEMS, headers=token,
                                  auth=False).status)
        self.assertEqual([session],
                         [e["session"] for e in self.ledger("login")])

    def test_wrong_credentials(self):
        for login in ({**LOGIN, "Password": "x"}, {**LOGIN, "UserName": "é"}):
            self.assert_refused(
                self.sim.request("POST", SESSIONS, login, auth=False), 401,
                "Base.ResourceAtUriUnauthorized")
        self.assert_refused(
            self.sim.request("POST", SESSIONS, {"UserName": "admin"},
                             auth=False), 400, "Base.PropertyMissing")
        for value in ("Basic YWRtaW46eA==", "Basic !", "Basic", "Bearer x"):
            reply = self.sim.request("GET", SYSTEMS, auth=False,
                                     headers={"Authorization": value})
            self.assertEqual(401, reply.status, value)
        # A bad token is not made good by good Basic credentials.
        self.assertEqual(401, self.sim.request(
            "GET", SYSTEMS, headers={"X-Auth-Token": "0"}).status)


class TestAuthenticationModes(base.SimulatorTestCase):
    args = ("--auth", "basic")

    def test_basic_only(self):
        self.assertNotIn("SessionService", self.sim.get(f"{ROOT}/"))
        self.sim.get(SYSTEMS)
        self.assertEqual(404, self.sim.request(
            "POST", SESSIONS, LOGIN, auth=False).status)

    def test_session_only_and_none(self):
        session = self.start("--auth", "session", "--password", "päss")
        self.assertEqual(401, session.request("GET", SYSTEMS).status)
        token = session.request(
            "POST", SESSIONS, {**LOGIN, "Password": "päss"},
            auth=False).headers["X-Auth-Token"]
        session.get(SYSTEMS, headers={"X-Auth-Token": token}, auth=False)
        self.start("--auth", "none").get(SYSTEMS, auth=False)


class TestReading(base.SimulatorTestCase):
    args = ("--nvme", "10", "--systems", "1")

    def test_every_resource_is_reachable_and_knows_itself(self):
        seen, queue = set(), [f"{ROOT}/"]
        while queue:
            path = queue.pop()
            if path in seen:
                continue
            seen.add(path)
            reply = self.sim.request("GET", path)
            self.assertEqual(200, reply.status, path)
            self.assertEqual(path, reply.body["@odata.id"])
            self.assertIn("ETag", reply.headers)
            self.assertEqual("4.0", reply.headers["OData-Version"])
            self.assertNotIn(self.sim.url.encode(), reply.raw)
            queue += _links(reply.body)
        self.assertGreater(len(seen), 150)

    def test_blocks_have_a_place(self):
        place = self.sim.get(f"{BLOCKS}/gpu-1")["Links"]["Chassis"][0]
        enclosure = self.sim.get(place["@odata.id"])
        self.assertIn({"@odata.id": f"{BLOCKS}/gpu-1"},
                      enclosure["Links"]["ResourceBlocks"])
        placement = enclosure["Location"]["Placement"]
        self.assertEqual("EIA_310", placement["RackOffsetUnits"])
        rack = self.sim.get(enclosure["Links"]["ContainedBy"]["@odata.id"])
        self.assertEqual("Rack", rack["ChassisType"])
        self.assertEqual(placement["Rack"],
                         rack["Location"]["Placement"]["Rack"])
        self.assertIn(place, rack["Links"]["Contains"])

    def test_head_is_get_without_a_body(self):
        got = self.sim.request("GET", SYSTEMS)
        head = self.sim.request("HEAD", SYSTEMS)
        self.assertEqual((200, b""), (head.status, head.raw))
        for name in ("ETag", "Allow", "Content-Length", "Content-Type"):
            self.assertEqual(got.headers[name], head.headers[name])

    def test_wrong_method_and_missing_resource(self):
        reply = self.sim.request("PUT", f"{BLOCKS}/gpu-1", {})
        self.assert_refused(reply, 405, "Base.OperationNotAllowed")
        self.assertEqual("GET, HEAD, PATCH", reply.headers["Allow"])
        for path in (f"{BLOCKS}/nope", f"{ROOT}/%2e%2e", "/etc"):
            self.assert_refused(self.sim.request("GET", path), 404,
                                "Base.ResourceMissingAtURI")

    def test_etag_changes_with_every_change(self):
        path = f"{BLOCKS}/gpu-1"
        tags = [self.sim.request("GET", path).headers["ETag"]]
        for reserved in (True, False):
            reply = self.sim.request(
                "PATCH", path, {"CompositionStatus": {"Reserved": reserved}},
                headers={"If-Match": tags[-1]})
            self.assertEqual(200, reply.status)
            tags.append(reply.headers["ETag"])
            self.assertEqual(tags[-1], self.sim.get(path)["@odata.etag"])
        self.assertEqual(3, len(set(tags)), tags)
        stale = self.sim.request(
            "PATCH", path, {"CompositionStatus": {"Reserved": True}},
            headers={"If-Match": tags[0]})
        self.assert_refused(stale, 412, "Base.PreconditionFailed")
        self.assertFalse(
            self.sim.get(path)["CompositionStatus"]["Reserved"])
        unchanged = self.sim.request("GET", path,
                                     headers={"If-None-Match": tags[-1]})
        self.assertEqual((304, b""), (unchanged.status, unchanged.raw))
        before = self.sim.request("GET", SYSTEMS).headers["ETag"]
        self.sim.compose("x", "compute-1")
        self.assertNotEqual(before,
                            self.sim.request("GET", SYSTEMS).headers["ETag"])

    def test_expand(self):
        plain = self.sim.members(BLOCKS)
        blocks = [self.sim.get(uri) for uri in plain]
        for value in (".", "*", ".($levels=1)", "*($levels=1)"):
            self.assertEqual(
                blocks, self.sim.get(f"{BLOCKS}?$expand={value}")["Members"])
        self.assertEqual(self.sim.get(BLOCKS),
                         self.sim.get(f"{BLOCKS}?$expand=~"))
        deep = self.sim.get(f"{BLOCKS}?$expand=.($levels=2)")["Members"][0]
        self.assertEqual(self.sim.get(deep["Memory"][0]["@odata.id"]),
                         deep["Memory"][0])
        self.assertEqual(blocks[0]["Links"], deep["Links"])
        linked = self.sim.get(f"{BLOCKS}/gpu-1?$expand=~")
        self.assertEqual("Enclosure",
                         linked["Links"]["Chassis"][0]["ChassisType"])
        self.assertEqual({"@odata.id"}, set(linked["Processors"][0]))
        for value in ("x", ".($levels=0)", ".($levels=9)", ""):
            self.assertEqual(400, self.sim.request(
                "GET", f"{BLOCKS}?$expand={value}").status, value)
        self.assert_refused(self.sim.request("GET", f"{BLOCKS}?$select=Id"),
                            501, "Base.QueryNotSupported")


class TestSmallerService(base.SimulatorTestCase):
    args = ("--page-size", "3", "--nvme", "1")

    def _pages(self, path):
        pages = []
        while path:
            pages.append(self.sim.get(path))
            path = pages[-1].get("Members@odata.nextLink")
        return pages

    def test_pages_hold_every_member_once(self):
        for query in ("", "?$expand=.($levels=1)", "?$top=7"):
            pages = self._pages(BLOCKS + query)
            uris = [m["@odata.id"] for page in pages
                    for m in page["Members"]]
            self.assertTrue(all(len(p["Members"]) <= 3 for p in pages))
            self.assertEqual({25}, {p["Members@odata.count"] for p in pages})
            self.assertEqual(7 if "top" in query else 25, len(uris))
            self.assertEqual(len(uris), len(set(uris)))
            if "expand" in query:
                self.assertTrue(all("Id" in m for p in pages
                                    for m in p["Members"]))
        self.assertEqual(400, self.sim.request(
            "GET", f"{BLOCKS}?$skip=26").status)
        self.assertEqual(400, self.sim.request(
            "GET", f"{BLOCKS}?$skip=-1").status)

    def test_without_expand_or_composition(self):
        sim = self.start("--no-expand", "--no-composition", "--systems", "2")
        root = sim.get(f"{ROOT}/")
        self.assertNotIn("ExpandQuery", root["ProtocolFeaturesSupported"])
        self.assertNotIn("CompositionService", root)
        for path in (f"{ROOT}/CompositionService", BLOCKS,
                     f"{BLOCKS}/compute-1", f"{SYSTEMS}/Capabilities"):
            self.assertEqual(404, sim.request("GET", path).status, path)
        self.assertEqual(501, sim.request(
            "GET", f"{SYSTEMS}?$expand=.").status)
        systems = sim.get(SYSTEMS)
        self.assertEqual(2, systems["Members@odata.count"])
        self.assertNotIn("@Redfish.CollectionCapabilities", systems)
        self.assertEqual(405, sim.compose("x", "compute-1").status)


def _links(value):
    if isinstance(value, list):
        return [link for item in value for link in _links(item)]
    if not isinstance(value, dict):
        return []
    if set(value) == {"@odata.id"}:
        return [value["@odata.id"]]
    return [link for item in value.values() for link in _links(item)]
