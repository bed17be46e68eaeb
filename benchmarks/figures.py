"""The tables and plots of docs/benchmarks.md and README.md, from the JSON in benchmarks/results/.

What stands between `<!-- benchmarks:NAME -->` and `<!-- /benchmarks -->` is made here, and nothing else is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import accuracy, many_texts, markdown
from benchmarks.engines import CLASSIC
from benchmarks.harness import RESULTS
from bento.settings import ROOT

DOCUMENTS = (ROOT / "docs" / "benchmarks.md", ROOT / "README.md")
IMAGES = ROOT / "docs" / "img"
BLOCK = re.compile(r"(<!-- benchmarks:(\w+) -->\n).*?(<!-- /benchmarks -->)", re.DOTALL)
ENCODERS = ("bert-base", "roberta-base", "xlm-roberta-base", "modernbert-base", "distilbert")
SIZES = (*ENCODERS, "small", "base", "large")
# What the README shows: the largest request, and one short text.
SPEED_SETS = ("120 x 350 words", "1 x 20 words")
INT8_SETS = {"amx_int8": "AMX", "avx512_vnni": "AVX-512 VNNI", "avx_vnni": "AVX VNNI"}


def main() -> None:
    """Rewrite the generated parts, and draw."""
    for document in DOCUMENTS:
        if document.exists():
            text = document.read_text(encoding="utf-8")
            document.write_text(filled(text, RESULTS), encoding="utf-8")
    draw(RESULTS, IMAGES)


def filled(text: str, results: Path) -> str:
    """The document with its generated parts made anew. Raises KeyError for a name that nothing makes."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{TABLES[found[2]](results)}\n\n{found[3]}", text)


def engines(results: Path) -> str:
    """A table for each dimension and set of texts."""
    measured = [(name, read) for name in SIZES if (read := markdown.read(results, f"engines-{name}"))]
    return "\n\n".join(_engines(name, result) for name, result in measured) or markdown.NOT_YET


def _engines(name: str, result: Mapping[str, Any]) -> str:
    size, parts = result["dimensions"], []
    for key, entries in result["sets"].items():
        rows = [
            (
                entry["engine"],
                entry["setting"],
                markdown.seconds(entry["seconds"]),
                f"{entry['words_per_s']:,.0f}",
                markdown.times(entry["times_classic"]),
                markdown.times(entry["times_best_peer"]),
                f"{entry['roofline_share']:.0%}",
                f"{entry['peak_mb']:,} MB",
                f"{entry['texts_timed']} of {entry['scaled_to']}",
            )
            for entry in sorted(entries, key=lambda entry: entry["seconds"])
        ]
        head = ("engine", "best setting", "time", "words/s", "to classic", "to best peer")
        table = markdown.table((*head, _share_of(result), "peak memory", "texts timed"), rows)
        parts.append(
            f"**{name}** ({size['layers']} x {size['hidden']}, {result['weights']} weights), {key}:\n\n{table}"
        )
    if result["failed"]:
        reasons = "\n".join(f"- {engine}: {markdown.cell(reason)}" for engine, reason in result["failed"].items())
        parts.append(f"Not to be had in that run:\n\n{reasons}")
    return "\n\n".join([*parts, markdown.machine(result)])


def _share_of(result: Mapping[str, Any]) -> str:
    """What the shares are of: earlier results know the libraries' products alone."""
    own = "processor" in result["roofline_gops"]["all cores"]["int8"]
    return "of the processor" if own else "of the fastest library"


def speed(results: Path) -> str:
    """For the README: wordtell, the classic recipe and the best peer of each encoder; each row is from one run."""
    rows, commands = [], []
    for name in reversed(SIZES):
        if not (result := markdown.read(results, f"engines-{name}")):
            continue
        shown = name if name in ENCODERS else f"deberta-v3-{name}"
        for key in SPEED_SETS:
            if not (entries := result["sets"].get(key)):
                continue
            ours = min((one for one in entries if one["engine"].startswith("wordtell")), key=lambda one: one["seconds"])
            peers = [one for one in entries if not one["engine"].startswith("wordtell")]
            peer = min(peers, key=lambda one: one["seconds"])
            classic = next((markdown.seconds(one["seconds"]) for one in entries if one["engine"] == CLASSIC), "")
            best = f"{markdown.seconds(peer['seconds'])} ({peer['engine']})"
            times = markdown.times(ours["times_best_peer"])
            rows.append((shown, key, _processor(result), classic, best, markdown.seconds(ours["seconds"]), times))
        commands.append(f"`{result['command']}`")
    head = ("encoder", "texts", "processor", "`quantize_dynamic`", "best peer", "wordtell", "to the best peer")
    return f"{markdown.table(head, rows)}\n\n{', '.join(commands)}" if rows else markdown.NOT_YET


