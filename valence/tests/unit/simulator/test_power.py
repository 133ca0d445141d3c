# SPDX-License-Identifier: Apache-2.0
"""How power and boot behave."""

from valence.tests.unit.simulator import base
from valence.tests.unit.simulator.base import SYSTEMS


class TestPower(base.SimulatorTestCase):
    args = ("--systems", "1", "--power-delay", "0.3")
    system = f"{SYSTEMS}/server-1"

    def _reset(self, kind):
        return self.sim.request(
            "POST", f"{self.system}/Actions/ComputerSystem.Reset",
            {"ResetType": kind})

    def _power(self):
        return self.sim.get(self.system)["PowerState"]

    def _switch(self, kind, power):
        self.assertEqual(204, self._reset(kind).status)
        base.poll(lambda: self._power() == power, f"{kind} to {power}")

    def test_state_follows_the_answer(self):
        self.assertEqual(204, self._reset("On").status)
        self.assertEqual("Off", self._power())
        self.assertEqual(["requested"],
                         [e["phase"] for e in self.ledger("reset")])
        base.poll(lambda: self._power() == "On", "power on")
        requested, applied = self.ledger("reset")
        self.assertEqual("On", applied["power_state"])
        self.assertGreaterEqual(applied["time"] - requested["time"], 0.29)
        self._switch("PushPowerButton", "Off")
        self._switch("ForceRestart", "On")
        self._switch("GracefulShutdown", "Off")

    def test_every_advertised_reset_is_accepted_and_no_other(self):
        action = self.sim.get(self.system)["Actions"]["#ComputerSystem.Reset"]
        for kind in action["ResetType@Redfish.AllowableValues"]:
            self.assertEqual(204, self._reset(kind).status)
        self.assert_refused(self._reset("Nmi"), 400,
                            "Base.ActionParameterValueNotInList")
        target = action["target"]
        self.assert_refused(self.sim.request("POST", target, {}), 400,
                            "Base.ActionParameterMissing")
        self.assert_refused(
            self.sim.request("POST", target,
                             {"ResetType": "On", "Delay": 1}),
            400, "Base.ActionParameterNotSupported")
        self.assertEqual(405, self.sim.request("GET", target).status)

    def test_boot_override_lasts_for_one_boot(self):
        boot = {"BootSourceOverrideEnabled": "Once",
                "BootSourceOverrideTarget": "Pxe"}
        reply = self.sim.request("PATCH", self.system, {"Boot": boot})
        self.assertEqual(200, reply.status)
        shown = self.sim.get(self.system)["Boot"]
        self.assertEqual(boot, {name: shown[name] for name in boot})
        self._switch("On", "On")
        self.assertEqual("Pxe", self.ledger("reset")[-1]["boot_target"])
        shown = self.sim.get(self.system)["Boot"]
        self.assertEqual("Disabled", shown["BootSourceOverrideEnabled"])

    def test_bad_boot_is_refused_whole(self):
        before = self.sim.get(self.system)["Boot"]
        self.assert_refused(
            self.sim.request("PATCH", self.system, {"Boot": {
                "BootSourceOverrideEnabled": "Once",
                "BootSourceOverrideTarget": "Tape"}}),
            400, "Base.PropertyValueNotInList")
        self.assert_refused(
            self.sim.request("PATCH", self.system, {"Name": "x"}),
            400, "Base.PropertyNotWritable")
        self.assertEqual(before, self.sim.get(self.system)["Boot"])
        self.assertEqual([], self.ledger("boot"))

    def test_fixed_system_cannot_be_deleted(self):
        reply = self.sim.request("DELETE", self.system)
        self.assert_refused(reply, 405, "Base.OperationNotAllowed")
        self.assertEqual("GET, HEAD, PATCH", reply.headers["Allow"])
        self.assertEqual("Physical",
                         self.sim.get(self.system)["SystemType"])


class TestPendingReset(base.SimulatorTestCase):
    args = ("--power-delay", "0.2")

    def test_reset_of_a_system_that_is_gone_is_not_applied(self):
        system = self.sim.compose("a", "compute-1").headers["Location"]
        self.sim.request("POST", f"{system}/Actions/ComputerSystem.Reset",
                         {"ResetType": "On"})
        self.sim.request("DELETE", system)
        # A later reset is applied later, so the first one's turn is over.
        other = self.sim.compose("b", "compute-1").headers["Location"]
        self.sim.request("POST", f"{other}/Actions/ComputerSystem.Reset",
                         {"ResetType": "On"})
        base.poll(lambda: self.sim.get(other)["PowerState"] == "On", "on")
        self.assertEqual([other], [e["system"] for e in self.ledger("reset")
                                   if e["phase"] == "applied"])
