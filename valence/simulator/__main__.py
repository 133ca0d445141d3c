# SPDX-License-Identifier: Apache-2.0
"""Runs the simulator as ``python -m valence.simulator``."""

import sys

from valence.simulator import process

if __name__ == "__main__":
    sys.exit(process.main())
