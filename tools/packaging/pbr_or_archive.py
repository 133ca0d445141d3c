# SPDX-License-Identifier: Apache-2.0
"""Which version does pbr build where git cannot tell it?

This is pbr's own PEP 517 backend, plus one decision taken before it runs.
pbr reads the version from ``PKG-INFO`` (a source distribution) or from git
tags. It fails without git metadata, and calls an untagged history 0.0.1.devN.
So, in this order:

1. ``PBR_VERSION`` is set, or ``PKG-INFO`` exists: pbr decides.
2. This directory is the top of a git checkout and a version tag is
   reachable: pbr decides.
3. A git checkout without such a tag (an untagged or a shallow clone):
   the base version from ``pyproject.toml`` as ``<base>.devN``, N commits.
4. No git metadata, but ``git archive`` filled in ``archive.txt`` from a
   tagged history: that tag, or the next patch version as ``.devN``.
5. Otherwise, and where git is not installed: ``<base>.dev0``.
"""

import os
import pathlib
import re
import subprocess
import tomllib

from pbr.build import *  # noqa: F403, H303 - the hooks are the interface

_HERE = pathlib.Path(__file__).resolve().parent
_ROOT = _HERE.parent.parent
# Release tags as OpenStack writes them: 1.2.3, 1.2.3.0rc1.
_TAG = re.compile(r'\d+\.\d+\.\d+(\.0(a|b|rc)\d+)?')


def _git(*args: str) -> str | None:
    """What git prints, or None where it fails or is not there."""
    try:
        done = subprocess.run(
            ['git', '-C', str(_ROOT), *args], check=True, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _base() -> str:
    text = (_ROOT / 'pyproject.toml').read_text(encoding='utf-8')
    base: str = tomllib.loads(text)['tool']['valence']['base-version']
    return base


def _is_checkout() -> bool:
    """Is this directory itself a checkout, not just inside another one?"""
    top = _git('rev-parse', '--show-toplevel')
    return top is not None and pathlib.Path(top).resolve() == _ROOT


def _from_checkout() -> str | None:
    tags = _git('tag', '--merged', 'HEAD') or ''
    if any(_TAG.fullmatch(tag) for tag in tags.split()):
        return None
    return f'{_base()}.dev{_git("rev-list", "--count", "HEAD") or 0}'


def _from_archive() -> str:
    try:
        text = (_HERE / 'archive.txt').read_text(encoding='utf-8')
    except OSError:
        text = ''
    match = re.search(r'^describe: (\S+?)(?:-(\d+)-g[0-9a-f]+)?$', text, re.M)
    if not match or not _TAG.fullmatch(match[1]):
        return f'{_base()}.dev0'
    tag, distance = match[1], match[2]
    if not distance:
        return tag
    major, minor, patch = re.findall(r'\d+', tag)[:3]
    # A pre-release leads to its own release, a release to the next patch.
    step = 0 if re.search('a|b|rc', tag) else 1
    return f'{major}.{minor}.{int(patch) + step}.dev{distance}'


def version() -> str | None:
    """The version to tell pbr, or None where pbr finds it by itself."""
    if os.environ.get('PBR_VERSION') or (_ROOT / 'PKG-INFO').exists():
        return None
    return _from_checkout() if _is_checkout() else _from_archive()


_version = version()
if _version is not None:
    os.environ['PBR_VERSION'] = _version
