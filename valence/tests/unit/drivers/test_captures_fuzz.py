# SPDX-License-Identifier: Apache-2.0
"""Does discovery survive whatever real services' answers turn into?

Captured answers and DMTF's mockups are served with a few wrong things in
them. A scan then completes, or says that it did not, or raises a typed
error; within its time and memory, and never at another host. The data is
not part of Valence: VALENCE_TEST_DATA says where it is.
"""

import copy
import dataclasses
import functools
import json
import os
import pathlib
import time
import tracemalloc
import urllib.parse

import fixtures
import testtools
from hypothesis import given, settings
from hypothesis import strategies as st

from valence.drivers import base
from valence.drivers.expether import ExpEtherDriver
from valence.drivers.redfish import RedfishDriver
from valence.drivers.rsd import RsdDriver
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.hostile_pods import ExpEther as ExpEtherPod
from valence.tests.unit.drivers.server import reply

TOP = pathlib.Path(__file__).parents[4]
DATA = pathlib.Path(os.environ.get('VALENCE_TEST_DATA')
                    or TOP.parent / 'shared' / 'data')
ROOT = '/redfish/v1'
MEMORY = 32 * 1024 * 1024
SCAN = 3.0

PROFILE = settings(max_examples=40, derandomize=True, deadline=None,
                   database=None, print_blob=False)

#: What a value turns into. Links to the other host are filled in.
OTHER = 'http://other.example'
ODD = (
    None, True, 'false', '', '0', -1, 0, 1e308, 2 ** 63, 'x' * 70_000,
    'a\r\nX-Evil: 1\x00\u202e', [], {}, [[]], [None], [{}], {'': ''},
    {'@odata.id': 5}, {'@odata.id': None}, {'@odata.id': ''},
    {'@odata.id': ROOT}, {'@odata.id': ROOT + '/'},
    {'@odata.id': ROOT + '/Systems'}, {'@odata.id': '//evil/redfish/v1'},
    {'@odata.id': ROOT + '/../../etc/passwd'},
    {'@odata.id': OTHER + ROOT + '/Systems'}, OTHER + ROOT,
    [{'@odata.id': ROOT + '/Systems'}] * 50, [{}] * 5000,
    {'Members': [{'@odata.id': ROOT + '/Chassis'}]},
    {'@odata.id': ROOT + '/Chassis', 'Name': 'expanded', 'Members': 5},
    functools.reduce(lambda inner, _: [inner], range(40), 1),
)
#: What an answer turns into, made of what it was.
ANSWERS = (
    lambda body: reply(200, json.dumps(body).encode()[:-7]),
    lambda body: reply(200, b''), lambda body: reply(200, b'\x00\xff' * 99),
    lambda body: reply(200, b'<html>' + b'x' * 5000),
    lambda body: reply(200, json.dumps([body]).encode()),
    lambda body: reply(200, body, {'Content-Encoding': 'gzip'}),
    lambda body: reply(200, body, {'Content-Type': 'text/plain'}),
    lambda body: reply(200, b'{"a":' + b'[' * 3000 + b']' * 3000 + b'}'),
    lambda body: reply(204), lambda body: reply(206, body),
    lambda body: reply(302, b'', {'Location': OTHER + ROOT}),
    lambda body: reply(400, b'no'), lambda body: reply(401),
    lambda body: reply(404), lambda body: reply(500, body),
    lambda body: reply(200, body, {'Content-Length': '9'}),
    lambda body: lambda _: lambda sock: sock.sendall(
        b'HTTP/1.1 200 OK\r\n\r\n' + json.dumps(body).encode()),
    lambda body: b'HTTP/9.9 banana\r\n\r\n',
    lambda body: lambda _: server.reset,
)

#: (resource, value in it, what it turns into), each modulo what there is.
MUTATIONS = st.lists(st.tuples(
    st.integers(0, 2 ** 16), st.integers(0, 2 ** 16),
    st.integers(0, len(ODD) + 3)), min_size=1, max_size=12)
BROKEN = st.lists(st.tuples(
    st.integers(0, 2 ** 16), st.integers(0, len(ANSWERS) - 1)), max_size=3)


def mockup(name):
    """A mockup's resources by path."""
    top = DATA / 'mockups' / name
    found = {}
    for file in sorted(top.rglob('index.json')):
        inside = file.parent.relative_to(top).as_posix()
        found[ROOT if inside == '.' else f'{ROOT}/{inside}'] = json.loads(
            file.read_bytes())
    return found


def capture(name):
    """What a service answered to each GET, by path."""
    found = {}
    for file in sorted((DATA / 'captures' / name).glob('*.json')):
        told = json.loads(file.read_bytes())
        request = told.get('request', {})
        body = told.get('body')
        if request.get('method') == 'GET' and told.get('status') == 200 and (
                isinstance(body, dict)):
            path = urllib.parse.urlsplit(request['url']).path
            found.setdefault(path.rstrip('/'), body)
    return found


def places(value):
    """Each (container, key) in a JSON value."""
    keys = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(keys):
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)


def mutate(resources, mutations, other):
    """Put wrong things into a copy of ``resources``."""
    resources = copy.deepcopy(resources)
    names = sorted(resources)
    for number, place, what in mutations:
        body = resources[names[number % len(names)]]
        found = list(places(body))
        if not found:
            continue
        container, key = found[place % len(found)]
        if what < len(ODD):
            text = json.dumps(ODD[what]).replace(OTHER, other)
            container[key] = json.loads(text)
        elif what == len(ODD):
            del container[key]
        elif what == len(ODD) + 1:          # a piece of another resource
            source = list(places(resources[names[place % len(names)]]))
            if source:
                container[key] = copy.deepcopy(
                    source[number % len(source)][0])
        else:                               # text for everything, and back
            container[key] = json.dumps(container[key])
    return resources


