# SPDX-License-Identifier: Apache-2.0
"""What does the RSD driver send, and what does it make of the answer?"""

import testtools

from valence.drivers import base
from valence.drivers.rsd import (
    RsdDriver,
    allocate,
    assemble,
    attach,
    release,
)
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.server import reply

ROOT = '/redfish/v1'
NODES = ROOT + '/Nodes'
NODE = NODES + '/1'
SLED = ROOT + '/Systems/S1'
DRIVE = ROOT + '/Chassis/Switch/Drives/1'
VOLUME = ROOT + '/StorageServices/1/Volumes/7'
ACTIONS = NODE + '/Actions/'
ALLOCATE = NODES + '/Actions/Allocate'
ASSEMBLE = ACTIONS + 'ComposedNode.Assemble'
SPEC = base.Spec('tag-1', 'web')
HANDLE = base.Handle(NODE, {'tag': 'tag-1'})


def link(path):
    return {'@odata.id': path}


def node(state='Assembled', **changes):
    return {
        **link(NODE), 'Id': '1', 'Name': 'tag-1', 'Description': 'tag-1 web',
        'PowerState': 'Off', 'ComposedNodeState': state,
        'Status': {'State': 'Enabled', 'Health': 'OK'},
        'Memory': {'TotalSystemMemoryGiB': 32},
        'Boot': {'BootSourceOverrideEnabled': 'Disabled',
                 'BootSourceOverrideTarget': 'None'},
        'Links': {'ComputerSystem': link(SLED),
                  'LocalDrives': [link(DRIVE)]},
        'Actions': {
            '#ComposedNode.Reset': {
                'target': ACTIONS + 'ComposedNode.Reset',
                'ResetType@Redfish.AllowableValues': ['On', 'ForceOff']},
            '#ComposedNode.Assemble': {'target': ASSEMBLE}},
        **changes}


class DriverCase(testtools.TestCase):

    version = '2.3.0'

    def setUp(self):
        super().setUp()
        self.pod = server.Tree({
            ROOT: {'Name': 'Root', 'UUID': 'u-1', 'Nodes': link(NODES),
                   'Systems': link(ROOT + '/Systems'),
                   'Chassis': link(ROOT + '/Chassis'),
                   'Oem': {'Intel_RackScale': {'ApiVersion': self.version}}},
            NODES: {'Members': [link(NODE)], 'Actions': {
                '#ComposedNodeCollection.Allocate': {'target': ALLOCATE}}},
            NODE: node(),
            ROOT + '/Systems': {'Members': [link(SLED)]},
            SLED: {**link(SLED), 'Name': 'Sled', 'MemorySummary': {
                'TotalSystemMemoryGiB': 32}},
            ROOT + '/Chassis': {'Members': []},
        })
        self.server = self.useFixture(server.Server(self.pod))
        self.driver = RsdDriver(server.endpoint(
            self.server.url, properties={'authentication': 'basic'}))
        self.addCleanup(self.driver.close)

    def answer(self, method, path, *answers):
        self.pod.replies[method, path] = list(answers)

    def become(self, state, **changes):
        self.pod.resources[NODE] = node(state, **changes)

    def bodies(self, method='POST'):
        return [one.json for one in self.server.requests
                if one.method == method]

    def pending(self, **changes):
        return base.Pending({
            'kind': 'compose', 'tag': 'tag-1', 'path': NODE, 'resources': [],
            'sent': False, 'lost': False, 'looks': 0, **changes})


