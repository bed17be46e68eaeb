"""The container image as a cluster runs it: what it holds, what it needs, what it answers, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bento import __version__
from bento.settings import ROOT
from tests.http.server import Server
from tests.image.container import USER, Container, docker

pytestmark = pytest.mark.image

TEXTS = json.loads((ROOT / "examples" / "test_120_sentences.json").read_bytes())["sentences"]
FP32 = ROOT / "models" / "wordtell-small-fp32"
LIMIT_BYTES = 480_000_000  # without the model


@pytest.fixture(scope="module")
def baked(image: str) -> Iterator[Container]:
    """One CPU, no network, the embedded model."""
    with Container(image) as container:
        yield container


@pytest.fixture(scope="module")
def without_model(image: str) -> Iterator[str]:
    """The image that `make image MODEL=none` makes."""
    name = f"{image.partition(':')[0]}:without-model"
    make("MODEL=none", name)
    yield name
    docker("rmi", name)


def make(model: str, name: str) -> None:
    done = subprocess.run(
        ["make", "-o", ".venv/ready", "image", model, f"IMAGE={name}"],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKEOVERRIDES")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def local_scores(folder: Path, log: Path) -> list[list[float]]:
    """The same texts, scored outside any container."""
    with Server(log, {"WORDTELL_MODEL__CHECKPOINT_DIR": str(folder)}) as server:
        answer = server.client.post("/api/v1/predict/sentences", json={"sentences": TEXTS}).json()
    return list(answer["probabilities"])


def assert_same(found: list[list[float]], expected: list[list[float]]) -> None:
    assert [len(words) for words in found] == [len(words) for words in expected]
    assert np.abs(np.concatenate(found) - np.concatenate(expected)).max() <= 2e-3


def about(image: str) -> dict[str, Any]:
    return dict(json.loads(docker("image", "inspect", image))[0])


def test_it_is_small(image: str) -> None:
    model = sum(path.stat().st_size for path in (ROOT / "models" / "wordtell-small").iterdir())
    size = about(image)["Size"] - model
    print(f"{image}: {size / 1e6:.0f} MB without its model")
    assert size < LIMIT_BYTES


def test_it_says_what_it_is(image: str) -> None:
    config = about(image)["Config"]
    labels = {key.rpartition(".")[2]: value for key, value in config["Labels"].items()}
    assert (labels["title"], labels["licenses"], labels["version"]) == ("wordtell", "Apache-2.0", __version__)
    assert labels["revision"]
    created = datetime.fromisoformat(labels["created"].replace("Z", "+00:00"))
    assert created <= datetime.now(timezone.utc)
    assert config["Labels"]["org.opencontainers.image.base.name"].startswith("python:3.")
    assert config["User"] == "1034:1034"
    assert "3000/tcp" in config["ExposedPorts"]


def test_it_lists_what_it_is_made_of(baked: Container) -> None:
    """Every distribution that its Python finds, and no other, at its version."""
    listed = json.loads(baked.run("cat", "/app/sbom.cdx.json"))
    assert listed["bomFormat"] == "CycloneDX"
    found = {(part["name"], part["version"]) for part in listed["components"]}
    names = "print(json.dumps([[d.metadata['Name'], d.version] for d in importlib.metadata.distributions()]))"
    installed = {
        tuple(one) for one in json.loads(baked.run("python", "-c", f"import importlib.metadata, json; {names}"))
    }
    assert len(installed) > 50
    assert found == installed


def test_its_operators_are_those_that_ship(baked: Container) -> None:
    """For both processors: not what the compiler of the building machine made."""
    held = baked.run("sh", "-c", "ls bento/native/*.so").split()
    assert held == ["bento/native/libwordtell.aarch64.so", "bento/native/libwordtell.x86_64.so"]
    assert "there is no" not in baked.log()  # no library


def test_it_holds_no_torch_no_compiler_no_installer(baked: Container) -> None:
    tools = "for tool in cc gcc g++ c++ ld make git uv curl; do command -v $tool; done; true"
    assert baked.run("sh", "-c", tools) == ""
    modules = "print([name for name in ('torch', 'transformers', 'onnx', 'pytest', 'convert') if find_spec(name)])"
    assert baked.run("python", "-c", f"from importlib.util import find_spec; {modules}").strip() == "[]"


def test_the_120_examples_score_as_they_do_outside(baked: Container, tmp_path: Path) -> None:
    answer = baked.score(TEXTS)
    assert answer["metadata"]["model_version"].startswith("wordtell-small-int8-")
    assert_same(answer["probabilities"], local_scores(ROOT / "models" / "wordtell-small", tmp_path / "log"))


def test_lanes_follow_the_cpu_limit(baked: Container) -> None:
    assert "lanes: 1 x 1 threads, from Cores(" in baked.log()
    assert "quota=1.0" in baked.log()
    assert b"\nwordtell_lanes 1.0\n" in baked.ask("/metrics")[1]


def test_it_runs_as_whoever_it_is_told_and_writes_to_tmp_only(baked: Container) -> None:
    assert baked.run("sh", "-c", "echo $(id -u):$(id -g)").strip() == USER
    assert "PermissionError" not in baked.log()
    assert "Read-only" not in baked.log()


def test_its_health_check_passes_while_it_serves(image: str, baked: Container) -> None:
    test = about(image)["Config"]["Healthcheck"]["Test"]
    assert test[0] == "CMD"
    assert baked.run(*test[1:]) == ""


def test_the_command_is_there(baked: Container) -> None:
    assert baked.run("wordtell", "--version").strip() == __version__
    assert "model.checkpoint_dir = " in baked.run("wordtell", "config")


def test_the_machine_is_measured(baked: Container) -> None:
    found = json.loads(baked.run("wordtell", "bench", "--seconds", "2", "--json"))
    assert found["machine"]["cores"]["usable"] == 1
    assert found["model"]["engine"] == "onnxruntime+wordtell"
    assert found["share"]["type"] == "int8"
    assert found["request"]["seconds"] > 0


def test_a_mounted_model_is_found_and_omp_num_threads_is_heeded(image: str, tmp_path: Path) -> None:
    with Container(image, "--env", "OMP_NUM_THREADS=1", cpus="2", mount=FP32) as container:
        answer = container.score(TEXTS)
        assert answer["metadata"]["model_version"].startswith("wordtell-small-fp32-")
        assert "model.checkpoint_dir = /mnt/models  (mounted at /mnt/models)" in container.run("wordtell", "config")
        assert "lanes: 1 x 1 threads" in container.log()
        assert "omp_num_threads=1" in container.log()
    assert_same(answer["probabilities"], local_scores(FP32, tmp_path / "log"))


def test_an_image_without_a_model_serves_a_mounted_one(without_model: str) -> None:
    with Container(without_model, mount=FP32) as container:
        assert container.score(["Who wrote this?"])["metadata"]["model_version"].startswith("wordtell-small-fp32-")


def test_an_image_without_a_model_says_so(without_model: str) -> None:
    printed = docker("run", "--rm", "--read-only", "--tmpfs", "/tmp", without_model, check=False)  # noqa: S108
    (line,) = (line for line in printed.splitlines() if line.startswith("wordtell: "))
    assert "no such model folder; set model.checkpoint_dir, mount one at /mnt/models" in line
    assert "Traceback" not in printed


def test_a_mounted_model_that_cannot_be_read_is_an_error(image: str, tmp_path: Path) -> None:
    """Not a reason to serve the baked one in silence."""
    tmp_path.chmod(0o700)
    volume = ("--volume", f"{tmp_path}:/mnt/models:ro")
    printed = docker("run", "--rm", "--read-only", "--tmpfs", "/tmp", *volume, image, check=False)  # noqa: S108
    assert "wordtell: /mnt/models/manifest.json: cannot be read (Permission denied); check its permissions" in printed


def test_another_model_can_be_baked_in_and_a_mounted_one_still_goes_before_it(image: str) -> None:
    name = f"{image.partition(':')[0]}:other-model"
    make(f"MODEL={FP32}", name)
    try:
        with Container(name) as container:
            assert "model.checkpoint_dir = /home/bentoml/bento/src/models/wordtell-small-fp32" in container.run(
                "wordtell", "config"
            )
            assert container.score(["a"])["metadata"]["precision"] == "fp32"
        with Container(name, mount=ROOT / "models" / "wordtell-small") as container:
            assert container.score(["a"])["metadata"]["precision"] == "int8"
    finally:
        docker("rmi", name)


def test_sigterm_during_a_request(image: str) -> None:
    """The answer arrives, and the exit code is 0, within the grace time."""
    publish = ("--publish", "127.0.0.1::3000", "--env", "WORDTELL_API__SHUTDOWN_S=30")
    with Container(image, *publish, network="bridge") as container, ThreadPoolExecutor() as pool:
        port = container.inspect()["NetworkSettings"]["Ports"]["3000/tcp"][0]["HostPort"]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            sent = pool.submit(client.post, "/api/v1/predict/sentences", json={"sentences": TEXTS})
            while b"\nwordtell_lanes_busy 1.0\n" not in httpx.get(f"{client.base_url}/metrics").content:
                assert not sent.done()
            stopped = time.monotonic()
            docker("kill", "--signal", "TERM", container.name)
            assert not sent.done()
            assert docker("wait", container.name).strip() == "0"
            assert time.monotonic() - stopped < 30
            answer = sent.result()
        assert answer.status_code == 200
        assert len(answer.json()["probabilities"]) == len(TEXTS)
