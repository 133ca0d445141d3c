# SPDX-License-Identifier: Apache-2.0
"""On whose behalf, and for which request, does this thread work?"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

from oslo_context import context as oslo_context

P = ParamSpec('P')
R = TypeVar('R')


class RequestContext(oslo_context.RequestContext):
    """The context of one request, which every log line of it carries.

    It is made as soon as the request arrives and filled in once the user
    is known.
    """

    def identify(self, *, user_id: str | None, project_id: str | None,
                 roles: list[str], system_scope: str | None = None,
                 domain_id: str | None = None,
                 user_domain_id: str | None = None,
                 project_domain_id: str | None = None,
                 service_user_id: str | None = None,
                 service_roles: list[str] | None = None) -> None:
        """Fill in who makes the request.

        ``service_user_id`` and ``service_roles`` are those of the service
        that passes on a user's request, if one does.
        """
        self.user_id = user_id
        self.project_id = project_id
        self.roles = roles
        self.system_scope = system_scope
        self.domain_id = domain_id
        self.user_domain_id = user_domain_id
        self.project_domain_id = project_domain_id
        self.service_user_id = service_user_id
        self.service_roles = service_roles or []

    @property
    def credentials(self) -> tuple[Any, ...]:
        """All that a policy rule can look at; equal ones decide equally."""
        return (self.user_id, self.user_domain_id, self.project_id,
                self.project_domain_id, self.domain_id, self.system_scope,
                tuple(self.roles), self.service_user_id,
                tuple(self.service_roles))


@contextlib.contextmanager
def of(context: oslo_context.RequestContext | None) -> Iterator[None]:
    """Work on behalf of ``context``, or of nobody, and as before afterwards.

    oslo.context keeps it by thread and never forgets it: a thread that goes
    on to other work would log it as that of the request before.
    """
    before = oslo_context.get_current()
    _keep(context)
    try:
        yield
    finally:
        _keep(before)


def detached(**values: Any) -> oslo_context.RequestContext:
    """A context of these values, for of(); it is not this thread's yet."""
    with of(None):
        return oslo_context.RequestContext(**values)


def carried(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` for another thread, on behalf of who it is now."""
    context = oslo_context.get_current()

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with of(context):
            return function(*args, **kwargs)

    return run


def _keep(context: oslo_context.RequestContext | None) -> None:
    # It has a way to set one and none to forget it but in its fixtures,
    # which do the same.
    oslo_context._request_store.context = context
