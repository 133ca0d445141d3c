# SPDX-License-Identifier: Apache-2.0
"""What is a driver asked, before which pod, while that is hostile?

One class per dialect, in the same words, so that one table of cases
(:mod:`.hostile_cases`) is for all of them.
"""

from typing import Any, ClassVar

from valence.drivers import base
from valence.drivers.expether import ExpEtherDriver
from valence.drivers.redfish import RedfishDriver
from valence.drivers.rsd import RsdDriver
from valence.tests.unit.drivers import pod, server
from valence.tests.unit.drivers.pod import ROOT, collection, link, links
from valence.tests.unit.drivers.server import reply

SESSIONS = ROOT + '/SessionService/Sessions'
TOKEN = 'session-token-of-the-test'


class Pod:
    """A pod that behaves, until a case makes it hostile."""

    #: The words of the dialect, for the cases that are of some only.
    speaks: ClassVar[frozenset[str]] = frozenset()
    #: The property that links are in.
    link_key = '@odata.id'
    #: The main collection, all collections, and where sessions are made.
    main = pod.SYSTEMS
    collections: ClassVar[tuple[str, ...]] = (
        pod.SYSTEMS, pod.BLOCKS, pod.ZONES, ROOT + '/Chassis')
    login: ClassVar[tuple[str, ...]] = (ROOT + '/', ROOT, SESSIONS)
    #: The calls that send a change to a pod that behaves.
    changing: ClassVar[tuple[str, ...]] = ()

    def __init__(self, case: Any, limits: Any) -> None:
        self.other = case.useFixture(server.Server(lambda _: reply(200, {})))
        self.tree = server.Tree(self.resources())
        self.server = case.useFixture(server.Server(self.tree))
        self.changes = self.answers()
        self.tree.replies.update(self.changes)
        self.driver = self.connect(server.endpoint(
            self.server.url, limits={
                'call_timeout': 2.0, 'discovery_timeout': 2.0,
                'connections': 8, **limits}))
        case.addCleanup(self.driver.close)

    # Of the dialect

    def resources(self) -> Any:
        raise NotImplementedError

    def answers(self) -> Any:
        """What changes get, by method and path."""
        raise NotImplementedError

    def connect(self, endpoint: base.Endpoint) -> Any:
        raise NotImplementedError

    def calls(self) -> Any:
        """All that the driver can be asked, by name."""
        raise NotImplementedError

    def listing(self, *members: Any) -> Any:
        """The main collection with these members."""
        return {**self.tree.resources[self.main], 'Members': [*members],
                'Members@odata.count': len(members)}

    def member(self, name: str) -> Any:
        """A member of the main collection, of this name."""
        return link(f'{self.main}/{name}')

    # For the cases

    def change(self, path: str, **properties: Any) -> None:
        self.tree.resources[path] = {
            **self.tree.resources[path], **properties}

    def answer(self, method: str, path: str, answer: Any) -> None:
        self.tree.replies[method, path] = answer

    def everything(self, answer: Any) -> None:
        """Give one answer to all requests, except for the login."""
        def handle(request: server.Request) -> Any:
            if request.path in self.login:
                return self.tree(request)
            return answer(request) if callable(answer) else answer

        self.server.handler = handle

    def mutations(self, answer: Any) -> None:
        """Give one answer to all that changes something."""
        for key in self.changes:
            if key[0] != 'GET' and key[1] != SESSIONS:
                self.tree.replies[key] = answer

    def walk(self, change: Any) -> None:
        """Replace values throughout the pod: ``change(key, value)``."""
        def walk(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: change(key, walk(inner))
                        for key, inner in value.items()}
            if isinstance(value, list):
                return [walk(inner) for inner in value]
            return value

        kept = {path: body.get('Links') for path, body
                in self.tree.resources.items() if path == ROOT}
        self.tree.resources = {path: walk(body) for path, body
                               in self.tree.resources.items()}
        for path, found in kept.items():    # how to log in
            self.tree.resources[path]['Links'] = found

    def relink(self, change: Any) -> None:
        """Replace each link."""
        self.walk(lambda key, value: change(value)
                  if key == self.link_key and isinstance(value, str)
                  else value)


