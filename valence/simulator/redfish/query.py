# SPDX-License-Identifier: Apache-2.0
"""What the query parameters of a GET select: $expand, $skip, $top.

DSP0266 section 7.3 (query parameters).
"""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from valence.simulator.redfish import render
from valence.simulator.redfish.messages import RedfishError
from valence.simulator.resources import Collection, Resource

MAX_LEVELS = 2
_EXPAND = re.compile(r"([.*~])(?:\(\$levels=([0-9]{1,4})\))?", re.ASCII)


@dataclass(frozen=True)
class Query:
    """``expand`` is the kind of expansion, or empty."""

    expand: str = ""
    levels: int = 1
    skip: int = 0
    top: int | None = None

    @property
    def expand_text(self) -> str:
        return f"{self.expand}($levels={self.levels})"


NO_QUERY = Query()


def parse(parameters: dict[str, str], expandable: bool) -> Query:
    """Read ``parameters``; raises RedfishError.

    A parameter beginning with a dollar sign that is not supported is 501,
    any other is ignored (DSP0266 section 7.3).
    """
    expand, levels, skip, top = "", 1, 0, None
    for name, value in parameters.items():
        if name == "$expand" and expandable:
            match = _EXPAND.fullmatch(value)
            if not match:
                raise RedfishError(400, "QueryParameterValueFormatError",
                                   value, name)
            expand, levels = match[1], int(match[2] or 1)
            if not 1 <= levels <= MAX_LEVELS:
                raise RedfishError(400, "QueryParameterOutOfRange", value,
                                   name, f"1..{MAX_LEVELS}")
        elif name == "$skip":
            skip = _number(name, value)
        elif name == "$top":
            top = _number(name, value)
        elif name.startswith("$"):
            raise RedfishError(501, "QueryNotSupported")
    return Query(expand, levels, skip, top)


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise RedfishError(400, "QueryParameterValueFormatError", value, name)
    return int(value)


def select(resource: Resource, query: Query, page_size: int,
           find: Callable[[str], Resource | None]) -> dict[str, Any]:
    """The JSON of ``resource`` as ``query`` asks for it."""
    if isinstance(resource, Collection):
        body = _page(resource, query, page_size)
    elif query.skip or query.top is not None:
        raise RedfishError(400, "QueryNotSupportedOnResource")
    else:
        body = render.document(resource)
    if query.expand:
        return _expand(body, query.expand, query.levels, find)
    return body


def _page(collection: Collection, query: Query,
          page_size: int) -> dict[str, Any]:
    total = len(collection.members)
    if not (page_size or query.skip or query.top is not None):
        return render.document(collection)
    if query.skip > total:
        raise RedfishError(400, "QueryParameterOutOfRange", str(query.skip),
                           "$skip", f"0..{total}")
    stop = total
    if query.top is not None:
        stop = min(total, query.skip + query.top)
    end = min(stop, query.skip + page_size) if page_size else stop
    body = render.page(collection, render.refs(itertools.islice(
        collection.members.values(), query.skip, end)))
    if end < stop:
        link = f"{collection.uri}?$skip={end}"
        if query.top is not None:
            link += f"&$top={stop - end}"
        if query.expand:
            link += f"&$expand={query.expand_text}"
        body["Members@odata.nextLink"] = link
    return body


def _expand(body: dict[str, Any], kind: str, levels: int,
            find: Callable[[str], Resource | None]) -> dict[str, Any]:
    """``body`` with references replaced by what they refer to.

    "." expands outside of Links, "~" inside, "*" both.
    """

    def walk(value: Any, wanted: bool) -> Any:
        if isinstance(value, list):
            return [walk(item, wanted) for item in value]
        if not isinstance(value, dict):
            return value
        uri = value.get("@odata.id")
        if uri is not None and len(value) == 1:
            resource = find(uri) if wanted else None
            if resource is None:
                return value
            inner = render.document(resource)
            if levels > 1:
                inner = _expand(inner, kind, levels - 1, find)
            return inner
        return {name: walk(item, kind in "*~" if name == "Links" else wanted)
                for name, item in value.items()}

    expanded: dict[str, Any] = walk(body, kind in "*.")
    return expanded
