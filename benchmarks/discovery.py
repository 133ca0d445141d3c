# SPDX-License-Identifier: Apache-2.0
"""How long does it take to read a whole pod?

The redfish driver on a pod of 1,000 blocks behind 20 ms of latency, with
$expand and without. Against a bound that no client with so many connections
gets below: the levels of requests that depend on each other, and in each
level the time that a bare client needs for them on one connection, divided
by the connections. And against the commonest client: the same resources,
read one after the other over TLS by sushy with its defaults.
"""

import base64
import collections
import datetime
import http.client
import ipaddress
import json
import pathlib
import resource
import ssl
import time
import urllib.parse
import warnings
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks import common, processes
from valence.common.secret import Secret
from valence.drivers import base
from valence.drivers.redfish import RedfishDriver

_LATENCY = 0.02
_CONNECTIONS = base.Limits().connections
_AUTHORIZATION = {'Authorization': 'Basic ' + base64.b64encode(
    b'admin:password').decode()}
#: So many requests of a level are timed to know all of them.
_SAMPLE = 25
#: sushy reads one resource in so many.
_EVERY = 10


def _certificate(directory: pathlib.Path) -> tuple[str, str]:
    """Paths of a self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(
        x509.NameOID.COMMON_NAME, 'benchmark')])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None),
                       critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(
            ipaddress.ip_address('127.0.0.1'))]), critical=False)
        .sign(key, hashes.SHA256()))
    cert, secret = directory / 'cert.pem', directory / 'key.pem'
    cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    return str(cert), str(secret)


def driver(url: str, certificate: str | None = None) -> RedfishDriver:
    return RedfishDriver(base.Endpoint(
        url, 'admin', Secret('password'),
        ca_certificates=(pathlib.Path(certificate).read_text()
                         if certificate else None),
        limits=base.Limits(allow_http=True,
                           allowed_networks=('127.0.0.0/8',))))


class Log:
    """The simulator's list of requests."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._seen = 0

    def paths(self) -> list[str]:
        """What was asked for since the last call."""
        with open(self._path, 'rb') as file:
            file.seek(self._seen)
            lines = file.readlines()
            self._seen = file.tell()
        return [json.loads(line)['path'] for line in lines]


def by_level(paths: list[str]) -> list[list[str]]:
    """The requests, apart by how many others each had to wait for.

    In the simulator's tree a resource is named by its nearest ancestor.
    """
    names = {path.partition('?')[0].rstrip('/') for path in paths}
    found: dict[int, list[str]] = collections.defaultdict(list)
    for path in paths:
        above = path.partition('?')[0].rstrip('/')
        level = 0
        while above := above.rpartition('/')[0]:
            level += above in names
        found[level].append(path)
    return [found[level] for level in sorted(found)]


class _Bare:
    """A client that does nothing but transfer, over one connection."""

    def __init__(self, url: str, certificate: str | None) -> None:
        at = urllib.parse.urlsplit(url)
        self._http = (http.client.HTTPConnection(at.netloc)
                      if certificate is None else http.client.HTTPSConnection(
                          at.netloc, context=ssl.create_default_context(
                              cafile=certificate)))
        self.get('/redfish/v1/')

    def get(self, path: str) -> float:
        """Seconds of one request."""
        began = time.perf_counter()
        self._http.request('GET', path, headers=_AUTHORIZATION)
        answer = self._http.getresponse()
        answer.read()
        assert answer.status == 200, (answer.status, path)
        return time.perf_counter() - began

    def close(self) -> None:
        self._http.close()


