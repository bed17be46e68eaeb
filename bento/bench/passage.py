"""English prose to measure with: the beginning of Darwin's On the Origin of Species (1859)."""

from __future__ import annotations

_PROSE = (
    "When on board H.M.S. Beagle, as naturalist, I was much struck with certain facts in the distribution of the"
    " inhabitants of South America, and in the geological relations of the present to the past inhabitants of that"
    " continent. These facts seemed to me to throw some light on the origin of species, that mystery of mysteries, as"
    " it has been called by one of our greatest philosophers. On my return home, it occurred to me, in 1837, that"
    " something might perhaps be made out on this question by patiently accumulating and reflecting on all sorts of"
    " facts which could possibly have any bearing on it. After five years' work I allowed myself to speculate on the"
    " subject, and drew up some short notes; these I enlarged in 1844 into a sketch of the conclusions, which then"
    " seemed to me probable: from that period to the present day I have steadily pursued the same object. I hope that I"
    " may be excused for entering on these personal details, as I give them to show that I have not been hasty in"
    " coming to a decision."
)
_WORDS = _PROSE.split()


def texts(count: int, words: int) -> list[str]:
    """Texts of so many words each, which all differ for a count of up to the passage's words (about 180): each begins
    a word later than the one before."""
    return [" ".join(_WORDS[(start + place) % len(_WORDS)] for place in range(words)) for start in range(count)]
