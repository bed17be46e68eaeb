"""Scores -> the other parts of an answer: offsets, passages, a summary, and the threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, Field

from bento.calibration import Calibration
from bento.text import spans, words

# What a request may ask for besides the probabilities.
INCLUDABLE = ("offsets", "spans", "summary")

Offsets = list[tuple[int, int]]


class Span(BaseModel):
    """A passage that a machine wrote, as far as the threshold says."""

    start: int = Field(description="The Unicode code point of the text where its first word starts.")
    end: int = Field(description="The one after its last word's last.")
    first_word: int = Field(description="Its first word, counted from 0.")
    last_word: int = Field(description="Its last word.")
    probability: float = Field(description="The mean of its words' probabilities.")
    words: int = Field(description="How many words it has.")


class Summary(BaseModel):
    """A text in four numbers."""

    mean: float = Field(description="The mean of all words' probabilities.")
    passages: int = Field(description="How many passages are machine-written at the threshold.")
    machine_share: float | None = Field(
        None, description="The share of the text's words that stand in such a passage. Absent where `abstained`."
    )
    abstained: bool = Field(
        description="True where the text is too short for the threshold's promise: no passage is marked then."
    )


class ThresholdByWords(BaseModel):
    """The threshold for texts of `least` to `most` words."""

    least: int
    most: int
    value: float


class Threshold(BaseModel):
    """The score from which a word counts as a machine's, and what that promises."""

    value: float = Field(description="A passage begins and ends with words of at least this probability.")
    promise: str | None = Field(None, description="What the calibration promises at this threshold; absent: nothing.")
    by_words: list[ThresholdByWords] | None = Field(
        None, description="The calibration's thresholds, by the length of a text. A text of another length abstains."
    )
    temperature: float | None = Field(
        None, description="sigmoid(logit(probability) / temperature) fitted labelled texts best; it is not applied."
    )
    abstains: bool = Field(False, exclude=True)

    def for_words(self, words: int) -> Threshold:
        """The one for a text of so many words, out of an answer for texts of several lengths."""
        if self.by_words is None:
            return self
        value = next((one.value for one in self.by_words if one.least <= words <= one.most), None)
        return Threshold(value=self.value if value is None else value, abstains=value is None)


UNCALIBRATED = Threshold(value=0.5)


def threshold_for(calibration: Calibration | None, words: int) -> Threshold:
    """The threshold for a text of so many words; one that abstains where the calibration promises nothing for it."""
    if calibration is None:
        return UNCALIBRATED
    groups = [
        ThresholdByWords(least=group.least, most=group.most, value=group.threshold)
        for group in calibration.groups
        if group.threshold is not None
    ]
    value = calibration.threshold_for(words)
    return Threshold(
        value=UNCALIBRATED.value if value is None else value,
        promise=None if value is None else calibration.promise,
        by_words=groups,
        temperature=calibration.temperature,
        abstains=value is None,
    )


def offsets(text: str) -> Offsets:
    """Where each word stands: first code point, and the one after its last."""
    return [(start, stop) for start, stop in words.split(text).tolist()]


def find(text: str, probabilities: Sequence[float], threshold: Threshold) -> list[Span]:
    """The passages of a text, by its probabilities as they are answered; none where the threshold abstains."""
    if threshold.abstains:
        return []
    where = words.split(text)
    found = spans.find(np.asarray(probabilities), threshold.value)
    return [
        Span(
            start=int(where[passage.first, 0]),
            end=int(where[passage.last, 1]),
            first_word=passage.first,
            last_word=passage.last,
            probability=round(passage.probability, 4),
            words=len(passage),
        )
        for passage in found
    ]


def summarise(probabilities: Sequence[float], found: Sequence[Span], threshold: Threshold) -> Summary:
    """`found` are the text's passages."""
    return Summary(
        mean=round(float(np.mean(probabilities)), 4),
        passages=len(found),
        machine_share=None if threshold.abstains else round(sum(span.words for span in found) / len(probabilities), 4),
        abstained=threshold.abstains,
    )
