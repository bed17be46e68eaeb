"""The stages of training the embedded model: vocabulary, masked tokens, word labels, temperature."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import DebertaV2ForTokenClassification

from train import tokenizer as vocabulary
from train.corpus import Document, by_split, sentences
from train.dataset import Composer, Example, word_of_token
from train.editing import edited
from train.fitting import Stage, fit
from train.generate import Span, everything
from train.kinds import KINDS, documents
from train.model import PAD, Masked, config, pad
from train.recipe import Recipe
from train.scores import fit_temperature, fold, quality, trim, word_scores

IGNORED = -100
EDITED = 3
TOGETHER = 8


@dataclass(frozen=True)
class Corpora:
    """The documents and machine spans of a run, without those of the test split."""

    pretrain: list[Document]
    train: list[Document]
    validation: list[Document]
    spans: list[Span]


def corpora(kinds: Sequence[str] = tuple(KINDS)) -> Corpora:
    """Load the corpora of these kinds of prose. Raises `Unfit` if a package or a corpus is missing."""
    train, validation = documents("train", kinds), documents("validation", kinds)
    return Corpora(by_split("pretrain"), train, validation, everything(train + validation))


def composed(data: Corpora, tokenizer: Tokenizer, recipe: Recipe) -> tuple[Callable[[int], Example], list[Example]]:
    """Return a function from a number to an example, and the held-out examples. Every `EDITED`-th one is edited."""
    composer, judge = Composer(data.train, data.spans, transplant=True), Composer(data.validation, data.spans)
    draw = random.Random(recipe.seed)
    held_out = [trim(tokenizer, judge.compose(draw)) for _ in range(recipe.validation_examples)]

    def example(number: int) -> Example:
        rng = random.Random(f"{recipe.seed}-{number}")
        found = composer.compose(rng)
        return edited(found, rng) if number % EDITED == 0 else found

    return example, held_out


def encode(tokenizer: Tokenizer, example: Example) -> tuple[list[int], list[int]]:
    """Return the ids and labels of the tokens that fit the window. A token of no word has no label (-100)."""
    encoded = tokenizer.encode(example.text)
    owners = word_of_token(example.text, encoded.offsets)
    labels = [IGNORED if word is None else example.labels[word] for word in owners]
    return encoded.ids[: vocabulary.WINDOW], labels[: vocabulary.WINDOW]


def pretrain(model: DebertaV2ForTokenClassification, blocks: list[list[int]], recipe: Recipe, state: Path) -> None:
    """Pretrain the encoder on blocks of token ids, in a new order in every round."""
    masked, rows = Masked(model), recipe.pretrain_rows

    def loss(step: int) -> torch.Tensor:
        rounds, at = divmod(step * rows, len(blocks) - rows)
        order = list(range(len(blocks)))
        random.Random(f"{recipe.seed}-{rounds}").shuffle(order)
        value: torch.Tensor = masked(torch.tensor([blocks[i] for i in order[at : at + rows]]))
        return value

    steps, rate, depends = recipe.pretrain_steps, recipe.pretrain_rate, recipe.pretraining
    checks = recipe.check_every, recipe.patience
    fit(Stage("masked tokens", steps, rate, recipe.seed, *checks, state, depends), masked, loss)


def label(
    model: DebertaV2ForTokenClassification, tokenizer: Tokenizer, data: Corpora, recipe: Recipe, state: Path
) -> None:
    """Train word labels on examples that are composed anew at every step, until validation AUC stops rising.

    Then the temperature that fits validation best is folded into the classifier: a server need not know of it.
    """
    example_of, held_out = composed(data, tokenizer, recipe)
    cross_entropy = torch.nn.CrossEntropyLoss(ignore_index=IGNORED)

    def loss(step: int) -> torch.Tensor:
        first = step * recipe.label_rows
        examples = [example_of(number) for number in range(first, first + recipe.label_rows)]
        rows = sorted((encode(tokenizer, example) for example in examples), key=lambda row: len(row[0]))
        logits, labels = [], []
        # Batches of texts of similar length: padding all texts to the longest would nearly double the work.
        for part in (rows[at : at + TOGETHER] for at in range(0, len(rows), TOGETHER)):
            ids = pad([ids for ids, _ in part])
            logits.append(model(ids, attention_mask=(ids != PAD).long()).logits.float().flatten(0, 1))
            labels.append(pad([labels for _, labels in part], IGNORED).flatten())
        value: torch.Tensor = cross_entropy(torch.cat(logits), torch.cat(labels))
        return value

    def check() -> float:
        return quality(held_out, word_scores(model, tokenizer, [example.text for example in held_out]))

    checks = recipe.check_every, recipe.patience
    stage = Stage("word labels", recipe.label_steps, recipe.label_rate, recipe.seed, *checks, state, asdict(recipe))
    fit(stage, model, loss, check)
    temperature = fit_temperature(model, tokenizer, held_out)
    fold(model, temperature)
    print(f"temperature {temperature:.3f}, folded into the classifier")


def begin(data: Corpora, recipe: Recipe, folder: Path) -> tuple[Tokenizer, DebertaV2ForTokenClassification]:
    """Return the vocabulary and the pretrained encoder, from the state in `folder` if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [document.text for document in data.pretrain + data.train]
    tokenizer = vocabulary.train((text[a:b] for text in texts for a, b in sentences(text)), recipe.vocabulary)
    torch.manual_seed(recipe.seed)
    shape = recipe.hidden, recipe.layers, recipe.heads, recipe.inner
    model = DebertaV2ForTokenClassification(config(recipe.vocabulary, *shape))
    pretrain(model, list(vocabulary.blocks(tokenizer, texts, recipe.block)), recipe, folder / "pretrain.pt")
    return tokenizer, model


def make(data: Corpora, recipe: Recipe, folder: Path) -> Path:
    """Run every stage, from the states in `folder` if there are any; return the checkpoint."""
    tokenizer, model = begin(data, recipe, folder)
    label(model, tokenizer, data, recipe, folder / "label.pt")
    checkpoint = folder / "checkpoint"
    model.save_pretrained(checkpoint)
    vocabulary.save(tokenizer, checkpoint)
    (checkpoint / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2) + "\n")
    return checkpoint
