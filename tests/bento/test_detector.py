"""The pipeline: one score a word, whatever the text, its length and its neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import normalizers

from bento import artifact
from bento.artifact import ModelFolder
from bento.detector import Detector, Scores
from bento.errors import ArtifactError, ConfigError, Overloaded, TextTooLong, Untokenisable
from bento.settings import ROOT, ApiSettings, CpuSettings, ModelSettings, Settings
from bento.text.tokenizer import Tokenizer
from bento.text.words import score, split
from bento.types import Encoding, FloatArray, IntArray
from tests import fakes

EMBEDDED = ROOT / "models" / "wordtell-small"


def detect(detector: Detector, texts: Sequence[str]) -> list[np.ndarray]:
    return list(asyncio.run(detector.score(texts)).words)


NO_CACHE = ApiSettings(cache_mb=0)


@pytest.fixture(scope="module")
def detector(fake_folder: ModelFolder) -> Iterator[Detector]:
    """Windows of 64 tokens, neighbours sharing 16."""
    settings = Settings(model=ModelSettings(window_overlap=16), api=NO_CACHE)
    detector = Detector(fake_folder, fakes.LookupRunner(lanes=2), settings)
    yield detector
    detector.close()


@pytest.fixture(scope="module")
def embedded() -> Iterator[Detector]:
    """The model that the project ships."""
    detector = Detector.load(Settings(api=NO_CACHE))
    yield detector
    detector.close()


def expected(folder: ModelFolder, text: str) -> np.ndarray:
    """The fake model sees each token alone, so a text's scores can be had without windows."""
    encoding = Tokenizer(folder.tokenizer).encode(text)
    probabilities = [1 / (1 + np.exp(-fakes.logit(int(token)))) for token in encoding.ids]
    return score(split(text), encoding.offsets, np.array(probabilities, dtype=np.float32))


@pytest.mark.parametrize("words", [1, 7, 63, 64, 65, 350])
def test_windows_change_nothing_of_what_the_model_says(
    detector: Detector, fake_folder: ModelFolder, words: int
) -> None:
    text = "The movement is strong, and it is ending well. " * words
    text = " ".join(text.split()[:words])
    (scores,) = detect(detector, [text])
    assert len(scores) == words
    assert scores == pytest.approx(expected(fake_folder, text), abs=1e-6)


def test_texts_do_not_change_each_other(detector: Detector) -> None:
    texts = ["the cement", "a", "The movement is strong. " * 40, "\u200b", "word " * 350]
    together = detect(detector, texts)
    for text, scores in zip(texts, together, strict=True):
        assert np.array_equal(detect(detector, [text])[0], scores)


def test_equal_texts_are_scored_once_and_known_texts_not_at_all(fake_folder: ModelFolder) -> None:
    runner = fakes.LookupRunner()
    detector = Detector(fake_folder, runner, Settings(model=ModelSettings(window_overlap=16)))
    first = asyncio.run(detector.score(["the a", "a the", "the a"]))
    assert len(runner.batches) == 2
    second = asyncio.run(detector.score(["the a", "new", "the a"]))
    assert len(runner.batches) == 3
    third = asyncio.run(detector.score(["new"]))
    assert len(runner.batches) == 3
    assert (first.cached, second.cached, third.cached) == (0, 2, 1)
    assert np.array_equal(first.words[0], first.words[2])
    assert np.array_equal(first.words[0], second.words[2])
    detector.close()


ODD = st.text(min_size=1) | st.text(alphabet=" \u200b\u0301\u05d0\u202e\ufb01\U0001f600\x00ab\n", min_size=1)


@given(ODD)
def test_any_text_has_one_score_a_word(detector: Detector, text: str) -> None:
    (scores,) = detect(detector, [text])
    assert len(scores) == len(text.split())
    assert ((scores >= 0) & (scores <= 1)).all()


@given(ODD)
def test_the_embedded_tokenizer_gives_any_text_one_score_a_word(text: str) -> None:
    encoding = tokenizer().encode(text)
    scores = score(split(text), encoding.offsets, np.full(len(encoding), 0.5, dtype=np.float32))
    assert len(scores) == len(text.split())
    assert set(scores.tolist()) <= {0.0, 0.5}


_tokenizers: list[Tokenizer] = []


