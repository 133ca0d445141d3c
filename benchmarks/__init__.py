# SPDX-License-Identifier: Apache-2.0
"""How fast is Valence, against what? See README.rst."""
