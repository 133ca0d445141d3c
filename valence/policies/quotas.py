# SPDX-License-Identifier: Apache-2.0
"""Who may say how much a project may have (the operator), and see it?"""

from collections.abc import Sequence

from oslo_policy import policy

from valence.policies.base import ADMIN, OPERATOR_READER, READER, rule

_RULES = [
    rule('quotas', 'get', READER, 'See the quotas and usage of a project.',
         'GET /v1/quotas', 'GET /v1/quotas/{project_id}'),
    rule('quotas', 'update', ADMIN, 'Give a project quotas of its own.',
         'PUT /v1/quotas/{project_id}'),
    rule('quotas', 'delete', ADMIN, 'Give a project the default quotas.',
         'DELETE /v1/quotas/{project_id}'),
    rule('quotas', 'all_projects:get', OPERATOR_READER,
         'See the quotas and usage of other projects.',
         'GET /v1/quotas/{project_id}'),
]


def list_rules() -> Sequence[policy.RuleDefault]:
    return _RULES
