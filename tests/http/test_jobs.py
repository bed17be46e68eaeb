"""/api/v1/jobs: the contract, as a client sees it. What happens when something breaks is in tests/jobs."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from bento.artifact import ModelFolder
from tests.http.server import Server

URL = "/api/v1/jobs"
GOOD = '{"id": "a", "text": "two words"}\n{"id": 7, "text": "one"}\n'


def ended(client: httpx.Client, location: str) -> dict[str, object]:
    give_up = time.monotonic() + 30
    while True:
        found = client.get(location).raise_for_status().json()
        if found["state"] in ("done", "failed"):
            return dict(found)
        assert time.monotonic() < give_up, found
        time.sleep(0.05)


def test_a_job_from_its_post_to_its_delete(server: Server) -> None:
    made = server.client.post(URL, content=GOOD, headers={"Content-Type": "application/x-ndjson"})
    assert made.status_code == 202
    job = made.json()
    assert made.headers["Location"] == f"{URL}/{job['id']}"
    assert (job["state"], job["texts"], job["texts_done"], job["reason"]) == ("queued", 2, 0, None)
    done = ended(server.client, made.headers["Location"])
    assert (done["state"], done["texts_done"], done["texts_failed"]) == ("done", 2, 0)
    assert done["model_versions"] == [server.client.get("/api/v1/health").json()["model_version"]]
    answer = server.client.get(f"{made.headers['Location']}/results")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    scores = server.client.post("/api/v1/predict/sentences", json={"sentences": ["two words", "one"]}).json()
    assert [json.loads(line) for line in answer.text.splitlines()] == [
        {"id": name, "probabilities": words} for name, words in zip(("a", 7), scores["probabilities"], strict=True)
    ]
    assert job["id"] in [one["id"] for one in server.client.get(URL).json()["jobs"]]
    assert server.client.delete(made.headers["Location"]).json()["state"] == "done"
    for gone in (server.client.get(made.headers["Location"]), server.client.delete(made.headers["Location"])):
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")
    assert server.client.get(f"{made.headers['Location']}/results").status_code == 404


def test_a_text_at_fault_is_an_error_in_its_line(server: Server) -> None:
    lines = ["a", " ", "word " * 400, "a" * 20_001, "\ud800", "b"]
    body = "".join(json.dumps({"id": str(index), "text": text}) + "\n" for index, text in enumerate(lines))
    location = server.client.post(URL, content=body).headers["Location"]
    state = ended(server.client, location)
    assert (state["state"], state["texts_done"], state["texts_failed"]) == ("done", 6, 4)
    found = [json.loads(line) for line in server.client.get(f"{location}/results").text.splitlines()]
    assert [line["id"] for line in found] == list("012345")
    assert [line.get("error", {}).get("code") for line in found] == [
        None,
        "invalid_request",
        "too_many_words",
        "text_too_long",
        "invalid_request",
        None,
    ]
    assert found[2]["error"]["message"] == "text has 400 words; the limit is 350"


def test_a_text_of_too_many_tokens_fails_alone(server: Server) -> None:
    """Only the tokenizer knows: the texts beside it are scored all the same."""
    lines = [("a", "x y"), ("long", "x" * 19_000), ("b", "y")]
    body = "".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in lines)
    location = server.client.post(URL, content=body).headers["Location"]
    assert ended(server.client, location)["texts_failed"] == 1
    found = [json.loads(line) for line in server.client.get(f"{location}/results").text.splitlines()]
    assert [line["id"] for line in found if "probabilities" in line] == ["a", "b"]
    assert found[1]["error"]["code"] == "text_too_long"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", 'the body has no line: send {"id": "...", "text": "..."}, one a line'),
        ("\n \n", 'the body has no line: send {"id": "...", "text": "..."}, one a line'),
        (GOOD + "{x", "line 3 is not JSON"),
        (GOOD + "\n[1]", "line 4 is no object"),
        ('{"id": 1}', "line 1 has no text"),
        ('{"text": "a"}', "line 1 has no id"),
        ('{"id": 1, "text": 2}', "line 1 has a text that is no JSON string"),
        ('{"id": null, "text": "a"}', "line 1 has an id that is neither a text nor a whole number"),
        ('{"id": 1, "text": "a", "more": 1}', "line 1 has an unknown field 'more'"),
        (f'{{"id": "{"i" * 257}", "text": "a"}}', "line 1 has an id of more than 256 characters"),
        (b'{"id": 1, "text": "\xff"}', "line 1 is not UTF-8"),
        ("[" * 100_000, "line 1 holds more than an id and a text"),
        ('{"id": 1, "text": [' + "1," * 1000, "line 1 holds more than an id and a text"),
        (f'{{"id": 1, "text": "{"x" * (1 << 20)}"}}', "line 1 is over the limit of 1048576 bytes"),
        (f'{{"id": {"1" * 5000}, "text": "a"}}', "line 1 is not JSON"),
    ],
)
def test_a_line_that_is_none_refuses_the_body_and_leaves_nothing(
    server: Server, body: str | bytes, message: str
) -> None:
    before = server.client.get(URL).json()
    answer = server.client.post(URL, content=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith(message)
    assert server.client.get(URL).json() == before


def test_lines_may_end_with_crlf_begin_with_a_mark_and_be_compressed(server: Server) -> None:
    body = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode() + b"\n\n"
    made = server.client.post(URL, content=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert made.status_code == 202, made.text
    assert made.json()["texts"] == 2
    assert server.client.post(URL, content=GOOD, headers={"Content-Encoding": "br"}).status_code == 415


def test_the_results_are_in_the_order_given(server: Server) -> None:
    """From any of them on, too: that is how a client goes on after a break."""
    body = "".join(f'{{"id": {index}, "text": "text {"a" * (index % 90)}"}}\n' for index in range(2000))
    location = server.client.post(URL, content=body).headers["Location"]
    assert ended(server.client, location)["state"] == "done"
    every = server.client.get(f"{location}/results").text.splitlines()
    assert [json.loads(line)["id"] for line in every] == list(range(2000))
    for start in (1, 511, 512, 513, 1999, 2000, 10**6):
        assert server.client.get(f"{location}/results", params={"start": start}).text.splitlines() == every[start:]
    assert server.client.get(f"{location}/results", params={"start": "x"}).status_code == 422
    assert server.client.head(f"{location}/results").status_code == 200


def test_the_same_idempotency_key_with_another_body_is_refused(server: Server) -> None:
    first = server.client.post(URL, content=GOOD, headers={"Idempotency-Key": "mine"})
    again = server.client.post(URL, content=GOOD, headers={"Idempotency-Key": "mine"})
    assert again.status_code == 202
    assert again.headers["Location"] == first.headers["Location"]
    other = server.client.post(URL, content=GOOD * 2, headers={"Idempotency-Key": "mine"})
    assert (other.status_code, other.json()["error"]["field"]) == (409, "Idempotency-Key")
    assert server.client.post(URL, content=GOOD, headers={"Idempotency-Key": "x" * 256}).status_code == 422


@pytest.fixture(scope="module")
def strict(fake_folder: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two keys, small limits, and a base path."""
    folder = tmp_path_factory.mktemp("strict")
    settings = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_API__KEYS": "[key-of-one, key-of-two]",
        "WORDTELL_API__BASE_PATH": "/wordtell",
        "WORDTELL_JOBS__FOLDER": str(folder / "jobs"),
        "WORDTELL_JOBS__MAX_JOBS": "2",
        "WORDTELL_JOBS__MAX_TEXTS": "3",
        "WORDTELL_JOBS__MAX_BODY_BYTES": "2048",
    }
    with Server(folder / "log", settings) as server:
        yield server


