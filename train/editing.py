"""Edits texts by rule as a person would: synonyms, typos, cuts, in human and machine text alike.

So a typo or a gap does not tell who wrote the words around it, and a machine's sentence may have a person's word.
"""

import random

from train.dataset import HUMAN, Example

RATE = 0.03
"""Of the words of an edited text, about so many are edited in each way."""

_CUT = 4
"""Words of a cut at most."""

_PAIRS = (
    "begin start, big large, buy purchase, allow permit, help assist, show demonstrate, use employ, need require,"
    " get obtain, ask request, answer reply, end finish, build construct, choose select, whole entire, near close,"
    " fast quick, hard difficult, easy simple, right correct, wrong mistaken, happy glad, sad unhappy, rich wealthy,"
    " many numerous, enough sufficient, important significant, often frequently, about approximately, also too,"
    " maybe perhaps, but yet, because since, though although, however nevertheless, people persons, children kids,"
    " work labor, job task, country nation, house home, road street, way manner, idea thought, problem trouble,"
    " question matter, part portion, change alter, keep retain, make create, think believe, know understand,"
    " see notice, tell inform, give provide, try attempt, want wish, seem appear, become grow, remain stay,"
    " increase raise, reduce lessen, improve better, new fresh, old ancient, great grand, small little, good fine,"
    " bad poor, true real, certain sure, clear plain, strong powerful, weak feeble, quickly rapidly, really truly"
)
SYNONYMS = {
    a: b for first, second in (p.split() for p in _PAIRS.split(",")) for a, b in ((first, second), (second, first))
}


def typo(word: str, rng: random.Random) -> str:
    """Return the word with two inner letters swapped, or with one doubled, or without one."""
    at = rng.randrange(1, len(word) - 1)
    kind = rng.randrange(3)
    middle = word[at + 1] + word[at] if kind == 0 else word[at] * 2 + word[at + 1] if kind == 1 else word[at + 1]
    return word[:at] + middle + word[at + 2 :]


def edited(example: Example, rng: random.Random) -> Example:
    """Return an edited example. A synonym gets the label of a person's word; a typo does not change a label."""
    words, labels = example.words, list(example.labels)
    for place, word in enumerate(words):
        plain = word.rstrip(".,;:!?")
        if (other := SYNONYMS.get(plain)) and rng.random() < RATE * 8:
            words[place], labels[place] = other + word[len(plain) :], HUMAN
        elif len(plain) > 3 and plain.isalpha() and rng.random() < RATE:
            words[place] = typo(plain, rng) + word[len(plain) :]
    for _ in range(int(len(words) * RATE / _CUT + rng.random())):
        length = rng.randint(1, _CUT)
        if len(words) > 4 * length:
            start = rng.randrange(len(words) - length)
            del words[start : start + length], labels[start : start + length]
    return Example(" ".join(words), tuple(labels))
