# SPDX-License-Identifier: Apache-2.0
"""What is the main job, as a client of the REST API does it?"""

import base64
import collections
import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

from demo_services import OPENER, DemoError, say

DONE_WITHIN = 300       # seconds until an operation must have ended

POD = 'demo-pod'
FLAVOR = 'demo'
NODE = 'demo-node'
REQUIREMENTS = {
    'memory': {'capacity_mib': 65536},
    'processor': {'total_cores': 16},
    'pci_device': {'type': ['nvme', 'gpu']},
}


class Api:
    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url
        token = base64.b64encode(f'{username}:{password}'.encode()).decode()
        self._headers = {'Authorization': f'Basic {token}',
                         'Accept': 'application/json'}

    def __call__(self, method: str, path: str, body: Any = None,
                 expect: int = 200) -> Any:
        """The decoded answer; DemoError for any status but ``expect``."""
        status, answer = self.ask(method, path, body)
        if status != expect:
            raise DemoError(f'{method} {path} answered {status}: '
                            f'{complaint(answer)}')
        return answer

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = dict(self._headers)
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers['Content-Type'] = 'application/json'
        request = urllib.request.Request(
            self.url + path, data, headers, method=method)
        try:
            with OPENER.open(request, timeout=DONE_WITHIN) as answer:
                return answer.status, decode(answer.read())
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, decode(answer.read())
        except OSError as error:
            raise DemoError(
                f'{method} {path} got no answer: {error}.') from error

    def every(self, collection: str) -> Iterator[dict[str, Any]]:
        """All members of a collection, page by page."""
        path: str | None = f'/v1/{collection}'
        while path:
            page = self('GET', path)
            yield from page[collection]
            path = page.get('next')
            if path and not path.startswith('/'):
                path = path.removeprefix(self.url)

    def finish(self, operation: dict[str, Any], any_end: bool = False) -> None:
        """Follow an operation to its end, saying each step as it is done.

        Unless ``any_end`` will do, it must succeed.
        """
        told: set[str] = set()
        deadline = time.monotonic() + DONE_WITHIN
        while time.monotonic() < deadline:
            operation = self('GET', f'/v1/operations/{operation["uuid"]}')
            for step in operation['steps']:
                if step['state'] == 'done' and step['name'] not in told:
                    told.add(step['name'])
                    say(f'         {step["name"]}: done')
            if operation['state'] == 'succeeded':
                return
            if operation['state'] not in ('pending', 'running'):
                if any_end:
                    return
                raise DemoError(
                    f'The {operation["kind"]} operation {operation["state"]}: '
                    f'{(operation["error"] or {}).get("detail")}.')
            time.sleep(0.1)
        raise DemoError(
            f'The {operation["kind"]} operation is still '
            f'{operation["state"]} after {DONE_WITHIN} seconds.')


def decode(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors='replace')


def complaint(answer: Any) -> str:
    try:
        return '; '.join(error['detail'] or error['title']
                         for error in answer['errors'])
    except (KeyError, TypeError):
        return str(answer)


class Job:
    """The numbered steps, with what each took."""

    def __init__(self, steps: int) -> None:
        self.api: Api
        self.number = 0
        self._steps = steps
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self, key: str, text: str) -> Iterator[None]:
        self.number += 1
        say(f'  {self.number}/{self._steps}  {text}')
        began = time.monotonic()
        yield
        self.seconds[key] = round(time.monotonic() - began, 2)
        say(f'         {self.seconds[key]:.2f} s')

    def by_name(self, collection: str, name: str) -> dict[str, Any] | None:
        for member in self.api.every(collection):
            if member['name'] == name:
                return member
        return None

    def register(self, url: str, username: str, password: str) -> str:
        access = {'url': url, 'authentication': [{
            'type': 'basic',
            'auth_items': {'username': username, 'password': password}}]}
        known = self.by_name('pod_managers', POD)
        if known is None:
            created = self.api('POST', '/v1/pod_managers',
                               {'name': POD, 'driver': 'redfish', **access},
                               expect=201)
            return str(created['uuid'])
        say('         known from the run before')
        if known['url'] != url:
            self.api('PATCH', f'/v1/pod_managers/{known["uuid"]}', access)
        return str(known['uuid'])

    def release_leftovers(self) -> None:
        """A new simulator starts empty: nodes of an earlier run are gone."""
        for node in list(self.api.every('nodes')):
            if node['operation']:
                say(f'         waiting for what {node["name"]} of the run '
                    'before was in the middle of')
                self.api.finish({'uuid': node['operation']}, any_end=True)
            say(f'         releasing {node["name"]} of the run before')
            self.release(node['uuid'])

    def sync(self, pod_manager: str) -> None:
        answer = self.api('POST', f'/v1/pod_managers/{pod_manager}/sync',
                          expect=202)
        self.api.finish(answer['operation'])

    def inventory(self) -> dict[str, int]:
        racks = collections.Counter(
            rack['chassis_type'].lower() for rack in self.api.every('racks'))
        systems = sum(1 for _ in self.api.every('systems'))
        devices = collections.Counter(
            device['type'] for device in self.api.every('devices'))
        rows = [(kind, str(count))
                for kind, count in [*sorted(racks.items()),
                                    ('system', systems),
                                    *sorted(devices.items())]]
        table(('what', 'count'), rows)
        return dict(devices)

    def flavor(self) -> None:
        if self.by_name('flavors', FLAVOR) is None:
            self.api('POST', '/v1/flavors',
                     {'name': FLAVOR, 'properties': REQUIREMENTS}, expect=201)

    def compose(self) -> str:
        answer = self.api('POST', '/v1/nodes',
                          {'name': NODE, 'flavor': FLAVOR}, expect=202)
        self.api.finish(answer['operation'])
        node = self.api('GET', f'/v1/nodes/{answer["node"]["uuid"]}')
        if node['state'] != 'active':
            raise DemoError(f'The node is {node["state"]}, not active: '
                            f'{node["state_reason"]}')
        return str(node['uuid'])

    def power_on(self, node: str) -> None:
        answer = self.api('POST', f'/v1/nodes/{node}/action',
                          {'Reset': {'Type': 'On'}}, expect=202)
        self.api.finish(answer['operation'])

    def show(self, node_id: str) -> dict[str, Any]:
        node: dict[str, Any] = self.api('GET', f'/v1/nodes/{node_id}')
        table(('node', 'state', 'power', 'cores', 'memory', 'devices'), [(
            node['name'], node['state'], str(node['power_state']),
            str(node['processor_cores']), f'{node["memory_mib"]} MiB',
            ', '.join(sorted(device['type'] for device in node['devices'])))])
        return node

    def release(self, node: str) -> None:
        answer = self.api('DELETE', f'/v1/nodes/{node}', expect=202)
        self.api.finish(answer['operation'])
        status, _ = self.api.ask('GET', f'/v1/nodes/{node}')
        if status != 404:
            raise DemoError('The node is released but still there: '
                            f'GET answers {status}.')


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column))
              for column in zip(header, *rows, strict=True)]
    for row in (header, tuple('-' * width for width in widths), *rows):
        say('         ' + '  '.join(
            cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)).rstrip())
