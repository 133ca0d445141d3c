# SPDX-License-Identifier: Apache-2.0
"""Who is asking: HTTP Basic and Redfish sessions, also of an RSD PODM.

DSP0266 section 13 (authentication, session management).
"""

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
from valence.simulator.redfish.model import SESSION_SERVICE, SESSIONS
from valence.simulator.resources import (
    Collection,
    Document,
    Resource,
    Resources,
)

TIMEOUT = 1800  # seconds a session may be idle, unless told otherwise


@dataclass(slots=True, eq=False)
class Session(Resource):
    id: str
    user: str
    token: str
    used: float


class Authenticator:
    """Checks credentials; keeps the sessions of one service."""

    def __init__(self, pod: Resources, ledger: Ledger, username: str,
                 password: str, accepted: str, timeout: int = TIMEOUT,
                 clock: Callable[[], float] = time.monotonic,
                 verify: Callable[[str, str], bool] | None = None,
                 schema: str = "v1_2_0", realm: str = "Redfish") -> None:
        """``accepted`` is basic, session, both or none; a session may be
        idle for ``timeout`` seconds. ``verify`` knows of more accounts;
        ``schema`` is the version of the SessionService.
        """
        self._pod = pod
        self._ledger = ledger
        self._username = username
        self._password = password
        self._verify = verify or self._is_the_one
        self._basic = accepted in ("basic", "both")
        self._open = accepted == "none"
        self._realm = realm
        self._timeout = timeout
        self._clock = clock
        self._tokens: dict[str, Session] = {}
        self._count = sum(
            entry["effect"] == "login" for entry in ledger.history)
        self.sessions = Collection(SESSIONS, "SessionCollection", "Sessions",
                                   {})
        if self.offers_sessions(accepted):
            pod.add(self.sessions)
            pod.add(Document(SESSION_SERVICE, {
                "@odata.id": SESSION_SERVICE,
                "@odata.type": f"#SessionService.{schema}.SessionService",
                "Id": "SessionService",
                "Name": "Session Service",
                "Status": {"State": "Enabled", "Health": "OK"},
                "ServiceEnabled": True,
                "SessionTimeout": timeout,
                "Sessions": {"@odata.id": SESSIONS},
            }))

    @staticmethod
    def offers_sessions(accepted: str) -> bool:
        return accepted != "basic"

    def require(self, headers: Mapping[str, str]) -> str | None:
        """The user whom ``headers`` identify, None where that is not asked
        for; raises RedfishError (401).
        """
        if self._open:
            return None
        token = headers.get("X-Auth-Token")
        if token is not None:
            # An unguessable key of a dict: there is nothing to time.
            session = self._tokens.get(token)
            if session and self._clock() - session.used <= self._timeout:
                session.used = self._clock()
                return session.user
            if session:
                self.close(session)
        elif self._basic:
            user = self._basic_user(headers.get("Authorization", ""))
            if user is not None:
                return user
        raise self._refusal("NoValidSession")

    def _refusal(self, key: str, *args: str) -> RedfishError:
        scheme = "Basic" if self._basic else "Redfish"
        return RedfishError(401, key, *args, headers={
            "WWW-Authenticate": f'{scheme} realm="{self._realm}"'})

    def _basic_user(self, authorization: str) -> str | None:
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            given = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            return None
        user, _, password = given.partition(":")
        return user if self._verify(user, password) else None

    def _is_the_one(self, user: str, password: str) -> bool:
        # Both are compared, so that neither tells on the other.
        good_user = hmac.compare_digest(_utf8(user), _utf8(self._username))
        good_password = hmac.compare_digest(_utf8(password),
                                            _utf8(self._password))
        return good_user and good_password

    def login(self, body: dict[str, Any]) -> Session:
        """POST to the sessions collection; raises RedfishError."""
        for name in ("UserName", "Password"):
            if name not in body:
                raise RedfishError(400, "PropertyMissing", name,
                                   related=f"#/{name}")
            if not isinstance(body[name], str):
                raise RedfishError(400, "PropertyValueTypeError", "***",
                                   name, related=f"#/{name}")
        user, password = body["UserName"], body["Password"]
        if not self._verify(user, password):
            raise self._refusal("ResourceAtUriUnauthorized", SESSIONS,
                                "the credentials are wrong.")
        self._forget_expired()
        number = str(self._count + 1)
        session = Session(f"{SESSIONS}/{number}", number, user,
                          secrets.token_hex(24), self._clock())
        self._ledger.record("login", session=session.uri, user=user)
        self._count += 1
        self._tokens[session.token] = session
        self.sessions.members[session.uri] = session
        self._pod.touch(self.sessions)
        self._pod.add(session)
        return session

    def _forget_expired(self) -> None:
        oldest = self._clock() - self._timeout
        for session in [s for s in self._tokens.values() if s.used < oldest]:
            self.close(session)

    def expire_all(self) -> int:
        """Close every session; returns how many there were."""
        sessions = list(self._tokens.values())
        for session in sessions:
            self.close(session)
        return len(sessions)

    def close(self, session: Session) -> None:
        del self._tokens[session.token]
        del self.sessions.members[session.uri]
        del self._pod.resources[session.uri]
        self._pod.touch(self.sessions)


def _utf8(text: str) -> bytes:
    # A lone surrogate is legal in JSON and not in UTF-8.
    return text.encode("utf-8", "surrogatepass")
