# SPDX-License-Identifier: Apache-2.0
"""What the simulator can be told on its command line and in its files.

Without ``--pod`` there is one Redfish pod, and the command line is about
it. Each ``--pod KIND[,option=value...]``, and each section ``[pod:NAME]``
of a configuration file, is one more pod with options of its own; options
it leaves out it takes from the command line, but not the port nor any path
of a file.
"""

import contextlib
import importlib.metadata
import io
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg, types

from valence.simulator import pods

PROG = "valence-simulator"

# What every pod has.
COMMON = (
    cfg.HostAddressOpt("host", default="127.0.0.1",
                       help="Address to listen on."),
    cfg.PortOpt("port", default=0,
                help="Port to listen on; 0 picks a free one."),
    cfg.IntOpt("seed", default=1,
               help="What the inventory is generated from: the same seed and "
                    "numbers give the same pod, byte for byte."),
    cfg.StrOpt("username", default="admin", help="The only account."),
    cfg.StrOpt("password", default="password", secret=True,
               help="Its password."),
    cfg.StrOpt("auth", default="both",
               choices=["basic", "session", "both", "none"],
               help="Which authentication is accepted."),
    cfg.StrOpt("tls-cert", help="PEM certificate chain; turns TLS on."),
    cfg.StrOpt("tls-key", help="PEM private key of the certificate."),
    cfg.FloatOpt("latency", default=0.0, min=0,
                 help="Seconds every request waits before it is looked at."),
    cfg.StrOpt("ledger",
               help="File to append every effect to, one JSON object per "
                    "line, before it is answered."),
    cfg.StrOpt("request-log",
               help="File to append every request to on arrival, one JSON "
                    "object per line."),
    cfg.StrOpt("state",
               help="Directory that keeps the state of the pod, so that a "
                    "simulator started again, with the same options, "
                    "continues it; each of several pods has a directory of "
                    "its name in it."),
)
_PROCESS = (
    cfg.MultiStrOpt("pod", default=[], metavar="KIND[,OPTION=VALUE...]",
                    help="A pod of this kind: "
                         f"{', '.join(pods.KINDS)}. May be repeated. The "
                         "option name=NAME names it."),
    cfg.PortOpt("admin-port",
                help="Loopback port of the admin endpoint, which injects "
                     "faults; 0 picks a free one, without the option there "
                     "is none."),
    cfg.StrOpt("admin-token", secret=True,
               help="What the admin endpoint wants as a bearer token."),
)
_OWN = ("port", "ledger", "request_log", "state")
_SECTION = "pod:"


class OptionsError(Exception):
    """The command line or configuration file cannot be used."""


@dataclass(frozen=True)
class PodOptions:
    """``conf`` holds COMMON and the options of the kind."""

    name: str
    kind: str
    conf: cfg.ConfigOpts
    state: str | None


@dataclass(frozen=True)
class Options:
    pods: list[PodOptions]
    admin_port: int | None
    admin_token: str | None


def version() -> str:
    """The installed version of Valence, or a marker of a bare checkout."""
    try:
        return importlib.metadata.version("valence")
    except importlib.metadata.PackageNotFoundError:
        return "0+checkout"


def parse(argv: Sequence[str] | None = None) -> Options:
    """Read ``argv`` (default: sys.argv) and any --config-file.

    Raises OptionsError with one sentence; SystemExit after --help and
    --version.
    """
    opts = (*_PROCESS, *COMMON, *_module("redfish").OPTIONS)
    args = list(sys.argv[1:] if argv is None else argv)
    conf = _parse(args, opts)
    wanted = [_spelled_out(text) for text in conf.pod]
    for path in conf.config_file or []:
        wanted += _sections(path)
    if wanted:
        described = _several(conf, opts, wanted)
    else:
        _check(conf, "")
        described = [PodOptions("redfish", "redfish", conf, conf.state)]
    return Options(described, conf.admin_port, conf.admin_token)


def _several(conf: cfg.ConfigOpts, opts: Sequence[cfg.Opt],
             wanted: list[dict[str, str]]) -> list[PodOptions]:
    for name in _OWN[:3]:
        if conf[name]:
            raise OptionsError(f"--{_dashed(name)} is for a single pod; give "
                               "it to each --pod.")
    inherited = {opt.dest: conf[opt.dest] for opt in opts
                 if opt.dest not in _OWN and _given(conf, opt)}
    described: list[PodOptions] = []
    for given in wanted:
        kind = given.pop("kind")
        count = sum(pod.kind == kind for pod in described) + 1
        name = given.pop("name", kind if count == 1 else f"{kind}-{count}")
        if not name or "/" in name or name.startswith("."):
            raise OptionsError(f"{name!r} cannot name a pod.")
        if name in [pod.name for pod in described]:
            raise OptionsError(f"two pods are named {name!r}.")
        one = _pod(kind, name, inherited, given)
        state = one.state
        if state is None and conf.state:
            state = os.path.join(conf.state, name)
        described.append(PodOptions(name, kind, one, state))
    return described


