"""Texts that are being scored now: who asks for one of them a second time waits for the first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from bento.types import FloatArray


class Abandoned(Exception):
    """Nobody scores this text any more: whoever began it failed for a reason of its own. Begin anew."""


@dataclass(eq=False)
class Flight:
    """One text on its way. `found`: its scores [words]. `work`: what to cancel when nobody waits any more."""

    found: asyncio.Future[FloatArray]
    waiting: int = 0
    work: Future[Any] | None = None
    queue_s: float = 0.0


@dataclass
class Flights:
    """All flights, of any event loop: a flight is shared within its loop only."""

    _all: dict[tuple[int, str], Flight] = field(default_factory=dict)

    def join(self, text: str) -> tuple[Flight, bool]:
        """The flight of a text, and whether it is new, and so its asker's to begin. To be left in any case."""
        loop = asyncio.get_running_loop()
        key = id(loop), text
        begins = key not in self._all
        if begins:
            self._all[key] = Flight(loop.create_future())
            self._all[key].found.add_done_callback(lambda future: self._land(key, future))
        flight = self._all[key]
        flight.waiting += 1
        return flight, begins

    @staticmethod
    def leave(flight: Flight) -> None:
        """One asker less. The last one's leaving drops the work that has not begun."""
        flight.waiting -= 1
        if flight.waiting == 0 and not flight.found.done():
            flight.found.cancel()
            if flight.work is not None:
                flight.work.cancel()

    @staticmethod
    def abandon(flight: Flight) -> None:
        """It was never begun: those who joined it must begin anew."""
        if not flight.found.done():
            flight.found.set_exception(Abandoned())

    @staticmethod
    def land_from_thread(flight: Flight, give: Callable[[asyncio.Future[FloatArray]], None]) -> None:
        """Call `give` with the future on its own event loop, unless nobody waits any more."""
        loop = flight.found.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if flight.found.done() else give(flight.found))

    def _land(self, key: tuple[int, str], future: asyncio.Future[FloatArray]) -> None:
        self._all.pop(key, None)
        if not future.cancelled():
            future.exception()  # seen, even if every asker has left
