# SPDX-License-Identifier: Apache-2.0
"""Where does a WSGI server find the API? Here, as ``application``.

For granian, uWSGI, Apache's mod_wsgi and others that import a module. The
configuration files are those in the environment variable
VALENCE_CONFIG_FILES, separated as in PATH; without it, Valence's defaults.
"""

import gc
import logging
import os

from oslo_config import cfg
from oslo_db import exception as db_exc

# First of all: it tells oslo.service about its backend.
import valence.cmd  # noqa: F401
from valence import version
from valence.api import service
from valence.common import faultpoints
from valence.common.vault import Vault
from valence.conf import opts
from valence.db import credentials
from valence.db.engine import Database

_DEFAULT = '/etc/valence/valence.conf'


def _files() -> list[str]:
    names = os.environ.get('VALENCE_CONFIG_FILES')
    if names is None:
        return [_DEFAULT] if os.path.exists(_DEFAULT) else []
    return [name for name in names.split(os.pathsep) if name]


def _check_keys() -> None:
    """A lost key ends the process; a database that is away does not."""
    database = Database.from_conf(cfg.CONF)
    try:
        credentials.require_keys(
            database, Vault.from_file(cfg.CONF.secrets.key_file))
    except db_exc.DBError as error:
        logging.getLogger('valence').warning(
            'the keys of the stored credentials are not checked: %s',
            error.inner_exception)
    finally:
        database.close()


opts.parse(cfg.CONF, [], prog='valence-api', version=version.string(),
           files=_files())
faultpoints.arm(os.environ.get('VALENCE_FAULT'),
                os.environ.get('VALENCE_FAULT_ONCE'))
_check_keys()
application = service.build(cfg.CONF)

# What lives as long as the process is not gone through by each collection:
# that stops all requests for 70 ms (measured).
gc.collect()
gc.freeze()
# A list of 1,000 is some 10,000 objects that all live until it is answered:
# the collections meanwhile find nothing and took a third of its time
# (measured).
gc.set_threshold(50_000, 20, 20)
