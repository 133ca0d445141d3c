# SPDX-License-Identifier: Apache-2.0
"""Which operation moves a node from which state to which?

Whoever changes the state of a node does so by this table; a change that is
not in it is refused. The drawing in the contributor's documentation is made
from it, by ``python -m valence.common.states``.
"""

from collections import defaultdict
from typing import Final

NONE: Final = 'none'            # there is no such node
COMPOSING: Final = 'composing'
ACTIVE: Final = 'active'
RELEASING: Final = 'releasing'
ERROR: Final = 'error'

#: Stands for an operation of whatever kind.
ANY: Final = 'any'

#: What happens to an operation: it is written down, it ends in one way or
#: the other, what it found is not whole, or an operator ends it.
ACCEPTED: Final = 'accepted'
SUCCEEDED: Final = 'succeeded'
FAILED: Final = 'failed'
UNFINISHED: Final = 'unfinished'
ABANDONED: Final = 'abandoned'

#: (before, kind of the operation, what happens to it, after). Of one kind
#: and event all rows lead to the same state, or to none. Where an event is
#: not listed the state stays.
TRANSITIONS: Final[tuple[tuple[str, str, str, str], ...]] = (
    (NONE, 'compose', ACCEPTED, COMPOSING),
    (ERROR, 'compose', ACCEPTED, COMPOSING),
    (COMPOSING, 'compose', SUCCEEDED, ACTIVE),
    (COMPOSING, 'compose', FAILED, ERROR),
    (COMPOSING, 'compose', FAILED, NONE),
    (ACTIVE, 'attach', ACCEPTED, ACTIVE),
    (ACTIVE, 'boot', ACCEPTED, ACTIVE),
    (ACTIVE, 'detach', ACCEPTED, ACTIVE),
    (ACTIVE, 'power', ACCEPTED, ACTIVE),
    (ACTIVE, 'attach', FAILED, ERROR),
    (ACTIVE, 'boot', FAILED, ERROR),
    (ACTIVE, 'detach', FAILED, ERROR),
    (ACTIVE, 'power', FAILED, ERROR),
    (ACTIVE, 'release', ACCEPTED, RELEASING),
    (ERROR, 'release', ACCEPTED, RELEASING),
    (RELEASING, 'release', SUCCEEDED, NONE),
    (RELEASING, 'release', FAILED, ERROR),
    (ACTIVE, 'quarantine', ACCEPTED, ERROR),
    (ERROR, 'quarantine', ACCEPTED, ERROR),
    (ERROR, 'verify', ACCEPTED, ERROR),
    (ERROR, 'verify', SUCCEEDED, ACTIVE),
    (ACTIVE, 'reconcile', SUCCEEDED, ERROR),
    (NONE, 'reconcile', SUCCEEDED, ACTIVE),
    (NONE, 'reconcile', UNFINISHED, ERROR),
    (COMPOSING, ANY, ABANDONED, ERROR),
    (ACTIVE, ANY, ABANDONED, ERROR),
    (RELEASING, ANY, ABANDONED, ERROR),
    (ERROR, ANY, ABANDONED, ERROR),
)


def before(kind: str, event: str, after: str | None = None
           ) -> tuple[str, ...]:
    """The states that a node may be in; empty where there is no such row.

    :param after: only those that lead to this state
    """
    return tuple(row[0] for row in TRANSITIONS
                 if row[1:3] == (kind, event) and after in (None, row[3]))


def after(kind: str, event: str, before: str | None = None) -> str:
    """The state that a node gets that is there, unless it goes.

    :param before: that a node in this state gets
    :raises ValueError: there is none
    """
    found = {row[3] for row in TRANSITIONS
             if row[1:3] == (kind, event) and row[3] != NONE
             and (row[0] == before if before else row[0] != NONE)}
    if len(found) != 1:
        raise ValueError(f'a {kind} that is {event} gives a node no state')
    return found.pop()


def drawing() -> str:
    """The table as arrows, those of several kinds joined."""
    kinds = defaultdict(list)
    for source, kind, event, target in TRANSITIONS:
        kinds[source, event, target].append(kind)
    arrows = [(source, f'--{", ".join(names)} {event}-->', target)
              for (source, event, target), names in kinds.items()]
    width = max(len(label) for _, label, _ in arrows)
    return '\n'.join(f'{source:9} {label:{width}} {target}'
                     for source, label, target in arrows)


if __name__ == '__main__':
    print(drawing())
