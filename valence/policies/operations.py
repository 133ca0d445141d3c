# SPDX-License-Identifier: Apache-2.0
"""Who may follow operations? The project that asked for them."""

from collections.abc import Sequence

from oslo_policy import policy

from valence.policies.base import (
    ADMIN,
    OPERATOR_READER,
    PROJECT_MEMBER,
    READER,
    rule,
)

_RULES = [
    rule('operations', 'get', READER, 'See operations.',
         'GET /v1/operations', 'GET /v1/operations/{operation}'),
    rule('operations', 'delete', PROJECT_MEMBER, 'Cancel an operation.',
         'DELETE /v1/operations/{operation}'),
    rule('operations', 'retry', PROJECT_MEMBER,
         'Do a failed operation again, or go on now with one that waits.',
         'POST /v1/operations/{operation}/retry'),
    rule('operations', 'abandon', ADMIN,
         'End an operation at once, whatever there is on the hardware.',
         'POST /v1/operations/{operation}/abandon'),
    rule('operations', 'all_projects:get', OPERATOR_READER,
         'See operations of other projects and of Valence itself: by uuid, '
         'and in lists with all_projects=true.',
         'GET /v1/operations', 'GET /v1/operations/{operation}'),
    rule('operations', 'all_projects:change', ADMIN,
         'Cancel, retry and abandon operations of other projects, by uuid.',
         'DELETE /v1/operations/{operation}',
         'POST /v1/operations/{operation}/retry',
         'POST /v1/operations/{operation}/abandon'),
]


def list_rules() -> Sequence[policy.RuleDefault]:
    return _RULES
