# SPDX-License-Identifier: Apache-2.0
"""Where is the ExpEther driver? ``ExpEtherDriver``, the entry point."""

from valence.drivers.expether.driver import ExpEtherDriver

__all__ = ['ExpEtherDriver']
