# SPDX-License-Identifier: Apache-2.0
"""A Valence driver for the Acme chassis bridge."""
