# SPDX-License-Identifier: Apache-2.0
"""In which ways can a backend lead elsewhere, tell secrets, or lie?"""

import json

from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.hostile_cases import case
from valence.tests.unit.drivers.hostile_pods import SESSIONS, TOKEN, Pod
from valence.tests.unit.drivers.pod import (
    BLOCKS,
    COMPOSED,
    ROOT,
    SERVICE,
    SYSTEMS,
    WHOLE,
    link,
    links,
)
from valence.tests.unit.drivers.server import PASSWORD, reply

_QUICK = {'call_timeout': 0.15, 'discovery_timeout': 0.2}
_SHORT = {'call_timeout': 0.4, 'discovery_timeout': 0.5}


# Links that lead elsewhere

@case()
def links_to_another_host(pod: Pod) -> None:
    pod.relink(lambda value: pod.other.url + value)


@case()
def links_without_a_scheme(pod: Pod) -> None:
    host = pod.other.url.partition(':')[2]
    pod.relink(lambda value: host + value)


@case()
def links_with_credentials(pod: Pod) -> None:
    host = pod.server.url.partition('//')[2]
    other = pod.other.url.partition('//')[2]
    pod.relink(lambda value: f'http://{host}@{other}{value}')


@case()
def links_out_of_the_root(pod: Pod) -> None:
    pod.relink(lambda value: value.replace(ROOT, ROOT + '/../..')
               if ROOT in value else '../../' + value)


def _under_the_root(pod: Pod, segment: str) -> None:
    pod.relink(lambda value: value.replace(ROOT, f'{ROOT}/{segment}')
               if ROOT in value else f'{segment}/{value}')


@case()
def links_with_encoded_dots(pod: Pod) -> None:
    _under_the_root(pod, '%2e%2E/%2E.')


@case()
def links_with_encoded_slashes(pod: Pod) -> None:
    _under_the_root(pod, '..%2f..%2Fx')


@case()
def links_with_backslashes(pod: Pod) -> None:
    _under_the_root(pod, '..\\..\\x')


@case()
def links_with_encoded_backslashes(pod: Pod) -> None:
    _under_the_root(pod, '..%5c..%5Cx')


@case()
def links_with_line_breaks(pod: Pod) -> None:
    pod.relink(lambda value: value
               + ' HTTP/1.1\r\nX-Evil: 1\r\n\r\n')


@case()
def links_of_a_megabyte(pod: Pod) -> None:
    pod.relink(lambda value: value + 'x' * 50_000)


@case()
def links_of_any_type(pod: Pod) -> None:
    odd = [None, 5, '', [], {'a': 1}, '#', '?', '\x00', '%2e%2e/x']
    pod.walk(lambda key, value: odd[len(str(value)) % len(odd)]
             if key == pod.link_key else value)


@case('redfish')
def targets_at_another_host(pod: Pod) -> None:
    pod.walk(lambda key, value: pod.other.url + value
             if key == 'target' else value)
    if 'blocks' in pod.speaks:
        pod.change(SERVICE, Actions={'#CompositionService.Compose': {
            'target': pod.other.url + SERVICE}})


@case()
def locations_at_another_host(pod: Pod) -> None:
    pod.mutations([reply(status, {}, {
        'Location': pod.other.url + pod.main + '/new'})
        for status in (201, 202)])


@case('collections')
def next_pages_at_another_host(pod: Pod) -> None:
    for path in pod.collections:
        pod.change(path, **{'Members@odata.nextLink': pod.other.url + path})


@case()
def redirects_to_another_host(pod: Pod) -> None:
    pod.everything(lambda request: reply(307, b'', {
        'Location': pod.other.url + request.path}))


@case()
def redirects_of_each_change(pod: Pod) -> None:
    pod.mutations([reply(status, b'', {'Location': pod.other.url})
                   for status in (301, 302, 303, 307, 308)])


