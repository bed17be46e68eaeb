"""The tensors of the Open Inference Protocol, in JSON or by its binary tensor data extension.

In a binary body the header `Inference-Header-Content-Length` says where the JSON ends; the tensors' bytes follow. An
element of a BYTES tensor is its length (4 bytes, little-endian) and that many bytes; numbers are little-endian.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictInt, StrictStr

from bento.api.validation import check_count, check_texts, parse
from bento.detector import Detector, Scores
from bento.errors import InvalidRequest
from bento.settings import ApiSettings
from bento.text import words as word_scores

JSON_LENGTH = "Inference-Header-Content-Length"
EXTENSION = "binary_tensor_data"
INPUT = {"name": "texts", "datatype": "BYTES", "shape": [-1]}
OUTPUTS = (
    {"name": "probabilities", "datatype": "FP32", "shape": [-1]},
    {"name": "word_counts", "datatype": "INT64", "shape": [-1]},
)
_EXAMPLE: dict[str, JsonValue] = {
    "id": "1",
    "inputs": [{"name": "texts", "shape": [1], "datatype": "BYTES", "data": ["Who wrote this?"]}],
}
_LENGTH_BYTES = 4

Dimension = Annotated[StrictInt, Field(ge=0, le=1 << 31)]


class Parameters(BaseModel):
    """The protocol's parameters that have an effect here. The others are ignored, as the protocol says."""

    binary_data_size: Annotated[StrictInt, Field(ge=0)] | None = Field(None, description="Bytes of a binary tensor.")
    binary_data: bool | None = Field(None, description="Answer this output in binary.")
    binary_data_output: bool | None = Field(None, description="Answer every output in binary.")


class InputTensor(BaseModel):
    """The texts."""

    name: StrictStr = Field(description="Any.")
    shape: list[Dimension] = Field(max_length=8, description="Its product is the number of texts.")
    datatype: StrictStr = Field(description="BYTES.")
    parameters: Parameters | None = None
    data: list[JsonValue] | None = Field(None, description="The texts, flat or nested as the shape says.")


class RequestedOutput(BaseModel):
    """One of the outputs, if not all are wanted."""

    name: StrictStr
    parameters: Parameters | None = None


class InferRequest(BaseModel):
    """Texts to score, as one tensor."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: StrictStr | None = Field(None, description="Echoed.")
    inputs: list[InputTensor] = Field(description="One tensor.")
    outputs: list[RequestedOutput] | None = Field(None, description="Empty: all.")
    parameters: Parameters | None = None


def parse_infer(body: bytes, json_length: str | None, limits: ApiSettings) -> tuple[InferRequest, list[str]]:
    """The request and its texts, within the limits. Raises a RequestError for the first fault found."""
    end = _json_end(body, json_length)
    binary = memoryview(body)[end:]
    request = parse(
        InferRequest, body[:end], limits, json.dumps(_EXAMPLE), lambda found: _read_texts(found, binary, limits)
    )
    return request, _read_texts(request, binary, limits)


def encode_infer(request: InferRequest, detector: Detector, scores: Scores) -> tuple[bytes, dict[str, str]]:
    """The answer's body and headers: each output in JSON, or in binary where that was asked for."""
    values: dict[str, list[Any]] = {
        "probabilities": list(chain.from_iterable(map(word_scores.rounded, scores.words))),
        "word_counts": [len(words) for words in scores.words],
    }
    everywhere = bool(request.parameters and request.parameters.binary_data_output)
    wanted = {output.name: output.parameters for output in request.outputs or ()} or dict.fromkeys(values)
    outputs: list[dict[str, Any]] = []
    pieces: list[bytes] = []
    for output in OUTPUTS:
        name = str(output["name"])
        if name not in wanted:
            continue
        described: dict[str, Any] = output | {"shape": [len(values[name])]}
        own = wanted[name]
        if everywhere if own is None or own.binary_data is None else own.binary_data:
            pieces.append(np.array(values[name], "<f4" if output["datatype"] == "FP32" else "<i8").tobytes())
            described["parameters"] = {"binary_data_size": len(pieces[-1])}
        else:
            described["data"] = values[name]
        outputs.append(described)
    answer: dict[str, Any] = {"model_name": detector.name, "model_version": detector.version, "outputs": outputs}
    if request.id is not None:
        answer["id"] = request.id
    head = json.dumps(answer).encode()
    if not pieces:
        return head, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", JSON_LENGTH: str(len(head))}
    return b"".join([head, *pieces]), headers


