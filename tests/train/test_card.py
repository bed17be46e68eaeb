"""The model card: every number in it comes from the figures."""

import json
from pathlib import Path

from train.card import render, table

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
