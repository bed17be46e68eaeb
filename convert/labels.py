"""Which of a model's labels means "written by a machine"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convert.errors import LabelError

# Compared in lower case with everything but letters and digits taken out.
MACHINE_NAMES = frozenset(
    ["machine", "machinegenerated", "machinewritten", "ai", "aigenerated", "aiwritten", "generated", "fake", "llm"]
)
# What transformers writes when nobody named the two classes: 1 is the positive one by custom.
UNNAMED = ("LABEL_0", "LABEL_1")


def ordered(id2label: Mapping[int, str]) -> tuple[str, ...]:
    """Labels in the order of the logits. Raises ValueError when an index is missing or a name is there twice."""
    labels = tuple(id2label[index] for index in sorted(id2label))
    if sorted(id2label) != list(range(len(labels))) or len(set(labels)) != len(labels) or not labels:
        raise ValueError(f"the label map {dict(id2label)} does not name every logit once")
    return labels


def positive(labels: Sequence[str], asked: str | None = None) -> str:
    """The label that is asked for, else the only one with a telling name. Raises LabelError."""
    if asked is not None:
        if asked not in labels:
            raise LabelError(labels, asked)
        return asked
    if len(labels) == 1:
        return labels[0]
    if tuple(labels) == UNNAMED:
        return UNNAMED[1]
    telling = [label for label in labels if "".join(filter(str.isalnum, label.lower())) in MACHINE_NAMES]
    if len(telling) != 1:
        raise LabelError(labels, None)
    return telling[0]
