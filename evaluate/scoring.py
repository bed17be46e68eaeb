"""The word scores of a model: of a folder, loaded here, or of a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bento import settings
from bento.detector import Detector
from bento.passages import Threshold
from bento.text.words import rounded
from evaluate.errors import EvaluateError

_FIRST_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Scored:
    """scores: for each text [words], of 4 places as clients see them. thresholds: the model's own for each text.

    seconds: what scoring all texts together took, without loading the model.
    """

    version: str
    scores: list[NDArray[np.float64]]
    thresholds: list[Threshold]
    seconds: float = float("nan")


def score(model: str, texts: Sequence[str], key: str | None = None) -> Scored:
    """Score texts with a model folder, or with the server at an http address. Raises WordtellError."""
    if model.startswith(("http://", "https://")):
        return _by_server(model, texts, key)
    detector = Detector.load(settings.load().settings.serving(Path(model).resolve()).uncached())
    started = time.perf_counter()
    try:
        words = asyncio.run(detector.score(texts)).words
        seconds = time.perf_counter() - started
        thresholds = [detector.threshold_for(len(scores)) for scores in words]
    finally:
        detector.close()
    return Scored(detector.version, [np.asarray(rounded(scores)) for scores in words], thresholds, seconds)


def _by_server(address: str, texts: Sequence[str], key: str | None) -> Scored:
    try:
        from bento.client import Client, ClientError  # noqa: PLC0415 - only an address needs it
    except ModuleNotFoundError as error:
        raise EvaluateError(f"the module {error.name} is missing; run: pip install 'wordtell[client]'") from None
    try:  # a wrong address or a missing key is reported before all texts are scored
        with Client(address, key=key, patience_s=_FIRST_PATIENCE_S) as client:
            list(client.score(texts[:1]))
        with Client(address, key=key, include=["summary"]) as client:
            results = list(client.score(texts))
    except ClientError as error:
        raise EvaluateError(f"{address}: {error.message}") from None
    thresholds = [(result.threshold or Threshold(value=0.5)).for_words(len(result.probabilities)) for result in results]
    scores = [np.asarray(result.probabilities) for result in results]
    return Scored(results[0].model_version, scores, thresholds)
