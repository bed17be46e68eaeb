"""A Hugging Face checkpoint, read with suspicion: what is refused here would be a wrong score later."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import tokenizers
import torch
import transformers
from sentencepiece import sentencepiece_model_pb2

from convert import labels, lora, names
from convert.errors import CheckpointError
from convert.lora import Adapter


@dataclass(frozen=True)
class Checkpoint:
    """A token classifier in FP32, ready for export.

    source: the folder's name or the hub's name of it; revision: the hub's commit, if there was one; base: the same of
    the model that an adapter was merged into.
    tokenizer: the text of its tokenizer.json. card: the text of its model card, None when it has none.
    position_limit: the longest input that it can take, special tokens included; None when there is none.
    """

    source: str
    revision: str | None
    model: Any
    tokenizer: str
    labels: tuple[str, ...]
    card: str | None
    position_limit: int | None
    base: str | None = None

    @property
    def origin(self) -> dict[str, str]:
        """Where it came from, for the manifest."""
        known = {"checkpoint": self.source, "revision": self.revision, "base": self.base}
        return {name: value for name, value in known.items() if value}

    def encode(self, text: str) -> list[int]:
        """A text's ids, special ones around them."""
        ids: list[int] = tokenizers.Tokenizer.from_str(self.tokenizer).encode(text).ids
        return ids

    @property
    def architecture(self) -> str:
        """The configuration's `model_type`, a key of names.ARCHITECTURES."""
        return str(self.model.config.model_type)

    def max_tokens(self, asked: int | None) -> int:
        """What the manifest should say: as asked, else 512 or less. Raises CheckpointError over the limit."""
        limit = self.position_limit
        if asked is None:
            made_for = int(self.model.config.max_position_embeddings)
            return min(512, limit or made_for, made_for)
        if limit is not None and asked > limit:
            raise CheckpointError(self.source, f"takes {limit} tokens at most, not {asked}", "lower --max-tokens")
        return asked


def read(source: str, base: str | None = None) -> Checkpoint:
    """Read a folder, or a hub's name. Raises CheckpointError, naming the fault and the remedy.

    base: where an adapter's base model is, if not where the adapter says.
    """
    given, revision = _locate(source)
    adapter = lora.read(given)
    # An adapter is a checkpoint whose weights are its base's, changed.
    folder = _locate(base or adapter.base)[0] if adapter else given
    config = _config(folder)
    architecture = _architecture(folder, config, adapter)
    model = _model(folder, config, adapter)
    own = adapter is not None and (given / names.TOKENIZER).is_file()
    tokenizer = _tokenizer(given if own else folder, int(model.config.vocab_size))
    try:
        ordered = labels.ordered(model.config.id2label)
    except ValueError as error:
        raise CheckpointError(folder / names.CONFIG, str(error), "correct id2label") from None
    card = given / names.CARD
    return Checkpoint(
        source=given.resolve().name if revision is None else source,
        revision=revision,
        base=folder.resolve().name if adapter else None,
        model=model,
        tokenizer=tokenizer,
        labels=ordered,
        card=card.read_text(encoding="utf-8") if card.is_file() else None,
        position_limit=_position_limit(model.config, architecture),
    )


def _locate(source: str) -> tuple[Path, str | None]:
    """The folder, downloaded first when `source` is a hub's name, and the commit."""
    folder = Path(source)
    if folder.is_dir():
        return folder, None
    if folder.exists() or not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", source):
        raise CheckpointError(source, "no such folder", "give the folder that holds config.json, or a hub's name")
    try:
        path = Path(huggingface_hub.snapshot_download(source, allow_patterns=list(names.WANTED)))
    except Exception as error:  # its exceptions and those of its HTTP client share no base class
        fault = f"no such folder here, and no hub delivered it ({_first_line(error)})"
        raise CheckpointError(source, fault, "check the name, or download the checkpoint and give its folder") from None
    return path, path.name


def _config(folder: Path) -> dict[str, Any]:
    path = folder / names.CONFIG
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        remedy = "give the folder that save_pretrained wrote"
        raise CheckpointError(path, "no such file, so this is no checkpoint", remedy) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(path, f"cannot be read ({_first_line(error)})", "save the checkpoint again") from None
    if not isinstance(config, dict):
        raise CheckpointError(path, "holds no configuration", "save the checkpoint again")
    return config


def _architecture(folder: Path, config: dict[str, Any], adapter: Adapter | None) -> names.Architecture:
    kind = config.get("model_type")
    if kind not in names.ARCHITECTURES:
        covered = ", ".join(names.ARCHITECTURES)
        raise CheckpointError(folder, f"the architecture {kind!r} is not covered", f"these are: {covered}")
    classes = config.get("architectures") or []
    brings_head = adapter is not None and adapter.num_labels is not None
    if classes and not brings_head and not any(str(name).endswith(names.HEAD) for name in classes):
        fault = f"is a {', '.join(map(str, classes))}, which does not score single words"
        raise CheckpointError(folder, fault, f"fine-tune it as {names.ARCHITECTURES[kind].class_name}")
    return names.ARCHITECTURES[kind]


