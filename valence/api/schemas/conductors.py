# SPDX-License-Identifier: Apache-2.0
"""By what can conductors be chosen, and what is said about them?"""

from valence.api.schemas.common import (
    BOOLEAN,
    COUNT,
    TEXT,
    TIME,
    UUID,
    WORD,
    array,
    listing,
    nullable,
    page,
    resource,
)

CONDUCTOR = resource('Conductor', {
    'uuid': UUID,
    'host': TEXT,
    'pid': COUNT,
    'version': TEXT,
    'drivers': array(TEXT),
    'alive': BOOLEAN,
    'heartbeat_at': TIME,
    'started_at': TIME,
    'stopped_at': nullable(TIME),
})

PAGE = page('conductors', CONDUCTOR)

LIST = listing(PAGE, host=WORD, alive=BOOLEAN)
