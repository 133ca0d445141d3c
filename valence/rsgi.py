# SPDX-License-Identifier: Apache-2.0
"""Where does valence-api's own server find the API? Here."""

from oslo_config import cfg

from valence import wsgi
from valence.api.bridge import Bridge

application = Bridge(
    wsgi.application, threads=cfg.CONF.api.threads,
    max_body=cfg.CONF.api.max_body_bytes,
    timeout=cfg.CONF.api.body_timeout)
