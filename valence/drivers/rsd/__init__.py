# SPDX-License-Identifier: Apache-2.0
"""Where is the RSD driver? ``RsdDriver``, the entry point."""

from valence.drivers.rsd.driver import RsdDriver

__all__ = ['RsdDriver']
