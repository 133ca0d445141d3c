# SPDX-License-Identifier: Apache-2.0
"""Who may define flavors (the operator) and see them (everybody)?"""

from collections.abc import Sequence

from oslo_policy import policy

from valence.policies.base import ADMIN, ANY_READER, rule

_RULES = [
    rule('flavors', 'create', ADMIN, 'Create a flavor.', 'POST /v1/flavors'),
    rule('flavors', 'get', ANY_READER, 'See flavors.',
         'GET /v1/flavors', 'GET /v1/flavors/{flavor}'),
    rule('flavors', 'update', ADMIN, 'Change a flavor.',
         'PATCH /v1/flavors/{flavor}'),
    rule('flavors', 'delete', ADMIN, 'Delete a flavor.',
         'DELETE /v1/flavors/{flavor}'),
]


def list_rules() -> Sequence[policy.RuleDefault]:
    return _RULES
