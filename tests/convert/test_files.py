"""Files that are not what their names say, weights under other names, wrappers: the real cause and its remedy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from bento.checkpoint import reading as checkpoint
from tests.convert.conftest import MakeCheckpoint
from tests.convert.test_checkpoint import WEIGHTS, refusal
from tests.convert.test_lora import adapter

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 734000000\n"
BIN = "pytorch_model.bin"
Weights = dict[str, torch.Tensor]


def load(folder: Path) -> Weights:
    return safetensors.torch.load_file(folder / WEIGHTS)


def only(folder: Path, name: str) -> Path:
    """The folder's weights under this name alone, as torch.save writes them."""
    torch.save(load(folder), folder / name)
    (folder / WEIGHTS).unlink()
    return folder / name


@pytest.mark.parametrize("name", [WEIGHTS, BIN, "tokenizer.json", "config.json", "model.safetensors.index.json"])
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (POINTER, "is a Git LFS pointer, not the file that it stands for; run `git lfs pull`"),
        ("", "is empty (0 bytes); download or copy it again"),
        ("<!DOCTYPE html><title>401</title>", "is a web page, not the file of this name; download or copy it again"),
    ],
)
def test_what_stands_in_a_files_place_is_named(
    make_checkpoint: MakeCheckpoint, name: str, content: str, fault: str
) -> None:
    folder = make_checkpoint()
    if name.startswith(("pytorch", "model")):
        (folder / WEIGHTS).unlink()
    (folder / name).write_text(content)
    assert f"{folder / name}: {fault}" in refusal(folder)


def test_a_shard_or_a_slow_tokenizer_that_is_a_pointer_is_named(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    (folder / "tokenizer.json").unlink()
    (folder / "spm.model").write_text(POINTER)
    assert f"{folder / 'spm.model'}: is a Git LFS pointer" in refusal(folder)
    (folder / WEIGHTS).unlink()
    shard = sorted(make_checkpoint(max_shard_size="100KB").glob("*-of-*"))[1]
    shard.write_text(POINTER)
    assert f"{shard}: is a Git LFS pointer" in refusal(folder)


def test_weights_that_are_not_read_may_be_anything(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    (folder / BIN).write_text(POINTER)
    checkpoint.read(str(folder))


def test_an_adapters_files_are_looked_at_too(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    adapter(tmp_path / "adapter", str(make_checkpoint()))
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert f"{path}: its weights cannot be loaded: it is cut off" in refusal(tmp_path / "adapter")
    path.write_text(POINTER)
    assert f"{path}: is a Git LFS pointer" in refusal(tmp_path / "adapter")


def test_a_link_to_nothing_is_named(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    folder = make_checkpoint()
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to(tmp_path / "blobs" / "4d7a")
    assert f"{WEIGHTS}: is a link to a file that is not there; copy the files" in refusal(folder)


@pytest.mark.parametrize("keep", [4, 200, -1])
def test_weights_that_are_cut_off_are_named_with_their_size(make_checkpoint: MakeCheckpoint, keep: int) -> None:
    folder = make_checkpoint()
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:keep])
    message = refusal(folder)
    assert f"{WEIGHTS}: its weights cannot be loaded: it is cut off ({len(whole[:keep]):,} bytes" in message
    assert "download or copy it again" in message
    (folder / WEIGHTS).write_bytes(whole)
    path = only(folder, BIN)
    path.write_bytes(path.read_bytes()[:-100])
    assert f"{BIN}: its weights cannot be loaded: it is cut off" in refusal(folder)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"not weights", "it is no file of safetensors"),
        ((20).to_bytes(8, "little") + b"{not json at all....", "its header is damaged"),
        ((2).to_bytes(8, "little") + b"[]", "it is no file of safetensors"),
    ],
)
def test_a_file_that_is_no_safetensors_is_named(make_checkpoint: MakeCheckpoint, content: bytes, fault: str) -> None:
    folder = make_checkpoint()
    (folder / WEIGHTS).write_bytes(content)
    assert f"{WEIGHTS}: its weights cannot be loaded: {fault}" in refusal(folder)


