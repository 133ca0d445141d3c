# SPDX-License-Identifier: Apache-2.0
"""How is a secret held in memory? As a value that will not be printed."""

import html
import json
import re
from collections.abc import Collection
from typing import Any, NoReturn
from urllib.parse import quote

#: In place of a text that is not safe to show.
LEFT_OUT = '(left out, for it repeats a part of a credential)'

# No quoting changes a run of these. A shorter one says too little about a
# secret, and is in too many other words.
_RUN = re.compile(r'\w{6,}')
_PIECE, _SHORTEST = 8, 6


class Secret:
    """A string that prints as ``***`` and refuses to be serialised.

    Only :meth:`reveal` gives the text, so every place where a secret leaves
    this type can be found by that name.
    """

    __slots__ = ('_text',)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return '***'

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format('***', spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError('a Secret cannot be serialised')


def hide(text: str, secrets: Collection[str]) -> str:
    """What can be shown of a foreign text that may repeat ``secrets``.

    A whole one gives way to ``***``. Where a part of one remains, for it was
    quoted in another way or cut, nothing is shown at all.
    """
    for secret in secrets:
        if len(secret) > 2:
            for form in sorted(_forms(secret), key=len, reverse=True):
                text = text.replace(form, '***')
    for secret in secrets:
        for run in _RUN.findall(secret):
            for at in range(0, len(run) - _SHORTEST + 1, _PIECE):
                if run[at:at + _PIECE] in text:
                    return LEFT_OUT
    return text


def _forms(secret: str) -> set[str]:
    """A secret as it is in JSON, in HTML and in a URL."""
    return {secret, json.dumps(secret)[1:-1], html.escape(secret),
            json.dumps(secret, ensure_ascii=False)[1:-1],
            quote(secret), quote(secret, safe='')}
