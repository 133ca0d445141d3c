# SPDX-License-Identifier: Apache-2.0
"""How a test makes a simulated pod misbehave.

Only the standard library is needed::

    admin = AdminClient(ready["admin"])
    rule = admin.inject("reset", method="POST", path="*/Systems", nth=1,
                        effect=True)
    ...
    admin.wait(rule, fired=1)
    admin.change("decompose", system="/redfish/v1/Systems/composed-1")
    admin.clear()
"""

import http.client
import json
import urllib.parse
from typing import Any


class AdminError(Exception):
    """The admin endpoint refused; ``status`` is that of its answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status


class AdminClient:
    """A client of the admin endpoint; safe to share between threads."""

    def __init__(self, url: str, token: str | None = None,
                 pod: str | None = None, timeout: float = 70.0) -> None:
        """``pod`` names the pod that is meant where a call names none;
        without it that is the first.
        """
        self._at = urllib.parse.urlsplit(url)
        self._token = token
        self._pod = pod
        self._timeout = timeout

    def pods(self) -> list[dict[str, Any]]:
        """Name, kind, URL and number of requests of each pod."""
        found: list[dict[str, Any]] = self._call("GET", "/")["pods"]
        return found

    def requests(self, pod: str | None = None) -> int:
        """How many requests the pod has seen."""
        return int(self._call("GET", self._path(pod))["requests"])

    def inject(self, fault: str, pod: str | None = None,
               **rule: Any) -> int:
        """Make a rule; returns its number. Raises AdminError."""
        made = self._call("POST", self._path(pod, "rules"),
                          {"fault": fault, **rule})
        return int(made["id"])

    def rule(self, number: int, pod: str | None = None) -> dict[str, Any]:
        """The rule, with how often it was ``seen`` and ``fired``."""
        found: dict[str, Any] = self._call(
            "GET", self._path(pod, "rules", str(number)))
        return found

    def wait(self, number: int, fired: int = 1, timeout: float = 20.0,
             pod: str | None = None) -> None:
        """Until the rule fired so often; raises AdminError (408)."""
        self._call("GET", self._path(pod, "rules", str(number))
                   + f"?fired={fired}&timeout={timeout}")

    def remove(self, number: int, pod: str | None = None) -> None:
        self._call("DELETE", self._path(pod, "rules", str(number)))

    def clear(self, pod: str | None = None) -> None:
        """Remove every rule of the pod."""
        self._call("DELETE", self._path(pod, "rules"))

    def change(self, what: str, pod: str | None = None,
               **arguments: Any) -> dict[str, Any]:
        """Change the hardware behind every client's back."""
        result: dict[str, Any] = self._call(
            "POST", self._path(pod, "changes"),
            {"change": what, **arguments})
        return result

    def _path(self, pod: str | None, *parts: str) -> str:
        name = pod or self._pod
        if name is None:
            name = self._pod = self.pods()[0]["name"]
        return "/" + "/".join(("pods", urllib.parse.quote(name), *parts))

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = http.client.HTTPConnection(
            self._at.hostname or "", self._at.port, timeout=self._timeout)
        try:
            connection.request(
                method, path, None if body is None else json.dumps(body),
                headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        result = json.loads(content) if content else None
        if answer.status >= 400:
            raise AdminError(answer.status, (result or {}).get("error", ""))
        return result
