"""Turns texts into words, tokens and windows, within the limits of a request; and logits into scores of words."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from opentelemetry.trace import SpanContext

from bento import metrics
from bento.alignment import Alignment, Partial, Prepared
from bento.artifact import Manifest, ModelFolder
from bento.errors import ConfigError, TextTooLong, Untokenisable
from bento.scheduling.backlog import Done
from bento.settings import ApiSettings, Settings
from bento.text import windows, words
from bento.text.tokenizer import Tokenizer, TokenizerFault, TooManyTokens
from bento.types import Encoding, FloatArray, Window


@dataclass
class Request:
    """Texts that are scored together, and the number of their tokens so far. names: how errors call each text.

    limits: None for no limits. partial: gets the scores of a document window by window. span: the trace's span, if the
    request is traced. align_s: for each text, the seconds that its alignment took.
    """

    owner: str
    names: Mapping[str, str]
    on_window: Callable[[], None]
    limits: ApiSettings | None
    span: SpanContext | None
    partial: Partial | None = None
    background: bool = False
    align_s: list[float] = field(default_factory=list)
    tokens: int = 0

    def add(self, text: str, encoding: Encoding) -> None:
        """Count the tokens of one more text. Raises TextTooLong when their sum is over `api.max_request_tokens`."""
        self.tokens += len(encoding)
        # A document has its own limit, api.max_document_tokens, which may be higher.
        if self.limits is not None and self.partial is None and self.tokens > self.limits.max_request_tokens:
            raise TextTooLong.in_all(self.names[text], self.tokens, self.limits.max_request_tokens)

    def text_limit(self) -> tuple[str, int | None]:
        """The setting that limits the tokens of a text, and its value."""
        name = "max_text_tokens" if self.partial is None else "max_document_tokens"
        return name, getattr(self.limits, name, None)

    def on_piece(self, index: int, logits: FloatArray) -> None:
        """Called when a lane has run the window `index` of a text."""
        self.on_window()
        if self.partial is not None:
            self.partial.add(index, logits)


class Preparation:
    """Uses the tokenizer and windows of one model. longest: the most tokens of a window, special ones included."""

    def __init__(self, folder: ModelFolder, settings: Settings) -> None:
        """Raises ConfigError when the settings do not fit the model."""
        self._tokenizer = Tokenizer(folder.tokenizer, folder.tokenizer_text)
        self.alignment = Alignment(self._tokenizer, folder.manifest)
        self.overlap = settings.model.window_overlap
        self.longest = _longest(folder.manifest, settings)
        self._limit = self.longest - self._tokenizer.special_tokens
        if not self.overlap < self._limit:
            raise ConfigError(
                f"model.window_overlap is {self.overlap}: it must be below the window's {self._limit} tokens",
                "model.window_overlap",
            )

    def prepare(self, request: Request, texts: Sequence[str]) -> list[Prepared]:
        """Tokenise texts and cut them into windows. Raises TextTooLong and Untokenisable."""
        started = time.perf_counter()
        try:
            setting, most = request.text_limit()
            encodings = self._tokenizer.encode_all(texts, most)
        except TokenizerFault as fault:
            raise Untokenisable(request.names[texts[fault.index]]) from None
        except TooManyTokens as fault:
            raise TextTooLong.in_tokens(request.names[texts[fault.index]], fault.count, most or 0, setting) from None
        prepared = []
        for text, encoding in zip(texts, encodings, strict=True):
            request.add(text, encoding)
            spans = self._windows(encoding)
            ids = tuple(self._tokenizer.ids(encoding, span) for span in spans)
            prepared.append(Prepared(words.split(text), encoding, spans, ids))
        metrics.stage("tokenise", time.perf_counter() - started, [request.span], texts=len(texts))
        return prepared

    def align(self, request: Request, text: Prepared, done: Done) -> FloatArray:
        """The scores [words] of a text, from the logits of its windows. Raises ArithmeticError if one is not finite."""
        started = time.perf_counter()
        scores = self.alignment.score(text, list(map(self.alignment.probabilities, done.logits)))
        seconds = time.perf_counter() - started
        metrics.STAGE_SECONDS.labels("align").observe(seconds)
        request.align_s.append(seconds)
        if not np.isfinite(scores).all():
            raise ArithmeticError("the model's answer is not a number")
        return scores

    def window_tokens(self, text: str) -> tuple[int, ...]:
        """The number of tokens of each window of a text, special tokens included."""
        special = self._tokenizer.special_tokens
        return tuple(len(window) + special for window in self._windows(self._tokenizer.encode(text)))

    def _windows(self, encoding: Encoding) -> tuple[Window, ...]:
        return windows.split(len(encoding), self._limit, self.overlap)


def _longest(manifest: Manifest, settings: Settings) -> int:
    """The most tokens of a window. Raises ConfigError when it is over the model's or the scheduler's limit."""
    longest = settings.model.max_tokens or manifest.max_tokens
    most = manifest.position_limit
    if most is not None and longest > most:
        raise ConfigError(
            f"model.max_tokens is {longest}: the model has positions for {most} tokens; lower it or leave it empty",
            "model.max_tokens",
        )
    if longest > settings.api.max_batch_tokens:
        raise ConfigError(
            f"api.max_batch_tokens is {settings.api.max_batch_tokens}, less than one window of {longest} tokens:"
            " raise it, or lower model.max_tokens",
            "api.max_batch_tokens",
        )
    return longest
