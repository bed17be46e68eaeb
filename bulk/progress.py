"""Shows the progress of a run: rows, words a second, errors and the time left, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from bulk.inputs import Source

_EVERY_S = {True: 0.5, False: 30.0}  # on a terminal, in a log


class Progress:
    """Counts scored rows. The time left is estimated from the bytes of the files, so a pipe has none."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.rows = self.errors = self.words = 0
        sizes = [source.size for source in sources]
        self._total = None if None in sizes else sum(size or 0 for size in sizes)
        self._before = self._position = 0
        self._skipped = 0
        self._started = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def at(self, position: int) -> None:
        """This many bytes of the current file have been read."""
        self._position = position

    def next_file(self, source: Source) -> None:
        """The current file has been read to its end."""
        self._before += source.size or 0
        self._position = 0

    def begin(self) -> None:
        """Rows of earlier calls have been skipped: the rate counts from here."""
        self._skipped = self._before + self._position
        self._started = time.monotonic()

    def add(self, words: int, *, error: bool) -> None:
        """One more row."""
        self.rows += 1
        self.words += words
        self.errors += error
        now = time.monotonic()
        if now - self._shown >= _EVERY_S[self._terminal]:
            self._shown = now
            self._show(self._line(now))

    def end(self) -> None:
        """The last line."""
        if self._terminal:
            self._show("")

    def _show(self, line: str) -> None:
        print(
            f"\r\x1b[K{line}" if self._terminal else line,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )

    def _line(self, now: float) -> str:
        passed = max(now - self._started, 1e-3)
        line = f"{self.rows:,} rows, {self.words / passed:,.0f} words/s, {self.errors:,} errors"
        read = self._before + self._position
        if self._total and read > self._skipped:
            left = passed * (self._total - read) / (read - self._skipped)
            line += (
                f", {read / self._total:.0%}, {int(left) // 3600}:{int(left) // 60 % 60:02}:{int(left) % 60:02} left"
            )
        return line
