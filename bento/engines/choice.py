"""Chooses the engine for what a folder holds."""

from __future__ import annotations

import importlib.util
import logging
import time
from pathlib import Path

import numpy as np

from bento import artifact, cpu, folders
from bento.artifact import ModelFolder
from bento.cpu import Plan
from bento.engines import Runner, graphs
from bento.errors import ArtifactError, ConfigError
from bento.settings import Settings

logger = logging.getLogger("wordtell")

# PyTorch's products scale well to two cores (two lanes of one core each are slower by a third); more were not measured.
_TORCH_THREADS = 4
_NO_TORCH = (
    "install it (`make serve MODEL=...` does, or pip install 'wordtell[torch]'), or make a model folder of it, faster"
    " on CPUs, with `make convert CHECKPOINT=... OUT=...`"
)


def choose(path: Path, settings: Settings) -> tuple[ModelFolder, Runner, str]:
    """The folder, read and checked; what runs it, ONNX graphs in ONNX Runtime, a checkpoint in PyTorch; and why.

    Logs that, with what would be faster. Raises ArtifactError and ConfigError, naming the remedy.
    """
    cores = cpu.detect()
    if folders.is_checkpoint(path):
        plan = cpu.plan(cores, settings.cpu, _TORCH_THREADS)
        folder, runner, reason = _pytorch(path, settings, plan)
    else:
        folder = artifact.load(path)
        if settings.model.device.startswith("cuda"):
            fault = f"model.device is {settings.model.device}, but {path} holds ONNX graphs, which run on CPUs"
            raise ConfigError(f"{fault}: serve the checkpoint that it was converted from", "model.device")
        plan = cpu.plan(cores, settings.cpu)
        runner, reason = graphs.faster(folder, plan, settings.cpu.fused)
        if folder.manifest.precision == "fp32":
            reason += "; converted with --precision int8 it would be faster"
    can = runner.abilities
    if can.device == "cpu":
        logger.info("lanes: %d x %d threads, from %s and %s", plan.lanes, plan.threads_per_lane, cores, settings.cpu)
    logger.info("using %s (%s) on %s with %d lanes: %s", can.engine, can.variant, can.device, can.lanes, reason)
    if settings.api.use_fp16 and can.device == "cpu":
        logger.info("api.use_fp16 has no effect here: on a CPU the model computes in %s", folder.manifest.precision)
    _warm(runner)
    return folder, runner, reason


def _warm(runner: Runner) -> None:
    """Run each shape that is slow the first time, with a line of progress for each."""
    shapes = runner.abilities.shapes
    for number, (windows, tokens) in enumerate(shapes, 1):
        started = time.perf_counter()
        runner.run([np.arange(tokens) % 4] * windows)
        seconds = time.perf_counter() - started
        logger.info("shape %d of %d ready in %.1f s: %d x %d tokens", number, len(shapes), seconds, windows, tokens)


def _pytorch(path: Path, settings: Settings, plan: Plan) -> tuple[ModelFolder, Runner, str]:
    if lacking := [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]:
        fault = f"is a checkpoint that was not converted, and PyTorch is not installed ({', '.join(lacking)})"
        raise ArtifactError(path, fault, _NO_TORCH)
    from bento.engines import pytorch  # noqa: PLC0415 - seconds, and a gigabyte, that only a checkpoint is worth

    return pytorch.load(path, settings, plan)