def flaws(found, root):
    """What of an inventory could not be stored."""
    for kind in ('racks', 'systems', 'devices', 'zones'):
        items = getattr(found, kind)
        paths = [one.resource_path for one in items]
        if len(set(paths)) != len(paths):
            yield f'{kind} have one path twice'
        for one in items:
            if not one.resource_path.startswith(root) or len(
                    one.resource_path) > 512:
                yield f'{one.resource_path!r} is no path'
            for field in dataclasses.fields(one):
                value = getattr(one, field.name)
                if isinstance(value, int) and not 0 <= value < 2 ** 31:
                    yield f'{field.name} is {value}'
                if (isinstance(value, str) and field.name != 'resource_path'
                        and not field.name.endswith('_path')
                        and (len(value) > 255 or not value.isprintable())):
                    yield f'{field.name} is {value!r:.80}'
    if bool(found.problems) == found.complete:
        yield 'complete does not fit the problems'
    json.dumps(dataclasses.asdict(found))


class FuzzCase(testtools.TestCase):

    driver_class = RedfishDriver
    root = ROOT

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.server = self.useFixture(server.Server(lambda _: reply(404)))
        self.other = self.useFixture(server.Server(
            lambda _: reply(200, {})))

    def serve(self, resources, mutations=(), broken=()):
        """A driver for a service that answers like this."""
        tree = server.Tree(mutate(resources, mutations, self.other.url))
        names = sorted(tree.resources)
        for number, what in broken:
            path = names[number % len(names)]
            tree.replies['GET', path] = ANSWERS[what](tree.resources[path])
        self.server.handler = tree
        self.server.requests.clear()
        driver = self.driver_class(server.endpoint(
            self.server.url, username=None, password=None, limits={
                'call_timeout': 1.0, 'discovery_timeout': SCAN,
                'connections': 4, 'max_members': 1000}))
        self.addCleanup(driver.close)
        return driver

    def survive(self, driver):
        """Scan, and identify; the inventory, if there is one."""
        found = None
        tracemalloc.start()
        try:
            started = time.monotonic()
            try:
                found = driver.discover()
            except base.DriverError as error:
                self.assertLess(len(str(error)), 1500)
            self.assertLess(time.monotonic() - started, SCAN + 15.0)
            self.assertLess(tracemalloc.get_traced_memory()[1], MEMORY)
        finally:
            tracemalloc.stop()
        if found is not None:
            self.assertEqual([], list(flaws(found, self.root)))
        for call in (driver.identify, lambda: driver.find('x')):
            try:
                call()
            except base.DriverError:
                pass
        driver.close()
        self.assertEqual([], self.other.requests)
        return found


    def fuzz(self, resources, examples, reaches=True):
        plain = self.survive(self.serve(resources))
        self.assertIsNotNone(plain)
        seen = []

        @settings(PROFILE, max_examples=examples)
        @given(MUTATIONS, BROKEN)
        def run(mutations, broken):
            seen.append(self.survive(self.serve(
                resources, mutations, broken)))

        run()
        # All three outcomes, or the mutations do not reach the driver. Among
        # hundreds of resources a few of them may meet nothing that matters.
        if reaches:
            self.assertTrue(any(one is None for one in seen)
                            or any(not one.complete for one in seen))
        self.assertTrue(any(one is not None for one in seen))


class ExpEther(FuzzCase):
    """Of a manager there are no captures, but answers as NEC describes."""

    driver_class = ExpEtherDriver
    root = ExpEtherPod.EEM

    def test_manager(self):
        self.fuzz(ExpEtherPod.resources(), 60)


class Captures(FuzzCase):

    def setUp(self):
        super().setUp()
        if not (DATA / 'captures').is_dir():
            self.skipTest(f'no captured answers at {DATA}; '
                          'VALENCE_TEST_DATA says where they are')

    def test_sushy_emulator(self):
        self.fuzz(capture('sushy-emulator'), 60)

    def test_redfish_mockup_server(self):
        self.fuzz(capture('redfish-mockup-server'), 60)

    def test_rie_dynamic(self):
        self.fuzz(capture('rie-dynamic'), 40)

    def test_rsd_simulator(self):
        self.fuzz(capture('valence-rsd-sim'), 30)

    def test_rsd_simulator_as_a_pod_manager(self):
        self.driver_class = RsdDriver
        self.fuzz(capture('valence-rsd-sim'), 40)

    def test_composable_mockup(self):
        self.fuzz(mockup('public-composability'), 25)

    def test_rackmount_mockup(self):
        self.fuzz(mockup('public-rackmount1'), 15, reaches=False)

    def test_the_composable_mockup_itself(self):
        found = self.serve(mockup('public-composability')).discover()
        self.assertTrue(found.devices and found.zones and found.systems)
        self.assertEqual({'Composed', 'Physical'},
                         {one.system_type for one in found.systems})

    def test_every_answer_counts(self):
        """Each resource in turn cannot be read, and the scan says so."""
        resources = mockup('public-composability')
        plain = self.survive(self.serve(resources))
        self.assertTrue(plain.complete, plain.problems)
        asked = sorted({one.rstrip('/') for one in self.server.paths()
                        if '?' not in one})
        names = sorted(resources)
        for path in asked[1::4]:
            found = self.survive(self.serve(resources, (), [
                (names.index(path), 14)]))
            self.assertFalse(found.complete, path)
            self.assertIn(path, {one.resource_path.rstrip('/')
                                 for one in found.problems})
