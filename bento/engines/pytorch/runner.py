"""Runs windows in a PyTorch model: as padded rows of similar lengths, or end to end if the model supports that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from bento.engines import Abilities, Batching
from bento.engines.pytorch import devices
from bento.types import FloatArray, IntArray

Run = Callable[[Sequence[IntArray]], list[FloatArray]]


class TorchRunner:
    """One model, called by all lanes. Each call computes on as many threads as its lane has."""

    def __init__(
        self, forward: Any, abilities: Abilities, device: torch.device, threads: int, buckets: Sequence[int] = ()
    ) -> None:
        """forward: the model, or for PACKED engines (tokens, boundaries, longest) -> logits [tokens, labels].

        buckets: lengths that a window is padded to, because `forward` was compiled for these only.
        """
        self.abilities = abilities
        self._forward = forward
        self._device = device
        self._threads = threads
        self._buckets = buckets
        self._local = threading.local()
        devices.watch(device)

    def run(self, windows: Sequence[IntArray], wide: bool = False) -> list[FloatArray]:
        """See Runner. What does not fit into the memory of a GPU is run in halves."""
        if self._device.type == "cpu":
            self._use(self._threads * (self.abilities.lanes if wide else 1))
        with torch.inference_mode():
            return halving(self._packed if self.abilities.batching is Batching.PACKED else self._padded, windows)

    def _padded(self, windows: Sequence[IntArray]) -> list[FloatArray]:
        longest = max(map(len, windows))
        width = next((bucket for bucket in self._buckets if bucket >= longest), longest)
        ids, mask = (np.zeros((len(windows), width), np.int64) for _ in range(2))
        for row, window in enumerate(windows):
            ids[row, : len(window)], mask[row, : len(window)] = window, 1
        given = {"input_ids": self._to_device(ids), "attention_mask": self._to_device(mask)}
        logits = self._forward(**given).logits.float().cpu().numpy()
        return [logits[row, : len(window)] for row, window in enumerate(windows)]

    def _packed(self, windows: Sequence[IntArray]) -> list[FloatArray]:
        boundaries = np.cumsum([0, *map(len, windows)])
        tokens = self._to_device(np.concatenate(windows))
        logits = self._forward(tokens, self._to_device(boundaries.astype(np.int32)), max(map(len, windows)))
        return np.split(logits.float().cpu().numpy(), boundaries[1:-1])

    def _to_device(self, values: Any) -> torch.Tensor:
        return torch.from_numpy(values).to(self._device)

    def _use(self, threads: int) -> None:
        """Threads of the calling thread's own products: OpenMP's number is each thread's own."""
        if getattr(self._local, "threads", None) != threads:
            torch.set_num_threads(threads)
            self._local.threads = threads


def halving(run: Run, windows: Sequence[IntArray]) -> list[FloatArray]:
    """`run`, in halves if memory runs out. Raises torch.OutOfMemoryError if one window alone does not fit."""
    try:
        return run(windows)
    except torch.OutOfMemoryError:
        if len(windows) == 1:
            raise
    # Outside of the handler: its error holds the frames, and those hold the tensors.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(windows) // 2
    return [*halving(run, windows[:middle]), *halving(run, windows[middle:])]