def tokenizer() -> Tokenizer:
    if not _tokenizers:
        _tokenizers.append(Tokenizer(artifact.load(EMBEDDED).tokenizer))
    return _tokenizers[0]


def test_the_embedded_model_scores_alike_alone_and_in_company(embedded: Detector) -> None:
    texts = ["We meet tonight at a crossroads.", "My fellow citizens, " * 100, "It is a time of hope and renewal."]
    together = detect(embedded, texts)
    for text, scores in zip(texts, together, strict=True):
        assert detect(embedded, [text])[0] == pytest.approx(scores, abs=1e-6)


@pytest.mark.parametrize(("folder", "tolerance"), [("wordtell-small", 2e-3), ("wordtell-small-fp32", 1e-5)])
@pytest.mark.parametrize("fused", [False, True], ids=["portable", "fused"])
def test_a_text_scores_the_same_under_load_as_alone(folder: str, tolerance: float, fused: bool) -> None:
    settings = Settings(
        model=ModelSettings(checkpoint_dir=ROOT / "models" / folder),
        api=NO_CACHE,
        cpu=CpuSettings(lanes=2, fused=fused),
    )
    detector = Detector.load(settings)
    if fused and detector.engine == "onnxruntime":
        pytest.skip("the fused operators are built with a C++ compiler")
    requests = [
        [f"{request} {text} " + "The people of this country asked for it. " * (text % 7) for text in range(30)]
        for request in range(6)
    ]

    async def at_once() -> list[Scores]:
        return await asyncio.gather(*map(detector.score, requests))

    try:
        alone = [detect(detector, [text])[0] for texts in requests[:2] for text in texts]
        asyncio.run(at_once())  # the sizes of micro-batches are learned here
        crowded = [scores for request in asyncio.run(at_once())[:2] for scores in request.words]
    finally:
        detector.close()
    for one, other in zip(alone, crowded, strict=True):
        assert one == pytest.approx(other, abs=tolerance)


def test_a_text_that_is_in_flight_is_not_scored_again(fake_folder: ModelFolder) -> None:
    runner = fakes.LookupRunner()
    detector = Detector(fake_folder, runner, Settings(model=ModelSettings(window_overlap=16)))

    async def twice() -> tuple[Scores, Scores]:
        runner.gate.clear()
        first = asyncio.ensure_future(detector.score(["held", "the text"]))
        while not runner.batches:
            await asyncio.sleep(0.001)
        second = asyncio.ensure_future(detector.score(["the text", "another"]))
        await asyncio.sleep(0.05)
        runner.gate.set()
        return await asyncio.gather(first, second)

    one, other = asyncio.run(twice())
    assert np.array_equal(one.words[1], other.words[0])
    assert len(runner.batches) == 3
    detector.close()


def test_who_joined_a_text_does_not_fall_with_who_began_it(fake_folder: ModelFolder) -> None:
    runner = fakes.LookupRunner()
    detector = Detector(fake_folder, runner, Settings(model=ModelSettings(window_overlap=16)))

    async def leave_early() -> tuple[Scores, int]:
        runner.gate.clear()
        first = asyncio.ensure_future(detector.score(["held", "the text", "unwanted"]))
        while not runner.batches:
            await asyncio.sleep(0.001)
        second = asyncio.ensure_future(detector.score(["the text"]))
        await asyncio.sleep(0.05)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        runner.gate.set()
        return await second, len(runner.batches)

    scores, runs = asyncio.run(leave_early())
    assert np.array_equal(scores.words[0], detect(detector, ["the text"])[0])
    assert runs == 2  # what was held, and what the second still wanted
    detector.close()


def test_who_joined_a_refused_text_asks_for_himself(fake_folder: ModelFolder) -> None:
    runner = fakes.LookupRunner()
    settings = Settings(model=ModelSettings(window_overlap=16), api=ApiSettings(max_queue_tokens=300))
    detector = Detector(fake_folder, runner, settings)

    async def refuse() -> Scores:
        runner.gate.clear()
        held = asyncio.ensure_future(detector.score(["held", "waits " * 40]))
        while not runner.batches:
            await asyncio.sleep(0.001)
        large = asyncio.ensure_future(detector.score(["the text", "too much " * 200]))
        small = asyncio.ensure_future(detector.score(["the text"]))
        with pytest.raises(Overloaded):
            await large
        runner.gate.set()
        await held
        return await small

    assert len(asyncio.run(refuse()).words[0]) == 2
    detector.close()


