# SPDX-License-Identifier: Apache-2.0
"""Who may see racks, systems, devices and zones? The operator."""

from collections.abc import Sequence

from oslo_policy import policy

from valence.policies.base import OPERATOR_READER, rule

_RULES = [
    rule(resource, 'get', OPERATOR_READER, f'See {resource}.',
         f'GET /v1/{resource}', f'GET /v1/{resource}/{{{resource[:-1]}}}')
    for resource in ('racks', 'systems', 'devices', 'zones')
] + [
    rule('usage', 'get', OPERATOR_READER,
         'See how much of the hardware is free.', 'GET /v1/usage'),
]


def list_rules() -> Sequence[policy.RuleDefault]:
    return _RULES
