# SPDX-License-Identifier: Apache-2.0
"""In which ways can a backend be hostile, or sick?

A case makes a :class:`~.hostile_pods.Pod` hostile. Most are for any
backend; a few need words that only some dialects have. Here are those of
time and size, in :mod:`.hostile_lies` those of untruth, and in
:mod:`.hostile_expether` what an ExpEther Manager alone can do.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.hostile_pods import SESSIONS, Pod
from valence.tests.unit.drivers.pod import MONITOR, ROOT, link, links
from valence.tests.unit.drivers.server import reply


@dataclass(frozen=True)
class Case:
    """``needs`` names what the dialect must have words for."""

    make: Callable[[Any], None]
    needs: str | None
    limits: dict[str, Any]


CASES: dict[str, Case] = {}
_QUICK = {'call_timeout': 0.15, 'discovery_timeout': 0.2}
_SHORT = {'call_timeout': 0.4, 'discovery_timeout': 0.5}
_SLOW = {'call_timeout': 6.0, 'discovery_timeout': 6.0}


def case(needs: str | None = None, **limits: Any) -> Any:
    """Add a case, by the name of the function."""
    def add(make: Any) -> Any:
        CASES[make.__name__] = Case(make, needs, limits)
        return make
    return add


# Time

@case(**_QUICK)
def silent(pod: Pod) -> None:
    pod.everything(lambda _: pod.server.hang)


@case('sessions', **_QUICK)
def silent_at_the_login(pod: Pod) -> None:
    pod.answer('POST', SESSIONS, lambda _: pod.server.hang)


@case(**_QUICK)
def drips_its_answers(pod: Pod) -> None:
    pod.everything(lambda _: lambda sock: (
        sock.sendall(b'HTTP/1.1 200 OK\r\n\r\n'),
        pod.server.endless(sock, b' ', 0.02)))


@case(**_QUICK)
def drips_its_headers(pod: Pod) -> None:
    pod.everything(lambda _: lambda sock: (
        sock.sendall(b'HTTP/1.1 200 OK\r\nX: '),
        pod.server.endless(sock, b'x', 0.02)))


@case(**_QUICK)
def silent_after_each_change(pod: Pod) -> None:
    pod.mutations(lambda _: pod.server.hang)


@case(**_SHORT)
def just_not_too_slow_each_time(pod: Pod) -> None:
    def slow(request: Any) -> Any:
        pod.server.stopping.wait(0.15)
        return pod.tree(request)

    pod.everything(slow)


@case(**_QUICK)
def interim_answers_without_end(pod: Pod) -> None:
    pod.everything(lambda _: lambda sock: pod.server.endless(
        sock, b'HTTP/1.1 100 Continue\r\n\r\n', 0.01))


@case(**_QUICK)
def half_an_answer(pod: Pod) -> None:
    pod.everything(lambda _: lambda sock: (
        sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{'),
        pod.server.hang(sock)))


@case()
def come_back_in_an_hour(pod: Pod) -> None:
    pod.everything(reply(503, headers={'Retry-After': '3600'}))


@case()
def come_back_at_no_time(pod: Pod) -> None:
    texts = ['-1', 'NaN', '9' * 400, 'Thu, 99 Foo 9999']
    pod.answer('GET', MONITOR, [
        reply(202, b'', {'Retry-After': text}) for text in texts])
    pod.mutations([reply(status, b'', {
        'Location': MONITOR, 'Retry-After': text})
        for text in texts for status in (202, 503)])


# Size

@case()
def giant_answers(pod: Pod) -> None:
    pod.everything(lambda _: lambda sock: (
        sock.sendall(b'HTTP/1.1 200 OK\r\n\r\n'),
        pod.server.endless(sock, b' ' * 65536)))


@case(call_timeout=5.0, discovery_timeout=5.0)
def giants_in_every_member(pod: Pod) -> None:
    """Many requests at once, each answered by as much as is allowed."""
    names = [f'm{number}' for number in range(16)]
    pod.tree.resources[pod.main] = pod.listing(*map(pod.member, names))
    giant = reply(200, b'{"Name": "' + b'x' * (7 * 1024 * 1024) + b'"}')
    for name in names:
        pod.answer('GET', f'{pod.main.removesuffix("/detail")}/{name}',
                   giant)


@case(call_timeout=5.0, discovery_timeout=5.0)
def too_much_in_every_member(pod: Pod) -> None:
    """Each is refused, and no error keeps what was read of it."""
    names = [f'm{number}' for number in range(24)]
    pod.tree.resources[pod.main] = pod.listing(*map(pod.member, names))
    for name in names:
        pod.answer('GET', f'{pod.main.removesuffix("/detail")}/{name}',
                   lambda _: lambda sock: (
                       sock.sendall(b'HTTP/1.1 200 OK\r\n\r\n'),
                       pod.server.endless(sock, b' ' * 65536)))


@case()
def announced_giants(pod: Pod) -> None:
    pod.everything(b'HTTP/1.1 200 OK\r\nContent-Length: 9' + b'9' * 18
                   + b'\r\n\r\n')


@case(**_QUICK)
def a_chunk_of_exabytes(pod: Pod) -> None:
    pod.everything(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
                   b'FFFFFFFFFFFFFFF\r\n{')


@case()
def gzip_bombs(pod: Pod) -> None:
    bomb = gzip.compress(b'{"a": "' + b' ' * 50_000_000 + b'"}')
    pod.everything(reply(200, bomb, {'Content-Encoding': 'gzip'}))


@case(**_SLOW)
def a_million_empty_objects(pod: Pod) -> None:
    pod.everything(reply(200, b'{"Members":[' + b'{},' * 1_000_000
                         + b'{}]}'))


@case(**_SLOW)
def small_objects_in_every_answer(pod: Pod) -> None:
    pod.everything(reply(200, b'{"Members":[' + b'{"a":1},' * 20_000
                         + b'{}]}'))


@case(**_SLOW)
def small_objects_in_the_main_list(pod: Pod) -> None:
    pod.answer('GET', pod.main, reply(200, pod.listing(
        *[{'a': 1}] * 20_000)))


@case(**_SLOW)
def short_texts_without_end(pod: Pod) -> None:
    """Each takes ten times in memory what it takes on the wire."""
    pod.everything(reply(200, b'{"Members":[' + b'"ab",' * 1_600_000
                         + b'""]}'))


@case(**_SLOW)
def numbers_without_end(pod: Pod) -> None:
    pod.everything(reply(200, b'{"Members":[' + b'1000,' * 1_600_000
                         + b'0]}'))


@case(**_SLOW)
def names_without_end(pod: Pod) -> None:
    """Each name in an object is another one, and is kept."""
    names = b''.join(b'"%05x":1,' % number for number in range(800_000))
    pod.everything(reply(200, b'{' + names + b'"Members":[]}'))


@case()
def json_of_a_thousand_levels(pod: Pod) -> None:
    pod.everything(reply(200, b'{"a":' + b'[' * 1000 + b']' * 1000 + b'}'))


@case()
def json_of_a_million_levels(pod: Pod) -> None:
    pod.everything(reply(200, b'{"a":' * 1_000_000))


@case(**_SHORT)
def headers_without_end(pod: Pod) -> None:
    pod.everything(lambda _: lambda sock: (
        sock.sendall(b'HTTP/1.1 200 OK\r\n'),
        pod.server.endless(sock, b'X-Y: z\r\n')))


@case(**_SHORT)
def a_header_of_a_megabyte(pod: Pod) -> None:
    pod.everything(reply(200, {}, {'ETag': 'x' * 1_000_000}))


@case()
def errors_of_a_megabyte(pod: Pod) -> None:
    pod.everything(reply(400, server.error('no ' * 400_000)))


@case(max_members=50, max_pages=10)
def members_without_end(pod: Pod) -> None:
    pod.answer('GET', pod.main, reply(200, pod.listing(
        *(pod.member(f'n{number}') for number in range(20_000)))))


@case('collections', max_pages=10)
def pages_without_end(pod: Pod) -> None:
    def page(request: Any) -> Any:
        skip = int(request.path.partition('=')[2] or 0)
        return reply(200, {'Members': [], 'Members@odata.nextLink':
                           f'{pod.main}?$skip={skip + 1}'})

    pod.answer('GET', pod.main, page)


@case('collections', max_members=40)
def resources_without_end(pod: Pod) -> None:
    """Each member has processors, and each has a link to more."""
    def more(request: Any) -> Any:
        path = request.path.partition('?')[0].rstrip('/')
        return reply(200, {**link(path), 'Id': 'x', 'Name': 'tag-9',
                           'Processors': link(path + '/P'), 'Members': links(
                               *(f'{path}/{one}' for one in range(30)))})

    systems = ROOT + '/Systems'
    for number in range(40):
        path = f'{systems}/s{number}'
        pod.answer('GET', path, more)
        pod.answer('GET', path + '/P', more)
        for part in range(30):
            pod.answer('GET', f'{path}/P/{part}', more)
    pod.change(systems, Members=links(*(
        f'{systems}/s{number}' for number in range(40))))


@case(max_body=200_000)
def more_than_is_read_in_one_scan(pod: Pod) -> None:
    names = [f's{number}' for number in range(60)]
    members = [pod.member(name) for name in names]
    if 'expether' in pod.speaks:        # all is in one answer
        members = [{**one, 'model': 'y' * 150_000} for one in members]
    pod.tree.resources[pod.main] = pod.listing(*members)
    big = reply(200, {'Name': 'x', 'Oem': 'y' * 150_000})
    for name in names:
        pod.answer('GET', f'{pod.main}/{name}', big)


@case('collections')
def expanded_into_a_giant(pod: Pod) -> None:
    pod.change(ROOT, ProtocolFeaturesSupported={'ExpandQuery': {
        'NoLinks': 'true', 'Levels': True, 'MaxLevels': 99}})
    giant = reply(200, b'{"Members": [' + b' ' * 9_000_000 + b']}')
    for path in pod.collections:
        for level in (1, 2):
            pod.answer('GET', f'{path}?$expand=.($levels={level})', giant)


# Circles

@case('collections')
def pages_in_a_circle(pod: Pod) -> None:
    pod.change(pod.main, **{'Members@odata.nextLink': pod.main + '?$skip=1'})
    pod.answer('GET', pod.main + '?$skip=1', reply(200, {
        'Members': [], 'Members@odata.nextLink': pod.main}))


@case('collections')
def collections_that_are_their_own_members(pod: Pod) -> None:
    for path in pod.collections:
        pod.change(path, Members=links(path, ROOT, ROOT + '/'))


@case()
def the_same_member_a_thousand_times(pod: Pod) -> None:
    pod.tree.resources[pod.main] = pod.listing(*[pod.member('n1')] * 1000)


@case('collections')
def chassis_within_each_other(pod: Pod) -> None:
    names = [one['@odata.id'] for one in pod.tree.resources[
        ROOT + '/Chassis']['Members']]
    for path, around in zip(names, reversed(names), strict=True):
        pod.change(path, Links={'ContainedBy': link(around),
                                'Chassis': link(path)})


@case('blocks')
def a_monitor_that_is_its_own_task(pod: Pod) -> None:
    pod.answer('GET', MONITOR, reply(200, {
        '@odata.type': '#Task.v1_0_0.Task', '@odata.id': MONITOR,
        'TaskState': 'Running', 'TaskMonitor': MONITOR}))
    pod.mutations(reply(202, {'@odata.id': MONITOR, 'TaskState': 'New'},
                        {'Location': MONITOR}))