@case('sessions')
def redirects_of_the_login(pod: Pod) -> None:
    pod.answer('POST', SESSIONS, reply(307, b'', {
        'Location': pod.other.url + SESSIONS}))


@case('sessions')
def sessions_at_another_host(pod: Pod) -> None:
    pod.change(ROOT, Links={'Sessions': link(pod.other.url + SESSIONS)})


@case('sessions')
def a_session_that_is_deleted_at_another_host(pod: Pod) -> None:
    pod.answer('POST', SESSIONS, reply(201, {}, {
        'X-Auth-Token': TOKEN, 'Location': pod.other.url + SESSIONS}))


@case('blocks')
def a_collection_to_post_to_at_another_host(pod: Pod) -> None:
    path = SYSTEMS + '/Capabilities'
    pod.tree.resources[path] = {'Name': 'x'}
    pod.change(SYSTEMS, **{'@Redfish.CollectionCapabilities': {
        'Capabilities': [{
            'UseCase': 'ComputerSystemComposition',
            'CapabilitiesObject': link(pod.other.url + path), 'Links': {
                'TargetCollection': link(pod.other.url + SYSTEMS)}}]}})


# Secrets

@case()
def repeats_the_credentials_in_its_errors(pod: Pod) -> None:
    token = TOKEN if 'sessions' in pod.speaks else ''
    pod.everything(lambda request: reply(403, server.error(
        f'{PASSWORD} {token} {request.headers} is wrong')))


@case()
def shows_a_traceback(pod: Pod) -> None:
    pod.everything(reply(500, f'''
        <h1>Error</h1><pre>Traceback (most recent call last):
          File "x.py", line 1, in login({PASSWORD!r})
        KeyError: {TOKEN!r}</pre>'''.encode()))


@case('sessions')
def repeats_the_password_at_the_login(pod: Pod) -> None:
    pod.answer('POST', SESSIONS, lambda request: reply(
        400, server.error(request.body.decode())))


@case('sessions')
def a_token_that_breaks_the_line(pod: Pod) -> None:
    pod.answer('POST', SESSIONS, reply(201, {}, {
        'X-Auth-Token': 'a\r\n X-Evil: 1'}))


@case('sessions')
def a_token_of_a_megabyte(pod: Pod) -> None:
    pod.answer('POST', SESSIONS, reply(201, {}, {
        'X-Auth-Token': 'x' * 60_000}))


@case('redfish')
def an_etag_that_breaks_the_line(pod: Pod) -> None:
    for path in list(pod.tree.resources):
        pod.change(path, **{'@odata.etag': '"x"\r\nX-Evil: 1'})


# Lies

@case()
def says_yes_and_does_nothing(pod: Pod) -> None:
    pod.mutations(reply(204))


@case()
def says_no_content_to_everything(pod: Pod) -> None:
    pod.everything(reply(204))


@case()
def breaks_the_line_after_each_change(pod: Pod) -> None:
    pod.mutations(lambda _: server.reset)


@case()
def breaks_the_line_in_each_answer(pod: Pod) -> None:
    pod.mutations(lambda _: lambda sock: (
        sock.sendall(b'HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n{'),
        server.reset(sock)))


@case()
def gateway_errors_after_each_change(pod: Pod) -> None:
    pod.mutations([reply(status) for status in (500, 502, 504)])


@case()
def accepts_everything_and_never_ends(pod: Pod) -> None:
    pod.mutations(reply(202))


@case()
def nobody_is_logged_in(pod: Pod) -> None:
    pod.everything(reply(401, server.error('who are you?')))


@case()
def always_changed_by_somebody_else(pod: Pod) -> None:
    pod.mutations(reply(412))


@case()
def everything_is_gone(pod: Pod) -> None:
    pod.everything(reply(404))


