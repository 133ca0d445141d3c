# SPDX-License-Identifier: Apache-2.0
"""Which requests go wrong, and how: the rules of the admin endpoint.

A rule is a JSON object:

``fault``
    One of the names below, with its parameters beside it.
``method``
    A method or a list of them; without it, any.
``path``
    A glob over the path without its query, ``*`` also matching slashes;
    without it, any.
``nth``
    A number or a list of them: only the nth of the matching requests,
    counted from 1 when the rule is made. Without it, every one.
``probability``, ``seed``
    Whether a request is hit is drawn from a generator of its own, so that
    the same seed (default: 0) hits the same requests again.
``times``
    The rule is over after so many hits.
``effect``
    Whether the request takes effect on the hardware. The default is given
    below, as true or false; where there is none it always does.

Of several rules that hit one request the first decides how it is answered,
but latency adds up, and ``task`` and ``immediate`` go with any other.

==============  ======  ====================================================
fault           effect  what the client sees
==============  ======  ====================================================
latency                 the true answer, after ``seconds`` (1); the request
                        takes effect after them
task                    202 and a task that takes ``seconds`` (0.5); refused
                        for a pod of a kind that has no tasks
immediate               no task even where the pod would make one; the same
status          false   ``status`` (500), ``headers``, and a ``body`` (an
                        object or a text; default: a Redfish error)
deny            true    the same: effect without success
pretend         false   success without effect: ``status`` (204), ``body``,
                        ``location``, ``headers``
reset           false   the connection is reset, without a byte
hang            false   nothing for ``seconds`` (600), then a reset
truncate                the true head, and then half of the body, or
                        ``bytes`` of it
drip                    the true answer, head and all, in pieces of
                        ``bytes`` (1), ``seconds`` (0.1) apart
giant                   the true answer grown to ``bytes`` (64 MiB)
compressed              the true answer gzipped, unasked; grown to
                        ``bytes`` first (64 MiB) unless that is 0
deep                    the true answer with ``levels`` (100000) of nesting
cyclic                  every reference, and nextLink, leads back to the
                        resource that was asked for
pages                   a collection whose nextLink never ends
endless                 a body that never ends, of ``bytes`` at most if
                        given
garbage                 200 with ``text`` (an HTML page) of ``type``
rewrite                 the true answer with every match of the regular
                        expression ``pattern`` in its body and Location
                        replaced with ``replacement``
alter                   the answer to another request: ``pattern`` in its
                        body replaced with ``replacement`` first, such as
                        Preview with Apply
stale                   the first answer to this very target since the rule
                        was made; reads only
crash           true    the process is killed after the effect, or before it
==============  ======  ====================================================
"""

import asyncio
import fnmatch
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_MIB = 1 << 20
_NUMBER = (int, float)
_ANY = (dict, list, str, type(None))
_MODIFIERS = ("latency", "task", "immediate")
_READS = ("GET", "HEAD")

# fault: whether the request takes effect by default, or None where that
# cannot be chosen; and the parameters, their types and defaults.
_FAULTS: dict[str, tuple[bool | None, dict[str, tuple[Any, Any]]]] = {
    "latency": (None, {"seconds": (_NUMBER, 1)}),
    "task": (None, {"seconds": (_NUMBER, 0.5)}),
    "immediate": (None, {}),
    "status": (False, {"status": (int, 500), "body": (_ANY, ...),
                       "headers": (dict, {})}),
    "deny": (True, {"status": (int, 500), "body": (_ANY, ...),
                    "headers": (dict, {})}),
    "pretend": (False, {"status": (int, 204), "body": (_ANY, None),
                        "location": (str, ""), "headers": (dict, {})}),
    "reset": (False, {}),
    "hang": (False, {"seconds": (_NUMBER, 600)}),
    "truncate": (None, {"bytes": (int, -1)}),
    "drip": (None, {"bytes": (int, 1), "seconds": (_NUMBER, 0.1)}),
    "giant": (None, {"bytes": (int, 64 * _MIB)}),
    "compressed": (None, {"bytes": (int, 64 * _MIB)}),
    "deep": (None, {"levels": (int, 100_000)}),
    "cyclic": (None, {}),
    "pages": (None, {}),
    "endless": (None, {"bytes": (int, 0)}),
    "garbage": (None, {"text": (str, "<html><body>It works!</body></html>"),
                       "type": (str, "text/html")}),
    "rewrite": (None, {"pattern": (str, ""), "replacement": (str, "")}),
    "alter": (None, {"pattern": (str, ""), "replacement": (str, "")}),
    "stale": (None, {}),
    "crash": (True, {}),
}
_COMMON = ("fault", "method", "path", "nth", "probability", "seed", "times",
           "effect")


class BadRule(Exception):
    """Why there can be no such rule, in one sentence."""


