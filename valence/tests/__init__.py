# SPDX-License-Identifier: Apache-2.0
"""The tests. oslo.service learns about its backend before all else."""

import valence.cmd  # noqa: F401
