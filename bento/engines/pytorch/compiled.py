"""torch.compile: few lengths, each compiled before the server is ready."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

# As shares of the longest window. A window is padded to the next one: more than 5 %, in exchange for few shapes.
_SHARES = (1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1)


def buckets(longest: int) -> tuple[int, ...]:
    """The lengths to compile for, rising, in steps of 8; the last is the longest window."""
    return tuple(sorted({min(longest, -(-round(longest * share) // 8) * 8) for share in _SHARES}))


def compiled(model: Any, cache: Path | None, shapes: int) -> Any:
    """The model, compiled at its first run of each shape. cache: the folder that keeps the results between starts."""
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache)
    # Over the limit torch silently falls back to eager mode.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, shapes + 1)
    return torch.compile(model, dynamic=False)
