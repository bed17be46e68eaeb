"""Makes the untrained student: its shape and its initial weights."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from bento.artifact import Manifest
from bento.checkpoint import labels, names, reading
from bento.checkpoint import tokenizer as tokenizers
from bento.checkpoint.errors import CheckpointError
from bento.checkpoint.reading import Checkpoint
from train.distill.errors import UnfitStudent
from train.distill.orders import Order
from train.distill.teacher import Teacher
from train.distill.vocabulary import Pruned, prune
from train.model import config as deberta

LABELS = {0: "human", 1: "machine"}
_HEAD_SIZE = 64
_INNER = ("intermediate_size", "hidden_dim")
_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
"""With dropout, torch's attention on CPUs takes ten times as long."""


def begin(order: Order, teacher: Teacher, texts: Sequence[str], seed: int, out: Path) -> str:
    """Write the untrained student as a checkpoint to `out`. Returns a description of its initial weights.

    Raises UnfitStudent and CheckpointError.
    """
    torch.manual_seed(seed)
    if order.source is not None:
        model, text, said = _from_source(order.source, teacher)
    else:
        model, text, said = _from_teacher(order, teacher)
    if order.prune:
        pruned = prune(text, texts, model.config.pad_token_id)
        said += (
            f"; {len(pruned.rows):,} of {model.get_input_embeddings().weight.shape[0]:,} rows of the vocabulary stay"
        )
        _take_rows(model, pruned)
        text = pruned.text
    _save(model, text, order.source or teacher.path, out)
    return said


def _from_source(source: Path, teacher: Teacher) -> tuple[Any, str, str]:
    """A token classifier, or an encoder with a new head; with the teacher's tokenizer if it has none."""
    try:
        known: Any = transformers.AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        fault = f"no configuration can be read ({tokenizers.first_line(error)})"
        raise CheckpointError(source, fault, "give the folder of a checkpoint or of a pretrained encoder") from None
    if any(name.endswith(names.HEAD) for name in known.architectures or ()):
        checkpoint = reading.read(str(source), attention=None)
        _two_labels(checkpoint)
        return checkpoint.model, checkpoint.tokenizer, f"begun from the token classifier {source.name}"
    if known.model_type not in names.ARCHITECTURES:
        covered = ", ".join(names.ARCHITECTURES)
        raise CheckpointError(source, f"the architecture {known.model_type!r} is not covered", f"these are: {covered}")
    settings: dict[str, Any] = {"id2label": LABELS, "label2id": {name: place for place, name in LABELS.items()}}
    settings |= {name: 0.0 for name in _DROPOUT if hasattr(known, name)}
    model: Any = transformers.AutoModelForTokenClassification.from_pretrained(source, local_files_only=True, **settings)
    rows = model.get_input_embeddings().weight.shape[0]
    own = [name for name in (names.TOKENIZER, *names.SLOW_TOKENIZERS) if (source / name).is_file()]
    if own:
        return model, tokenizers.read(source, rows), f"begun from the pretrained encoder {source.name}"
    text = _tokenizer_of(teacher)
    highest = max(tokenizers.plain(text).get_vocab().values())
    if highest >= rows:
        fault = f"{source} has no tokenizer and {rows} rows of embeddings; the teacher's tokenizer has the id {highest}"
        raise UnfitStudent(fault, "give an encoder with its own tokenizer.json, or one with more rows")
    return model, text, f"begun from the pretrained encoder {source.name}, with the teacher's tokenizer"


def _two_labels(checkpoint: Checkpoint) -> None:
    if len(checkpoint.labels) != 2 or checkpoint.activation != "softmax":
        fault = (
            f"the student {checkpoint.source} has the labels {', '.join(checkpoint.labels)} ({checkpoint.activation})"
        )
        raise UnfitStudent(fault, "give a token classifier of two labels (softmax), one of them the machine's")
    labels.positive(checkpoint.labels)


def _from_teacher(order: Order, teacher: Teacher) -> tuple[Any, str, str]:
    """A model of the teacher's family. If its hidden size is the teacher's, its layers are the teacher's lower ones.

    The lower layers are the best choice (arXiv 2305.15032). For a model folder it is a DeBERTa with random weights.
    """
    if not teacher.is_checkpoint:
        if order.layers is None or order.hidden is None:
            fault = f"{teacher.path} is a model folder, which tells no shape"
            raise UnfitStudent(fault, "give --like, --layers and --hidden, or --student, or the teacher's checkpoint")
        return _from_nothing(order.layers, order.hidden, teacher)
    checkpoint = reading.read(str(teacher.path), attention=None)
    old, model_of = checkpoint.model.config, type(checkpoint.model)
    layers, hidden = order.layers or old.num_hidden_layers, order.hidden or old.hidden_size
    for option, asked, most in (("layers", layers, old.num_hidden_layers), ("hidden", hidden, old.hidden_size)):
        if asked > most:
            fault = f"a student with {option} {asked} is larger than its teacher, which has {most}"
            raise UnfitStudent(fault, f"lower --{option}, or give --student")
    student = model_of(_smaller(old, layers, hidden))
    if hidden != old.hidden_size:
        return student, checkpoint.tokenizer, "begun from nothing: its hidden size is not the teacher's"
    given, own = checkpoint.model.state_dict(), student.state_dict()
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    head = _head(checkpoint, teacher.folder.manifest)
    fitting = {name: value for name, value in fitting.items() if not name.startswith("classifier.")} | head
    student.load_state_dict(fitting, strict=False)
    said = f"begun from the teacher's first {layers} of {old.num_hidden_layers} layers"
    return student, checkpoint.tokenizer, said + ("" if head else ", with a new head")


