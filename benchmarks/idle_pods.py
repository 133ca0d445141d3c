# SPDX-License-Identifier: Apache-2.0
"""How much memory does a pod manager hold that nothing is asked of?

valence-standalone with some pod managers, each synced once, and with more of
them; then idle. The first are more than are read at a time: what the busiest
moment needed stays with the process, and is no pod manager's own. What each
adds is told apart by how they are reached: without TLS, over TLS with an
authority of its own, the same with pods that are read by as many requests as
there may be connections, and over TLS with the authorities of the system.
"""

import pathlib
import resource
import time
from collections.abc import Iterable

from benchmarks import common, discovery, memory, processes

_NO_TLS = 'no TLS'
_OWN = 'own authority'
_WIDE = 'own authority, plain GETs'
_SYSTEM = "the system's authorities"
_POD = 'compute=1,nvme=1,gpu=1,nic=1,racks=1,zones=1,power-delay=0'
_WIDE_POD = 'compute=4,nvme=8,gpu=4,nic=4,power-delay=0,expand=false'
_COUNTS = (60, 120)
#: Longer than a connection is used again, and than the conductor's poll.
_SETTLE = 10.0


def _fds(pid: int) -> int:
    return len(list(pathlib.Path(f'/proc/{pid}/fd').iterdir()))


def _sync(api: processes.Api, pods: Iterable[tuple[str, str]],
          **more: object) -> None:
    """Register them and wait until each has its inventory."""
    uuids = {api.post_pod_manager(url, name, **more)
             for name, url in pods}
    until = time.monotonic() + 300
    while uuids:
        uuid = next(iter(uuids))
        found = api.call('GET', f'/v1/pod_managers/{uuid}')
        if found['status'] == 'online':
            uuids.discard(uuid)
        elif found['status'] != 'unknown' or time.monotonic() > until:
            raise RuntimeError(f'the pod is {found["status"]}: '
                               f'{found.get("status_reason")}')
        else:
            time.sleep(0.2)


def _measure(directory: pathlib.Path, kind: str, counts: tuple[int, int],
             settle: float) -> list[tuple[float, int]]:
    """MB and file descriptors with each of the numbers of pod managers."""
    directory.mkdir()
    certificate, key = discovery._certificate(directory)
    environ: dict[str, str] = {}
    more: dict[str, object] = {}
    if kind in (_OWN, _WIDE):
        more['ca_certificates'] = pathlib.Path(certificate).read_text()
    elif kind == _SYSTEM:
        import certifi
        bundle = directory / 'bundle.pem'
        bundle.write_bytes(pathlib.Path(certifi.where()).read_bytes()
                           + pathlib.Path(certificate).read_bytes())
        environ['SSL_CERT_FILE'] = str(bundle)
    tls = [] if kind == _NO_TLS else [
        '--tls-cert', certificate, '--tls-key', key]
    shape = _WIDE_POD if kind == _WIDE else _POD
    found = []
    with processes.simulators(*tls, *(
            word for number in range(counts[-1])
            for word in ('--pod', f'redfish,name=pod-{number},{shape}'))
            ) as ready:
        pods = list(ready['pods'].items())
        port = processes.free_port()
        conf = processes.configure(
            directory, f'sqlite:///{directory / "valence.sqlite"}',
            api={'auth_strategy': 'noauth', 'bind_port': port})
        with processes.process(
                [processes.script('valence-standalone'), '--config-file',
                 conf], directory / 'log', **environ) as child:
            api = processes.Api(port)
            api.wait()
            done = 0
            for count in counts:
                _sync(api, pods[done:count], **more)
                done = count
                time.sleep(settle)
                found.append((memory._status(child.pid)['VmRSS'],
                              _fds(child.pid)))
    return found


def run(options: common.Options, report: common.Report) -> None:
    if not pathlib.Path('/proc/self/status').exists():
        raise common.Missing('there is no /proc here')
    kinds = [_OWN] if options.quick else [_NO_TLS, _OWN, _WIDE, _SYSTEM]
    counts = (2, 4) if options.quick else _COUNTS
    # Each connection is a file descriptor; children inherit the limit.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rows = []
    each: dict[str, float] = {}
    with processes.directory() as directory:
        for number, kind in enumerate(kinds):
            few, many = _measure(directory / str(number), kind, counts,
                                 0.5 if options.quick else _SETTLE)
            more = counts[1] - counts[0]
            each[kind] = (many[0] - few[0]) / more * 1e6
            rows.append((
                kind, f'{few[0]:.1f}', f'{many[0]:.1f}',
                f'{each[kind]:.0f}', f'{(many[1] - few[1]) / more:.1f}'))
    report.table(
        ('pod managers reached with', f'MB with {counts[0]}',
         f'MB with {counts[1]}', 'bytes per pod manager',
         'descriptors per pod manager'), rows)
    for kind, value in each.items():
        report.aim(f'kB of an idle pod manager, {kind}', value / 1e3, 50)


if __name__ == '__main__':
    common.main(run)
