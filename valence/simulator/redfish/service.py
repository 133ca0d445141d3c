# SPDX-License-Identifier: Apache-2.0
"""Which request does what: the Redfish service without its sockets.

``handle`` never waits, so whatever a request checks still holds when it
takes effect.
"""

import contextlib
import urllib.parse
from collections.abc import Mapping
from typing import Any

from valence.simulator.pods import CannotChange, Request, Response, Site
from valence.simulator.redfish import (
    changes,
    documents,
    generate,
    operations,
    query,
    render,
)
from valence.simulator.redfish.accounts import Account, Accounts
from valence.simulator.redfish.behaviour import Behaviour
from valence.simulator.redfish.effects import Effects
from valence.simulator.redfish.events import Events, Subscription
from valence.simulator.redfish.manifest import Manifests, Reservation
from valence.simulator.redfish.messages import RedfishError
from valence.simulator.redfish.model import (
    BLOCKS,
    COMPOSE,
    RESERVATIONS,
    ROOT,
    SESSIONS,
    ZONES,
    Action,
    Block,
    System,
)
from valence.simulator.redfish.sessions import Authenticator, Session
from valence.simulator.redfish.tasks import Monitor, Task, Tasks
from valence.simulator.resources import Document, Resource
from valence.simulator.wire import Answer, json_object, response

_SCHEMAS = "http://redfish.dmtf.org/schemas/v1"
_METADATA = f"{ROOT}/$metadata"
# DSP0266 section 13.3.3: these are read without authentication.
_OPEN = ("/redfish", ROOT, f"{ROOT}/odata", _METADATA)
_READS = ("GET", "HEAD")


