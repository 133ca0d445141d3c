# SPDX-License-Identifier: Apache-2.0
"""How does Valence speak HTTP to a backend that it does not trust?

:class:`Client` is the only thing in Valence that opens HTTP. For one pod
manager it holds one pool and one TLS context. What it promises:

* No byte goes to another host: no redirects, no proxies from the
  environment, links only within the origin (:mod:`.http_links`), addresses
  only by policy (:mod:`.http_address`).
* No call outlasts its deadline (:mod:`.http_pool`) nor ``max_body``,
  ``max_depth`` and a bound on memory (:mod:`.http_body`).
* A GET is tried up to three times. Anything else is sent at most once, over
  a connection made for it: what fails before it was sent is ``Unreachable``,
  what fails after is ``Ambiguous``. The one repetition is after a 401, with
  which the backend says that it did nothing (RFC 9110, 15.5.2).
* Neither credentials nor tokens are in an exception or a log line, even
  where the backend's own words repeat them.
"""

import email.utils
import http.client
import random
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import orjson
import urllib3
from oslo_log import log as logging
from urllib3.connection import HTTPConnection

from valence.common import deadline, faultpoints, secret
from valence.drivers import base, http_body
from valence.drivers.http_links import Origin
from valence.drivers.http_pool import Pool

LOG = logging.getLogger(__name__)

ATTEMPTS = 3
#: Seconds that a GET waits of itself when it is told Retry-After.
PATIENCE = 3.0
MAX_RETRY_AFTER = 60.0

# Statuses of what may be better the next moment.
_PASSING = (429, 502, 503, 504)
_MAX_ERROR_BODY = 256 * 1024
_HEADER = re.compile(r'[\x20-\x7e]{0,8192}')


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``body`` is empty where there was none to use.

    ``size`` is that of the body in bytes. The headers may hold a token, so
    they are not printed.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    words: str = ''
    message_ids: tuple[str, ...] = ()
    size: int = 0

    @property
    def retry_after(self) -> float | None:
        return retry_after(self.headers.get('Retry-After'))


class Auth(Protocol):
    """What puts credentials on a request."""

    def headers(self) -> Mapping[str, str]:
        """The headers for the next request; may log in."""

    def renew(self, used: Mapping[str, str]) -> bool:
        """``used`` met a 401: is there something better to try now?"""

    def secrets(self) -> Iterable[str]:
        """Texts that must not be shown."""


class NoAuth:
    """For a backend without credentials."""

    def headers(self) -> Mapping[str, str]:
        return {}

    def renew(self, used: Mapping[str, str]) -> bool:
        return False

    def secrets(self) -> Iterable[str]:
        return ()