def _processor(result: Mapping[str, Any]) -> str:
    """The processor's name, its widest instruction set for INT8, and how many cores were used."""
    flags = result["machine"]["flags"]
    widest = next((name for flag, name in INT8_SETS.items() if flag in flags), "no instructions for INT8")
    return f"{result['machine']['cpu']}, {widest}, {result.get('cores', result['machine']['cores'])} cores"


def lanes(results: Path) -> str:
    """Ways to use the cores."""
    result = markdown.read(results, "lanes")
    if not result:
        return markdown.NOT_YET
    rows = [
        (
            way["session"],
            "yes" if way["spinning"] else "no",
            "yes" if way["bound to cores"] else "no",
            markdown.seconds(way["seconds"]),
            f"{way['resident_mb']:,} MB",
        )
        for way in result["ways"]
    ]
    table = markdown.table(("sessions", "spinning", "bound to cores", "time", "resident"), rows)
    return f"{table}\n\n{result['question'].capitalize()}. {markdown.machine(result)}"


def memory(results: Path) -> str:
    """What a lane takes beyond the weights."""
    result = markdown.read(results, "memory")
    if not result:
        return markdown.NOT_YET
    rows = [
        (str(one["lanes"]), *(f"{one[key]:,.0f} MB" for key in ("loaded_mb", "peak_mb", "a_lane_mb")))
        for one in result["lanes"]
    ]
    table = markdown.table(("lanes", "loaded", "at the peak", "each lane"), rows)
    return f"{table}\n\nModel: {result['dimensions']}. {markdown.machine(result)}"


def roofline(results: Path) -> str:
    """The machine's peaks: of its instructions, of the libraries' products, of its memory."""
    result = markdown.read(results, "roofline")
    if not result:
        return markdown.NOT_YET
    rows = [
        (where, kind, library, f"{speed:,.0f}")
        for where, kinds in result["peaks"].items()
        for kind, by in kinds.items()
        for library, speed in by.items()
        if library not in ("best", "processor")  # these are one of the others
    ]
    return markdown.table(("cores", "type", "product", "Gop/s"), rows) + "\n\n" + markdown.machine(result)


