"""What benchmarks/real_weights.py found, for the documents."""

from __future__ import annotations

from pathlib import Path

from benchmarks import markdown

_NAMES = {
    "wordtell fused": "wordtell, as served",
    "wordtell portable": "wordtell, standard operators",
}


def table(results: Path) -> str:
    """How far each INT8 is from FP32, and what the conversion had said."""
    result = markdown.read(results, "real-weights")
    if not result:
        return markdown.NOT_YET
    rows = [
        (
            _NAMES.get(name, name),
            f"{found['mean_dp']:.4f}",
            f"{found['p999_dp']:.3f}",
            f"{found['flips']:.2%}",
            f"{found['clear_flips']:.2%}",
        )
        for name, found in sorted(result["engines"].items(), key=lambda entry: entry[1]["mean_dp"])
    ]
    head = ("INT8", "mean change of a word's probability", "99.9th percentile", "words that flip", "clearly")
    told = result["conversion"]
    bound = told.get("fused", told["figures"])["mean_dp_bound"]
    words = next(iter(result["engines"].values()))["words"]
    return (
        f"{markdown.table(head, rows)}\n\n{words:,} words; weights: {result['weights']}. The conversion's report said"
        f" of the graph that serves: at most {bound:.4f} in the mean. {markdown.machine(result)}"
    )


def line(results: Path) -> str:
    """The same in a sentence."""
    result = markdown.read(results, "real-weights")
    if not result:
        return markdown.NOT_YET
    served, classic = (result["engines"][name] for name in ("wordtell fused", "onnxruntime INT8, quantize_dynamic"))
    return (
        f"On real trained weights, INT8 as served changes a word's probability by {served['mean_dp']:.4f} on average"
        f" and moves {served['flips']:.2%} of {served['words']:,} words across 0.5; `quantize_dynamic` changes it by"
        f" {classic['mean_dp']:.4f} and moves {classic['flips']:.2%}. No engine was calibrated on these words."
    )
