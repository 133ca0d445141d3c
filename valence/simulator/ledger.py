# SPDX-License-Identifier: Apache-2.0
"""What the simulated hardware really did, on disk before it is answered.

The ledger is the oracle of fault tests: it holds effects, not requests, and
a line is with the operating system before the client can see the answer, so
killing the simulator loses none of it.

Where the simulator keeps its state across restarts there is a journal too.
It holds every line of the ledger, with what else it takes to do the effect
again, and notes that are no effects. The journal is written first and
decides what happened: a line that the ledger lacks after a kill is added to
it at the next start, and a line that the ledger did not take is taken back
from the journal.
"""

import os
import time
from typing import Any

import orjson

# Longer than any line, so that a whole one is in it.
_TAIL = 1 << 20


class JsonLines:
    """An append-only file of JSON objects, one per line."""

    def __init__(self, path: str) -> None:
        """Open or create ``path``; raises OSError."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._torn = False

    def append(self, entry: dict[str, Any]) -> None:
        """Hand one line to the operating system; raises OSError.

        A line cut short by a full disk is closed off, so that the next one
        does not run into it.
        """
        line = orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)
        if self._torn:
            line = b"\n" + line
        while line:
            written = os.write(self._fd, line)
            self._torn = written < len(line)
            line = line[written:]

    def last(self) -> dict[str, Any]:
        """The last whole entry, or an empty dict."""
        start = max(0, self.size() - _TAIL)
        entries = self._read(start)
        return entries[-1] if entries else {}

    def all(self) -> list[dict[str, Any]]:
        """Every whole entry."""
        return self._read(0)

    def _read(self, start: int) -> list[dict[str, Any]]:
        content = os.pread(self._fd, max(self.size() - start, 0), start)
        self._torn = bool(content) and not content.endswith(b"\n")
        entries = []
        for line in content.splitlines():
            try:
                entry = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if isinstance(entry, dict):
                entries.append(entry)
        return entries

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def cut(self, size: int) -> None:
        """Forget whatever is beyond ``size`` bytes; raises OSError."""
        os.ftruncate(self._fd, size)

    def close(self) -> None:
        os.close(self._fd)


class Ledger:
    """Numbers the effects and writes them down in that order."""

    def __init__(self, path: str | None, journal: str | None = None) -> None:
        """Continue the ledger at ``path``; None keeps no ledger.

        ``journal`` is the path of the journal, None where nothing outlasts
        the process. ``history`` is what the journal held at the start: the
        effects and notes, each with its details and its ``effect``.
        """
        self._lines = JsonLines(path) if path else None
        self._journal = JsonLines(journal) if journal else None
        self.history: list[dict[str, Any]] = []
        self._seq = 0
        if self._lines:
            self._seq = int(self._lines.last().get("seq", 0))
        if self._journal:
            self._continue(self._journal)

    def _continue(self, journal: JsonLines) -> None:
        self.history = journal.all()
        recorded = self._seq
        for entry in self.history:
            if "note" not in entry and entry["seq"] > recorded:
                if self._lines:
                    self._lines.append(_public(entry))
                self._seq = entry["seq"]

    @property
    def lasting(self) -> bool:
        """Whether what is recorded outlasts the process."""
        return self._journal is not None

    def record(self, effect: str, private: dict[str, Any] | None = None,
               **details: Any) -> None:
        """Record one effect; raises OSError, and then it must not happen.

        ``private`` goes to the journal only.
        """
        entry = {"seq": self._seq + 1, "time": time.time(),
                 "effect": effect, **details}
        journal = self._journal
        size = journal.size() if journal else 0
        try:
            if journal:
                journal.append({**entry, "private": private or {}})
            if self._lines:
                self._lines.append(entry)
        except OSError:
            if journal:
                journal.cut(size)
            raise
        self._seq += 1

    def note(self, effect: str, **details: Any) -> None:
        """Remember what is no effect, in the journal only; raises OSError.
        """
        if self._journal:
            size = self._journal.size()
            try:
                self._journal.append({"note": True, "effect": effect,
                                      **details})
            except OSError:
                self._journal.cut(size)
                raise

    def close(self) -> None:
        for file in (self._lines, self._journal):
            if file:
                file.close()


def _public(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items()
            if name != "private"}
