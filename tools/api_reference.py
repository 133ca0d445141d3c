#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What can the API do? Writes its description, for programs and for people.

Without arguments it writes doc/source/reference/openapi.json, and api.rst
beside it out of that and of the samples in samples.json; with ``--check`` it
only says whether they are what it would write. The samples are taken from a
run of the services by

    VALENCE_TEST_SAMPLES=doc/source/reference/samples.json \\
        python -m testtools.run valence.tests.functional.test_openapi
"""

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from generated import REFERENCE, ROOT, main, table

URL = 'http://127.0.0.1:8181'

_HEAD = """\
========
REST API
========

.. This page is written by tools/api_reference.py from the table of routes.

The same for programs is at ``/v1/openapi.json``, which needs no
authentication: an OpenAPI 3.1 document, out of which clients can be
generated. The samples are from a run of the services with a simulated pod.

"""

_COMMON = """\
What is common to all
=====================

Versions
--------

A request asks for a version by the header ``OpenStack-API-Version:
composable-hardware X.Y``, or ``latest``, and gets the oldest without it. The
answer says which it is of. ``/`` and ``/v1`` say which there are.

{versions}

Lists
-----

A page has ``limit`` entries; ``next`` is the address of the page after it,
null on the last. ``sort_key`` and ``sort_dir`` say by what they are sorted,
``fields`` which fields are of interest. What is added meanwhile neither
repeats nor hides anything. ``changes-since`` of operations leaves out what has
not changed since that time.

Changes
-------

PATCH takes a merge patch (RFC 7396; ``application/merge-patch+json`` or
``application/json``) or a JSON Patch (RFC 6902;
``application/json-patch+json``). The ETag of a resource changes with anything
in it: a write with ``If-Match`` is a 412 where somebody else was faster, and a
GET with ``If-None-Match`` a 304 where nobody was. HEAD and OPTIONS work
everywhere.

Errors
------

Every error has the shape of ``Errors``, and a ``code`` for programs:

{codes}

