# SPDX-License-Identifier: Apache-2.0
"""Which version of Valence is this?"""

import importlib.metadata


def string() -> str:
    """The version as installed, such as '1.2.0'."""
    try:
        return importlib.metadata.version('valence')
    except importlib.metadata.PackageNotFoundError:
        return '0'
