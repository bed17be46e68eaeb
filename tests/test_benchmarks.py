"""The documents' tables are what the results say; the arithmetic behind the figures is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from benchmarks import dimensions, figures, markdown, soak
from benchmarks.engines import CLASSIC, _with_ratios
from benchmarks.harness import RESULTS
from benchmarks.load import SIZES, Outcome, percentiles, words_per_second
from bento.checkpoint import families
from convert.dimensions import Dimensions

MACHINE = {"cpu": "A processor", "cores": 2, "flags": ["avx512_vnni"], "python": "3.11.7"}


def entry(engine: str, seconds: float) -> dict[str, Any]:
    made = {"engine": engine, "setting": "batches of 8", "seconds": seconds, "words_per_s": 1234.5}
    return made | {"roofline_share": 0.42, "peak_mb": 1500, "texts_timed": 8, "scaled_to": 120}


def result(*entries: dict[str, Any]) -> dict[str, Any]:
    made = {"dimensions": {"layers": 24, "hidden": 1024}, "weights": "random, seeded", "cores": 2}
    made |= {"sets": {"120 x 350 words": _with_ratios(list(entries))}, "failed": {"torch.compile": "no | compiler"}}
    made |= {"roofline_gops": {"all cores": {"int8": {"processor": 100.0}}}}
    return made | {"machine": MACHINE, "command": "python -m benchmarks.engines"}


@pytest.mark.parametrize("document", [path for path in figures.DOCUMENTS if path.exists()], ids=lambda path: path.name)
def test_the_documents_say_what_was_measured(document: Path) -> None:
    text = document.read_text()
    assert figures.filled(text, RESULTS) == text


def test_every_table_is_shown() -> None:
    text = "".join(document.read_text() for document in figures.DOCUMENTS)
    assert {found[2] for found in figures.BLOCK.finditer(text)} == set(figures.TABLES)


def test_a_table_is_made_of_its_results(tmp_path: Path) -> None:
    text = "before\n<!-- benchmarks:engines -->\nold\n<!-- /benchmarks -->\nafter\n"
    assert markdown.NOT_YET in figures.filled(text, tmp_path)
    entries = entry(CLASSIC, 174.0), entry("openvino INT8, NNCF", 120.0), entry("wordtell portable", 60.0)
    (tmp_path / "engines-large.json").write_text(json.dumps(result(*entries)))
    filled = figures.filled(text, tmp_path)
    assert filled.startswith("before\n<!-- benchmarks:engines -->\n")
    assert filled.endswith("<!-- /benchmarks -->\nafter\n")
    assert "old" not in filled
    rows = [line for line in filled.splitlines() if line.startswith(("| wordtell", "| onnx", "| openvino"))]
    assert rows[0] == (
        "| wordtell portable | batches of 8 | 60.0 s | 1,234 | 2.90 x | 2.00 x | 42% | 1,500 MB | 8 of 120 |"
    )
    assert [row.split(" | ")[0] for row in rows[1:]] == ["| openvino INT8, NNCF", f"| {CLASSIC}"]
    assert "- torch.compile: no / compiler" in filled
    assert "A processor, 2 cores (avx512_vnni)" in filled
    assert figures.filled(filled, tmp_path) == filled


def test_an_encoder_is_shown_beside_its_best_peer(tmp_path: Path) -> None:
    entries = entry(CLASSIC, 174.0), entry("openvino INT8, NNCF", 120.0), entry("wordtell fused", 60.0)
    (tmp_path / "engines-bert-base.json").write_text(json.dumps(result(*entries, entry("wordtell portable", 150.0))))
    (row,) = (line for line in figures.speed(tmp_path).splitlines() if line.startswith("| bert-base"))
    machine = "A processor, AVX-512 VNNI, 2 cores"
    assert row == (
        f"| bert-base | 120 x 350 words | {machine} | 174.0 s | 120.0 s (openvino INT8, NNCF) | 60.0 s | 2.00 x |"
    )


def test_a_plot_is_drawn_of_what_was_measured(tmp_path: Path) -> None:
    assert figures.draw(tmp_path, tmp_path / "img") == []
    (tmp_path / "engines-base.json").write_text(json.dumps(result(entry("wordtell portable", 0.05))))
    (path,) = figures.draw(tmp_path, tmp_path / "img")
    first = path.read_text()
    assert first.startswith("<?xml")
    figures.draw(tmp_path, tmp_path / "img")
    assert path.read_text() == first


def test_operations_of_one_layer_by_hand() -> None:
    one = Dimensions(layers=1, hidden=8, heads=2, inner=32)
    # 3 tokens: 6 matrices of 8 x 8 or 8 x 32; then 3 x 3 scores twice and 3 x 5 distances twice, each 8 wide.
    assert one.operations(3) == 2 * (3 * (4 * 64 + 2 * 256) + 2 * 9 * 8 + 2 * 15 * 8)


def test_a_local_layer_sees_its_window_and_a_gated_one_has_three_matrices() -> None:
    four = Dimensions(layers=4, hidden=8, heads=2, inner=32, architecture="modernbert")
    seen = sum(min(200, place + 65) - max(0, place - 64) for place in range(200))
    # The first and the fourth layer see all 200 tokens.
    pairs = 2 * 200 * 200 + 2 * seen
    assert four.operations(200) == 2 * (4 * 200 * (4 * 64 + 3 * 256) + 2 * pairs * 8)


@pytest.mark.parametrize("name", dimensions.DIMENSIONS)
def test_every_set_of_dimensions_is_a_configuration_that_is_covered(name: str) -> None:
    config = transformers.AutoConfig.for_model(**dimensions.DIMENSIONS[name].config())
    size = dimensions.DIMENSIONS[name]
    described = families.describe(config)
    assert (len(described.layers), described.heads, described.heads * described.head_size) == (
        size.layers,
        size.heads,
        size.hidden,
    )


def test_a_padded_engine_is_timed_on_a_full_batch() -> None:
    sets = dimensions.text_sets()
    assert [len(sets["120 x 350 words"].timed(batch)) for batch in (1, 8, 32)] == [8, 8, 32]
    assert len(sets["1 x 20 words"].timed(32)) == 1


def test_goodput_counts_what_was_answered_inside_the_stretch() -> None:
    size = SIZES[1]  # 150 words
    outcomes = [Outcome(size, 0.0, 2.0, 200), Outcome(size, 3.0, 2.0, 200), Outcome(size, 1.0, 0.1, 429)]
    assert words_per_second(outcomes, 0.0, 4.0) == pytest.approx((150 + 75) / 4)


def test_percentiles_in_milliseconds() -> None:
    assert percentiles([]) == {"count": 0}
    assert percentiles([0.001 * value for value in range(101)])["p95_ms"] == 95


def test_growth_is_that_after_the_warm_up() -> None:
    samples = [100.0] * 10 + [200.0] * 20 + [206.0] * 10
    assert soak.growth(samples) == {"warm_mb": 200.0, "end_mb": 206.0, "growth": 0.03}