@dataclass
class Rule:
    """``seen`` counts the requests that match, ``fired`` those hit."""

    id: int
    given: dict[str, Any]
    fault: str
    effect: bool
    methods: frozenset[str] | None
    path: re.Pattern[str] | None
    nth: frozenset[int] | None
    probability: float | None
    times: int | None
    parameters: dict[str, Any]
    random: random.Random
    seen: int = 0
    fired: int = 0
    remembered: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, parameter: str) -> Any:
        return self.parameters[parameter]

    def describe(self) -> dict[str, Any]:
        return {"id": self.id, "seen": self.seen, "fired": self.fired,
                **self.given}

    def meets(self, method: str, path: str) -> bool:
        """Count this request if it matches; whether it is hit."""
        if self.methods is not None and method not in self.methods:
            return False
        if self.path is not None and not self.path.fullmatch(path):
            return False
        if self.fault == "stale" and method not in _READS:
            return False
        self.seen += 1
        if self.nth is not None and self.seen not in self.nth:
            return False
        if (self.probability is not None
                and self.random.random() >= self.probability):
            return False
        return self.times is None or self.fired < self.times


@dataclass
class Hit:
    """What one request is in for; ``delay`` is that of pods.Request."""

    latency: float = 0.0
    delay: float | None = None
    rule: Rule | None = None


class Rules:
    """The rules of one pod."""

    def __init__(self, tasks: bool = True) -> None:
        """``tasks``: the pod has any."""
        self._tasks = tasks
        self._rules: dict[int, Rule] = {}
        self._count = 0
        self._fired = asyncio.Event()
        self._cleared = asyncio.Event()

    def add(self, given: Mapping[str, Any]) -> Rule:
        """Make a rule; raises BadRule."""
        rule = _read(self._count + 1, dict(given))
        if rule.fault in ("task", "immediate") and not self._tasks:
            raise BadRule(f"{rule.fault}: a pod of this kind has no tasks.")
        self._count += 1
        self._rules[rule.id] = rule
        return rule

    def get(self, number: int) -> Rule | None:
        return self._rules.get(number)

    def all(self) -> list[Rule]:
        return list(self._rules.values())

    def remove(self, *numbers: int) -> None:
        """Forget these rules, and let whatever hangs by them go."""
        for number in numbers:
            self._rules.pop(number, None)
        self._cleared.set()
        self._cleared = asyncio.Event()

    def clear(self) -> None:
        self.remove(*self._rules)

    def meet(self, method: str, path: str) -> Hit:
        """What a request that just arrived is in for."""
        hit = Hit()
        for rule in self._rules.values():
            if not rule.meets(method, path):
                continue
            if rule.fault == "latency":
                hit.latency += rule["seconds"]
            elif rule.fault == "task":
                hit.delay = rule["seconds"]
            elif rule.fault == "immediate":
                hit.delay = 0
            elif hit.rule is None:
                hit.rule = rule
            else:
                continue
            rule.fired += 1
            self._fired.set()
            self._fired = asyncio.Event()
        return hit

    async def until(self, rule: Rule, fired: int, seconds: float) -> bool:
        """Wait until ``rule`` fired so often; whether it did in time."""
        try:
            async with asyncio.timeout(seconds):
                while rule.fired < fired:
                    await self._fired.wait()
        except TimeoutError:
            return False
        return True

    async def pause(self, rule: Rule, seconds: float) -> bool:
        """Wait, but no longer than ``rule`` lasts; whether it lasts."""
        try:
            async with asyncio.timeout(seconds):
                while rule.id in self._rules:
                    await self._cleared.wait()
        except TimeoutError:
            return True
        return False


def _read(number: int, given: dict[str, Any]) -> Rule:
    fault = given.get("fault")
    if not isinstance(fault, str) or fault not in _FAULTS:
        raise BadRule(f"fault must be one of {', '.join(_FAULTS)}.")
    effect, known = _FAULTS[fault]
    parameters = {}
    for name in given:
        if name not in _COMMON and name not in known:
            raise BadRule(f"{fault} has no parameter {name!r}.")
    for name, (types, default) in known.items():
        value = given.get(name, default)
        if value is not default:
            _check(name, value, types)
        parameters[name] = value
    if "pattern" in parameters:
        parameters["pattern"] = _compiled(parameters["pattern"])
    if "effect" in given:
        _check("effect", given["effect"], bool)
        if effect is None:
            raise BadRule(f"{fault} has no choice of effect.")
        effect = given["effect"]
    method, nth = given.get("method"), given.get("nth")
    path = given.get("path")
    probability = given.get("probability")
    for name, types in (("path", str), ("probability", _NUMBER),
                        ("times", int), ("seed", int)):
        if name in given:
            _check(name, given[name], types)
    return Rule(
        number, given, fault, bool(effect),
        None if method is None else frozenset(_list("method", method, str)),
        None if path is None else re.compile(fnmatch.translate(path)),
        None if nth is None else frozenset(_list("nth", nth, int)),
        probability, given.get("times"), parameters,
        random.Random(given.get("seed", 0)))


def _check(name: str, value: Any, types: Any) -> None:
    wanted = types if isinstance(types, tuple) else (types,)
    if not isinstance(value, wanted) or (
            isinstance(value, bool) and bool not in wanted) or (
            isinstance(value, _NUMBER) and not isinstance(value, bool)
            and value < 0):
        raise BadRule(f"{name} cannot be {value!r}.")


def _list(name: str, value: Any, kind: type) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    for one in values:
        _check(name, one, kind)
    return values


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise BadRule(f"pattern: {error}.") from error
