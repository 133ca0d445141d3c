# SPDX-License-Identifier: Apache-2.0
"""valence-status: is this installation fit to run this Valence?"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from valence import version
from valence.cmd import common
from valence.common.vault import Vault, VaultError
from valence.conductor import connection
from valence.conf import opts
from valence.db import credentials, migration, models
from valence.db.engine import Database

PROG = 'valence-status'
Code = upgradecheck.Code
Result = upgradecheck.Result


class Checks(upgradecheck.UpgradeCommands):
    """Each check answers with a code and what to do."""

    def _schema(self) -> Any:
        try:
            migration.check(Database.from_conf(cfg.CONF))
        except migration.SchemaError as error:
            return Result(Code.FAILURE, str(error))
        except Exception as error:
            return Result(Code.FAILURE, common.database_sentence(error))
        return Result(Code.SUCCESS)

    def _drivers(self) -> Any:
        try:
            loaded = set(connection.Drivers(
                cfg.CONF.drivers.enabled_drivers).classes)
        except connection.DriverNotLoaded as error:
            return Result(Code.FAILURE, str(error))
        try:
            with Database.from_conf(cfg.CONF).read() as conn:
                rows = conn.execute(sa.select(
                    models.PodManager.name, models.PodManager.driver)).all()
        except Exception as error:
            return Result(Code.FAILURE, common.database_sentence(error))
        lost = [f'{row.name} ({row.driver})' for row in rows
                if row.driver not in loaded]
        if lost:
            return Result(Code.FAILURE, 'pod managers whose driver is not '
                          f'enabled here: {", ".join(sorted(lost))}')
        return Result(Code.SUCCESS)

    def _keys(self) -> Any:
        try:
            vault = Vault.from_file(cfg.CONF.secrets.key_file)
            database = Database.from_conf(cfg.CONF)
            credentials.require_keys(database, vault)
            used = credentials.used_keys(database)
        except VaultError as error:
            return Result(Code.FAILURE, str(error))
        except Exception as error:
            return Result(Code.FAILURE, common.database_sentence(error))
        old = sum(count for key, count in used.items()
                  if key != vault.fingerprint)
        if old:
            return Result(Code.WARNING, f'{old} pod manager(s) use a key '
                          'that is not the first in the key file; run '
                          '"valence-manage secrets rotate" before it is '
                          'taken out')
        return Result(Code.SUCCESS)

    _upgrade_checks = (
        ('Database schema', _schema),
        ('Drivers', _drivers),
        ('Encryption keys', _keys),
    )


@common.command(PROG)
def main(argv: Sequence[str]) -> int:
    conf = cfg.CONF
    opts.register(conf)
    upgradecheck.register_cli_options(conf, Checks())
    with common.names('the configuration', '--config-file'):
        conf(list(argv), project='valence', prog=PROG,
             version=version.string())
    common.check_values(conf)
    return int(upgradecheck.run(conf))
