# SPDX-License-Identifier: Apache-2.0
"""Is this link ours to follow?

Whatever a backend names (``@odata.id``, ``Location``, an action's
``target``, ``Members@odata.nextLink``) goes through :meth:`Origin.path`
before it is requested or remembered. DSP0266 (section "Universal Resource
Identifiers") lets a service answer absolute URLs; only those of the same
origin under the service root are taken, everything else could carry the
credentials to somebody else.
"""

import re
import urllib.parse
from dataclasses import dataclass
from typing import Any

from valence.drivers import base

#: What the inventory has room for.
MAX_LINK = 512

_DEFAULT_PORTS = {'http': 80, 'https': 443}
# RFC 3986: unreserved, sub-delims, ":", "@" and percent-encoded octets.
_PATH = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")
_QUERY = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*")
# A path without anything that would have to be looked at more closely.
_PLAIN = re.compile(r"(?:/[A-Za-z0-9_\-~!$&'()*+,;=:@]"
                    r"[A-Za-z0-9._\-~!$&'()*+,;=:@]*)+/?")
# Encoded dots, slashes, backslashes, percents and controls: what a server
# may decode once more than we do.
_DISGUISED = re.compile(r'%(?:2[eEfF5]|5[cC]|[01][0-9A-Fa-f]|7[fF])')
_HOST = re.compile(r'[A-Za-z0-9._\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]')


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a backend, and the path it is rooted at."""

    scheme: str
    host: str
    port: int
    root: str

    @classmethod
    def parse(cls, url: str, allow_http: bool,
              default_root: str = '') -> 'Origin':
        """The origin in an operator's ``url``.

        :param default_root: the service root where ``url`` has no path.
        :raises Misconfigured: with the reason; never quoting ``url``, which
            may carry a password.
        """
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError:
            raise base.Misconfigured(
                'the URL of the pod manager is not valid; correct it'
            ) from None
        scheme = parts.scheme.lower()
        if scheme not in _DEFAULT_PORTS:
            raise base.Misconfigured(
                'the URL of the pod manager must begin with https://')
        if scheme == 'http' and not allow_http:
            raise base.Misconfigured(
                'the URL of the pod manager must begin with https://; plain '
                'http is not allowed by the configuration')
        if '@' in parts.netloc:
            raise base.Misconfigured(
                'the URL of the pod manager must not contain credentials; '
                'give them as username and password')
        host = parts.hostname or ''
        shown = f'[{host}]' if ':' in host else host
        if _HOST.fullmatch(shown) is None:
            raise base.Misconfigured(
                'the URL of the pod manager has no valid host')
        if parts.query or parts.fragment or re.search(r'[\s\\]', url):
            raise base.Misconfigured(
                'the URL of the pod manager must end with its path')
        root = parts.path.rstrip('/') or default_root
        if _flaw(root):
            raise base.Misconfigured(
                'the path in the URL of the pod manager is not valid; '
                'correct it')
        return cls(scheme, host, port or _DEFAULT_PORTS[scheme], root)

    def path(self, link: Any, query: bool = False) -> str:
        """``link`` as a path under the service root, safe to request.

        A fragment that is a JSON pointer (``#/Drives/0``, a member inside
        its parent, DSP0266 "Resource identifier property") is dropped: what
        remains names the parent.

        :param query: whether a query may follow (next links, monitors).
        :raises BadAnswer: if the link must not be followed.
        """
        if isinstance(link, str) and len(link) <= MAX_LINK and (
                _PLAIN.fullmatch(link)) and link.startswith(self.root + '/'):
            return link                 # as nearly all are
        if not isinstance(link, str) or not link:
            raise base.BadAnswer('the backend gave a link that is no text')
        if len(link) > MAX_LINK:
            raise base.BadAnswer('the backend gave a link longer than '
                                 f'{MAX_LINK} characters')
        rest, hash_sign, fragment = link.partition('#')
        if hash_sign and not fragment.startswith('/'):
            raise self._refusal(link, 'has a fragment')
        if not rest.startswith('/'):
            rest = self._same_origin(rest, link)
        elif rest.startswith('//'):
            raise self._refusal(link, 'names another host')
        path, question_mark, text = rest.partition('?')
        if question_mark and not query:
            raise self._refusal(link, 'has a query')
        flaw = _flaw(path)
        if flaw is None and _QUERY.fullmatch(text) is None:
            flaw = 'has characters that a URL must not have'
        if flaw:
            raise self._refusal(link, flaw)
        if path != self.root and not path.startswith(self.root + '/'):
            raise self._refusal(link, 'leaves the service root')
        return path + question_mark + text

    def _same_origin(self, url: str, link: str) -> str:
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError:
            raise self._refusal(link, 'is not valid') from None
        scheme = parts.scheme.lower()
        if '@' in parts.netloc or '\\' in url:
            raise self._refusal(link, 'is not valid')
        same = (scheme == self.scheme
                and (parts.hostname or '').lower() == self.host.lower()
                and (port or _DEFAULT_PORTS.get(scheme)) == self.port)
        if not same:
            raise self._refusal(link, 'names another host')
        found = re.fullmatch(r'[A-Za-z]+://[^/?]+(/.*)', url)
        if found is None:
            raise self._refusal(link, 'is not valid')
        return found.group(1)

    @staticmethod
    def _refusal(link: str, why: str) -> base.BadAnswer:
        return base.BadAnswer('the backend gave a link that is not followed: '
                              f'{printable(link, 80)!r} {why}')


def printable(text: str, length: int) -> str:
    """``text`` on one line of at most ``length`` plain characters."""
    if (len(text) <= length and text.isprintable() and '  ' not in text
            and text.strip(' ') == text):
        return text                     # as nearly all are
    clean = ''.join(char if char.isprintable() else ' '
                    for char in text[:length * 2])
    clean = ' '.join(clean.split())
    return clean if len(clean) <= length else clean[:length - 3] + '...'


def _flaw(path: str) -> str | None:
    if _PATH.fullmatch(path) is None:
        return 'has characters that a URL must not have'
    if _DISGUISED.search(path):
        return 'has disguised characters'
    segments = path.split('/')[1:]
    if any(segment in ('.', '..') for segment in segments):
        return 'has dots that lead elsewhere'
    if '' in segments[:-1]:
        return 'has an empty segment'
    return None
