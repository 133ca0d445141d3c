# SPDX-License-Identifier: Apache-2.0
"""Is a value of the contract what its dataclass says, and plain?

The journal keeps values as JSON; an operation that another conductor goes on
with gets them from there. All functions return what is wrong, as sentences.
"""

import collections.abc
import dataclasses
import enum
import pickle
import types
import typing
from typing import Any, TypeVar

import orjson

T = TypeVar('T')


def flaws(value: Any) -> list[str]:
    """What is wrong with a dataclass of the contract."""
    found = type_flaws(value)
    if found:
        return found
    name = type(value).__name__
    try:
        text = orjson.dumps(dataclasses.asdict(value),
                            option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError) as error:
        return [f'{name} cannot be written as JSON: {error}']
    found = _untrue(value, orjson.loads(text), name)
    try:
        # What is read back was written in the line before.
        if pickle.loads(pickle.dumps(value)) != value:  # noqa: S301
            found.append(f'{name} is another after pickling')
    except Exception as error:  # noqa: BLE001 - any object may be in there
        found.append(f'{name} cannot be pickled: {error!r}')
    return found


def restored(value: T) -> T:
    """A Handle or Pending as the next process gets it from the journal."""
    kind: Any = type(value)
    plain = dataclasses.asdict(typing.cast(Any, value))
    return typing.cast(T, kind(**orjson.loads(orjson.dumps(plain))))


def type_flaws(value: Any) -> list[str]:
    """Which fields are not of the type that the dataclass gives them."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return [f'{value!r} is no value of the contract']
    hints = typing.get_type_hints(type(value))
    found = []
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if not _fits(content, hints[field.name]):
            found.append(
                f'{type(value).__name__}.{field.name} is {content!r:.200} '
                f'({type(content).__name__}), not of type '
                f'{_name(hints[field.name])}')
    return found


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(
            _fits(one, arguments[0]) for one in value)
    if origin is collections.abc.Mapping:
        return isinstance(value, collections.abc.Mapping)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is Any:
        return True
    return isinstance(value, hint)


def _name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _untrue(value: Any, back: Any, where: str, free: bool = False
            ) -> list[str]:
    """Where JSON gives back something else.

    :param free: inside a free-form field, where nobody makes a tuple of a
        list again
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [flaw for field in dataclasses.fields(value)
                for flaw in _untrue(getattr(value, field.name),
                                    back[field.name],
                                    f'{where}.{field.name}')]
    if isinstance(value, collections.abc.Mapping):
        if set(map(str, value)) != set(back):
            return [f'{where} has other keys once it was JSON']
        return [flaw for key, one in value.items() for flaw in _untrue(
            one, back[key], f'{where}[{key!r}]', True)]
    if isinstance(value, list | tuple):
        if free and isinstance(value, tuple):
            return [f'{where} is a tuple, which JSON gives back as a list']
        return [flaw for number, (one, other) in enumerate(
                    zip(value, back, strict=True))
                for flaw in _untrue(one, other, f'{where}[{number}]', free)]
    same = value.value == back if isinstance(value, enum.Enum) else (
        type(value) is type(back) and value == back)
    return [] if same else [
        f'{where} is {value!r:.200} but {back!r:.200} once it was JSON']
