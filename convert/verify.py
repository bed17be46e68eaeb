"""Does a written folder answer as the checkpoint does? Word by word, through bento, as it will be served.

The checkpoint's own answers are transformers' and torch's, and their way from tokens to words is written here anew, so
that a fault of the served path is a difference, not a fault of both.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bento import artifact
from bento.artifact import Manifest, WordScore
from bento.settings import ROOT
from bento.text import windows
from bento.text.tokenizer import MARKS, Tokenizer
from bento.types import FloatArray
from convert.errors import VerificationError
from convert.figures import Array, Figures, auroc, rank_correlation
from convert.measure import PROGRESS, Measurement, settings_for
from convert.texts import Text
from convert.tokenizer import plain


@dataclass(frozen=True)
class Reference:
    """What PyTorch says in FP32: of each text, one probability a word; seconds and windows for all of them."""

    texts: tuple[Text, ...]
    probabilities: tuple[FloatArray, ...]
    seconds: float
    windows: int

    @property
    def flat(self) -> Array:
        """[words], of all texts."""
        return np.concatenate(self.probabilities)

    @property
    def words_per_s(self) -> float:
        """PyTorch's speed."""
        return len(self.flat) / self.seconds


def reference(folder: Path, model: Any, texts: tuple[Text, ...], on_window: Callable[[], None]) -> Reference:
    """Ask the checkpoint itself. Of `folder` only the tokenizer and the manifest are used.

    What the served path has in common with this is how texts become tokens and windows: `Tokenizer` and `windows`.
    """
    loaded = artifact.load(folder)
    manifest, tokenizer = loaded.manifest, Tokenizer(loaded.tokenizer)
    limit = manifest.max_tokens - tokenizer.special_tokens
    overlap = settings_for(folder, manifest).model.window_overlap
    vocabulary = plain(loaded.tokenizer.read_text(encoding="utf-8"))
    found, count, start = [], 0, time.perf_counter()
    for text in texts:
        encoding = tokenizer.encode(text.text)
        parts = windows.split(len(encoding), limit, overlap)
        pieces = []
        for part in parts:
            with torch.inference_mode():
                logits = model(torch.from_numpy(tokenizer.ids(encoding, part))[None]).logits[0]
            pieces.append(tokenizer.content(_probabilities(logits, manifest).numpy()))
            on_window()
        count += len(parts)
        tokens = [vocabulary.id_to_token(int(number)) or "" for number in encoding.ids]
        values = windows.stitch(parts, pieces)
        found.append(word_scores(text.text, tokens, encoding.offsets.tolist(), values.tolist(), manifest.word_score))
    return Reference(texts, tuple(found), time.perf_counter() - start, count)


def _probabilities(logits: torch.Tensor, manifest: Manifest) -> torch.Tensor:
    """[tokens, labels] -> [tokens], as training had it."""
    if manifest.activation == "sigmoid" or len(manifest.labels) == 1:
        return torch.sigmoid(logits[:, manifest.positive_indices[0]])
    return torch.softmax(logits, dim=-1)[:, list(manifest.positive_indices)].sum(dim=-1)


def word_scores(
    text: str, tokens: Sequence[str], offsets: Sequence[tuple[int, int]], values: Sequence[float], rule: WordScore
) -> FloatArray:
    """One score a word [words], by the rule of bento/text/words.py, said again in plain Python: two that are to agree.

    tokens, offsets, values: of each token its text in the vocabulary, where it stands, its probability.
    """
    owner: list[int | None] = []  # of each character, its word
    count = 0
    for before, character in zip(f" {text}", text, strict=False):
        if before.isspace() and not character.isspace():
            count += 1
        owner.append(None if character.isspace() else count - 1)
    members: list[list[int]] = [[] for _ in range(count)]
    for token, (start, stop) in enumerate(offsets):
        for word in sorted({word for word in owner[start:stop] if word is not None}):
            members[word].append(token)
    scores: list[float | None] = []
    for word, mine in enumerate(members):
        if not mine:
            scores.append(scores[-1] if scores else None)
        elif rule == "mean":
            scores.append(sum(values[token] for token in mine) / len(mine))
        elif rule == "max":
            scores.append(max(values[token] for token in mine))
        else:
            lead = mine[0] - 1
            alone = lead >= 0 and tokens[lead] in MARKS and not tokens[mine[0]].startswith(MARKS)
            apart = alone and set(owner[slice(*offsets[lead])]) <= {None} and offsets[mine[0]][0] >= owner.index(word)
            scores.append(values[lead if apart else mine[0]])
    first = next((score for score in scores if score is not None), 0.0)
    return np.array([first if score is None else score for score in scores], dtype=np.float32)


def measure(
    folder: Path, texts: Sequence[Text], on_window: Callable[[], None] = lambda: None, fused: bool = False
) -> Measurement:
    """`convert.measure` in a process of its own, of one of the two graphs. Raises VerificationError when it cannot."""
    # `-m` finds a package in the working directory first, so this very tree.
    command = [sys.executable, "-m", "convert.measure", str(folder.resolve()), *(["--fused"] if fused else [])]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as given,
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
    ):
        json.dump([text.text for text in texts], given)
        given.seek(0)
        with subprocess.Popen(command, cwd=ROOT, stdin=given, stdout=subprocess.PIPE, stderr=errors) as process:
            last = b""
            try:
                for line in process.stdout or ():
                    last = line.strip()
                    if last == PROGRESS.encode():
                        on_window()
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            errors.seek(0)
            reason = (errors.read().strip().splitlines() or [f"exit code {process.returncode}"])[-1]
            raise VerificationError(folder.name, f"it cannot be served ({reason})")
    return Measurement(**json.loads(last))


def compare(expected: Reference, found: Measurement, threshold: float, fp32_share: float) -> Figures:
    """The figures that come of two answers."""
    theirs, ours = expected.flat, found.flat
    gap = np.abs(theirs - ours)
    known = [(text.labels, len(values)) for text, values in zip(expected.texts, expected.probabilities, strict=True)]
    labelled = np.concatenate([np.full(count, labels is not None) for labels, count in known])
    truth = np.concatenate([np.asarray(labels or (), dtype=bool) for labels, _ in known])
    return Figures(
        words=len(gap),
        max_dp=float(gap.max()),
        mean_dp=float(gap.mean()),
        p999_dp=float(np.quantile(gap, 0.999)),
        flips=float(((theirs >= threshold) != (ours >= threshold)).mean()),
        rank=rank_correlation(theirs, ours),
        neighbours=found.neighbours,
        words_per_s=len(gap) / found.seconds,
        memory_mb=found.memory_mb,
        size_mb=found.size_mb,
        fp32_share=fp32_share,
        auroc=auroc(ours[labelled], truth),
        torch_auroc=auroc(theirs[labelled], truth),
    )
