# SPDX-License-Identifier: Apache-2.0
"""What a kind of simulated pod has to offer, and which kinds there are.

A kind is a module of this package, named in KINDS, which is imported only
when such a pod is asked for. It has

* ``OPTIONS``, a sequence of oslo.config options in addition to those every
  pod has (options.COMMON: host, port, seed, username, password, auth,
  tls-cert, tls-key, latency, ledger, request-log, state);
* ``build(conf, site) -> Pod``, where ``conf`` holds those options as
  attributes and ``site`` is what the process lends to the pod; it raises
  CannotBuild, with one sentence, where the options make no sense;
* optionally ``BASE``, the path that is added to the origin in the URL shown
  to whoever started the process;
* optionally ``TASKS``, true where ``Request.delay`` is honoured.

Requests are answered one by one, on one thread, and ``handle`` never waits:
whatever it checks still holds when it takes effect. What is to happen later
is given to ``site.later``. Every effect is recorded with ``site.ledger``
before it is answered; where the process keeps its state on disk, the same
records are in ``site.ledger.history`` after a restart (see ledger.py).
"""

import importlib
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from valence.simulator.ledger import Ledger

KINDS = {
    "redfish": "valence.simulator.redfish.pod",
    "rsd": "valence.simulator.rsd.pod",
    "eem": "valence.simulator.eem.pod",
}

Later = Callable[[float, Callable[[], None]], object]


class CannotBuild(Exception):
    """Why there can be no such pod, in one sentence."""


class CannotChange(Exception):
    """Why a pod does not change as the admin endpoint asks for."""


@dataclass(frozen=True)
class Request:
    """``target`` is the request target as sent: path and query.

    ``delay`` is None where the pod decides whether the call becomes a task,
    otherwise how many seconds the task takes; 0 answers immediately.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    delay: float | None = None


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Site:
    """What the process lends to a pod; ``later`` runs a function after so
    many seconds.
    """

    name: str
    ledger: Ledger
    later: Later


class Pod(Protocol):
    """A simulated pod."""

    def handle(self, request: Request) -> Response:
        """Answer ``request``; every refusal is an answer too."""

    def change(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Change the hardware behind every client's back.

        Returns what became of it; raises CannotChange, and OSError where
        the ledger cannot be written.
        """


def kind(name: str) -> types.ModuleType:
    """The module of a kind of pod; raises CannotBuild."""
    if name not in KINDS:
        raise CannotBuild(f"there is no kind of pod {name!r}; there are "
                          f"{', '.join(KINDS)}.")
    try:
        return importlib.import_module(KINDS[name])
    except ModuleNotFoundError as error:
        raise CannotBuild(
            f"the kind of pod {name!r} is not there: {error}.") from error
