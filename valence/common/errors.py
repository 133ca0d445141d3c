# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a request?

Every error that a user may see is one of these: an HTTP status, a stable
machine-readable ``code``, one sentence, and the ``field`` of the request it
is about where there is one.
"""

from collections.abc import Mapping


class ValenceError(Exception):
    """The root. ``str()`` gives the sentence for the user.

    ``named`` is the same sentence for whoever may know of pod managers.
    """

    status = 500
    title = 'Internal Server Error'
    code = 'internal_error'

    def __init__(self, detail: str, *, code: str | None = None,
                 field: str | None = None,
                 headers: Mapping[str, str] | None = None,
                 named: str | None = None) -> None:
        super().__init__(detail)
        self.named = named
        self.code = code or self.code
        self.field = field
        self.headers = dict(headers or {})


class BadRequest(ValenceError):
    status = 400
    title = 'Bad Request'
    code = 'invalid_request'


class Unauthorized(ValenceError):
    status = 401
    title = 'Unauthorized'
    code = 'unauthorized'


class Forbidden(ValenceError):
    status = 403
    title = 'Forbidden'
    code = 'forbidden'


class QuotaExceeded(Forbidden):
    """The project would have more than it may."""

    code = 'quota_exceeded'


class NotFound(ValenceError):
    status = 404
    title = 'Not Found'
    code = 'not_found'


class MethodNotAllowed(ValenceError):
    status = 405
    title = 'Method Not Allowed'
    code = 'method_not_allowed'


class NotAcceptable(ValenceError):
    status = 406
    title = 'Not Acceptable'
    code = 'unknown_version'


class RequestTimeout(ValenceError):
    """The request did not arrive in time."""

    status = 408
    title = 'Request Timeout'
    code = 'request_timeout'


class Conflict(ValenceError):
    status = 409
    title = 'Conflict'
    code = 'conflict'


class NoValidResources(Conflict):
    """Nothing in the pools satisfies the request now."""

    code = 'no_valid_resources'


class NodeBusy(Conflict):
    """Another operation holds the node."""

    code = 'node_busy'


class PreconditionFailed(ValenceError):
    """The resource is not as the client's If-Match says."""

    status = 412
    title = 'Precondition Failed'
    code = 'precondition_failed'


class BodyTooLarge(ValenceError):
    status = 413
    title = 'Content Too Large'
    code = 'body_too_large'


class UriTooLong(ValenceError):
    status = 414
    title = 'URI Too Long'
    code = 'uri_too_long'


class UnsupportedMediaType(ValenceError):
    status = 415
    title = 'Unsupported Media Type'
    code = 'unsupported_media_type'


class KeyReused(ValenceError):
    """The Idempotency-Key was used before, for another request.

    The status is that of the HTTP working group's draft on the header.
    """

    status = 422
    title = 'Unprocessable Content'
    code = 'idempotency_key_reused'


class TooManyRequests(ValenceError):
    status = 429
    title = 'Too Many Requests'
    code = 'too_many_requests'


class HeadersTooLarge(ValenceError):
    status = 431
    title = 'Request Header Fields Too Large'
    code = 'headers_too_large'


class Unavailable(ValenceError):
    """The database or the conductors are away; the request was not taken."""

    status = 503
    title = 'Service Unavailable'
    code = 'service_unavailable'


class InsufficientStorage(ValenceError):
    """The database cannot write; nothing was accepted."""

    status = 507
    title = 'Insufficient Storage'
    code = 'insufficient_storage'
