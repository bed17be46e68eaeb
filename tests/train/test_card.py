"""The model card: every number in it comes from the figures."""

import json
from pathlib import Path

from train.card import left_out, render, table
from train.kinds import KINDS

FIGURES = json.loads((Path(__file__).resolve().parents[2] / "train" / "figures.json").read_text())


def test_the_card_shows_the_committed_figures() -> None:
    card = render(FIGURES)
    for figures in FIGURES["domains"].values():
        assert f"{figures['word_auc']:.3f}" in card
        assert f"{figures['human_words_above_threshold']:.1%}" in card
    assert f"{FIGURES['parameters']:,}" in card


def test_what_was_not_measured_says_so() -> None:
    domain = next(iter(FIGURES["domains"].values()))
    without = {**FIGURES, "domains": {"addresses": {**domain, "document_auc_is_it_slop": None}}}
    assert "| not measured |" in table(without)
    assert table(without).splitlines()[0] == "|  | held-out addresses |"


def test_each_row_has_a_cell_for_each_domain() -> None:
    lines = table(FIGURES).splitlines()
    assert {line.count("|") for line in lines} == {len(FIGURES["domains"]) + 2}


def test_the_committed_card_is_made_of_the_committed_figures() -> None:
    models = Path(__file__).resolve().parents[2] / "models"
    for name in ("wordtell-small", "wordtell-small-fp32"):
        assert (models / name / "README.md").read_text() == render(FIGURES)


def test_a_model_of_every_kind_names_each_with_its_licence() -> None:
    card = render(FIGURES | {"trained_on": list(KINDS)})
    assert all(kind.licence in card and kind.source in card for kind in KINDS.values())
    assert "addresses, novels, documentation, mail and essays" in card
    assert "one kind of prose" not in card


def test_kinds_that_were_left_out_are_told_with_their_mean() -> None:
    domains = {kind: FIGURES["domains"][name] for kind, name in (("novels", "addresses"), ("mail", "wikipedia"))}
    told = left_out({"left_out": domains})
    mean = sum(one["word_auc"] for one in domains.values()) / 2
    assert f"| mean | {mean:.3f} |" in told
    assert "| novels |" in told
    assert left_out(FIGURES) == ""