def _pod(kind: str, name: str, inherited: dict[str, Any],
         given: dict[str, str]) -> cfg.ConfigOpts:
    opts = {opt.dest: opt for opt in (*COMMON, *_module(kind).OPTIONS)}
    merged = {dest: value for dest, value in inherited.items()
              if dest in opts}
    merged.update(given)
    args = []
    for dest, value in merged.items():
        if dest not in opts:
            raise OptionsError(f"pod {name}: a pod of the kind {kind} has no "
                               f"option {_dashed(dest)!r}.")
        flag = _dashed(dest)
        if isinstance(opts[dest].type, types.Boolean):
            try:
                chosen = types.Boolean()(value)
            except ValueError as error:
                raise OptionsError(
                    f"pod {name}: {flag}: {error}.") from error
            args.append(f"--{flag}" if chosen else f"--no{flag}")
        elif isinstance(value, list):
            args.append(f"--{flag}={','.join(map(str, value))}")
        else:
            args.append(f"--{flag}={value}")
    try:
        conf = _parse(args, tuple(opts.values()))
    except OptionsError as error:
        raise OptionsError(f"pod {name}: {error}") from error
    _check(conf, f"pod {name}: ")
    return conf


def _spelled_out(text: str) -> dict[str, str]:
    """``KIND,option=value,...``; a part without = continues a list."""
    kind, *rest = text.split(",")
    given = {"kind": kind.strip()}
    last = ""
    for part in rest:
        name, equals, value = part.partition("=")
        if equals:
            last = name.strip().replace("-", "_")
            given[last] = value
        elif last:
            given[last] += f",{part}"
        else:
            raise OptionsError(f"--pod {text}: {part!r} is no option=value.")
    return given


def _sections(path: str) -> list[dict[str, str]]:
    sections: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(path, sections).parse()
    except (OSError, cfg.ParseError) as error:
        raise OptionsError(" ".join(str(error).split())) from error
    found = []
    for title, entries in sections.items():
        if title.startswith(_SECTION):
            given = {name.replace("-", "_"): values[-1]
                     for name, values in entries.items()}
            given.setdefault("kind", "redfish")
            given["name"] = title.removeprefix(_SECTION)
            found.append(given)
    return found


def _module(kind: str) -> Any:
    try:
        return pods.kind(kind)
    except pods.CannotBuild as error:
        raise OptionsError(str(error)) from error


def _parse(args: Sequence[str], opts: Sequence[cfg.Opt]) -> cfg.ConfigOpts:
    # oslo.config spells the negation of a boolean without the second dash.
    spellings = {f"--no-{_dashed(opt.name)}": f"--no{_dashed(opt.name)}"
                 for opt in opts if isinstance(opt.type, types.Boolean)}
    conf = cfg.ConfigOpts()
    conf.register_cli_opts(opts)
    complaint = io.StringIO()
    try:
        # argparse puts its usage before its complaint; one sentence is kept.
        with contextlib.redirect_stderr(complaint):
            conf([spellings.get(arg, arg) for arg in args],
                 project="valence", prog=PROG, version=version(),
                 default_config_files=[], default_config_dirs=[])
        for opt in opts:
            getattr(conf, opt.dest)
    except cfg.Error as error:
        raise OptionsError(" ".join(str(error).split())) from error
    except SystemExit as error:
        if not error.code:
            raise
        lines = complaint.getvalue().strip().splitlines() or ["bad arguments"]
        raise OptionsError(lines[-1].removeprefix(f"{PROG}: error: ")
                           ) from error
    return conf


def _given(conf: cfg.ConfigOpts, opt: cfg.Opt) -> bool:
    found = conf.get_location(opt.dest)
    return found is not None and found.location.name != "opt_default"


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _check(conf: cfg.ConfigOpts, prefix: str) -> None:
    for name, value in conf.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise OptionsError(f"{prefix}--{_dashed(name)} must be a finite "
                               "number.")
    if bool(conf.tls_cert) != bool(conf.tls_key):
        raise OptionsError(f"{prefix}--tls-cert and --tls-key must be given "
                           "together.")
    if ":" in conf.username:
        # RFC 7617 section 2: a colon ends the user name.
        raise OptionsError(f"{prefix}--username must not contain a colon.")
