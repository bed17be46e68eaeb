"""Whether ONNX Runtime's products of u8 and s8 are exact on this processor."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnxruntime as ort

# An ONNX model: y [8, 8] of int32 = MatMulInteger(a [8, 8] of uint8, b [8, 8] of int8).
PRODUCT = (
    b'\x08\n\x12\x00:\\\n\x18\n\x01a\n\x01b\x12\x01y"\rMatMulInteger\x12\x01p'
    b"Z\x13\n\x01a\x12\x0e\n\x0c\x08\x02\x12\x08\n\x02\x08\x08\n\x02\x08\x08"
    b"Z\x13\n\x01b\x12\x0e\n\x0c\x08\x03\x12\x08\n\x02\x08\x08\n\x02\x08\x08"
    b"b\x13\n\x01y\x12\x0e\n\x0c\x08\x06\x12\x08\n\x02\x08\x08\n\x02\x08\x08B\x04\n\x00\x10\x12"
)

# From this version on session.x64quantprecision has an effect on products whose weights have no zero point, as in our
# graphs. Earlier versions ignore it, or end the process if such a product is not fused with its Cast and Mul.
REMEDIED = (1, 30)


def remedied() -> bool:
    """Whether this ONNX Runtime can make the products exact where they saturate."""
    return tuple(map(int, ort.__version__.split(".")[:2])) >= REMEDIED


@cache
def saturates() -> bool:
    """Whether a sum of two products saturates at 16 bits, as on x86 without VNNI, where the instruction is vpmaddubsw.

    Measured with ONNX Runtime itself, once, in some milliseconds, because a list of processors would become outdated.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(PRODUCT, options, providers=["CPUExecutionProvider"])
    highest = np.full((8, 8), 255, np.uint8), np.full((8, 8), 127, np.int8)
    (found,) = session.run(None, dict(zip("ab", highest, strict=True)))
    return bool((found != 8 * 255 * 127).any())
