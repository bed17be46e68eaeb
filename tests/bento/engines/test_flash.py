"""DeBERTa through a package like `disentangled-flash`: a stand-in that computes on the CPU what it does on a GPU.

What is tested is ours: when the package is used, what it is called with, and that the scores stay those of the padded
model. Its kernels, and CUDA, are not here.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bento.checkpoint import reading
from bento.engines import Abilities, Batching
from bento.engines.pytorch import flash
from bento.engines.pytorch.runner import TorchRunner
from tests.convert.conftest import MakeCheckpoint

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")


class PackedEncoder(torch.nn.Module):
    """As the package leaves an encoder: windows end to end, each attending to itself alone."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.inner = encoder
        self.calls: list[tuple[list[int], int]] = []

    def forward(self, *arguments: Any, **named: Any) -> Any:
        return self.inner(*arguments, **named)

    def forward_packed(
        self, hidden: torch.Tensor, boundaries: torch.Tensor, *, max_seqlen: int, output_hidden_states: bool
    ) -> Any:
        assert hidden.dim() == 2
        assert boundaries.dtype is torch.int32
        assert not output_hidden_states
        self.calls.append((boundaries.tolist(), max_seqlen))
        pieces = [
            self.inner(piece[None], torch.ones(1, len(piece), dtype=torch.long)).last_hidden_state[0]
            for piece in torch.split(hidden, boundaries.diff().tolist())
        ]
        return SimpleNamespace(last_hidden_state=torch.cat(pieces))


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Installed, as far as imports can tell."""
    module = ModuleType(flash.PACKAGE)
    module.__spec__ = ModuleSpec(flash.PACKAGE, None)

    def optimize_deberta(model: Any) -> None:
        model.encoder = PackedEncoder(model.encoder)

    vars(module)["optimize_deberta"] = optimize_deberta
    monkeypatch.setitem(sys.modules, flash.PACKAGE, module)
    return module


def model_of(folder: Path) -> Any:
    return reading.read(str(folder), None, None, attention=None).model.eval()


def test_packed_windows_have_the_logits_of_padded_ones(make_checkpoint: MakeCheckpoint, package: ModuleType) -> None:
    """Of several lengths, in one run: neither boundaries nor positions may be off by one."""
    folder = make_checkpoint("deberta-v3")
    chance = np.random.default_rng(0)
    plain = model_of(folder)
    windows = [chance.integers(5, plain.config.vocab_size, length) for length in (7, 1, 12, 30, 2)]
    padded = TorchRunner(plain, Abilities(engine="pytorch", variant="x", batching=Batching.PADDED), CPU, 1)
    expected = padded.run(windows)
    model = model_of(folder)
    forward = flash.optimised(model, CUDA)
    assert forward is not None
    packed = TorchRunner(forward, Abilities(engine="pytorch", variant="x", batching=Batching.PACKED), CPU, 1)
    found = packed.run(windows)
    assert model.deberta.encoder.calls == [([0, 7, 8, 20, 50, 52], 30)]
    assert [len(one) for one in found] == [len(window) for window in windows]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_packed_run_without_room_is_halved_between_windows(
    make_checkpoint: MakeCheckpoint, package: ModuleType
) -> None:
    model = model_of(make_checkpoint("deberta-v3"))
    forward = flash.optimised(model, CUDA)
    assert forward is not None

    def small(tokens: torch.Tensor, boundaries: torch.Tensor, longest: int) -> torch.Tensor:
        if len(tokens) > 20:
            raise torch.OutOfMemoryError
        return forward(tokens, boundaries, longest)

    runner = TorchRunner(small, Abilities(engine="pytorch", variant="x", batching=Batching.PACKED), CPU, 1)
    windows = [np.full(length, 7) for length in (9, 10, 11, 8)]
    assert [one.shape for one in runner.run(windows)] == [(9, 2), (10, 2), (11, 2), (8, 2)]
    assert model.deberta.encoder.calls == [([0, 9, 19], 10), ([0, 11, 19], 11)]


@pytest.mark.parametrize(("kind", "device"), [("deberta-v3", CPU), ("bert", CUDA)])
def test_it_is_for_deberta_on_a_gpu(
    make_checkpoint: MakeCheckpoint, package: ModuleType, kind: str, device: torch.device
) -> None:
    assert flash.optimised(model_of(make_checkpoint(kind)), device) is None


def test_without_the_package_the_model_stays_as_it_is(
    make_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert flash.optimised(model_of(make_checkpoint("deberta-v3")), CUDA) is None


def test_an_encoder_that_the_package_does_not_know_stays_as_it_is(
    make_checkpoint: MakeCheckpoint, package: ModuleType
) -> None:
    vars(package)["optimize_deberta"] = lambda model: None
    assert flash.optimised(model_of(make_checkpoint("deberta-v3")), CUDA) is None