ONE, TWO = ({"Authorization": f"Bearer key-of-{name}"} for name in ("one", "two"))


def test_a_job_is_shown_to_its_own_key_alone(strict: Server) -> None:
    made = strict.client.post(URL, content=GOOD, headers=ONE)
    location = made.headers["Location"]
    assert location.startswith("/wordtell/api/v1/jobs/")
    for method, path in (("GET", location), ("GET", f"{location}/results"), ("DELETE", location)):
        assert strict.client.request(method, path, headers=TWO).status_code == 404
        assert strict.client.request(method, path).status_code == 401
    assert strict.client.get(URL, headers=TWO).json() == {"jobs": []}
    assert strict.client.post(URL, content=GOOD).status_code == 401
    with httpx.Client(base_url=strict.client.base_url, headers=ONE) as client:
        ended(client, location)
    assert strict.client.delete(location, headers=ONE).status_code == 200


def test_limits_of_a_job_are_told(strict: Server) -> None:
    line = '{"id": 1, "text": "a"}\n'
    texts = strict.client.post(URL, content=line * 4, headers=ONE)
    assert (texts.status_code, texts.json()["error"]["code"]) == (400, "too_many_sentences")
    big = strict.client.post(URL, content=line * 200, headers=ONE)
    assert (big.status_code, big.json()["error"]["code"]) == (413, "body_too_large")
    unknown_length = strict.client.post(URL, content=iter([line.encode()] * 200), headers=ONE)
    assert unknown_length.status_code == 413
    made = [strict.client.post(URL, content=line, headers=ONE) for _ in range(3)]
    assert [answer.status_code for answer in made] == [202, 202, 429]
    assert made[2].json()["error"]["code"] == "quota_exceeded"
    assert "delete a job" in made[2].json()["error"]["message"]
    assert strict.client.post(URL, content=line, headers=TWO).status_code == 202


def test_a_server_without_jobs_says_so(embedded: Server) -> None:
    assert embedded.client.get("/api/v1/health").json()["jobs"] == "off"
    answer = embedded.client.post(URL, content=GOOD)
    assert answer.status_code == 404
    assert "jobs.folder" in answer.json()["error"]["message"]


def test_the_memory_of_a_server_does_not_grow_with_a_job(fake_folder: ModelFolder, tmp_path: Path) -> None:
    """A body of 48 MB, received, scored and given back, takes less than half of its size."""
    settings = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_JOBS__FOLDER": str(tmp_path / "jobs"),
        "WORDTELL_API__CACHE_MB": "0",
    }
    line = b'{"id": %d, "text": "' + b" " * 20_000 + b'"}\n'  # blank: nothing is scored, all is kept and told
    with Server(tmp_path / "log", settings) as server:
        location = server.client.post(URL, content=GOOD).headers["Location"]
        ended(server.client, location)
        before = resident(server)
        made = server.client.post(URL, content=(line % number for number in range(2400)))
        assert made.status_code == 202
        ended(server.client, made.headers["Location"])
        with server.client.stream("GET", f"{made.headers['Location']}/results") as answer:
            assert sum(piece.count(b"\n") for piece in answer.iter_bytes()) == 2400
        assert resident(server) - before < 24 << 20


def resident(server: Server) -> int:
    process = psutil.Process(server.process.pid)
    return sum(int(one.memory_info().rss) for one in (process, *process.children(recursive=True)))
