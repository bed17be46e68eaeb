"""Removes the tokens that texts do not use from a vocabulary, so that a small model has fewer embeddings.

The given texts are tokenised as before. In another text a removed token is replaced by shorter ones, down to single
characters. Every character of a removed token has a token of its own (added if there was none), so no character
becomes unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import tokenizers

from train.distill.errors import UnfitStudent

_FIRST_IDS = 10
"""A padding id below this stays where it is, with all before it: RoBERTa's positions are counted from it."""

_PENALTY = 10.0
"""What SentencePiece takes off the least score for an unknown character; a character that is added has the same."""

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")

Added = dict[str, list[int]]
"""Tokens that are added, and the ids of those whose embeddings' mean becomes theirs."""


@dataclass(frozen=True)
class Pruned:
    """text: the new tokenizer.json. rows: for each new id, the old ids; the mean of their embeddings is its embedding.

    places: the new id of each old one that stays.
    """

    text: str
    rows: list[list[int]]

    @property
    def places(self) -> dict[int, int]:
        """The new id of each old id that stays."""
        return {row[0]: place for place, row in enumerate(self.rows) if len(row) == 1}


def prune(text: str, texts: Iterable[str], padding: int | None = None) -> Pruned:
    """A tokenizer.json with the tokens that texts use. padding: the model's padding id.

    Raises UnfitStudent for a vocabulary whose tokens are not made of shorter ones.
    """
    document = json.loads(text)
    model = document["model"]
    kind = _kind(model)
    if kind not in _KINDS:
        raise UnfitStudent(f"a vocabulary of the kind {kind} cannot be pruned", "leave --prune-vocabulary out")
    inside = _inside(model)
    special = {token["content"]: token["id"] for token in document.get("added_tokens") or ()}
    fast = tokenizers.Tokenizer.from_str(text)
    fast.no_truncation()
    fast.no_padding()
    used = {number for one in fast.encode_batch(list(texts)) for number in one.ids} | set(special.values())
    used |= {inside[token] for token in _around(document.get("post_processor")) if token in inside}
    used |= set(range((padding or 0) + 1)) if padding is not None and padding < _FIRST_IDS else {padding or 0}
    learned = {token: number for token, number in inside.items() if token not in special and not _BYTE.fullmatch(token)}
    kept, added = _KINDS[kind](model, learned, used)
    kept |= {number for token, number in inside.items() if _BYTE.fullmatch(token)} | {_unknown(model, inside)}
    stays = [token for token, number in sorted(inside.items(), key=lambda one: one[1]) if number in kept]
    beyond = [token for token, number in sorted(special.items(), key=lambda one: one[1]) if token not in inside]
    rows = [[inside[token]] for token in stays] + list(added.values()) + [[special[token]] for token in beyond]
    _rewrite(document, {token: place for place, token in enumerate([*stays, *added, *beyond])}, set(beyond))
    return Pruned(json.dumps(document, ensure_ascii=False), rows)


def _kind(model: Mapping[str, Any]) -> str:
    """Unigram, WordPiece or BPE; of another model the name, with the options that make it another."""
    name = model.get("type") or ("Unigram" if isinstance(model["vocab"], list) else "without a name")
    affix = model.get("end_of_word_suffix") or (model.get("continuing_subword_prefix") if name == "BPE" else None)
    return f"{name} with {affix}" if affix else str(name)


def _inside(model: Mapping[str, Any]) -> dict[str, int]:
    """The ids of the model's own tokens, by token."""
    vocabulary = model["vocab"]
    return dict(vocabulary) if isinstance(vocabulary, dict) else {one[0]: at for at, one in enumerate(vocabulary)}


def _unknown(model: Mapping[str, Any], inside: Mapping[str, int]) -> int:
    found = model.get("unk_id", inside.get(model.get("unk_token") or ""))
    return -1 if found is None else int(found)


