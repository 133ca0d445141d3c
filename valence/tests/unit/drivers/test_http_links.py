# SPDX-License-Identifier: Apache-2.0
"""Which links are followed?"""

import re
import urllib.parse

import testtools
from hypothesis import given
from hypothesis import strategies as st

from valence.drivers import base
from valence.drivers.http_links import Origin, printable

ROOT = '/redfish/v1'
ORIGIN = Origin.parse('https://Pod.example:8443', False, ROOT)


class Paths(testtools.TestCase):

    def test_taken(self):
        for link, path in (
                (ROOT, ROOT), (ROOT + '/', ROOT + '/'),
                (ROOT + '/Systems/1', ROOT + '/Systems/1'),
                (ROOT + '/E/00:5c:52:31', ROOT + '/E/00:5c:52:31'),
                (ROOT + "/S('1')", ROOT + "/S('1')"),
                (ROOT + '/S/a%20b', ROOT + '/S/a%20b'),
                (ROOT + '/C/1#/Drives/0', ROOT + '/C/1'),
                ('https://pod.example:8443' + ROOT + '/S', ROOT + '/S'),
                ('HTTPS://POD.EXAMPLE:8443' + ROOT + '/S', ROOT + '/S')):
            self.assertEqual(path, ORIGIN.path(link))

    def test_the_default_port_may_be_left_out(self):
        origin = Origin.parse('https://pod', False, ROOT)
        for link in ('https://pod:443/redfish/v1/S', 'https://pod/redfish/v1'
                     '/S'):
            self.assertEqual(ROOT + '/S', origin.path(link))

    def test_refused(self):
        for link in (
                None, 5, {}, [], '', 'Systems', './S', 'redfish/v1/S', '/',
                '/redfish', '/redfish/v10', '/other', '//evil/redfish/v1',
                '///redfish/v1', '/redfish//v1/S', ROOT + '//S',
                ROOT + '/../x', ROOT + '/..', ROOT + '/S/./x',
                ROOT + '/%2e%2e/x', ROOT + '/%2E./x', ROOT + '/a%2fb',
                ROOT + '/a%5Cb', ROOT + '/a\\b', ROOT + '/%252e%252e/x',
                ROOT + '/a%00', ROOT + '/a%0d%0aX: y', ROOT + '/a\r\nX: y',
                ROOT + '/a b', ROOT + '/a\tb', ROOT + '/\u00e9', ROOT + '/%',
                ROOT + '/a"b', ROOT + '/S?x=1', ROOT + '/S#frag',
                ROOT + '/' + 'x' * 2000,
                'http://pod.example:8443' + ROOT + '/S',
                'https://pod.example' + ROOT + '/S',
                'https://pod.example:8444' + ROOT + '/S',
                'https://evil:8443' + ROOT + '/S',
                'https://u:p@pod.example:8443' + ROOT + '/S',
                'https://pod.example:8443@evil' + ROOT + '/S',
                'https://evil\\@pod.example:8443' + ROOT + '/S',
                'https://pod.example:8443/x', 'https://pod.example:8443',
                'https://pod.example:x' + ROOT, 'https://[' + ROOT,
                'file:///etc/passwd', 'javascript:alert(1)'):
            self.assertRaises(base.BadAnswer, ORIGIN.path, link)

    def test_a_query_only_where_one_may_be(self):
        link = ROOT + '/Systems?$skip=50&$expand=.($levels=1)'
        self.assertEqual(link, ORIGIN.path(link, query=True))
        self.assertRaises(base.BadAnswer, ORIGIN.path, link)
        self.assertRaises(base.BadAnswer, ORIGIN.path,
                          ROOT + '/S?a=\r\nb', query=True)

    @given(st.text(max_size=60) | st.from_regex(
        r'(https?:)?/{0,3}(pod\.example:8443|evil)?(/redfish/v1)?'
        r'(/|\.|%2[eEfF5]|\\|@|#|\?|a){0,12}', fullmatch=True))
    def test_whatever_is_taken_stays_where_it_should(self, link):
        try:
            path = ORIGIN.path(link, query=True)
        except base.BadAnswer:
            return
        self.assertTrue(path.isascii() and path.isprintable())
        joined = urllib.parse.urljoin('https://pod.example:8443/x', path)
        parts = urllib.parse.urlsplit(joined)
        self.assertEqual('pod.example:8443', parts.netloc)
        for text in (parts.path, urllib.parse.unquote(parts.path)):
            self.assertTrue(re.match(ROOT + '(/|$)', text))
            self.assertNotIn('..', text.split('/'))
            self.assertNotIn('\\', text)
        self.assertEqual(path, ORIGIN.path(path, query=True))


class Urls(testtools.TestCase):

    def test_taken(self):
        for url, scheme, host, port, root in (
                ('https://pod', 'https', 'pod', 443, ROOT),
                ('https://pod/', 'https', 'pod', 443, ROOT),
                ('https://pod:8443/a/b/', 'https', 'pod', 8443, '/a/b'),
                ('https://[::1]:1/redfish/v1/', 'https', '::1', 1, ROOT)):
            self.assertEqual(Origin(scheme, host, port, root),
                             Origin.parse(url, False, ROOT))

    def test_http_only_where_allowed(self):
        self.assertRaises(base.Misconfigured, Origin.parse, 'http://pod',
                          False)
        self.assertEqual(80, Origin.parse('http://pod', True).port)

    def test_refused_without_quoting_what_may_be_secret(self):
        for url in ('', 'pod', 'ftp://pod', 'https://', 'https:///x',
                    'https://u:sesame@pod', 'https://pod/?x=sesame',
                    'https://pod/#sesame', 'https://pod:99999/',
                    'https://pod/../x', 'https://po d/', 'https://pod\r\n/',
                    'https://pod\\@evil/', 'https://[sesame]/'):
            error = self.assertRaises(base.Misconfigured, Origin.parse, url,
                                      True, ROOT)
            self.assertNotIn('sesame', str(error))


class Printable(testtools.TestCase):

    @given(st.text(), st.integers(4, 50))
    def test_it_is_one_plain_line(self, text, length):
        line = printable(text, length)
        self.assertTrue(line.isprintable())
        self.assertLessEqual(len(line), length)
