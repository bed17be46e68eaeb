"""The teacher's log-odds of every token, computed once by its fastest engine and kept on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from bento import folders, settings
from bento.artifact import ModelFolder
from bento.engines import Batching, Runner, choice
from bento.text import words
from bento.text.tokenizer import Tokenizer
from bento.types import Encoding, FloatArray, IntArray, Window

CHUNK = 512
"""Texts of a file of scores: what an interrupted run scores again at most."""

_TOGETHER = 8
_CLIP = 12.0
"""Log-odds beyond which a probability is 0 or 1 in every figure."""


@dataclass(frozen=True)
class Judgement:
    """offsets: [tokens, 2], the characters of each token. odds: [tokens], the log-odds that a machine wrote it."""

    offsets: NDArray[np.int32]
    odds: FloatArray


class Teacher:
    """A checkpoint or a model folder. Raises ArtifactError, CheckpointError and ConfigError."""

    def __init__(self, path: Path) -> None:
        whole = path.resolve()
        folder, runner, _ = choice.choose(whole, settings.load().settings.serving(whole))
        self.path = path
        self.folder: ModelFolder = folder
        self.is_checkpoint = folders.is_checkpoint(path)
        self._runner: Runner = runner
        self.tokenizer = Tokenizer(folder.tokenizer, folder.tokenizer_text)

    @property
    def digest(self) -> str:
        """A digest of the files that its scores depend on."""
        return self.folder.manifest.digest

    def sees(self, text: str) -> bool:
        """Whether a text fits one window."""
        return len(self.tokenizer.encode(text)) <= self.folder.manifest.max_tokens - self.tokenizer.special_tokens

    def judge(self, texts: Sequence[str], folder: Path) -> list[Judgement]:
        """The judgement of each text, from `folder` if it is there. Every text must fit one window."""
        folder.mkdir(parents=True, exist_ok=True)
        parts = [texts[at : at + CHUNK] for at in range(0, len(texts), CHUNK)]
        files = [folder / f"scores-{number:05}.npz" for number in range(len(parts))]
        todo = [(part, file) for part, file in zip(parts, files, strict=True) if not file.exists()]
        for part, file in track(todo, description="teacher's scores", disable=not todo):
            _keep(file, self._run(part))
        return [one for file in files for one in _kept(file)]

    def _run(self, texts: Sequence[str]) -> list[Judgement]:
        encodings = self.tokenizer.encode_all(texts)
        order = sorted(range(len(texts)), key=lambda index: len(encodings[index]))
        together = 1 if self._runner.abilities.batching is Batching.SINGLE else _TOGETHER
        batches = [order[at : at + together] for at in range(0, len(order), together)]
        found: dict[int, FloatArray] = {}
        with ThreadPoolExecutor(self._runner.abilities.lanes) as lanes:
            rows = lanes.map(lambda batch: self._odds([encodings[index] for index in batch]), batches)
            for batch, odds in zip(batches, rows, strict=True):
                found.update(zip(batch, odds, strict=True))
        return [Judgement(one.offsets.astype(np.int32), found[i]) for i, one in enumerate(encodings)]

    def _odds(self, encodings: Sequence[Encoding]) -> list[FloatArray]:
        ids = [self.tokenizer.ids(one, Window(0, len(one))) for one in encodings]
        manifest = self.folder.manifest
        content = (np.asarray(self.tokenizer.content(logits)) for logits in self._runner.run(ids))
        rows = [words.positive_probability(c, manifest.positive_indices, manifest.activation) for c in content]
        return [log_odds(row) for row in rows]


def log_odds(probabilities: FloatArray) -> FloatArray:
    """log(p / (1 - p)), with p clipped so that the result is finite."""
    with np.errstate(divide="ignore"):
        chance = probabilities.astype(np.float64)
        odds: FloatArray = np.clip(np.log(chance) - np.log1p(-chance), -_CLIP, _CLIP).astype(np.float32)
    return odds


def carry(judgement: Judgement, offsets: IntArray) -> FloatArray:
    """The teacher's log-odds for tokens of another tokenizer [tokens]: the mean over their characters.

    nan for a token whose characters are in none of the teacher's tokens. If the tokens are equal, so are the numbers.
    """
    if np.array_equal(judgement.offsets, offsets):
        return judgement.odds
    length = max(judgement.offsets.max(initial=0), offsets.max(initial=0)) + 1
    total, count = np.zeros(length), np.zeros(length)
    for (start, stop), odds in zip(judgement.offsets, judgement.odds, strict=True):
        total[start:stop] += odds
        count[start:stop] += 1
    sums, counts = (np.concatenate([[0.0], np.cumsum(one)]) for one in (total, count))
    seen = counts[offsets[:, 1]] - counts[offsets[:, 0]]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (sums[offsets[:, 1]] - sums[offsets[:, 0]]) / seen
    return np.where(seen > 0, means, np.nan).astype(np.float32)


def _keep(file: Path, judgements: Sequence[Judgement]) -> None:
    """Write a temporary file and rename it, so that a file in the folder is always complete."""
    lengths = np.array([len(one.odds) for one in judgements])
    offsets = np.concatenate([one.offsets for one in judgements])
    odds = np.concatenate([one.odds for one in judgements])
    new = file.with_suffix(".new.npz")
    np.savez_compressed(new, lengths=lengths, offsets=offsets, odds=odds)
    new.replace(file)


def _kept(file: Path) -> Iterator[Judgement]:
    arrays: Any = np.load(file)
    edges = np.cumsum(arrays["lengths"])[:-1]
    for offsets, odds in zip(np.split(arrays["offsets"], edges), np.split(arrays["odds"], edges), strict=True):
        yield Judgement(offsets, odds)
