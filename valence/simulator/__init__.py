# SPDX-License-Identifier: Apache-2.0
"""Simulated pods to run Valence against, independent of the rest of it."""
