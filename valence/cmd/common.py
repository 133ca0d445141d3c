# SPDX-License-Identifier: Apache-2.0
"""How does a command begin, and how does it say that it cannot?"""

import contextlib
import functools
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_log import log

from valence import version
from valence.common import faultpoints, keymanager
from valence.common.vault import Vault, VaultError
from valence.conductor import connection
from valence.conf import opts
from valence.db import credentials, migration
from valence.db.engine import Database, Unusable

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
            except KeyboardInterrupt:
                return 130
            except Exception as error:
                said = sentence(error)
                if said is None:
                    raise
            print(f'{prog}: {said}', file=sys.stderr)
            return 1
        return main
    return decorate


def configure(argv: Sequence[str], prog: str,
              cli_opts: Sequence[Any] = ()) -> cfg.ConfigOpts:
    """Read the command line and the configuration files."""
    conf = cfg.CONF
    if cli_opts:
        conf.register_cli_opts(cli_opts)
    read(conf, argv, prog)
    with names('the log', '[DEFAULT] log_file, log_dir and '
                'log_config_append'):
        opts.set_up_logging(conf)
    os.environ[CONFIG_FILES_VARIABLE] = os.pathsep.join(
        os.path.abspath(name) for name in conf.config_file or ())
    arm_faults()
    return conf


def read(conf: cfg.ConfigOpts, argv: Sequence[str], prog: str) -> None:
    """The command line and the configuration files, with all values.

    :raises CannotStart: they cannot be read, or used
    :raises cfg.Error: the same
    """
    with names('the configuration', '--config-file'):
        opts.read(conf, argv, prog=prog, version=version.string())
    check_values(conf)


def check_values(conf: cfg.ConfigOpts) -> None:
    """Be sure of the values of all options, which are read when used.

    :raises CannotStart: an option has one that it cannot have
    """
    for name in conf:
        value = _value(conf, name, f'[DEFAULT] {name}')
        if isinstance(value, cfg.ConfigOpts.GroupAttr):
            for option in value:
                _value(value, option, f'[{name}] {option}')


def _value(values: Any, name: str, called: str) -> Any:
    try:
        return values[name]
    except cfg.ConfigSourceValueError as error:
        where, _, why = str(error).partition(' is not valid: ')
        file = re.search("detail='(.+?)'", where)
        raise CannotStart(
            f'{called} cannot be used ({why or error}); change it'
            + (f' in {file[1]}' if file else '')) from error
    except (cfg.NoSuchOptError, cfg.TemplateSubstitutionError) as error:
        raise CannotStart(
            f'{called} has a $NAME in it that is no option '
            f'({error.__context__ or error}); write $$ for the character'
        ) from error


@contextlib.contextmanager
def names(what: str, where: str) -> Iterator[None]:
    """Say of an error with files what they are for, and who names them."""
    try:
        yield
    except (OSError, UnicodeError, log.LogConfigError) as error:
        words = ' '.join(str(error).split())
        raise CannotStart(f'cannot use {what} ({words}); see {where}'
                          ) from error


def sentence(error: Exception) -> str | None:
    """What is wrong and what to do, where a user can do something."""
    if isinstance(error, cfg.ConfigFilesNotFoundError):
        return (f'cannot read {", ".join(error.config_files)}; see '
                '--config-file')
    if isinstance(error, (CannotStart, VaultError, migration.SchemaError,
                          Unusable, cfg.Error, connection.DriverNotLoaded)):
        return str(error)
    if isinstance(error, (db_exc.DBError, sa.exc.SQLAlchemyError)):
        return database_sentence(error)
    return None


def arm_faults() -> None:
    """Fail where a test wants it; see valence.common.faultpoints."""
    try:
        faultpoints.arm(os.environ.get('VALENCE_FAULT'),
                        os.environ.get('VALENCE_FAULT_ONCE'))
    except ValueError as error:
        raise CannotStart(str(error)) from error


def database_sentence(error: Exception) -> str:
    """What a user can do about a database that does not answer."""
    if isinstance(error, Unusable):
        return str(error)
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
    except TypeError as error:
        # The driver was called with a parameter that it does not know.
        raise CannotStart(database_sentence(error)) from error
    finally:
        database.close()


def check_conductor(conf: cfg.ConfigOpts) -> None:
    """Be sure of what a conductor's worker makes of ``conf``.

    :raises Exception: of which :func:`sentence` has one
    """
    connection.Drivers(conf.drivers.enabled_drivers)
    keymanager.reader(conf, Vault.from_file(conf.secrets.key_file))


def check_bus(conf: cfg.ConfigOpts) -> None:
    """Be sure that there may be a message bus; it may be away.

    :raises CannotStart: there cannot
    """
    # Not needed, and not imported, where all is in one process.
    from valence.conductor import rpcapi

    try:
        rpcapi.check(conf)
    except ValueError as error:
        raise CannotStart(str(error)) from error
    check_values(conf)


def log_startup(conf: cfg.ConfigOpts, prog: str) -> None:
    logging.getLogger('valence').info('%s %s starts', prog, version.string())
