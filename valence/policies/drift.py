# SPDX-License-Identifier: Apache-2.0
"""Who may see in what hardware differs from the records? The operator."""

from collections.abc import Sequence

from oslo_policy import policy

from valence.policies.base import OPERATOR_READER, rule

_RULES = [
    rule('drift', 'get', OPERATOR_READER,
         'See in what pods differ from what Valence knows of them.',
         'GET /v1/drift', 'GET /v1/drift/{drift}'),
]


def list_rules() -> Sequence[policy.RuleDefault]:
    return _RULES
