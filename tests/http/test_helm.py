"""What the chart's `helm test` pod runs, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bento.settings import ROOT
from tests.http.server import Server

PATH = "/api/v1/predict/sentences"


def score(url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = (ROOT / "deploy" / "chart" / "wordtell" / "files" / "score.py").read_text()
    return subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PATH": os.environ["PATH"], "URL": url, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("keys", [json.dumps(["unused-key"]), "one-lone-key", "12345678\n", ""])
def test_helms_test_pod_scores_a_text(server: Server, keys: str) -> None:
    done = score(f"{str(server.client.base_url).rstrip('/')}{PATH}", KEYS=keys)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("fake")


def test_helms_test_pod_fails_where_nobody_answers() -> None:
    done = score(f"http://127.0.0.1:1{PATH}")
    assert done.returncode == 1
    assert "refused" in done.stderr
