# SPDX-License-Identifier: Apache-2.0
"""How does Pecan come to the handlers?

Stock Pecan walks a tree of controller objects by attribute names, inspects
the signature of each on every request, guesses content types, and parses
bodies by itself; that is two thirds of the time of a small request and the
origin of answers that are not JSON. Here Pecan's application keeps its
life cycle (hooks, request and response, error handling), and the controller
comes out of the route table.
"""

import logging
from collections.abc import Callable
from typing import Any

import orjson
from pecan import core

from valence.api import (
    finding,
    patches,
    preconditions,
    routing,
    validation,
)
from valence.api.request import Answer, Reply, Request, Services, reply
from valence.api.schemas.patches import OPERATIONS
from valence.common import errors

LOG = logging.getLogger(__name__)

Controller = Callable[..., Reply]

_check_json_patch = validation.compile_body(OPERATIONS)


class Application(core.ExplicitPecan):
    """A Pecan application whose root is a :class:`routing.Router`."""

    def __init__(self, router: routing.Router, services: Services) -> None:
        super().__init__(router, request_cls=Request, response_cls=Reply)
        self.services = services

    def find_controller(self, state: Any) -> tuple[Any, list[str], Any]:
        """Route, authorise and validate, in this order.

        So nobody learns more than they may: not even which fields a body
        should have.
        """
        request: Request = state.request
        environ = request.environ
        request.begin(self.services)
        endpoints, variables = self.root.match(
            environ['PATH_INFO'], environ['valence.version'])
        endpoint = routing.select(endpoints, request.method)
        if endpoint is None:
            return _options(endpoints), [], {}
        rule = endpoint.route.policy
        if rule is not None:
            self.services.policy.check(rule, request.context)
        request.query, request.query_pairs = endpoint.parse_query(
            environ.get('QUERY_STRING', ''))
        _check_body(endpoint, request, environ)
        return endpoint, variables, {}

    def invoke_controller(self, controller: Any, args: list[str],
                          kwargs: Any, state: Any) -> None:
        request = state.request
        try:
            answer = controller.route.handler(request, *args)
        except errors.ValenceError as error:
            if error.named and finding.may_know_pod_managers(request):
                error.args = (error.named,)
            raise
        state.response = result = reply(answer, controller.route.status)
        if request.settings.response_validation != 'ignore':
            _check_answer(controller, request, result)
        if controller.tagged and result.body is not None:
            tag = preconditions.etag(result.body, request.url)
            if request.method in ('GET', 'HEAD') and preconditions.unchanged(
                    request.environ, tag):
                state.response = result = Reply('304 Not Modified')
            result.headers.append(('ETag', tag))

    def _handle_empty_response_body(self, state: Any) -> None:
        """The route table has said the status already."""


def _check_body(endpoint: routing.Endpoint, request: Request,
                environ: dict[str, Any]) -> None:
    given = 'valence.body' in environ
    if endpoint.check_body is None:
        if given and environ['valence.body'] != {}:
            raise errors.BadRequest('this request takes no body')
        return
    schema = endpoint.route.body or {}
    if not given and 'default' in schema:
        environ['valence.body'] = dict(schema['default'])
    elif not given:
        raise errors.BadRequest('this request needs a JSON body')
    # Taken out of the environment, for it may hold credentials.
    body = environ.pop('valence.body')
    if request.method == 'PATCH' and patches.is_json_patch(environ):
        _check_json_patch(body)
    else:
        endpoint.check_body(body)
    request.body = body


def _check_answer(endpoint: routing.Endpoint, request: Request,
                  result: Reply) -> None:
    problem = endpoint.check_answer(
        None if result.body is None else orjson.loads(result.body))
    if problem is None:
        return
    LOG.warning('the answer to %s %s is not as described: %s',
                endpoint.route.method, endpoint.route.path, problem)
    if request.settings.response_validation == 'error':
        raise errors.ValenceError(
            'the answer is not as the API is described; the log has more '
            'under this request id')


def _options(endpoints: Any) -> routing.Endpoint:
    def handler(request: Request) -> Answer:
        return Answer(headers=(('Allow', routing.allowed(endpoints)),))
    return routing.Endpoint.of(
        routing.Route('OPTIONS', '', handler, None, {}, None, None, 204))