class Identify(DriverCase):

    def version_is(self, oem):
        self.pod.resources[ROOT]['Oem'] = oem
        return self.driver.identify()

    def test_who_and_what(self):
        identity = self.driver.identify()
        self.assertEqual(('RSD pod manager', '2.3.0', 'u-1'), (
            identity.product, identity.version, identity.uuid))
        capabilities = identity.capabilities
        self.assertEqual((True, True, True), (
            capabilities.compose, capabilities.attach, capabilities.tags))
        self.assertEqual(('On', 'ForceOff'), capabilities.reset_types)

    def test_words_that_the_driver_does_not_declare(self):
        self.become('Assembled', Boot={
            'BootSourceOverrideTarget@Redfish.AllowableValues': [
                'Pxe', 'Recovery']}, Actions={'#ComposedNode.Reset': {
                    'target': ACTIONS + 'ComposedNode.Reset',
                    'ResetType@Redfish.AllowableValues': ['Pause', 'On']}})
        capabilities = self.driver.identify().capabilities
        self.assertEqual((('On',), ('Pxe',)), (
            capabilities.reset_types, capabilities.boot_targets))

    def test_spellings_of_the_version(self):
        for name in ('Intel_RackScale', 'Intel:RackScale',
                     'Lenovo_RackScale'):
            for version in ('2.1', '2.2.0', '2.5.14'):
                identity = self.version_is({name: {'ApiVersion': version}})
                self.assertEqual(version, identity.version)
                self.assertTrue(identity.capabilities.compose)

    def test_other_versions_are_inventory_only(self):
        for oem in ({'Intel_RackScale': {'ApiVersion': '1.2.0'}},
                    {'Intel_RackScale': {'ApiVersion': '2.6'}},
                    {'Intel_RackScale': {'ApiVersion': '2.10'}},
                    {'Intel_RackScale': {'ApiVersion': 'new'}},
                    {'Intel_RackScale': 2.3}, {}, [], None):
            identity = self.version_is(oem)
            self.assertIn('2.1 to 2.5', identity.version)
            self.assertFalse(identity.capabilities.compose)
            self.assertFalse(identity.capabilities.attach)
            self.assertTrue(self.driver.discover().systems)
            error = self.assertRaises(base.Unsupported, self.driver.compose,
                                      SPEC)
            self.assertIn('2.1 to 2.5', str(error))
        self.assertEqual([], self.bodies())

    def test_nodes_under_oem(self):
        root = self.pod.resources[ROOT]
        root['Oem']['Intel_RackScale']['Nodes'] = root.pop('Nodes')
        self.assertEqual(HANDLE, self.driver.find('tag-1'))

    def test_no_pod_manager(self):
        del self.pod.resources[ROOT]['Nodes']
        for call in (self.driver.identify, self.driver.discover):
            error = self.assertRaises(base.BadAnswer, call)
            self.assertIn('redfish', str(error))

    def test_no_allocation(self):
        del self.pod.resources[NODES]['Actions']
        self.assertFalse(self.driver.identify().capabilities.compose)
        self.assertRaises(base.Unsupported, self.driver.compose, SPEC)

    def test_root_without_a_slash(self):
        self.answer('GET', ROOT + '/', reply(404))
        driver = RsdDriver(server.endpoint(self.server.url))
        self.addCleanup(driver.close)
        self.assertEqual('2.3.0', driver.identify().version)
        self.assertTrue(self.server.requests[-1].headers[
            'authorization'].startswith('Basic '))


class Tags(DriverCase):

    def test_name_or_first_word_of_the_description(self):
        tag = 'valence-01234567-89ab-4cde-8f01-23456789abcd'
        for name, description, told in (
                (tag, 'web', tag), ('Node 1', f'{tag} web', tag),
                ('Node 1', f'web {tag}', None), ('Node 1', None, None),
                (tag[:-1], tag[:-1], None)):
            self.become('Assembled', Name=name, Description=description)
            found = {one.resource_path: one.tag
                     for one in self.driver.discover().systems}
            self.assertEqual({NODE: told, SLED: None}, found)


class Request(testtools.TestCase):
    """The words of each version."""

    ALL = {'processor': {'total_cores': 16, 'model': 'Xeon'},
           'memory': {'capacity_mib': 4096, 'type': 'DDR4'},
           'pci_device': {'type': ['nic', 'nvme', 'ssd', 'hdd', 'storage']}}

    def ask(self, version, requirements):
        return allocate.request(base.Spec(
            'tag', 'web', requirements=requirements), version)

    def test_everything(self):
        for version in ((2, 1), (2, 5)):
            self.assertEqual({
                'Name': 'tag', 'Description': 'tag web',
                'TotalSystemCoreCount': 16, 'TotalSystemMemoryMiB': 4096,
                'Processors': [{'Model': 'Xeon'}],
                'Memory': [{'MemoryDeviceType': 'DDR4'}],
                'EthernetInterfaces': [{}],
                'LocalDrives': [{'Type': 'SSD', 'Interface': 'NVMe'},
                                {'Type': 'SSD'}, {'Type': 'HDD'}, {}],
            }, self.ask(version, self.ALL))

    def test_nothing(self):
        self.assertEqual({'Name': 'tag', 'Description': 'tag web'},
                         self.ask((2, 1), {}))

    def test_accelerators(self):
        wanted = {'pci_device': {'type': ['gpu', 'fpga', 'accelerator']}}
        self.assertEqual(
            [{'ProcessorType': 'GPU'}, {'ProcessorType': 'FPGA'},
             {'ProcessorType': 'Accelerator'}],
            self.ask((2, 2), wanted)['Processors'])
        self.assertRaises(base.Unsupported, self.ask, (2, 1), wanted)

    def test_kinds_of_memory(self):
        wanted = {'memory': {'type': 'dram'}}
        self.assertEqual([{'MemoryType': 'DRAM'}],
                         self.ask((2, 4), wanted)['Memory'])
        self.assertRaises(base.Unsupported, self.ask, (2, 3), wanted)


