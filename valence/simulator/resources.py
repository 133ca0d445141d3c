# SPDX-License-Identifier: Apache-2.0
"""What is a Redfish service made of, whatever its dialect?"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Resource:
    """Anything with a URI; ``version`` is the service's generation of its
    last change and makes its ETag.
    """

    uri: str
    version: int = field(default=0, init=False)

    @property
    def etag(self) -> str:
        return f'"{self.version:x}"'


@dataclass(slots=True, eq=False)
class Document(Resource):
    """A resource whose content never changes."""

    body: dict[str, Any]


@dataclass(slots=True, eq=False)
class Collection(Resource):
    """A resource collection; ``members`` is ordered and keyed by URI."""

    schema: str
    name: str
    members: dict[str, Resource]
    extra: dict[str, Any] = field(default_factory=dict)


class Resources:
    """All resources by URI, and how often anything in them changed."""

    def __init__(self) -> None:
        self.generation = 0
        self.resources: dict[str, Resource] = {}

    def add(self, resource: Resource) -> None:
        self.resources[resource.uri] = resource
        resource.version = self.generation

    def touch(self, *changed: Resource) -> None:
        """Give ``changed`` an ETag that was never used before."""
        self.generation += 1
        for resource in changed:
            resource.version = self.generation
