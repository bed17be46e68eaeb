"""A conversion is trusted for what it measured: figures, limits, reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx_ir as ir
import psutil
import pytest
from numpy.testing import assert_allclose

from bento import artifact
from bento.engines.fused import _instruction_set
from bento.native import LIBRARY
from bento.text import words
from convert import conversion, figures, made, measure, report, texts, verify
from convert.conversion import convert
from convert.errors import TextsError, VerificationError
from convert.figures import Figures, Limits, Variant
from convert.measure import Measurement
from convert.order import Order
from tests.convert.conftest import LABELS, MakeCheckpoint, verification

FIGURES = Figures(
    words=100,
    max_dp=0.1,
    mean_dp=0.01,
    p999_dp=0.09,
    flips=0.02,
    clear_flips=0.02,
    mean_dp_bound=0.01,
    clear_flips_bound=0.02,
    rank=0.99,
    neighbours=0.0,
    words_per_s=10.0,
    memory_mb=1.0,
    size_mb=1.0,
    fp32_share=0.0,
)


def quiet(title: str, parts: int | None = None) -> AbstractContextManager[Callable[[], None]]:
    return nullcontext(lambda: None)


def measured(probabilities: list[list[float]]) -> Measurement:
    return Measurement(
        variant="fused.avx2",
        probabilities=probabilities,
        seconds=2.0,
        words=4,
        neighbours=0.1,
        memory_mb=3.0,
        size_mb=4.0,
    )


def reference(probabilities: list[list[float]], labels: list[tuple[int, ...] | None]) -> verify.Reference:
    asked = tuple(texts.Text("a " * len(row), given) for row, given in zip(probabilities, labels, strict=True))
    return verify.Reference(asked, tuple(np.array(row, np.float32) for row in probabilities), 1.0, (1,) * len(asked))


def test_the_figures_are_what_their_names_say() -> None:
    expected = reference([[0.1, 0.4, 0.9], [0.6]], [(0, 0, 1), None])
    found = verify.compare(expected, measured([[0.2, 0.4, 0.8], [0.4]]), threshold=0.5, fp32_share=0.25)
    assert found.words == 4
    assert_allclose([found.max_dp, found.mean_dp, found.flips], [0.2, 0.1, 0.25], rtol=1e-6)
    assert 0.19 < found.p999_dp < 0.2
    assert found.words_per_s == 2
    assert (found.neighbours, found.memory_mb, found.size_mb, found.fp32_share) == (0.1, 3, 4, 0.25)
    assert found.auroc == found.torch_auroc == 1  # over the labelled text alone
    assert "auroc" not in replace(found, auroc=None).known()


def test_a_flip_is_clear_when_the_word_was_decided_before_or_after() -> None:
    #            both near     from afar      to afar      decided, unmoved
    theirs, ours = [0.49, 0.44, 0.499, 0.9], [0.51, 0.501, 0.56, 0.6]
    found = verify.compare(reference([theirs], [None]), measured([ours]), threshold=0.5, fp32_share=0)
    assert (found.flips, found.clear_flips) == (0.75, 0.5)
    assert figures.by_distance(np.array(theirs), np.array(ours), 0.5) == [
        (0.0, 0.01, 1, 1),
        (0.01, 0.05, 1, 1),
        (0.05, 0.1, 1, 1),
        (0.1, 0.2, 0, 0),
        (0.2, 1.0, 1, 0),
    ]


def test_a_bound_covers_the_truth_in_95_of_100_draws() -> None:
    """Texts of a population whose words err together, drawn 300 times: the bound is above its mean in most of them."""
    random, held = np.random.default_rng(3), 0
    for _ in range(300):
        words_ = random.integers(20, 300, 200)
        totals = random.gamma(2.0, 0.005, 200) * words_  # a text's mean error varies, with mean 0.01
        held += figures.upper_bound(totals, words_) >= 0.01
    assert 0.9 <= held / 300 <= 0.99


def test_without_a_flip_the_bound_is_not_zero() -> None:
    found = verify.compare(reference([[0.1, 0.9]], [None]), measured([[0.1, 0.9]]), threshold=0.5, fp32_share=0)
    assert (found.flips, found.clear_flips_bound) == (0, 0.5)


def test_no_text_both_calibrates_and_verifies() -> None:
    asked = {text.text for text in verification(10**9)}
    used = set(texts.calibration(10**3))
    assert not asked & used
    assert sum(len(words.split(text)) for text in asked) >= 20_000
    assert len(used) > 50


@pytest.mark.parametrize("sort", ["numbers", "code", "names", "scripts"])
def test_verification_has_texts_of_every_kind(sort: str) -> None:
    kind = {text for name, text in made.texts(80, seed=0) if name == sort}
    assert kind & {text.text for text in verification(20_000)}


def test_ranks_share_their_ties() -> None:
    a, b = np.array([1.0, 2, 3, 4]), np.array([10.0, 20, 20, 40])
    assert figures.rank_correlation(a, a**3) == pytest.approx(1)
    assert figures.rank_correlation(a, -a) == pytest.approx(-1)
    # Ranks 1 2 3 4 and 1 2.5 2.5 4: Pearson's correlation of these is 4.5 / sqrt(5 * 4.5).
    assert figures.rank_correlation(a, b) == pytest.approx(4.5 / np.sqrt(5 * 4.5))


def test_auroc_is_the_chance_that_a_machine_scores_higher() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.9])
    assert figures.auroc(scores, np.array([False, False, True, True])) == pytest.approx(0.875)
    assert figures.auroc(scores, np.zeros(4, bool)) is None


def test_a_fault_names_every_limit_and_by_how_much_it_is_exceeded() -> None:
    assert Limits(max_dp=0.1, clear_flips_bound=0.02).exceeded(FIGURES) is None
    fault = Limits(mean_dp_bound=0.005, clear_flips_bound=0.01).exceeded(FIGURES)
    assert fault == "mean_dp_bound is 0.01, the limit is 0.005, clear_flips_bound is 0.02, the limit is 0.01"
    assert Limits(max_dp=1).exceeded(replace(FIGURES, max_dp=float("nan"))) == "max_dp is nan, the limit is 1"


def test_auto_takes_the_fastest_within_its_limits(tmp_path: Path) -> None:
    order = Order(source="", out=tmp_path, precision="auto")

    def choose(**found: Figures) -> str:
        precisions: tuple[artifact.Precision, ...] = ("fp32", "int8")
        return conversion.choose({p: Variant(found[p], order.limits(p), {}) for p in precisions if p in found})

    exact = replace(FIGURES, max_dp=1e-6, clear_flips_bound=0.0)
    quick = replace(FIGURES, mean_dp_bound=1e-3, clear_flips_bound=0.0, words_per_s=20.0)
    assert choose(fp32=exact, int8=quick) == "int8"
    assert choose(fp32=exact, int8=replace(quick, words_per_s=5.0)) == "fp32"
    assert choose(fp32=exact, int8=replace(quick, clear_flips_bound=0.1)) == "fp32"
    with pytest.raises(VerificationError, match=r"int8: clear_flips_bound is 0\.1, the limit is 0\.005; nothing"):
        choose(int8=replace(quick, clear_flips_bound=0.1))
    # A graph that is not the model is no choice between precisions.
    with pytest.raises(VerificationError, match=r"fp32: max_dp is 0\.1, the limit is 0\.0001"):
        choose(fp32=FIGURES, int8=quick)


def test_the_ladder_has_texts_of_all_lengths() -> None:
    asked = texts.ladder()
    assert tuple(len(words.split(text.text)) for text in asked) == texts.LENGTHS
    assert len({text.text for text in asked}) == len(asked)


def test_texts_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.write_text('A plain line.\n\n{"text": "two words", "labels": [0, 1]}\n{"text": "unknown"}\n')
    asked = texts.read(path)
    assert asked == (texts.Text("A plain line."), texts.Text("two words", (0, 1)), texts.Text("unknown"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lines_end_at_line_feeds_alone_and_a_byte_order_mark_is_no_text(tmp_path: Path, end: str, mark: str) -> None:
    inside = "one\u2028two\u2029three\x85four\x0bfive\x0csix\x1cseven"
    lines = ['{"text": "' + inside.replace("\x0b", r"\u000b").replace("\x0c", r"\f").replace("\x1c", r"\u001c") + '"}']
    lines += [f"plain {inside}", '{"text": "two words", "labels": [0, 1]}']
    for given in (lines, lines[::-1]):
        (tmp_path / "texts").write_bytes((mark + end.join(given) + end).encode())
        asked = texts.read(tmp_path / "texts")
        expected = [texts.Text(inside), texts.Text(f"plain {inside}"), texts.Text("two words", (0, 1))]
        assert list(asked) == (expected if given is lines else expected[::-1])


def test_a_line_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "texts").write_bytes(b"one\ncaf\xe9\n")
    with pytest.raises(TextsError, match=r"line 2 is not UTF-8 \(unexpected end of data at byte 4\)"):
        texts.read(tmp_path / "texts")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("\n", "holds no text"),
        (
            '{"text": "a"}\n\n{"text": "b"',
            r"line 3 is not a text with labels \(no JSON: Expecting .* at character 13\)",
        ),
        ('{"text": "a"}\r\n{"text": "b", "labels": 0}', "line 2 is not"),
        (r'{"text": "\ud83d"}', "line 1 holds half a surrogate pair"),
        ('{"text": ' + "[" * 100_000, "line 1 is not"),
        ("a\n{", "line 2 is not a text"),
        ('{"text": "two words", "labels": [1]}', "line 1 is not a text with labels .wants 2 labels"),
        ('{"text": "two words", "labels": [1, 2]}', "wants 2 labels of 0 or 1"),
        ('{"text": 3}', "wants a string"),
        ('{"label": "x"}', "line 1"),
    ],
)
def test_texts_that_are_none_are_refused(tmp_path: Path, content: str, fault: str) -> None:
    (tmp_path / "texts").write_text(content)
    with pytest.raises(TextsError, match=fault):
        texts.read(tmp_path / "texts")
    with pytest.raises(TextsError, match="cannot be read"):
        texts.read(tmp_path / "none")


@pytest.mark.parametrize("labels", [LABELS, {0: "machine"}, {0: "ai", 1: "human", 2: "both"}])
def test_a_conversion_reports_what_it_measured(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, labels: dict[int, str]
) -> None:
    (tmp_path / "texts").write_text('{"text": "who wrote this", "labels": [0, 1, 0]}')
    order = Order(
        source=str(make_checkpoint(labels=labels)),
        out=tmp_path / "out",
        precision="auto",
        verify_texts=tmp_path / "texts",
        max_mean_dp=0.1,
        max_flips=1,
    )
    result = convert(order, quiet)
    kept = result.manifest.precision
    assert {entry.name for entry in order.out.iterdir()} == {
        *(artifact.MANIFEST, artifact.MODEL, artifact.FUSED, artifact.EXTERNAL_DATA, artifact.TOKENIZER, "README.md"),
        *(report.JSON, report.MARKDOWN, report.PLOT),
    }
    assert artifact.load(order.out).manifest == result.manifest
    assert result.manifest.figures == result.variants[kept].served.known()
    told = json.loads((order.out / report.JSON).read_text())
    assert told["chosen"] == kept
    assert told["variants"]["int8"]["figures"] == result.variants["int8"].figures.known()
    assert 0 < told["variants"]["int8"]["figures"]["mean_dp"] < 0.02
    assert told["variants"]["fp32"]["figures"]["max_dp"] < 1e-5
    assert "auroc" in told["variants"]["fp32"]["figures"]
    assert told["variants"]["fp32"]["limits"] == {"max_dp": 1e-4, "neighbours": 1e-5}
    assert report.PLOT in (order.out / report.MARKDOWN).read_text()
    squares = ElementTree.fromstring((order.out / report.PLOT).read_text())[1]  # noqa: S314 - our own file
    assert len(squares) > 1


@pytest.mark.every_set
def test_every_instruction_set_of_this_machine_is_verified(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    order = Order(source=str(make_checkpoint()), out=tmp_path / "out", precision="int8", max_mean_dp=0.1, max_flips=1)
    variant = convert(order, quiet).variants["int8"]
    lower = verify.lower_instruction_sets(replace(measured([]), variant=f"fused.{_instruction_set(LIBRARY)}"))
    assert tuple(variant.instruction_sets) == lower
    assert all(0 < mean < 0.1 for mean in variant.instruction_sets.values())
    told = json.loads((order.out / report.JSON).read_text())["variants"]["int8"]["instruction_sets"]
    assert told == variant.instruction_sets
    assert all(name in (order.out / report.MARKDOWN).read_text() for name in told)


@pytest.mark.every_set
@pytest.mark.parametrize(
    ("chosen", "lower"),
    [
        ("amx", ("portable", "avx2", "avx512vnni", "avx512bf16")),
        ("avxvnni", ("portable", "avx2")),
        ("i8mm", ("portable", "dotprod")),
        ("portable", ()),
        ("sve2", ()),
    ],
)
def test_lower_sets_are_those_that_the_processor_has_as_well(chosen: str, lower: tuple[str, ...]) -> None:
    assert verify.lower_instruction_sets(replace(measured([]), variant=f"fused.{chosen}")) == lower


def test_a_set_over_the_limit_is_a_fault() -> None:
    variant = Variant(FIGURES, Limits(mean_dp_bound=0.02), {}, FIGURES, {"avx2": 0.015, "portable": 0.03})
    assert variant.fault == "in the fused graph with portable mean_dp is 0.03, the limit is 0.02"


def test_more_stays_in_fp32_until_the_limits_hold(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    """The first share is too small for the limit; a later one is not, and what it cost is told."""
    source = str(make_checkpoint())
    plenty = Order(source=source, out=tmp_path / "plenty", precision="int8", max_mean_dp=1, max_flips=1)
    error = convert(plenty, quiet).variants["int8"].figures.mean_dp_bound
    limit = 0.93 * error
    order = replace(plenty, out=tmp_path / "held", max_mean_dp=limit, max_fp32_share=0.01)
    held = convert(order, quiet).variants["int8"]
    assert held.fault is None
    assert held.served.mean_dp_bound <= limit
    assert 0.01 < held.figures.fp32_share <= 0.5
    with pytest.raises(VerificationError, match="int8: "):
        convert(replace(order, max_fp32_share=0), quiet)


def test_over_a_limit_nothing_is_written_and_the_last_good_folder_stays(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    order = Order(source=str(make_checkpoint()), out=tmp_path / "models" / "out", precision="int8", max_mean_dp=1e-9)
    with pytest.raises(VerificationError, match=r"int8: mean_dp_bound is 0\.\d+, the limit is 1e-09"):
        convert(order, quiet)
    assert not order.out.parent.exists()
    good = convert(replace(order, precision="fp32"), quiet)
    with pytest.raises(VerificationError):
        convert(order, quiet)
    assert artifact.load(order.out).manifest == good.manifest
    assert [entry.name for entry in order.out.parent.iterdir()] == ["out"]


def edit(folder: Path, change: Callable[[ir.Graph], None]) -> None:
    """Change the graph of a folder, and its checksum."""
    model = ir.load(folder / artifact.MODEL)
    change(model.graph)
    ir.save(model, folder / artifact.MODEL)
    rewrite(folder)


def rewrite(folder: Path) -> None:
    """Let the manifest have the graph's checksum."""
    manifest = json.loads((folder / artifact.MANIFEST).read_text())
    record = artifact.FileRecord.of(folder / artifact.MODEL)
    manifest["files"][artifact.MODEL] = {"bytes": record.bytes, "sha256": record.sha256}
    (folder / artifact.MANIFEST).write_text(json.dumps(manifest))


