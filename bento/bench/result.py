"""What was measured, as it is printed and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from bento.cpu import Cores

# Lanes that have their cores to themselves have at least so much of them.
_BUSY = 0.8


@dataclass(frozen=True)
class Model:
    """version, engine, kernels: as a server's answers name them. reason: why this engine. load_s: until it is ready."""

    version: str
    engine: str
    kernels: str
    reason: str
    load_s: float


@dataclass(frozen=True)
class Machine:
    """lanes: windows that are computed at the same time."""

    processor: str
    cores: Cores
    device: str
    lanes: int


@dataclass(frozen=True)
class Request:
    """A request of `texts` texts of `words` words.

    seconds: for all of it, the median of `times` measurements of the first `texts_timed`, scaled by the rounds that
    the lanes run; least_s, most_s: the extremes of them. tokenise_s: what tokenising takes, which one thread does.
    core_share: of the time of all cores, what this program had meanwhile; the rest was idle, or had by others.
    """

    texts: int
    words: int
    tokens: int
    windows: int
    seconds: float
    least_s: float
    most_s: float
    texts_timed: int
    times: int
    tokenise_s: float
    core_share: float

    @property
    def words_per_s(self) -> float:
        """Of all cores."""
        return self.texts * self.words / self.seconds


@dataclass(frozen=True)
class Short:
    """One text alone: the median of `times` measurements."""

    words: int
    seconds: float
    times: int


@dataclass(frozen=True)
class Memory:
    """Resident MB: of the process before it loads the model, beyond that once it is loaded, and beyond it at most."""

    start_mb: float
    loaded_mb: float
    peak_mb: float

    @classmethod
    def of(cls, before: int, loaded: int, most: int) -> Memory:
        """Of bytes."""
        return cls(*(round(value / 1e6, 1) for value in (before, loaded - before, most - before)))


@dataclass(frozen=True)
class Share:
    """Of what the processor's own instructions of this type reach on all cores, in billions of operations a second."""

    type: str
    instruction: str
    peak_gops: float
    request_gops: float

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return self.request_gops / self.peak_gops


@dataclass(frozen=True)
class Limit:
    """Whether the request takes no longer than `seconds` on this machine.

    cores: the fewest of this kind with which it would not, and predicted_s what it would take with them; None where no
    number of cores is enough, or a GPU computes. reads_gb_per_s: of weights, which their memory would have to give.
    """

    seconds: float
    holds: bool
    cores: int | None
    predicted_s: float | None
    reads_gb_per_s: float | None


@dataclass(frozen=True)
class Result:
    """All of it."""

    model: Model
    machine: Machine
    request: Request
    short_text: Short
    memory: Memory
    share: Share | None
    limit: Limit

    def to_json(self) -> str:
        """With what follows from other numbers."""
        whole: dict[str, Any] = asdict(self)
        whole["machine"]["cores"]["usable"] = usable = self.machine.cores.usable
        whole["request"]["words_per_s"] = round(self.request.words_per_s, 1)
        whole["request"]["words_per_s_per_core"] = round(self.request.words_per_s / usable, 1)
        if self.share:
            whole["share"]["share"] = round(self.share.share, 3)
        return json.dumps(whole, indent=2)

    def rows(self) -> dict[str, str]:
        """For people: a line each."""
        request, share = self.request, self.share
        part = "" if request.texts_timed == request.texts else f"; {request.texts_timed} texts were measured and scaled"
        spread = f" ({request.least_s:.4g} to {request.most_s:.4g} s)" if request.times > 1 else ""
        usable = self.machine.cores.usable
        alone = request.core_share > _BUSY or self.machine.device != "cpu"
        busy = "" if alone else f"; this program had {request.core_share:.0%} of the cores: are others at work here?"
        return {
            "model": self.model.version,
            "processor": f"{self.machine.processor}, {usable} cores ({self._cores()}), {self.machine.lanes} lanes",
            "engine": f"{self.model.engine} ({self.model.kernels}) on {self.machine.device}: {self.model.reason}",
            "ready after": f"{self.model.load_s:.1f} s",
            f"{request.texts} x {request.words} words": f"{request.seconds:.4g} s{spread}{part}{busy}",
            f"1 x {self.short_text.words} words": f"{1e3 * self.short_text.seconds:.3g} ms",
            "speed": f"{request.words_per_s:,.0f} words a second, {request.words_per_s / usable:,.0f} a core",
            "memory": f"{self.memory.loaded_mb:,.0f} MB for the model, {self.memory.peak_mb:,.0f} MB at the peak,"
            f" beyond {self.memory.start_mb:,.0f} MB of the program",
            "share of the peak": "not known: it needs a converted model and wordtell's own library (`make native`)"
            if share is None
            else f"{share.share:.0%} of the {share.peak_gops:,.0f} billion {share.type.upper()} operations a second"
            f" that {share.instruction} reaches here",
            f"within {self.limit.seconds:g} s": self._limit(),
        }

    def _cores(self) -> str:
        said = {
            "affinity": self.machine.cores.affinity,
            "physical": self.machine.cores.physical,
            "quota": self.machine.cores.quota,
            "OMP_NUM_THREADS": self.machine.cores.omp_num_threads,
        }
        return ", ".join(f"{name} {value:g}" for name, value in said.items() if value is not None)

    def _limit(self) -> str:
        limit = self.limit
        here = f"{'yes' if limit.holds else 'no'}, {self.request.seconds:.4g} s here"
        if limit.cores is None:
            return here if self.machine.device != "cpu" else f"{here}; no number of cores is enough"
        reads = f", if memory gives {limit.reads_gb_per_s:.0f} GB/s" if (limit.reads_gb_per_s or 0) >= 1 else ""
        cores = "one such core" if limit.cores == 1 else f"{limit.cores} such cores"
        return f"{here}; {cores} would take {limit.predicted_s:.4g} s{reads}"
