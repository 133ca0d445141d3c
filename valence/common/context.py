# SPDX-License-Identifier: Apache-2.0
"""On whose behalf, and for which request, does this thread work?"""

from typing import Any

from oslo_context import context as oslo_context


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
