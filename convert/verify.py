"""Compares a written folder's scores with the checkpoint's, word by word, through bento, as it will be served.

The checkpoint's scores come from transformers and torch, and this file has its own code from tokens to words, so that a
fault of the serving code shows as a difference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bento import artifact
from bento.artifact import Manifest
from bento.checkpoint.tokenizer import plain
from bento.settings import ISA_VARIABLE, ROOT
from bento.text import windows
from bento.text.tokenizer import MARKS, Tokenizer
from bento.types import FloatArray, WordScore
from convert.errors import VerificationError
from convert.figures import MARGIN, Array, Figures, auroc, rank_correlation, upper_bound
from convert.measure import PROGRESS, Measurement, settings_for
from convert.texts import Asked, Text

# Rows of native/cpu/instruction_sets.cpp: a processor that has one has all before it.
INSTRUCTION_SETS = (
    ("portable", "avx2", "avx512vnni", "avx512bf16", "amx"),
    ("portable", "avx2", "avxvnni"),
    ("portable", "dotprod", "i8mm"),
)


@dataclass(frozen=True)
class Reference:
    """PyTorch's scores in FP32: one probability a word for each text, the windows, and the seconds for all texts."""

    texts: tuple[Text, ...]
    probabilities: tuple[FloatArray, ...]
    seconds: float
    windows: tuple[int, ...]

    def first(self, count: int) -> Reference:
        """The same of the first texts alone."""
        return replace(
            self, texts=self.texts[:count], probabilities=self.probabilities[:count], windows=self.windows[:count]
        )

    @property
    def flat(self) -> Array:
        """[words], of all texts."""
        return np.concatenate(self.probabilities)


def reference(folder: Path, model: Any, texts: tuple[Text, ...], on_window: Callable[[], None]) -> Reference:
    """Ask the checkpoint itself. Of `folder` only the tokenizer and the manifest are used.

    What the served path has in common with this is how texts become tokens and windows: `Tokenizer` and `windows`.
    """
    loaded = artifact.load(folder)
    manifest, tokenizer = loaded.manifest, Tokenizer(loaded.tokenizer)
    limit = manifest.max_tokens - tokenizer.special_tokens
    overlap = settings_for(folder, manifest).model.window_overlap
    vocabulary = plain(loaded.tokenizer.read_text(encoding="utf-8"))
    found, counts, start = [], [], time.perf_counter()
    for text in texts:
        encoding = tokenizer.encode(text.text)
        parts = windows.split(len(encoding), limit, overlap)
        pieces = []
        for part in parts:
            with torch.inference_mode():
                logits = model(torch.from_numpy(tokenizer.ids(encoding, part))[None]).logits[0]
            pieces.append(tokenizer.content(_probabilities(logits, manifest).numpy()))
            on_window()
        counts.append(len(parts))
        tokens = [vocabulary.id_to_token(int(number)) or "" for number in encoding.ids]
        values = windows.stitch(parts, pieces)
        found.append(word_scores(text.text, tokens, encoding.offsets.tolist(), values.tolist(), manifest.word_score))
    return Reference(texts, tuple(found), time.perf_counter() - start, tuple(counts))


def _probabilities(logits: torch.Tensor, manifest: Manifest) -> torch.Tensor:
    """[tokens, labels] -> [tokens], as training had it."""
    if manifest.activation == "sigmoid" or len(manifest.labels) == 1:
        return torch.sigmoid(logits[:, manifest.positive_indices[0]])
    return torch.softmax(logits, dim=-1)[:, list(manifest.positive_indices)].sum(dim=-1)


def word_scores(
    text: str, tokens: Sequence[str], offsets: Sequence[tuple[int, int]], values: Sequence[float], rule: WordScore
) -> FloatArray:
    """One score a word [words], by the rule of bento/text/words.py, implemented independently in plain Python.

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
    folder: Path,
    asked: Asked,
    on_window: Callable[[], None] = lambda: None,
    fused: bool = False,
    instruction_set: str | None = None,
) -> Measurement:
    """`convert.measure` in a process of its own, of one of the two graphs. Raises VerificationError when it cannot.

    instruction_set: the one that the operators are to use, in place of the best that this machine has.
    """
    # `-m` finds a package in the working directory first, so this very tree.
    command = [sys.executable, "-m", "convert.measure", str(folder.resolve()), str(asked.first)]
    command += ["--fused"] if fused else []
    environ = {**os.environ, **({ISA_VARIABLE: instruction_set} if instruction_set else {})}
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as given,
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
    ):
        json.dump([text.text for text in asked.texts], given)
        given.seek(0)
        with subprocess.Popen(
            command, cwd=ROOT, env=environ, stdin=given, stdout=subprocess.PIPE, stderr=errors
        ) as process:
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


def lower_instruction_sets(found: Measurement) -> tuple[str, ...]:
    """Those that a machine has which chose the operators' own of this measurement, and that they have kernels for."""
    chosen = found.variant.partition(".")[2]
    return next((sets[: sets.index(chosen)] for sets in INSTRUCTION_SETS if chosen in sets), ())


def compare(expected: Reference, found: Measurement, threshold: float, fp32_share: float) -> Figures:
    """The figures that come of two answers."""
    theirs, ours = expected.flat, found.flat
    gap, counts = np.abs(theirs - ours), np.array([len(values) for values in expected.probabilities])
    flipped = (theirs >= threshold) != (ours >= threshold)
    clear = flipped & (np.maximum(np.abs(theirs - threshold), np.abs(ours - threshold)) >= MARGIN)
    starts = np.cumsum(counts) - counts
    labels = [text.labels for text in expected.texts]
    labelled = np.repeat([each is not None for each in labels], counts)
    truth = np.concatenate([np.asarray(each or (), dtype=bool) for each in labels])
    return Figures(
        words=len(gap),
        max_dp=float(gap.max()),
        mean_dp=float(gap.mean()),
        p999_dp=float(np.quantile(gap, 0.999)),
        flips=float(flipped.mean()),
        clear_flips=float(clear.mean()),
        mean_dp_bound=upper_bound(np.add.reduceat(gap, starts), counts),
        # One more than were seen, because the bootstrap of zero flips is always zero.
        clear_flips_bound=upper_bound(np.add.reduceat(clear.astype(float), starts), counts) + 1 / len(gap),
        rank=rank_correlation(theirs, ours),
        neighbours=found.neighbours,
        words_per_s=found.words / found.seconds,
        memory_mb=found.memory_mb,
        size_mb=found.size_mb,
        fp32_share=fp32_share,
        auroc=auroc(ours[labelled], truth),
        torch_auroc=auroc(theirs[labelled], truth),
    )
