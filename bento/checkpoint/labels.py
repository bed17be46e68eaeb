"""Which of a model's labels mean "written by a machine"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bento.checkpoint.errors import LabelError

# Compared in lower case with everything but letters and digits taken out.
MACHINE_NAMES = frozenset(
    ["machine", "machinegenerated", "machinewritten", "ai", "aigenerated", "aiwritten", "generated", "fake", "llm"]
)
# What transformers writes if the two classes have no names: by convention 1 is the positive one.
UNNAMED = ("LABEL_0", "LABEL_1")
# Where in a span a token stands (the schemes IOB, BIOES, BILOU, BMES), before the name of the span's class.
_PLACE = re.compile(r"[BIELMSU][-_](?=.)", re.IGNORECASE)


def ordered(id2label: Mapping[int, str]) -> tuple[str, ...]:
    """Labels in the order of the logits. Raises ValueError when an index is missing or a name is there twice."""
    labels = tuple(id2label[index] for index in sorted(id2label))
    if sorted(id2label) != list(range(len(labels))) or len(set(labels)) != len(labels) or not labels:
        raise ValueError(f"the label map {dict(id2label)} does not name every logit once")
    return labels


def positive(labels: Sequence[str], asked: Sequence[str] = (), add_up: bool = True) -> tuple[str, ...]:
    """The labels that are asked for, else those with the only telling name, in the order of the logits.

    The name of a class means all its labels: AI those of B-AI and I-AI. add_up: whether the probabilities of several
    add up to one of all; those of sigmoids do not. Raises LabelError.
    """
    found = _named(labels, asked) if asked else _telling(labels)
    if len(found) > 1 and not add_up:
        raise LabelError(labels, independent=found)
    return found


def _telling(labels: Sequence[str]) -> tuple[str, ...]:
    if len(labels) == 1:
        return (labels[0],)
    if tuple(labels) == UNNAMED:
        return (UNNAMED[1],)
    telling = tuple(label for label in labels if _plain(_class(label)) in MACHINE_NAMES)
    # One label, or the places of one class: B-AI and I-AI, but neither AI and I-AI nor B-AI and B-LLM.
    one_class = len({_class(label) for label in telling}) == 1
    if not telling or (len(telling) > 1 and not (one_class and all(map(_PLACE.match, telling)))):
        raise LabelError(labels, telling)
    return telling


def _named(labels: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
    meant = {name: [name] if name in labels else [each for each in labels if _class(each) == name] for name in asked}
    if unknown := [name for name, found in meant.items() if not found]:
        raise LabelError(labels, unknown=unknown)
    chosen = {label for found in meant.values() for label in found}
    if len(chosen) == len(labels) > 1:
        raise LabelError(labels, every=True)
    return tuple(label for label in labels if label in chosen)


def _class(label: str) -> str:
    return _PLACE.sub("", label, count=1) if _PLACE.match(label) else label


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))
