# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What tools/demo, tools/test and tools/constraints share: finding a Python
# and keeping the virtual environment. Source it; it runs nothing by itself.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# An environment made by somebody else, tox say, is used as it is.
VENV=${VALENCE_VENV:-$ROOT/.venv}

say() { printf '%s\n' "$*" >&2; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Sets PY to a Python >= 3.11 that can make virtual environments: $PYTHON if
# set, else the first that serves. Prints the cure where there is none.
find_python() {
    local candidate needs_venv=''
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
            >/dev/null 2>&1 || continue
        if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            PY=$candidate
            return
        fi
        needs_venv=$candidate
    done
    if [ -n "$needs_venv" ]; then
        die "$needs_venv cannot make virtual environments; run:" \
            "$(as_root)apt-get install --yes python3-venv"
    fi
    if [ -n "${PYTHON:-}" ]; then
        die "PYTHON=$PYTHON is not a Python 3.11 or newer"
    fi
    die "Python 3.11 or newer is needed; run:" \
        "$(as_root)apt-get install --yes python3 python3-venv"
}

as_root() { [ "$(id -u)" -eq 0 ] || printf 'sudo '; }

# The state a virtual environment must have been made from to be up to date.
# Paths are part of it: an environment does not survive being moved.
venv_stamp() {
    (
        cd "$ROOT" && "$PY" -c '
import hashlib, sys
digest = hashlib.sha256(repr((sys.version, sys.prefix, sys.argv[1])).encode())
for name in sys.argv[2:]:
    digest.update(open(name, "rb").read())
print(digest.hexdigest())
' "$ROOT" pyproject.toml setup.cfg constraints.txt tools/lib.sh "$@"
    )
}

# ensure_venv FILE...: .venv holds these requirement files, at the versions
# in constraints.txt, and the project itself, editable. Does nothing where
# that is so already.
ensure_venv() {
    local args=() file stale=''
    [ -z "${VALENCE_VENV:-}" ] || return 0
    find_python
    # Two runs at once take turns. The lock is on a file that always exists.
    if command -v flock >/dev/null 2>&1; then
        exec 9<"$ROOT/pyproject.toml"
        flock 9
    fi
    for file in "$@"; do
        args+=(-r "$ROOT/$file")
        [ "$(cat "$(venv_mark "$file")" 2>/dev/null)" \
            = "$(venv_stamp "$file")" ] || stale=1
    done
    if [ -n "$stale" ] || [ ! -x "$VENV/bin/python" ]; then
        make_venv
        rm -f "$VENV"/.made-from-*
        pip_install "${args[@]}" setuptools \
            || die "installing the requirements failed; see pip's message above"
        # The build uses the pinned pbr and setuptools of the environment.
        pip_install --no-build-isolation --no-deps --editable "$ROOT" \
            || die "installing Valence itself failed; see pip's message above"
        for file in "$@"; do
            venv_stamp "$file" >"$(venv_mark "$file")"
        done
    fi
    exec 9<&-
}

venv_mark() { printf '%s/.made-from-%s' "$VENV" "${1//\//-}"; }

# An empty environment, unless there is one that works.
make_venv() {
    # tox leaves a file of that name, which points to one of its own.
    [ -d "$VENV" ] || rm -f "$VENV"
    say "Setting up $VENV with $("$PY" --version) ..."
    if "$VENV/bin/python" -c '
import os, sys
sys.exit(sys.version_info < (3, 11) or os.path.realpath(sys.prefix)
         != os.path.realpath(sys.argv[1]))' "$VENV" >/dev/null 2>&1 \
            && "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    "$PY" -m venv --clear "$VENV" \
        || die "$PY -m venv failed; run:" \
               "$(as_root)apt-get install --yes python3-venv"
}

pip_install() {
    "$VENV/bin/python" -m pip install -qq --disable-pip-version-check \
        --no-input -c "$ROOT/constraints.txt" "$@" >&2 </dev/null
}
