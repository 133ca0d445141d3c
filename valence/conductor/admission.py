# SPDX-License-Identifier: Apache-2.0
"""Who may be at work at a pod now, and who has to wait for a place?

Pods do not share their places, so one that hangs leaves the threads of the
process to the others. One that is silent has a single place, so that several
of them cannot hold all threads until their breakers open.
"""

import collections
from typing import Generic, Protocol, TypeVar


class Visitor(Protocol):
    """Whoever wants to be at work at a pod."""

    @property
    def pod(self) -> str:
        """The uuid of the pod manager."""

    @property
    def silent(self) -> bool:
        """Whether its last call, as far as known here, got no answer."""


V = TypeVar('V', bound=Visitor)


class Admission(Generic[V]):
    """The places at all pods. Not safe for threads: its user has a lock.

    :param places: at each pod that answers
    """

    def __init__(self, places: int) -> None:
        self._most = places
        self._taken: collections.Counter[str] = collections.Counter()
        self._silent: set[str] = set()
        self._waiting: dict[str, collections.deque[V]] = {}

    def enter(self, visitor: V, at_once: bool = False) -> bool:
        """Take a place, or be put down as one who waits for it.

        :param at_once: do not wait, whether or not there is a place
        """
        self._listen(visitor)
        pod = visitor.pod
        if at_once or self._has_place(pod):
            self._taken[pod] += 1
            return True
        self._waiting.setdefault(pod, collections.deque()).append(visitor)
        return False

    def leave(self, visitor: V) -> list[V]:
        """Give a place back.

        :returns: those who waited and have a place now, first come first
        """
        self._listen(visitor)
        pod = visitor.pod
        self._taken[pod] -= 1
        admitted = []
        waiting = self._waiting.get(pod)
        while waiting and self._has_place(pod):
            self._taken[pod] += 1
            admitted.append(waiting.popleft())
        if not waiting:
            self._waiting.pop(pod, None)
        if not self._taken[pod]:
            del self._taken[pod]
        return admitted

    def send_away(self) -> list[V]:
        """Let nobody wait any more.

        :returns: those who did
        """
        waited = [one for queue in self._waiting.values() for one in queue]
        self._waiting.clear()
        return waited

    def _has_place(self, pod: str) -> bool:
        most = 1 if pod in self._silent else self._most
        return self._taken[pod] < most

    def _listen(self, visitor: V) -> None:
        if visitor.silent:
            self._silent.add(visitor.pod)
        else:
            self._silent.discard(visitor.pod)
