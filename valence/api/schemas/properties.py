# SPDX-License-Identifier: Apache-2.0
"""How are a node's requirements written, in a flavor or in a request?"""

from collections.abc import Iterable
from typing import Any

from valence.api.schemas.common import Schema, body
from valence.common import devices, errors

_MAX_MEMORY_MIB = 1 << 30        # 1 PiB
_MAX_CORES = 1 << 20
_MAX_DEVICES = 64

_WORD: Schema = {
    'type': 'string', 'minLength': 1, 'maxLength': 64,
    'pattern': r'^[^\x00-\x1f\x7f]+(?![\s\S])',
    'description': 'a text without control characters',
}


def _number(most: int) -> Schema:
    # As a string, as clients of the first Valence wrote it.
    return {
        'anyOf': [
            {'type': 'integer', 'minimum': 1, 'maximum': most},
            {'type': 'string',
             'pattern': r'^0{0,11}[1-9][0-9]{0,11}(?![\s\S])'},
        ],
        'description': f'a whole number from 1 to {most}, or the same as a '
                       'decimal string',
    }


def _any_case(words: Iterable[str]) -> str:
    return '|'.join(''.join(f'[{letter.upper()}{letter}]' for letter in word)
                    for word in words)


def _part(**fields: Schema) -> Schema:
    return body(fields, minProperties=1)


PROPERTIES: Schema = _part(
    memory=_part(capacity_mib=_number(_MAX_MEMORY_MIB), type=_WORD),
    processor=_part(total_cores=_number(_MAX_CORES), model=_WORD),
    pci_device=body({'type': {
        'type': 'array', 'minItems': 1, 'maxItems': _MAX_DEVICES,
        'items': {
            'type': 'string',
            'pattern': f'^({_any_case(devices.PCI_TYPES)})(?![\\s\\S])',
            'description': 'one of ' + ', '.join(devices.PCI_TYPES)
                           + ', in upper or lower case'},
        'description': 'device types, one entry for each device',
    }}, required=('type',)),
)


#: The same, normalised.
REQUIREMENTS: Schema = body({
    'memory': body({
        'capacity_mib': {
            'type': 'integer', 'minimum': 1, 'maximum': _MAX_MEMORY_MIB},
        'type': _WORD}),
    'processor': body({
        'total_cores': {
            'type': 'integer', 'minimum': 1, 'maximum': _MAX_CORES},
        'model': _WORD}),
    'pci_device': body({'type': {
        'type': 'array', 'items': {'enum': list(devices.PCI_TYPES)}}}),
}, title='Requirements')


def _nullable(schema: Schema) -> Schema:
    """For a merge patch: null removes, at any level."""
    if 'properties' in schema:
        return {
            **{key: value for key, value in schema.items()
               if key not in ('required', 'minProperties')},
            'type': ['object', 'null'],
            'properties': {name: _nullable(value) for name, value
                           in schema['properties'].items()},
        }
    if 'anyOf' in schema:
        return {**schema, 'anyOf': [*schema['anyOf'], {'type': 'null'}]}
    return {**schema, 'type': [schema['type'], 'null']}


PROPERTIES_PATCH: Schema = {**_nullable(PROPERTIES), 'type': 'object'}


def normalise(properties: dict[str, Any], field: str = 'properties'
              ) -> dict[str, Any]:
    """One form for what may be written in several.

    Numbers are integers, device types lower-case, and of the types' order
    nothing remains.

    :param properties: valid by :data:`PROPERTIES`
    :raises BadRequest: a number that is too large
    """
    result: dict[str, Any] = {
        part: dict(values) for part, values in properties.items()}
    for part, name, most in (('memory', 'capacity_mib', _MAX_MEMORY_MIB),
                             ('processor', 'total_cores', _MAX_CORES)):
        value = result.get(part, {}).get(name)
        if value is not None:
            number = int(value)
            if not 1 <= number <= most:
                raise errors.BadRequest(
                    f"'{field}.{part}.{name}' must be from 1 to {most}",
                    field=f'{field}.{part}.{name}')
            result[part][name] = number
    if 'pci_device' in result:
        result['pci_device'] = {'type': sorted(
            kind.lower() for kind in result['pci_device']['type'])}
    return result
