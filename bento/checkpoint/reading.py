"""Reads a Hugging Face checkpoint. Raises CheckpointError for anything that it does not understand, because loading it
anyway would give wrong scores."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import tokenizers
import torch
import transformers

from bento.artifact import Activation
from bento.checkpoint import families, files, heads, labels, lora, names, schemes, tokenizer, weights
from bento.checkpoint.errors import CheckpointError
from bento.checkpoint.lora import Adapter
from bento.checkpoint.names import HeadActivation
from bento.checkpoint.tokenizer import first_line


@dataclass(frozen=True)
class Checkpoint:
    """A token classifier in FP32, ready for export.

    source: the folder's name or the hub's name of it; revision: the hub's commit, if there was one; base: the same of
    the model that an adapter was merged into.
    tokenizer: the text of its tokenizer.json. card: the text of its model card, None when it has none.
    activation: what makes probabilities of its logits.
    position_limit: the longest input that it can take, special tokens included; None when there is none.
    """

    source: str
    revision: str | None
    model: Any
    tokenizer: str
    labels: tuple[str, ...]
    activation: Activation
    card: str | None
    position_limit: int | None
    base: str | None = None

    @property
    def origin(self) -> dict[str, str]:
        """Where it came from, for the manifest."""
        known = {"checkpoint": self.source, "revision": self.revision, "base": self.base}
        return {name: value for name, value in known.items() if value}

    @property
    def fast_tokenizer(self) -> tokenizers.Tokenizer:
        """Its tokenizer, which neither cuts nor pads."""
        return tokenizer.plain(self.tokenizer)

    def encode(self, text: str) -> list[int]:
        """A text's ids, special ones around them."""
        ids: list[int] = self.fast_tokenizer.encode(text).ids
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


def read(
    source: str,
    base: str | None = None,
    head_activation: HeadActivation | None = None,
    attention: str | None = "eager",
) -> Checkpoint:
    """Read a folder, or a hub's name. Raises CheckpointError, naming the fault and the remedy.

    base: where an adapter's base model is, if not where the adapter says. head_activation: see heads.py here.
    attention: transformers' implementation; "eager" is the formula as it stands, None the fastest that the family has.
    """
    given, revision = _locate(source)
    adapter = lora.read(given)
    # An adapter is a checkpoint whose weights are its base's, changed.
    folder = _locate(base or adapter.base)[0] if adapter else given
    config = _config(folder)
    _check_class(folder, config, adapter)
    schemes.check(folder, config)
    model = _model(folder, config, adapter, head_activation, attention)
    own = adapter is not None and files.genuine(given / names.TOKENIZER).is_file()
    text = tokenizer.read(given if own else folder, int(model.config.vocab_size))
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
        tokenizer=text,
        labels=ordered,
        activation=schemes.activation(folder, config, len(ordered)),
        card=card.read_text(encoding="utf-8") if card.is_file() else None,
        position_limit=_position_limit(model),
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
        fault = f"no such folder here, and no hub delivered it ({first_line(error)})"
        raise CheckpointError(source, fault, "check the name, or download the checkpoint and give its folder") from None
    return path, path.name


def _config(folder: Path) -> dict[str, Any]:
    path = files.genuine(folder / names.CONFIG)
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        inside = sorted(found.parent.name for found in folder.glob(f"*/{names.CONFIG}"))
        remedy = f"give one of its folders {', '.join(inside[:5])}" if inside else "give the one of save_pretrained"
        raise CheckpointError(path, "no such file, so this is no checkpoint", remedy) from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(path, f"cannot be read ({first_line(error)})", "save the checkpoint again") from None
    if not isinstance(config, dict):
        raise CheckpointError(path, "holds no configuration", "save the checkpoint again")
    return config


def _check_class(folder: Path, config: dict[str, Any], adapter: Adapter | None) -> None:
    """Raises CheckpointError for an architecture that is not covered, or a class that scores no single words."""
    kind = config.get("model_type")
    if kind not in names.ARCHITECTURES:
        covered = ", ".join(names.ARCHITECTURES)
        raise CheckpointError(folder, f"the architecture {kind!r} is not covered", f"these are: {covered}")
    classes = _classes(config)
    brings_head = adapter is not None and adapter.num_labels is not None
    if classes and not brings_head and not any(name.endswith(names.HEAD) for name in classes):
        fault = f"is a {', '.join(classes)}, which does not score single words"
        raise CheckpointError(folder, fault, f"fine-tune it as {names.ARCHITECTURES[kind]}")


def _classes(config: Mapping[str, Any]) -> list[str]:
    """What the configuration says that it is the configuration of; nothing, if it does not say."""
    found = config.get("architectures") or ()
    return [found] if isinstance(found, str) else [str(name) for name in found]


def _model(
    folder: Path,
    config: Mapping[str, Any],
    adapter: Adapter | None,
    head_activation: HeadActivation | None,
    attention: str | None,
) -> Any:
    found = weights.find(folder)
    own_head = {"num_labels": adapter.num_labels} if adapter and adapter.num_labels else {}
    try:
        known = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **own_head
        )
        model, loading = getattr(transformers, names.ARCHITECTURES[config["model_type"]]).from_pretrained(
            folder if (renamed := found.renamed()) is None else None,
            config=known,
            state_dict=renamed,
            local_files_only=True,
            dtype=torch.float32,
            attn_implementation=attention,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # it names them then, and we refuse them
        )
    except Exception as error:  # OSError, ValueError, RuntimeError, SafetensorError, UnpicklingError ...
        raise CheckpointError(folder, f"its weights cannot be loaded ({first_line(error)})", "save it again") from None
    fit = weights.Fit.of(loading, found.names)
    if adapter:
        fit = fit.without(adapter.whole)
    classes = _classes(config)
    # Some sequence classifiers have the same names: a checkpoint that does not say its class must fit exactly.
    two = heads.two_layers(fit.spare, fit.missing, model.config.model_type) if classes and not adapter else None
    if two:
        model.classifier = two.build(folder, found.read(two.weights), model.config, head_activation)
        fit = fit.without({*two.weights, *names.ONE_LAYER})
    elif head_activation:
        fault = f"its head is not two linear layers, so nothing is {head_activation} between them"
        raise CheckpointError(folder, fault, "leave --head-activation out")
    fit.check(folder, type(model).__name__)
    if not adapter and not classes and fit.spare:
        fault = f"does not say its class and has weights that a token classifier has not ({heads.listed(fit.spare)})"
        raise CheckpointError(folder, fault, f"write architectures: [{type(model).__name__!r}] in {names.CONFIG}")
    if adapter is None or adapter.num_labels is None:
        heads.no_more_than(folder, classes, fit.spare)
    else:  # the base model's own head is not used
        heads.no_more_than(folder, (), [name for name in fit.spare if not name.startswith(names.OTHER_HEADS)])
    for name, weight in model.named_parameters():
        # Least and greatest are NaN when any value is; unlike isfinite() of all, they take no memory.
        if not all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(weight)):
            raise CheckpointError(folder, f"the weight {name} holds NaN or infinity", "use an earlier checkpoint")
    if adapter:
        adapter.merge(model)
    return model.eval().requires_grad_(False)


def _position_limit(model: Any) -> int | None:
    """Rows of absolute positions that tokens can take; None where there are none such."""
    parts = families.describe(model.config).embeddings
    if parts.positions is None:
        return None
    return len(model.get_parameter(f"{parts.positions}.weight")) - parts.first_position
