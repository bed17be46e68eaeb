"""The options of a conversion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bento.artifact import Precision
from bento.checkpoint.names import HeadActivation
from bento.types import WordScore
from convert.figures import Limits

Wanted = Literal["fp32", "int8", "auto"]
# With more in FP32, INT8 saves too little for its error.
FP32_SHARES = (0.25, 0.5)


@dataclass(frozen=True, kw_only=True)
class Order:
    """The options. source: a checkpoint folder or a hub's name. None leaves a choice to the checkpoint.

    base: the folder or the hub's name of the model that an adapter is merged into.
    head_activation: what is between the two layers of a head that has two; see bento/checkpoint/heads.py.
    positive_labels: the labels that mean "written by a machine", or the names of their classes; none: found by name.
    word_score: how the probabilities of a word's tokens become the word's, as bento/text/words.py has it.
    precision: auto is the fastest of those that hold their limits.
    verify_texts: a file as convert/texts.py reads it, in addition to the built-in texts. verify_words: at least how
    many words of those INT8 is verified on; FP32, which differs by rounding alone, on the ladder and the user's.
    threshold: the probability from which a word counts as a machine's, for counting flips.
    max_dp: limit of FP32, which differs from PyTorch by rounding alone. max_mean_dp, max_flips: limits of INT8, which
    the upper 95 % bounds have to hold.
    max_fp32_share: how much of the MatMul weights INT8 leaves in FP32 at first, where their quantisation costs most.
    When the limits do not hold, it is more: FP32_SHARES.
    """

    source: str
    out: Path
    precision: Wanted
    base: str | None = None
    name: str | None = None
    positive_labels: tuple[str, ...] = ()
    word_score: WordScore = "mean"
    head_activation: HeadActivation | None = None
    max_tokens: int | None = None
    verify_texts: Path | None = None
    verify_words: int = 20_000
    threshold: float = 0.5
    max_dp: float = 1e-4
    max_mean_dp: float = 0.01
    max_flips: float = 0.005
    max_fp32_share: float = 0.1

    @property
    def variants(self) -> tuple[Precision, ...]:
        """The precisions to make and verify."""
        return ("fp32", "int8") if self.precision == "auto" else (self.precision,)

    def limits(self, precision: Precision) -> Limits:
        """The limits of a variant's figures. `neighbours` tests what docs/architecture/1-overview.md guarantees."""
        if precision == "fp32":
            return Limits(max_dp=self.max_dp, neighbours=1e-5)
        return Limits(mean_dp_bound=self.max_mean_dp, clear_flips_bound=self.max_flips, neighbours=2e-3)

    @property
    def fp32_shares(self) -> tuple[float, ...]:
        """What INT8 leaves in FP32 at most, try by try."""
        return (self.max_fp32_share, *(share for share in FP32_SHARES if share > self.max_fp32_share > 0))
