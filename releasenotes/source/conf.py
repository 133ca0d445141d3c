# SPDX-License-Identifier: Apache-2.0
"""How Sphinx builds the release notes."""

extensions = ['openstackdocstheme', 'reno.sphinxext']

project = 'Valence Release Notes'
copyright = 'OpenStack contributors'
# The notes are of all versions.
version = release = ''

master_doc = 'index'
html_theme = 'openstackdocs'
pygments_style = 'native'

openstackdocs_repo_name = 'openstack/valence'
openstackdocs_auto_name = False
openstackdocs_auto_version = False