def _smaller(old: Any, layers: int, hidden: int) -> Any:
    """The teacher's configuration with other sizes. The size of an attention head and the ratio inner/hidden stay."""
    new = copy.deepcopy(old)
    size = old.hidden_size // old.num_attention_heads
    if hidden % size:
        fits = ", ".join(str(size * heads) for heads in range(1, old.num_attention_heads + 1))
        raise UnfitStudent(
            f"--hidden {hidden} is no multiple of {size}, the size of the teacher's heads", f"give {fits}"
        )
    new.num_hidden_layers = layers
    if hidden != old.hidden_size:
        new.hidden_size, new.num_attention_heads = hidden, hidden // size
        for name in (one for one in _INNER if hasattr(old, one)):
            setattr(new, name, max(8, round(getattr(old, name) * hidden / old.hidden_size / 8) * 8))
        for name in ("embedding_size", "pooler_hidden_size"):
            if getattr(old, name, None) == old.hidden_size:
                setattr(new, name, hidden)
    if getattr(old, "layer_types", None):
        new.layer_types = old.layer_types[:layers]
    for name in (one for one in _DROPOUT if hasattr(old, one)):
        setattr(new, name, 0.0)
    new.id2label, new.label2id, new.problem_type = LABELS, {name: place for place, name in LABELS.items()}, None
    return new


def _head(checkpoint: Checkpoint, manifest: Manifest) -> dict[str, torch.Tensor]:
    """The teacher's head as (human, machine), if it is one linear layer with one label or two; else {}."""
    last = getattr(checkpoint.model, "classifier", None)
    if not isinstance(last, torch.nn.Linear) or len(checkpoint.labels) > 2 or len(manifest.positive_indices) > 1:
        return {}
    weight, bias = last.weight, last.bias if last.bias is not None else torch.zeros(last.out_features)
    positive = manifest.positive_indices[0]
    if checkpoint.activation == "sigmoid" or len(checkpoint.labels) == 1:
        rows = torch.zeros_like(weight[:1]), weight[positive : positive + 1]
        offsets = torch.zeros(1), bias[positive : positive + 1]
    else:
        rows = weight[1 - positive].unsqueeze(0), weight[positive].unsqueeze(0)
        offsets = bias[1 - positive].unsqueeze(0), bias[positive].unsqueeze(0)
    found = {"classifier.weight": torch.cat(rows)}
    return found | ({"classifier.bias": torch.cat(offsets)} if last.bias is not None else {})


def _from_nothing(layers: int, hidden: int, teacher: Teacher) -> tuple[Any, str, str]:
    if hidden % _HEAD_SIZE:
        raise UnfitStudent(f"--hidden {hidden} is no multiple of {_HEAD_SIZE}", "give 64, 128, 192, ...")
    text = _tokenizer_of(teacher)
    vocabulary = tokenizers.plain(text).get_vocab()
    found = deberta(max(vocabulary.values()) + 1, hidden, layers, hidden // _HEAD_SIZE, 4 * hidden)
    found.pad_token_id = next((vocabulary[name] for name in ("[PAD]", "<pad>") if name in vocabulary), 0)
    return transformers.DebertaV2ForTokenClassification(found), text, "begun from nothing: a model folder has no layers"


def _tokenizer_of(teacher: Teacher) -> str:
    return teacher.folder.tokenizer_text or teacher.folder.tokenizer.read_text(encoding="utf-8")


def _take_rows(model: Any, pruned: Pruned) -> None:
    """Give the model the embeddings of a pruned vocabulary, and its special tokens their new ids."""
    old = model.get_input_embeddings().weight.data
    rows = torch.stack([old[numbers].mean(0) for numbers in pruned.rows])
    model.resize_token_embeddings(len(rows), mean_resizing=False)
    model.get_input_embeddings().weight.data.copy_(rows)
    for name in ("pad", "bos", "eos", "cls", "sep", "mask", "unk"):
        number = getattr(model.config, f"{name}_token_id", None)
        if isinstance(number, int) and number in pruned.places:
            setattr(model.config, f"{name}_token_id", pruned.places[number])


def _save(model: Any, text: str, source: Path, out: Path) -> None:
    model.save_pretrained(out)
    (out / names.TOKENIZER).write_text(text, encoding="utf-8")
    known: dict[str, Any] = {}
    if (source / "tokenizer_config.json").is_file():
        known = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
    # By name: the ids in the file are those before pruning.
    told = {name: value for name, value in known.items() if name.endswith("_token") and isinstance(value, str)}
    told |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": known.get("model_max_length", 512)}
    (out / "tokenizer_config.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
