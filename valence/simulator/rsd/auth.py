# SPDX-License-Identifier: Apache-2.0
"""Who is asking a PODM: HTTP Basic, and sessions that end when idle."""

import base64
import binascii
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from valence.simulator.ledger import Ledger
from valence.simulator.redfish.messages import RedfishError
from valence.simulator.rsd import render
from valence.simulator.rsd.model import (
    SESSION_SERVICE,
    SESSIONS,
    Collection,
    Document,
    Pod,
    Resource,
)

TIMEOUT = 1800  # seconds a session may be idle


@dataclass(slots=True, eq=False)
class Session(Resource):
    id: str
    user: str
    token: str
    used: float


@render.document.register
def _session(session: Session) -> dict[str, Any]:
    return {
        "@odata.id": session.uri,
        "@odata.type": "#Session.v1_0_2.Session",
        "Id": session.id,
        "Name": f"Session {session.id}",
        "UserName": session.user,
    }


class Authenticator:
    """Checks credentials; keeps the sessions of one pod."""

    def __init__(self, pod: Pod, ledger: Ledger, username: str,
                 password: str, accepted: str,
                 clock: Callable[[], float] = time.monotonic) -> None:
        """``accepted`` is basic, session, both or none."""
        self._pod = pod
        self._ledger = ledger
        self._username = username.encode()
        self._password = password.encode()
        self._basic = accepted in ("basic", "both")
        self._open = accepted == "none"
        self.has_sessions = accepted != "basic"
        self._clock = clock
        self._tokens: dict[str, Session] = {}
        self._count = 0
        self.sessions = Collection(SESSIONS, "SessionCollection", "Sessions",
                                   {})
        if self.has_sessions:
            pod.add(self.sessions)
            pod.add(Document(SESSION_SERVICE, {
                "@odata.id": SESSION_SERVICE,
                "@odata.type": "#SessionService.v1_1_1.SessionService",
                "Id": "SessionService",
                "Name": "Session Service",
                "Status": render.OK,
                "ServiceEnabled": True,
                "SessionTimeout": TIMEOUT,
                "Sessions": {"@odata.id": SESSIONS},
            }))

    def require(self, headers: Mapping[str, str]) -> None:
        """Raise RedfishError (401) unless ``headers`` identify the user."""
        if self._open:
            return
        token = headers.get("X-Auth-Token")
        if token is not None:
            session = self._tokens.get(token)
            if session and self._clock() - session.used <= TIMEOUT:
                session.used = self._clock()
                return
            if session:
                self.close(session)
        elif self._basic and self._matches(headers.get("Authorization", "")):
            return
        raise self._refusal("NoValidSession")

    def login(self, body: Mapping[str, Any]) -> Session:
        """POST to the sessions; raises RedfishError."""
        given = [body.get(name) for name in ("UserName", "Password")]
        for name, value in zip(("UserName", "Password"), given, strict=True):
            if not isinstance(value, str):
                raise RedfishError(400, "PropertyMissing", name,
                                   related=f"#/{name}")
        if not self._same(*(str(value).encode("utf-8", "surrogatepass")
                            for value in given)):
            raise self._refusal("ResourceAtUriUnauthorized", SESSIONS,
                                "the credentials are wrong.")
        oldest = self._clock() - TIMEOUT
        for one in [s for s in self._tokens.values() if s.used < oldest]:
            self.close(one)
        number = str(self._count + 1)
        session = Session(f"{SESSIONS}/{number}", number, str(given[0]),
                          secrets.token_hex(24), self._clock())
        self._ledger.record("login", session=session.uri, user=session.user)
        self._count += 1
        self._tokens[session.token] = session
        self.sessions.members[session.uri] = session
        self._pod.touch(self.sessions)
        self._pod.add(session)
        return session

    def close(self, session: Session) -> None:
        del self._tokens[session.token]
        del self.sessions.members[session.uri]
        del self._pod.resources[session.uri]
        self._pod.touch(self.sessions)

    def _refusal(self, key: str, *args: str) -> RedfishError:
        scheme = "Basic" if self._basic else "Redfish"
        return RedfishError(401, key, *args, headers={
            "WWW-Authenticate": f'{scheme} realm="RSD"'})

    def _matches(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            user, _, password = base64.b64decode(
                encoded.strip(), validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and self._same(user, password)

    def _same(self, user: bytes, password: bytes) -> bool:
        # Both are compared, so that neither tells on the other.
        good = hmac.compare_digest(user, self._username)
        return hmac.compare_digest(password, self._password) and good