class Compose(DriverCase):

    def compose(self, location=NODE, state='Allocated', **changes):
        self.become(state, **changes)
        self.answer('POST', ALLOCATE, reply(
            201, headers={'Location': location} if location else {}))
        return self.driver.compose(SPEC)

    def test_what_was_chosen_is_kept(self):
        pending = self.compose()
        self.assertEqual((NODE, [DRIVE, SLED], False), tuple(
            pending.monitor[name] for name in ('path', 'resources', 'sent')))
        self.assertEqual([{'Name': 'tag-1', 'Description': 'tag-1 web'}],
                         self.bodies())

    def test_locations(self):
        for location in (self.server.url + NODE, NODE, None,
                         'http://elsewhere.example' + NODE, '/etc/passwd'):
            pending = self.compose(location)
            self.answer('POST', ASSEMBLE, reply(204))
            pending = self.driver.poll(pending)
            self.assertEqual(NODE, pending.monitor['path'])

    def test_the_other_spelling(self):
        actions = self.pod.resources[NODES]['Actions']
        actions['#ComposedNodesCollection.Allocate'] = actions.pop(
            '#ComposedNodeCollection.Allocate')
        self.assertEqual(NODE, self.compose().monitor['path'])

    def test_a_node_that_cannot_be_read_yet(self):
        self.answer('GET', NODE, reply(500))
        pending = self.compose()
        self.assertIsNone(pending.monitor['resources'])
        self.assertRaises(base.Unreachable, self.driver.poll, pending)

    def test_refused(self):
        for status, kind in ((400, base.Refused), (409, base.Refused),
                             (405, base.Unsupported),
                             (501, base.Unsupported),
                             (500, base.Ambiguous)):
            self.answer('POST', ALLOCATE, reply(
                status, server.error('no such luck')))
            error = self.assertRaises(kind, self.driver.compose, SPEC)
            self.assertIn('no such luck', str(error))
        self.answer('POST', ALLOCATE, reply(503, headers={
            'Retry-After': '30'}))
        error = self.assertRaises(base.Busy, self.driver.compose, SPEC)
        self.assertEqual(30, error.retry_after)

    def test_accepted_but_never_seen(self):
        self.pod.resources[NODES]['Members'] = []
        pending = self.compose(None)
        for _ in range(assemble.LOOKS):
            pending = self.driver.poll(pending)
        self.assertRaises(base.Ambiguous, self.driver.poll, pending)