@pytest.mark.parametrize(
    ("name", "kind", "remedy"),
    [
        ("model.pth", "which torch.save wrote", "rename it to pytorch_model.bin"),
        ("best.pt", "which torch.save wrote", "rename it to pytorch_model.bin"),
        ("epoch=3.ckpt", "a training checkpoint of Lightning or TensorFlow", "save_pretrained"),
        ("tf_model.h5", "which are TensorFlow's", "from_tf=True"),
        ("flax_model.msgpack", "which are Flax's", "from_flax=True"),
        ("model-00001-of-00002.safetensors", "pieces without the list of them", "model.safetensors.index.json"),
        ("weights.safetensors", "a name that is not read", "rename it to model.safetensors"),
    ],
)
def test_weights_under_other_names_are_named_with_what_to_do(
    make_checkpoint: MakeCheckpoint, name: str, kind: str, remedy: str
) -> None:
    folder = make_checkpoint()
    only(folder, name)
    (folder / "optimizer.pt").touch()  # what a trainer leaves is no model
    (folder / "training_args.bin").touch()
    message = refusal(folder)
    assert f"its only weights are {name}, {kind}; " in message
    assert remedy in message
    (folder / name).unlink()
    assert "has none of model.safetensors, " in refusal(folder)


def test_the_remedy_for_a_state_dict_helps(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    only(folder, "model.pth").rename(folder / BIN)
    checkpoint.read(str(folder))


def test_a_training_checkpoint_is_named_by_what_is_in_it(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    torch.save({"state_dict": load(folder), "epoch": 3}, folder / BIN)
    (folder / WEIGHTS).unlink()
    assert f"{BIN}: holds a training checkpoint (state_dict, epoch), not the weights themselves" in refusal(folder)


def test_a_folder_of_checkpoints_is_not_one(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    shutil.move(make_checkpoint(), tmp_path / "run" / "checkpoint-500")
    assert "no such file, so this is no checkpoint; give one of its folders checkpoint-500" in refusal(tmp_path / "run")


def renamed(change: Callable[[str], str]) -> Callable[[Weights], Weights]:
    return lambda weights: {change(name): value for name, value in weights.items()}


@pytest.mark.parametrize("kind", ["deberta-v3", "bert", "distilbert"])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        lambda name: f"_orig_mod.{name}",
        lambda name: f"module.{name}",
        lambda name: f"model.{name}",
        lambda name: f"model.module._orig_mod.{name}",
        lambda name: name if name.startswith("classifier") else f"model.{name}",
        lambda name: name if name.startswith("classifier") else f"model.{name.partition('.')[2]}",
        lambda name: f"_fsdp_wrapped_module.{name.replace('layer.1.', 'layer.1._checkpoint_wrapped_module.')}",
    ],
)
def test_the_names_of_wrappers_are_taken_off(
    make_checkpoint: MakeCheckpoint, kind: str, binary: bool, change: Callable[[str], str]
) -> None:
    folder = make_checkpoint(kind)
    plain = load(folder)
    safetensors.torch.save_file(renamed(change)(plain), folder / WEIGHTS, {"format": "pt"})
    if binary:
        only(folder, BIN)
    read = checkpoint.read(str(folder)).model.state_dict()
    assert all(torch.equal(read[name], plain[name]) for name in plain)


def test_a_weight_that_is_there_twice_is_refused(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    weights = load(folder)
    weights["module.classifier.bias"] = weights["classifier.bias"] + 1
    safetensors.torch.save_file(weights, folder / WEIGHTS, {"format": "pt"})
    assert "holds the weight classifier.bias more than once (" in refusal(folder)


def test_an_index_that_lists_nothing_that_is_there_is_refused(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    (folder / WEIGHTS).unlink()
    index = {"weight_map": {"classifier.bias": "model-00001-of-00001.safetensors"}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    message = refusal(folder)
    assert "lacks 1 of its 1 files of weights: model-00001-of-00001.safetensors" in message
    assert "all files that model.safetensors.index.json names" in message
