# SPDX-License-Identifier: Apache-2.0
"""valence-api or valence-conductor, noting when an operation passes by.

Each note is one line "time stage" in the file that VALENCE_TRACE names. The
functions are wrapped when this module is imported, for the worker processes
of the API import it anew. Stages are numbers in traced_stages.STAGES.
"""

import inspect
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import valence.cmd  # noqa: F401 - first of all: it chooses the backend
from valence.db.engine import Database

_FILE = os.open(os.environ['VALENCE_TRACE'],
                os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _note(stage: int) -> None:
    os.write(_FILE, f'{time.time()} {stage}\n'.encode())


def _wrap(owner: Any, name: str, before: int | None,
          after: int | None = None, only: str = '') -> None:
    """:param only: the name of the function that must be an argument"""
    original: Callable[..., Any] = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if only and only != getattr(args[1], '__name__', ''):
            return original(*args, **kwargs)
        if before is not None:
            _note(before)
        result = original(*args, **kwargs)
        if after is not None:
            _note(after)
        return result

    static = isinstance(inspect.getattr_static(owner, name), staticmethod)
    setattr(owner, name, staticmethod(wrapped) if static else wrapped)


def _trace() -> None:
    if sys.argv[1] == 'api':
        from valence.api import faults
        from valence.conductor import rpcapi
        _wrap(faults.RequestScope, '__call__', 0)
        _wrap(Database, 'run', 1, 2)
        _wrap(rpcapi.Doorbell, '_cast', 3)
        return
    from valence.conductor import manager, runner
    from valence.drivers import http
    _wrap(manager.ConductorManager, 'run_operation', 4)
    _wrap(Database, 'run', 5, 6, only='_acquire')
    _wrap(runner.Runner, '_attempt', 7)
    _wrap(runner.Runner, '_call', 8)
    _wrap(http.Client, '_exchange', 9)


_trace()

if __name__ == '__main__':
    if sys.argv[1] == 'api':
        from valence.cmd.api import main
    else:
        from valence.cmd.conductor import main
    sys.exit(main(sys.argv[2:]))
