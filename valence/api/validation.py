# SPDX-License-Identifier: Apache-2.0
"""Does what the client sent fit the schema, and if not, what is wrong?

Messages are made here and not taken from jsonschema: those repeat the value
that is wrong, which may be a password.
"""

import datetime
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import jsonschema

from valence.common import errors

Schema = Mapping[str, Any]

_MAX_QUERY = 8192
#: RFC 3339, with no more digits than Python reads.
_TIME = re.compile(
    r'[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-5][0-9]:([0-5][0-9]|60)'
    r'(\.[0-9]{1,30})?([Zz]|[+-][0-9]{2}:[0-5][0-9])')
_INTEGER_DIGITS = 18


def compile_body(schema: Schema) -> Callable[[Any], None]:
    """A function that checks a parsed body.

    :returns: it raises BadRequest with ``field`` like
        ``properties.memory.capacity_mib``
    """
    validator = jsonschema.Draft202012Validator(schema)

    def check(body: Any) -> None:
        error = jsonschema.exceptions.best_match(
            validator.iter_errors(body), key=_relevance)
        if error is not None:
            raise _explain(error)
    return check


def compile_answer(schema: Schema | None) -> Callable[[Any], str | None]:
    """A function that says what is wrong with a parsed answer, if anything.

    :param schema: None is for an answer without a body
    """
    if schema is None:
        return lambda body: None if body is None else 'it has a body'
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.FormatChecker())

    def check(body: Any) -> str | None:
        error = jsonschema.exceptions.best_match(validator.iter_errors(body))
        return error and f'{error.json_path} {error.message[:500]}'
    return check


def compile_query(schema: Schema) -> Callable[
        [str], tuple[dict[str, Any], list[tuple[str, str]]]]:
    """A function that parses and checks a query string.

    Values are strings on the wire; they get the type that the schema has
    for them. A parameter may be given once.
    """
    check = compile_body(schema)
    properties = schema.get('properties', {})
    types = {name: value.get('type') for name, value in properties.items()}
    required = schema.get('required')
    times = [name for name, value in properties.items()
             if value.get('format') == 'date-time']

    def parse(text: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        if not text and not required:
            return {}, []
        pairs = _pairs(text)
        query: dict[str, Any] = {}
        for name, value in pairs:
            if name not in types:
                raise errors.BadRequest(
                    f'unknown query parameter {_short(name)}',
                    field=_short(name, quoted=False))
            if name in query:
                raise errors.BadRequest(
                    f'query parameter {name!r} is given twice', field=name)
            query[name] = _typed(value, types[name])
        check(query)
        for name in times:
            if name in query:
                query[name] = _time(name, query[name])
        return query, pairs
    return parse


def _pairs(text: str) -> list[tuple[str, str]]:
    if len(text) > _MAX_QUERY:
        raise errors.BadRequest('the query string is too long')
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors='strict',
                          max_num_fields=100)
    except (UnicodeDecodeError, ValueError) as error:
        raise errors.BadRequest(
            'the query string is not URL-encoded UTF-8') from error
    if any('\0' in value for pair in pairs for value in pair):
        raise errors.BadRequest('the query string contains a NUL')
    return pairs


def _typed(value: str, kind: Any) -> Any:
    """``value`` as ``kind``, or itself where it is none: see the schema."""
    if kind == 'integer':
        digits = value[1:] if value.startswith('-') else value
        if (digits.isascii() and digits.isdigit()
                and len(digits) <= _INTEGER_DIGITS):
            return int(value)
    elif kind == 'array':
        return value.split(',')
    elif kind == 'boolean':
        return {'true': True, 'false': False}.get(value.lower(), value)
    return value


def _time(name: str, text: str) -> datetime.datetime:
    """The time as the database has it: in UTC, without saying so."""
    if _TIME.fullmatch(text):
        try:
            return datetime.datetime.fromisoformat(
                # There is no leap second in Python.
                (text[:17] + text[17:].replace('60', '59', 1)
                 if text[17:19] == '60' else text).upper()
            ).astimezone(datetime.UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            pass
    raise errors.BadRequest(
        f'{name!r} must be a time like 2026-01-31T12:00:00Z', field=name)


def _relevance(error: Any) -> Any:
    # What is nearest to the root first, and there an unknown field first.
    return (-len(error.absolute_path),
            error.validator == 'additionalProperties')


def _explain(error: Any) -> errors.BadRequest:
    path = [str(part) for part in error.absolute_path]
    if error.validator in ('additionalProperties', 'required'):
        known = error.schema.get('properties', {})
        if error.validator == 'required':
            name = next(name for name in error.validator_value
                        if name not in error.instance)
            problem = 'is required'
        else:
            name = _short(next(name for name in error.instance
                               if name not in known), quoted=False)
            problem = 'is not known here'
        field = '.'.join([*path, name])
        return errors.BadRequest(f'{field!r} {problem}', field=field)
    field = '.'.join(path)
    problem = _which(error) or _problem(error)
    if not field:
        return errors.BadRequest(f'the body {problem}')
    return errors.BadRequest(f'{field!r} {problem}', field=field)


def _which(error: Any) -> str | None:
    """What to do where exactly one of several fields has to be there."""
    if error.validator != 'oneOf':
        return None
    names = [name for choice in error.validator_value
             for name in choice.get('required', ())]
    if len(names) != len(error.validator_value) or any(
            set(choice) != {'required'} for choice in error.validator_value):
        return None
    given = [name for name in names if name in error.instance]
    return (f'must have only one of {" and ".join(given)}' if given
            else f'must have one of {" and ".join(names)}')


def _problem(error: Any) -> str:
    rule, value = error.validator, error.validator_value
    words = error.schema.get('description')
    if words and rule in ('minProperties', 'maxProperties'):
        return f'must be {words}'
    if rule == 'type':
        return f'must be of type {_words(_listed(value))}'
    if rule in ('enum', 'const'):
        return f'must be {_words(_listed(value))}'
    if rule in _PROBLEMS:
        return _PROBLEMS[rule].format(value)
    # A schema that says more than keywords can says it in words as well.
    return f'must be {words}' if words else f'breaks the rule {rule!r}'


_PROBLEMS = {
    'minimum': 'must be at least {}',
    'maximum': 'must be at most {}',
    'minLength': 'must have at least {} character(s)',
    'maxLength': 'must have at most {} characters',
    'minItems': 'must have at least {} item(s)',
    'maxItems': 'must have at most {} item(s)',
    'minProperties': 'must have at least {} field(s)',
    'maxProperties': 'must have at most {} field(s)',
    'uniqueItems': 'must not have the same item twice',
}


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else (value,)


def _words(values: Iterable[Any]) -> str:
    words = ['null' if value is None else str(value) for value in values]
    return (' or '.join(words) if len(words) < 3
            else 'one of ' + ', '.join(words))


def _short(name: str, quoted: bool = True) -> str:
    name = name if len(name) <= 64 else name[:61] + '...'
    return repr(name) if quoted else name
