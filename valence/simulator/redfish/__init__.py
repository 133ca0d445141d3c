# SPDX-License-Identifier: Apache-2.0
"""A simulated Redfish pod: inventory, composition, power."""
