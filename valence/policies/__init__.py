# SPDX-License-Identifier: Apache-2.0
"""Which policy rules are there?"""

import itertools
from collections.abc import Sequence

from oslo_policy import policy

from valence.policies import (
    base,
    conductors,
    drift,
    flavors,
    inventory,
    nodes,
    operations,
    pod_managers,
    quotas,
)


def list_rules() -> Sequence[policy.RuleDefault]:
    """All rules, for the enforcer and for oslo.policy's sample."""
    return tuple(itertools.chain(
        base.list_rules(),
        pod_managers.list_rules(),
        drift.list_rules(),
        inventory.list_rules(),
        flavors.list_rules(),
        nodes.list_rules(),
        operations.list_rules(),
        quotas.list_rules(),
        conductors.list_rules(),
    ))