class Assemble(DriverCase):

    def poll(self, **changes):
        return self.driver.poll(self.pending(**changes))

    def test_resources_come_first(self):
        self.become('Allocated')
        pending = self.poll(resources=None)
        self.assertEqual([DRIVE, SLED], pending.monitor['resources'])
        self.assertEqual([], self.bodies())
        self.answer('POST', ASSEMBLE, reply(204))
        pending = self.driver.poll(pending)
        self.assertEqual((True, False), (pending.monitor['sent'],
                                      pending.monitor['lost']))
        self.assertEqual([{}], self.bodies())

    def test_states(self):
        for state in ('Allocating', 'Assembling'):
            self.become(state)
            self.assertIsInstance(self.poll(), base.Pending)
        self.become('Assembled')
        self.assertEqual(base.Done(HANDLE), self.poll())
        self.become('Failed')
        error = self.assertRaises(base.Refused, self.poll)
        self.assertIn('Failed', str(error))
        self.assertEqual([], self.bodies())

    def test_an_unknown_state(self):
        for state in ('Dreaming', None, 7):
            self.become(state)
            self.assertIsInstance(self.poll(), base.Pending)
            self.assertRaises(base.BadAnswer, self.poll,
                              looks=assemble.LOOKS)

    def test_gone_or_anothers(self):
        self.become('Allocated', Name='other', Description='tag-1x')
        self.assertRaises(base.Refused, self.poll)
        del self.pod.resources[NODE]
        error = self.assertRaises(base.NotFound, self.poll)
        self.assertIn('vanished', str(error))

    def test_the_tag_is_in_the_description(self):
        self.become('Assembled', Name='ComposedNode1')
        self.assertEqual(base.Done(HANDLE), self.poll())

    def test_409_of_who_was_slower(self):
        self.become('Allocated')

        def refuse(request):
            self.become('Assembling')
            return reply(409)

        self.pod.replies['POST', ASSEMBLE] = refuse
        self.assertIsInstance(self.poll(), base.Pending)
        self.become('Allocated')
        self.answer('POST', ASSEMBLE, reply(409))
        self.assertRaises(base.Refused, self.poll)

    def test_busy(self):
        self.become('Allocated')
        self.answer('POST', ASSEMBLE, reply(503, headers={
            'Retry-After': '30'}))
        self.assertEqual(30, self.assertRaises(
            base.Busy, self.poll).retry_after)

    def test_accepted_but_nothing_happens(self):
        """It is not sent again: it was answered."""
        self.become('Allocated')
        self.answer('POST', ASSEMBLE, reply(204))
        pending = self.poll()
        for _ in range(assemble.LOOKS):
            pending = self.driver.poll(pending)
        self.assertRaises(base.Refused, self.driver.poll, pending)
        self.assertEqual(1, len(self.bodies()))

    def test_lost_and_nothing_happens(self):
        """It is not sent again here: the engine decides."""
        self.become('Allocated')
        self.pod.replies['POST', ASSEMBLE] = lambda request: server.reset
        pending = self.poll()
        for _ in range(assemble.LOOKS):
            pending = self.driver.poll(pending)
        self.assertRaises(base.Ambiguous, self.driver.poll, pending)
        self.assertEqual(1, len(self.bodies()))

    def test_no_such_action(self):
        self.become('Allocated', Actions={})
        self.assertRaises(base.Refused, self.poll)

    def test_resume(self):
        self.become('Allocated')
        self.answer('POST', ASSEMBLE, reply(204))
        pending = self.driver.resume(self.driver.find('tag-1'))
        for _ in range(2):
            pending = self.driver.poll(pending)
        self.assertTrue(pending.monitor['sent'])
        self.become('Assembled')
        self.assertEqual(base.Done(HANDLE), self.driver.poll(pending))


class Release(DriverCase):

    def force(self):
        self.pod.resources[NODE]['Actions']['#ComposedNode.ForceDelete'] = {
            'target': ACTIONS + 'ComposedNode.ForceDelete'}
        self.answer('POST', ACTIONS + 'ComposedNode.ForceDelete', reply(204))

    def test_delete(self):
        self.answer('DELETE', NODE, reply(204))
        self.assertEqual(base.Done(), self.driver.release(HANDLE))
        del self.pod.resources[NODE]
        self.assertEqual(base.Done(), self.driver.release(HANDLE))
        self.assertEqual([NODE], self.server.paths('DELETE'))

    def test_force(self):
        for status in (400, 405, 409):
            self.answer('DELETE', NODE, reply(status))
            self.assertRaises(base.Refused, self.driver.release, HANDLE)
            self.force()
            self.assertEqual(base.Done(), self.driver.release(HANDLE))
            self.become('Assembled')
        self.assertEqual([{}] * 3, self.bodies())

    def test_no_force(self):
        """Not for what is not allowed, busy or unknown."""
        self.force()
        for status, headers, kind in (
                (403, {}, base.Refused), (500, {}, base.Ambiguous),
                (503, {'Retry-After': '30'}, base.Busy)):
            self.answer('DELETE', NODE, reply(status, headers=headers))
            self.assertRaises(kind, self.driver.release, HANDLE)
        self.assertEqual([], self.bodies())

    def test_what_is_in_motion_is_let_be(self):
        self.answer('DELETE', NODE, reply(204))
        for state in ('Allocating', 'Assembling'):
            self.become(state)
            pending = self.driver.release(HANDLE)
            self.assertIsInstance(self.driver.poll(pending), base.Pending)
        self.assertEqual([], self.server.paths('DELETE'))
        self.assertRaises(base.Busy, self.driver.poll, base.Pending(
            {**pending.monitor, 'looks': release.LOOKS}))
        for state in ('Allocated', 'Assembled', 'Failed', 'unheard of'):
            self.become(state)
            self.assertEqual(base.Done(), self.driver.poll(pending))
        self.assertEqual(4, len(self.server.paths('DELETE')))
        del self.pod.resources[NODE]
        self.assertEqual(base.Done(), self.driver.poll(pending))


