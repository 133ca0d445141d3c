# SPDX-License-Identifier: Apache-2.0
"""Whom does the transport connect to, and whom does it believe?"""

import email.utils
import gc
import os
import socket
import ssl
import threading
import time
from unittest import mock

import fixtures
import testtools

from valence.common import addresses, faultpoints
from valence.drivers import base, http, http_address, http_pool
from valence.tests.unit.drivers import server
from valence.tests.unit.drivers.server import reply

ROOT = '/redfish/v1'


class AddressPolicy(testtools.TestCase):

    def permits(self, address, allowed=(), denied=()):
        return addresses.AddressPolicy(allowed, denied).permits(address)

    def test_never(self):
        everything = ('0.0.0.0/0', '::/0')
        for address in ('169.254.169.254', '169.254.0.1', '0.0.0.0',
                        '224.0.0.1', '255.255.255.255', 'fe80::1',
                        'fe80::1%eth0', 'ff02::1', '::', 'fd00:ec2::254',
                        '::ffff:169.254.169.254', '100.100.100.200',
                        '64:ff9b::a9fe:a9fe', '2002:a9fe:a9fe::1', 'text'):
            self.assertFalse(self.permits(address, everything), address)

    def test_metadata_services_by_any_address(self):
        for name, address in (
                ('Amazon', 'fd00:ec2::254'), ('EKS', 'fd00:ec2::23'),
                ('Google', 'fd20:ce::254'), ('Scaleway', 'fd00:42::42'),
                ('Oracle', 'fd00:c1::a9fe:a9fe'),
                ('mapped', '::ffff:a9fe:a9fe'),
                ('translated', '::ffff:0:a9fe:a9fe'),
                ('compatible', '::a9fe:a9fe'),
                ('NAT64', '64:ff9b::a9fe:a9fe'),
                ('local NAT64 /96', '64:ff9b:1::a9fe:a9fe'),
                ('local NAT64 /96, a long prefix',
                 '64:ff9b:1:1:2:3:a9fe:a9fe'),
                ('local NAT64 /64', '64:ff9b:1:1:a9:fea9:fe00:0'),
                ('local NAT64 /56', '64:ff9b:1:1a9:fe:a9fe::'),
                ('local NAT64 /48', '64:ff9b:1:a9fe:a9:fe00::'),
                ('6to4', '2002:a9fe:a9fe::1'),
                ('Teredo', '2001:0:a9fe:a9fe::'),
                ('ISATAP', '2001:db8::5efe:a9fe:a9fe'),
                ('ISATAP, global', '2001:db8::200:5efe:a9fe:a9fe')):
            self.assertFalse(
                self.permits(address, ('0.0.0.0/0', '::/0')), name)

    def test_other_addresses_in_those_forms(self):
        for address in ('::ffff:0:a01:203', '::a01:203', '64:ff9b::a01:203',
                        '64:ff9b:1::a01:203', '64:ff9b:1:a01:2:300::',
                        '2001:db8::5efe:a01:203', 'fd00:ec2:1::1',
                        'fd20:ce::253'):
            self.assertTrue(self.permits(address), address)
            self.assertEqual(
                address.startswith('fd'),
                self.permits(address, denied=('10.0.0.0/8',)), address)

    def test_loopback_only_where_allowed(self):
        for address, network in (('127.0.0.1', '127.0.0.0/8'),
                                 ('127.1.2.3', '127.0.0.0/8'),
                                 ('::ffff:127.0.0.1', '127.0.0.0/8'),
                                 ('::7f00:1', '127.0.0.0/8'),
                                 ('64:ff9b:1::7f00:1', '127.0.0.0/8'),
                                 ('::1', '::1/128')):
            self.assertFalse(self.permits(address), address)
            self.assertTrue(self.permits(address, (network,)), address)

    def test_others_unless_denied(self):
        for address in ('10.1.2.3', '8.8.8.8', 'fd00::1', '2001:db8::1'):
            self.assertTrue(self.permits(address))
        self.assertFalse(self.permits('10.1.2.3', denied=('10.0.0.0/8',)))
        self.assertFalse(self.permits('::ffff:10.1.2.3',
                                      denied=('10.0.0.0/8',)))
        self.assertTrue(self.permits('10.1.2.3', ('10.1.0.0/16',),
                                     ('10.0.0.0/8',)))


