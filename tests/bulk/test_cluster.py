"""Ray: nothing lost and nothing twice when a worker ends, and a cluster that is too small says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bento.settings import ROOT, CpuSettings, variable
from bulk.errors import ClusterError
from tests.bulk import files

cluster = pytest.importorskip("bulk.cluster")


@pytest.mark.parametrize(
    ("nodes", "workers", "expected"),
    [
        ([2, 2], None, (2, 1)),
        ([13, 13, 13], None, (3, 12)),
        ([13, 5], None, (4, 4)),
        ([4], None, (1, 3)),
        ([1, 1, 1], None, (2, 1)),
        ([8, 8], 1, (1, 7)),
    ],
)
def test_a_cpu_is_left_to_readers(nodes: list[int], workers: int | None, expected: tuple[int, int]) -> None:
    found = cluster.sizes(nodes, CpuSettings(), workers)
    assert (found.workers, found.cpus) == expected
    assert found.workers * found.cpus < sum(nodes)


def test_the_settings_say_how_large_a_scorer_is() -> None:
    found = cluster.sizes([16, 16], CpuSettings(lanes=3, threads_per_lane=1))
    assert (found.workers, found.cpus) == (10, 3)


@pytest.mark.parametrize(("nodes", "workers"), [([1], None), ([], None), ([2, 2], 3), ([1, 1], 2)])
def test_a_cluster_that_is_too_small(nodes: list[int], workers: int | None) -> None:
    with pytest.raises(ClusterError, match=r"CPUs.*add (a node|nodes)"):
        cluster.sizes(nodes, CpuSettings(), workers)


def test_a_scorer_that_fits_no_node() -> None:
    with pytest.raises(ClusterError, match=r"lower --workers or cpu.lanes, or add nodes"):
        cluster.sizes([2, 2], CpuSettings(lanes=4))


@pytest.mark.slow
@pytest.mark.parametrize("kill", ["kill", "let"])
def test_nothing_is_lost_and_nothing_twice(model: Path, tmp_path: Path, kill: str) -> None:
    given, source, out = [], tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(6):
        made = files.rows(1_500, seed=number)
        made[number]["text"] = None
        given += [(f"{source}/{number}.jsonl:{index}", row["text"]) for index, row in enumerate(made)]
        files.write(source / f"{number}.jsonl", made)
    command = [sys.executable, "-m", "tests.bulk.cluster_run", str(source), str(out), kill]
    environment = os.environ | {variable("model.checkpoint_dir"): str(model), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith('{"outcomes"')))
    assert said == {"outcomes": [[9_000, 6]] * 2, "killed": kill == "kill"}
    found = [json.loads(line) for part in out.glob("*.jsonl") for line in part.read_text().splitlines()]
    by_key = {row["key"]: row for row in found}
    assert len(found) == len(by_key) == len(given)
    for key, text in given:
        row = by_key[key]
        assert len(row["scores"] or ()) == len((text or "").split())
        assert (row["error"] is None) == (text is not None)
    scores = by_key[given[100][0]]["scores"]
    np.testing.assert_allclose(scores, np.clip(scores, 0, 1))
