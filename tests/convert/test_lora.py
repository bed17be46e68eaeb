"""LoRA adapters: merged exactly, or refused by the name of what is unusual."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers

from bento.checkpoint import reading as checkpoint
from convert.errors import CheckpointError
from tests.convert.conftest import MakeCheckpoint

RANK, ALPHA = 4, 16
MODULES = ("deberta.encoder.layer.0.attention.self.query_proj", "deberta.encoder.layer.1.output.dense")


def adapter(folder: Path, base: str, binary: bool = False, head: int = 2, **config: Any) -> dict[str, torch.Tensor]:
    """Write an adapter on MODULES with a head of its own; returns its weights."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(3)
    weights = {}
    for module, (out, width) in zip(MODULES, ((64, 64), (64, 128)), strict=True):
        weights[f"base_model.model.{module}.lora_A.weight"] = torch.randn(RANK, width, dtype=torch.float16)
        weights[f"base_model.model.{module}.lora_B.weight"] = torch.randn(out, RANK, dtype=torch.float16) / 10
    weights["base_model.model.classifier.weight"] = torch.randn(head, 64)
    weights["base_model.model.classifier.bias"] = torch.randn(head)
    settings = {"peft_type": "LORA", "base_model_name_or_path": base, "lora_alpha": ALPHA, "r": RANK} | config
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    save(folder, weights, binary)
    return weights


def save(folder: Path, weights: dict[str, torch.Tensor], binary: bool = False) -> None:
    if binary:
        torch.save(weights, folder / "adapter_model.bin")
    else:
        safetensors.torch.save_file(weights, folder / "adapter_model.safetensors")


def refusal(folder: Path, base: str | None = None) -> str:
    with pytest.raises(CheckpointError) as raised:
        checkpoint.read(str(folder), base)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("scales", "config"),
    [
        ((ALPHA / RANK, ALPHA / RANK), {}),
        ((ALPHA / 2, ALPHA / 2), {"use_rslora": True}),
        ((ALPHA / RANK, 2 / RANK), {"alpha_pattern": {"layer.1.output.dense": 2}}),
    ],
)
@pytest.mark.parametrize("binary", [False, True])
def test_a_merged_model_answers_as_the_two_together(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, scales: tuple[float, float], config: dict[str, Any], binary: bool
) -> None:
    assert math.isclose(math.sqrt(RANK), 2)
    base = make_checkpoint()
    weights = adapter(tmp_path / "adapter", str(base), binary, **config)
    read = checkpoint.read(str(tmp_path / "adapter"))
    assert read.origin == {"checkpoint": "adapter", "base": "checkpoint"}
    assert read.labels == ("human", "machine")

    # Not merged, but side by side: W x + s B (A x), as LoRA defines it.
    plain = checkpoint.read(str(base)).model
    for module, scale in zip(MODULES, scales, strict=True):
        a, b = (weights[f"base_model.model.{module}.lora_{part}.weight"].float() for part in "AB")
        plain.get_submodule(module).register_forward_hook(
            lambda _module, inputs, output, a=a, b=b, scale=scale: output + scale * (inputs[0] @ a.T) @ b.T
        )
    plain.classifier.weight.data = weights["base_model.model.classifier.weight"]
    plain.classifier.bias.data = weights["base_model.model.classifier.bias"]
    ids = torch.arange(5, 45).view(2, 20)
    expected, found = plain(input_ids=ids).logits, read.model(input_ids=ids).logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_base_without_a_head_is_enough_when_the_adapter_brings_one(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    base = make_checkpoint(head=transformers.AutoModelForMaskedLM)
    weights = adapter(tmp_path / "adapter", "somewhere/else", head=3)
    read = checkpoint.read(str(tmp_path / "adapter"), str(base))
    assert torch.equal(read.model.classifier.weight, weights["base_model.model.classifier.weight"])
    assert read.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    headless = {name: value for name, value in weights.items() if "classifier" not in name}
    save(tmp_path / "adapter", headless)
    assert "does not score single words" in refusal(tmp_path / "adapter", str(base))


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"peft_type": "IA3"}, "of the kind IA3 cannot be merged"),
        ({"use_dora": True}, "with use_dora cannot be merged"),
        ({"init_lora_weights": "pissa"}, "began as pissa"),
    ],
)
def test_unusual_kinds_are_refused_by_name(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, config: dict[str, Any], fault: str
) -> None:
    adapter(tmp_path / "adapter", str(make_checkpoint()), **config)
    assert fault in refusal(tmp_path / "adapter")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({f"base_model.model.{MODULES[0]}.lora_magnitude_vector": torch.ones(64)}, "lora_magnitude_vector cannot be"),
        ({f"base_model.model.{MODULES[0]}.lora_B.weight": torch.ones(64, 5)}, "does not fit the base model"),
        ({"base_model.model.elsewhere.lora_A.weight": torch.ones(4, 5)}, "weights of elsewhere are not two matrices"),
        ({"base_model.model.elsewhere.weight": torch.ones(4, 5)}, "its weight elsewhere.weight does not fit"),
        ({f"base_model.model.{MODULES[0]}.lora_A.weight": torch.full((4, 64), torch.nan)}, "NaN or infinity"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, change: dict[str, torch.Tensor], fault: str
) -> None:
    save(tmp_path / "adapter", adapter(tmp_path / "adapter", str(make_checkpoint())) | change)
    assert fault in refusal(tmp_path / "adapter")


def test_an_adapter_in_pieces_is_refused(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    adapter(folder, str(tmp_path / "gone"))
    assert f"{tmp_path / 'gone'}: no such folder" in refusal(folder)
    assert "does not fit" not in refusal(folder, str(tmp_path))
    (folder / "adapter_model.safetensors").write_bytes(b"no weights")
    assert "weights cannot be loaded" in refusal(folder)
    (folder / "adapter_model.safetensors").unlink()
    assert "has none of adapter_model.safetensors" in refusal(folder)
    (folder / "adapter_config.json").write_text("{")
    assert "is no configuration of an adapter" in refusal(folder)
