# SPDX-License-Identifier: Apache-2.0
"""What does the API need to be told?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from valence.common.addresses import AddressPolicy

#: The most entries that a page of a list may have.
MAX_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """The API's configuration, without oslo.config.

    ``conductor_timeout`` is the age in seconds of the last heartbeat up to
    which a conductor counts as alive. ``event_interval`` is the least time
    in seconds between two syncs that events bring about. ``keystone`` is the
    configuration that keystonemiddleware reads its options from, ``cors``
    that of oslo.middleware's CORS where there is to be any. ``quotas`` are
    the limits of projects that have none of their own.
    """

    auth_strategy: str = 'http_basic'
    htpasswd_file: str | None = None
    roles_file: str | None = None
    keystone: Any = None
    trust_identity_headers: bool = False
    allow_noauth_everywhere: bool = False
    cors: Any = None
    address_policy: AddressPolicy | None = None
    max_body_bytes: int = 1024 * 1024
    max_body_depth: int = 25
    default_limit: int = 100
    response_validation: str = 'ignore'
    enable_proxy_headers: bool = False
    public_endpoint: str | None = None
    conductor_timeout: float = 60.0
    event_interval: float = 10.0
    allow_http: bool = False
    allow_insecure_tls: bool = False
    allow_secret_ref: bool = False
    quotas: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_conf(cls, conf: Any, **others: Any) -> 'Settings':
        """Take group [api] of ``conf``, and ``others`` from elsewhere."""
        api = conf.api
        return cls(
            auth_strategy=api.auth_strategy,
            htpasswd_file=api.htpasswd_file,
            roles_file=api.roles_file,
            keystone=conf if api.auth_strategy == 'keystone' else None,
            trust_identity_headers=api.trust_identity_headers,
            allow_noauth_everywhere=api.allow_noauth_everywhere,
            max_body_bytes=api.max_body_bytes,
            max_body_depth=api.max_body_depth,
            default_limit=api.default_limit,
            response_validation=api.response_validation,
            enable_proxy_headers=api.enable_proxy_headers,
            public_endpoint=api.public_endpoint,
            **others)
