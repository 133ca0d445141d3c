# SPDX-License-Identifier: Apache-2.0
"""Were the promises kept, by what the hardware and its ledger say?

The promises I1 to I6 are judged by the pods and by what was sent to them. Of
Valence itself only two things are asked: what it shows to its users, which
is what has to be true, and how the operations ended that it accepted.

I7 (secrets) is looked for in the logs; I8 (projects) is not a matter of
faults, ``valence/tests/unit/api`` has its tests.
"""

import base64
import collections
import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import requests
import testtools
from testtools.content import text_content

from valence.tests.functional.processes import (
    PATIENCE,
    Client,
    Simulator,
    wait_for,
)

#: States of a node in which nobody works on it.
RESTING = ('active', 'error')
ENDED = ('succeeded', 'failed', 'cancelled')

#: What may be said again, since it says a state: no effect the second time.
_LASTING: dict[str, Any] = {
    'boot': lambda entry: (entry.get('boot_enabled'),
                           entry.get('boot_target')),
    'reset': lambda entry: (entry['power_state'] if entry['reset_type'] in (
        'On', 'ForceOff') else None),
}

_SYSTEMS = '/redfish/v1/Systems?$expand=.($levels=1)'
_TAG = 'valence-'


@dataclasses.dataclass(frozen=True)
class System:
    """A composed system as its pod shows it."""

    path: str
    name: str
    blocks: frozenset[str]
    power: str
    boot: tuple[str, str]


def systems(pod: Simulator) -> list[System]:
    """What the hardware is joined to."""
    answer = requests.get(pod.url + _SYSTEMS, timeout=PATIENCE,
                          auth=(pod.username, pod.password))
    answer.raise_for_status()
    return [System(
        one['@odata.id'], one['Name'],
        frozenset(block['@odata.id']
                  for block in one['Links']['ResourceBlocks']),
        one['PowerState'],
        (one['Boot']['BootSourceOverrideEnabled'],
         one['Boot']['BootSourceOverrideTarget']))
        for one in answer.json()['Members'] if one['SystemType'] == 'Composed']


def nodes(client: Client) -> list[dict[str, Any]]:
    """All nodes, with the devices that each claims."""
    found = []
    for one in client.get('/v1/nodes?limit=1000')['nodes']:
        answer = client.request('GET', f'/v1/nodes/{one["uuid"]}')
        if answer.status_code != 404:
            found.append(answer.json())
    return found


def settle(client: Client, accepted: Iterable[str],
           timeout: float = PATIENCE) -> dict[str, dict[str, Any]]:
    """Wait until all is quiet; the operations as they ended (I2, I5).

    :param accepted: the operations that a 202 promised
    """
    ended: dict[str, dict[str, Any]] = {}
    waiting = list(dict.fromkeys(accepted))

    def quiet() -> bool:
        for uuid in list(waiting):
            found = client.get(f'/v1/operations/{uuid}')
            if found['state'] not in ENDED:
                return False
            ended[uuid] = found
            waiting.remove(uuid)
        return all(node['state'] in RESTING and node['operation'] is None
                   for node in client.get('/v1/nodes?limit=1000')['nodes'])

    wait_for('all is quiet: every 202 has ended (I5) and no node is in '
             'between (I2)', quiet, timeout, 0.1)
    return ended


def violations(pods: Mapping[str, Simulator], shown: list[dict[str, Any]],
               operations: Mapping[str, Mapping[str, Any]],
               trace: Iterable[Mapping[str, Any]] = (),
               refusals: bool = False) -> list[str]:
    """What is not as promised, in sentences.

    To be asked when all is quiet.

    :param pods: by the uuid of their pod manager
    :param shown: see :func:`nodes`
    :param operations: what was accepted, see :func:`settle`
    :param trace: see :meth:`valence.tests.functional.armed.Faults.trace`
    :param refusals: whether a pod may have refused something
    """
    found = []
    for uuid, pod in pods.items():
        mine = [node for node in shown if node['pod_manager'] == uuid]
        joined = systems(pod)
        ledger = pod.ledger()
        found += _ownership(mine, joined)
        found += _effects(ledger, operations.values())
        if not refusals:
            found += [f'I4: the pod refused {entry}' for entry in ledger
                      if entry['effect'] == 'refused']
    found += _order(trace)
    return found


def claimed_twice(shown: list[dict[str, Any]]) -> list[str]:
    """What several nodes claim: never, whoever works on them."""
    owners = collections.Counter(
        (node['pod_manager'], device['resource_path']) for node in shown
        for device in node['devices'])
    return [f'I1: {path} belongs to {count} nodes'
            for (_, path), count in owners.items() if count > 1]