def test_the_embedded_model_scores_beyond_its_window(embedded: Detector) -> None:
    text = "The Congress has before it a budget that is balanced, and a people that is not. " * 100
    (scores,) = detect(embedded, [text])
    assert len(embedded.window_tokens(text)) > 1
    assert len(scores) == len(text.split())


def test_a_long_word_is_one_word(embedded: Detector) -> None:
    (scores,) = detect(embedded, ["x" * 10_000])
    assert scores.shape == (1,)


def test_the_version_names_all_that_changes_scores(fake_folder: ModelFolder, detector: Detector) -> None:
    assert detector.version == f"fake-fp32-{fake_folder.manifest.digest}-lookup-64.16"


def test_the_name_is_a_setting(fake_folder: ModelFolder) -> None:
    settings = Settings(model=ModelSettings(name="mine", window_overlap=8))
    detector = Detector(fake_folder, fakes.LookupRunner(), settings)
    assert detector.version.startswith("mine-fp32-")
    detector.close()


def test_a_window_larger_than_a_batch_is_refused(fake_folder: ModelFolder) -> None:
    settings = Settings.model_validate({"api": {"max_batch_tokens": 32}, "model": {"window_overlap": 8}})
    with pytest.raises(ConfigError, match=r"api\.max_batch_tokens is 32, less than one window of 64 tokens"):
        Detector(fake_folder, fakes.LookupRunner(), settings)


def test_a_window_with_more_tokens_than_the_model_has_positions_is_refused(fake_folder: ModelFolder) -> None:
    limited = replace(fake_folder, manifest=replace(fake_folder.manifest, position_limit=64))
    runner = fakes.LookupRunner()
    settings = Settings(model=ModelSettings(window_overlap=8, max_tokens=65))
    with pytest.raises(ConfigError, match=r"model\.max_tokens is 65: the model has positions for 64 tokens; lower it"):
        Detector(limited, runner, settings)
    Detector(limited, runner, Settings(model=ModelSettings(window_overlap=8, max_tokens=64))).close()


def test_an_overlap_larger_than_a_window_is_refused(fake_folder: ModelFolder) -> None:
    with pytest.raises(ConfigError, match=r"model\.window_overlap is 64: it must be below the window's 62 tokens"):
        Detector(fake_folder, fakes.LookupRunner(), Settings())


def test_a_graph_with_other_inputs_is_refused(tmp_path: Path) -> None:
    fakes.write_folder(tmp_path)
    model = onnx.load(tmp_path / artifact.MODEL)
    model.graph.output[0].name = "hidden"
    model.graph.node[-1].output[0] = "hidden"
    onnx.save(model, tmp_path / artifact.MODEL)
    fakes.write_manifest(tmp_path)
    with pytest.raises(ArtifactError, match=r"has inputs .* and outputs \['hidden'\]"):
        Detector.load(Settings(model=ModelSettings(checkpoint_dir=tmp_path)))


def test_a_graph_that_loads_but_cannot_run_is_named(fake_folder: ModelFolder) -> None:
    letter = int(Tokenizer(fake_folder.tokenizer).encode("w").ids[-1])
    detector = Detector(
        fake_folder, fakes.LookupRunner(poison=letter), Settings(model=ModelSettings(window_overlap=16))
    )
    with pytest.raises(ArtifactError, match=r"model.onnx: the model cannot be run \(poison\)"):
        detector.warm_up()
    detector.close()


