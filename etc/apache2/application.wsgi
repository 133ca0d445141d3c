"""What mod_wsgi loads; VALENCE_CONFIG_FILES may name other files."""

from valence.wsgi import application  # noqa: F401
