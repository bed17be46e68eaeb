"""A Hugging Face checkpoint, unconverted, in PyTorch: on a CPU in FP32, on a GPU in FP16. Imports torch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers

from bento import cpu
from bento.artifact import FileRecord, Manifest, ModelFolder
from bento.checkpoint import files, labels, names, reading
from bento.checkpoint.errors import CheckpointError, LabelError
from bento.checkpoint.reading import Checkpoint
from bento.cpu import Plan
from bento.engines import Abilities, Batching
from bento.engines.pytorch import compiled, devices, flash, half
from bento.engines.pytorch.runner import TorchRunner, halving
from bento.errors import ArtifactError, ConfigError
from bento.settings import Settings

__all__ = ["MOST_PADDING", "halving", "load"]

# The largest share of a run's positions that may be padding. Sorted windows rarely reach it.
MOST_PADDING = 0.05
_CONVERT = "on CPUs `make convert CHECKPOINT=... OUT=...` makes it several times faster"


def load(path: Path, settings: Settings, plan: Plan) -> tuple[ModelFolder, TorchRunner, str]:
    """The checkpoint as a model folder, what runs it (on a CPU by `plan`), and why so.

    Raises ArtifactError and ConfigError.
    """
    if (path / names.Lora.config).is_file():
        fault = "is an adapter, whose base model only a conversion looks for"
        raise ArtifactError(path, fault, "make a model folder of it with `make convert CHECKPOINT=... OUT=...`")
    device = devices.choose(settings.model.device)
    told: Any = transformers.utils.logging
    told.disable_progress_bar()
    told.set_verbosity_error()
    started = time.perf_counter()
    try:
        with ThreadPoolExecutor(1) as pool:  # hashing frees the interpreter's lock, and loading reads the same pages
            records = pool.submit(_records, path)
            checkpoint = reading.read(str(path), None, settings.model.head_activation, attention=None)
            folder = ModelFolder(path, _manifest(checkpoint, settings, records), checkpoint.tokenizer)
    except CheckpointError as error:
        message = error.message.replace("--max-tokens", "model.max_tokens")
        raise ConfigError(message.replace("--head-activation", "model.head_activation")) from None
    except LabelError as error:
        remedy = f"set model.positive_label to one of {', '.join(error.labels)}"
        raise ConfigError(f"{path}: {error.fault}; {remedy}", "model.positive_label") from None
    runner, precision = _runner(checkpoint, device, settings, plan, folder.manifest)
    seconds = time.perf_counter() - started
    reason = f"{path.name} is a checkpoint that was not converted, read in {seconds:.1f} s"
    reason += f"; {_CONVERT}" if device.type == "cpu" else ""
    return replace(folder, manifest=replace(folder.manifest, precision=precision)), runner, reason


def _runner(
    checkpoint: Checkpoint, device: torch.device, settings: Settings, plan: Plan, manifest: Manifest
) -> tuple[TorchRunner, Any]:
    model = devices.move(checkpoint.model, device, checkpoint.source)
    fast = device.type == "cuda" and settings.api.use_fp16
    if fast:
        model = half.verified(model, device, checkpoint, manifest)
    packed = flash.optimised(model, device)
    longest = settings.model.max_tokens or manifest.max_tokens
    buckets = compiled.buckets(longest) if settings.model.compile and packed is None else ()
    can = Abilities(
        engine="pytorch" if packed is None else "pytorch+disentangled-flash",
        variant=_variant(device, model.config._attn_implementation, packed is not None, bool(buckets)),
        batching=Batching.PACKED if packed is not None else Batching.SINGLE if buckets else Batching.PADDED,
        device=str(device),
        # One lane keeps a GPU busy while the text pool tokenises; a second lane would only halve its runs.
        lanes=plan.lanes if device.type == "cpu" else 1,
        run_tokens=settings.api.max_batch_tokens if device.type == "cuda" else None,
        most_padding=MOST_PADDING,
        shapes=tuple((1, bucket) for bucket in buckets),
    )
    forward = packed or (compiled.compiled(model, settings.model.compile_cache, len(buckets)) if buckets else model)
    return TorchRunner(forward, can, device, plan.threads_per_lane, buckets), "fp16" if fast else "fp32"


def _variant(device: torch.device, attention: str | None, packed: bool, is_compiled: bool) -> str:
    """What changes scores: the version of torch, the processor or the card, the attention, and the compiler."""
    version = torch.__version__.partition("+")[0]
    where = cpu.instruction_set() if device.type == "cpu" else devices.architecture(device)
    parts = "torch", version, where, "flash" if packed else attention or "eager", "compiled" if is_compiled else ""
    return ".".join(filter(None, parts))


def _manifest(checkpoint: Checkpoint, settings: Settings, records: Future[Mapping[str, FileRecord]]) -> Manifest:
    """What a conversion would write, in memory. Raises CheckpointError and LabelError."""
    asked = settings.model.positive_label
    found = labels.positive(checkpoint.labels, asked, add_up=checkpoint.activation == "softmax")
    return Manifest(
        name=checkpoint.source,
        architecture=checkpoint.architecture,
        precision="fp32",
        labels=checkpoint.labels,
        positive_label=found[0] if len(found) == 1 else found,
        activation=checkpoint.activation,
        word_score=settings.model.word_score,
        max_tokens=checkpoint.max_tokens(settings.model.max_tokens),
        engine="torch",
        files=dict(records.result()),
        source=checkpoint.origin,
    )


def _records(path: Path) -> Mapping[str, FileRecord]:
    """Of every file that decides scores: configuration, tokenizer, weights."""
    known = names.CONFIG, names.TOKENIZER, *names.SLOW_TOKENIZERS, "merges.txt"
    found = {path / name for name in known if (path / name).is_file()} | set(files.weights(path))
    return {each.name: FileRecord.of(each) for each in sorted(found)}