def serving(results: Path) -> str:
    """Throughput and overload of each server, then the latencies by size of request."""
    result = markdown.read(results, "serving")
    if not result:
        return markdown.NOT_YET
    rows, latency, failed = [], [], []
    for name, found in result["servers"].items():
        if "failed" in found:
            failed.append(f"- {name}: {markdown.cell(found['failed'])}")
            continue
        over = found["at_5_times"]
        rows.append(
            (
                name,
                f"{found['peak_words_per_s']:,}",
                f"{over['share_of_peak']:.0%}",
                ", ".join(f"{status}: {count:,}" for status, count in over["status"].items()),
                f"{over['slowest_refusal_ms']:,.0f} ms" if over["refusals"]["count"] else "none refused",
                _retry_after(found.get("retry_after", ())),
            )
        )
        for size, of in found["at_70_percent"]["latency"].items():
            if of["count"]:
                shown = [f"{of[p]:,.0f} ms" for p in ("p50_ms", "p95_ms", "p99_ms")]
                latency.append((name, size, str(of["count"]), *shown))
    head = ("server", "words/s", "kept at 5 x", "answers at 5 x", "slowest refusal", "Retry-After off by")
    parts = [
        markdown.table(head, rows),
        "At 70 % of each server's own capacity:",
        markdown.table(("server", "texts x words", "requests", "p50", "p95", "p99"), latency),
    ]
    if beside := result["servers"].get("wordtell", {}).get("beside_the_model"):
        share = sorted(one["share"] for one in beside)[len(beside) // 2]
        parts.append(f"Of a 120 x 350 request to wordtell alone, {share:.1%} of the time is not the model.")
    if failed:
        parts.append("\n".join(["Not to be had in that run:", "", *failed]))
    return "\n\n".join([*parts, f"Model: {result['model']}. {markdown.machine(result)}"])


def _retry_after(truths: Sequence[Mapping[str, float]]) -> str:
    errors = [abs(truth["error"]) for truth in truths]
    return f"at most {max(errors):.0%} ({len(errors)} tries)" if errors else ""


def fairness(results: Path) -> str:
    """Short requests beside long ones."""
    result = markdown.read(results, "fairness")
    if not result:
        return markdown.NOT_YET
    rows = []
    for name, found in result["servers"].items():
        if "failed" in found or not found["busy"]["count"]:
            rows.append((name, *("",) * 5))
            continue
        keys = (found["idle"]["p50_ms"], found["idle"]["p95_ms"], found["busy"]["p50_ms"], found["busy"]["p95_ms"])
        rows.append((name, *(f"{value:,.0f} ms" for value in keys), f"{found['p95_of_bound']:.2f}"))
    head = ("server", "idle p50", "idle p95", "busy p50", "busy p95", "busy p95 / bound")
    return f"{markdown.table(head, rows)}\n\nModel: {result['model']}. {markdown.machine(result)}"


def soak(results: Path) -> str:
    """Memory over time, of each model that was measured."""
    found = [result for folder in (results, results / "large") if (result := markdown.read(folder, "soak"))]
    if not found:
        return markdown.NOT_YET
    rows = []
    for result in found:
        sizes = (f"{result[key]:,.0f} MB" for key in ("warm_mb", "end_mb"))
        rows.append((_soaked(result), f"{result['minutes']:g}", *sizes, f"{result['growth']:.1%}"))
    table = markdown.table(("model", "minutes", "after warm-up", "at the end", "growth"), rows)
    return "\n\n".join([table, *(f"{_soaked(result)}: {markdown.machine(result)}" for result in found)])


def _soaked(result: Mapping[str, Any]) -> str:
    """The model's name, or, of one of benchmarks.dimensions, the folder that names it."""
    words = result["command"].split("--model ")
    return words[1].split("/")[2] if len(words) > 1 else str(result["model"])


def hostile(results: Path) -> str:
    """What each hostile request cost, the worst of all first."""
    result = markdown.read(results, "hostile")
    if not result:
        return markdown.NOT_YET
    rows = [
        (
            one["name"],
            ", ".join(map(str, one["statuses"])) or markdown.cell(one["fault"]),
            markdown.seconds(one["seconds"]),
            f"{one['worst_livez_ms']:,.0f} ms" + (f", {lost} unanswered" if (lost := one["unanswered_livez"]) else ""),
            f"{one['growth_mb']:,.0f} MB",
            "yes" if one["answered_after"] else "no",
        )
        for one in result["requests"]
    ]
    summary, aims = result["summary"], result["aims"]
    words = {"worst_livez_ms": "slowest `/livez` {:,.0f} ms", "growth_mb": "largest growth {:,.0f} MB"}
    words["refusal_s"] = "slowest refusal {:,.2f} s"
    worst = "; ".join(
        f"{text.format(summary[key][key])} (aim: {aims[key]}), {summary[key]['of']}" for key, text in words.items()
    )
    table = markdown.table(("request", "answer", "time", "worst /livez", "memory", "next one answered"), rows)
    return f"{worst}.\n\n{table}\n\nModel: {result['model']}. {markdown.machine(result)}"


def draw(results: Path, images: Path) -> list[Path]:
    """A bar chart for each dimension that was measured."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "wordtell"  # the same bytes each time
    drawn = []
    for name in SIZES:
        result = markdown.read(results, f"engines-{name}")
        if not result:
            continue
        sets = {key: sorted(entries, key=lambda one: -one["seconds"]) for key, entries in result["sets"].items()}
        figure = Figure(figsize=(10, 3.2 * ((len(sets) + 1) // 2)), layout="constrained")
        axes = figure.subplots((len(sets) + 1) // 2, 2, squeeze=False).flat
        for axis in axes:
            axis.set_visible(False)
        for axis, (key, entries) in zip(figure.axes, sets.items(), strict=False):
            axis.set_visible(True)
            colours = ["#0b7a75" if one["engine"].startswith("wordtell") else "#b0b7bf" for one in entries]
            bars = axis.barh([one["engine"] for one in entries], [one["seconds"] for one in entries], color=colours)
            axis.bar_label(bars, [markdown.seconds(one["seconds"]) for one in entries], padding=3, fontsize=8)
            axis.margins(x=0.18)
            axis.set_title(f"{key}: seconds", fontsize=10)
            axis.tick_params(labelsize=8)
            axis.spines[["top", "right"]].set_visible(False)
        images.mkdir(parents=True, exist_ok=True)
        path = images / f"engines-{name}.svg"
        figure.savefig(path, metadata={"Date": None})
        drawn.append(path)
    return drawn


TABLES: dict[str, Callable[[Path], str]] = {
    "speed": speed,
    "lanes": lanes,
    "memory": memory,
    "engines": engines,
    "pytorch": lambda results: engines(results / "pytorch"),
    "roofline": roofline,
    "serving": serving,
    "serving_large": lambda results: serving(results / "large"),
    "fairness": fairness,
    "soak": soak,
    "hostile": hostile,
    "batch": many_texts.batch,
    "jobs": many_texts.jobs,
    "real_weights": accuracy.table,
    "real_weights_line": accuracy.line,
}

if __name__ == "__main__":
    main()