class Addresses(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.server = self.useFixture(server.Server(
            lambda _: reply(200, {'a': 1})))

    def resolves_to(self, *addresses):
        real = socket.getaddrinfo
        self.asked = []

        def fake(host, port, *args, flags=0, **kwargs):
            if host != 'pod.example':
                return real(host, port, *args, flags=flags, **kwargs)
            if flags & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, 'no literal')
            self.asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (one, port))
                    for one in addresses]

        self.useFixture(fixtures.MonkeyPatch('socket.getaddrinfo', fake))
        return http.Client(server.endpoint(
            f'http://pod.example:{self.server.port}'), ROOT)

    def test_a_name_is_resolved_once_and_that_address_dialled(self):
        client = self.resolves_to('127.0.0.1')
        client.get(ROOT)
        client.get(ROOT)
        self.assertEqual(['pod.example'], self.asked)
        self.assertEqual(f'pod.example:{self.server.port}',
                         self.server.requests[0].headers['host'])

    def test_a_denied_address_is_skipped(self):
        client = self.resolves_to('169.254.169.254', '127.0.0.1')
        client.get(ROOT)
        self.assertEqual(1, len(self.server.requests))

    def test_only_denied_addresses(self):
        client = self.resolves_to('169.254.169.254', '224.0.0.1')
        error = self.assertRaises(http_address.AddressDenied, client.get,
                                  ROOT)
        self.assertFalse(error.retryable)

    def test_loopback_is_denied_by_default(self):
        client = http.Client(server.endpoint(self.server.url, limits={
            'allowed_networks': ()}), ROOT)
        self.assertRaises(http_address.AddressDenied, client.get, ROOT)
        self.assertEqual(0, self.server.connections)

    def test_a_resolver_that_hangs_meets_the_deadline(self):
        def hang(host, port, *args, flags=0, **kwargs):
            if flags & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, 'no literal')
            self.server.stopping.wait(30)
            return []

        self.useFixture(fixtures.MonkeyPatch('socket.getaddrinfo', hang))
        client = http.Client(server.endpoint('https://pod.example', limits={
            'connect_timeout': 0.2, 'call_timeout': 0.5}), ROOT)
        started = time.monotonic()
        self.assertRaises(base.Unreachable, client.get, ROOT)
        self.assertLess(time.monotonic() - started, 15.0)

    def test_networks_that_are_none_are_refused_early(self):
        self.assertRaises(base.Misconfigured, http.Client, server.endpoint(
            'https://pod', limits={'denied_networks': ('10.0.0.0/99',)}))


