# SPDX-License-Identifier: Apache-2.0
"""How much faster than Ironic's API is Valence's?

Both as their own commands serve them, over HTTP on loopback, one worker
process each, SQLite, no authentication, without proxies and without TLS:
1,000 nodes in Ironic, 1,000 devices and 1,000 nodes in Valence. Beside them,
on Valence's server, what bare Pecan and a bare WSGI function make of it.

Ironic needs a virtual environment of its own, see ironic-requirements.txt.
"""

import contextlib
import json
import pathlib
import subprocess
import urllib.request
from collections.abc import Iterator

from benchmarks import common, data, http_load, processes
from valence.db.engine import Database

COUNT = 1000
#: As many as Ironic has in a list, and links beside them.
_FIELDS = 'uuid,name,flavor,managed_by,power_state,state'
_IRONIC = 'X-OpenStack-Ironic-API-Version: 1.80\r\n'


@contextlib.contextmanager
def _ironic(python: str, directory: pathlib.Path) -> Iterator[int]:
    """Ironic's API with its nodes; gives the port."""
    port = processes.free_port()
    conf = directory / 'ironic.conf'
    conf.write_text(f'''[DEFAULT]
auth_strategy = noauth
rpc_transport = json-rpc
host = benchmark
state_path = {directory}
log_file = {directory}/ironic.log
enabled_hardware_types = fake-hardware
[database]
connection = sqlite:///{directory}/ironic.sqlite
[api]
host_ip = 127.0.0.1
port = {port}
api_workers = 1
max_limit = {COUNT}
''')
    bin_ = pathlib.Path(python).parent
    for command in ([bin_ / 'ironic-dbsync', '--config-file', conf,
                     'create_schema'],
                    [python, processes.ROOT / 'benchmarks/ironic_nodes.py',
                     conf, COUNT]):
        subprocess.run([str(word) for word in command], check=True,
                       capture_output=True, timeout=300)
    with processes.process([str(bin_ / 'ironic-api'), '--config-file',
                            str(conf)], directory / 'ironic.out'):
        processes.Api(port).wait()
        yield port


@contextlib.contextmanager
def _valence(directory: pathlib.Path) -> Iterator[tuple[int, str]]:
    """Valence's API with its nodes; gives the port and a node's uuid."""
    url = f'sqlite:///{directory / "valence.sqlite"}'
    port = processes.free_port()
    conf = processes.configure(directory, url, 'fake://', api={
        'auth_strategy': 'noauth', 'bind_port': port})
    database = Database(url)
    # A node takes three of four devices.
    node = data.fill(database, 4 * COUNT, COUNT)[COUNT // 2]
    database.close()
    with processes.process([processes.script('valence-api'), '--config-file',
                            conf], directory / 'valence.log'):
        processes.Api(port).wait()
        yield port, node


@contextlib.contextmanager
def _floor(*application: str) -> Iterator[int]:
    """An application of pecan_share.py on the server that Valence uses."""
    port = processes.free_port()
    with processes.process([
            processes.script('granian'), '--interface', 'wsgi', '--port',
            str(port), '--blocking-threads', '8', '--no-log', *application]):
        processes.Api(port).wait_for_port()
        yield port


def _first_node(port: int) -> str:
    with urllib.request.urlopen(
            f'http://127.0.0.1:{port}/v1/nodes?limit=1') as answer:
        return str(json.load(answer)['nodes'][0]['uuid'])


def run(options: common.Options, report: common.Report) -> None:
    if not options.ironic:
        raise common.Missing(
            'no Ironic; make it an environment of its own with python -m '
            'venv and pip install -r benchmarks/ironic-requirements.txt, '
            "and give that environment's python as --ironic")
    seconds, rounds = (0.3, 1) if options.quick else (2.0, 5)
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        directory = enter(processes.directory())
        ironic = enter(_ironic(options.ironic, directory))
        valence, node = enter(_valence(directory))
        thing = '/v1/things/6c5f1a0e-3f0b-4f0e-8a44-0f7c4f6b2f11'
        bare = enter(_floor('benchmarks.pecan_share:bare'))
        stock = enter(_floor('--factory', 'benchmarks.pecan_share:stock'))
        lists = {
            'Valence, devices': http_load.Target(
                valence, f'/v1/devices?limit={COUNT}'),
            'Valence, nodes': http_load.Target(
                valence, f'/v1/nodes?limit={COUNT}'),
            'Valence, nodes, six fields': http_load.Target(
                valence, f'/v1/nodes?limit={COUNT}&fields={_FIELDS}'),
            'Ironic, nodes': http_load.Target(
                ironic, f'/v1/nodes?limit={COUNT}&detail=true', _IRONIC),
            'Ironic, nodes, six fields': http_load.Target(
                ironic, f'/v1/nodes?limit={COUNT}', _IRONIC),
        }
        shows = {
            'Valence': http_load.Target(valence, f'/v1/nodes/{node}'),
            'Ironic': http_load.Target(
                ironic, f'/v1/nodes/{_first_node(ironic)}', _IRONIC),
            'bare Pecan, no database': http_load.Target(stock, thing),
            'bare WSGI, no database': http_load.Target(bare, thing),
        }
        results = {
            (what, connections): http_load.in_turns(
                targets, connections, seconds, rounds)
            for what, targets, connections in (
                ('list', lists, 1), ('list', lists, 4),
                ('show', shows, 1), ('show', shows, 16))}
    for (what, connections), loads in results.items():
        report.table(
            (f'{what}, {connections} at a time', 'requests/s', 'median, ms',
             '99th percentile, ms', 'KiB'),
            [(name, f'{load.rate:.1f}', f'{load.percentile(50) * 1e3:.2f}',
              f'{load.percentile(99) * 1e3:.2f}', f'{load.size / 1024:.1f}')
             for name, load in loads.items()])
        report.say()
    listed, shown = results['list', 4], results['show', 1]
    crowded = results['show', 16]
    for name, other in (('nodes, six fields', 'nodes, six fields'),
                        ('nodes', 'nodes'), ('devices', 'nodes'),
                        ('nodes', 'nodes, six fields'),
                        ('devices', 'nodes, six fields')):
        report.aim(f"times the lists of 1,000 per second, {name} to Ironic's "
                   f'{other}', listed[f'Valence, {name}'].rate
                   / listed[f'Ironic, {other}'].rate, 40, at_least=True)
    report.aim('times as fast a show of one',
               shown['Ironic'].percentile(50)
               / shown['Valence'].percentile(50), 10, at_least=True)
    report.aim('99th percentile of a show, 16 at a time, of that of Ironic',
               crowded['Valence'].percentile(99)
               / crowded['Ironic'].percentile(99), 0.1)


if __name__ == '__main__':
    common.main(run)
