# SPDX-License-Identifier: Apache-2.0
"""A simulated ExpEther Manager (EEM) with its EESVs and EEIOs."""