class Attach(DriverCase):

    def offer(self, kind, **action):
        body = self.pod.resources[NODE]
        body['Actions'][f'#ComposedNode.{kind}'] = {
            'target': ACTIONS + kind, **action}
        self.answer('POST', ACTIONS + kind, lambda request: self.taken(
            kind))

    def taken(self, kind):
        drives = [link(DRIVE), link(VOLUME)]
        if kind.startswith('Detach'):
            drives = []
        self.pod.resources[NODE]['Links']['RemoteDrives'] = drives
        self.pod.resources[NODE]['Links']['LocalDrives'] = []
        return reply(204)

    def info(self, protocol):
        path = ACTIONS + 'Info'
        self.pod.resources[path] = {'Parameters': [
            {'Name': 'Resource', 'Required': True,
             'AllowableValues': [link(VOLUME), DRIVE]}, *protocol]}
        return path

    def test_endpoints(self):
        self.offer('AttachEndpoint', **{
            'Resource@Redfish.AllowableValues': [link(VOLUME)]})
        self.offer('DetachEndpoint', **{
            'Resource@Redfish.AllowableValues': [link(DRIVE)]})
        self.assertEqual(base.Done(), self.driver.attach(HANDLE, VOLUME))
        self.assertEqual(base.Done(), self.driver.detach(HANDLE, DRIVE))
        self.assertEqual([{'Resource': link(VOLUME)}, {'Resource': DRIVE}],
                         self.bodies())
        self.assertRaises(base.Refused, self.driver.attach, HANDLE,
                          DRIVE + '0')

    def test_resources(self):
        one = [{'Name': 'Protocol', 'AllowableValues': ['NVMeOverFabrics']}]
        two = [{'Name': 'Protocol', 'AllowableValues': ['iSCSI', 'Other']}]
        must = [{**two[0], 'Required': True}]
        for protocol, named, expected in (
                (one, lambda path: link(path), 'NVMeOverFabrics'),
                (one, lambda path: path, 'NVMeOverFabrics'),
                (two, lambda path: path, None),
                (must, lambda path: path, 'iSCSI'),
                ([], lambda path: path, None)):
            self.become('Assembled')
            self.offer('AttachResource', **{
                '@Redfish.ActionInfo': named(self.info(protocol))})
            self.assertEqual(base.Done(), self.driver.attach(HANDLE, VOLUME))
            self.assertEqual(
                {'Resource': link(VOLUME),
                 **({'Protocol': expected} if expected else {})},
                self.bodies()[-1])
        self.offer('DetachResource', **{
            '@Redfish.ActionInfo': self.info([])})
        self.assertEqual(base.Done(), self.driver.detach(HANDLE, VOLUME))
        self.assertEqual({'Resource': link(VOLUME)}, self.bodies()[-1])

    def test_not_allowed_now(self):
        self.offer('AttachResource', **{
            '@Redfish.ActionInfo': self.info([])})
        error = self.assertRaises(base.Refused, self.driver.attach, HANDLE,
                                  ROOT + '/Other')
        self.assertIn(VOLUME, str(error))
        self.assertEqual([], self.bodies())

    def test_without_a_list(self):
        for info in ({'@Redfish.ActionInfo': ACTIONS + 'None'},
                     {'@Redfish.ActionInfo': 3},
                     {'@Redfish.ActionInfo': 'http://elsewhere.example/'},
                     {}):
            self.become('Assembled')
            self.offer('AttachResource', **info)
            self.assertEqual(base.Done(), self.driver.attach(HANDLE, VOLUME))

    def test_what_is_so_already(self):
        self.assertEqual(base.Done(), self.driver.attach(HANDLE, DRIVE))
        self.assertEqual(base.Done(), self.driver.detach(HANDLE, VOLUME))
        self.assertEqual([], self.bodies())

    def test_no_such_action(self):
        self.assertRaises(base.Unsupported, self.driver.attach, HANDLE,
                          VOLUME)
        self.assertRaises(base.Unsupported, self.driver.detach, HANDLE,
                          DRIVE)

    def test_accepted_but_nothing_happens(self):
        self.offer('AttachEndpoint')
        self.answer('POST', ACTIONS + 'AttachEndpoint', reply(204))
        pending = self.driver.attach(HANDLE, VOLUME)
        for _ in range(attach.LOOKS - 1):
            pending = self.driver.poll(pending)
        self.assertRaises(base.Ambiguous, self.driver.poll, pending)
        self.taken('Attach')
        self.assertEqual(base.Done(), self.driver.poll(pending))

    def test_refused(self):
        self.offer('AttachEndpoint')
        self.answer('POST', ACTIONS + 'AttachEndpoint', reply(409))
        self.assertRaises(base.Refused, self.driver.attach, HANDLE, VOLUME)


