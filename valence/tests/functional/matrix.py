# SPDX-License-Identifier: Apache-2.0
"""Which fault is tried on which operation, and when?

All is drawn from a number, the seed. Each seed has every cell of the matrix,
a fault point and a kind of operation, once: the conductor's points in ten
requests of each kind, and the API's three points in three of these. What a
seed varies is the order, the passage of the point that counts, what happens
there, the pod (one answers at once, the other in the background), how many
conductors there are, and the requests that race with others. One compose of
each seed is deleted meanwhile, and the passage is one of its undo's.
"""

import dataclasses
import random
from collections.abc import Iterable

from valence.conductor.operations import KINDS as _KINDS

KINDS = ('compose', 'release', 'power', 'boot', 'attach', 'detach', 'sync')
#: Left out where there is little time: they take several requests each.
SLOW_KINDS = ('verify', 'reconcile')
#: They change no hardware.
_READING = ('sync', *SLOW_KINDS)
PODS = {
    'at-once': ('--attach', 'action'),
    'in-the-background': ('--attach', 'patch', '--tasks', '--task-calls',
                          'all', '--task-delay', '0.3'),
}

API_POINTS = ('K0', 'K1', 'K2')
#: Passed where a change is sent to hardware.
CHANGE_POINTS = ('K6',)
#: Passed where the backend works in the background.
TASK_POINTS = ('K9', 'K10')
#: Passed once for each step.
STEP_POINTS = ('K5', 'K7', 'K8')
OTHER_POINTS = ('K3', 'K4', 'K11', 'K12')
#: Steps for pods without tags, and for conductors that are told of events.
_ABSENT = ('prepare', 'subscribe')

#: What happens at a conductor's point, by the seed, and by how many: a lone
#: conductor is its own successor and can only be killed.
LAYOUTS = (
    (1, ('kill',)),
    (2, ('kill', 'kill', 'raise')),
    (2, ('kill', 'kill', 'kill', 'stop')),
)
ACTIONS = ('kill', 'raise', 'stop')
#: Another request for a node that is being composed.
DELETE = 'delete'
#: Which passage of a step's point is the undo's first then.
_UNDO = 2
#: Of so many requests one is followed by another for the same node.
_RACES = 4


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is armed for one request."""

    point: str
    nth: int
    action: str


@dataclasses.dataclass(frozen=True)
class Ask:
    """A request with its faults; ``rival`` is a request beside it.

    ``delete`` leads a compose to its undo, which has the fault.
    """

    kind: str
    pod: str
    faults: tuple[Fault, ...]
    rival: str | None = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """``rounds``: what is asked for at the same time."""

    conductors: int
    rounds: tuple[tuple[Ask, ...], ...]


def points(kind: str) -> Iterable[str]:
    """The conductor's points that a kind of operation passes."""
    changes = () if kind in _READING else (*CHANGE_POINTS, *TASK_POINTS)
    return (*(point for point in OTHER_POINTS
              # Nobody asks for a reconciler, so no message names it.
              if (point, kind) != ('K3', 'reconcile')),
            *STEP_POINTS, *changes)


def api_points(kind: str) -> Iterable[str]:
    """The API's points that the request for it passes."""
    return () if kind == 'reconcile' else API_POINTS


def cells(kinds: Iterable[str] = KINDS) -> set[tuple[str, str]]:
    """The whole matrix: (point, kind)."""
    return {(point, kind) for kind in kinds
            for point in (*api_points(kind), *points(kind))}


def plan(seed: int, kinds: Iterable[str] = KINDS) -> Plan:
    """All cells, once."""
    draw = random.Random(seed)
    conductors, actions = LAYOUTS[seed % len(LAYOUTS)]
    rounds: list[list[Ask]] = [[] for _ in range(5)]
    for number, kind in enumerate(kinds):
        slots = [(index, pod) for index in range(len(rounds))
                 for pod in PODS]
        faults: dict[tuple[int, str], list[Fault]] = {
            slot: [] for slot in slots}
        # One point is for the undo: there a delete finds it composing.
        undone = draw.choice(STEP_POINTS) if kind == 'compose' else None
        late = [point for point in points(kind)
                if point in TASK_POINTS or point == undone]
        rest = [point for point in points(kind) if point not in late]
        draw.shuffle(slots)
        draw.shuffle(rest)
        # What only one of the pods has takes the slots of that one first.
        for point in (*late, *rest):
            slot = next(slot for slot in slots if not faults[slot] and (
                point not in late or slot[1] == 'in-the-background'))
            faults[slot].append(Fault(
                point, _UNDO + draw.randrange(len(_KINDS[kind].undo))
                if point == undone
                else draw.randint(1, _passages(point, kind)),
                draw.choice(actions)))
        for place, point in enumerate(api_points(kind)):
            # The API's points are passed once a request.
            faults[draw.choice(slots)].insert(0, Fault(
                point, 1,
                ACTIONS[(seed + number + place) % len(ACTIONS)]))
        for (index, pod), armed in faults.items():
            if armed:
                rival = (draw.choice(('power', 'boot'))
                         if draw.randrange(_RACES) == 0 else None)
                if any(fault.point == undone for fault in armed):
                    rival = DELETE
                rounds[index].append(Ask(kind, pod, tuple(armed), rival))
    for asked in rounds:
        draw.shuffle(asked)
    return Plan(conductors, tuple(map(tuple, rounds)))


def missed(ask: Ask, subject: str, armed: Iterable[str]) -> Ask | None:
    """What of ``ask`` has to be asked again; None where nothing has.

    :param armed: what did not fire, ``POINT.SUBJECT.NTH.ACTION`` each
    """
    left = {point for point, of, *_ in (one.split('.') for one in armed)
            if of == subject}
    faults = tuple(fault for fault in ask.faults if fault.point in left)
    rival = ask.rival if ask.rival == DELETE else None
    return (dataclasses.replace(ask, faults=faults, rival=rival)
            if faults else None)


def _passages(point: str, kind: str) -> int:
    if point not in STEP_POINTS:
        return 1
    return sum(step.name not in _ABSENT for step in _KINDS[kind].steps)
