# SPDX-License-Identifier: Apache-2.0
"""Which request does what: the PODM without its sockets.

``handle`` never waits, so whatever a request checks still holds when it
takes effect. It has the shape of the Redfish pod's service: the same server
serves both.
"""

import contextlib
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from valence.simulator.pods import CannotChange, Request, Response, Site
from valence.simulator.redfish.messages import RedfishError
from valence.simulator.redfish.sessions import Authenticator, Session
from valence.simulator.resources import Collection, Document, Resource
from valence.simulator.rsd import render
from valence.simulator.rsd.generate import Shape, generate, identity
from valence.simulator.rsd.model import (
    MANAGERS,
    PROFILES,
    ROOT,
    SESSIONS,
    AllocateAction,
    Node,
    NodeAction,
    Pod,
    Sled,
)
from valence.simulator.rsd.nodes import Nodes
from valence.simulator.wire import Answer, json_object, response

_OPEN = ("/redfish", ROOT)
_READS = ("GET", "HEAD")


@dataclass(frozen=True)
class Behaviour:
    """What the command line says about this service.

    ``auth`` is basic, session, both or none. With ``scheme`` Location is
    absolute, as some services have it. Delays are in seconds.
    """

    profile: str = "2.5"
    username: str = "admin"
    password: str = "password"  # noqa: S105 - nobody is to guess it
    auth: str = "both"
    allocate_delay: float = 0.2
    assemble_delay: float = 0.5
    power_delay: float = 0.2
    page_size: int = 0
    scheme: str = ""


