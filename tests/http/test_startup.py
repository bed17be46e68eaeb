"""A server that cannot serve says so in one line; one that stops finishes what it has begun."""

from __future__ import annotations

import shutil
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from bento.artifact import MODEL, ModelFolder
from tests import fakes
from tests.http.server import Server, long_texts, run_to_failure

PATH = "/api/v1/predict/sentences"


def complaint(output: str) -> str:
    """The one line that the server says for itself; BentoML's own lines of start-up are not complaints."""
    assert "Traceback" not in output, output
    (line,) = [line for line in output.splitlines() if not ("[INFO]" in line and "[cli]" in line)]
    assert line.startswith("wordtell: ")
    return line


def test_a_missing_model_folder(tmp_path: Path) -> None:
    code, output = run_to_failure({"WORDTELL_MODEL__CHECKPOINT_DIR": str(tmp_path / "none")}, tmp_path)
    assert code != 0
    assert "none: no such model folder; set model.checkpoint_dir" in complaint(output)


def test_a_corrupt_model(tmp_path: Path, fake_folder: ModelFolder) -> None:
    folder = shutil.copytree(fake_folder.path, tmp_path / "model")
    raw = bytearray((folder / MODEL).read_bytes())
    raw[100] ^= 255
    (folder / MODEL).write_bytes(raw)
    code, output = run_to_failure({"WORDTELL_MODEL__CHECKPOINT_DIR": str(folder)}, tmp_path)
    assert code != 0
    assert "model.onnx: its SHA-256 is not the manifest's" in complaint(output)


def test_a_model_that_was_corrupt_when_its_manifest_was_made(tmp_path: Path) -> None:
    fakes.write_folder(tmp_path / "model")
    (tmp_path / "model" / MODEL).write_bytes(b"no graph")
    fakes.write_manifest(tmp_path / "model")
    settings = {"WORDTELL_MODEL__CHECKPOINT_DIR": str(tmp_path / "model"), "WORDTELL_MODEL__WINDOW_OVERLAP": "16"}
    code, output = run_to_failure(settings, tmp_path)
    assert code != 0
    assert "model.onnx: ONNX Runtime cannot load it" in complaint(output)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"WORDTELL_API__MAX_WORD": "3"}, "WORDTELL_API__MAX_WORD; did you mean 'WORDTELL_API__MAX_WORDS'?"),
        ({"WORDTELL_API__MAX_WORDS": "some"}, "api.max_words"),
        ({"WORDTELL_API_MAX_WORDS": "3"}, "'WORDTELL_API__MAX_WORDS'? Two underscores stand between section and key."),
        ({"WORDTELL_API__KEYS": "s3cr3t"}, "WORDTELL_API__KEYS: api.keys[0]: has 6 characters: at least 8 are needed"),
        ({"WORDTELL_API__BASE_PATH": "a\x1b[31m\nb/"}, r"not 'a\x1b[31m\nb/'"),
        ({"WORDTELL_CONFIG": "/none.yaml"}, "there is no file"),
        ({"OMP_NUM_THREADS": "0"}, "OMP_NUM_THREADS must be a whole number"),
    ],
)
def test_a_wrong_setting(tmp_path: Path, settings: dict[str, str], says: str) -> None:
    code, output = run_to_failure(settings, tmp_path)
    assert code != 0
    assert says in complaint(output)
    assert "s3cr3t" not in output


def test_an_unknown_key_in_the_file(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("api:\n  max_batch_token: 3\n")
    code, output = run_to_failure({"WORDTELL_CONFIG": str(config)}, tmp_path)
    assert code != 0
    assert "unknown key 'api.max_batch_token'; did you mean 'api.max_batch_tokens'?" in complaint(output)


@pytest.mark.parametrize(("options", "host"), [(["--host", "127.0.0.1"], "127.0.0.1"), ([], "0.0.0.0")])  # noqa: S104
@pytest.mark.parametrize("port", [0, 3000])
def test_a_port_that_is_taken(
    tmp_path: Path, fake_folder: ModelFolder, options: list[str], host: str, port: int
) -> None:
    """Given, or the usual one."""
    settings = {"WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path), "WORDTELL_MODEL__WINDOW_OVERLAP": "16"}
    with socket.socket() as other:
        with suppress(OSError):  # whoever has the usual port already will do as well
            other.bind(("127.0.0.1", port))
            other.listen()
        taken = port or other.getsockname()[1]
        given = [] if taken == 3000 else ["--port", str(taken)]
        code, output = run_to_failure(settings, tmp_path, [*options, *given])
    assert code != 0
    assert f"cannot listen on {host}:{taken}" in complaint(output)


def test_sigterm_finishes_what_was_admitted_and_exits_with_0(tmp_path: Path) -> None:
    answers: list[httpx.Response] = []
    with Server(tmp_path / "log", {}) as server:

        def post() -> None:
            answers.append(server.client.post(PATH, json={"sentences": long_texts(60, "last")}))

        thread = threading.Thread(target=post)
        thread.start()
        while "wordtell_lanes_busy 0.0" in httpx.get(f"http://127.0.0.1:{server.port}/metrics").text:
            pass
        server.process.send_signal(signal.SIGTERM)
        thread.join(60)
        assert server.process.wait(30) == 0
    assert [answer.status_code for answer in answers] == [200]


def test_a_kept_connection_is_answered_once_more_after_sigterm(tmp_path: Path) -> None:
    """Its client may have sent a request in the moment in which the server was told to end."""
    with Server(tmp_path / "log", {}) as server:
        first = server.client.post(PATH, json={"sentences": ["One text."]})
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        last = server.client.post(PATH, json={"sentences": ["Another text."]})
        assert (first.status_code, last.status_code) == (200, 200)
        assert last.headers["connection"] == "close"
    assert server.process.returncode == 0
