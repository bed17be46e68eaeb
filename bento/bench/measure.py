"""What a model costs on this machine, measured through the detector that serves."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Literal

from bento import artifact, cpu, memory
from bento.artifact import Precision
from bento.bench import arithmetic, passage
from bento.bench.arithmetic import Arithmetic
from bento.bench.result import Limit, Machine, Memory, Model, Request, Result, Share, Short
from bento.detector import Detector
from bento.native import peak
from bento.settings import Settings

# The request that is asked about, and the short text.
TEXTS, WORDS, SHORT_WORDS = 120, 350, 20
# Of the time to measure in, what one short text gets; and how often it is measured at most.
_SHORT_SHARE, _SHORT_TIMES = 0.1, 20
# How often the request is measured where that fits the time. Its median counts.
_TIMES = 3
# Seconds that each instruction's loop runs: a processor has reached its speed by then.
_PEAK_S = 0.3
_MOST_CORES = 1024

# A stage of the measurement: its name and how many steps it has; in the block, what to call after each of them.
Stage = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


def measure(settings: Settings, limit_s: float, seconds: float, stage: Stage) -> Result:
    """Load the model that the settings name and measure for about so many seconds.

    Raises what `Detector.load` raises.
    """
    memory.forget_peak()
    begun, before = time.perf_counter(), memory.resident()
    with stage("load", 1) as step:
        detector = Detector.load(settings.uncached())
        step()
    try:
        loaded_s, loaded = time.perf_counter() - begun, memory.resident()
        cores = cpu.detect()
        short = _short(detector, seconds * _SHORT_SHARE, stage)
        request, lengths = _request(detector, seconds * (1 - _SHORT_SHARE), stage)
        most = memory.peak()
        counted = _arithmetic(settings.model.checkpoint_dir)
        share = None
        if counted is not None:
            speed = sum(map(counted.operations, lengths)) / request.seconds / 1e9
            share = _share(speed, detector.manifest.precision, cores.usable, stage)
        model = Model(detector.version, detector.engine, detector.kernels, detector.reason, round(loaded_s, 2))
        here = Machine(cpu.processor(), cores, detector.abilities.device, detector.abilities.lanes)
        return Result(
            model=model,
            machine=here,
            request=request,
            short_text=short,
            memory=Memory.of(before, loaded, most),
            share=share,
            limit=_limit(request, here, counted, limit_s),
        )
    finally:
        detector.close()


def _short(detector: Detector, seconds: float, stage: Stage) -> Short:
    """One short text with nothing beside it."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    with stage("one short text", _SHORT_TIMES) as step:
        for text in passage.texts(_SHORT_TIMES, SHORT_WORDS):
            if not taken or time.perf_counter() < end:
                taken.append(_seconds(detector, [text]))
            step()
    return Short(SHORT_WORDS, round(statistics.median(taken), 5), len(taken))


def _request(detector: Detector, seconds: float, stage: Stage) -> tuple[Request, list[int]]:
    """The request, whole where that fits the seconds, else the part of it that does; and the tokens of each window."""
    texts = passage.texts(TEXTS, WORDS)
    begun = time.perf_counter()
    windows = [detector.window_tokens(text) for text in texts]
    tokenise_s = time.perf_counter() - begun
    lanes = detector.abilities.lanes

    def rounds(count: int) -> int:
        """How many windows the lane with most of them runs."""
        return math.ceil(sum(map(len, windows[:count])) / lanes)

    pilot = min(lanes, TEXTS)
    worked = time.process_time()
    with stage("a part of the request", sum(map(len, windows[:pilot]))) as step:
        taken = [_seconds(detector, texts[:pilot], step)]
    a_round = taken[0] / rounds(pilot)
    timed, times = TEXTS, min(_TIMES, int(seconds / (a_round * rounds(TEXTS))))
    if not times:  # a whole number of rounds, as far as a text's windows allow
        timed, times = max(pilot, int(seconds / taken[0]) * pilot), 1
    if timed > pilot:
        worked = time.process_time()
        with stage("the request", times * sum(map(len, windows[:timed]))) as step:
            taken = [_seconds(detector, texts[:timed], step) for _ in range(times)]
    core_share = (time.process_time() - worked) / (sum(taken) * cpu.detect().usable)
    scale = rounds(TEXTS) / rounds(timed)
    lengths = [length for one in windows for length in one]
    found = Request(
        texts=TEXTS,
        words=WORDS,
        tokens=sum(lengths),
        windows=len(lengths),
        seconds=round(statistics.median(taken) * scale, 4),
        least_s=round(min(taken) * scale, 4),
        most_s=round(max(taken) * scale, 4),
        texts_timed=timed,
        times=len(taken),
        tokenise_s=round(tokenise_s, 4),
        core_share=round(core_share, 3),
    )
    return found, lengths


def _seconds(detector: Detector, texts: Sequence[str], on_window: Callable[[], None] = lambda: None) -> float:
    begun = time.perf_counter()
    asyncio.run(detector.score(texts, on_window))
    return time.perf_counter() - begun


def _arithmetic(folder: Path) -> Arithmetic | None:
    """Of the fused graph, which names everything; None for a checkpoint that was not converted, or nodes not ours."""
    graph = next((path for name in (artifact.FUSED, artifact.MODEL) if (path := folder / name).is_file()), None)
    with suppress(ValueError):
        return None if graph is None else arithmetic.read(graph)
    return None


def _share(speed_gops: float, precision: Precision, cores: int, stage: Stage) -> Share | None:
    """None where there is nothing to compare with: no library, or a processor that it does not know."""
    kind: Literal["int8", "fp32"] = "int8" if precision == "int8" else "fp32"
    with stage("the processor's peak", 1) as step:
        reached = peak.measure(kind, cores, _PEAK_S)
        step()
    if not reached:
        return None
    instruction = max(reached, key=lambda name: reached[name])
    return Share(kind, instruction, round(reached[instruction], 1), round(speed_gops, 1))


def _limit(request: Request, machine: Machine, counted: Arithmetic | None, limit_s: float) -> Limit:
    """Whether the request holds the limit here, and with how many cores of this kind it would.

    A lane is a core or a few, and runs a window in the time that it took here. So the request takes the rounds of the
    lane with most windows, but no less than tokenising, which one thread does beside the lanes.
    """
    a_window = request.seconds / math.ceil(request.windows / machine.lanes)
    cores_a_lane = machine.cores.usable / machine.lanes

    def seconds_with(cores: int) -> float:
        lanes = max(1, int(cores / cores_a_lane))
        return max(request.tokenise_s, math.ceil(request.windows / lanes) * a_window)

    holds = request.seconds <= limit_s
    needed = next((cores for cores in range(1, _MOST_CORES + 1) if seconds_with(cores) <= limit_s), None)
    if machine.device != "cpu":  # more cores are no more cards
        return Limit(limit_s, holds, None, None, None)
    reads = None if counted is None or needed is None else needed / cores_a_lane * counted.weight_bytes / a_window / 1e9
    return Limit(
        limit_s,
        holds,
        needed,
        None if needed is None else round(seconds_with(needed), 2),
        None if reads is None else round(reads, 1),
    )
