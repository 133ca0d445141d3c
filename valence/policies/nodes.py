# SPDX-License-Identifier: Apache-2.0
"""Who may compose, see, drive and release nodes? Their project."""

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
    rule('nodes', 'create', PROJECT_MEMBER, 'Compose a node.',
         'POST /v1/nodes'),
    rule('nodes', 'get', READER, 'See nodes.',
         'GET /v1/nodes', 'GET /v1/nodes/{node}'),
    rule('nodes', 'update', PROJECT_MEMBER,
         'Change the name and description of a node.',
         'PATCH /v1/nodes/{node}'),
    rule('nodes', 'delete', PROJECT_MEMBER, 'Release a node.',
         'DELETE /v1/nodes/{node}'),
    rule('nodes', 'action', PROJECT_MEMBER,
         'Switch the power of a node, set its boot device, attach and '
         'detach devices.',
         'POST /v1/nodes/{node}/action'),
    rule('nodes', 'reset_state', ADMIN,
         'Say that a node is in error, or have its hardware looked at to '
         'make it active again.',
         'POST /v1/nodes/{node}/action'),
    rule('nodes', 'all_projects:get', OPERATOR_READER,
         'See nodes of other projects: by uuid, and in lists with '
         'all_projects=true.',
         'GET /v1/nodes', 'GET /v1/nodes/{node}'),
    rule('nodes', 'all_projects:change', ADMIN,
         'Change nodes of other projects, by uuid.',
         'PATCH /v1/nodes/{node}', 'DELETE /v1/nodes/{node}',
         'POST /v1/nodes/{node}/action'),
]


def list_rules() -> Sequence[policy.RuleDefault]:
    return _RULES
