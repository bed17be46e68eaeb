"""What is read, and what is refused: each refusal in one line that names the fault and the remedy."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import sentencepiece
import tokenizers
import torch
import transformers

from bento.checkpoint import reading as checkpoint
from convert.errors import CheckpointError
from tests.convert.conftest import CORPUS, MakeCheckpoint

WEIGHTS = "model.safetensors"


def edit(folder: Path, name: str = "config.json", **changes: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def reweigh(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = safetensors.torch.load_file(folder / WEIGHTS)
    change(weights)
    safetensors.torch.save_file(weights, folder / WEIGHTS, {"format": "pt"})


def refusal(folder: Path | str) -> str:
    with pytest.raises(CheckpointError) as raised:
        checkpoint.read(str(folder))
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2
    return str(raised.value)


def test_a_whole_checkpoint_is_read_as_it_is(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint(labels={1: "human", 0: "machine"})
    (folder / "README.md").write_text("# A card")
    read = checkpoint.read(str(folder))
    assert read.labels == ("machine", "human")
    assert read.architecture == "deberta-v2"
    assert read.card == "# A card"
    assert read.revision is None
    assert read.source == folder.name
    assert not read.model.training
    assert read.tokenizer == (folder / "tokenizer.json").read_text()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_widened(make_checkpoint: MakeCheckpoint, dtype: torch.dtype) -> None:
    read = checkpoint.read(str(make_checkpoint(dtype=dtype)))
    assert {weight.dtype for weight in read.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("binary", [False, True])
def test_shards_are_put_together_and_a_missing_one_is_named(make_checkpoint: MakeCheckpoint, binary: bool) -> None:
    whole = checkpoint.read(str(make_checkpoint())).model.state_dict()
    (make_checkpoint(max_shard_size="100KB") / WEIGHTS).unlink()
    folder = make_checkpoint(max_shard_size="100KB")
    if binary:
        pickle_shards(folder)
    shards = sorted(folder.glob("*-of-*"))
    assert len(shards) > 1
    read = checkpoint.read(str(folder)).model.state_dict()
    assert read.keys() == whole.keys()
    assert all(torch.equal(read[name], whole[name]) for name in whole)
    shards[1].unlink()
    assert f"lacks 1 of its {len(shards)} files of weights: {shards[1].name}" in refusal(folder)


def pickle_shards(folder: Path) -> None:
    """The same shards as .bin files."""
    index = json.loads((folder / f"{WEIGHTS}.index.json").read_text())
    for shard in folder.glob("*.safetensors"):
        torch.save(safetensors.torch.load_file(shard), shard.with_suffix(".bin"))
        shard.unlink()
    index["weight_map"] = {name: str(Path(file).with_suffix(".bin")) for name, file in index["weight_map"].items()}
    (folder / f"{WEIGHTS}.index.json").unlink()
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def test_weights_in_a_bin_file_are_read(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    weights = safetensors.torch.load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    read = checkpoint.read(str(folder))
    assert torch.equal(read.model.classifier.weight, weights["classifier.weight"])


class _Harmful:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_code_of_a_checkpoint_is_never_run(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    folder = make_checkpoint()
    (folder / "theirs.py").write_text(f"open({str(marker)!r}, 'w')\nModel = Config = None\n")
    remote = {"AutoConfig": "theirs.Config", "AutoModelForTokenClassification": "theirs.Model"}
    edit(folder, auto_map=remote)
    checkpoint.read(str(folder))
    edit(folder, model_type="theirs")
    assert "'theirs' is not covered" in refusal(folder)
    edit(folder, model_type="deberta-v2")
    (folder / WEIGHTS).unlink()
    pickled = io.BytesIO()
    torch.save({"classifier.weight": _Harmful(marker)}, pickled, pickle_module=pickle)
    (folder / "pytorch_model.bin").write_bytes(pickled.getvalue())
    assert "weights cannot be loaded" in refusal(folder)
    assert not marker.exists()


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")
    assert "no such folder" in refusal("./nowhere")
    (tmp_path / "file").touch()
    assert "no such folder" in refusal(tmp_path / "file")
    assert "config.json: no such file, so this is no checkpoint" in refusal(tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert "config.json: cannot be read" in refusal(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    assert "holds no configuration" in refusal(tmp_path)


def test_another_architecture_is_named_with_those_that_are_covered(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    edit(folder, model_type="gpt2")
    message = refusal(folder)
    assert "'gpt2' is not covered" in message
    assert "deberta-v2, bert, roberta" in message


@pytest.mark.parametrize("kind", ["deberta-v3", "bert", "roberta", "electra", "distilbert"])
@pytest.mark.parametrize("head", [transformers.AutoModelForSequenceClassification, transformers.AutoModel])
def test_other_heads_are_refused_even_when_they_do_not_say_so(
    make_checkpoint: MakeCheckpoint, kind: str, head: type[Any]
) -> None:
    folder = make_checkpoint(kind, head=head)
    assert "does not score single words" in refusal(folder)
    edit(folder, architectures=None)
    message = refusal(folder)
    assert "lacks the weights classifier" in message or "weights that a token classifier has not" in message


def test_missing_misshapen_and_broken_weights_are_refused(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()

    def poison(weights: dict[str, torch.Tensor]) -> None:
        weights["classifier.bias"][0] = torch.nan

    def reshape(weights: dict[str, torch.Tensor]) -> None:
        weights["classifier.bias"] = torch.zeros(3)

    def remove(weights: dict[str, torch.Tensor]) -> None:
        del weights["classifier.bias"]

    reweigh(folder, poison)
    assert "classifier.bias holds NaN or infinity" in refusal(folder)
    reweigh(folder, reshape)
    assert "classifier.bias" in refusal(folder) or "cannot be loaded" in refusal(folder)
    reweigh(folder, remove)
    assert "lacks the weights classifier.bias" in refusal(folder)
    (folder / WEIGHTS).write_bytes(b"not weights")
    assert "weights cannot be loaded" in refusal(folder)
    (folder / WEIGHTS).unlink()
    assert "has none of model.safetensors, " in refusal(folder)


def test_tokenizers_that_do_not_fit_are_refused(
    make_checkpoint: MakeCheckpoint, tokenizer: tokenizers.Tokenizer
) -> None:
    folder = make_checkpoint()
    path = folder / "tokenizer.json"
    more = tokenizers.Tokenizer.from_str(tokenizer.to_str())
    more.add_tokens([f"extra{number}" for number in range(300)])
    more.save(str(path))
    assert "embeddings only 300 rows" in refusal(folder)
    path.write_text("{}")
    assert "no tokenizer that can be used" in refusal(folder)
    path.unlink()
    assert "no tokenizer that can be used" in refusal(folder)


def test_a_label_map_with_a_hole_is_refused(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    edit(folder, id2label={"0": "human", "2": "machine"}, label2id={"human": 0, "machine": 2})
    assert "does not name every logit once" in refusal(folder)


@pytest.mark.parametrize(
    ("kind", "limit", "unasked"), [("deberta-v3", None, 128), ("bert", 1026, 512), ("roberta", 1024, 512)]
)
def test_the_longest_window_is_what_the_positions_allow(
    make_checkpoint: MakeCheckpoint, kind: str, limit: int | None, unasked: int
) -> None:
    read = checkpoint.read(str(make_checkpoint(kind)))
    assert read.position_limit == limit
    assert read.max_tokens(None) == unasked
    assert read.max_tokens(600) == 600
    if limit is not None:
        with pytest.raises(CheckpointError, match=f"takes {limit} tokens at most, not {limit + 1}; lower --max-tokens"):
            read.max_tokens(limit + 1)


def test_a_sentencepiece_model_becomes_the_same_fast_tokenizer(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    (folder / "tokenizer.json").unlink()
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*CORPUS, "find"]),
        model_writer=trained,
        vocab_size=36,
        model_type="unigram",
        pad_id=0,
        pad_piece="[PAD]",
        bos_id=1,
        bos_piece="[CLS]",
        eos_id=2,
        eos_piece="[SEP]",
        unk_id=3,
        unk_piece="[UNK]",
        minloglevel=2,
    )
    (folder / "spm.model").write_bytes(trained.getvalue())
    fast = tokenizers.Tokenizer.from_str(checkpoint.read(str(folder)).tokenizer)
    slow = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    # Compatibility forms: without SentencePiece's own character map they would be unknown.
    for text in [*CORPUS, "ﬁnd \uff37ho \uff57rote this", "a  double\tspace\nand a line", "unknown 漢 end"]:
        assert fast.encode(text, add_special_tokens=False).ids == slow.encode(text)
    assert fast.encode("Who").ids[0] == 1
    assert fast.encode("Who").ids[-1] == 2


def test_a_word_list_becomes_a_fast_tokenizer(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint("bert")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "wrote", "##r"]))
    fast = tokenizers.Tokenizer.from_str(checkpoint.read(str(folder)).tokenizer)
    assert fast.encode("Who wroter").tokens == ["[CLS]", "who", "wrote", "##r", "[SEP]"]
