"""The steps that score texts by requests within the server's limits, in the order of the texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from bento.client.asking import Asking, Send, Steps, Subject, asked, fault
from bento.client.errors import Refused
from bento.passages import INCLUDABLE, Offsets, Span, Summary, Threshold

_SENTENCES, _DOCUMENT = "/api/v1/predict/sentences", "/api/v1/predict/document"
# Errors that a smaller request may avoid.
_TOO_MUCH = frozenset({"too_many_sentences", "text_too_long", "too_many_words", "body_too_large"})
_REQUEST_CHARACTERS = 500_000  # of all texts of a request: a body below api.max_body_bytes, 4 MiB


class Result(BaseModel):
    """The answer for one text. index: its place among the texts. The fields from `offsets` on are set if asked for."""

    index: int
    text: str
    probabilities: list[float]
    model_version: str
    offsets: Offsets | None = None
    spans: list[Span] | None = None
    summary: Summary | None = None
    threshold: Threshold | None = None


_Numbered = list[tuple[int, str]]


@dataclass(frozen=True)
class Exchange:
    """How texts are sent.

    include: what is asked for besides the probabilities. max_texts: the most texts of a request. max_words: the most
    words of a text in it; a longer text is sent as a document. If the server's limits are lower, its error says so, and
    the request is halved. patience_s: the most seconds of waits for one request, over all its attempts.
    """

    include: tuple[str, ...]
    max_texts: int
    max_words: int
    patience_s: float

    def steps(self, texts: Iterable[str]) -> Steps[Result]:
        """Score texts. They are read when they are needed; the results are in their order."""
        for batch in self._batches(texts):
            pending = [batch]
            while pending:
                now = pending.pop(0)
                as_document = len(now) == 1 and len(now[0][1].split()) > self.max_words
                response = yield from self._ask(now, as_document)
                code, message, field = fault(response)
                if code in _TOO_MUCH and len(now) > 1:
                    pending[:0] = [now[: len(now) // 2], now[len(now) // 2 :]]
                    continue
                if code in _TOO_MUCH and not as_document:
                    response = yield from self._ask(now, True)
                    code, message, field = fault(response)
                    as_document = True
                if code:
                    index = now[_place(field, len(now))][0]
                    raise Refused(f"texts[{index}]", response.status_code, code, message, index)
                yield from self._results(now, response.json(), as_document)

    def _batches(self, texts: Iterable[str]) -> Iterable[_Numbered]:
        batch: _Numbered = []
        size = 0
        for index, text in enumerate(texts):
            long = len(text.split()) > self.max_words
            if batch and (long or len(batch) == self.max_texts or size + len(text) > _REQUEST_CHARACTERS):
                yield batch
                batch, size = [], 0
            if long:
                yield [(index, text)]
                continue
            batch.append((index, text))
            size += len(text)
        if batch:
            yield batch

    def _ask(self, batch: _Numbered, as_document: bool) -> Asking[Result]:
        texts = [text for _, text in batch]
        body: dict[str, Any] = {"sentences": texts}
        if self.include:
            body["include"] = list(self.include)
        path, body = (_DOCUMENT, {"text": texts[0]}) if as_document else (_SENTENCES, body)
        index = batch[0][0]
        return asked(Send("POST", path, json=body), Subject(f"texts[{index}]", index), self.patience_s)

    def _results(self, batch: _Numbered, answer: dict[str, Any], as_document: bool) -> Steps[Result]:
        metadata = answer["metadata"]
        for place, (index, text) in enumerate(batch):
            given = {
                name: answer[name] if as_document else answer[name][place]
                for name in ("probabilities", *self.include)
                if name in answer
            }
            yield Result(
                index=index,
                text=text,
                model_version=metadata["model_version"],
                threshold=metadata.get("threshold") if {"spans", "summary"} & set(self.include) else None,
                **given,
            )


def _place(field: str, count: int) -> int:
    """The place of the text that an error's field names; 0 if it names none."""
    found = re.search(r"\[(\d+)\]", field)
    return min(int(found[1]), count - 1) if found else 0


def checked(include: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple. Raises ValueError for a name that is not in INCLUDABLE."""
    if unknown := set(include) - set(INCLUDABLE):
        raise ValueError(f"include has {', '.join(sorted(unknown))}: it may have {', '.join(INCLUDABLE)}")
    return tuple(include)
