"""The device on which PyTorch computes, and its properties. The CUDA part has not run on a GPU yet."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from bento import metrics
from bento.errors import ArtifactError, ConfigError


def choose(asked: str) -> torch.device:
    """auto: the first GPU if there is one, else the CPU. Raises ConfigError, naming the cause, where one is missing."""
    if asked == "cpu":
        return torch.device("cpu")
    with warnings.catch_warnings(record=True) as told:  # torch only warns of a driver that is too old
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "auto":
        return torch.device("cuda:0" if count else "cpu")
    if not count:
        raise ConfigError(f"model.device is {asked}, but {_why(told)}; or set it to cpu", "model.device")
    index = int(asked.partition(":")[2] or 0)
    if index >= count:
        fault = f"model.device is {asked}, but there are {count} GPUs here, cuda:0 to cuda:{count - 1}"
        raise ConfigError(f"{fault}; name one of these", "model.device")
    return torch.device("cuda", index)


def move(model: Any, device: torch.device, source: str) -> Any:
    """The model on a device. Raises ArtifactError if it does not fit."""
    try:
        return model.to(device)
    except torch.OutOfMemoryError:
        free, total = (size / 1e9 for size in torch.cuda.mem_get_info(device))
        fault = f"its weights have no room on {device}, where {free:.1f} of {total:.1f} GB are free"
        raise ArtifactError(Path(source), fault, "free the card, name another with model.device, or use cpu") from None


def architecture(device: torch.device) -> str:
    """The card's compute capability, as the model's version names it: "sm90"."""
    major, minor = torch.cuda.get_device_capability(device)
    return f"sm{major}{minor}"


def watch(device: torch.device) -> None:
    """Let the metrics tell a GPU's memory and utilisation; each is asked when they are read."""
    if device.type == "cuda":
        name = str(device)
        metrics.DEVICE_MEMORY.labels(name).set_function(lambda: _memory(device))
        metrics.DEVICE_UTILISATION.labels(name).set_function(lambda: _utilisation(device))


def _memory(device: torch.device) -> float:
    free, total = torch.cuda.mem_get_info(device)
    return float(total - free)


def _utilisation(device: torch.device) -> float:
    try:
        return torch.cuda.utilization(device) / 100
    except (ModuleNotFoundError, RuntimeError):  # it wants nvidia-ml-py
        return float("nan")


def _why(told: list[warnings.WarningMessage]) -> str:
    if torch.version.cuda is None:
        return f"this PyTorch ({torch.__version__}) was built without CUDA: install the extra `cuda`"
    if told:
        line = str(told[-1].message).strip().splitlines()[0]
        return f"PyTorch cannot use it ({line}): update the driver of the card"
    return "there is no GPU here: check `nvidia-smi`, and that the container was given one (--gpus)"
