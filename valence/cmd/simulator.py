# SPDX-License-Identifier: Apache-2.0
"""The valence-simulator command."""

import sys
from collections.abc import Sequence

from valence.simulator import process


def main(argv: Sequence[str] | None = None) -> int:
    """Serve a simulated pod until told to stop; returns the exit code."""
    return process.main(argv)


if __name__ == "__main__":
    sys.exit(main())
