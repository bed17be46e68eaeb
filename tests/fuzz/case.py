"""Seed and number -> one request, and how it is sent: always the same."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.fuzz.message import Message, good
from tests.fuzz.mutations import MUTATIONS


@dataclass(frozen=True)
class Case:
    """`pieces` go out with `pause_s` between them; then the client does what `end` says.

    wait: listens. abort: has gone. eof: has closed its half, and listens. stall: listens; the request is not whole.
    """

    seed: int
    index: int
    message: Message
    pieces: tuple[bytes, ...]
    pause_s: float
    end: str

    def __str__(self) -> str:
        wire = b"".join(self.pieces)
        shown = repr(wire[:1_500]) + (f" ... {len(wire)} bytes" if len(wire) > 1_500 else "")
        about = f"{', '.join(self.message.about)}; {len(self.pieces)} pieces, then {self.end}"
        return f"seed {self.seed}, request {self.index}: {about}\n  {shown}"


def make(seed: int, index: int, version: str) -> Case:
    """The case of this number, for a server of this model version."""
    chance = random.Random(f"{seed}/{index}")  # noqa: S311 - it is to be the same each time
    message = good(chance, version)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3))):
        (mutation,) = chance.choices([one for one, _ in MUTATIONS], [weight for _, weight in MUTATIONS])
        if mutation.__name__ == "lines":
            message.measured()
        mutation(chance, message)
        message.texts = None
        message.about.append(mutation.__name__)
    message.measured()
    wire = message.wire()
    end = chance.choices(("wait", "abort", "eof", "stall"), (83, 10, 4, 3))[0]
    if end == "stall" or (end == "abort" and chance.random() < 0.7):
        wire = wire[: chance.randrange(len(wire))]
    cuts = sorted(chance.randrange(len(wire) + 1) for _ in range(chance.choice((0, 0, 0, 1, 3, 9))))
    pieces = tuple(wire[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(wire)], strict=True))
    return Case(seed, index, message, pieces, chance.choice((0.0, 0.001, 0.03)), end)
