# SPDX-License-Identifier: Apache-2.0
"""A simulated pod of Intel Rack Scale Design, API 2.1, 2.3 or 2.5."""
