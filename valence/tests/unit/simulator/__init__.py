# SPDX-License-Identifier: Apache-2.0
"""Tests of the simulator, over HTTP against a real process."""
