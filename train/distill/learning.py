"""The two stages of a student. First: the teacher's log-odds and gold labels. Second: also relations between words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from bento.checkpoint.reading import Checkpoint
from train.distill import losses, rows
from train.distill.rows import Row
from train.fitting import NOISE, Stage, bfloat16, fit


@dataclass(frozen=True)
class Plan:
    """steps, relation_steps: of the first and second stage. rate: the highest learning rate. each: texts per step.

    soft: the weight of the teacher's log-odds in the loss. The student is checked every `check_every` steps. A stage
    ends early after `patience` checks without gain.
    """

    steps: int
    relation_steps: int
    rate: float = 2e-4
    each: int = 16
    check_every: int = 50
    patience: int = 6
    seed: int = 13
    soft: float = 1.0


class Student:
    """A checkpoint in training. positive: the index of the machine's label."""

    def __init__(self, checkpoint: Checkpoint, positive: int) -> None:
        self.model: Any = checkpoint.model.requires_grad_(True)
        self.padding = int(checkpoint.model.config.pad_token_id or 0)
        self._positive = positive

    def odds(self, batch: rows.Batch, hidden: bool = False) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Log-odds [rows, tokens], and the last hidden states [rows, tokens, width] if `hidden`."""
        out = self.model(batch.ids, attention_mask=batch.mask, output_hidden_states=hidden)
        logits = out.logits.float()
        margin = logits[..., self._positive] - logits[..., 1 - self._positive]
        return margin, out.hidden_states[-1] if hidden else None


@dataclass(frozen=True)
class Lessons:
    """teach, choose: rows of the student's tokens. model: the teacher in PyTorch; None if only its scores are known.

    theirs: the rows of `teach` as the teacher's tokens.
    """

    teach: list[Row]
    choose: list[Row]
    theirs: list[Row]
    model: Any = None


def learn(student: Student, lessons: Lessons, plan: Plan, folder: Path, run: dict[str, Any]) -> None:
    """Run the stages, from the states in `folder` if there are any that belong to `run`.

    The second stage needs the teacher's layers, and is left out without them. If it makes the student worse, the
    student of the first stage is kept.
    """

    def stage(name: str, steps: int) -> Stage:
        return Stage(
            name,
            steps,
            plan.rate,
            plan.seed,
            plan.check_every,
            plan.patience,
            folder / f"{name}.pt",
            {**run, **asdict(plan)},
            remedy="start anew with --fresh",
            measure="quality",
        )

    def check() -> float:
        return quality(student, lessons.choose)

    alone = replace(lessons, model=None)
    fit(stage("log-odds", plan.steps), student.model, lambda step: _loss(student, alone, plan, step), check)
    if lessons.model is not None and plan.relation_steps:
        before, kept = check(), {name: value.clone() for name, value in student.model.state_dict().items()}
        last = stage("relations", plan.relation_steps)
        fit(last, student.model, lambda step: _loss(student, lessons, plan, step), check)
        if check() < before - NOISE:
            student.model.load_state_dict(kept)
    student.model.eval()


def _loss(student: Student, lessons: Lessons, plan: Plan, step: int) -> torch.Tensor:
    teacher = lessons.model
    chosen = rows.drawn(len(lessons.teach), plan.each, step, plan.seed)
    total = torch.zeros(())
    for group in rows.groups(chosen, [len(row) for row in lessons.teach]):
        batch = rows.batch([lessons.teach[index] for index in group], student.padding)
        odds, hidden = student.odds(batch, hidden=teacher is not None)
        loss = plan.soft * losses.soft(odds.flatten(), batch.odds.flatten())
        loss = loss + losses.GOLD * losses.gold(odds.flatten(), batch.labels.flatten())
        if hidden is not None:
            theirs = rows.batch([lessons.theirs[index] for index in group], int(teacher.config.pad_token_id or 0))
            with torch.no_grad():
                seen = teacher(theirs.ids, attention_mask=theirs.mask, output_hidden_states=True).hidden_states[-1]
            words = losses.pool(hidden, batch.owners), losses.pool(seen, theirs.owners)
            count = min(words[0].shape[1], words[1].shape[1])
            loss = loss + losses.relations(words[0][:, :count], words[1][:, :count], batch.words.clamp(max=count))
        total = total + loss * len(group) / len(chosen)
    return total


def quality(student: Student, chosen: Sequence[Row]) -> float:
    """The token ROC-AUC by gold labels, or, without both classes, 1 - the mean distance from the teacher."""
    student.model.eval()
    odds, labels, theirs = [], [], []
    with torch.inference_mode(), bfloat16():
        for group in rows.groups(range(len(chosen)), [len(row) for row in chosen]):
            batch = rows.batch([chosen[index] for index in group], student.padding)
            found, _ = student.odds(batch)
            own = batch.owners >= 0
            odds.append(found[own].numpy())
            labels.append(batch.labels[own].numpy())
            theirs.append(batch.odds[own].numpy())
    mine, gold, wanted = (np.concatenate(one) for one in (odds, labels, theirs))
    if {0, 1} <= set(gold.tolist()):
        return float(roc_auc_score(gold[gold >= 0], mine[gold >= 0]))
    known = ~np.isnan(wanted)
    return 1 - float(np.abs(_chance(mine[known]) - _chance(wanted[known])).mean())


def _chance(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds.astype(np.float64)))
