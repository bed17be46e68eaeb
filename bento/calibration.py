"""The calibration of a model: thresholds that bound the false-positive rate on one population. No I/O but its file.

`wordtell calibrate` ranks wholly human texts by the highest threshold at which one is marked. With n of them in a group
of length, a threshold just above the k-th lowest rank, k = ceil((n + 1) * (1 - rate)), marks the next human text of the
same population with a probability of at most `rate` (split conformal prediction: Vovk et al. 2005, Algorithmic Learning
in a Random World, chapter 4). The probability is over the draw of the n texts too. It needs k <= n: 99 texts for 1 %.

It does not hold for other populations. For a length without a threshold `threshold_for` returns None, and the answer
abstains.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from bento.errors import ArtifactError

FILE = "calibration.json"
FORMAT = 1

_STEP = 0.0001  # scores are answered with 4 places, so nothing lies between a score and this much above it
_REMEDY = "write it again with `wordtell calibrate`, or delete it"


@dataclass(frozen=True)
class Group:
    """Texts of `least` to `most` words; `texts` of them were ranked. threshold: None if there were too few texts."""

    least: int
    most: int
    texts: int
    threshold: float | None


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What `wordtell calibrate` wrote.

    model: the digest of the manifest that it belongs to. population: the name of the human texts. texts: how many.
    false_positive_rate: the share of human texts that may be marked. made: the date. temperature: the T that makes
    sigmoid(logit(score) / T) fit labelled texts best (Guo et al. 2017, On Calibration of Neural Networks), None where
    there were none; scores are answered without it.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    format: int = FORMAT
    model: str
    population: str
    texts: int
    false_positive_rate: float
    made: str
    groups: tuple[Group, ...]
    temperature: float | None = None

    def threshold_for(self, words: int) -> float | None:
        """The threshold for a text of this many words; None if its length has none."""
        return next((group.threshold for group in self.groups if group.least <= words <= group.most), None)

    @property
    def promise(self) -> str:
        """What the thresholds promise, in a sentence."""
        return (
            f"of human texts like {self.population} ({self.texts} texts, {self.made}), at most"
            f" {100 * self.false_positive_rate:.3g} % are expected to be marked; nothing is promised of other texts"
        )

    def to_json(self) -> str:
        """As it stands in calibration.json: the calibration, and the SHA-256 of it."""
        body = asdict(self)
        return json.dumps({"calibration": body, "sha256": _digest(body)}, indent=2, ensure_ascii=False) + "\n"


def least_texts(rate: float) -> int:
    """How many human texts a group needs for the promise."""
    return math.ceil(round(1 / rate, 9)) - 1


def conformal_threshold(ranks: Sequence[float], rate: float) -> float | None:
    """The lowest threshold that marks the next text with a probability of at most `rate`; None where there is none.

    ranks: for each human text the highest threshold at which it is marked (`spans.highest_threshold`), of 4 places.
    """
    place = math.ceil(round((len(ranks) + 1) * (1 - rate), 9))
    if place > len(ranks):
        return None
    threshold = round(sorted(ranks)[place - 1] + _STEP, 4)
    return threshold if threshold <= 1 else None


def load(folder: Path, model: str) -> Calibration | None:
    """The calibration in a model folder, None where there is none. Raises ArtifactError for one that is not as written.

    model: the digest of the folder's manifest.
    """
    path = folder / FILE
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArtifactError(path, f"cannot be read ({error.strerror})", "check its permissions") from None
    except ValueError:
        raise ArtifactError(path, "is not JSON", _REMEDY) from None
    if not isinstance(raw, dict) or set(raw) != {"calibration", "sha256"}:
        raise ArtifactError(path, "has other keys than calibration and sha256", _REMEDY)
    if raw["sha256"] != _digest(raw["calibration"]):
        raise ArtifactError(path, "its SHA-256 is not that of its content, so it was edited", _REMEDY)
    try:
        found = TypeAdapter(Calibration).validate_python(raw["calibration"])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ArtifactError(path, f"not a calibration: {where}: {first['msg']}", _REMEDY) from None
    if found.format != FORMAT:
        raise ArtifactError(path, f"has format {found.format}, this version reads {FORMAT}", _REMEDY)
    if found.model != model:
        raise ArtifactError(path, f"belongs to the model {found.model}, this one is {model}", _REMEDY)
    return found


def _digest(body: object) -> str:
    plain = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()
