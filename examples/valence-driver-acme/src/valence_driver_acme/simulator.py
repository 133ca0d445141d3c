# SPDX-License-Identifier: Apache-2.0
"""What does an Acme chassis bridge answer?

JSON over HTTP with HTTP Basic. All under ``/acme/v1``:

``GET /``
    ``{"product", "firmware", "serial"}``
``GET /bays?limit=N&from=ID``
    ``{"bays": [{"id", "kind", "shelf", "machine", ...}], "next": path}``;
    ``kind`` is sled, drive or gpu, ``machine`` the id of the one it is part
    of or null
``GET /machines``, ``GET /machines/ID``
    ``{"id", "label", "title", "bays", "power", "state", ...}``; ``state`` is
    building, up or leaving
``POST /machines`` with ``{"label", "title", "bays"}``
    201, or 202 where it takes time; listed from then on
``DELETE /machines/ID``
    204, or 202
``PUT`` and ``DELETE /machines/ID/bays/BAY``
    204; joined to another machine 409, not joined 404
``PUT /machines/ID/power`` with ``{"power": "on" or "off"}``
    204

The simulator keeps a ledger of what it has really done: the oracle of tests.
"""

import argparse
import base64
import http.server
import json
import re
import sys
import threading
import time
import urllib.parse
from typing import Any

ROOT = '/acme/v1'


