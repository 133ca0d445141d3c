# SPDX-License-Identifier: Apache-2.0
"""Where can a test make a process fail?

At the named points below, and only where the environment of a service says
so when it starts::

    VALENCE_FAULT=point:nth:action      kill, stop or raise, at the nth time
    VALENCE_FAULT_ONCE=/a/file          only while that file exists, once

``kill`` is SIGKILL to the process itself, ``stop`` is SIGSTOP, ``raise``
raises :class:`Injected`. Unset, a point costs one look at a variable.
"""

import os
import signal
import threading

#: The points, in the order in which a request meets them.
POINTS = {
    'K0': 'API: written, not yet committed',
    'K1': 'API: committed, no conductor rung',
    'K2': 'API: rung, not yet answered',
    'K3': 'conductor: the message was taken',
    'K4': 'conductor: the lease was won',
    'K5': 'step: the intent is committed, nothing sent',
    'K6': 'step: the call was sent, its answer not read',
    'K7': 'step: answered, the outcome not committed',
    'K8': 'step: the outcome is committed',
    'K9': 'step: given back while the backend works on it',
    'K10': 'step: the backend is done, that is not committed',
    'K11': 'finish: read back, not committed',
    'K12': 'finish: committed, nobody told',
}

_ACTIONS = ('kill', 'stop', 'raise')


class Injected(Exception):
    """What ``raise`` raises."""


class _Armed:

    def __init__(self, point: str, nth: int, action: str,
                 once: str | None) -> None:
        self.point, self.action, self.once = point, action, once
        self._left = nth
        self._lock = threading.Lock()

    def hit(self) -> bool:
        with self._lock:
            self._left -= 1
            if self._left:
                return False
        if self.once is None:
            return True
        try:
            os.unlink(self.once)
        except FileNotFoundError:
            return False
        return True


_armed: _Armed | None = None


def arm(text: str | None, once: str | None = None) -> None:
    """Do as ``text`` says from now on; nothing where it is None.

    :raises ValueError: it does not have the form point:nth:action
    """
    global _armed
    if not text:
        _armed = None
        return
    point, nth, action = text.split(':')
    if point not in POINTS or action not in _ACTIONS or int(nth) < 1:
        raise ValueError(f'VALENCE_FAULT={text}: not point:nth:action')
    _armed = _Armed(point, int(nth), action, once)


def reach(point: str) -> None:
    """The process is at ``point``."""
    armed = _armed
    if armed is None or armed.point != point or not armed.hit():
        return
    if armed.action == 'kill':
        os.kill(os.getpid(), signal.SIGKILL)
    elif armed.action == 'stop':
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        raise Injected(point)
