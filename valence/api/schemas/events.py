# SPDX-License-Identifier: Apache-2.0
"""What does the address of a subscription look like?"""

from valence.api.schemas.common import OPEN, UUID, Schema, body

RECEIVE_QUERY: Schema = body(
    {'pod_manager': UUID,
     'token': {'type': 'string', 'pattern': r'^[0-9a-fA-F]{64}(?![\s\S])'}},
    required=('pod_manager', 'token'))

#: Redfish's Event (DSP0268), or whatever the pod manager sends.
RECEIVE = OPEN
