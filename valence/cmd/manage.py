# SPDX-License-Identifier: Apache-2.0
"""valence-manage: what an operator does once, or now and then."""

import os
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

from valence.cmd import common
from valence.common import vault
from valence.db import credentials, idempotency, migration, operations
from valence.db.engine import Database

PROG = 'valence-manage'

_MOST_DAYS = 36500


def _db_upgrade(conf: cfg.ConfigOpts) -> None:
    """bring the database's schema to what this Valence needs"""
    kept = Database.from_conf(conf)
    before = migration.version(kept)
    migration.upgrade(kept)
    after = migration.version(kept)
    print(f'the schema is at version {after}'
          + ('' if before == after else f' (it was at {before or "none"})'))


def _db_version(conf: cfg.ConfigOpts) -> None:
    """print the schema's version and the one that is needed"""
    print(f'{migration.version(Database.from_conf(conf)) or "none"} '
          f'(needed: {migration.head()})')


def _db_purge(conf: cfg.ConfigOpts) -> None:
    """forget finished operations that ended a while ago"""
    if not 0 <= conf.command.days <= _MOST_DAYS:
        raise common.CannotStart(f'--days has to be from 0 to {_MOST_DAYS}, '
                                 f'and is {conf.command.days:g}')
    kept, total = Database.from_conf(conf), 0
    age = conf.command.days * 86400.0
    while count := kept.run(operations.purge, age):
        total += count
    while kept.run(idempotency.purge, age):
        pass
    print(f'{total} finished operation(s) forgotten')


def _secrets_create_key(conf: cfg.ConfigOpts) -> None:
    """write a new file with a key for the credentials of pod managers"""
    path = conf.secrets.key_file
    try:
        vault.create_key_file(path)
    except FileExistsError as error:
        raise common.CannotStart(
            f'{path} exists already and is left alone: without its keys the '
            'stored credentials could not be read') from error
    except OSError as error:
        raise common.CannotStart(
            f'cannot write {path} ({error.strerror})') from error
    print(f'wrote a new key to {os.path.abspath(path)}')


def _secrets_add_key(conf: cfg.ConfigOpts) -> None:
    """add a key to the file that decrypts, and does not encrypt yet"""
    keys = _keys(conf)
    _write_keys(conf, [*keys, vault.new_key()])
    print(f'{conf.secrets.key_file} has {len(keys) + 1} keys; copy it to '
          'all hosts, then run "valence-manage secrets rotate --promote" '
          'and copy it again')


def _secrets_rotate(conf: cfg.ConfigOpts) -> int:
    """encrypt all stored credentials with the first key of the file"""
    kept = Database.from_conf(conf)
    migration.check(kept)
    if conf.command.promote:
        *others, last = _keys(conf)
        _write_keys(conf, [last, *others])
    done = credentials.rotate(kept, _vault(conf))
    print(f'{done.changed} pod manager(s) encrypted anew, {done.current} '
          f'had the key already, {len(done.lost)} cannot be read'
          + (f' ({", ".join(done.lost)})' if done.lost else ''))
    return 1 if done.lost else 0


def _secrets_drop_keys(conf: cfg.ConfigOpts) -> None:
    """take all keys but the first out of the file, if no row needs them"""
    kept, first = Database.from_conf(conf), _vault(conf).fingerprint
    needed = sum(count for key, count in credentials.used_keys(kept).items()
                 if key != first)
    if needed:
        raise common.CannotStart(
            f'{needed} pod manager(s) still need another key than the '
            'first; run "valence-manage secrets rotate" before')
    keys = _keys(conf)
    _write_keys(conf, keys[:1])
    print(f'{len(keys) - 1} key(s) dropped; copy {conf.secrets.key_file} to '
          'all hosts')


def _secrets_forget_lost(conf: cfg.ConfigOpts) -> None:
    """forget the credentials whose key is not in the file"""
    names = Database.from_conf(conf).run(
        credentials.forget_lost, _vault(conf).fingerprints)
    print(f'the credentials of {len(names)} pod manager(s) are forgotten'
          + (f'; give them again: {", ".join(names)}' if names else ''))


def _vault(conf: cfg.ConfigOpts) -> vault.Vault:
    return vault.Vault.from_file(conf.secrets.key_file)


def _keys(conf: cfg.ConfigOpts) -> list[str]:
    """The keys in the file; a broken one is left alone."""
    _vault(conf)
    return vault.read_keys(conf.secrets.key_file)


def _write_keys(conf: cfg.ConfigOpts, keys: Sequence[str]) -> None:
    try:
        vault.write_keys(conf.secrets.key_file, keys)
    except OSError as error:
        raise common.CannotStart(
            f'cannot write {conf.secrets.key_file} '
            f'({error.strerror})') from error


_COMMANDS: dict[str, dict[str, Any]] = {
    'db': {'upgrade': _db_upgrade, 'version': _db_version,
           'purge': _db_purge},
    'secrets': {'create-key': _secrets_create_key,
                'add-key': _secrets_add_key,
                'rotate': _secrets_rotate,
                'drop-keys': _secrets_drop_keys,
                'forget-lost': _secrets_forget_lost},
}


def _add_parsers(subparsers: Any) -> None:
    for group, actions in _COMMANDS.items():
        parser = subparsers.add_parser(group)
        inner = parser.add_subparsers(dest='action', required=True)
        for name, function in actions.items():
            action = inner.add_parser(name, help=function.__doc__)
            action.set_defaults(function=function)
            if function is _db_purge:
                action.add_argument(
                    '--days', type=float, default=90.0,
                    help='how many days ago they ended (default: 90)')
            if function is _secrets_rotate:
                action.add_argument(
                    '--promote', action='store_true',
                    help='make the last key of the file the first before')


@common.command(PROG)
def main(argv: Sequence[str]) -> int:
    conf = common.configure(argv, PROG, [cfg.SubCommandOpt(
        'command', handler=_add_parsers, title='commands')])
    return conf.command.function(conf) or 0
