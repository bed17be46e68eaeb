"""Ctrl-C and SIGTERM raise one exception, so that a command ends with its own message and exit code."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = signal.SIGINT, signal.SIGTERM


class Interrupted(KeyboardInterrupt):
    """Raised in the main thread by either signal.

    A class of its own: Python remembers a plain KeyboardInterrupt that leaves `exec` of a text, even when it is caught
    later, and `python -m` then dies of SIGINT in place of its exit code. Dataclasses compile such texts.
    """


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` at the first signal and ignore further ones, so that partial files are deleted."""
    previous = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise Interrupted
