# SPDX-License-Identifier: Apache-2.0
"""How is something asked that knows no timeout?

By a thread of its own, which is left behind if it gets no answer in time.
"""

import threading
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

R = TypeVar('R')


def ask(name: str, question: Callable[[], R], seconds: float,
        silence: str) -> R:
    """The answer to ``question``, or the error that came instead of one.

    :param name: of the thread
    :param silence: what to say if neither comes
    :raises TimeoutError: neither came within ``seconds``
    """
    answer: futures.Future[R] = futures.Future()

    def run() -> None:
        try:
            answer.set_result(question())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True, name=name).start()
    futures.wait((answer,), max(seconds, 0.0))
    if not answer.done():
        raise TimeoutError(silence)
    return answer.result()
