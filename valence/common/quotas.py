# SPDX-License-Identifier: Apache-2.0
"""What of can a project have too much?

Nodes, devices, and devices of each kind, under the kind's own name.
"""

from valence.common.devices import DeviceType

NODES = 'nodes'
DEVICES = 'devices'
RESOURCES = (NODES, DEVICES, *(kind.value for kind in DeviceType))

#: The limit that is none.
UNLIMITED = -1
#: The largest one, which is the largest integer in all databases.
MOST = 2 ** 31 - 1
