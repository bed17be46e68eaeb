"""What the server answers is what its OpenAPI document says: schemathesis, from /docs.json.

All of its checks run but those of UNSAID. Of them, `unsupported_method`, `missing_required_header`, `ignored_auth` and
those of resources that are made and deleted find nothing to do: no operation documents a header, a key or a resource.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode
from schemathesis.schemas import BaseSchema

from bento.api import app
from bento.api.lifecycle import Lifecycle
from bento.settings import Settings
from tests.http.server import Server

EXAMPLES = 40
OPERATIONS = [
    (method, path, mode)
    for path, methods in app.create(Lifecycle(Settings())).openapi()["paths"].items()
    for method, operation in methods.items()
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    # Without a body there is nothing that could be wrong: any name in a path is a text.
    if "requestBody" in operation or mode == GenerationMode.POSITIVE
]
# A path's end -> checks that cannot hold there.
UNSAID = {
    # The shape's product is the number of texts, and binary_data_size that of the bytes behind the JSON: JSON Schema
    # has no words for either, so what fits the document may still be refused.
    "/infer": ("positive_data_acceptance",),
}

load_all_checks()


def json_lines(found: list[tuple[str, str]]) -> str:
    return "".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in found)


_WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
schemathesis.openapi.format("json-lines", st.lists(st.tuples(_WORDS, _WORDS), min_size=1, max_size=5).map(json_lines))


@schemathesis.serializer("application/x-ndjson")
def as_sent(context: schemathesis.SerializationContext, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@cache
def document(port: int) -> BaseSchema:
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/docs.json")


@pytest.mark.parametrize(("method", "path", "mode"), OPERATIONS)
def test_the_document_is_true(server: Server, method: str, path: str, mode: GenerationMode) -> None:
    operation = document(server.port)[path][method]
    cases = operation.as_strategy(generation_mode=mode)
    if "{name}" in path:  # or every model would be unknown
        known = {"name": "fake", "version": server.client.get("/v2/models/fake").json()["versions"][0]}
        served_ones = {name: value for name, value in known.items() if f"{{{name}}}" in path}
        served = operation.as_strategy(generation_mode=mode, path_parameters=served_ones)
        cases = st.one_of(served, served, served, cases)
    unsaid = [name for ending, names in UNSAID.items() if path.endswith(ending) for name in names]
    excluded: list[Any] = CHECKS.get_by_names(unsaid)

    @seed(1)
    @settings(max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def send(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(excluded_checks=excluded)

    send()
