# SPDX-License-Identifier: Apache-2.0
"""Which pieces do the schemas share?

Patterns end with ``(?![\\s\\S])``, which is the end of the text in Python
and in ECMA-262 alike; ``$`` lets Python accept a newline after it.
"""

from typing import Any

from valence.api.settings import MAX_LIMIT

Schema = dict[str, Any]

_END = r'(?![\s\S])'
_UUID = (r'[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-'
         r'[0-9a-fA-F]{12}' + _END)

UUID: Schema = {
    'type': 'string',
    'pattern': '^' + _UUID,
    'description': 'a uuid',
}

# Controls (C0, C1), ends of lines, and what only looks like nothing.
_NEVER = r'\x00-\x1f\x7f-\x9f\u2028\u2029/'
_SPACES = r'\x20\xa0\u1680\u2000-\u200a\u202f\u205f\u3000'

#: Can stand in a URL, and cannot be taken for a uuid or for "..". MariaDB
#: compares without the spaces at the end, so there are none.
NAME: Schema = {
    'type': 'string',
    'minLength': 1,
    'maxLength': 255,
    'pattern': (f'^(?!{_UUID})[^{_NEVER}{_SPACES}.]'
                f'([^{_NEVER}]*[^{_NEVER}{_SPACES}])?{_END}'),
    'description': 'a name: without slashes or control characters, not '
                   'beginning with a dot, not beginning or ending with a '
                   'space, and not a uuid',
}

#: Either of both, where a resource is referred to.
IDENT: Schema = {
    'type': 'string',
    'minLength': 1,
    'maxLength': 255,
    'description': 'a uuid or a name',
}

WORD: Schema = {'type': 'string', 'minLength': 1, 'maxLength': 255}

BOOLEAN: Schema = {'type': 'boolean'}

DESCRIPTION: Schema = {
    'type': ['string', 'null'],
    'maxLength': 4096,
}

TEXT: Schema = {'type': 'string'}

COUNT: Schema = {'type': 'integer', 'minimum': 0}

TIME: Schema = {
    'type': 'string', 'format': 'date-time',
    'description': 'a time in UTC (RFC 3339)',
}

URI: Schema = {'type': 'string', 'format': 'uri'}

#: An object whose fields are somebody else's affair.
OPEN: Schema = {'type': 'object', 'additionalProperties': True}

NO_QUERY: Schema = {
    'type': 'object',
    'properties': {},
    'additionalProperties': False,
}


def body(properties: Schema, *, required: tuple[str, ...] = (),
         **more: Any) -> Schema:
    """A JSON object with these fields and no others."""
    schema: Schema = {
        'type': 'object',
        'properties': properties,
        'additionalProperties': False,
        **more,
    }
    if required:
        schema['required'] = list(required)
    return schema


def patch(title: str, properties: Schema) -> Schema:
    """A merge patch (RFC 7396) of these fields.

    :param title: its name in the OpenAPI document
    """
    return body(properties, minProperties=1, title=title)


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    if 'enum' in schema and 'type' not in schema:
        return {**schema, 'enum': [*schema['enum'], None]}
    if isinstance(schema.get('type'), str) and 'title' not in schema:
        return {**schema, 'type': [schema['type'], 'null']}
    return {'anyOf': [schema, {'type': 'null'}]}


def array(items: Schema) -> Schema:
    return {'type': 'array', 'items': items}


def closed(fields: Schema, **more: Any) -> Schema:
    """An object in an answer: these fields, all of them, and no others."""
    return body(fields, required=tuple(fields), **more)


LINKS = array(closed({'rel': {'enum': ['self']}, 'href': URI}))


def resource(title: str, fields: Schema) -> Schema:
    """One resource in an answer.

    :param title: its name in the OpenAPI document
    """
    return closed({**fields, 'links': LINKS}, title=title)


def page(collection: str, schema: Schema, *without: str) -> Schema:
    """One page of a list, and where the next one is.

    :param without: the fields of the resource that lists leave out
    """
    title = schema['title']
    item = body({name: field for name, field in schema['properties'].items()
                 if name not in without},
                # All that is left where the request says ``fields``.
                required=('links',), title=f'{title}Summary')
    return closed({collection: array(item), 'next': nullable(URI)},
                  title=f'{title}Page')


def listing(answer: Schema, *sort_keys: str, **filters: Schema) -> Schema:
    """The query of a list.

    :param answer: a page of it
    :param sort_keys: what it can be sorted by, beside the time of creation
    :param filters: what its entries have to have
    """
    items = next(iter(answer['properties'].values()))['items']
    fields = sorted(items['properties'])
    fields.remove('links')
    return body({
        'limit': {
            'type': 'integer', 'minimum': 1, 'maximum': MAX_LIMIT},
        'marker': {**UUID, 'description':
                   'the uuid of the last entry of the page before'},
        'sort_key': {'enum': ['created_at', *sort_keys]},
        'sort_dir': {'enum': ['asc', 'desc']},
        'fields': {
            'type': 'array', 'items': {'enum': fields}, 'minItems': 1,
            'uniqueItems': True,
            'description': 'names of fields, separated by commas'},
        **filters,
    })
