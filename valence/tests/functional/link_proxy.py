# SPDX-License-Identifier: Apache-2.0
"""How does a link break on purpose? In a TCP proxy before a server.

What breaks is decided by a seeded generator, so that a run can be repeated:

* a link is cut after a random number of bytes in either direction, mostly in
  the middle of a frame;
* what travels is delayed now and then;
* while ``down`` is set nobody gets a link;
* the COMMIT of a database client meets a :class:`Fate`.
"""

import asyncio
import enum
import random
import re
import threading
from collections.abc import Callable

import fixtures

_CHUNK = 65536
#: A query that is just COMMIT: of MariaDB's and of PostgreSQL's protocol.
_COMMIT = re.compile(
    rb'\x07\x00\x00\x00\x03COMMIT\Z|Q\x00\x00\x00\x0bCOMMIT\x00\Z')


class Fate(enum.Enum):
    """What becomes of a COMMIT."""

    PASSED = 'passed'
    #: The server commits, and nobody hears of it.
    UNANSWERED = 'unanswered'
    #: The server never sees it.
    UNSENT = 'unsent'


class LinkProxy(fixtures.Fixture):
    """A proxy before ``port`` on loopback; ``self.port`` is its own.

    :param budget: bytes that a link lives on average in one direction, or
        None to cut none
    :param delay: seconds by which every twentieth piece is late
    """

    def __init__(self, port: int, seed: object, budget: int | None = None,
                 delay: float = 0.0) -> None:
        self._upstream = port
        self._random = random.Random(str(seed))
        self.budget = budget
        self.delay = delay
        self.down = False
        #: Decides about each COMMIT; called in the proxy's thread.
        self.decide: Callable[[], Fate] = lambda: Fate.PASSED
        #: Figures for the test's details.
        self.links = self.cuts = 0
        self.commits = dict.fromkeys(Fate, 0)

    def _setUp(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._link, '127.0.0.1', 0))
        self.port = self._server.sockets[0].getsockname()[1]
        thread = threading.Thread(target=self._loop.run_forever,
                                  name='link-proxy', daemon=True)
        thread.start()

        def stop() -> None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._server.close()
            self._hang_up()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

        self.addCleanup(stop)

    def cut(self) -> None:
        """Cut all links there are, at once."""
        self._loop.call_soon_threadsafe(self._hang_up)

    def _hang_up(self) -> None:
        for writer in list(self._open):
            self._abort(writer)

    def _abort(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.transport.abort()

    async def _link(self, reader: asyncio.StreamReader,
                    writer: asyncio.StreamWriter) -> None:
        if self.down:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(
                '127.0.0.1', self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self.links += 1
        self._open |= {writer, far_writer}
        # Set once the answer to a COMMIT is to be lost.
        mute = asyncio.Event()
        pipes = [asyncio.ensure_future(self._pipe(*ends, mute)) for ends in (
            (reader, far_writer, True), (far_reader, writer, False))]
        try:
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # The end of the proxy. Python's streams log what is cancelled.
            pass
        finally:
            self._abort(writer)
            self._abort(far_writer)

    async def _pipe(self, reader: asyncio.StreamReader,
                    writer: asyncio.StreamWriter, outward: bool,
                    mute: asyncio.Event) -> None:
        """Carry what comes until the link breaks, or is broken."""
        left = (self._random.expovariate(1 / self.budget)
                if self.budget else float('inf'))
        try:
            while data := await reader.read(_CHUNK):
                if self.delay and self._random.random() < 0.05:
                    await asyncio.sleep(self.delay)
                if outward and _COMMIT.search(data):
                    fate = self.decide()
                    self.commits[fate] += 1
                    if fate is Fate.UNSENT:
                        return
                    if fate is Fate.UNANSWERED:
                        mute.set()
                elif not outward and mute.is_set():
                    return
                if len(data) > left:
                    self.cuts += 1
                    writer.write(data[:int(left)])
                    await writer.drain()
                    # An abort at once would take it back.
                    await asyncio.sleep(0.01)
                    return
                left -= len(data)
                writer.write(data)
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass
