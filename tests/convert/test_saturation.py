"""INT8 is the same on processors without VNNI, seen on an emulated one."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from bento import artifact
from bento.engines import onnx as runners
from bento.engines.saturation import PRODUCT, remedied, saturates
from bento.settings import ROOT

QEMU = shutil.which("qemu-x86_64")
EMBEDDED = ROOT / "models" / "wordtell-small"
IDS = [np.arange(5, 5 + length) for length in (3, 40)]
SCRIPT = """
import json, sys
from bento import artifact
from bento.engines import onnx
from tests.convert.test_saturation import EMBEDDED, IDS
from pathlib import Path
found = {"saturates": onnx.saturates()}
for remedy in (True, False):
    onnx.saturates = lambda: remedy
    runner = onnx.OnnxRunner(artifact.load(EMBEDDED), threads=1)
    found[str(remedy)] = [runner.run([ids])[0].tolist() for ids in IDS]
print(json.dumps(found))
"""


def flags() -> set[str]:
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def test_the_probe_is_a_sound_product_of_u8_and_s8() -> None:
    model = onnx.load_from_string(PRODUCT)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["MatMulInteger"]
    types = [value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)]
    assert types == [TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have no such names for what they can do")
def test_a_processor_with_vnni_does_not_saturate_and_is_not_slowed(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = bool(flags() & {"avx512_vnni", "avx_vnni"})
    assert saturates() is not exact
    set_entries = []
    add = ort.SessionOptions.add_session_config_entry

    def noted(options: ort.SessionOptions, name: str, value: str) -> None:
        set_entries.append(name)
        add(options, name, value)

    monkeypatch.setattr(ort.SessionOptions, "add_session_config_entry", noted)
    runners.OnnxRunner(artifact.load(EMBEDDED), threads=1)
    assert ("session.x64quantprecision" in set_entries) is (not exact and remedied())


@pytest.mark.parametrize(("version", "able"), [("1.23.2", False), ("1.29.0", False), ("1.30.0", True), ("2.0.1", True)])
def test_a_runtime_that_cannot_prevent_saturation_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, version: str, able: bool
) -> None:
    monkeypatch.setattr(ort, "__version__", version)
    monkeypatch.setattr(runners, "saturates", lambda: True)
    options = ort.SessionOptions()
    monkeypatch.setattr(ort, "SessionOptions", lambda: options)
    runners.OnnxRunner(artifact.load(EMBEDDED), threads=1)
    told = f"INT8 products saturate on this processor, and onnxruntime {version} cannot prevent it" in caplog.text
    assert told is not able
    assert _is_set(options, "session.x64quantprecision") is able


def _is_set(options: ort.SessionOptions, name: str) -> bool:
    try:
        return bool(options.get_session_config_entry(name))
    except RuntimeError:  # ONNX Runtime has no other way to say that it is not
        return False


@pytest.mark.skipif(QEMU is None, reason="no qemu-x86_64 (Debian: apt-get install qemu-user)")
def test_without_vnni_the_embedded_model_answers_the_same() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PYTHONWARNINGS": "ignore"}
    # Haswell has AVX2 and no VNNI. The interpreter itself: the emulator does not follow the link of an environment.
    command = [str(QEMU), "-cpu", "Haswell", str(Path(sys.executable).resolve()), "-c", SCRIPT]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    emulated = json.loads(done.stdout)
    assert emulated["saturates"]
    here = runners.OnnxRunner(artifact.load(EMBEDDED), threads=1)
    for ids, mended, plain in zip(IDS, emulated["True"], emulated["False"], strict=True):
        expected = here.run([ids])[0]
        if remedied():
            np.testing.assert_allclose(mended, expected, rtol=0, atol=1e-5)
        assert np.abs(np.array(plain) - expected).max() > 1e-4  # what the remedy is for
