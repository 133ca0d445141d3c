# SPDX-License-Identifier: Apache-2.0
"""What can somebody do who knows nothing but the OpenAPI document?"""

from typing import Any
from urllib.parse import quote

import jsonschema
import requests


class Answer:
    """An answer, and where its links lead."""

    def __init__(self, stranger: 'Stranger', described: dict[str, Any],
                 response: requests.Response) -> None:
        self._stranger = stranger
        self._described = described
        self.status = response.status_code
        self.headers = response.headers
        self.body = response.json() if response.content else None

    def follow(self, name: str, **more: Any) -> 'Answer':
        """Do what the link of this name says, with what this answer has."""
        link = self._described['links'][name]
        parameters = {
            parameter: self.at(expression.removeprefix('$response.body#'))
            for parameter, expression in link['parameters'].items()}
        return self._stranger.call(link['operationId'], **parameters, **more)

    def at(self, pointer: str) -> Any:
        value = self.body
        for name in pointer.split('/')[1:]:
            value = value[int(name) if isinstance(value, list) else name]
        return value


class Stranger:
    """Calls operations by their names, as the document describes them.

    Each answer has to be one that it describes.
    """

    def __init__(self, address: str, **session: Any) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        for name, value in session.items():
            setattr(self._session, name, value)
        self.document = self._session.get(address, timeout=180).json()
        self._operations = {
            operation['operationId']: (method, path, operation)
            for path, methods in self.document['paths'].items()
            for method, operation in methods.items()}
        #: What was asked and answered at last, by operation.
        self.samples: dict[str, dict[str, Any]] = {}

    def call(self, name: str, body: Any = None, **parameters: Any) -> Answer:
        """Do what ``name`` says.

        :param parameters: by their names, with _ for -
        """
        method, path, operation = self._operations[name]
        query, headers = {}, {}
        for given in operation['parameters']:
            parameter = self._resolve(given)
            key = parameter['name'].replace('-', '_')
            if key not in parameters:
                if parameter.get('required'):
                    raise ValueError(f'{name} needs {key}')
                continue
            value = parameters.pop(key)
            self._check(parameter['schema'], value)
            if parameter['in'] == 'path':
                path = path.replace(
                    '{%s}' % parameter['name'], quote(value, safe=''))
            elif parameter['in'] == 'query':
                query[parameter['name']] = (
                    ','.join(value) if isinstance(value, list)
                    else str(value).lower() if isinstance(value, bool)
                    else value)
            else:
                headers[parameter['name']] = value
        if parameters:
            raise ValueError(f'{name} has no {sorted(parameters)}')
        if body is not None:
            self._check(operation['requestBody']['content'][
                'application/json']['schema'], body)
        response = self._session.request(
            method, self.document['servers'][0]['url'] + path, params=query,
            headers=headers, json=body, timeout=180)
        described = self._resolve(
            operation['responses'][str(response.status_code)])
        answer = Answer(self, described, response)
        if 'content' in described:
            self._check(described['content']['application/json']['schema'],
                        answer.body)
        elif answer.body is not None:
            raise ValueError(f'{name} answers what it does not describe')
        if response.ok:
            self.samples[name] = {'request': body, 'answer': answer.body}
        return answer

    def _resolve(self, part: dict[str, Any]) -> dict[str, Any]:
        while '$ref' in part:
            found: Any = self.document
            for key in part['$ref'].split('/')[1:]:
                found = found[key]
            part = found
        return part

    def _check(self, schema: dict[str, Any], value: Any) -> None:
        jsonschema.Draft202012Validator({
            **schema, 'components': self.document['components'],
        }).validate(value)
