"""The routes of KServe's Open Inference Protocol, version 2, with tensors as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

import ita
from ita.serving.errors import ServiceError
from ita.serving.json_body import JsonRoute
from ita.serving.messages import ErrorAnswer, Json, answers_of, records_of
from ita.serving.service import Service

VERSION = "1"
INPUTS = {
    "text": "the post",
    "tokens": "its words: a JSON list, or words between blanks",
    "image_url": "http or https",
    "image_base64": "content of an image file",
    "context": "text that stands for the image, or a JSON list of texts",
}
OUTPUTS = {
    "entities": "a JSON list of entities",
    "tokens": "a JSON list of words",
    "view": "t or it; empty where the post was not read",
    "image_status": "empty without an image",
    "image_error": "why the image was not read",
    "image_text": "JSON of what was found in the image; empty without the parameter explain",
    "error": "why the post was not read; empty where it was",
}
BINARY = "inference-header-content-length"
"""Header of requests in the binary form of the protocol."""


class Tensor(BaseModel):
    """Texts, one a post; an empty one is none."""

    name: str = Field(examples=["text"])
    shape: list[int] = Field(examples=[[1]])
    datatype: str = Field(examples=["BYTES"])
    parameters: dict[str, Any] = {}
    data: list[Any] = Field(examples=[["Vospurpo wins again"]])

    def texts(self) -> list[str]:
        """Its values, one a post."""
        if self.datatype != "BYTES":
            raise ServiceError(
                400, "invalid_tensor", f"input '{self.name}' has the datatype {self.datatype:.20}", "BYTES"
            )
        values = flat(self.data)
        size = self.shape[0] if self.shape else 0
        if self.shape not in ([size], [size, 1]) or len(values) != size:
            message = f"input '{self.name}' has shape {self.shape!s:.40} and {len(values)} values"
            raise ServiceError(400, "invalid_tensor", message, "shape [N] or [N, 1] and N values")
        if not all(isinstance(value, str) for value in values):
            raise ServiceError(400, "invalid_tensor", f"input '{self.name}' has values that are no strings", "strings")
        return values


class RequestedOutput(BaseModel):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(BaseModel):
    """Posts as tensors."""

    id: str | None = None
    parameters: dict[str, Any] = Field({}, description="view (auto or t), explain (true or false)")
    inputs: list[Tensor]
    outputs: list[RequestedOutput] | None = None


def flat(values: Sequence[Any]) -> list[Any]:
    """Values of a tensor that may be nested once, as [[a], [b]] is."""
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def posts_of(request: InferRequest) -> list[dict[str, str]]:
    """The posts of a request."""
    columns: dict[str, list[str]] = {}
    for tensor in request.inputs:
        if tensor.name not in INPUTS or tensor.name in columns:
            message = f"found an input '{tensor.name:.40}'" + " twice" * (tensor.name in columns)
            raise ServiceError(400, "unknown_input", message, f"some of {', '.join(INPUTS)}, each once")
        columns[tensor.name] = tensor.texts()
    if "text" not in columns and "tokens" not in columns:
        raise ServiceError(400, "missing_input", "found neither input 'text' nor 'tokens'", "one of them")
    if len({len(values) for values in columns.values()}) > 1:
        sizes = ", ".join(f"{name} {len(values)}" for name, values in columns.items())
        raise ServiceError(400, "invalid_tensor", f"inputs differ in their number of posts: {sizes}", "one a post")
    rows = zip(*columns.values(), strict=True)
    return [{name: value for name, value in zip(columns, row, strict=True) if value} for row in rows]


def parameters_of(request: InferRequest) -> tuple[Any, Any]:
    """View and whether to explain."""
    view, explain = request.parameters.get("view", "auto"), request.parameters.get("explain", False)
    if view not in ("auto", "t") or not isinstance(explain, bool):
        raise ServiceError(400, "invalid_parameter", "found another view or explain", "view auto or t, explain a bool")
    return view, explain


def outputs_of(request: InferRequest, answers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tensors of an answer."""
    names = [output.name for output in request.outputs] if request.outputs else list(OUTPUTS)
    for name in names:
        if name not in OUTPUTS:
            raise ServiceError(400, "unknown_output", f"found an output '{name:.40}'", f"some of {', '.join(OUTPUTS)}")
    return [
        {
            "name": name,
            "shape": [len(answers)],
            "datatype": "BYTES",
            "data": [cell(answer.get(name)) for answer in answers],
        }
        for name in names
    ]


def cell(value: Any) -> str:
    """A value in a tensor of texts."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def tensors(described: Mapping[str, str]) -> list[dict[str, Any]]:
    """Metadata of tensors."""
    return [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in described]


def router(service: Service) -> APIRouter:
    """The routes under /v2."""
    routes = APIRouter(prefix="/v2", tags=["KServe v2"], responses={400: {"model": ErrorAnswer}}, route_class=JsonRoute)

    def check_name(name: str, version: str = VERSION) -> None:
        if name != service.name or version != VERSION:
            raise ServiceError(404, "unknown_model", f"found no model '{name:.80}'", f"'{service.name}', version 1")

    @routes.get("", summary="Metadata of the server")
    async def server() -> Json:
        return Json({"name": "ita", "version": ita.__version__, "extensions": []})

    @routes.get("/health/live", summary="Whether the process runs")
    async def live() -> Json:
        return Json({"live": True})

    @routes.get("/health/ready", summary="Whether the model answers")
    async def ready() -> Json:
        return Json({"ready": True})

    @routes.get("/models/{name}", summary="Metadata of the model")
    @routes.get("/models/{name}/versions/{version}", include_in_schema=False)
    async def model(name: str, version: str = VERSION) -> Json:
        check_name(name, version)
        io = {"inputs": tensors(INPUTS), "outputs": tensors(OUTPUTS)}
        return Json({"name": service.name, "versions": [VERSION], "platform": "ita", **io})

    @routes.get("/models/{name}/ready", summary="Whether the model answers")
    @routes.get("/models/{name}/versions/{version}/ready", include_in_schema=False)
    async def model_ready(name: str, version: str = VERSION) -> Json:
        check_name(name, version)
        return Json({"name": service.name, "ready": True})

    @routes.post("/models/{name}/infer", summary="Tag posts")
    @routes.post("/models/{name}/versions/{version}/infer", include_in_schema=False)
    async def infer(name: str, body: InferRequest, request: Request, version: str = VERSION) -> Json:
        check_name(name, version)
        if BINARY in request.headers:
            raise ServiceError(415, "binary_tensors", "found tensors in binary form", "tensors as JSON")
        posts = posts_of(body)
        view, explain = parameters_of(body)
        outputs_of(body, [])
        answers = await service.answer(records_of(posts, service.options), view, explain)
        outputs = outputs_of(body, answers_of(answers, posts))
        identity = {"id": body.id} if body.id is not None else {}
        return Json({"model_name": service.name, "model_version": VERSION, **identity, "outputs": outputs})

    return routes