class Tls(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.authority = server.Authority()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.tls = server.server_tls(self.authority, self.directory)
        self.server = self.useFixture(server.Server(
            lambda _: reply(200, {'a': 1}), self.tls))

    def client(self, url=None, **changes):
        return http.Client(server.endpoint(
            url or self.server.url, **changes), ROOT)

    def assertNoTls(self, client):
        error = self.assertRaises(http_pool.TlsFailure, client.get, ROOT)
        self.assertEqual([], self.server.requests)
        return error

    def test_the_given_authority_is_trusted(self):
        client = self.client(ca_certificates=self.authority.pem)
        self.assertEqual({'a': 1}, client.get(ROOT).body)
        client.send('POST', ROOT, {})
        client.get(ROOT)

    def test_another_authority_is_not(self):
        error = self.assertNoTls(self.client(
            ca_certificates=server.Authority().pem))
        self.assertFalse(error.retryable)

    def test_a_certificate_is_pinned(self):
        """Its authority may issue another, which is not that one."""
        def own(directory):
            with open(f'{directory}/certificate.pem') as file:
                return file.read()

        client = self.client(ca_certificates=own(self.directory))
        self.assertEqual({'a': 1}, client.get(ROOT).body)
        self.server.requests.clear()
        other = self.useFixture(fixtures.TempDir()).path
        server.server_tls(self.authority, other)
        self.assertNoTls(self.client(ca_certificates=own(other)))

    def test_the_systems_authorities_do_not_know_it(self):
        self.assertNoTls(self.client())

    def test_the_name_must_match(self):
        other = self.useFixture(server.Server(
            lambda _: reply(200, {}), server.server_tls(
                self.authority, self.directory, '127.0.0.2')))
        client = self.client(other.url, ca_certificates=self.authority.pem)
        self.assertRaises(http_pool.TlsFailure, client.get, ROOT)
        self.assertEqual([], other.requests)

    def test_unverified_only_when_told(self):
        self.assertEqual({'a': 1}, self.client(
            verify_tls=False).get(ROOT).body)

    def test_nothing_older_than_tls_1_2(self):
        """OpenSSL 3 alone would not speak it either, but may be told to."""
        for changes in ({}, {'verify_tls': False},
                        {'ca_certificates': self.authority.pem}):
            context = http_pool.tls_context(server.endpoint(
                self.server.url, **changes))
            self.assertEqual(ssl.TLSVersion.TLSv1_2, context.minimum_version)

    def test_a_context_is_shared_by_those_that_trust_the_same(self):
        def context(**changes):
            return http_pool.tls_context(server.endpoint(
                self.server.url, **changes))

        mine = context(ca_certificates=self.authority.pem)
        self.assertIs(mine, context(ca_certificates=self.authority.pem))
        others = [context(ca_certificates=server.Authority().pem),
                  context(), context(verify_tls=False),
                  context(ca_certificates=self.authority.pem,
                          verify_tls=False)]
        self.assertEqual(5, len({*map(id, (mine, *others))}))
        self.assertEqual(ssl.CERT_REQUIRED, mine.verify_mode)
        self.assertTrue(mine.check_hostname)
        del mine, others
        gc.collect()
        self.assertNotIn((self.authority.pem, True), http_pool._contexts)

    def test_who_verifies_is_not_moved_by_who_does_not(self):
        """They have the authority in common, but not the context."""
        pem = self.authority.pem
        careful = self.client(ca_certificates=server.Authority().pem)
        for one in ({'ca_certificates': pem, 'verify_tls': False},
                    {'verify_tls': False}, {'ca_certificates': pem}):
            self.client(**one).get(ROOT)
        self.server.requests.clear()
        self.assertNoTls(careful)
        self.assertNoTls(self.client())

    def test_keys_are_not_logged_for_the_environment(self):
        path = f'{self.directory}/keys'
        with mock.patch.dict(os.environ, {'SSLKEYLOGFILE': path}):
            self.client(ca_certificates=self.authority.pem).get(ROOT)
        self.assertFalse(os.path.exists(path))

    def test_certificates_that_are_none(self):
        for text in ('garbage', '-----BEGIN CERTIFICATE-----\nAA==\n'
                     '-----END CERTIFICATE-----\n'):
            self.assertRaises(base.Misconfigured, self.client,
                              ca_certificates=text)

    def test_a_dripping_answer_meets_the_deadline(self):
        self.server.handler = lambda _: lambda sock: (
            sock.sendall(b'HTTP/1.1 200 OK\r\n\r\n'),
            self.server.endless(sock, b' ', 0.05))
        client = self.client(ca_certificates=self.authority.pem,
                             limits={'call_timeout': 0.6})
        started = time.monotonic()
        self.assertRaises(base.Unreachable, client.get, ROOT)
        self.assertLess(time.monotonic() - started, 15.0)

    def test_plain_http_where_tls_is_spoken(self):
        client = self.client(self.server.url.replace('https', 'http'))
        self.assertRaises(base.Unreachable, client.get, ROOT)

    def test_tls_where_plain_http_is_spoken(self):
        plain = self.useFixture(server.Server(lambda _: reply(200, {})))
        client = self.client(plain.url.replace('http', 'https'),
                             limits={'connect_timeout': 1.0})
        self.assertRaises(base.Unreachable, client.get, ROOT)


class Idle(testtools.TestCase):
    """Connections are kept no longer than they are of use."""

    def setUp(self):
        super().setUp()
        self.arrived = threading.Barrier(4)
        self.server = self.useFixture(server.Server(self.answer))
        self.client = http.Client(server.endpoint(self.server.url), ROOT)
        self.addCleanup(self.client.close)

    def answer(self, request):
        self.arrived.wait(60)
        return reply(200, {'a': 1})

    def get_four_at_once(self):
        threads = [threading.Thread(target=self.client.get, args=(ROOT,))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def idle(self):
        """How many connections the server still has."""
        end = time.monotonic() + 60
        open_ = self.client._pool._idle
        while len(self.server._open) > len(open_) and (
                time.monotonic() < end):
            time.sleep(0.01)
        return len(self.server._open)

    def test_rest_closes_all_but_some(self):
        self.get_four_at_once()
        self.assertEqual(4, self.idle())
        self.client.rest(keep=1)
        self.assertEqual(1, self.idle())
        self.client.rest()
        self.assertEqual(0, self.idle())
        self.get_four_at_once()
        self.assertEqual(8, self.server.connections)

    def test_the_old_ones_go_when_one_comes_back(self):
        self.get_four_at_once()
        self.server.handler = lambda _: reply(200, {'a': 1})
        with mock.patch.object(http_pool, 'MAX_IDLE', 0.0):
            self.client.get(ROOT)
        self.assertEqual(1, self.idle())


class RetryAfter(testtools.TestCase):

    def test_seconds_dates_and_nonsense(self):
        later = email.utils.formatdate(time.time() + 30, usegmt=True)
        for text, least, most in (
                ('0', 0, 0), (' 5 ', 5, 5), ('999999', 60, 60),
                (later, 1, 30), ('Thu, 01 Jan 1970 00:00:00 GMT', 0, 0),
                ('Fri, 01 Jan 2999 00:00:00 GMT', 60, 60)):
            self.assertTrue(least <= http.retry_after(text) <= most, text)
        for text in (None, '', 'soon', '-5', '1e9', 'Fri, 99 Jan', '\u0665'):
            self.assertIsNone(http.retry_after(text))


class FaultPoint(testtools.TestCase):
    """K6: a change was sent, its answer is not read."""

    def setUp(self):
        super().setUp()
        self.server = self.useFixture(server.Server(
            lambda _: reply(200, {'a': 1})))
        self.client = http.Client(server.endpoint(self.server.url), ROOT)
        self.addCleanup(self.client.close)
        self.addCleanup(faultpoints.arm, None)
        faultpoints.arm('K6:1:raise')

    def test_a_change_that_was_sent(self):
        sent = threading.Event()
        self.server.handler = lambda request: sent.set() or reply(204)
        self.assertRaises(faultpoints.Injected, self.client.send, 'POST',
                          ROOT, {'a': 1})
        self.assertTrue(sent.wait(60))
        self.assertEqual([{'a': 1}],
                         [one.json for one in self.server.requests])

    def test_nothing_else(self):
        self.client.get(ROOT)
        self.client.send('POST', ROOT, {}, harmless=True)
        faultpoints.arm(None)
        self.client.send('POST', ROOT, {})
