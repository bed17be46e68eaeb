"""The Open Inference Protocol, version 2 and version 1, that KServe's and Triton's clients speak."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationInfo, field_validator

from bento import __version__
from bento.api.errors import documented
from bento.api.lifecycle import Lifecycle
from bento.api.models import ProtocolError
from bento.api.scoring import FAULTS, Desk, named
from bento.api.tensors import EXTENSION, INPUT, JSON_LENGTH, OUTPUTS, InferRequest, encode_infer, parse_infer
from bento.api.validation import check_texts, documented_texts, parse
from bento.detector import Detector
from bento.errors import ModelNotReady, UnknownModel, UnknownVersion
from bento.settings import ApiSettings
from bento.text import words

Name = Annotated[str, Path(description="The served model's name.")]
Version = Annotated[str, Path(description="Its only version, as the model's metadata announce it.")]


class Instances(BaseModel):
    """Texts to score."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"instances": ["Who wrote this?"]}]})

    instances: list[StrictStr] = Field(description="As many texts, of as many words, as the settings allow.")

    @field_validator("instances")
    @classmethod
    def _within_limits(cls, instances: list[str], info: ValidationInfo) -> list[str]:
        check_texts(instances, cast(ApiSettings, info.context), "instances")
        return instances


class Predictions(BaseModel):
    """Scores."""

    predictions: list[list[float]] = Field(description="For each text, a probability for each of its words.")


def router(lifecycle: Lifecycle, desk: Desk) -> APIRouter:
    """The routes of this file."""
    api = lifecycle.settings.api
    routes = APIRouter(tags=["Open Inference Protocol"])
    unready = documented(ModelNotReady, shape=ProtocolError)
    unknown = documented(ModelNotReady, UnknownModel, shape=ProtocolError)
    unknown_version = documented(ModelNotReady, UnknownModel, UnknownVersion, shape=ProtocolError)
    faults = documented(*FAULTS, UnknownModel, shape=ProtocolError)
    faults_of_version = documented(*FAULTS, UnknownModel, UnknownVersion, shape=ProtocolError)

    @routes.get("/v2", summary="The server")
    async def server() -> dict[str, Any]:
        return {"name": "wordtell", "version": __version__, "extensions": [EXTENSION]}

    @routes.get("/v2/health/live", summary="Is the process alive?")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @routes.get("/v2/health/ready", summary="Would a request be answered now?", responses=unready)
    async def ready() -> dict[str, bool]:
        return {"ready": lifecycle.detector is not None}

    @routes.get("/v2/models/{name}", summary="The model", responses=unknown)
    async def model(name: Name) -> dict[str, Any]:
        return _metadata(named(lifecycle.detector, name))

    @routes.get("/v2/models/{name}/versions/{version}", summary="The model", responses=unknown_version)
    async def model_version(name: Name, version: Version) -> dict[str, Any]:
        return _metadata(named(lifecycle.detector, name, version))

    @routes.get("/v2/models/{name}/ready", summary="Is the model loaded?", responses=unknown)
    async def model_ready(name: Name) -> dict[str, Any]:
        return {"name": named(lifecycle.detector, name).name, "ready": True}

    @routes.get("/v2/models/{name}/versions/{version}/ready", summary="Is the model loaded?", responses=unknown_version)
    async def version_ready(name: Name, version: Version) -> dict[str, Any]:
        return {"name": named(lifecycle.detector, name, version).name, "ready": True}

    @routes.post(
        "/v2/models/{name}/infer", summary="Score every word", responses=faults, openapi_extra=_body(InferRequest)
    )
    async def infer(name: Name, request: Request) -> Response:
        """One BYTES tensor of texts in; out: `probabilities`, flat, and `word_counts`, by which to split them."""
        return await _infer(desk, request, api, name)

    @routes.post(
        "/v2/models/{name}/versions/{version}/infer",
        summary="Score every word",
        responses=faults_of_version,
        openapi_extra=_body(InferRequest),
    )
    async def infer_version(name: Name, version: Version, request: Request) -> Response:
        """The same, by a version of the model."""
        return await _infer(desk, request, api, name, version)

    @routes.post(
        "/v1/models/{name}:predict",
        summary="Score every word",
        response_model=Predictions,
        responses=faults,
        openapi_extra=_body(Instances),
    )
    async def predict(name: Name, request: Request) -> Response:
        """For every word of every text, how likely it is that a machine wrote it."""
        async with desk.serve(request, name) as turn:
            asked = await turn.read(lambda body: parse(Instances, body, api, '{"instances": ["..."]}'))
            scores = await turn.score(asked.instances, "instances")
        answer = Predictions.model_construct(predictions=[words.rounded(found) for found in scores.words])
        return Response(answer.model_dump_json(), media_type="application/json")

    @routes.get("/v1/models", summary="The models", responses=unready)
    async def models() -> dict[str, list[str]]:
        return {"models": [lifecycle.detector.name]}

    # After `:predict`, whose path it matches too: a 405 there lists POST.
    routes.get("/v1/models/{name}", summary="Is the model loaded?", responses=unknown)(model_ready)
    return routes


async def _infer(desk: Desk, request: Request, api: ApiSettings, name: str, version: str | None = None) -> Response:
    async with desk.serve(request, name, version) as turn:
        asked, texts = await turn.read(lambda body: parse_infer(body, request.headers.get(JSON_LENGTH), api))
        scores = await turn.score(texts, "inputs[0]")
    content, headers = encode_infer(asked, turn.detector, scores)
    return Response(content, headers=headers)


def _metadata(detector: Detector) -> dict[str, Any]:
    return {
        "name": detector.name,
        "versions": [detector.version],
        "platform": detector.engine,
        "inputs": [INPUT],
        "outputs": OUTPUTS,
    }


def schemas(limits: ApiSettings) -> dict[str, Any]:
    """The request bodies, which are read by hand, for OpenAPI's components."""
    found: dict[str, Any] = {}
    for model in (InferRequest, Instances):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {}) | {model.__name__: schema}
    found[Instances.__name__]["properties"]["instances"] |= documented_texts(limits)
    return found


def _body(model: type[BaseModel]) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": reference}}}}