def _json_end(body: bytes, json_length: str | None) -> int:
    if json_length is None:
        return len(body)
    if not json_length.isdecimal() or len(json_length) > 10 or int(json_length) > len(body):
        raise InvalidRequest(f"{JSON_LENGTH} must be the length of the JSON, at most the body's", JSON_LENGTH)
    return int(json_length)


def _read_texts(request: InferRequest, binary: memoryview, limits: ApiSettings) -> list[str]:
    if len(request.inputs) != 1:
        raise InvalidRequest(f"inputs has {len(request.inputs)} tensors: send one, of all texts", "inputs")
    (tensor,) = request.inputs
    if tensor.datatype != "BYTES":
        raise InvalidRequest(f"inputs[0].datatype is {tensor.datatype[:64]!r}: send BYTES", "inputs[0].datatype")
    known = [output["name"] for output in OUTPUTS]
    for index, output in enumerate(request.outputs or ()):
        if output.name not in known:
            field = f"outputs[{index}].name"
            raise InvalidRequest(f"{field} is {output.name[:64]!r}: known are {', '.join(map(str, known))}", field)
    count = math.prod(tensor.shape)
    check_count(count, limits, "inputs[0]")
    texts = list(islice(_texts(tensor, binary), count + 1))
    if len(texts) != count:
        found = f"more than {count}" if len(texts) > count else str(len(texts))
        raise InvalidRequest(f"inputs[0] has {found} texts, its shape says {count}", "inputs[0].shape")
    check_texts(texts, limits, "inputs[0]")
    return texts


def _texts(tensor: InputTensor, binary: memoryview) -> Iterator[str]:
    size = tensor.parameters.binary_data_size if tensor.parameters else None
    if size is not None and tensor.data is not None:
        raise InvalidRequest("inputs[0] has both data and binary_data_size: send one of them", "inputs[0]")
    if (size or 0) != len(binary):
        fault = f"{len(binary)} bytes follow the JSON, binary_data_size says {size or 0}"
        raise InvalidRequest(f"inputs[0]: {fault}", "inputs[0].parameters")
    if size is not None:
        return _binary_texts(binary)
    if tensor.data is None:
        raise InvalidRequest("inputs[0].data is missing: send a list of texts", "inputs[0].data")
    return _json_texts(tensor.data, len(tensor.shape))


def _binary_texts(binary: memoryview) -> Iterator[str]:
    index = start = 0
    while start < len(binary):
        field = f"inputs[0][{index}]"
        stop = start + _LENGTH_BYTES + int.from_bytes(binary[start : start + _LENGTH_BYTES], "little")
        if stop > len(binary):
            raise InvalidRequest(f"{field} is longer than the bytes that are left", field)
        try:
            yield str(binary[start + _LENGTH_BYTES : stop], "utf-8")
        except UnicodeDecodeError:
            raise InvalidRequest(f"{field} is not UTF-8", field) from None
        index, start = index + 1, stop


def _json_texts(data: Sequence[JsonValue], dimensions: int) -> Iterator[str]:
    for _ in range(dimensions - 1):
        if all(isinstance(row, list) for row in data):
            data = [item for row in data if isinstance(row, list) for item in row]
    for index, item in enumerate(data):
        if not isinstance(item, str):
            raise InvalidRequest(f"inputs[0][{index}] must be a text (a JSON string)", f"inputs[0][{index}]")
        yield item