class Client:
    """Requests to one backend. Safe for use by many threads."""

    def __init__(self, endpoint: base.Endpoint, default_root: str = '',
                 headers: Mapping[str, str] | None = None) -> None:
        """No I/O happens here.

        :param default_root: the service root where the URL has no path.
        :param headers: sent with every request.
        :raises Unsupported: if the endpoint cannot be spoken to at all.
        """
        self.origin = Origin.parse(
            endpoint.url, endpoint.limits.allow_http, default_root)
        self.limits = endpoint.limits
        self.auth: Auth = NoAuth()
        self._pool = Pool(self.origin, endpoint)
        self._bulk = threading.Lock()
        self._headers = {
            'Accept': 'application/json', 'Accept-Encoding': 'identity',
            'User-Agent': 'valence', **(headers or {})}

    def close(self) -> None:
        """Close the idle connections, and the others as they come back."""
        self._pool.close()

    def rest(self, keep: int = 0) -> None:
        """Close the idle connections but ``keep``; nothing is lost by it."""
        self._pool.rest(keep)

    def get(self, path: str, *, accept: Collection[int] = (),
            authenticate: bool = True, lenient: bool = False) -> Answer:
        """Read ``path``, again if that may help.

        :param accept: statuses to return rather than raise.
        :param lenient: take a body that is no JSON object as none.
        """
        with deadline.limit(self.limits.call_timeout):
            try:
                answer = self._authentic(
                    lambda headers: self._patient(path, headers, lenient,
                                                  accept), authenticate)
                return self._judged(answer, 'GET', path, accept, False)
            except base.DriverError as error:
                raise _light(error) from error.__cause__

    def send(self, method: str, path: str,
             body: Mapping[str, Any] | None = None, *,
             headers: Mapping[str, str] | None = None,
             accept: Collection[int] = (), authenticate: bool = True,
             harmless: bool = False) -> Answer:
        """Change something, at most once.

        :param harmless: if it takes effect unseen, nothing is lost (a
            login): failures are ``Unreachable``, never ``Ambiguous``.
        :raises Unreachable: nothing was sent.
        :raises Busy: the backend said that it did nothing for now.
        :raises Ambiguous: it was sent, and nobody knows.
        """
        with deadline.limit(self.limits.call_timeout):
            try:
                answer = self._authentic(
                    lambda credentials: self._exchange(
                        method, path, body,
                        {**(headers or {}), **credentials}, True, harmless),
                    authenticate)
                return self._judged(answer, method, path, accept,
                                    not harmless)
            except base.DriverError as error:
                raise _light(error) from error.__cause__

    def location(self, answer: Answer) -> str | None:
        """The path in ``Location``, None where there is none.

        :raises BadAnswer: if it leads elsewhere.
        """
        text = answer.headers.get('Location')
        return self.origin.path(text, query=True) if text else None

    def hide(self, text: str) -> str:
        """``text`` without any credential that it repeats."""
        return secret.hide(text, list(self.auth.secrets()))

    def _authentic(self, exchange: Callable[[Mapping[str, str]], Answer],
                   authenticate: bool) -> Answer:
        auth = self.auth if authenticate else NoAuth()
        used = auth.headers()
        answer = exchange(used)
        if answer.status == 401 and auth.renew(used):
            answer = exchange(auth.headers())
        return answer

    def _patient(self, path: str, headers: Mapping[str, str], lenient: bool,
                 accept: Collection[int]) -> Answer:
        """GET, again where that may help."""
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = self._exchange('GET', path, None, headers, lenient,
                                        True)
            except base.Unreachable as error:
                if (attempt == ATTEMPTS or not error.retryable
                        or not _pause(attempt)):
                    raise
                continue
            if (answer.status not in _PASSING or answer.status in accept
                    or attempt == ATTEMPTS
                    or not _pause(attempt, answer.retry_after)):
                return answer

    def _exchange(self, method: str, path: str,
                  body: Mapping[str, Any] | None,
                  headers: Mapping[str, str], lenient: bool,
                  harmless: bool) -> Answer:
        target = self.origin.path(path, query=True)
        data = None if body is None else orjson.dumps(body)
        lines = {**self._headers, **headers}
        if data is not None:
            lines['Content-Type'] = 'application/json'
        if any(_HEADER.fullmatch(line) is None for line in lines.values()):
            raise base.BadAnswer('a header for the backend would have '
                                 'characters that it must not have')
        started = time.monotonic()
        status: int | str = 'failed'
        try:
            with self._pool.connection(fresh=method != 'GET') as connection:
                if deadline.remaining(1.0) <= 0:
                    raise base.Unreachable('no time is left for the request')
                try:
                    connection.request(
                        method, target, body=data, headers=lines,
                        preload_content=False, decode_content=False)
                    if not harmless:
                        faultpoints.reach('K6')
                    response = connection.getresponse()
                    status = response.status
                    return self._answer(connection, response, method,
                                        lenient)
                except (OSError, urllib3.exceptions.HTTPError,
                        http.client.HTTPException, ValueError) as error:
                    self._broken(error, method, target, harmless)
        finally:
            LOG.debug('%s %s: %s in %d ms', method,
                      target.partition('?')[0], status,
                      (time.monotonic() - started) * 1000)

    def _answer(self, connection: HTTPConnection,
                response: urllib3.HTTPResponse, method: str,
                lenient: bool) -> Answer:
        status = response.status
        good = 200 <= status < 300
        limit = self.limits.max_body if good else min(
            self.limits.max_body, _MAX_ERROR_BODY)
        raw = bytearray()
        with http_body.Turn(self._bulk) as turn:
            try:
                raw = http_body.read(response, limit, turn)
                if not good:
                    text, ids = http_body.words(raw, self.limits.max_depth,
                                                self.hide)
                    return Answer(status, response.headers, {}, text, ids)
                if not raw and (lenient or status == 204):
                    return Answer(status, response.headers)
                size = len(raw)
                body = http_body.parse(raw, self.limits.max_depth)
                return Answer(status, response.headers, body, size=size)
            except base.BadAnswer:
                if not raw:
                    connection.close()  # what is left of it is not read
                if good and not lenient:
                    raise
                return Answer(status, response.headers)

    def _broken(self, error: Exception, method: str, path: str,
                harmless: bool) -> NoReturn:
        late = isinstance(error, TimeoutError | urllib3.exceptions.
                          TimeoutError) or deadline.remaining(1.0) <= 0
        what = 'did not answer in time' if late else (
            'broke the connection or the HTTP protocol')
        if method == 'GET' or harmless:
            raise base.Unreachable(
                f'{self.origin.host} {what} on {method} {path}; see that it '
                'is well and reachable') from error
        raise base.Ambiguous(
            f'{self.origin.host} {what} after {method} {path} was sent; it '
            'may or may not have been done') from error

    def _judged(self, answer: Answer, method: str, path: str,
                accept: Collection[int], mutation: bool) -> Answer:
        status, wait = answer.status, answer.retry_after
        if 200 <= status < 300 or status in accept:
            return answer
        said = f': {answer.words}' if answer.words else ''
        what = f'{self.origin.host} answered {status} to {method} {path}'
        if status == 401:
            raise base.Unauthorized(
                f'{self.origin.host} does not accept the credentials of the '
                f'pod manager; correct them{said}')
        if status == 429 or (status == 503 and wait is not None):
            raise base.Busy(f'{what}, it is busy{said}',
                            5.0 if wait is None else wait)
        if status in (404, 410):
            raise base.NotFound(f'{what}{said}', status)
        if 400 <= status < 500 or status == 501:
            raise base.Refused(f'{what}{said}', status, answer.message_ids)
        if mutation and (status >= 500 or status == 303):
            raise base.Ambiguous(
                f'{what}; it may or may not have been done{said}')
        if status >= 500:
            raise base.Unreachable(f'{what}{said}')
        raise base.BadAnswer(f'{what}, a redirect or what is no answer; '
                             'correct the URL of the pod manager')


def _light(error: base.DriverError) -> base.DriverError:
    """The error without the frames that hold what was read.

    A scan keeps an error of each flaw, and a frame up to Limits.max_body.
    """
    one: BaseException | None = error
    while one is not None:
        one.__traceback__ = None
        one = one.__cause__ or one.__context__
    return error


def retry_after(text: str | None) -> float | None:
    """Seconds in a Retry-After (RFC 9110, 10.2.3), within [0, 60]."""
    if not text:
        return None
    text = text.strip()
    if re.fullmatch(r'[0-9]{1,9}', text):
        seconds = float(text)
    else:
        try:
            when = email.utils.parsedate_to_datetime(text)
            seconds = when.timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _pause(attempt: int, advice: float | None = None) -> bool:
    """Wait before the next attempt; False where that is no use."""
    seconds = 0.1 * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
    if advice is not None:
        if advice > PATIENCE:
            return False
        seconds = max(seconds, advice)
    if seconds + 0.05 > deadline.remaining(MAX_RETRY_AFTER):
        return False
    time.sleep(seconds)
    return True
