# SPDX-License-Identifier: Apache-2.0
"""How much memory does an idle valence-standalone hold?

One process with the API, a conductor and SQLite; one pod registered and
synced; then idle. Beside it, what the interpreter and the libraries alone
take, in processes that only import them.
"""

import pathlib
import sys
import time
from collections.abc import Sequence

from benchmarks import common, processes

#: What is imported on top of each other, in this order.
_STEPS = (
    ('Python alone', ''),
    ('+ SQLAlchemy, oslo.db, alembic', 'import sqlalchemy, alembic.command, '
     'oslo_db.sqlalchemy.engines'),
    ('+ oslo.config, oslo.log, oslo.policy', 'import oslo_config.cfg, '
     'oslo_log.log, oslo_policy.policy'),
    ('+ Pecan, jsonschema, granian', 'import pecan, jsonschema, '
     'granian.server.embed'),
    ('+ urllib3, cryptography', 'import urllib3, cryptography.fernet, '
     'cryptography.x509'),
    ('+ valence.cmd.standalone', 'import valence.cmd.standalone'),
)


def _status(pid: int) -> dict[str, float]:
    """VmRSS and VmHWM of a process in MB (10**6 bytes)."""
    found = {}
    with open(f'/proc/{pid}/status', encoding='ascii') as file:
        for line in file:
            name, _, value = line.partition(':')
            if name in ('VmRSS', 'VmHWM', 'Threads'):
                number = float(value.split()[0])
                found[name] = (number if name == 'Threads'
                               else number * 1024 / 1e6)
    return found


def _imported(statements: Sequence[str]) -> float:
    """MB of a Python that has imported something."""
    code = '\n'.join([*statements, 'import time',
                      'print("ready", flush=True)', 'time.sleep(60)'])
    with processes.process([sys.executable, '-W', 'ignore', '-c', code]
                           ) as child:
        assert child.stdout
        if child.stdout.readline() != 'ready\n':
            raise RuntimeError(f'cannot import {statements[-1]}')
        return _status(child.pid)['VmRSS']


def run(options: common.Options, report: common.Report) -> None:
    if not pathlib.Path('/proc/self/status').exists():
        raise common.Missing('there is no /proc here')
    rows = []
    before = 0.0
    for number, (name, _) in enumerate(_STEPS):
        if options.quick and number < len(_STEPS) - 1:
            continue
        size = _imported([step for _, step in _STEPS[:number + 1]])
        rows.append((name, f'{size:.1f}', f'{size - before:.1f}'))
        before = size
    with processes.directory() as directory, \
            processes.simulator() as pod:
        port = processes.free_port()
        conf = processes.configure(
            directory, f'sqlite:///{directory / "valence.sqlite"}',
            api={'auth_strategy': 'noauth', 'bind_port': port})
        with processes.process(
                [processes.script('valence-standalone'), '--config-file',
                 conf], directory / 'log') as child:
            api = processes.Api(port)
            api.wait()
            started = _status(child.pid)
            api.register(pod)
            time.sleep(1 if options.quick else 30)
            idle = _status(child.pid)
    rows.append(('valence-standalone, started', f'{started["VmRSS"]:.1f}',
                 f'{started["VmRSS"] - before:.1f}'))
    rows.append(('valence-standalone, idle after a sync',
                 f'{idle["VmRSS"]:.1f}',
                 f'{idle["VmRSS"] - started["VmRSS"]:.1f}'))
    report.table(('resident, MB', 'total', 'more'), rows)
    report.say(f'at its largest {idle["VmHWM"]:.1f} MB; '
               f'{idle["Threads"]:.0f} threads')
    report.aim('idle', idle['VmRSS'], 120, unit=' MB')


if __name__ == '__main__':
    common.main(run)