def _ownership(shown: list[dict[str, Any]],
               joined: list[System]) -> Iterable[str]:
    yield from claimed_twice(shown)
    users = collections.Counter(
        block for system in joined for block in system.blocks)
    yield from (f'I1: {path} belongs to {count} systems'
                for path, count in users.items() if count > 1)
    by_tag = {system.name: system for system in joined
              if system.name.startswith(_TAG)}
    for node in shown:
        system = by_tag.pop(f'{_TAG}{node["uuid"]}', None)
        claims = {device['resource_path'] for device in node['devices']}
        blocks = system.blocks if system else frozenset()
        name = f'node {node["name"]} ({node["state"]})'
        if node['state'] == 'active':
            if blocks != claims:
                yield (f'I1: {name} claims {sorted(claims)}, the hardware '
                       f'has {sorted(blocks)}')
        elif not blocks <= claims:
            yield (f'I1: {name} claims {sorted(claims)} only, the hardware '
                   f'has {sorted(blocks)}')
        if node['state'] not in RESTING or node['operation']:
            yield f'I2: {name} is held by {node["operation"]}'
    yield from (f'I3: nobody knows {system}' for system in by_tag.values())


def _effects(ledger: list[dict[str, Any]],
             operations: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """More effects on a system than operations that could have had them."""
    asked: collections.Counter[tuple[str, str]] = collections.Counter(
        (f'{_TAG}{operation["node"]}', operation['kind'])
        for operation in operations if operation['node'])
    seen: collections.Counter[tuple[str, str]] = collections.Counter()
    last: dict[tuple[str, str], Any] = {}
    for entry in ledger:
        if 'name' not in entry or entry.get('phase') == 'requested':
            continue
        key = entry['name'], entry['effect']
        said = _LASTING.get(entry['effect'], lambda entry: None)(entry)
        if said and last.get(key) == said:
            continue
        last[key] = said
        if entry.get('origin') != 'admin':
            seen[key] += 1
    for (tag, effect), count in seen.items():
        if not tag.startswith(_TAG):
            continue
        most = {
            # It goes as often as it came: by a release, or because its
            # compose is undone. A compose that failed may be done again.
            'compose': max(asked[tag, 'compose'], 1),
            'decompose': max(asked[tag, 'compose'], 1),
            # Each of the other two of a pair may be the undo of this one.
            'attach': asked[tag, 'attach'],
            'detach': asked[tag, 'detach'] + asked[tag, 'attach'],
            'boot': asked[tag, 'boot'],
            'reset': asked[tag, 'power'] + asked[tag, 'release'],
        }.get(effect, count)
        if count > most:
            yield (f'I4: {count} times {effect} of {tag}, {most} at most '
                   'were asked for')


def _order(trace: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    newest: dict[str, int] = {}
    for entry in trace:
        if entry['point'] != 'K6' or 'epoch' not in entry:
            continue
        operation, epoch = entry['operation'], entry['epoch']
        if epoch < newest.get(operation, 0):
            yield (f'I4: epoch {epoch} of operation {operation} sent a '
                   f'change after epoch {newest[operation]} did: {entry}')
        newest[operation] = max(epoch, newest.get(operation, 0))


def leaks(pods: Iterable[Simulator], logs: Iterable[str]) -> list[str]:
    """Credentials of the pods in what the processes wrote (I7)."""
    found = []
    texts = list(logs)
    for pod in pods:
        basic = base64.b64encode(
            f'{pod.username}:{pod.password}'.encode()).decode()
        found += [f'I7: {secret} is in a log' for secret
                  in (pod.password, basic) if any(
                      secret in text for text in texts)]
    return found


def note(test: testtools.TestCase, **figures: Any) -> None:
    """Say what a test that passed did: a detail, and a line of JSON in the
    file that VALENCE_TEST_FIGURES names.
    """
    line = json.dumps(figures)
    test.addDetail('figures', text_content(line))
    path = os.environ.get('VALENCE_TEST_FIGURES')
    if path:
        with open(path, 'a', encoding='utf-8') as file:
            file.write(line + '\n')


def attach_details(test: testtools.TestCase, client: Client,
                   pods: Iterable[Simulator], **more: Any) -> None:
    """Give a test that failed all that there is to say, as JSON."""
    details = dict(more)
    details['ledgers'] = [pod.ledger() for pod in pods]
    for what in ('operations', 'nodes', 'conductors'):
        try:
            details[what] = client.get(f'/v1/{what}?limit=1000')[what]
        except (requests.RequestException, ValueError) as error:
            details[what] = repr(error)
    for name, value in details.items():
        test.addDetail(name, text_content(json.dumps(
            value, indent=1, default=str)))
