"""Texts that are being scored now. A second request for one of them waits for the first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bento.types import FloatArray

# The event loop, the owner of the request, and the text: loops share nothing, and neither do owners.
_Key = tuple[asyncio.AbstractEventLoop, str, str]


class Abandoned(Exception):
    """The request that was scoring this text failed for a reason of its own. Begin again."""


@dataclass(eq=False)
class Flight:
    """One text that is being scored.

    found: its scores [words]. waiting: requests that want them. work: what to cancel when no request wants them any
    more.
    """

    key: _Key
    found: asyncio.Future[FloatArray]
    waiting: int = 0
    work: Future[Any] | None = None
    queue_s: float = 0.0


@dataclass
class Flights:
    """All texts that are being scored. A text that ends is removed in the same step."""

    _all: dict[_Key, Flight] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._all)

    def join(self, owner: str, text: str) -> tuple[Flight, bool]:
        """The flight of an owner's text, and whether it is new, in which case the caller must begin it. The caller must
        leave it in any case."""
        loop = asyncio.get_running_loop()
        key = loop, owner, text
        begins = key not in self._all
        if begins:
            self._all[key] = Flight(key, loop.create_future())
        flight = self._all[key]
        flight.waiting += 1
        return flight, begins

    def leave(self, flight: Flight) -> None:
        """One request less. When the last one leaves, work that has not begun is dropped."""
        flight.waiting -= 1
        if flight.waiting == 0 and not flight.found.done():
            work = flight.work
            self._end(flight, lambda future: future.cancel())
            if work is not None:
                work.cancel()

    def abandon(self, flight: Flight) -> None:
        """The text was never begun: requests that joined it must begin again."""
        self._end(flight, lambda future: future.set_exception(Abandoned()))

    def end_from_thread(self, flight: Flight, give: Callable[[asyncio.Future[FloatArray]], object]) -> None:
        """Call `give` with the future on its own event loop, unless no request waits any more."""
        with suppress(RuntimeError):  # the loop is closed, and with it all waiting requests
            flight.found.get_loop().call_soon_threadsafe(self._end, flight, give)

    def _end(self, flight: Flight, give: Callable[[asyncio.Future[FloatArray]], object]) -> None:
        if flight.found.done():
            return
        del self._all[flight.key]
        flight.work = None  # which holds the flight
        give(flight.found)
        if not flight.found.cancelled():
            flight.found.exception()  # seen, even if every asker has left
