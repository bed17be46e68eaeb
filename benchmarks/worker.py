"""One engine in a process of its own: loads it, says so, and times texts when told.

Lines of JSON. In: {"lengths": [tokens of each text, ...]}. Out, first: {"ready": true, "versions": {...}} or
{"failed": reason}; then for each line in: {"seconds": ..., "cpu_s": ..., "peak_mb": ...}. Runs in the environment of
its engine, so that nothing but numpy and the standard library is imported before that engine's own packages.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

Texts = Sequence[NDArray[np.int64]]
Engine = Callable[[Texts], object]


@dataclass(frozen=True)
class Order:
    """What to load: a file or folder; texts padded together; threads or streams."""

    engine: str
    model: str
    batch: int
    cores: int
    vocabulary: int


def main() -> None:
    """Load, report it, and answer each line."""
    order = Order(**json.loads(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library's output must not be taken for an answer
    try:
        engine, packages = ENGINES[order.engine](order)
    except Exception as error:  # an engine that is not available is a result too
        _say(answers, {"failed": f"{type(error).__name__}: {str(error).strip()[:500]}"})
        return
    _say(answers, {"ready": True, "versions": {name: importlib.metadata.version(name) for name in packages}})
    for line in sys.stdin:
        random = np.random.default_rng(0)
        texts = [random.integers(5, order.vocabulary, length) for length in json.loads(line)["lengths"]]
        try:
            start, cpu = time.perf_counter(), time.process_time()
            engine(texts)
            seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
        except Exception as error:
            _say(answers, {"failed": f"{type(error).__name__}: {str(error).strip()[:500]}"})
            continue
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3  # KiB on Linux
        _say(answers, {"seconds": seconds, "cpu_s": cpu_s, "peak_mb": round(peak * 1.024)})


def _say(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _padded(texts: Texts, batch: int) -> list[dict[str, NDArray[np.int64]]]:
    """Feeds of `batch` texts each, in the order given, padded to the longest of them."""
    feeds = []
    for start in range(0, len(texts), batch):
        part = texts[start : start + batch]
        ids = np.zeros((len(part), max(map(len, part))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(part):
            ids[row, : len(text)], mask[row, : len(text)] = text, 1
        feeds.append({"input_ids": ids, "attention_mask": mask})
    return feeds


def _torch(order: Order) -> tuple[Engine, list[str]]:
    import torch
    import transformers

    torch.set_num_threads(order.cores)
    # With the attention that transformers chooses: torch's SDPA, but for DeBERTa, whose bias has no place in it.
    model: Any = transformers.AutoModelForTokenClassification.from_pretrained(order.model).eval()
    if order.engine == "torch.compile":
        model = torch.compile(model, dynamic=True)

    def run(texts: Texts) -> None:
        with torch.inference_mode():
            for feed in _padded(texts, order.batch):
                model(**{name: torch.from_numpy(array) for name, array in feed.items()}).logits.numpy()

    if order.engine == "torch.compile":  # here, so that a compiler that is missing is a failure to load
        for length in (17, 33):
            run([np.full(length, 7)] * order.batch)
    return run, ["torch", "transformers"]


def _onnxruntime(order: Order) -> tuple[Engine, list[str]]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = order.cores
    options.add_session_config_entry("session.force_spinning_stop", "1")  # between runs; within one they may spin
    options.log_severity_level = 3
    session = ort.InferenceSession(order.model, options, providers=["CPUExecutionProvider"])
    return lambda texts: [session.run(None, feed) for feed in _padded(texts, order.batch)], ["onnxruntime"]


def _onnxruntime_lanes(order: Order) -> tuple[Engine, list[str]]:
    """A session of one thread, called by as many threads as there are cores, a text at a time, without padding."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(order.model, options, providers=["CPUExecutionProvider"])
    pool = ThreadPoolExecutor(order.cores)
    return lambda texts: list(pool.map(lambda feed: session.run(None, feed), _padded(texts, 1))), ["onnxruntime"]


def _openvino(order: Order) -> tuple[Engine, list[str]]:
    import openvino

    streams = order.cores if order.engine == "openvino streams" else 1
    settings: dict[str, int | str] = {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": order.cores}
    if "openvino-int8" not in order.model:  # FP32 is to be FP32; else its own choice, which may be bfloat16
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = openvino.Core().compile_model(order.model, "CPU", settings)
    queue = openvino.AsyncInferQueue(compiled, streams)

    def run(texts: Texts) -> None:
        for feed in _padded(texts, order.batch):
            queue.start_async(feed)
        queue.wait_all()

    return run, ["openvino"]


def _wordtell(order: Order) -> tuple[Engine, list[str]]:
    """As it serves: its scheduler, one lane a core, the portable graph or the fused one."""
    from bento import artifact
    from bento.cpu import Plan
    from bento.engines.fused import FusedRunner
    from bento.engines.onnx import OnnxRunner
    from bento.scheduling.lanes import Scheduler
    from bento.settings import ApiSettings

    folder, plan = artifact.load(Path(order.model)), Plan(order.cores, 1)
    if order.engine == "wordtell portable":
        runner: Any = OnnxRunner(folder, plan.threads_per_lane, plan.lanes)
    elif folder.fused is None:
        raise SystemExit("the folder has no fused graph")
    else:
        runner = FusedRunner(folder.fused, plan)
    return _scheduled(Scheduler(runner, ApiSettings(), folder.manifest.max_tokens)), ["onnxruntime"]


def _wordtell_torch(order: Order) -> tuple[Engine, list[str]]:
    """The same checkpoint that plain transformers runs, unconverted, as wordtell serves it."""
    from bento.cpu import Plan
    from bento.engines.pytorch import load
    from bento.scheduling.lanes import Scheduler
    from bento.settings import ModelSettings, Settings

    model = ModelSettings(compile=order.engine.endswith("compiled"), device="cpu", max_tokens=512)
    settings = Settings(model=model)
    folder, runner, _ = load(Path(order.model), settings, Plan(1, order.cores))
    for windows, tokens in runner.abilities.shapes:
        runner.run([np.full(tokens, 7)] * windows)
    return _scheduled(Scheduler(runner, settings.api, folder.manifest.max_tokens)), ["torch", "transformers"]


def _scheduled(scheduler: Any) -> Engine:
    def run(texts: Texts) -> None:
        for future in scheduler.submit([[ids] for ids in texts]):
            future.result()

    return run


ENGINES: dict[str, Callable[[Order], tuple[Engine, list[str]]]] = {
    "torch eager": _torch,
    "torch.compile": _torch,
    "wordtell torch": _wordtell_torch,
    "wordtell torch compiled": _wordtell_torch,
    "onnxruntime": _onnxruntime,
    "onnxruntime lanes": _onnxruntime_lanes,
    "openvino": _openvino,
    "openvino streams": _openvino,
    "wordtell portable": _wordtell,
    "wordtell fused": _wordtell,
}

if __name__ == "__main__":
    main()
