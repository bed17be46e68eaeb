"""The training loop: AdamW, with checks, saved states and resumption."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bento import cpu
from train.command import Unfit

NOISE = 0.005
"""Checks nearer to each other than this are equal, and the later wins: it has cooled further.

A validation split of a few hundred spans does not tell them apart.
"""


def bfloat16() -> torch.autocast:
    """Multiply in bfloat16 on CPUs with AMX, which is 1.6 times as fast; weights and sums stay float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=cpu.instruction_set() == "amx")


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    rate: the highest learning rate, which is reached after 6 % of the steps.
    state: the file from which an interrupted run resumes, if its `depends` are equal.
    remedy: the command that starts a run anew. measure: the name of the figure that a check returns.
    """

    name: str
    steps: int
    rate: float
    seed: int
    check_every: int
    patience: int
    state: Path
    depends: dict[str, Any]
    remedy: str = "run: python -m train.train --fresh"
    measure: str = "validation AUC"

    def restore(self) -> dict[str, Any] | None:
        """Read the state, if there is one. Raises `Unfit` if it belongs to another recipe."""
        if not self.state.exists():
            return None
        kept: dict[str, Any] = torch.load(self.state, weights_only=True)
        if kept["depends"] != self.depends:
            raise Unfit(f"{self.state} was made with other settings; {self.remedy}")
        return kept

    def keep(self, kept: dict[str, Any]) -> None:
        """Write the state in one step: after an interruption the file has the earlier state."""
        torch.save({**kept, "depends": self.depends}, f"{self.state}.new")
        Path(f"{self.state}.new").replace(self.state)


def parameters(model: torch.nn.Module, decay: float = 0.01) -> Iterator[dict[str, Any]]:
    """Yield the optimizer's groups: weight decay applies to matrices, not to biases and norms."""
    for decays in (True, False):
        chosen = [p for p in model.parameters() if (p.dim() > 1) == decays]
        yield {"params": chosen, "weight_decay": decay if decays else 0.0}


def fit(
    stage: Stage,
    model: torch.nn.Module,
    loss: Callable[[int], torch.Tensor],
    check: Callable[[], float] | None = None,
) -> None:
    """Minimise `loss(step)` with a learning rate that rises and then falls to 0; leave the best weights in `model`.

    The batch and dropout of a step depend only on the seed and the step, so that a resumed run ends with the same
    weights. The best weights are the last ones whose `check` is at most `NOISE` below the highest, or the last ones if
    there is no check. Training stops early after `patience` checks below that.
    """
    optimizer = torch.optim.AdamW(parameters(model), lr=stage.rate, betas=(0.9, 0.98), eps=1e-6)
    step, best, since, mean, weights = 0, float("-inf"), 0, 0.0, None
    if kept := stage.restore():
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        step, best, since, weights = kept["step"], kept["best"], kept["since"], kept["weights"]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task(stage.name, total=stage.steps, completed=step)
        while step < stage.steps and since < stage.patience:
            torch.manual_seed(stage.seed * 1_000_003 + step)
            for group in optimizer.param_groups:
                group["lr"] = stage.rate * min((step + 1) / (0.06 * stage.steps + 1), 1.02 * (1 - step / stage.steps))
            model.train()
            with bfloat16():
                value = loss(step)
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            mean = value.item() if mean == 0.0 else 0.98 * mean + 0.02 * value.item()
            step += 1
            progress.update(bar, completed=step)
            if step % stage.check_every and step != stage.steps:
                continue
            score = check() if check else float(step)
            since, best = 0 if score > best - NOISE else since + 1, max(best, score)
            if since == 0:
                weights = {name: value.clone() for name, value in model.state_dict().items()}
            said = f", {stage.measure} {score:.4f}, best {best:.4f}" if check else ""
            progress.console.print(f"{stage.name}: step {step}, loss {mean:.4f}{said}")
            now = {"step": step, "best": best, "since": since, "weights": weights}
            stage.keep({"model": model.state_dict(), "optimizer": optimizer.state_dict(), **now})
    if weights:
        model.load_state_dict(weights)