class Redfish(Pod):

    speaks = frozenset(('sessions', 'collections', 'redfish', 'blocks',
                        'composed'))
    changing = ('compose', 'compose onto a server', 'attach', 'set_power',
                'set_boot', 'release')
    COMPOSE = pod.SERVICE + '/Actions/CompositionService.Compose'
    ADD = pod.COMPOSED + '/Actions/ComputerSystem.AddResourceBlock'
    NEW = pod.SYSTEMS + '/new'
    NODE = pod.COMPOSED
    SPEC = base.Spec('tag-2', 'web', (pod.BLOCKS + '/c2', pod.BLOCKS + '/d1'),
                     pod.ZONES + '/1')
    #: A server that is there and takes blocks, and is one itself.
    SERVER = pod.WHOLE
    OWN = pod.BLOCKS + '/s1'
    GROW = SERVER + '/Actions/ComputerSystem.AddResourceBlock'
    SHRINK = SERVER + '/Actions/ComputerSystem.RemoveResourceBlock'
    EVENTS = ROOT + '/EventService'
    SUBSCRIPTIONS = EVENTS + '/Subscriptions'

    def resources(self) -> Any:
        found = pod.resources()
        found[ROOT]['EventService'] = link(self.EVENTS)
        found[self.EVENTS] = {**link(self.EVENTS), 'Subscriptions': link(
            self.SUBSCRIPTIONS)}
        found[self.SUBSCRIPTIONS] = collection(self.SUBSCRIPTIONS, '1')
        found[self.SUBSCRIPTIONS + '/1'] = {
            **link(self.SUBSCRIPTIONS + '/1'), 'Destination': 'http://x/'}
        own = pod.block('s1', 'ComputerSystem', 'Composed',
                        ComputerSystems=links(self.SERVER))
        own['Links']['ComputerSystems'] = links(self.SERVER)
        found[self.OWN] = own
        found[pod.BLOCKS] = collection(
            pod.BLOCKS, 'c1', 'c2', 'd1', 'g1', 'n1', 's1')
        found[self.SERVER].update({
            'Composition': {'UseCases': ['ExpandableSystem']},
            'Actions': {f'#{one.rpartition("/")[2]}': {'target': one}
                        for one in (self.GROW, self.SHRINK)}})
        found[self.SERVER]['Links']['ResourceBlocks'] = links(self.OWN)
        found[ROOT]['Links'] = {'Sessions': link(SESSIONS)}
        found[SESSIONS] = collection(SESSIONS)
        found[pod.COMPOSED]['Actions'].update({
            '#ComputerSystem.AddResourceBlock': {'target': self.ADD},
            '#ComputerSystem.RemoveResourceBlock': {'target': self.ADD}})
        return found

    def answers(self) -> Any:
        return {
            ('POST', SESSIONS): reply(201, {}, {
                'X-Auth-Token': TOKEN, 'Location': SESSIONS + '/1'}),
            ('POST', pod.SYSTEMS): reply(201, {}, {'Location': self.NEW}),
            ('DELETE', pod.COMPOSED): reply(204),
            ('POST', pod.RESET): reply(204),
            ('PATCH', pod.COMPOSED): self._patch,
            ('POST', self.ADD): reply(204),
            ('POST', self.GROW): self._expand,
            ('POST', self.SHRINK): self._expand,
            ('POST', self.SUBSCRIPTIONS): reply(
                201, {}, {'Location': self.SUBSCRIPTIONS + '/2'}),
            ('GET', pod.MONITOR): reply(202)}

    def _expand(self, request: server.Request) -> Any:
        kept = [one for one in (self.OWN, pod.BLOCKS + '/n1')
                if request.path == self.GROW or one == self.OWN]
        self.change(self.SERVER, Links={'ResourceBlocks': links(*kept)})
        return reply(204)

    def _patch(self, request: server.Request) -> Any:
        boot = self.tree.resources[self.NODE].get('Boot')
        if isinstance(boot, dict):
            self.change(self.NODE, Boot={**boot, **request.json['Boot']})
        return reply(204)

    def connect(self, endpoint: base.Endpoint) -> Any:
        return RedfishDriver(endpoint)

    def calls(self) -> Any:
        driver, handle = self.driver, base.Handle(self.NODE, {'tag': 'tag-1'})
        pending = base.Pending({'kind': 'compose', 'monitor': pod.MONITOR,
                                'task': None, 'tag': 'tag-2'})
        blocks = (self.OWN, pod.BLOCKS + '/n1')
        made = base.Handle(self.SERVER, {
            'own': self.OWN, 'devices': [pod.BLOCKS + '/n1']})
        return {
            'identify': driver.identify, 'discover': driver.discover,
            'subscribe': lambda: driver.subscribe('http://valence/events'),
            'find': lambda: driver.find('tag-9'),
            'observe': lambda: driver.observe(handle),
            'prepare': lambda: driver.prepare(
                base.Spec('tag-3', 'web', blocks)),
            'compose onto a server': lambda: driver.compose(
                base.Spec('tag-3', 'web', blocks, prepared=made)),
            'observe a server': lambda: driver.observe(made),
            'release a server': lambda: driver.release(made),
            'compose': lambda: driver.compose(self.SPEC),
            'poll': lambda: driver.poll(pending),
            'attach': lambda: driver.attach(handle, pod.BLOCKS + '/d1'),
            'detach': lambda: driver.detach(handle, pod.BLOCKS + '/c1'),
            'set_power': lambda: driver.set_power(handle, 'On'),
            'set_boot': lambda: driver.set_boot(handle, 'Pxe', 'Once'),
            'cancel': lambda: driver.cancel(pending),
            'release': lambda: driver.release(handle)}


