# SPDX-License-Identifier: Apache-2.0
"""How does a command begin, and how does it say that it cannot?"""

import functools
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exc

from valence import version
from valence.common import faultpoints
from valence.common.vault import Vault, VaultError
from valence.conf import opts
from valence.db import credentials, migration
from valence.db.engine import Database

#: How the files of the parent's command line reach worker processes.
CONFIG_FILES_VARIABLE = 'VALENCE_CONFIG_FILES'


class CannotStart(Exception):
    """The message is one sentence: what is wrong, and what to do."""


def command(prog: str) -> Callable[[Any], Callable[..., int]]:
    """Make ``function(argv) -> int | None`` a console script.

    What a user can mend ends with one sentence and exit code 1.
    """
    def decorate(function: Any) -> Callable[..., int]:
        @functools.wraps(function)
        def main(argv: Sequence[str] | None = None) -> int:
            arguments = sys.argv[1:] if argv is None else argv
            try:
                return function(arguments) or 0
            except cfg.ConfigFilesNotFoundError as error:
                sentence = f'cannot read {", ".join(error.config_files)}'
            except (CannotStart, VaultError, migration.SchemaError,
                    cfg.Error) as error:
                sentence = str(error)
            except (db_exc.DBError, sa.exc.SQLAlchemyError) as error:
                sentence = database_sentence(error)
            except KeyboardInterrupt:
                return 130
            print(f'{prog}: {sentence}', file=sys.stderr)
            return 1
        return main
    return decorate


def configure(argv: Sequence[str], prog: str,
              cli_opts: Sequence[Any] = ()) -> cfg.ConfigOpts:
    """Read the command line and the configuration files."""
    conf = cfg.CONF
    if cli_opts:
        conf.register_cli_opts(cli_opts)
    opts.parse(conf, argv, prog=prog, version=version.string())
    os.environ[CONFIG_FILES_VARIABLE] = os.pathsep.join(
        os.path.abspath(name) for name in conf.config_file or ())
    arm_faults()
    return conf


def arm_faults() -> None:
    """Fail where a test wants it; see valence.common.faultpoints."""
    try:
        faultpoints.arm(os.environ.get('VALENCE_FAULT'),
                        os.environ.get('VALENCE_FAULT_ONCE'))
    except ValueError as error:
        raise CannotStart(str(error)) from error


def database_sentence(error: Exception) -> str:
    """What a user can do about a database that does not answer."""
    cause = getattr(error, 'inner_exception', None) or error
    cause = getattr(cause, 'orig', None) or cause
    words = ' '.join(str(cause).split())
    return (f'cannot use the database ({words}); see [database] connection, '
            'and whether its server runs')


def check_database(conf: cfg.ConfigOpts) -> None:
    """Be sure of the schema and of the keys before any worker starts."""
    database = Database.from_conf(conf)
    try:
        migration.check(database)
        credentials.require_keys(
            database, Vault.from_file(conf.secrets.key_file))
    finally:
        database.close()


def log_startup(conf: cfg.ConfigOpts, prog: str) -> None:
    logging.getLogger('valence').info('%s %s starts', prog, version.string())