class Observe(DriverCase):

    def test_capacity(self):
        cpu = SLED + '/Processors/CPU1'
        self.pod.resources[cpu] = {**link(cpu), 'TotalCores': 12}
        self.pod.resources[NODE]['Links']['Processors'] = [
            link(cpu), link(SLED + '/Processors/none')]
        self.pod.resources[NODE]['Processors'] = {'Model': 'Xeon'}
        found = self.driver.observe(HANDLE)
        self.assertEqual((12, 'Xeon', 32768), (
            found.processor_cores, found.processor_model, found.memory_mib))
        self.pod.resources[SLED]['ProcessorSummary'] = {'CoreCount': 24}
        self.assertEqual(24, self.driver.observe(HANDLE).processor_cores)

    def test_only_what_is_assembled_is_whole(self):
        self.assertIsNone(self.driver.observe(HANDLE).unfinished)
        for state in ('Allocating', 'Allocated', 'Assembling', 'Failed'):
            self.become(state)
            self.assertEqual(state, self.driver.observe(HANDLE).unfinished)

    def test_a_system_that_cannot_be_read(self):
        for answer in (reply(404), reply(500), reply(503, headers={
                'Retry-After': '30'}), reply(200, b'nonsense')):
            self.answer('GET', SLED, answer)
            found = self.driver.observe(HANDLE)
            self.assertEqual((None, 32768), (found.processor_cores,
                                             found.memory_mib))

    def test_gone(self):
        del self.pod.resources[NODE]
        self.assertIsNone(self.driver.observe(HANDLE))

    def test_unknown_is_not_gone(self):
        self.answer('GET', NODE, reply(500))
        self.assertRaises(base.Unreachable, self.driver.observe, HANDLE)
        self.assertRaises(base.Unreachable, self.driver.find, 'nobody')

    def test_a_link_that_leads_elsewhere(self):
        self.become('Assembled', Links={
            'ComputerSystem': link('http://elsewhere.example/x')})
        self.assertRaises(base.BadAnswer, self.driver.observe, HANDLE)
        inventory = self.driver.discover()
        self.assertFalse(inventory.complete)
        self.assertEqual(2, len(inventory.systems))

    def test_reset_elsewhere(self):
        """Some simulator has a node's actions under its system."""
        target = SLED + '/Actions/ComposedNode.Reset'
        self.pod.resources[NODE]['Actions']['#ComposedNode.Reset'][
            'target'] = target
        self.answer('POST', target, reply(204))
        self.assertEqual(base.Done(), self.driver.set_power(HANDLE, 'On'))
        self.assertRaises(base.Refused, self.driver.set_power, HANDLE, 'Nmi')
        self.assertEqual([{'ResetType': 'On'}], self.bodies())
        self.become('Assembled', Actions={})
        self.assertRaises(base.Unsupported, self.driver.set_power, HANDLE,
                          'On')


