# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a JSON Schema, though a validator takes it?

A validator passes over a keyword that it does not know, so one that is
misspelled checks nothing. Here only what is known passes.
"""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema

END = r'(?![\s\S])'

FORMATS = {'date-time', 'uri'}

_TYPES = {'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'}

#: Which keywords go with which type; with any type the last.
_KEYWORDS = {
    'object': {'properties', 'required', 'additionalProperties',
               'minProperties', 'maxProperties', 'propertyNames', 'if',
               'then', 'else'},
    'array': {'items', 'minItems', 'maxItems', 'uniqueItems'},
    'string': {'pattern', 'minLength', 'maxLength', 'format'},
    'integer': {'minimum', 'maximum'},
    'number': {'minimum', 'maximum'},
}
_ANY = {'type', 'enum', 'anyOf', 'oneOf', 'title', 'description', 'default'}


def problems(schema: Any, place: str = '$') -> Iterator[str]:
    """What is wrong, a sentence each."""
    if place == '$':
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            yield f'{place}: {error.message}'
            return
    if isinstance(schema, bool):
        return
    kinds = schema.get('type', [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    known = _ANY.union(*(_KEYWORDS.get(kind, ()) for kind in kinds))
    # What an alternative or the whole of an object asks for.
    if not kinds and set(schema) <= {'required'}:
        known = {'required'}
    for keyword in sorted(set(schema) - known):
        yield f'{place}: {keyword} is not known for {kinds or "any type"}'
    if not kinds and not {'enum', 'anyOf', 'oneOf', 'required',
                          'description'} & set(schema):
        yield f'{place}: says nothing'
    if set(kinds) - _TYPES:
        yield f'{place}: no type is {kinds}'
    if schema.get('format', 'uri') not in FORMATS:
        yield f'{place}: the format {schema["format"]!r} is not known'
    if 'object' in kinds:
        if 'additionalProperties' not in schema:
            yield f'{place}: does not say whether it is closed'
        if not set(schema.get('required', ())) <= set(
                schema.get('properties', {})):
            yield f'{place}: requires what it does not have'
    if 'array' in kinds and 'items' not in schema:
        yield f'{place}: does not say what is in it'
    if not str(schema.get('pattern', END)).endswith(END):
        yield f'{place}: the pattern has no end'
    if 'pattern' in schema:
        re.compile(schema['pattern'])
    for least, most in (('minimum', 'maximum'), ('minLength', 'maxLength'),
                        ('minItems', 'maxItems'),
                        ('minProperties', 'maxProperties')):
        if schema.get(least, 0) > schema.get(most, float('inf')):
            yield f'{place}: {least} is above {most}'
    for name, part in schema.get('properties', {}).items():
        yield from problems(part, f'{place}.{name}')
    for key in ('items', 'additionalProperties', 'propertyNames'):
        if isinstance(schema.get(key), dict):
            yield from problems(schema[key], f'{place}.{key}')
    for key in ('anyOf', 'oneOf'):
        for index, part in enumerate(schema.get(key, ())):
            yield from problems(part, f'{place}.{key}.{index}')
