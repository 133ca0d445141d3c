# SPDX-License-Identifier: Apache-2.0
"""How does a client prove who it is? (DSP0266, "Authentication")

By a session where the service has them: the password is sent once, then the
token. By HTTP Basic where it has not. The session is kept in the driver's
instance, made by the first request that needs it, once for all threads.
"""

import base64
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from valence.common import deadline
from valence.drivers import base
from valence.drivers.http import Client
from valence.drivers.redfish import values

#: After a refused login the others are refused too for so long (seconds):
#: 32 threads trying the same wrong password would lock the account.
_REFUSAL_HOLDS = 2.0
_NO_SERVICE = (404, 405, 410, 501)
_WRONG = (400, 401, 403)


class SessionAuth:
    """Session, or Basic where ``mode`` or the service wants that."""

    def __init__(self, client: Client, endpoint: base.Endpoint,
                 mode: str = 'auto') -> None:
        """:param mode: 'auto', 'session' or 'basic'."""
        self._client = client
        self._username = endpoint.username
        self._password = endpoint.password
        self._mode = mode
        self._lock = threading.Lock()
        self._headers: Mapping[str, str] | None = None
        self._session: str | None = None
        self._refused: tuple[float, str] | None = None

    def headers(self) -> Mapping[str, str]:
        if self._username is None or self._password is None:
            return {}
        headers = self._headers
        if headers is not None:
            return headers
        with self._exclusive():
            if self._headers is None:
                self._headers = self._log_in()
            return self._headers

    def renew(self, used: Mapping[str, str]) -> bool:
        if 'X-Auth-Token' not in used:
            return False
        with self._exclusive():
            if self._headers == used:
                self._headers = self._session = None
                self._headers = self._log_in()
            return True

    def secrets(self) -> Iterable[str]:
        if self._password is not None:
            yield self._password.reveal()
            yield self._basic()['Authorization'].partition(' ')[2]
        yield from (self._headers or {}).values()

    def close(self) -> None:
        """Log out, if there is time and the service wants to know."""
        with self._lock:
            headers, session = self._headers, self._session
            self._headers = self._session = None
        if headers is None or session is None:
            return
        try:
            with deadline.limit(3.0):
                self._client.send('DELETE', session, headers=headers,
                                  authenticate=False, harmless=True)
        except base.DriverError:
            pass                # it ends by the service's own timeout

    def _exclusive(self) -> '_Turn':
        return _Turn(self._lock)

    def _log_in(self) -> Mapping[str, str]:
        if self._refused and time.monotonic() < self._refused[0]:
            raise base.Unauthorized(self._refused[1])
        try:
            sessions = None if self._mode == 'basic' else self._sessions()
            made = self._create(sessions) if sessions else None
        except base.Unauthorized as error:
            self._refused = (time.monotonic() + _REFUSAL_HOLDS, str(error))
            raise
        if made is None and self._mode == 'session':
            raise base.Misconfigured(
                'the pod manager has no session service; allow '
                '"authentication": "basic"')
        return made or self._basic()

    def _sessions(self) -> str | None:
        """The path of the collection of sessions, None without one.

        The root is readable without credentials (DSP0266, "Service root
        request"). A service that does not know that is given Basic.
        """
        root = self._client.origin.root
        answer = self._client.get(root + '/', authenticate=False,
                                  accept=(401, 403))
        if answer.status != 200:
            return None
        body: dict[str, Any] = dict(answer.body)
        link = values.reference(values.obj(
            body.get('Links')).get('Sessions'))
        if link is not None:
            return self._client.origin.path(link)
        if values.obj(body.get('SessionService')):
            return root + '/SessionService/Sessions'
        return None

    def _create(self, sessions: str) -> Mapping[str, str] | None:
        answer = self._client.send(
            'POST', sessions, {'UserName': self._username,
                               'Password': self._secret()},
            authenticate=False, harmless=True,
            accept=(*_NO_SERVICE, *_WRONG))
        if answer.status in _WRONG:
            raise base.Unauthorized(
                f'{self._client.origin.host} does not accept the credentials '
                'of the pod manager; correct them')
        token = answer.headers.get('X-Auth-Token')
        if answer.status in _NO_SERVICE or not token:
            return None
        if len(token) > 4096 or not token.isascii() or not (
                token.isprintable()):
            raise base.BadAnswer('the backend gave a session token that '
                                 'cannot be sent back')
        try:
            self._session = self._client.location(answer) or (
                self._client.origin.path(answer.body['@odata.id'])
                if '@odata.id' in answer.body else None)
        except base.BadAnswer:
            self._session = None        # then it is not logged out of
        return {'X-Auth-Token': token}

    def _secret(self) -> str:
        return '' if self._password is None else self._password.reveal()

    def _basic(self) -> Mapping[str, str]:
        pair = f'{self._username}:{self._secret()}'
        code = base64.b64encode(pair.encode()).decode('ascii')
        return {'Authorization': f'Basic {code}'}


class _Turn:
    """A lock that is waited for no longer than the deadline."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=max(deadline.remaining(60.0), 0)):
            raise base.Unreachable('the login to the pod manager takes too '
                                   'long; try again later')

    def __exit__(self, *_: object) -> None:
        self._lock.release()
