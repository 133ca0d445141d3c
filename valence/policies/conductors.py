# SPDX-License-Identifier: Apache-2.0
"""Who may see conductors and the drivers they load? The operator."""

from collections.abc import Sequence

from oslo_policy import policy

from valence.policies.base import OPERATOR_READER, rule

_RULES = [
    rule('conductors', 'get', OPERATOR_READER, 'See conductors.',
         'GET /v1/conductors', 'GET /v1/conductors/{conductor}'),
    rule('drivers', 'get', OPERATOR_READER, 'See drivers.',
         'GET /v1/drivers', 'GET /v1/drivers/{driver}'),
]


def list_rules() -> Sequence[policy.RuleDefault]:
    return _RULES