class Rsd(Pod):

    speaks = frozenset(('sessions', 'collections', 'redfish', 'rsd'))
    changing = ('compose', 'attach', 'set_power', 'set_boot', 'release')
    NODES = ROOT + '/Nodes'
    NODE = NODES + '/1'
    NEW = NODES + '/2'
    SLED = ROOT + '/Systems/sled'
    DRIVES = ROOT + '/Chassis/drives/Drives'
    ACTIONS = NODE + '/Actions/'
    main = NODES
    collections = (NODES, ROOT + '/Systems', ROOT + '/Chassis')

    def resources(self) -> Any:
        return {
            ROOT: {**link(ROOT), 'Name': 'Root', 'UUID': 'u-1',
                   'Nodes': link(self.NODES),
                   'Systems': link(ROOT + '/Systems'),
                   'Chassis': link(ROOT + '/Chassis'),
                   'Links': {'Sessions': link(SESSIONS)},
                   'Oem': {'Intel_RackScale': {'ApiVersion': '2.5.0'}}},
            self.NODES: {**collection(self.NODES, '1'), 'Actions': {
                '#ComposedNodeCollection.Allocate': {
                    'target': self.NODES + '/Actions/Allocate'}}},
            self.NODE: self._node(self.NODE, 'tag-1', 'Assembled'),
            self.NEW: self._node(self.NEW, 'tag-2', 'Allocated'),
            ROOT + '/Systems': collection(ROOT + '/Systems', 'sled'),
            self.SLED: {
                **link(self.SLED), 'Name': 'Sled', 'SystemType': 'Physical',
                'MemorySummary': {'TotalSystemMemoryGiB': 32},
                'Processors': link(self.SLED + '/Processors')},
            self.SLED + '/Processors': collection(
                self.SLED + '/Processors', '1'),
            self.SLED + '/Processors/1': {
                **link(self.SLED + '/Processors/1'), 'Name': 'CPU',
                'ProcessorType': 'CPU', 'TotalCores': 8, 'Model': 'Xeon'},
            ROOT + '/Chassis': collection(ROOT + '/Chassis', 'rack',
                                          'drives'),
            ROOT + '/Chassis/rack': {
                **link(ROOT + '/Chassis/rack'), 'Name': 'Rack',
                'ChassisType': 'Rack'},
            ROOT + '/Chassis/drives': {
                **link(ROOT + '/Chassis/drives'), 'Name': 'Drives',
                'Links': {'ContainedBy': link(ROOT + '/Chassis/rack'),
                          'Drives': links(self.DRIVES + '/1',
                                          self.DRIVES + '/2')}},
            **{f'{self.DRIVES}/{name}': {
                **link(f'{self.DRIVES}/{name}'), 'Name': 'Drive',
                'Interface': 'NVMe', 'CapacityGiB': 800}
               for name in ('1', '2')},
        }

    def _node(self, path: str, name: str, state: str) -> Any:
        actions = path + '/Actions/'
        return {
            **link(path), 'Name': name, 'Description': name + ' web',
            'PowerState': 'Off', 'ComposedNodeState': state,
            'Status': {'State': 'Enabled', 'Health': 'OK'},
            'Boot': {'BootSourceOverrideEnabled': 'Disabled',
                     'BootSourceOverrideTarget': 'None'},
            'Links': {'ComputerSystem': link(self.SLED),
                      'Storage': links(self.DRIVES + '/1')},
            'Actions': {
                '#ComposedNode.Reset': {
                    'target': actions + 'Reset',
                    'ResetType@Redfish.AllowableValues': ['On']},
                '#ComposedNode.Assemble': {'target': actions + 'Assemble'},
                '#ComposedNode.AttachResource': {
                    'target': actions + 'Attach'},
                '#ComposedNode.DetachResource': {
                    'target': actions + 'Detach'}}}

    def answers(self) -> Any:
        return {
            ('POST', SESSIONS): reply(201, {}, {
                'X-Auth-Token': TOKEN, 'Location': SESSIONS + '/1'}),
            ('POST', self.NODES + '/Actions/Allocate'): reply(
                201, b'', {'Location': self.NEW}),
            ('POST', self.NEW + '/Actions/Assemble'): reply(204),
            ('POST', self.ACTIONS + 'Reset'): reply(204),
            ('POST', self.ACTIONS + 'Attach'): reply(204),
            ('POST', self.ACTIONS + 'Detach'): reply(204),
            ('PATCH', self.NODE): self._patch,
            ('DELETE', self.NODE): reply(204)}

    _patch = Redfish._patch

    def connect(self, endpoint: base.Endpoint) -> Any:
        return RsdDriver(endpoint)

    def calls(self) -> Any:
        driver, handle = self.driver, base.Handle(self.NODE, {'tag': 'tag-1'})
        spec = base.Spec('tag-2', 'web', requirements={
            'processor': {'total_cores': 4}})
        pending = base.Pending({
            'kind': 'compose', 'tag': 'tag-2', 'path': self.NEW,
            'resources': [], 'sent': False, 'lost': False, 'looks': 0})
        return {
            'identify': driver.identify, 'discover': driver.discover,
            'find': lambda: driver.find('tag-9'),
            'observe': lambda: driver.observe(handle),
            'compose': lambda: driver.compose(spec),
            'poll': lambda: driver.poll(pending),
            'resume': lambda: driver.poll(driver.resume(
                base.Handle(self.NEW, {'tag': 'tag-2'}))),
            'attach': lambda: driver.attach(handle, self.DRIVES + '/2'),
            'detach': lambda: driver.detach(handle, self.DRIVES + '/1'),
            'set_power': lambda: driver.set_power(handle, 'On'),
            'set_boot': lambda: driver.set_boot(handle, 'Pxe', 'Once'),
            'release': lambda: driver.release(handle)}