class Service:
    """One simulated RSD pod and everything that can be asked of it."""

    def __init__(self, shape: Shape, behaviour: Behaviour,
                 site: Site) -> None:
        """What the ledger's history holds has happened already.

        Raises OSError if the ledger cannot be written.
        """
        self._behaviour = behaviour
        self._ledger = ledger = site.ledger
        self.pod: Pod = generate(shape, PROFILES[behaviour.profile])
        self._nodes = Nodes(
            self.pod, ledger, site.later, behaviour.allocate_delay,
            behaviour.assemble_delay, behaviour.power_delay)
        self._nodes.replay(ledger.history)
        self._auth = Authenticator(self.pod, ledger, behaviour.username,
                                   behaviour.password, behaviour.auth,
                                   schema="v1_1_1", realm="RSD")
        self.pod.add(Document("/redfish", {"v1": f"{ROOT}/"}))
        self.pod.add(render.root(
            self.pod, identity(shape.seed),
            self._auth.offers_sessions(behaviour.auth)))
        manager = render.manager(self.pod)
        self.pod.add(manager)
        self.pod.add(Collection(MANAGERS, "ManagerCollection", "Managers",
                                {manager.uri: manager}))

    def handle(self, request: Request) -> Response:
        """Answer ``request``; every refusal is an answer too."""
        try:
            return self._handle(request)
        except RedfishError as error:
            if request.method not in _READS:
                # A refusal changes nothing: it may go unrecorded.
                with contextlib.suppress(OSError):
                    self._ledger.record(
                        "refused", reason=error.key, status=error.status,
                        method=request.method, path=request.target,
                        message=error.message["Message"])
            return response(Answer(error.status, error.body(),
                                    error.headers))
        except OSError:
            # The ledger could not be written, so nothing happened.
            return response(Answer(500, RedfishError(
                500, "InternalError").body()))

    def change(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Change the hardware behind every client's back.

        ``restart``: the PODM restarts. ``missing``: ``system`` is not seen
        any more, or again where ``missing`` is false. ``fail``: ``node`` is
        Failed. ``compose``: a node as by ``request``, the body of Allocate,
        is Assembled. ``decompose``: ``node`` is deleted. Returns what
        changed, as it reads now; the ledger has ``"origin": "admin"`` where
        resources were taken or given back.
        """
        if what == "restart":
            self._nodes.restart()
            return render.document(self.pod.nodes)
        if what == "compose":
            request = arguments.get("request", {})
            if not isinstance(request, dict):
                raise CannotChange("request is the body of Allocate.")
            try:
                made = self._nodes.appear(
                    {"Name": "somebody else's", **request})
            except RedfishError as error:
                raise CannotChange(error.message["Message"]) from error
            return render.document(made)
        named = self.pod.resources.get(str(arguments.get(
            "system" if what == "missing" else "node")))
        if what == "decompose" and isinstance(named, Node):
            self._nodes.disappear(named)
            return render.document(self.pod.nodes)
        if what == "fail" and isinstance(named, Node):
            self._nodes.fail(named)
            return render.document(named)
        if what == "missing" and isinstance(named, Sled):
            self._nodes.miss(named, bool(arguments.get("missing", True)))
            return render.document(named)
        raise CannotChange(
            f"an RSD pod cannot change {what!r} with {arguments!r}; it can "
            "'restart', 'compose' by a 'request', 'decompose' or 'fail' a "
            "'node', and make a 'system' 'missing'.")

    def _handle(self, request: Request) -> Response:
        path, _, search = request.target.partition("?")
        if "%" in path:
            path = urllib.parse.unquote(path)
        path = path.rstrip("/")
        method = request.method
        is_open = path in _OPEN if method in _READS else (
            path == SESSIONS and method == "POST")
        if not is_open:
            self._auth.require(request.headers)
        resource = self.pod.resources.get(path)
        if resource is None:
            raise RedfishError(404, "ResourceMissingAtURI", path)
        allow = self._allowed(resource)
        if method not in allow:
            raise RedfishError(405, "OperationNotAllowed",
                               headers={"Allow": ", ".join(allow)})
        if method in _READS:
            answer = self._read(resource, search, request.headers)
            answer.headers["Allow"] = ", ".join(allow)
            return response(answer)
        match = request.headers.get("If-Match", "*").strip()
        if match not in ("*", resource.etag):
            raise RedfishError(412, "PreconditionFailed")
        return response(self._change(method, resource, request))

    def _allowed(self, resource: Resource) -> tuple[str, ...]:
        if isinstance(resource, NodeAction | AllocateAction):
            return ("POST",)
        if isinstance(resource, Node):
            return (*_READS, "PATCH", "DELETE")
        if isinstance(resource, Session):
            return (*_READS, "DELETE")
        if resource is self._auth.sessions:
            return (*_READS, "POST")
        return _READS

    def _read(self, resource: Resource, search: str,
              headers: Mapping[str, str]) -> Answer:
        skip = _skip(search)
        if headers.get("If-None-Match") == resource.etag:
            return Answer(304, None, {"ETag": resource.etag})
        if isinstance(resource, Collection):
            body = render.page(resource, skip, self._behaviour.page_size)
        else:
            body = render.document(resource)
        return Answer(200, body, {"ETag": resource.etag})

    def _change(self, method: str, resource: Resource,
                request: Request) -> Answer:
        if method == "DELETE":
            if isinstance(resource, Session):
                self._auth.close(resource)
            elif isinstance(resource, Node):
                self._nodes.delete(resource)
            return Answer(204)
        # No body is an empty one here.
        body = json_object(request) if request.body else {}
        if isinstance(resource, AllocateAction):
            node = self._nodes.allocate(body)
            before = ""
            if self._behaviour.scheme:
                before = (f"{self._behaviour.scheme}://"
                          f"{request.headers.get('Host', '')}")
            return Answer(201, None, {"Location": before + node.uri})
        if isinstance(resource, NodeAction):
            self._nodes.act(resource.node, resource.kind, body)
            return Answer(204)
        if isinstance(resource, Node):
            self._nodes.set_boot(resource, body)
            if self.pod.profile.boot_status == 204:
                return Answer(204)
            return Answer(200, render.document(resource),
                          {"ETag": resource.etag})
        session = self._auth.login(body)
        return Answer(201, render.document(session),
                      {"Location": session.uri,
                       "X-Auth-Token": session.token})


def _skip(search: str) -> int:
    """The number after $skip, the one query that is answered."""
    for name, value in urllib.parse.parse_qsl(search):
        if name == "$skip":
            if not (value.isascii() and value.isdigit() and len(value) < 10):
                raise RedfishError(400, "QueryParameterValueFormatError",
                                   value, name)
            return int(value)
        if name.startswith("$"):
            raise RedfishError(501, "QueryNotSupported")
    return 0
