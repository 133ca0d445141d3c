# SPDX-License-Identifier: Apache-2.0
"""Which personas do the rules speak of?

========================  ==================================================
admin                     the operator: everything, in all projects
system reader             sees what the operator sees, changes nothing
service                   another service of the cloud: sees the same
project manager           what a member may; for an operator's own rules
project member            composes and releases nodes of the own project
project reader            sees the nodes and operations of the own project
========================  ==================================================
"""

from collections.abc import Sequence

from oslo_policy import policy

#: The service type, which all rule names begin with.
PREFIX = 'composable-hardware'

ADMIN = 'rule:admin'
OPERATOR_READER = 'rule:operator_reader'
PROJECT_MEMBER = 'rule:project_member'
PROJECT_READER = 'rule:project_reader'
#: The own project's, or with ``all_projects`` everybody's.
READER = 'rule:project_reader or rule:operator_reader'
ANY_READER = 'rule:any_reader'

_RULES = [
    policy.RuleDefault(
        'admin', 'role:admin',
        description='The operator of Valence.'),
    policy.RuleDefault(
        'system_reader', 'role:reader and system_scope:all',
        description='Sees what the operator sees.'),
    policy.RuleDefault(
        'service', 'role:service',
        description='Another service of the cloud, such as Ironic.'),
    policy.RuleDefault(
        'operator_reader',
        'rule:admin or rule:system_reader or rule:service',
        description='Sees the hardware, and all projects.'),
    policy.RuleDefault(
        'project_manager',
        'rule:admin or (role:manager and project_id:%(project_id)s)',
        description='Manages a project.'),
    policy.RuleDefault(
        'project_member',
        'rule:project_manager or '
        '(role:member and project_id:%(project_id)s)',
        description='Works on the resources of a project.'),
    policy.RuleDefault(
        'project_reader',
        'rule:project_member or '
        '(role:reader and project_id:%(project_id)s)',
        description='Sees the resources of a project.'),
    policy.RuleDefault(
        'any_reader',
        'rule:operator_reader or role:manager or role:member or role:reader',
        description='Has any role in any project or in the system.'),
]


def list_rules() -> Sequence[policy.RuleDefault]:
    return _RULES


def rule(resource: str, action: str, check: str, description: str,
         *operations: str) -> policy.DocumentedRuleDefault:
    """A rule for ``operations``, each 'METHOD /path'."""
    scopes = (['project'] if check in (PROJECT_MEMBER, PROJECT_READER)
              else ['system', 'project'])
    return policy.DocumentedRuleDefault(
        f'{PREFIX}:{resource}:{action}', check, description,
        [{'method': method, 'path': path} for method, path in
         (operation.split() for operation in operations)],
        scope_types=scopes)