class Discover(DriverCase):

    def put(self, path, **body):
        self.pod.resources[path] = {**link(path), **body}
        return link(path)

    def chassis(self, name, kind, **links):
        return self.put(f'{ROOT}/Chassis/{name}', Name=name,
                        ChassisType=kind, Links=links)

    def test_places_and_drives(self):
        """A sled's drive is its own, a drive of no system is pooled."""
        sled = link(SLED)
        own = self.put(ROOT + '/Chassis/Sled/Drives/1', Name='own',
                       Type='HDD', CapacityGiB=100, RPM=7200)
        pooled = self.put(DRIVE, Name='pooled', Interface='NVMe', Type='SSD',
                          CapacityGiB=50)
        places = [
            self.chassis('Pod', 'Pod', ContainedBy=link(
                ROOT + '/Chassis/Pod')),
            self.chassis('Rack', 'Rack', ContainedBy=link(
                ROOT + '/Chassis/Pod')),
            self.chassis('Drawer', 'Drawer', ContainedBy=link(
                ROOT + '/Chassis/Rack'), ComputerSystems=sled),
            self.chassis('Sled', 'Sled', ComputerSystems=[sled],
                         Drives=[own], ContainedBy=link(
                             ROOT + '/Chassis/Drawer')),
            self.chassis('Switch', 'Other', Drives=[pooled],
                         ContainedBy=link(ROOT + '/Chassis/Rack'))]
        self.pod.resources[ROOT + '/Chassis'] = {'Members': places}
        self.pod.resources[SLED]['Links'] = {
            'Chassis': [link(ROOT + '/Chassis/Sled')]}
        inventory = self.driver.discover()
        self.assertEqual((), inventory.problems)
        self.assertEqual(
            {'Pod': None, 'Rack': None, 'Drawer': ROOT + '/Chassis/Rack',
             'Sled': ROOT + '/Chassis/Rack',
             'Switch': ROOT + '/Chassis/Rack'},
            {one.name: one.rack_path for one in inventory.racks})
        self.assertEqual(
            {'own': (False, 'hdd', 100, SLED, 'used'),
             'pooled': (True, 'nvme', 50, None, 'used'),
             'Sled': (True, 'compute', 100, None, 'used')},
            {one.name: (one.pooled, one.type.value, one.capacity_gib,
                        one.system_path, one.state.value)
             for one in inventory.devices})
        self.assertEqual({ROOT + '/Chassis/Rack'}, {
            one.rack_path for one in (*inventory.devices,
                                      *inventory.systems)})

    def test_states(self):
        self.pod.resources[NODES]['Members'] = []
        for status, state in (
                ({'State': 'Enabled', 'Health': 'OK'}, 'free'),
                ({'State': 'Disabled'}, 'unavailable'),
                ({'State': 'Absent'}, 'unavailable'),
                ({'State': 'Enabled', 'Health': 'Critical'}, 'failed'),
                (None, 'free')):
            self.pod.resources[SLED]['Status'] = status
            self.assertEqual(state, self.driver.discover().devices[0].state)

    def test_holes(self):
        """Nothing of it stops the scan; what is missing is told."""
        self.answer('GET', SLED, reply(500))
        self.put(ROOT + '/Chassis', Members=3)
        inventory = self.driver.discover()
        self.assertFalse(inventory.complete)
        self.assertEqual([NODE], [one.resource_path
                                  for one in inventory.systems])
        self.assertEqual({ROOT + '/Chassis', SLED}, {
            one.resource_path for one in inventory.problems})

    def test_nothing_at_all(self):
        for path in (NODES, ROOT + '/Systems', ROOT + '/Chassis'):
            self.answer('GET', path, reply(500))
        self.assertRaises(base.Unreachable, self.driver.discover)

    def test_wrong_types(self):
        for value in (None, 3, 'text', [], {}, [[]], {'@odata.id': 7}):
            for path in (NODE, SLED):
                self.pod.resources[path] = {
                    **link(path), 'Name': value, 'Links': value,
                    'Actions': value, 'Boot': value, 'Oem': value,
                    'Processors': value, 'Memory': value, 'Status': value,
                    'ComposedNodeState': value, 'Description': value}
            inventory = self.driver.discover()
            self.assertEqual(2, len(inventory.systems))
            self.assertIsNone(self.driver.find('tag-1'))
            self.assertIsNone(self.driver.observe(HANDLE))
