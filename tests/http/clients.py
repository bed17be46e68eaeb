"""Run in an environment of its own, where KServe's and Triton's clients are: what they get of a server, as JSON.

Arguments: the server's URL, the model's name and version. Standard input: a JSON list of texts.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException


async def by_kserve(url: str, model: str, version: str, texts: list[str]) -> dict[str, Any]:
    versioned = f"{model}/versions/{version}"  # this client knows no versions but as a part of the path
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        found: dict[str, Any] = {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "model_ready": await client.is_model_ready(url, model),
            "other_ready": await client.is_model_ready(url, "other"),
            "version_ready": await client.is_model_ready(url, versioned),
            "other_version_ready": await client.is_model_ready(url, f"{model}/versions/1"),
        }
        for binary in (True, False):
            tensor = InferInput("texts", [len(texts)], "BYTES")
            tensor.set_data_from_numpy(np.array(texts, dtype=object), binary_data=binary)
            for name in (model, versioned):
                answer = await client.infer(url, InferRequest(model, [tensor], request_id="mine"), model_name=name)
                arrays = {one.name: one.as_numpy() for one in answer.outputs}
                found[f"binary={binary} name={name}"] = outputs(arrays, answer.id)
        try:
            await client.infer(url, {"inputs": []}, model_name=model)
        except Exception as error:  # whatever the client makes of it is what its user sees
            found["error"] = str(error)
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        found["v1_ready"] = await client.is_model_ready(url, model)
        found["v1"] = await client.infer(url, {"instances": texts}, model_name=model)
    return found


def by_triton(url: str, model: str, version: str, texts: list[str]) -> dict[str, Any]:
    client = triton.InferenceServerClient(url.removeprefix("http://"))
    tensor = triton.InferInput("texts", [len(texts)], "BYTES")
    found: dict[str, Any] = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready(model),
        "other_ready": client.is_model_ready("other"),
        "version_ready": client.is_model_ready(model, version),
        "other_version_ready": client.is_model_ready(model, "1"),
        "server": client.get_server_metadata(),
        "model": client.get_model_metadata(model),
        "version": client.get_model_metadata(model, version),
    }
    for binary in (True, False):
        tensor.set_data_from_numpy(np.array(texts, dtype=object), binary_data=binary)
        wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("probabilities", "word_counts")]
        for asked, of in itertools.product((None, wanted), ("", version)):
            answer = client.infer(model, [tensor], model_version=of, outputs=asked, request_id="mine")
            values = {name: answer.as_numpy(name) for name in ("probabilities", "word_counts")}
            key = f"binary={binary} asked={asked is not None} version={of}"
            found[key] = outputs(values, answer.get_response()["id"])
    try:
        client.infer("other", [tensor])
    except InferenceServerException as error:
        found["error"] = error.message()
    try:
        client.infer(model, [tensor], model_version="1")
    except InferenceServerException as error:
        found["version_error"] = error.message()
    client.close()
    return found


def outputs(arrays: dict[str, Any], request_id: str) -> dict[str, Any]:
    return {
        "id": request_id,
        "types": {name: str(array.dtype) for name, array in arrays.items()},
        **{name: array.tolist() for name, array in arrays.items()},
    }


if __name__ == "__main__":
    texts = json.load(sys.stdin)
    arguments = (*sys.argv[1:], texts)
    print(json.dumps({"kserve": asyncio.run(by_kserve(*arguments)), "triton": by_triton(*arguments)}))