class Broken(fakes.LookupRunner):
    """Its answers hold a value that is no number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def run(self, windows: Sequence[IntArray], wide: bool = False) -> list[FloatArray]:
        return [np.where(logits == 0.0, np.float32(self.value), logits) for logits in super().run(windows, wide)]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_an_error_and_is_not_kept(fake_folder: ModelFolder, value: float) -> None:
    runner = Broken(value)
    detector = Detector(fake_folder, runner, Settings(model=ModelSettings(window_overlap=16)))
    for _ in range(2):
        with pytest.raises(ArithmeticError, match="not a number"):
            detect(detector, ["the cement"])
    runner.value = 0.0
    assert np.isfinite(detect(detector, ["the cement"])[0]).all()
    detector.close()


def test_owners_share_nothing(fake_folder: ModelFolder) -> None:
    runner = fakes.LookupRunner()
    detector = Detector(fake_folder, runner, Settings(model=ModelSettings(window_overlap=16)))

    async def at_once() -> list[Scores]:
        return await asyncio.gather(*(detector.score(["the text"], owner=owner) for owner in ("one", "two", "one")))

    assert [scores.cached for scores in asyncio.run(at_once())] == [0, 0, 0]
    assert len(runner.batches) == 2
    again = [asyncio.run(detector.score(["the text"], owner=owner)).cached for owner in ("one", "two", "three")]
    assert again == [1, 1, 0]
    detector.close()


def bounded(**limits: int) -> Settings:
    return Settings(model=ModelSettings(window_overlap=16), api=ApiSettings(**limits))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (bounded(max_text_tokens=100), r"sentences\[2\] is 301 tokens long; the limit is 100 \(api.max_text_tokens\)"),
        (bounded(max_request_tokens=500), r"with sentences\[\d\] .* the limit is 500 \(api.max_request_tokens\)"),
    ],
)
def test_tokens_are_bounded_for_clients_and_for_nobody_else(
    fake_folder: ModelFolder, settings: Settings, says: str
) -> None:
    detector = Detector(fake_folder, fakes.LookupRunner(), settings)
    texts = ["a", "b", "x" * 300, "y" * 290]
    with pytest.raises(TextTooLong, match=says):
        asyncio.run(detector.score(texts, field="sentences", bounded=True))
    assert [len(scores) for scores in asyncio.run(detector.score(texts)).words] == [1, 1, 1, 1]
    detector.close()


def test_a_refused_request_leaves_nothing_behind(fake_folder: ModelFolder) -> None:
    runner = fakes.LookupRunner()
    detector = Detector(fake_folder, runner, bounded(max_request_tokens=3000))
    runner.gate.clear()
    texts = [f"{letter} " * 350 for letter in "abcdefghijkl"]
    with pytest.raises(TextTooLong):
        asyncio.run(detector.score(texts, bounded=True))
    runner.gate.set()
    assert len(detect(detector, ["the end"])[0]) == 2
    assert len(runner.batches) < 5  # what ran already, and the last
    detector.close()


def test_a_text_that_the_tokenizer_fails_on_is_named(fake_folder: ModelFolder) -> None:
    detector = Detector(fake_folder, fakes.LookupRunner(), bounded())
    panics = fakes.tokenizer()
    panics.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC()])
    panics.add_tokens(["\n"])
    detector._preparation._tokenizer._tokenizer = panics  # as if no text that is tried at load had shown it
    with pytest.raises(Untokenisable, match=r"sentences\[1\] cannot be read by the model's tokenizer"):
        asyncio.run(detector.score(["plain", "naïve"], field="sentences"))
    assert len(detect(detector, ["plain"])[0]) == 1
    detector.close()


def test_the_speed_is_known_after_the_warm_up(fake_folder: ModelFolder) -> None:
    detector = Detector(fake_folder, fakes.LookupRunner(lanes=2), Settings(model=ModelSettings(window_overlap=16)))
    detector.warm_up()
    assert detector._scheduler.tokens_per_second is not None
    detector.close()


def test_a_short_request_waits_for_one_part_of_each_long_one(fake_folder: ModelFolder) -> None:
    seen: list[str] = []

    class Told(Tokenizer):
        def encode_all(self, texts: Sequence[str], most: int | None = None) -> list[Encoding]:
            seen.append(texts[0][:1])
            return super().encode_all(texts, most)

    detector = Detector(fake_folder, fakes.LookupRunner(), bounded(max_queue_tokens=10_000_000))
    detector._preparation._tokenizer = Told(fake_folder.tokenizer)
    seen.clear()

    async def all_at_once() -> None:
        long = [[f"{letter}{index} " + "word " * 300 for index in range(20)] for letter in "bcdefghijk"]
        tasks = [asyncio.ensure_future(detector.score(texts)) for texts in long]
        await asyncio.sleep(0)
        tasks.append(asyncio.ensure_future(detector.score(["a", "a b", "a b c"])))
        await asyncio.gather(*tasks)

    asyncio.run(all_at_once())
    assert seen.index("a") <= 2 * 10  # of 200 parts
    detector.close()