def _model(folder: Path, config: dict[str, Any], adapter: Adapter | None) -> Any:
    _shards(folder)
    head = {"num_labels": adapter.num_labels} if adapter and adapter.num_labels else {}
    try:
        model, loading = transformers.AutoModelForTokenClassification.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            attn_implementation="eager",  # plain MatMul and Softmax, which quantisers know
            output_loading_info=True,
            **head,
        )
    except Exception as error:  # OSError, ValueError, RuntimeError, SafetensorError, UnpicklingError ...
        raise CheckpointError(folder, f"its weights cannot be loaded ({_first_line(error)})", "save it again") from None
    # transformers fills what is missing with random numbers and only warns.
    lacking = {*loading["missing_keys"], *(str(item[0]) for item in loading["mismatched_keys"])}
    if missing := sorted(lacking - (adapter.whole.keys() if adapter else set())):
        fault = f"lacks the weights {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}"
        raise CheckpointError(folder, fault, f"give a fine-tuned {type(model).__name__}")
    # Some sequence classifiers have the same names: a checkpoint that does not say its class must fit exactly.
    if not adapter and not config.get("architectures") and (spare := sorted(loading["unexpected_keys"])):
        fault = f"does not say its class and has weights that a token classifier has not ({', '.join(spare[:3])})"
        raise CheckpointError(folder, fault, f"write architectures: [{type(model).__name__!r}] in {names.CONFIG}")
    for name, weight in model.named_parameters():
        # Least and greatest are NaN when any value is; unlike isfinite() of all, they take no memory.
        if not all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(weight)):
            raise CheckpointError(folder, f"the weight {name} holds NaN or infinity", "use an earlier checkpoint")
    if adapter:
        adapter.merge(model)
    return model.eval().requires_grad_(False)


def _shards(folder: Path) -> None:
    """Say which file of weights is missing, which no library does by name."""
    present = [path for path in (folder / name for name in names.WEIGHTS) if path.is_file()]
    if not present:
        raise CheckpointError(folder, f"has none of {', '.join(names.WEIGHTS)}", "copy the folder again")
    if present[0].suffix != ".json":
        return
    try:
        shards = set(json.loads(present[0].read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(present[0], "is no list of weights", "save the checkpoint again") from None
    if lost := sorted(name for name in shards if not (folder / name).is_file()):
        fault = f"lacks {len(lost)} of its {len(shards)} files of weights: {', '.join(lost[:3])}"
        raise CheckpointError(folder, fault, "copy the folder again")


def _tokenizer(folder: Path, rows: int) -> str:
    """tokenizer.json to the letter, else what transformers makes of the slow files. `rows`: ids that the model has."""
    path = folder / names.TOKENIZER
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else _from_slow_files(folder).to_str(pretty=True)
        highest = max(tokenizers.Tokenizer.from_str(text).get_vocab(with_added_tokens=True).values())
    except Exception as error:  # tokenizers raises plain Exception; slow classes lack backend_tokenizer
        fault = f"has no tokenizer that can be used ({_first_line(error)})"
        remedy = f"save it with {names.TOKENIZER} (a fast tokenizer's save_pretrained)"
        raise CheckpointError(folder, fault, remedy) from None
    if highest >= rows:
        fault = f"its tokenizer has the id {highest}, its embeddings only {rows} rows"
        raise CheckpointError(folder, fault, "use the tokenizer that it was trained with")
    return text


def _from_slow_files(folder: Path) -> tokenizers.Tokenizer:
    if not any((folder / name).is_file() for name in names.SLOW_TOKENIZERS):
        # transformers would make one up, with an empty vocabulary.
        raise FileNotFoundError(f"neither {names.TOKENIZER} nor {', '.join(names.SLOW_TOKENIZERS)} is there")
    slow = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    fast: tokenizers.Tokenizer = slow.backend_tokenizer
    for name in names.SENTENCEPIECE:
        if (folder / name).is_file():
            _restore_normalizer(fast, folder / name)
    return fast


def _restore_normalizer(fast: tokenizers.Tokenizer, path: Path) -> None:
    """Put SentencePiece's character map back: transformers 5 drops it for DeBERTa, and NFKC forms turn to [UNK]."""
    proto: Any = sentencepiece_model_pb2
    characters = proto.ModelProto.FromString(path.read_bytes()).normalizer_spec.precompiled_charsmap
    state = json.loads(fast.to_str())["normalizer"]
    if characters and "Precompiled" not in json.dumps(state):
        rest = [fast.normalizer] if state else []
        fast.normalizer = tokenizers.normalizers.Sequence([tokenizers.normalizers.Precompiled(characters), *rest])


def _position_limit(config: Any, architecture: names.Architecture) -> int | None:
    if architecture.relative and not getattr(config, "position_biased_input", True):
        return None
    rows = int(config.max_position_embeddings)
    return rows - int(config.pad_token_id) - 1 if architecture.offset else rows


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
