# SPDX-License-Identifier: Apache-2.0
"""What does this property say, if it says anything usable at all?

Services send strings for booleans and numbers, null for objects, text where
an array belongs. These accessors give the wanted type or nothing, and never
raise: what a backend sends must not be able to stop a scan.
"""

from collections.abc import Collection
from typing import Any

from valence.drivers import base
from valence.drivers.http_links import printable

#: The largest number that the inventory's integer columns hold.
MAX_INTEGER = 2 ** 31 - 1


def obj(value: Any) -> dict[str, Any]:
    """A JSON object, or an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in an array; a single object counts as one."""
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        return []
    return [one for one in value if isinstance(one, dict)]


def text(value: Any, length: int = 255) -> str | None:
    """One line of text; None where there is none."""
    if not isinstance(value, str):
        if value is None or isinstance(value, bool) or not isinstance(
                value, int):
            return None
        value = str(value)
    return printable(value, length) or None


def texts(value: Any) -> tuple[str, ...]:
    """The texts in an array; a single text counts as one."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return ()
    return tuple(one for one in map(text, value[:256]) if one)


def tag(value: Any) -> str | None:
    """A text that is a node's tag; None where it is another."""
    return value if isinstance(value, str) and base.TAG.fullmatch(
        value) else None


def declared(words: tuple[str, ...], told: Collection[str]
             ) -> tuple[str, ...]:
    """Those of a driver's ``words`` that a backend tells too.

    What it tells beside them is no promise that the driver has made.
    """
    return tuple(one for one in words if one in told)


def number(value: Any) -> float | None:
    """A finite number that is not negative."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value[:40])
        except ValueError:
            return None
    if not isinstance(value, int | float):
        return None
    try:
        real = float(value)
    except OverflowError:
        return None
    return real if 0 <= real < 2.0 ** 63 else None


def integer(value: Any) -> int | None:
    """A whole number that the inventory can hold."""
    real = number(value)
    if real is None or real > MAX_INTEGER:
        return None
    return int(real)


def total(values: Any) -> int | None:
    """The sum of those that are numbers; None where none is."""
    known = [one for one in values if one is not None]
    return min(int(sum(known)), MAX_INTEGER) if known else None


def flag(value: Any) -> bool | None:
    """A boolean, also as text: one emulator says "false" (a string)."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {'true': True, 'false': False}.get(value.strip().lower())
    return None


def reference(value: Any) -> Any:
    """The ``@odata.id`` of a link."""
    return value.get('@odata.id') if isinstance(value, dict) else None


def health(body: dict[str, Any]) -> str | None:
    """The worst that ``Status`` tells (DSP0268, Status object)."""
    status = obj(body.get('Status'))
    return text(status.get('HealthRollup')) or text(status.get('Health'))


def state(body: dict[str, Any]) -> str | None:
    return text(obj(body.get('Status')).get('State'))


def absent(body: dict[str, Any]) -> bool:
    """An empty slot or bay, described by the service all the same."""
    return state(body) == 'Absent'


def compact(**values: Any) -> dict[str, Any]:
    """A dict of those that say something."""
    return {key: value for key, value in values.items()
            if value is not None and value != '' and value != ()}
