"""POST /api/v1/predict/sentences, against a real server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from bento.native import LIBRARY
from bento.settings import ROOT
from tests import fakes
from tests.http.server import Server, environment, long_texts, serving_python

PATH = "/api/v1/predict/sentences"
EXAMPLES = ROOT / "examples" / "test_120_sentences.json"


def predict(server: Server, sentences: list[str]) -> dict[str, Any]:
    response = server.client.post(PATH, json={"sentences": sentences})
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_the_120_example_texts_come_back_with_one_probability_a_word(embedded: Server) -> None:
    body = EXAMPLES.read_bytes()
    sentences = json.loads(body)["sentences"]
    assert len(sentences) == 120
    assert all(300 <= len(text.split()) <= 350 for text in sentences)
    response = embedded.client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 200
    answer = response.json()
    assert [len(scores) for scores in answer["probabilities"]] == [len(text.split()) for text in sentences]
    flat = np.concatenate(answer["probabilities"])
    assert ((flat >= 0) & (flat <= 1)).all()
    assert np.array_equal(flat, np.round(flat, 4))
    assert flat.std() > 0.01  # a model, not a constant
    metadata = answer["metadata"]
    assert metadata["total_words"] == sum(len(text.split()) for text in sentences)
    assert metadata["processing_time_ms"] > metadata["queue_time_ms"] >= 0
    # The fused operators are there where a compiler was.
    assert metadata["engine"] == ("onnxruntime+wordtell" if LIBRARY.exists() else "onnxruntime")
    assert metadata["model_version"].startswith("wordtell-small-")


def test_scores_are_the_models_own(server: Server) -> None:
    answer = predict(server, ["the a"])
    vocabulary = fakes.tokenizer().get_vocab()
    the, a = (1 / (1 + np.exp(-fakes.logit(vocabulary[token]))) for token in ("▁the", "a"))
    # The space before "a" is a token of its own, which overlaps no word.
    assert answer["probabilities"][0] == pytest.approx([the, a], abs=6e-5)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 ok", id="emoji"),
        pytest.param("\u05e9\u05dc\u05d5\u05dd \u202e\u0645\u0631\u062d\u0628\u0627\u202c", id="right to left"),
        pytest.param("e\u0301\u0323\u0301 a" + "\u0301" * 200, id="combining marks"),
        pytest.param("\u200b \u200d\ufeff a\u200bb", id="zero width"),
        pytest.param("a\x00b \x00", id="NUL"),
        pytest.param("x" * 10_000, id="a word of 10,000 characters"),
        pytest.param("a\u00a0b\u2003c\x1cd\u3000e", id="other spaces"),
        pytest.param("\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), id="a whole surrogate pair"),
    ],
)
@pytest.mark.parametrize("model", ["server", "embedded"])
def test_any_text_is_scored(request: pytest.FixtureRequest, model: str, text: str) -> None:
    (scores,) = predict(request.getfixturevalue(model), [text])["probabilities"]
    assert len(scores) == len(text.split())
    assert all(0 <= score <= 1 for score in scores)


def test_an_escaped_surrogate_pair_is_one_character(server: Server) -> None:
    response = server.client.post(PATH, content=b'{"sentences": ["\\ud83d\\ude00 a"]}')
    assert response.status_code == 200


OFFSETS = [
    ("a b", [[0, 1], [2, 3]]),
    ("  lead\n\ttrail  ", [[2, 6], [8, 13]]),
    # Six words for Python, three for JavaScript.
    ("a\u0085b c\x1cd \ufeff e", [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]),
    ("\U0001f600\u00a0\U0001f468\u200d\U0001f469 e\u0301", [[0, 1], [2, 5], [6, 8]]),
]


def test_offsets_are_where_the_words_are(server: Server) -> None:
    texts = [text for text, _ in OFFSETS]
    answer = server.client.post(PATH, json={"sentences": texts, "include": ["offsets"]}).json()
    assert answer.keys() == {"probabilities", "offsets", "metadata"}
    assert answer["offsets"] == [offsets for _, offsets in OFFSETS]
    for text, offsets, probabilities in zip(texts, answer["offsets"], answer["probabilities"], strict=True):
        assert [text[start:stop] for start, stop in offsets] == text.split()
        assert len(offsets) == len(probabilities)


@pytest.mark.parametrize("body", [{}, {"include": []}])
def test_without_include_the_answer_is_as_ever(server: Server, body: dict[str, list[str]]) -> None:
    response = server.client.post(PATH, json={"sentences": ["one two"], **body})
    found = response.json()
    assert list(found) == ["probabilities", "metadata"]
    assert response.text == json.dumps(found, separators=(",", ":"))


def test_the_limits_themselves_are_allowed(server: Server) -> None:
    answer = predict(server, long_texts(120, "most"))
    assert answer["metadata"]["total_words"] == 120 * 350


def test_a_text_seen_before_is_known(server: Server) -> None:
    first = predict(server, ["seen before", "and", "seen before"])
    second = predict(server, ["never seen", "seen before"])
    assert first["metadata"]["cached_sentences"] == 0
    assert second["metadata"]["cached_sentences"] == 1
    assert second["probabilities"][1] == first["probabilities"][0]


def test_scores_do_not_depend_on_neighbours_or_load(embedded: Server) -> None:
    texts = [*json.loads(EXAMPLES.read_bytes())["sentences"][:4], "It was the best of times."]
    alone = [predict(embedded, [text])["probabilities"][0] for text in texts]

    async def crowd() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=str(embedded.client.base_url), timeout=120) as client:
            return await asyncio.gather(*(client.post(PATH, json={"sentences": texts[::-1]}) for _ in range(4)))

    for response in asyncio.run(crowd()):
        assert response.json()["probabilities"][::-1] == alone


def test_a_short_request_does_not_wait_for_a_long_one(embedded: Server) -> None:
    """Not how fast, but in what order: the short one, sent later, is answered first."""
    long = json.loads(EXAMPLES.read_bytes())["sentences"]

    async def race() -> tuple[float, float]:
        async with httpx.AsyncClient(base_url=str(embedded.client.base_url), timeout=120) as client:

            async def post(sentences: list[str]) -> float:
                (await client.post(PATH, json={"sentences": sentences})).raise_for_status()
                return time.monotonic()

            slow = asyncio.create_task(post(long))
            await asyncio.sleep(0.2)
            quick = await post(["Who is first?"])
            return quick, await slow

    quick, slow = asyncio.run(race())
    assert quick < slow


def test_the_work_of_a_client_that_goes_away_is_dropped(embedded: Server) -> None:
    def value(name: str) -> float:
        lines = embedded.client.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(name + " ")).split()[1])

    before = value("wordtell_windows_total")
    with pytest.raises(httpx.ReadTimeout):
        embedded.client.post(PATH, content=EXAMPLES.read_bytes(), timeout=0.3)
    give_up = time.monotonic() + 60
    while value("wordtell_queue_tokens") or value("wordtell_lanes_busy"):
        assert time.monotonic() < give_up
    assert value("wordtell_windows_total") - before < 120


def test_serving_has_neither_torch_nor_transformers(server: Server) -> None:
    """The server of these tests runs where `make serve` runs; its process maps no library of theirs."""
    names = [
        file.path
        for child in psutil.Process(server.process.pid).children(recursive=True)
        for file in child.memory_maps()
    ]
    assert any("onnxruntime" in name for name in names)
    assert not [name for name in names if "/torch/" in name or "/transformers/" in name]


def test_the_serving_environment_cannot_import_them() -> None:
    code = "import importlib.util as u, service, sys; sys.exit(any(map(u.find_spec, ('torch', 'transformers'))))"
    done = subprocess.run([serving_python(), "-c", code], cwd=ROOT, env=environment({}), check=False)
    assert done.returncode == 0
