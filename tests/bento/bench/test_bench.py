"""`wordtell bench`: as a process with the embedded model; what it works out, by hand."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from bento.bench import measure, passage
from bento.bench.arithmetic import Arithmetic
from bento.bench.result import Limit, Machine, Request
from bento.cpu import Cores
from bento.native import LIBRARY, peak
from bento.settings import ROOT

EMBEDDED = ROOT / "models" / "wordtell-small"


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bento.cli", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_embedded_model_is_measured() -> None:
    done = bench("--seconds", "2", "--limit", "0.001", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["model"]["version"].startswith("wordtell-small-int8-")
    assert found["model"]["reason"]
    request, cores = found["request"], found["machine"]["cores"]["usable"]
    assert (request["texts"], request["words"]) == (120, 350)
    assert request["texts"] * request["words"] == pytest.approx(request["words_per_s"] * request["seconds"], rel=1e-3)
    assert request["words_per_s_per_core"] == pytest.approx(request["words_per_s"] / cores, rel=1e-3)
    assert request["least_s"] <= request["seconds"] <= request["most_s"]
    assert 0 < request["core_share"] < 1.1
    assert 0 < found["short_text"]["seconds"] < request["seconds"]
    memory = found["memory"]
    assert 0 < memory["loaded_mb"] <= memory["peak_mb"] < 500
    assert not found["limit"]["holds"]
    if LIBRARY.exists():
        assert 0 < found["share"]["share"] < 1
        assert found["share"]["type"] == "int8"


def test_people_get_a_line_for_each_thing() -> None:
    done = bench(str(EMBEDDED), "--seconds", "1", "--limit", "3600")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    names = [line[:20].strip() for line in lines]
    assert names[:3] == ["model", "processor", "engine"]
    assert lines[-1].startswith("within 3600 s       yes, ")
    assert "one such core would take" in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--limit", "nan"], "--limit must be a number of seconds above 0, like 20, not nan"),
        (["--limit=-3"], "--limit must be a number of seconds above 0, like 20, not -3"),
        (["--seconds", "0"], "--seconds must be a number of seconds above 0"),
        (["nowhere"], "nowhere: no such model folder"),
        ([str(EMBEDDED), "--like", "bert-base"], "DIR and --like are both given: leave one of them out"),
        (["--like", "bert-bse"], "--like: the dimensions of 'bert-bse' are not known"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], says: str) -> None:
    done = bench(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"wordtell: {says}")
    assert len(done.stderr.splitlines()) == 1


def test_without_the_converter_the_extra_is_named() -> None:
    hidden = "import sys; sys.modules['onnx_ir'] = None; sys.argv = ['wordtell', 'bench', '--like', 'bert-base'];"
    command = [sys.executable, "-c", f"{hidden} from bento.cli import main; main()"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "wordtell: the module onnx_ir is missing; run: pip install 'wordtell[like]'\n"


def request(seconds: float, windows: int = 120, tokenise_s: float = 0.1) -> Request:
    return Request(120, 350, 54_600, windows, seconds, seconds, seconds, 120, 1, tokenise_s, 1.0)


def machine(cores: int, lanes: int, device: str = "cpu") -> Machine:
    return Machine("a processor", Cores(cores, None, None, None), device, lanes)


def test_cores_that_a_limit_needs() -> None:
    # 60 rounds of 1 s on 2 lanes. Of 120 windows 6 lanes run 20 each, 5 lanes 24.
    found = measure._limit(request(60.0), machine(2, 2), None, 20.0)
    assert found == Limit(20.0, False, 6, 20.0, None)
    # A lane of 2 cores: 60 rounds of 1 s on 2 such lanes, so 6 lanes again.
    assert measure._limit(request(60.0), machine(4, 2), None, 20.0).cores == 12
    assert measure._limit(request(10.0), machine(2, 2), None, 20.0) == Limit(20.0, True, 1, 20.0, None)


def test_weights_that_the_cores_read() -> None:
    counted = Arithmetic(((1024, 1024),), (), 500_000_000)
    # Each of 6 cores reads half a gigabyte in a second.
    assert measure._limit(request(60.0), machine(2, 2), counted, 20.0).reads_gb_per_s == 3.0


def test_a_limit_that_no_number_of_cores_holds() -> None:
    assert measure._limit(request(600.0, windows=2), machine(2, 2), None, 20.0).cores is None
    assert measure._limit(request(60.0, tokenise_s=21), machine(2, 2), None, 20.0).cores is None
    assert measure._limit(request(60.0), machine(2, 1, "cuda:0"), None, 20.0) == Limit(20.0, False, None, None, None)


def test_the_texts_differ_and_have_their_words() -> None:
    made = passage.texts(measure.TEXTS, measure.WORDS)
    assert len(set(made)) == measure.TEXTS
    assert {len(text.split()) for text in made} == {measure.WORDS}


@pytest.mark.skipif(not LIBRARY.exists(), reason="the operators were not built")
def test_the_peak_is_of_the_instructions_that_there_are() -> None:
    found = peak.measure("fp32", 1, 0.01)
    assert found
    assert all(math.isfinite(value) and value > 0 for value in found.values())


def test_without_the_library_there_is_no_peak(tmp_path: Path) -> None:
    assert peak.measure("int8", 1, 0.01, tmp_path / "none.so") == {}
