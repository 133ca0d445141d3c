# SPDX-License-Identifier: Apache-2.0
"""Where is the Redfish driver? ``RedfishDriver``, the entry point."""

from valence.drivers.redfish.driver import RedfishDriver

__all__ = ['RedfishDriver']