"""


def document() -> dict[str, Any]:
    """What the code says of itself."""
    sys.path.insert(0, str(ROOT))
    from valence.api import openapi, routes

    return openapi.document(routes.ROUTES, URL)


def render(api: Mapping[str, Any], samples: Mapping[str, Any]) -> str:
    """The page, as reStructuredText."""
    operations: dict[str, list[str]] = {}
    for path, methods in api['paths'].items():
        for method, operation in methods.items():
            operations.setdefault(operation['tags'][0], []).extend(
                _operation(api, method, path, operation,
                           samples.get(operation['operationId'])))
    lines = [_HEAD, *table([['path', 'methods'], *(
        [f'``{path}``', ', '.join(map(str.upper, methods))]
        for path, methods in api['paths'].items())]), '', _common()]
    for tag, parts in operations.items():
        lines += [*_heading(tag.replace('_', ' ').capitalize(), '='), *parts]
    lines += _heading('Schemas', '=')
    for name, schema in api['components']['schemas'].items():
        lines += [f'.. _schema-{name}:', '', *_heading(name, '-'),
                  *_fields(schema), '']
    return '\n'.join(line.rstrip() for text in lines
                     for line in text.split('\n')).rstrip() + '\n'


def _common() -> str:
    from valence.api import versions
    from valence.api.schemas.codes import CODES

    return _COMMON.format(
        versions='\n'.join(table([['version', 'what is new'], *(
            [str(version), words]
            for version, words in versions.HISTORY)])),
        codes='\n'.join(table([['code', 'status', 'what to do'], *(
            [f'``{code}``', ', '.join(map(str, statuses)), words]
            for code, (statuses, words) in CODES.items())])))


def _operation(api: Mapping[str, Any], method: str, path: str,
               operation: Mapping[str, Any], sample: Any) -> Iterator[str]:
    yield from _heading(operation['summary'].rstrip('.'), '-')
    yield f'``{method.upper()} {path}`` (``{operation["operationId"]}``)'
    yield ''
    if 'description' in operation:
        yield operation['description']
        yield ''
    rule = operation.get('x-policy')
    yield (f'Policy: ``{rule}``' if rule else 'For everybody, without '
           'authentication') + f'. Since {operation["x-versions"]["since"]}.'
    yield ''
    query = [_resolve(api, parameter)
             for parameter in operation['parameters']]
    for place, title in (('query', 'Query'), ('header', 'Headers')):
        found = [parameter for parameter in query
                 if parameter['in'] == place]
        if found:
            yield from _definitions(title, [
                (parameter['name'], '; '.join(filter(None, (
                    _words(parameter['schema']),
                    parameter.get('description')))))
                for parameter in found])
    if 'requestBody' in operation:
        content = operation['requestBody']['content']
        yield from _heading_of('Body')
        yield from _fields(_resolve(
            api, next(iter(content.values()))['schema']))
        yield ''
    for status, answer in operation['responses'].items():
        if status < '400':
            schema = answer.get('content', {}).get(
                'application/json', {}).get('schema')
            yield (f'**{status}**: ' + _resolve(api, answer)['description']
                   + (f' {_words(schema)}.' if schema else ''))
            yield ''
    yield 'Errors: ' + ', '.join(
        status for status in operation['responses'] if status >= '400') + '.'
    yield ''
    if sample:
        yield from _sample(sample)


def _sample(sample: Mapping[str, Any]) -> Iterator[str]:
    for what in ('request', 'answer'):
        if sample.get(what) is not None:
            yield f'A sample of the {what}:'
            yield ''
            yield '.. code-block:: json'
            yield ''
            yield textwrap.indent(json.dumps(
                sample[what], indent=2, ensure_ascii=False), '   ')
            yield ''


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    rows = list(_rows(schema))
    if not rows:
        yield _words(schema).capitalize() + '.'
        return
    yield from table([['field', 'type', ''], *rows])


def _rows(schema: Mapping[str, Any], prefix: str = '') -> Iterator[list[str]]:
    required = schema.get('required', ())
    for name, part in schema.get('properties', {}).items():
        yield [f'``{prefix}{name}``', _words(part),
               'always' if name in required else '']
        yield from _rows(part, f'{prefix}{name}.')
        items = part.get('items', {})
        yield from _rows(items, f'{prefix}{name}[].')


def _words(schema: Mapping[str, Any]) -> str:
    """What a schema means, in a few words."""
    if '$ref' in schema:
        name = schema['$ref'].rpartition('/')[2]
        return f':ref:`{name} <schema-{name}>`'
    for key in ('anyOf', 'oneOf'):
        if key in schema and 'type' not in schema:
            return ' or '.join(dict.fromkeys(map(_words, schema[key])))
    if 'enum' in schema:
        words = [f'``{"null" if value is None else value}``'
                 for value in schema['enum']]
        return ('one of ' if len(words) > 1 else '') + ', '.join(words)
    kind = schema.get('type')
    if kind is None:
        return 'anything'
    kinds = [kind] if isinstance(kind, str) else list(kind)
    text = ' or '.join({'string': 'text'}.get(one, one) for one in kinds)
    if schema.get('format'):
        text = {'date-time': 'time', 'uri': 'URL'}[schema['format']] + (
            ' or null' if 'null' in kinds else '')
    if 'array' in kinds:
        text += f' of {_words(schema["items"])}'
    least, most = schema.get('minimum'), schema.get('maximum')
    if most is not None:
        text += f' from {least} to {most}'
    if schema.get('maxLength'):
        text += f', at most {schema["maxLength"]} characters'
    return text


def _resolve(api: Mapping[str, Any], part: Mapping[str, Any]
             ) -> Mapping[str, Any]:
    if '$ref' in part:
        found: Any = api
        for name in part['$ref'].split('/')[1:]:
            found = found[name]
        return _resolve(api, found)
    return part


def _definitions(title: str, entries: list[tuple[str, str]]
                 ) -> Iterator[str]:
    yield from _heading_of(title)
    for name, words in entries:
        yield f'``{name}``'
        yield f'    {words}'
    yield ''


def _heading_of(title: str) -> Iterator[str]:
    yield f'**{title}**'
    yield ''


def _heading(title: str, line: str) -> Iterator[str]:
    yield title
    yield line * len(title)
    yield ''


def pages() -> dict[Any, str]:
    """What is to be written, by where."""
    api = document()
    taken = REFERENCE / 'samples.json'
    samples = json.loads(taken.read_text()) if taken.exists() else {}
    return {
        REFERENCE / 'openapi.json': json.dumps(api, indent=1) + '\n',
        REFERENCE / 'api.rst': render(api, samples),
    }


if __name__ == '__main__':
    sys.exit(main(__doc__, pages()))
