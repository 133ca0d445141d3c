# SPDX-License-Identifier: Apache-2.0
import datetime
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from valence.api import endpoints
from valence.common import errors
from valence.drivers.expether import service as expether
from valence.drivers.redfish import service as redfish


def certificate():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(
        x509.NameOID.COMMON_NAME, 'pod')])
    now = datetime.datetime.now(datetime.UTC)
    return x509.CertificateBuilder(
        name, name, key.public_key(), 1, now,
        now + datetime.timedelta(1)).sign(key, hashes.SHA256()).public_bytes(
            serialization.Encoding.PEM).decode()


class UrlTest(unittest.TestCase):

    def test_one_form(self):
        for text, form in (
                ('https://pod', 'https://pod'),
                ('https://POD.example/', 'https://pod.example'),
                ('HTTPS://pod:443', 'https://pod'),
                ('https://pod:8443//', 'https://pod:8443'),
                ('https://pod/redfish/v1/', 'https://pod/redfish/v1'),
                ('https://192.0.2.1/', 'https://192.0.2.1'),
                ('https://[2001:DB8:0::1]:1/', 'https://[2001:db8::1]:1'),
                ('https://a_b.example.', 'https://a_b.example')):
            self.assertEqual(form, endpoints.normalise_url(text, False))
            self.assertEqual(form, endpoints.normalise_url(form, False))
        self.assertEqual('http://pod',
                         endpoints.normalise_url('http://pod:80', True))

    def test_the_root_that_the_driver_chooses(self):
        for driver in ('redfish', 'rsd'):
            for text in ('https://pod', 'https://POD.:443/redfish/v1/',
                         'https://pod/redfish/v1'):
                self.assertEqual('https://pod', endpoints.normalise_url(
                    text, False, driver))
            self.assertEqual(
                'https://pod/a/redfish/v1', endpoints.normalise_url(
                    'https://pod/a/redfish/v1', False, driver))
        for text in ('https://pod', 'https://pod./eem/'):
            self.assertEqual('https://pod/eem', endpoints.normalise_url(
                text, False, 'expether'))
        self.assertEqual('https://pod/redfish/v1', endpoints.normalise_url(
            'https://pod/redfish/v1', False, 'other'))

    def test_the_roots_are_those_of_the_drivers(self):
        self.assertEqual(endpoints.DEFAULT_ROOTS, {
            'redfish': redfish.DEFAULT_ROOT, 'rsd': redfish.DEFAULT_ROOT,
            'expether': expether.DEFAULT_ROOT})

    def test_refused(self):
        for text in (
                '', 'pod', '//pod', 'http://pod', 'ftp://pod', 'file:///x',
                'https://', 'https:///x', 'https://:443', 'https://u@pod',
                'https://u:p@pod', 'https://@pod', 'https://pod?x',
                'https://pod/?', 'https://pod#x', 'https://pod:0',
                'https://pod:65536', 'https://pod:x', 'https://pod:',
                'https://pod:-1', 'https://pod/a/../b', 'https://pod/./a',
                'https://pod/%2e%2e/a', 'https://pod/a//b', 'https://pod\\a',
                'https://pod/a\\b', 'https://po d', 'https://pod/a b',
                'https://pod\r\nX: y', 'https://pod\0', 'https://pöd',
                'https://-pod', 'https://pod-', 'https://a..b', 'https://a..', 'https://.',
                'https://127.0.0.1.',
                'https://' + 'x' * 64, 'https://' + 'a.' * 150,
                'https://127.1', 'https://0x7f.1', 'https://0x7f000001',
                'https://2130706433', 'https://1.2.3.4.5', 'https://[::1',
                'https://[fe80::1%25eth0]', 'https://[x]', 'https://[::1]x',
                'javascript:alert(1)', 'https:pod', ' https://pod',
                'https://pod ', 'https://pod\n', 'https://pod/\u202e'):
            with self.subTest(text), self.assertRaises(errors.BadRequest):
                endpoints.normalise_url(text, False)

    def test_origin(self):
        for url in ('https://pod:1', 'https://pod:1/a/b'):
            self.assertEqual('https://pod:1', endpoints.origin(url))


class CertificatesTest(unittest.TestCase):

    def test_pem(self):
        endpoints.check_ca_certificates(certificate() + certificate())
        for text in ('', 'x', certificate()[:100],
                     certificate().replace('CERTIFICATE', 'PRIVATE KEY')):
            with self.assertRaises(errors.BadRequest):
                endpoints.check_ca_certificates(text)
