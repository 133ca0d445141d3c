# SPDX-License-Identifier: Apache-2.0
"""How Sphinx builds the documentation."""

from valence import version as valence_version

extensions = [
    'openstackdocstheme',
    'oslo_config.sphinxext',
    'oslo_policy.sphinxext',
]

project = 'Valence'
copyright = 'OpenStack contributors'
version = release = valence_version.string()

master_doc = 'index'
html_theme = 'openstackdocs'
pygments_style = 'native'

openstackdocs_repo_name = 'openstack/valence'
openstackdocs_auto_name = False
openstackdocs_auto_version = False
