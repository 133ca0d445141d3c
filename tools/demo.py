# SPDX-License-Identifier: Apache-2.0
"""Composes a node out of a simulated pod, through Valence's REST API.

Starts valence-simulator and valence-standalone on free loopback ports,
registers the pod, reads its inventory, creates a flavor, composes a node and
powers it on. Then everything stays up to be tried, until Ctrl-C.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import sys
import time
from typing import Any, NoReturn

from demo_job import FLAVOR, Api, Job
from demo_services import (
    DemoError,
    Service,
    State,
    configure,
    migrate,
    say,
    tail,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Stopped(Exception):
    """Somebody asked the demonstration to stop."""


def stop(*_: object) -> NoReturn:
    raise Stopped


def start(state: State, services: list[Service]) -> tuple[Api, str]:
    """Configure, migrate and start it all; the API, and the pod's URL."""
    api_url, pod_url = configure(state)

    def run_service(name: str, conf: pathlib.Path) -> Service:
        services.append(Service(name, state, '--config-file', str(conf)))
        state.remember(services)
        return services[-1]

    pod = run_service('valence-simulator', state.simulator_conf)
    migrate(state)
    valence = run_service('valence-standalone', state.valence_conf)
    pod.wait_for(f'{pod_url}/redfish/v1/')
    valence.wait_for(f'{api_url}/')
    known = state.credentials()
    return Api(api_url, known['username'], known['password']), pod_url


def main_job(job: Job, state: State, pod_url: str) -> dict[str, Any]:
    """From an empty Valence to a node that is on."""
    known = state.credentials()
    with job.step('register', 'Registering the pod manager'):
        pod_manager = job.register(
            pod_url, known['pod_username'], known['pod_password'])
    with job.step('sync', 'Reading its inventory'):
        job.sync(pod_manager)
        job.release_leftovers()
    with job.step('list', 'Listing what it found'):
        job.inventory()
    with job.step('flavor', 'Creating a flavor'):
        job.flavor()
    with job.step('compose', 'Composing a node'):
        node = job.compose()
    with job.step('power', 'Powering it on'):
        job.power_on(node)
    with job.step('show', 'Showing it'):
        return job.show(node)


def invite(api: Api, state: State, node: dict[str, Any]) -> None:
    known = state.credentials()
    cure = ''
    if shutil.which('curl') is None:
        sudo = '' if os.geteuid() == 0 else 'sudo '
        cure = (' (they need curl, which is not\n  here; run: '
                f'{sudo}apt-get install --yes curl)')
    curl = f"curl -u '{known['username']}:{known['password']}'"
    say(f"""
  The API is at  {api.url}
  User           {known['username']}
  Password       {known['password']}

  Try next, in another terminal{cure}:

    {curl} {api.url}/v1/nodes

    {curl} -X POST -H 'Content-Type: application/json' \\
        -d '{{"name": "second", "flavor": "{FLAVOR}"}}' {api.url}/v1/nodes

    {curl} -X DELETE {api.url}/v1/nodes/{node['uuid']}

  Logs and data are in {state.path}. Ctrl-C stops everything.""")


def run(args: argparse.Namespace, state: State, services: list[Service],
        summary: dict[str, Any]) -> None:
    """The demonstration, noting in ``summary`` how far it came."""
    job = Job(steps=9 if args.once else 8)
    summary['steps'] = job.seconds
    with job.step('start', 'Starting a simulated pod and Valence'):
        job.api, pod_url = start(state, services)
    try:
        node = main_job(job, state, pod_url)
    except DemoError:
        # A service that has just died says more than its client.
        time.sleep(0.2)
        for service in services:
            service.check()
        raise
    summary.update(node=node['uuid'], state=node['state'],
                   power=node['power_state'])
    if args.once:
        with job.step('release', 'Releasing it'):
            job.release(node['uuid'])
        summary['state'] = 'released'
        return
    invite(job.api, state, node)
    while True:
        for service in services:
            service.check()
        time.sleep(0.5)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog='tools/demo', description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--once', action='store_true',
        help='release the node and stop after the job; the last line printed '
             'is a summary as JSON')
    parser.add_argument(
        '--reset', action='store_true',
        help='start over: delete the state of earlier runs first')
    parser.add_argument(
        '--state-dir', type=pathlib.Path, default=ROOT / '.demo',
        help='where configuration, credentials, data and logs are kept '
             '(default: .demo)')
    args = parser.parse_args()
    if os.environ.get('VALENCE_DEMO_CHECK'):
        return 0

    began = float(os.environ.get('VALENCE_DEMO_STARTED') or time.time())
    state = State(args.state_dir.resolve())
    services: list[Service] = []
    summary: dict[str, Any] = {'result': 'failed'}
    code = 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        state.open(args.reset)
        run(args, state, services, summary)
        summary['result'] = 'ok'
        code = 0
    except Stopped:
        say('\nStopping.')
        summary['result'] = 'stopped'
        code = 130 if args.once or 'node' not in summary else 0
    except DemoError as error:
        say()
        if error.log:
            say(f'The last lines of {error.log}:\n{tail(error.log)}')
        print(f'tools/demo: {error}', file=sys.stderr, flush=True)
        summary['reason'] = str(error)
    except OSError as error:
        print(f'tools/demo: {error}', file=sys.stderr, flush=True)
        summary['reason'] = str(error)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for service in reversed(services):
            service.stop()
        if services:
            state.forget()
    if args.once:
        summary['seconds'] = round(time.time() - began, 1)
        say(json.dumps(summary))
    return code


if __name__ == '__main__':
    sys.exit(main())
