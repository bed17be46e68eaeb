"""Word scores of a checkpoint in torch, with their AUC and temperature."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from tokenizers import Tokenizer

from bento.text import words
from train.dataset import Example, word_of_token
from train.tokenizer import WINDOW

ROWS = 16


def trim(tokenizer: Tokenizer, example: Example) -> Example:
    """Return the example without the last words, if they do not fit the model's window."""
    encoded = tokenizer.encode(example.text)
    if len(encoded.ids) <= WINDOW:
        return example
    beyond = word_of_token(example.text, encoded.offsets)[WINDOW - 1 : -1]
    count = min(word for word in beyond if word is not None)
    return Example(" ".join(example.words[:count]), example.labels[:count])


def token_logits(model: Any, tokenizer: Tokenizer, texts: Sequence[str]) -> list[tuple[torch.Tensor, list[int | None]]]:
    """Return for each text its tokens' logits, shape (tokens, 2), and the word that each token belongs to.

    Raises ValueError for a text that is longer than the model's window; see `trim`.
    """
    encoded = tokenizer.encode_batch(list(texts))
    if (longest := max(len(e.ids) for e in encoded)) > WINDOW:
        raise ValueError(f"a text has {longest} tokens, the window holds {WINDOW}; trim it first")
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i].ids))
    results: dict[int, tuple[torch.Tensor, list[int | None]]] = {}
    model.eval()
    for at in range(0, len(order), ROWS):
        rows = order[at : at + ROWS]
        width = max(len(encoded[i].ids) for i in rows)
        ids = torch.tensor([encoded[i].ids + [0] * (width - len(encoded[i].ids)) for i in rows])
        with torch.inference_mode():
            logits = model(ids, attention_mask=(ids != 0).long()).logits.float()
        for i, row in zip(rows, logits, strict=True):
            owners = word_of_token(texts[i], encoded[i].offsets)
            results[i] = row[: len(owners)], owners
    return [results[i] for i in range(len(texts))]


def word_scores(model: Any, tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[float]]:
    """Return, for every word of every text, the mean machine probability of its tokens, as a server does."""
    scores = []
    for text, (logits, _) in zip(texts, token_logits(model, tokenizer, texts), strict=True):
        offsets = np.array(tokenizer.encode(text).offsets)
        chances = words.positive_probability(logits.numpy(), (1,))
        scores.append(words.score(words.split(text), offsets, chances).tolist())
    return scores


def quality(examples: Sequence[Example], scores: Sequence[Sequence[float]]) -> float:
    """Return the word ROC-AUC of the scores of these examples' words."""
    return auc([label for one in examples for label in one.labels], [score for text in scores for score in text])


def auc(truth: Sequence[int], scores: Sequence[float]) -> float:
    """Return the area under the ROC curve: the probability that a machine's word scores above a human's."""
    return float(roc_auc_score(truth, scores))


def fit_temperature(model: Any, tokenizer: Tokenizer, examples: Sequence[Example]) -> float:
    """Return the T that minimises the cross-entropy of `logits / T` on the examples' tokens (Guo et al. 2017)."""
    rows, labels = [], []
    found = token_logits(model, tokenizer, [example.text for example in examples])
    for example, (logits, owners) in zip(examples, found, strict=True):
        inside = [i for i, word in enumerate(owners) if word is not None]
        rows.append(logits[inside])
        labels += [example.labels[word] for word in owners if word is not None]
    logits, truth, log = torch.cat(rows).clone(), torch.tensor(labels), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([log], max_iter=50)

    def closure() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits / log.exp(), truth)
        loss.backward()
        return loss.item()

    optimizer.step(closure)
    return log.exp().item()


def fold(model: Any, temperature: float) -> None:
    """Divide the classifier's weights by a temperature, so that a server need not know of it."""
    with torch.no_grad():
        model.classifier.weight.div_(temperature)
        model.classifier.bias.div_(temperature)