class ExpEther(Pod):

    EEM = '/eem'
    DEVICES = EEM + '/devices'
    NODE = DEVICES + '/0xaa01'
    speaks = frozenset(('expether',))
    link_key = 'id'
    main = DEVICES + '/detail'
    collections = (main,)
    login: ClassVar[tuple[str, ...]] = ()
    changing = ('compose', 'attach', 'detach', 'release')
    #: By name: whether it is an EESV, and its group.
    GROUPS: ClassVar[dict[str, tuple[bool, str]]] = {
        '0xaa01': (True, '20'), '0xaa02': (True, '4094'),
        '0xbb01': (False, '20'), '0xbb02': (False, '4093'),
        '0xbb03': (False, '4093')}

    @classmethod
    def resources(cls) -> Any:
        devices = {name: cls._device(name, *of)
                   for name, of in cls.GROUPS.items()}
        return {
            cls.EEM + '/api_version': {'version_number': 'v1.1'},
            cls.EEM + '/groups': {'groups': [{'id': '20'}]},
            cls.main: {'devices': [*devices.values()], 'timestamp': '1'},
            **{f'{cls.DEVICES}/{name}': {'device': one, 'timestamp': '1'}
               for name, one in devices.items()}}

    @staticmethod
    def _device(name: str, is_eesv: bool, group: str) -> Any:
        return {
            'id': name, 'status': 'eesv' if is_eesv else 'eeio',
            'type': '40g', 'update_time': '1518999910510', 'group_id': group,
            'admin_status': 'enabled', 'monitoring_status': 'enabled',
            'notification_status0': ['up', 'up'],
            **({'max_eeio_count': '8', 'power_status': 'on',
                'host_model': 'Express5800'} if is_eesv else {
                    'pcie_vendor_id': '0x10de', 'pcie_device_id': '0x1db6',
                    'pcie_class_code': '0x030200'})}

    def answers(self) -> Any:
        given = reply(200, {'group_id': '20', 'update_time': '1'})
        return {
            (method, f'{self.DEVICES}/{name}/group_id'): answer
            for name in self.GROUPS
            for method, answer in (('PUT', given), ('DELETE', reply(
                200, {'update_time': '1'})))}

    def connect(self, endpoint: base.Endpoint) -> Any:
        return ExpEtherDriver(endpoint)

    def calls(self) -> Any:
        driver = self.driver
        free = tuple(f'{self.DEVICES}/{name}'
                     for name in ('0xaa02', '0xbb02'))
        made = base.Handle(self.NODE, {
            'group_id': '20', 'devices': [self.DEVICES + '/0xbb01'],
            'notes': []})
        found = base.Handle(self.NODE)
        return {
            'identify': driver.identify, 'discover': driver.discover,
            'prepare': lambda: driver.prepare(base.Spec('t', 'web', free)),
            'observe': lambda: driver.observe(made),
            'observe what was found': lambda: driver.observe(found),
            'compose': lambda: driver.compose(base.Spec('t', 'web', free)),
            'attach': lambda: driver.attach(made, self.DEVICES + '/0xbb03'),
            'detach': lambda: driver.detach(made, self.DEVICES + '/0xbb01'),
            'release': lambda: driver.release(made)}

    def listing(self, *members: Any) -> Any:
        return {'devices': [*members], 'timestamp': '1'}

    def member(self, name: str) -> Any:
        return self._device(name, False, '4093')

    def device(self, name: str, **properties: Any) -> None:
        """Change a device, wherever it is shown."""
        one = self.tree.resources[f'{self.DEVICES}/{name}']['device']
        one.update(properties)
