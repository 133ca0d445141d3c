# SPDX-License-Identifier: Apache-2.0
"""Which kinds of operation are there?"""

from valence.conductor.operations import (
    attach,
    boot,
    compose,
    power,
    reconcile,
    release,
    sync,
    verify,
)
from valence.conductor.operations.base import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (sync.KIND, compose.KIND, release.KIND, power.KIND,
                 boot.KIND, attach.ATTACH, attach.DETACH, verify.KIND,
                 reconcile.KIND)
}