def _unigram(_: Mapping[str, Any], learned: Mapping[str, int], used: set[int]) -> tuple[set[int], Added]:
    """The used tokens. The best path of every text is still in the lattice, so it is still the best one."""
    singles = {number for token, number in learned.items() if len(token) == 1}
    lacking: Added = {}
    for token, number in learned.items():
        for character in set(token) - learned.keys():
            lacking.setdefault(character, []).append(number)
    return used | singles, lacking


def _wordpiece(model: Mapping[str, Any], learned: Mapping[str, int], used: set[int]) -> tuple[set[int], Added]:
    """The used tokens. WordPiece takes the longest token that fits, so removing others changes no used one."""
    prefix = model["continuing_subword_prefix"]
    wanted: Added = {}
    for token, number in learned.items():
        inner = token.startswith(prefix) and len(token) > len(prefix)
        letters = token[len(prefix) :] if inner else token
        for place, letter in enumerate(letters):
            wanted.setdefault(prefix + letter if inner or place else letter, []).append(number)
    return used | {learned[one] for one in wanted if one in learned}, {
        one: sources for one, sources in wanted.items() if one not in learned
    }


def _bpe(model: Mapping[str, Any], learned: Mapping[str, int], used: set[int]) -> tuple[set[int], Added]:
    """The tokens of the used merges. Merges apply by rank, so a text whose merges all stay is tokenised as before."""
    ranks = {pair: rank for rank, pair in enumerate(_merges(model))}
    names = {number: token for token, number in learned.items()}
    steps = {part for number in used if number in names for part in _derivation(names[number], ranks)}
    return used | {number for token, number in learned.items() if len(token) == 1 or token in steps}, {}


_KINDS = {"Unigram": _unigram, "WordPiece": _wordpiece, "BPE": _bpe}


def _merges(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(a, b) for a, b in (one.split(" ") if isinstance(one, str) else one for one in model["merges"])]


def _derivation(token: str, ranks: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """The tokens that merges make on the way from the characters of a token to the token."""
    parts = list(token)
    while found := [(ranks[pair], at) for at, pair in enumerate(pairwise(parts)) if pair in ranks]:
        at = min(found)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
        yield parts[at]


def _around(processor: Any) -> Iterator[str]:
    """The tokens that a post-processor puts around a text."""
    match processor:
        case {"processors": list(processors)}:
            for one in processors:
                yield from _around(one)
        case {"special_tokens": dict(tokens)}:
            for one in tokens.values():
                yield from one["tokens"]
        case {"cls": [str(first), _], "sep": [str(second), _]}:
            yield from (first, second)


def _rewrite(document: dict[str, Any], ids: Mapping[str, int], beyond: set[str]) -> None:
    """Put the new ids into a tokenizer.json. beyond: added tokens that are not the model's own."""
    model, own = document["model"], {token: number for token, number in ids.items() if token not in beyond}
    if isinstance(model["vocab"], list):
        scores = dict(model["vocab"])
        least = min(scores.values()) - _PENALTY
        if model.get("unk_id") is not None:
            model["unk_id"] = own[model["vocab"][model["unk_id"]][0]]
        model["vocab"] = [[token, scores.get(token, least)] for token in own]
    else:
        model["vocab"] = own
    if "merges" in model:
        model["merges"] = [[a, b] for a, b in _merges(model) if {a, b, a + b} <= own.keys()]
    document["added_tokens"] = [one | {"id": ids[one["content"]]} for one in document.get("added_tokens") or ()]
    document["truncation"] = document["padding"] = None
    _renumber(document.get("post_processor"), ids)


def _renumber(processor: Any, ids: Mapping[str, int]) -> None:
    match processor:
        case {"processors": list(processors)}:
            for one in processors:
                _renumber(one, ids)
        case {"special_tokens": dict(tokens)}:
            for one in tokens.values():
                one["ids"] = [ids[token] for token in one["tokens"]]
        case {"cls": [str(first), _], "sep": [str(second), _]}:
            processor["cls"], processor["sep"] = [first, ids[first]], [second, ids[second]]
