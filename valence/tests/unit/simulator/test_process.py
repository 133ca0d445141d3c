# SPDX-License-Identifier: Apache-2.0
"""How a simulator process starts, what it leaves behind, how it ends."""

import datetime
import ipaddress
import json
import os
import signal
import subprocess
import time

import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from valence.tests.unit.simulator import base
from valence.tests.unit.simulator.base import BLOCKS, ROOT, SYSTEMS

EVERYTHING = tuple(
    f"{ROOT}/{path}?$expand=*($levels=2)" for path in
    ("", "Systems", "Chassis", "Managers", "CompositionService",
     "CompositionService/ResourceBlocks",
     "CompositionService/ResourceZones"))


def _run(*args):
    return subprocess.run(base.command(*args), capture_output=True,
                          text=True, timeout=120, check=False)


class TestCommandLine(base.SimulatorTestCase):

    def test_what_cannot_start_says_so_in_one_sentence(self):
        port = self.sim.url.rsplit(":", 1)[1]
        garbage = os.path.join(self.directory, "garbage.pem")
        with open(garbage, "w", encoding="utf-8") as pem:
            pem.write("no certificate")
        for args, reason in (
                (("--port", port), "address already in use"),
                (("--port", "70000"), "--port"),
                (("--seed", "many"), "--seed"),
                (("--nvme", "-1"), "--nvme"),
                (("--racks", "0"), "--racks"),
                (("--latency", "nan"), "--latency"),
                (("--auth", "maybe"), "--auth"),
                (("--colour", "red"), "--colour"),
                (("--tls-cert", garbage), "together"),
                (("--tls-cert", garbage, "--tls-key", garbage), garbage),
                (("--tls-cert", "/no/c", "--tls-key", "/no/k"), "/no/c"),
                (("--ledger", "/no/ledger"), "/no/ledger"),
                (("--request-log", "/no/log"), "/no/log"),
                (("--config-file", "/no/file"), "/no/file")):
            with self.subTest(args=args):
                ended = _run(*args)
                self.assertNotEqual(0, ended.returncode)
                self.assertEqual("", ended.stdout)
                self.assertEqual(1, len(ended.stderr.splitlines()),
                                 ended.stderr)
                self.assertTrue(
                    ended.stderr.startswith("valence-simulator: "))
                self.assertIn(reason, ended.stderr)

    def test_help_and_version(self):
        shown = _run("--help")
        self.assertEqual(0, shown.returncode)
        for option in ("--seed", "--noexpand", "--config-file", "--ledger"):
            self.assertIn(option, shown.stdout)
        shown = _run("--version")
        self.assertEqual(0, shown.returncode)
        self.assertTrue(shown.stdout.strip())

    def test_config_file(self):
        path = os.path.join(self.directory, "simulator.conf")
        with open(path, "w", encoding="utf-8") as conf:
            conf.write("[DEFAULT]\ncompute = 3\nnvme = 0\nexpand = false\n")
        sim = self.start("--config-file", path, "--gpu", "0", "--nic", "0")
        self.assertEqual(3, sim.get(BLOCKS)["Members@odata.count"])
        with open(path, "w", encoding="utf-8") as conf:
            conf.write("[DEFAULT]\ncompute = lots\n")
        ended = _run("--config-file", path)
        self.assertEqual(2, ended.returncode)
        self.assertEqual(1, len(ended.stderr.splitlines()), ended.stderr)

    def test_ends_cleanly_when_told_to(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            sim = self.start()
            sim.get(SYSTEMS)
            sim.process.send_signal(number)
            out, err = sim.process.communicate(timeout=120)
            self.assertEqual((0, "", ""), (sim.process.returncode, out, err))


class TestInventory(base.SimulatorTestCase):

    def _everything(self, *args):
        sim = self.start(*args)
        return [sim.request("GET", path).raw for path in EVERYTHING]

    def test_same_arguments_same_pod(self):
        args = ("--systems", "3", "--racks", "3", "--zones", "4")
        first = self._everything("--seed", "7", *args)
        self.assertEqual(first, self._everything("--seed", "7", *args))
        self.assertNotEqual(first, self._everything("--seed", "8", *args))

    def test_zones_hold_some_of_each_kind(self):
        sim = self.start("--zones", "3", "--racks", "5")
        zones = sim.get(f"{ROOT}/CompositionService/ResourceZones"
                        "?$expand=.")["Members"]
        self.assertEqual(3, len(zones))
        for zone in zones:
            kinds = {link["@odata.id"].rsplit("/", 1)[1].split("-")[0]
                     for link in zone["Links"]["ResourceBlocks"]}
            self.assertEqual({"compute", "nvme", "gpu", "nic"}, kinds)

    def test_ten_thousand_blocks_start_soon(self):
        start = time.monotonic()
        sim = self.start("--compute", "2500", "--nvme", "2500",
                         "--gpu", "2500", "--nic", "2500")
        self.assertLess(time.monotonic() - start, 30)
        self.assertEqual(10000, sim.get(BLOCKS)["Members@odata.count"])


class TestLedger(base.SimulatorTestCase):

    def test_survives_a_kill_and_is_continued(self):
        self.sim.compose("first", "compute-1")
        self.sim.compose("refused", "compute-1")
        self.sim.process.kill()
        self.sim.process.communicate(timeout=120)
        self.assertEqual(["compose", "refused"],
                         [e["effect"] for e in self.ledger()])
        # The next line is not to run into one cut short by a full disk.
        with open(self.ledger_path, "a", encoding="utf-8") as ledger:
            ledger.write('{"seq": 3, "eff')
        self.start().compose("second", "compute-1")
        with open(self.ledger_path, encoding="utf-8") as ledger:
            lines = ledger.read().splitlines()
        self.assertEqual(4, len(lines))
        last = json.loads(lines[3])
        self.assertEqual((3, "compose", "second"),
                         (last["seq"], last["effect"], last["name"]))

    def test_nothing_happens_that_cannot_be_recorded(self):
        sim = base.Simulator("--ledger", "/dev/full")
        self.addCleanup(sim.stop)
        reply = sim.compose("x", "compute-1")
        self.assert_refused(reply, 500, "Base.InternalError")
        self.assertEqual([], sim.members(SYSTEMS))
        block = sim.get(f"{BLOCKS}/compute-1")["CompositionStatus"]
        self.assertEqual("Unused", block["CompositionState"])

    def test_task_that_cannot_be_recorded_fails_and_frees(self):
        sim = base.Simulator("--ledger", "/dev/full", "--tasks",
                             "--task-delay", "0")
        self.addCleanup(sim.stop)
        monitor = sim.compose("x", "compute-1").headers["Location"]

        def done():
            reply = sim.request("GET", monitor)
            return reply if reply.status != 202 else None

        self.assert_refused(base.poll(done, "end of the task"), 500,
                            "Base.InternalError")
        block = sim.get(f"{BLOCKS}/compute-1")["CompositionStatus"]
        self.assertEqual("Unused", block["CompositionState"])


class TestTransport(base.SimulatorTestCase):

    def test_latency_and_request_log(self):
        log = os.path.join(self.directory, "requests")
        sim = self.start("--latency", "0.2", "--request-log", log)
        start = time.monotonic()
        sim.get(f"{SYSTEMS}?$skip=0")
        self.assertGreaterEqual(time.monotonic() - start, 0.19)
        with open(log, encoding="utf-8") as lines:
            entry, = map(json.loads, lines)
        self.assertEqual(("GET", f"{SYSTEMS}?$skip=0"),
                         (entry["method"], entry["path"]))

    def test_tls(self):
        cert = os.path.join(self.directory, "cert.pem")
        key = os.path.join(self.directory, "key.pem")
        _self_signed(cert, key)
        sim = self.start("--tls-cert", cert, "--tls-key", key)
        self.assertTrue(sim.url.startswith("https://"))
        with urllib3.PoolManager(ca_certs=cert, retries=False) as pool:
            reply = pool.request("GET", f"{sim.url}{ROOT}/", timeout=120)
        self.assertEqual(200, reply.status)

    def test_malformed_http_is_refused_quietly(self):
        reply = self.sim.request("FAKE", f"{ROOT}/")
        self.assert_refused(reply, 501, "Base.OperationNotAllowed")
        self.assertEqual(0, self.sim.stop())


def _self_signed(cert_path, key_path):
    """Write a certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pod")])
    now = datetime.datetime.now(datetime.UTC)
    cert = (x509.CertificateBuilder()
            .subject_name(name).issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([
                x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .sign(key, hashes.SHA256()))
    with open(cert_path, "wb") as pem:
        pem.write(cert.public_bytes(serialization.Encoding.PEM))
    with open(key_path, "wb") as pem:
        pem.write(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