class Service:
    """One simulated pod and everything that can be asked of it."""

    def __init__(self, shape: generate.Shape, behaviour: Behaviour,
                 site: Site) -> None:
        """What the ledger's history holds has happened already.

        Raises CannotBuild where that was in a pod of another shape, and
        OSError.
        """
        self._behaviour = behaviour
        self._ledger = ledger = site.ledger
        self._later = site.later
        documents.remember(shape, ledger)
        self._pod = pod = generate.generate(shape)
        self._effects = Effects(pod, ledger)
        self._tasks = Tasks(pod, site.later, ledger,
                            behaviour.vanish_monitors)
        self._accounts = Accounts(pod, behaviour.username,
                                  behaviour.password)
        self._auth = Authenticator(pod, ledger, behaviour.username,
                                   behaviour.password, behaviour.auth,
                                   behaviour.session_timeout,
                                   verify=self._accounts.verify)
        self._events = Events(pod, behaviour, shape.seed, site.later)
        self._effects.listen(self._events.happened)
        self._manifests = Manifests(
            pod, self._effects, ledger, site.later, behaviour.styles,
            behaviour.reservation_duration)
        documents.publish(pod, behaviour)
        self._effects.replay()
        self._tasks.replay()
        self._manifests.replay()
        if not behaviour.composition:
            pod.hide(BLOCKS, ZONES, RESERVATIONS)
        self._operations = operations.Operations(
            pod, self._effects, behaviour, self._manifests, site.later)
        self._metadata = documents.metadata()

    def handle(self, request: Request) -> Response:
        """Answer ``request``; every refusal is an answer too."""
        try:
            return self._handle(request)
        except RedfishError as error:
            if request.method not in _READS:
                self._note_refusal(request, error)
            return response(Answer(error.status, error.body(),
                                    error.headers))
        except OSError:
            # The ledger could not be written, so nothing happened.
            failure = RedfishError(500, "InternalError")
            return response(Answer(500, failure.body()))

    def change(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Do what changes.py lists; raises CannotChange and OSError."""
        match what:
            case "expire-sessions":
                return {"sessions": self._auth.expire_all()}
            case "expire-reservations":
                return {"reservations": self._manifests.expire_all()}
            case "vanish-monitors":
                return {"monitors": self._tasks.vanish()}
        if not self._behaviour.composition:
            raise CannotChange("the pod has no CompositionService.")
        return changes.change(self._pod, self._effects, what, arguments)

    def _note_refusal(self, request: Request, error: RedfishError) -> None:
        # A refusal changes nothing, so it may be answered even unrecorded.
        with contextlib.suppress(OSError):
            self._ledger.record("refused", reason=error.key,
                                status=error.status, method=request.method,
                                path=request.target,
                                message=error.message["Message"])

    def _find(self, uri: str) -> Resource | None:
        resource = self._pod.resources.get(uri)
        if isinstance(resource, Block) and resource.hidden:
            return None
        return resource

    def _handle(self, request: Request) -> Response:
        path, _, search = request.target.partition("?")
        if "%" in path:
            path = urllib.parse.unquote(path)
        path = path.rstrip("/")
        method = request.method
        if method == "POST":
            # DSP0266 section 7.9: the Members property is the collection.
            path = path.removesuffix("/Members")
        reads = method in _READS
        is_open = path in _OPEN if reads else (
            path == SESSIONS and method == "POST")
        user = None
        if not is_open:
            user = self._auth.require(request.headers)
        if request.headers.get("OData-Version", "4.0") != "4.0":
            raise RedfishError(412, "PreconditionFailed")
        resource = self._find(path)
        if resource is None:
            raise RedfishError(404, "ResourceMissingAtURI", path)
        allow = self._allowed(resource)
        if method not in allow:
            raise RedfishError(405, "OperationNotAllowed",
                               headers={"Allow": ", ".join(allow)})
        if not (reads or is_open):
            self._accounts.require(user, method, resource)
        if not reads:
            self._check_match(method, resource, request.headers)
            return response(self._change(method, resource, request))
        if path == _METADATA:
            return Response(200, {"Content-Type": "application/xml",
                                  "OData-Version": "4.0",
                                  "Cache-Control": "no-cache",
                                  "Allow": "GET, HEAD"}, self._metadata)
        answer = self._read(resource, search, request.headers)
        answer.headers["Allow"] = ", ".join(allow)
        return response(answer)

    def _allowed(self, resource: Resource) -> tuple[str, ...]:
        attach = self._behaviour.attach
        match resource:
            case Action():
                return ("POST",)
            case Document() if resource.uri == COMPOSE:
                return ("POST",)
            case Block():
                return (*_READS, "PATCH")
            case System():
                put = ("PUT",) if "put" in attach and (
                    resource.composed or resource.expandable) else ()
                deletes = ("DELETE",) if resource.composed else ()
                return (*_READS, "PATCH", *put, *deletes)
            case Session() | Task() | Reservation() | Monitor():
                return (*_READS, "DELETE")
            case Subscription() | Account():
                return (*_READS, "PATCH", "DELETE")
        if resource in (self._auth.sessions, self._events.subscriptions,
                        self._accounts.accounts):
            return (*_READS, "POST")
        if (resource is self._pod.systems and self._behaviour.composition
                and set(self._behaviour.styles) - {"manifest"}):
            return (*_READS, "POST")
        return _READS

    def _read(self, resource: Resource, search: str,
              headers: Mapping[str, str]) -> Answer:
        if isinstance(resource, Monitor):
            answer = self._tasks.follow(resource)
            return Answer(answer.status, answer.body, dict(answer.headers))
        wanted = query.NO_QUERY
        if search:
            wanted = query.parse(
                dict(urllib.parse.parse_qsl(search, keep_blank_values=True)),
                self._behaviour.expand)
        # An expanded document changes with whatever it contains.
        etag = (f'W/"{self._pod.generation:x}"' if wanted.expand
                else resource.etag)
        if headers.get("If-None-Match") == etag:
            return Answer(304, None, {"ETag": etag})
        body = query.select(resource, wanted, self._behaviour.page_size,
                            self._find)
        answer = Answer(200, body, {"ETag": etag})
        kind = body.get("@odata.type")
        if kind:
            schema = kind[1:].rpartition(".")[0]
            answer.headers["Link"] = (
                f"<{_SCHEMAS}/{schema}.json>; rel=describedby")
        return answer

    def _check_match(self, method: str, resource: Resource,
                     headers: Mapping[str, str]) -> None:
        wanted = headers.get("If-Match")
        if wanted is None:
            if self._behaviour.require_etag and method in ("PATCH", "PUT"):
                raise RedfishError(428, "PreconditionRequired")
            return
        if wanted.strip() == "*":
            return
        tags = [tag.strip().removeprefix("W/") for tag in wanted.split(",")]
        if resource.etag not in tags:
            raise RedfishError(412, "PreconditionFailed")

    def _change(self, method: str, resource: Resource,
                request: Request) -> Answer:
        if method == "DELETE":
            match resource:
                case Session():
                    self._auth.close(resource)
                    return Answer(204)
                case Task():
                    self._tasks.delete(resource)
                    return Answer(204)
                case Monitor():
                    self._tasks.delete(resource.task)
                    return Answer(204)
                case Subscription():
                    self._events.unsubscribe(resource)
                    return Answer(204)
                case Account():
                    self._accounts.delete(resource)
                    return Answer(204)
                case Reservation():
                    self._manifests.drop(resource)
                    return Answer(204)
            return self._perform(self._operations.delete(resource),
                                 request.delay)
        body = json_object(request)
        if resource is self._auth.sessions:
            session = self._auth.login(body)
            return Answer(201, render.document(session),
                          {"Location": session.uri,
                           "X-Auth-Token": session.token})
        if resource is self._events.subscriptions:
            made = self._events.subscribe(body)
            return Answer(201, render.document(made),
                          {"Location": made.uri, "ETag": made.etag})
        if isinstance(resource, Subscription):
            self._events.amend(resource, body)
            return operations.state(resource)
        if isinstance(resource, Account):
            told = self._accounts.amend(resource, body)
            answer = operations.state(resource)
            answer.body.update(told)
            return answer
        if resource is self._accounts.accounts:
            account = self._accounts.create(body)
            return Answer(201, render.document(account),
                          {"Location": account.uri, "ETag": account.etag})
        return self._perform(
            self._operations.change(method, resource, body), request.delay)

    def _perform(self, operation: operations.Operation,
                 delay: float | None) -> Answer:
        if delay is None:
            calls = self._behaviour.task_calls
            is_task = self._behaviour.tasks and (
                operation.call in calls or "all" in calls)
            delay = self._behaviour.task_delay if is_task else 0
            if is_task and not delay:
                # A task all the same, over as soon as it can be.
                delay = 1e-9
        if not delay:
            return operation.run()
        operation.hold()
        released = False

        def let_go() -> None:
            nonlocal released
            if not released:
                released = True
                operation.let_go()

        def run() -> Answer:
            let_go()
            return operation.run()

        try:
            return self._tasks.start(operation.name, delay, run, let_go)
        except OSError:
            let_go()
            raise