def bound(bare: _Bare, levels: list[list[str]]) -> float:
    """Seconds: for each level the longest request, or the time of all of
    them divided by the connections if that is more.
    """
    total = 0.0
    for paths in levels:
        few = paths[::max(len(paths) // _SAMPLE, 1)]
        spent = [min(bare.get(path) for _ in range(2)) for path in few]
        longest = (max(spent) if len(paths) <= _CONNECTIONS
                   else common.median(spent))
        total += max(longest, sum(spent) / len(spent) * len(paths)
                     / _CONNECTIONS)
    return total


def _timed(function: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds, seconds of this process's processor, result."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    result = function()
    spent = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    return spent, (after.ru_utime + after.ru_stime - before.ru_utime
                   - before.ru_stime), result


def _shape(options: common.Options) -> tuple[int, list[str]]:
    """How many blocks, and the simulator's arguments for them."""
    each = 5 if options.quick else 250
    return 4 * each, [word for name in ('compute', 'nvme', 'gpu', 'nic')
                      for word in (f'--{name}', str(each))]


def _against_bound(options: common.Options, report: common.Report) -> None:
    blocks, shape = _shape(options)
    rounds = 1 if options.quick else 5
    rows = []
    ratios: dict[str, float] = {}
    with processes.directory() as directory:
        certificate, key = _certificate(directory)
        for tls in (False, True):
            for expand in (True, False):
                log = directory / f'log-{tls}-{expand}'
                more = ['--tls-cert', certificate, '--tls-key',
                        key] if tls else []
                with processes.simulator(
                        *shape, *more, '--latency', str(_LATENCY),
                        '--request-log', str(log),
                        *([] if expand else ['--noexpand'])) as url:
                    name = (f'{"https" if tls else "http"}, '
                            f'{"$expand" if expand else "plain GETs"}')
                    rows.append(_one(url, certificate if tls else None,
                                     Log(log), rounds, name, blocks,
                                     ratios))
    report.say(f'{blocks} blocks, latency {_LATENCY * 1e3:.0f} ms, '
               f'{_CONNECTIONS} connections, best of {rounds}')
    report.table(
        ('', 'ms', 'requests', 'levels', 'bound, ms', 'times the bound',
         'latency alone, ms', 'client CPU, ms'), rows)
    report.say('bound: levels x latency + transfers / connections, by a bare '
               'client. Latency alone: the same if a')
    report.say('transfer took no time.')
    for name, value in ratios.items():
        report.aim(f'times the bound, {name}', value, 1.5)


def _one(url: str, certificate: str | None, log: Log, rounds: int,
         name: str, blocks: int, ratios: dict[str, float]) -> tuple:
    one = driver(url, certificate)
    one.identify()
    bare = _Bare(url, certificate)
    best: tuple[float, float, list[str]] | None = None
    limit = float('inf')
    for _ in range(rounds):
        log.paths()
        spent, cpu, found = _timed(one.discover)
        paths = log.paths()
        assert found.complete, found.problems[:3]
        pooled = sum(device.pooled for device in found.devices)
        assert pooled == blocks, (pooled, blocks)
        if best is None or spent < best[0]:
            best = (spent, cpu, paths)
        limit = min(limit, bound(bare, by_level(paths)))
    bare.close()
    one.close()
    assert best
    spent, cpu, paths = best
    levels = by_level(paths)
    alone = sum(max(_LATENCY, len(level) / _CONNECTIONS * _LATENCY)
                for level in levels)
    ratios[name] = spent / limit
    return (name, f'{spent * 1e3:.0f}', len(paths), len(levels),
            f'{limit * 1e3:.0f}', f'{spent / limit:.2f}',
            f'{alone * 1e3:.0f}', f'{cpu * 1e3:.0f}')


def _against_sushy(options: common.Options, report: common.Report) -> None:
    warnings.simplefilter('ignore')
    try:
        import certifi
        import sushy
        from sushy import auth
    except ImportError as error:
        raise common.Missing('sushy is not installed') from error
    blocks, shape = _shape(options)
    with processes.directory() as directory:
        certificate, key = _certificate(directory)
        common_arguments = [
            *shape, '--tls-cert', certificate, '--tls-key', key,
            '--latency', str(_LATENCY)]
        # The usual way to trust one's own authority: among all the others.
        bundle = directory / 'bundle.pem'
        bundle.write_bytes(pathlib.Path(certifi.where()).read_bytes()
                           + pathlib.Path(certificate).read_bytes())
        log_path = directory / 'log'
        with processes.simulator(
                *common_arguments, '--noexpand', '--request-log',
                str(log_path)) as plain, processes.simulator(
                    *common_arguments) as expanded:
            log = Log(log_path)
            drivers = {'plain GETs': driver(plain, certificate),
                       '$expand': driver(expanded, certificate)}
            for one in drivers.values():
                one.identify()
            log.paths()
            drivers['plain GETs'].discover()
            wanted = log.paths()
            clients = {
                name: sushy.Sushy(plain, verify=str(trusted), auth=(
                    auth.SessionOrBasicAuth('admin', 'password')))
                for name, trusted in (('sushy', certificate),
                                      ('sushy, bundle', bundle))}
            timings: common.Timings = collections.defaultdict(list)
            cpus: common.Timings = collections.defaultdict(list)

            def sequential(name: str, start: int, every: int) -> None:
                """Read a part of the resources; note what all would take."""
                part = wanted[start::every]
                spent, cpu, _ = _timed(lambda: [
                    clients[name]._conn.get(path).json() for path in part])
                timings[name].append(spent * len(wanted) / len(part))
                cpus[name].append(cpu * len(wanted) / len(part))

            for number in range(1 if options.quick else 2):
                for _ in range(3):
                    for name, one in drivers.items():
                        spent, cpu, _result = _timed(one.discover)
                        timings[name].append(spent)
                        cpus[name].append(cpu)
                sequential('sushy', number, _EVERY)
                sequential('sushy, bundle', number, 4 * _EVERY)
            for one in drivers.values():
                one.close()
    slow = common.median(timings['sushy'])
    rows = []
    report.say()
    report.say(f'{blocks} blocks over TLS, latency {_LATENCY * 1e3:.0f} ms: '
               f'{len(wanted)} resources, of which sushy reads one in '
               f'{_EVERY}')
    for name, label in (('sushy', 'sushy, one after the other'),
                        ('sushy, bundle', 'the same, trusting a bundle'),
                        ('plain GETs', 'Valence, plain GETs'),
                        ('$expand', 'Valence, $expand')):
        spent = common.median(timings[name])
        rows.append((label, f'{spent * 1e3:.0f}', f'{slow / spent:.1f}',
                     f'{common.median(cpus[name]) * 1e3:.0f}'))
    report.table(('', 'ms', 'times as fast as sushy', 'client CPU, ms'),
                 rows)
    for limit in (8, 20):
        for name in drivers:
            report.aim(
                f'times as fast as sequential sushy over TLS, {name}',
                slow / common.median(timings[name]), limit, at_least=True)


def run(options: common.Options, report: common.Report) -> None:
    _against_bound(options, report)
    _against_sushy(options, report)


if __name__ == '__main__':
    common.main(run)
