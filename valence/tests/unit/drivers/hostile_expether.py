# SPDX-License-Identifier: Apache-2.0
"""In which ways can an ExpEther Manager alone be hostile?

It has no links, sessions or pages, but ids, groups and times, that end up
in paths, queries and requests.
"""

from typing import Any

from valence.tests.unit.drivers.hostile_cases import case
from valence.tests.unit.drivers.hostile_pods import ExpEther
from valence.tests.unit.drivers.server import error, reply


@case('expether')
def ids_with_a_query(pod: ExpEther) -> None:
    pod.relink(lambda value: value + '?force=enabled')


@case('expether')
def ids_that_are_other_resources(pod: ExpEther) -> None:
    pod.relink(lambda value: value + '/group_id')


@case('expether')
def another_device_than_was_asked_for(pod: ExpEther) -> None:
    paths = [f'{pod.DEVICES}/{name}' for name in pod.GROUPS]
    bodies = [pod.tree.resources[path] for path in paths]
    for path, body in zip(paths, reversed(bodies), strict=True):
        pod.tree.resources[path] = body


@case('expether')
def all_in_one_group(pod: ExpEther) -> None:
    for name in pod.GROUPS:
        pod.device(name, group_id='20')


@case('expether')
def nobody_in_any_group(pod: ExpEther) -> None:
    for name in pod.GROUPS:
        pod.device(name, group_id=None)


@case('expether')
def groups_of_any_type(pod: ExpEther) -> None:
    odd: list[Any] = [True, [20], {'id': '20'}, '2' * 900, -20, '20&force=1']
    for name, value in zip(pod.GROUPS, odd, strict=False):
        pod.device(name, group_id=value)


@case('expether')
def a_list_that_disagrees_with_the_devices(pod: ExpEther) -> None:
    pod.answer('GET', pod.main, reply(200, pod.listing(*(
        {**pod.tree.resources[f'{pod.DEVICES}/{name}']['device'],
         'group_id': '21'} for name in pod.GROUPS))))


@case('expether')
def devices_that_are_servers_and_none(pod: ExpEther) -> None:
    for name in pod.GROUPS:
        pod.device(name, status='eeio' if name < '0xb' else 'eesv')


@case('expether')
def devices_of_no_known_kind(pod: ExpEther) -> None:
    for name in pod.GROUPS:
        pod.device(name, status=['eesv'], type={}, notification_status0=5)


@case('expether')
def times_that_are_queries(pod: ExpEther) -> None:
    for name in pod.GROUPS:
        pod.device(name, update_time='1&force=enabled\r\nX-Evil: 1')


@case('expether')
def times_that_never_stand_still(pod: ExpEther) -> None:
    """Each change is refused as too late, and each look is newer."""
    def look(request: Any) -> Any:
        name = request.path.rpartition('/')[2]
        pod.device(name, update_time=str(len(pod.server.requests)))
        return reply(200, pod.tree.resources[request.path])

    for name in pod.GROUPS:
        pod.answer('GET', f'{pod.DEVICES}/{name}', look)
    pod.mutations(reply(409, error('too late')))


@case('expether')
def refuses_once_and_moves_the_device(pod: ExpEther) -> None:
    def refuse(request: Any) -> Any:
        name = request.path.split('/')[-2]
        pod.device(name, update_time='9', group_id='33')
        return reply(409, {'code': '40900', 'message': 'no'})

    pod.mutations(refuse)


@case('expether')
def gives_another_group_than_asked_for(pod: ExpEther) -> None:
    pod.mutations(reply(200, {'group_id': '99', 'update_time': '1'}))


@case('expether')
def gives_groups_that_are_none(pod: ExpEther) -> None:
    pod.mutations([reply(200, {'group_id': one}) for one in (
        '0', '4093', '../20', None, 10 ** 30, [], '20?x=1')])


@case('expether')
def no_room_anywhere(pod: ExpEther) -> None:
    for name, room in zip(pod.GROUPS, ('-1', '0'), strict=False):
        pod.device(name, max_eeio_count=room)


@case('expether')
def room_out_of_this_world(pod: ExpEther) -> None:
    for name in pod.GROUPS:
        pod.device(name, max_eeio_count='9' * 5000)


@case('expether')
def pci_ids_of_any_kind(pod: ExpEther) -> None:
    odd: list[Any] = ['0x' + 'f' * 5000, -1, [], '0xzz', None]
    for name, value in zip(pod.GROUPS, odd, strict=True):
        pod.device(name, pcie_vendor_id=value, pcie_device_id=value,
                   pcie_class_code=value)


@case('expether', max_body=100_000)
def a_list_too_large_and_halves_that_are_too(pod: ExpEther) -> None:
    pod.answer('GET', pod.main, reply(200, b'{"devices": ['
                                      + b' ' * 200_000 + b']}'))


@case('expether')
def halves_that_are_the_whole(pod: ExpEther) -> None:
    pod.answer('GET', pod.main, lambda request: reply(
        200, pod.tree.resources[pod.main]) if '?' in request.path
        else reply(200, {'devices': 'all of them'}))


@case('expether')
def no_version_and_no_groups(pod: ExpEther) -> None:
    for path in ('/api_version', '/groups'):
        pod.answer('GET', pod.EEM + path, reply(200, {'a': ['b']}))


@case('expether')
def down_and_disabled(pod: ExpEther) -> None:
    for name in pod.GROUPS:
        pod.device(name, admin_status='disabled',
                   notification_status0=['down'])
