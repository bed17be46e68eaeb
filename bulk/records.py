"""A scored row -> the record that is written, with the columns of all formats."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from bento import passages
from bento.passages import Span, Summary, Threshold
from bulk.scorer import Scored

INCLUDABLE = ("scores", "spans", "summary")
_TEN_THOUSANDTHS = 10_000
# json.dumps takes ten times as long as a look into this table.
_WRITTEN = [json.dumps(value / _TEN_THOUSANDTHS) for value in range(_TEN_THOUSANDTHS + 1)]

_SPAN = pa.struct(
    [(name, pa.int64()) for name in ("start", "end", "first_word", "last_word")]
    + [("probability", pa.float64()), ("words", pa.int64())]
)
_SUMMARY = pa.struct(
    [("mean", pa.float64()), ("passages", pa.int64()), ("machine_share", pa.float64()), ("abstained", pa.bool_())]
)
_TYPES = {"scores": pa.list_(pa.float32()), "spans": pa.list_(_SPAN), "summary": _SUMMARY}


class Recorder:
    """Makes the records of one run. include: of INCLUDABLE. threshold_for: a text's, by the number of its words."""

    def __init__(self, include: Sequence[str], version: str, threshold_for: Callable[[int], Threshold]) -> None:
        self.names = ("id", *include, "model_version", "error")
        self.schema = pa.schema([(name, _TYPES.get(name, pa.string())) for name in self.names])
        self._include = tuple(include)
        self.version = version
        self._threshold_for = threshold_for

    def values(self, scored: Scored) -> dict[str, Any]:
        """For Parquet: Python values by column."""
        found = self._found(scored)
        if found.get("scores") is not None:
            found["scores"] = _rounded(scored).astype(np.float32) / np.float32(_TEN_THOUSANDTHS)
        return {"id": str(scored.row.id), **found, "model_version": self.version, "error": scored.error}

    def texts(self, scored: Scored) -> list[str]:
        """JSON by column, in the order of `names`."""
        found = [
            _array(_rounded(scored)) if name == "scores" and value is not None else _json(value)
            for name, value in self._found(scored).items()
        ]
        return [_json(scored.row.id), *found, _json(self.version), _json(scored.error)]

    def _found(self, scored: Scored) -> dict[str, Any]:
        if scored.scores is None:
            return dict.fromkeys(self._include)
        found: dict[str, Any] = {"scores": scored.scores}
        if set(self._include) & {"spans", "summary"}:
            probabilities = (_rounded(scored) / _TEN_THOUSANDTHS).tolist()
            threshold = self._threshold_for(len(probabilities))
            spans: list[Span] = passages.find(scored.row.text, probabilities, threshold)
            summary: Summary = passages.summarise(probabilities, spans, threshold)
            found |= {"spans": [span.model_dump() for span in spans], "summary": summary.model_dump()}
        return {name: found[name] for name in self._include}


def _rounded(scored: Scored) -> np.ndarray:
    """Ten-thousandths, as the server rounds."""
    assert scored.scores is not None  # noqa: S101 - whoever asks has looked
    return np.rint(scored.scores.astype(np.float64) * _TEN_THOUSANDTHS).astype(np.int64)


def _array(numbers: np.ndarray) -> str:
    return f"[{', '.join(map(_WRITTEN.__getitem__, numbers.tolist()))}]"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