class Failure(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Bridge:
    """The state of a bridge.

    :param delay: seconds that joining and taking apart take; 0 is at once
    :param ledger: a file to append every effect to, as a line of JSON
    """

    def __init__(self, sleds: int = 4, drives: int = 8, gpus: int = 4,
                 delay: float = 0.0, ledger: str | None = None) -> None:
        self.delay = delay
        self.effects: list[dict[str, Any]] = []
        self.lock = threading.RLock()
        self._ledger = ledger
        self._next = 1
        self.machines: dict[str, dict[str, Any]] = {}
        self.bays: dict[str, dict[str, Any]] = {}
        for kind, count, has in (
                ('sled', sleds, {'cores': 16, 'ram_mib': 65536}),
                ('drive', drives, {'gib': 894}), ('gpu', gpus, {})):
            for number in range(count):
                name = f'{kind[0]}{number}'
                self.bays[name] = {
                    'id': name, 'kind': kind, 'shelf': str(number % 2),
                    'model': f'Acme {kind}', 'machine': None, **has}

    def record(self, effect: str, **details: Any) -> None:
        entry = {'effect': effect, **details}
        self.effects.append(entry)
        if self._ledger:
            with open(self._ledger, 'a', encoding='utf-8') as file:
                file.write(json.dumps(entry) + '\n')

    def compose(self, body: dict[str, Any]) -> tuple[int, Any]:
        bays = body.get('bays')
        if not isinstance(bays, list) or not bays:
            raise Failure(400, 'a machine needs bays')
        for bay in bays:
            self._free(bay)
        if sum(self.bays[bay]['kind'] == 'sled' for bay in bays) != 1:
            raise Failure(400, 'a machine needs exactly one sled')
        name = f'm{self._next}'
        self._next += 1
        machine = {
            'id': name, 'label': body.get('label'),
            'title': body.get('title'), 'power': 'off', 'state': 'up',
            'ready': time.monotonic() + self.delay}
        self.machines[name] = machine
        for bay in bays:
            self.bays[bay]['machine'] = name
        self.record('compose', machine=name, label=machine['label'],
                    bays=sorted(bays))
        return (202 if self.delay else 201), self.show(name)

    def release(self, name: str) -> tuple[int, Any]:
        machine = self._machine(name)
        if 'gone' not in machine:
            machine['gone'] = time.monotonic() + self.delay
            self.record('release', machine=name, label=machine['label'])
        self.settle()
        return (202 if self.delay else 204), None

    def attach(self, name: str, bay: str) -> tuple[int, Any]:
        self._machine(name)
        if self.bays.get(bay, {}).get('machine') != name:
            self._free(bay)
            self.bays[bay]['machine'] = name
            self.record('attach', machine=name, bay=bay)
        return 204, None

    def detach(self, name: str, bay: str) -> tuple[int, Any]:
        self._machine(name)
        if self.bays.get(bay, {}).get('machine') != name:
            raise Failure(404, f'bay {bay} is not part of {name}')
        self.bays[bay]['machine'] = None
        self.record('detach', machine=name, bay=bay)
        return 204, None

    def power(self, name: str, body: dict[str, Any]) -> tuple[int, Any]:
        machine = self._machine(name)
        if body.get('power') not in ('on', 'off'):
            raise Failure(400, 'power is on or off')
        if machine['power'] != body['power']:
            machine['power'] = body['power']
            self.record('power', machine=name, power=body['power'])
        return 204, None

    def show(self, name: str) -> dict[str, Any]:
        machine = self._machine(name)
        bays = [bay for bay in self.bays.values() if bay['machine'] == name]
        state = ('leaving' if 'gone' in machine else
                 'building' if time.monotonic() < machine['ready'] else 'up')
        return {**{key: machine[key] for key in (
                    'id', 'label', 'title', 'power')},
                'state': state, 'bays': [bay['id'] for bay in bays],
                'cores': sum(bay.get('cores', 0) for bay in bays),
                'ram_mib': sum(bay.get('ram_mib', 0) for bay in bays)}

    def settle(self) -> None:
        """Let go of the machines whose time has come."""
        for name, machine in list(self.machines.items()):
            if time.monotonic() >= machine.get('gone', float('inf')):
                del self.machines[name]
                for bay in self.bays.values():
                    if bay['machine'] == name:
                        bay['machine'] = None

    def _machine(self, name: str) -> dict[str, Any]:
        if name not in self.machines:
            raise Failure(404, f'there is no machine {name}')
        return self.machines[name]

    def _free(self, bay: str) -> None:
        if bay not in self.bays:
            raise Failure(400, f'there is no bay {bay}')
        if self.bays[bay]['machine'] is not None:
            raise Failure(409, f'bay {bay} is part of '
                          f'{self.bays[bay]["machine"]}')

    def answer(self, method: str, target: str,
               body: dict[str, Any]) -> tuple[int, Any]:
        path, _, query = target.partition('?')
        words = path.removeprefix(ROOT).strip('/').split('/')
        if not path.startswith(ROOT):
            raise Failure(404, 'nothing is here')
        match [method, *words]:
            case ['GET', '']:
                return 200, {'product': 'Acme Chassis Bridge',
                             'firmware': '1.4', 'serial': 'AC-0001'}
            case ['GET', 'bays']:
                return 200, self._page(dict(urllib.parse.parse_qsl(query)))
            case ['GET', 'machines']:
                return 200, {'machines': [self.show(name)
                                          for name in sorted(self.machines)]}
            case ['POST', 'machines']:
                return self.compose(body)
            case ['GET', 'machines', name]:
                return 200, self.show(name)
            case ['DELETE', 'machines', name]:
                return self.release(name)
            case ['PUT', 'machines', name, 'power']:
                return self.power(name, body)
            case ['PUT', 'machines', name, 'bays', bay]:
                return self.attach(name, bay)
            case ['DELETE', 'machines', name, 'bays', bay]:
                return self.detach(name, bay)
        raise Failure(404, 'nothing is here')

    def _page(self, query: dict[str, str]) -> dict[str, Any]:
        size = query.get('limit', '100')
        names = sorted(self.bays)
        first = query.get('from', '')
        if not re.fullmatch('[1-9][0-9]{0,3}', size):
            raise Failure(400, 'limit is a number')
        names = [name for name in names if name >= first]
        page, rest = names[:int(size)], names[int(size):]
        return {'bays': [self.bays[name] for name in page],
                'next': f'{ROOT}/bays?limit={size}&from={rest[0]}'
                if rest else None}


def serve(bridge: Bridge, username: str, password: str,
          port: int = 0) -> http.server.ThreadingHTTPServer:
    """A server on loopback; ``serve_forever`` is for the caller."""
    code = base64.b64encode(f'{username}:{password}'.encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def log_message(self, *args: Any) -> None:
            pass

        def _answer(self) -> None:
            length = int(self.headers.get('Content-Length') or 0)
            raw = self.rfile.read(length)
            try:
                if self.headers.get('Authorization') != f'Basic {code}':
                    raise Failure(401, 'wrong credentials')
                with bridge.lock:
                    bridge.settle()
                    status, body = bridge.answer(
                        self.command, self.path,
                        json.loads(raw) if raw else {})
            except Failure as error:
                status, body = error.status, {'error': str(error)}
            except ValueError:
                status, body = 400, {'error': 'the body is not JSON'}
            data = b'' if body is None else json.dumps(body).encode()
            self.send_response(status)
            if status != 204:
                self.send_header('Content-Type', 'application/json')
                self.send_header('Content-Length', str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _answer

    server = http.server.ThreadingHTTPServer(('127.0.0.1', port), Handler)
    server.daemon_threads = True
    return server


def main() -> None:
    parser = argparse.ArgumentParser(description='A simulated Acme bridge.')
    parser.add_argument('--port', type=int, default=0)
    parser.add_argument('--username', default='admin')
    parser.add_argument('--password', default='password')
    parser.add_argument('--delay', type=float, default=0.0)
    parser.add_argument('--ledger')
    options = parser.parse_args()
    server = serve(Bridge(delay=options.delay, ledger=options.ledger),
                   options.username, options.password, options.port)
    print(json.dumps(
        {'url': f'http://127.0.0.1:{server.server_address[1]}'}), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == '__main__':
    main()