@case()
def another_answer_behind_each(pod: Pod) -> None:
    """It would be taken for the answer to the next request."""
    forged = reply(200, {'Name': 'forged', 'forged': True})
    pod.everything(lambda request: (
        lambda answer: answer + forged if isinstance(answer, bytes)
        else answer)(pod.tree(request)))


@case(**_SHORT)
def two_lengths(pod: Pod) -> None:
    pod.everything(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n'
                   b'Content-Length: 40\r\n\r\n{}' + b' ' * 38)


@case(**_QUICK)
def a_length_below_zero(pod: Pod) -> None:
    pod.everything(b'HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}')


@case()
def nothing_but_nulls(pod: Pod) -> None:
    pod.walk(lambda key, value: value if key == pod.link_key or isinstance(
        value, dict | list) else None)


@case()
def text_for_everything(pod: Pod) -> None:
    pod.walk(lambda key, value: value if key in (
        'Members', 'Links', 'devices', 'device') or isinstance(value, str)
        else json.dumps(value))


@case()
def arrays_for_objects(pod: Pod) -> None:
    pod.walk(lambda key, value: [value] if isinstance(value, dict)
             else value)


@case()
def numbers_out_of_this_world(pod: Pod) -> None:
    pod.walk(lambda key, value: 10 ** 300 if key != pod.link_key and str(
        value).replace('0x', '').isdecimal() else value)


@case()
def texts_that_no_terminal_should_see(pod: Pod) -> None:
    pod.walk(lambda key, value: value + '\x1b[2J\u202e\x00\r\n'
             if isinstance(value, str) and key not in (
                 pod.link_key, 'target') else value)


@case('blocks')
def stanzas_of_any_kind(pod: Pod) -> None:
    compose = SERVICE + '/Actions/CompositionService.Compose'
    pod.change(SERVICE, Actions={'#CompositionService.Compose': {
        'target': compose}})
    pod.answer('GET', SYSTEMS, reply(
        200, pod.tree.resources[SYSTEMS], {'Allow': 'GET'}))
    pod.answer('POST', compose, reply(200, {'Manifest': {
        'Stanzas': [5, None, {'Response': []}, {'Response': {'error': [
            PASSWORD]}}, {'Response': {'@odata.id': 'x' * 9000}}]}}))


@case(**_SHORT)
def no_http_at_all(pod: Pod) -> None:
    pod.everything(b'SSH-2.0-OpenSSH_9.2\r\n')


@case()
def no_json_at_all(pod: Pod) -> None:
    answers = [b'[]', b'null', b'{"a": NaN}', b'\xff', b'<html>', b'{"a":']
    pod.everything(lambda _: reply(200, answers[
        len(pod.server.requests) % len(answers)]))


@case('redfish')
def a_node_that_is_somebody_elses(pod: Pod) -> None:
    pod.change(pod.NODE, Name='tag-7', Description='tag-7')


@case('composed')
def a_composed_system_that_is_a_server(pod: Pod) -> None:
    pod.change(COMPOSED, SystemType='Physical', Name='Whole')
    pod.change(WHOLE, SystemType=['Composed'])


@case('composed')
def blocks_of_everybody(pod: Pod) -> None:
    for name in ('c1', 'd1', 'g1'):
        pod.change(f'{BLOCKS}/{name}', Links={
            'ComputerSystems': links(COMPOSED, WHOLE, BLOCKS)})


@case('rsd')
def a_node_in_no_known_state(pod: Pod) -> None:
    for path in (pod.NODE, pod.NEW):
        pod.change(path, ComposedNodeState='Dancing')


@case('rsd')
def a_node_that_is_made_for_ever(pod: Pod) -> None:
    for path in (pod.NODE, pod.NEW):
        pod.change(path, ComposedNodeState='Assembling')


@case('rsd')
def a_version_of_no_api(pod: Pod) -> None:
    pod.change(ROOT, Oem={'Intel_RackScale': {'ApiVersion': '2.' + '9' * 99},
                          'X_RackScale': [1]})
