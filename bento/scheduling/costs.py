"""Measures runs while texts are scored: tokens per second by shape, which decides how many windows share a run, and
tokens per character."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Weight of the newest run: an average over about the last twenty.
_NEWEST = 0.05
# A larger run makes others wait, so it must be at least this much faster.
_WORTHWHILE = 1.03
# Runs of a shape after which its speed counts as known; number of choices after which a larger one is tried again.
_TRIALS = 3
_AGAIN = 200

# Of English, before any text was seen, and how many characters of texts outweigh that.
_TOKENS_PER_CHARACTER = 0.25
_FIRST_CHARACTERS = 10_000
# After so many characters a text counts half: about four requests of 120 texts of 350 words.
_HALF_LIFE_CHARACTERS = 1_000_000


@dataclass
class _Speed:
    """Of one shape, in tokens a second on one lane."""

    runs: int = 0
    tokens: float = 0.0
    seconds: float = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        """Add a run; the weight of old ones decreases."""
        keep = 1 - max(_NEWEST, 1 / (self.runs + 1))
        self.runs += 1
        self.tokens = keep * self.tokens + (1 - keep) * tokens
        self.seconds = keep * self.seconds + (1 - keep) * seconds

    @property
    def value(self) -> float:
        return self.tokens / self.seconds if self.seconds else 0.0


class Costs:
    """Speeds by shape: the length of the longest window, in steps of the root of two, and the doublings of the count.

    Not safe to call from several threads.
    """

    def __init__(self) -> None:
        self._all = _Speed()
        self._shapes: dict[tuple[int, int], _Speed] = {}
        self._choices = 0

    def observe(self, longest: int, count: int, tokens: int, seconds: float, alone_s: float | None = None) -> None:
        """A run of `count` windows with `tokens` tokens, the longest window of `longest`, took a lane this long.

        alone_s: what it would have taken without others on the lane's core; None: as long.
        """
        self._all.add(tokens, seconds if alone_s is None else alone_s)
        self._shapes.setdefault((_length_class(longest), _count_class(count)), _Speed()).add(tokens, seconds)

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens per second of one lane that has its core for itself, over the latest runs; None before the first."""
        return self._all.value or None

    def count_for(self, longest: int, most: int) -> int:
        """How many windows of about this length to run together: the smallest number that is about as fast as any.

        Doubles the count while each doubling was at least 3 % faster. Every 200th choice tries one doubling more.
        """
        self._choices += 1
        length, best, count = _length_class(longest), 1, 1
        while count <= most:
            speed = self._shapes.get((length, _count_class(count)))
            if speed is None or speed.runs < _TRIALS:
                return count
            if count > best:
                fastest = self._shapes[length, _count_class(best)].value
                if speed.value < _WORTHWHILE * fastest:
                    return count if self._choices % _AGAIN == 0 else best
                best = count
            count *= 2
        return best


class Density:
    """Tokens a character, over the latest texts: every character counts alike, so a few odd texts change little."""

    def __init__(self) -> None:
        self._tokens = _TOKENS_PER_CHARACTER * _FIRST_CHARACTERS
        self._characters: float = _FIRST_CHARACTERS

    def add(self, tokens: int, characters: int) -> None:
        """Add a text; the weight of old ones decreases."""
        keep = 0.5 ** (characters / _HALF_LIFE_CHARACTERS)
        self._tokens = keep * self._tokens + tokens
        self._characters = keep * self._characters + characters

    def tokens(self, characters: int) -> int:
        """About how many tokens so many characters will be."""
        return math.ceil(characters * self._tokens / self._characters)


def _length_class(length: int) -> int:
    return round(2 * math.log2(max(1, length)))


def _count_class(count: int) -> int:
    return max(0, count).bit_length() - 1