def test_a_folder_that_answers_otherwise_or_not_at_all_is_found_out(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    from bento.checkpoint import reading as checkpoint  # noqa: PLC0415

    source = make_checkpoint()
    order = Order(source=str(source), out=tmp_path / "out", precision="fp32")
    convert(order, quiet)

    def lean(graph: ir.Graph) -> None:
        bias = graph.initializers["classifier.bias"]
        assert bias.const_value is not None
        bias.const_value = ir.tensor(bias.const_value.numpy() + np.array([0, 0.01], np.float32), name=bias.name)

    def spoil(graph: ir.Graph) -> None:
        graph.initializers["classifier.bias"].const_value = ir.tensor(np.zeros(7, np.float32), name="classifier.bias")

    edit(order.out, lean)
    asked = (texts.Text("who wrote this"),)
    expected = verify.reference(order.out, checkpoint.read(str(source)).model, asked, lambda: None)
    measured = measure.measure(order.out, ["who wrote this"], 1, lambda: None, fused=False)
    found = verify.compare(expected, measured, 0.5, 1.0)
    fault = order.limits("fp32").exceeded(found)
    assert fault is not None
    assert fault.startswith("max_dp is 0.00")
    edit(order.out, spoil)
    with pytest.raises(VerificationError, match="it cannot be served"):
        verify.measure(order.out, texts.Asked(asked, 1))


def test_an_interruption_ends_the_measuring_process_too(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    order = Order(source=str(make_checkpoint()), out=tmp_path / "out", precision="fp32")
    convert(order, quiet)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify.measure(order.out, texts.Asked(texts.ladder(), 1), interrupt)
    assert psutil.Process().children() == []
