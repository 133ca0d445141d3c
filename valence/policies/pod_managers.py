# SPDX-License-Identifier: Apache-2.0
"""Who may register and see pod managers? The operator."""

from collections.abc import Sequence

from oslo_policy import policy

from valence.policies.base import ADMIN, OPERATOR_READER, rule

_RULES = [
    rule('pod_managers', 'create', ADMIN, 'Register a pod manager.',
         'POST /v1/pod_managers'),
    rule('pod_managers', 'get', OPERATOR_READER, 'See pod managers.',
         'GET /v1/pod_managers', 'GET /v1/pod_managers/{pod_manager}'),
    rule('pod_managers', 'update', ADMIN, 'Change a pod manager.',
         'PATCH /v1/pod_managers/{pod_manager}'),
    rule('pod_managers', 'delete', ADMIN, 'Forget a pod manager.',
         'DELETE /v1/pod_managers/{pod_manager}'),
    rule('pod_managers', 'drain', ADMIN,
         'Place no new node on a pod manager.',
         'POST /v1/pod_managers/{pod_manager}/drain'),
    rule('pod_managers', 'sync', ADMIN,
         'Read the inventory of a pod manager again.',
         'POST /v1/pod_managers/{pod_manager}/sync',
         'POST /v1/devices/sync'),
]


def list_rules() -> Sequence[policy.RuleDefault]:
    return _RULES
